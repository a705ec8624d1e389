use crate::cli::out::outln;
use std::{io::IsTerminal as _, process::ExitCode, time::SystemTime};

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    exit::{WithCode, bad_input, code},
    monitor_arguments::MonitorArguments,
    monitor_view::{Picture, changes_in_words, sources_in_words, summary},
    run,
};
use crate::{
    model::{Activity, Finding},
    monitor::{Change, Monitor, PoolReading, Reading, Readings, SourceState, Watch},
};

/// A reading as a line of JSON.
#[derive(serde::Serialize)]
struct Told<'a> {
    time: String,
    at: f64,
    database: Option<&'a Activity>,
    pool: Option<&'a PoolReading>,
    sources: &'a [SourceState],
    findings: &'a [Finding],
    changes: &'a [Change],
}

/// How readings are shown.
enum Shown {
    Json,
    /// With whether only what has changed is told.
    Plain(bool),
    Picture(Picture),
}

/// Watches a database and a pool until it is told to stop.
pub(super) async fn monitor(arguments: &MonitorArguments, quiet: bool) -> Result<ExitCode> {
    let mut monitor = open(arguments)?;
    let is_terminal = std::io::stdout().is_terminal();
    let shown = match (arguments.json, is_terminal && !arguments.plain && !arguments.once && !quiet) {
        (true, _) => Shown::Json,
        (false, true) => Shown::Picture(Picture::default()),
        (false, false) => Shown::Plain(quiet),
    };
    let cancel = CancellationToken::new();
    let signals = JoinSet::from_iter([run::stop_on_signal(cancel.clone())?]);
    let mut session =
        Session { shown, watch: Watch::default(), readings: Readings::default(), known: Vec::new(), read: Vec::new() };
    let began = Instant::now();
    let mut ticks = tokio::time::interval(arguments.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let reading = tokio::select! {
            () = cancel.cancelled() => break,
            reading = async { ticks.tick().await; monitor.read().await } => reading,
        };
        session.take(&reading)?;
        let next = began.elapsed() + arguments.every;
        if arguments.once || arguments.length.is_some_and(|length| next > length) {
            break;
        }
    }
    monitor.close().await;
    drop(signals);
    session.end(arguments)
}

fn open(arguments: &MonitorArguments) -> Result<Monitor> {
    let (target, metrics) = arguments.sources()?;
    Monitor::open(target.as_ref(), metrics.map(ExposeSecret::expose_secret)).map_err(bad_input)
}

/// What has been read and told so far.
struct Session {
    shown: Shown,
    watch: Watch,
    readings: Readings,
    /// The sources as they were last told.
    known: Vec<SourceState>,
    /// For each source, whether it was ever read.
    read: Vec<bool>,
}

impl Session {
    fn take(&mut self, reading: &Reading) -> Result<()> {
        let findings = self.readings.take(reading.clone());
        let changes = self.watch.update(reading.at, &findings);
        self.read.resize(reading.sources.len(), false);
        for (read, source) in self.read.iter_mut().zip(&reading.sources) {
            *read |= source.problem.is_none();
        }
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        match &mut self.shown {
            Shown::Json => {
                let told = Told {
                    time,
                    at: reading.at,
                    database: reading.database.as_ref(),
                    pool: reading.pool.as_ref(),
                    sources: &reading.sources,
                    findings: &findings,
                    changes: &changes,
                };
                outln!("{}", serde_json::to_string(&told).context("failed to write JSON")?);
            }
            Shown::Plain(quiet) => {
                let mut lines = sources_in_words(&self.known, &reading.sources);
                if !*quiet {
                    lines.extend(summary(reading));
                }
                lines.extend(changes_in_words(&changes));
                for line in lines {
                    outln!("{time} {line}");
                }
            }
            Shown::Picture(picture) => {
                let mut lines = sources_in_words(&self.known, &reading.sources);
                lines.extend(changes_in_words(&changes));
                let lines = lines.iter().map(|line| format!("{time} {line}")).collect::<Vec<_>>();
                picture.draw(&lines, reading, &self.watch);
            }
        }
        self.known.clone_from(&reading.sources);
        Ok(())
    }

    /// The exit code, by what held at the end.
    fn end(&self, arguments: &MonitorArguments) -> Result<ExitCode> {
        let never = self.known.iter().zip(&self.read).find(|(_, read)| !**read);
        if let Some((SourceState { source, problem }, _)) = never {
            let problem = problem.as_deref().unwrap_or("it was not asked");
            return Err(anyhow::Error::new(WithCode {
                code: code::DATABASE,
                message: format!("{source} could not be read a single time: failed to {problem}"),
            }));
        }
        let findings = self.readings.findings();
        let met = findings.iter().any(|finding| arguments.fail_on.iter().any(|on| on.is_met_by(finding)));
        Ok(if met { ExitCode::from(code::FINDINGS) } else { ExitCode::SUCCESS })
    }
}
