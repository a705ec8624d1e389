//! Databases and pools that are watched.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{ServiceError, bus::Told, hub::Hub};
use crate::{
    job::{self, JobError},
    model::Finding,
    monitor::{Change, Monitor, PoolReading, Readings, SourceState, Watch},
    profile::Watched,
};

/// What is watched, as it was read last.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Seen {
    /// What it is called.
    pub(super) name: String,
    /// Each source, and whether it answers.
    pub(super) sources: Vec<SourceState>,
    /// Why it cannot be watched at all, if so.
    pub(super) problem: Option<String>,
    /// What the application tells of its pool.
    pub(super) pool: Option<PoolReading>,
    /// The database's sessions.
    pub(super) sessions: Option<Sessions>,
    /// Findings that have begun and not ended.
    pub(super) findings: Vec<Finding>,
}

/// Sessions of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Sessions {
    /// All of them.
    pub(super) open: u32,
    /// Most that there can be.
    pub(super) limit: u32,
}

impl Seen {
    pub(super) fn new(watched: &Watched) -> Self {
        Self {
            name: watched.name.clone(),
            sources: Vec::new(),
            problem: None,
            pool: None,
            sessions: None,
            findings: Vec::new(),
        }
    }
}

/// Watches each, until the service ends.
pub(super) fn start(hub: &Arc<Hub>, tasks: &mut JoinSet<()>) {
    for (place, watched) in hub.config.monitors.iter().enumerate() {
        match open(watched) {
            Ok(monitor) => {
                tasks.spawn(watch(Arc::clone(hub), place, watched.clone(), monitor));
            }
            Err(error) => {
                tracing::error!(monitor = watched.name, %error, "it cannot be watched");
                hub.seen(|seen| seen[place].problem = Some(error.to_string()));
            }
        }
    }
}

fn open(watched: &Watched) -> Result<Monitor, ServiceError> {
    let what = format!("the target of monitor `{}`", watched.name);
    let target = watched.target.as_ref().map(|source| job::read_secret(source, &what)).transpose()?;
    Ok(Monitor::open(target.as_ref(), watched.metrics.as_deref()).map_err(JobError::input)?)
}

async fn watch(hub: Arc<Hub>, place: usize, watched: Watched, mut monitor: Monitor) {
    let mut ticks = tokio::time::interval(watched.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut readings = Readings::default();
    let mut watch = Watch::default();
    loop {
        ticks.tick().await;
        let reading = monitor.read().await;
        let findings = readings.take(reading.clone());
        for source in &reading.sources {
            let before =
                hub.seen(|seen| seen[place].sources.iter().find(|other| other.source == source.source).cloned());
            let was_down = before.is_some_and(|before| before.problem.is_some());
            let (monitor, name) = (watched.name.clone(), source.source.clone());
            match &source.problem {
                Some(problem) if !was_down => {
                    tracing::warn!(monitor, source = name, problem, "it cannot be read");
                    hub.tell(&Told::SourceDown { monitor, source: name, problem: problem.clone() });
                }
                None if was_down => {
                    tracing::info!(monitor, source = name, "it can be read again");
                    hub.tell(&Told::SourceBack { monitor, source: name });
                }
                _ => {}
            }
        }
        let changes = watch.update(reading.at, &findings);
        hub.seen(|seen| {
            let seen = &mut seen[place];
            seen.sources.clone_from(&reading.sources);
            seen.pool.clone_from(&reading.pool);
            seen.sessions =
                reading.database.as_ref().map(|activity| Sessions { open: activity.connected, limit: activity.limit });
            seen.findings = watch.open().into_iter().map(|(finding, _)| finding.clone()).collect();
        });
        for change in changes {
            let monitor = watched.name.clone();
            hub.tell(&match change {
                Change::Began { finding } => Told::FindingBegan { monitor, finding },
                Change::Ended { rule, title, lasted } => Told::FindingEnded { monitor, rule, title, lasted },
            });
        }
    }
}
