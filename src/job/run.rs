use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Intent, JobError, TargetHold};
use crate::{
    export,
    model::{Provenance, Recommendation},
    profile::Profile,
    report::{self, ReportedTrial},
    store::{self, Hold, NewRun, RunStatus, Store, Task, TrialRecord},
    tune::{self, Choice, Event, Memory, Session, Stage, TuneError},
};

/// Where a run is made, and what ends it.
#[derive(Debug)]
pub struct Job<'a> {
    /// Where trials are kept.
    pub store: &'a Store,
    /// The results folder, which the caller holds.
    pub results: &'a Path,
    /// What is loaded.
    pub choice: &'a Choice,
    /// Whether a database is loaded although other clients are using it.
    pub load_in_use: bool,
    /// Interrupts the run.
    pub cancel: &'a CancellationToken,
    /// The target, where the caller holds it; the run holds it itself otherwise.
    pub target: Option<&'a TargetHold>,
}

/// A run that has its answer.
#[derive(Clone, Debug)]
pub struct Done {
    /// The answer.
    pub recommendation: Recommendation,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// A run that ended without an answer.
#[derive(Debug)]
pub struct Stopped {
    /// Its id, once it is stored.
    pub run: Option<String>,
    /// Why.
    pub error: JobError,
}

impl<E: Into<JobError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { run: None, error: error.into() }
    }
}

impl Job<'_> {
    /// Holds the target, makes it ready, runs the session and writes the files. The target is closed and the run's status stored
    /// whatever happens.
    ///
    /// # Errors
    /// [`Stopped`]; whatever was measured before is stored.
    pub async fn run(&self, mut intent: Intent, events: &mut dyn FnMut(Event)) -> Result<Done, Stopped> {
        let folder = self.results.join(&intent.id);
        let target = match self.target {
            Some(_) => None,
            None => Some(TargetHold::take(self.store, self.choice, &format!("run {}", intent.id)).await?),
        };
        let name = self.hold(&mut intent).await?;
        store::check_writable(&folder)?;
        // Of the level that is never left out, so that a warning in its depths says which run it is of.
        let span = tracing::error_span!("run", id = intent.id);
        let result = Box::pin(self.tuned(intent, &folder, events)).instrument(span).await;
        if let Err(Stopped { run, error }) = &result {
            // It holds nothing yet, unless the run had ended before; then it is not empty, and stays.
            fs::remove_dir(&folder).ok();
            if let Some(run) = run {
                self.note(run, error).await;
            }
        }
        name.let_go().await;
        if let Some(target) = target {
            target.let_go().await;
        }
        result
    }

    /// Holds the run in a store that several machines share.
    async fn hold(&self, intent: &mut Intent) -> Result<Hold, JobError> {
        if let Some(run) = intent.claim.take().and_then(Arc::into_inner) {
            return Ok(run);
        }
        let task = Task::Run(&intent.id);
        match self.store.hold(task).await? {
            Some(hold) => Ok(hold),
            None => Err(busy(self.store, task, &format!("run {}", intent.id)).await),
        }
    }

    /// Notes in the store how a run stopped.
    async fn note(&self, run: &str, error: &JobError) {
        // Whoever looks next sees that nobody is at work on it.
        if error.is_lost_store() {
            return;
        }
        let status = if error.is_interruption() { RunStatus::Interrupted } else { RunStatus::Failed };
        let unfinished = self.store.run(run).await.is_ok_and(|run| run.status != RunStatus::Finished);
        if unfinished && let Err(store_error) = self.store.set_status(run, status).await {
            tracing::warn!(%store_error, "the run's status could not be stored");
        }
    }

    async fn tuned(&self, mut intent: Intent, folder: &Path, events: &mut dyn FnMut(Event)) -> Result<Done, Stopped> {
        let opened =
            Stage::open(self.choice, &mut intent.profile, &intent.id, intent.seed, self.load_in_use, &mut *events);
        let mut stage = tokio::select! {
            () = self.cancel.cancelled() => return Err(TuneError::Interrupted.into()),
            opened = opened => opened?,
        };
        if let Err(error) = stage.allow_fault_part(&mut intent.profile, intent.seed, &mut *events).await {
            Box::pin(stage.close()).await;
            return Err(error.into());
        }
        stage.cut_sizes(&mut intent.profile, &mut *events);
        let result = Box::pin(self.session(&intent, &mut stage, folder, events)).await;
        Box::pin(stage.close()).await;
        result.map_err(|error| Stopped { run: Some(intent.id), error })
    }

    async fn session(
        &self,
        intent: &Intent,
        stage: &mut Stage,
        folder: &Path,
        events: &mut dyn FnMut(Event),
    ) -> Result<Done, JobError> {
        let (store, profile) = (self.store, &intent.profile);
        let provenance = Provenance {
            run: intent.id.clone(),
            profile: profile.name.clone(),
            profile_file: intent.profile_file.clone(),
            seed: intent.seed,
            flags: intent.flags.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            target: stage.target_shown().to_owned(),
            server: stage.server_shown().to_owned(),
            machine: tune::machine(),
            workers: profile.workers,
            instances: profile.instances,
            limits: profile.limits,
            search_trials: 0,
            stopped_because: String::new(),
        };
        let recalled = if intent.target.is_some() {
            store.set_status(&intent.id, RunStatus::Running).await?;
            intent.recalled.clone()
        } else {
            let mut run = new_run(intent, &provenance, stage);
            if intent.wishes.memory {
                run.recalled = Some(tune::recall(store, &run, profile.instances).await?);
            }
            store.begin_run(&run).await?;
            run.recalled
        };
        let memory = match &recalled {
            Some(recalled) => Some(Memory::read(store, &intent.began, recalled).await?),
            None => None,
        };
        let plan = tune::session_plan(profile, &provenance, stage.free_connections(), intent.stored.len());
        events(Event::Planned(Box::new(plan)));
        let mut warnings = stage.warnings().to_vec();
        for warning in profile.warnings() {
            events(Event::Notice(warning.clone()));
            warnings.push(warning);
        }
        if intent.target.is_some()
            && matches!(provenance.target.as_str(), "private" | "mariadb:private" | "sqlite:private")
        {
            let started = "the run was resumed on a new private server, so its trials come from two servers".to_owned();
            events(Event::Notice(started.clone()));
            warnings.push(started);
        }
        let session = Session {
            profile,
            provenance,
            store,
            target: stage.target(),
            stored: intent.stored.clone(),
            warnings,
            memory,
            cancel: self.cancel,
            events,
        };
        let recommendation = session.run().await?;
        // First, for a run that has ended is not gone on with.
        tune::keep(store, &intent.began, &recommendation).await?;
        // The answer is in the store before the files are written: a full disk must not cost it.
        store.finish_run(&intent.id, &recommendation).await?;
        let files = write(store, intent, &recommendation, folder).await?;
        Ok(Done { recommendation, files })
    }
}

/// What is told when another program is at work on something; the server may tell who.
pub(super) async fn busy(store: &Store, task: Task<'_>, what: &str) -> JobError {
    let holder = store.holder(task).await.ok().flatten().map_or(String::new(), |holder| format!(" (from {holder})"));
    JobError::Busy(format!(
        "{what} is held by another process{holder}, as the store `{}` says: two runs would disturb each other's measurements; \
         wait for it, or stop it there with Ctrl-C, after which it can be resumed",
        store.at()
    ))
}

/// Writes a run's files from what the store holds.
async fn write(
    store: &Store,
    intent: &Intent,
    recommendation: &Recommendation,
    folder: &Path,
) -> Result<Vec<PathBuf>, JobError> {
    let Provenance { run, server, .. } = &recommendation.provenance;
    let profile: &Profile = &intent.profile;
    let trials = store.trials(run).await?;
    let mut files = Vec::new();
    files.extend(export::config_py(recommendation, &intent.wishes.prefix).map(|text| ("config.py", text)));
    files.push(("recommendation.yaml", export::recommendation_yaml(recommendation).map_err(JobError::answer)?));
    if profile.day.is_some() {
        let sample = tune::sample(run, server, profile, &trials);
        files.push(("calibration.json", serde_json::to_string(&sample).map_err(JobError::answer)?));
    }
    let trials = reported(&trials);
    files.push(("summary.md", report::summary_md(recommendation, &trials)));
    files.push(("report.html", report::report_html(recommendation, &trials)));
    Ok(store::write_results(folder, &files)?)
}

/// The trials as the report takes them.
#[must_use]
pub fn reported(trials: &[TrialRecord]) -> Vec<ReportedTrial<'_>> {
    trials
        .iter()
        .map(|trial| ReportedTrial {
            phase: &trial.phase,
            why: &trial.why,
            settings: &trial.settings,
            measurement: &trial.measurement,
        })
        .collect()
}

fn new_run(intent: &Intent, provenance: &Provenance, stage: &Stage) -> NewRun {
    let wishes = &intent.wishes;
    NewRun {
        id: intent.id.clone(),
        started_at: intent.began.clone(),
        profile_name: intent.profile.name.clone(),
        profile_file: intent.profile_file.clone(),
        profile_source: intent.profile.source.clone(),
        pins: wishes.pins.clone(),
        ranges: wishes.ranges.clone(),
        seed: intent.seed,
        target: provenance.target.clone(),
        server_version: provenance.server.clone(),
        server_settings: stage.server_settings().clone(),
        machine: provenance.machine.clone(),
        program_version: provenance.program.clone(),
        prefix: wishes.prefix.to_string(),
        pid: std::process::id(),
        trials: wishes.budget.trials,
        pairs: wishes.budget.pairs,
        instances: wishes.instances,
        seconds: wishes.budget.time.map(|time| time.as_secs_f64()),
        experiment: wishes.of.as_ref().map(|(experiment, _)| experiment.clone()),
        round: wishes.of.as_ref().map(|(_, round)| *round),
        recalled: None,
    }
}
