//! Stress tests one after the other on one target, for a person or for an experiment.

use std::path::{Component, Path};

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{JobError, Loaded, RoundEvent, Rounds, stored_time};
use crate::{
    fault::OutOfReach,
    model::{External, Fault, FaultPlace, Setting, StressReport, Value},
    profile::{Profile, Scenario},
    report,
    store::{self, RunStatus, Store},
    stress::{self, About, Overrides, Session, StressError, Test},
    tune::{self, Choice, Stage, TuneError},
};

/// The file of a run's folder with the stress tests of what it decided.
const FILE: &str = "stress.json";

/// A target that is ready for stress tests.
pub struct Suite {
    /// The tests.
    pub tests: Vec<Test>,
    /// Those that cannot be made here, and why.
    pub left_out: Vec<(String, OutOfReach)>,
    stage: Stage,
    about: About,
}

/// How a suite is opened.
#[derive(Clone, Copy, Debug)]
pub struct SuiteOptions<'a> {
    /// What it is called, for its tables and its locks.
    pub name: &'a str,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether a database is loaded although other clients are using it.
    pub load_in_use: bool,
    /// Whether tests whose faults cannot be made here are left out, and are no error.
    pub leave_out: bool,
}

impl Suite {
    /// Whether a target can be stressed at all.
    ///
    /// # Errors
    /// [`JobError::Input`] for one that makes its own load.
    pub fn check(choice: &Choice) -> Result<(), JobError> {
        if matches!(choice, Choice::External { target: External::Command(_), .. }) {
            return Err(JobError::Input(
                "a stress test makes the load itself, and a `command` target makes its own: use `pool-tune run`, or give a \
                 database or a profile with an `http` target"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Makes a target ready that the caller holds, with room for the largest pool of all tests; nothing is searched.
    ///
    /// # Errors
    /// [`JobError`] when the target cannot be used, or a test's faults cannot be made on it.
    pub async fn open(
        choice: &Choice,
        mut profile: Profile,
        mut tests: Vec<Test>,
        options: SuiteOptions<'_>,
        events: &mut dyn FnMut(tune::Event),
    ) -> Result<Self, JobError> {
        let SuiteOptions { name, seed, load_in_use, leave_out } = options;
        Self::check(choice)?;
        let most = tests.iter().map(|test| test.settings.max_connections()).max().unwrap_or(1);
        if let Choice::External { .. } = choice {
            // Each worker has a connection of its own to the service, whatever its pool.
            let workers = tests.iter().map(|test| test.load.workers).max().unwrap_or(1);
            enough_files(&tests, workers, "--workers")?;
        } else if !matches!(choice, Choice::Simulation { .. }) {
            enough_files(&tests, most, "--max-connections")?;
        }
        profile.space.axes.clear();
        profile.space.baseline = profile.space.baseline.clone().with(Setting::MaxConnections, Value::Count(most));
        let mut stage = Stage::open(choice, &mut profile, name, seed, load_in_use, events).await?;
        let mut left_out = Vec::new();
        if leave_out {
            tests.retain(|test| match stage.can_make(&test.load.faults) {
                Ok(()) => true,
                Err(why) => {
                    left_out.push((test.name.clone(), why));
                    false
                }
            });
        }
        let faults: Vec<Fault> = tests.iter().flat_map(|test| test.load.faults.clone()).collect();
        if let Err(error) = stage.allow_faults(&faults, seed).await {
            Box::pin(stage.close()).await;
            return Err(error.into());
        }
        let about = About {
            profile: profile.name.clone(),
            target: stage.target_shown().to_owned(),
            server: stage.server_shown().to_owned(),
            machine: tune::machine(),
            seed,
            warnings: stage.warnings().to_vec(),
        };
        Ok(Self { tests, left_out, stage, about })
    }

    /// Which tests cannot be made here, in a sentence.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let (_, why) = self.left_out.first()?;
        let names: Vec<_> = self.left_out.iter().map(|(name, _)| name.as_str()).collect();
        Some(format!("left out, for what cannot be made here: {}; the first would {why}", names.join(", ")))
    }

    /// The tests, and what makes them.
    pub fn session<'a>(
        &'a mut self,
        cancel: &'a CancellationToken,
        finish: &'a CancellationToken,
    ) -> (&'a [Test], Session<'a>) {
        (&self.tests, Session { target: self.stage.target(), about: self.about.clone(), cancel, finish })
    }

    /// Removes what was made.
    pub async fn close(self) {
        Box::pin(self.stage.close()).await;
    }
}

/// Every connection is a file, and through a proxy three.
fn enough_files(tests: &[Test], connections: u32, flag: &str) -> Result<(), JobError> {
    /// What the program needs beside connections.
    const OTHERS: u64 = 64;
    let proxied =
        tests.iter().any(|test| test.load.faults.iter().any(|fault| fault.kind.place() == FaultPlace::Network));
    let needed = u64::from(connections) * if proxied { 3 } else { 1 } + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // The soft limit may be raised up to the hard one by anybody.
    if limit.maximum.is_none_or(|maximum| maximum >= needed) {
        let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return Ok(());
        }
    }
    Err(JobError::Input(format!(
        "failed to plan the test: {connections} connections need {needed} open files{}, and this process may have {}: raise \
         the limit (`ulimit -n {needed}`), or lower {flag}",
        if proxied { " (three each, for the proxy)" } else { "" },
        limit.maximum.or(limit.current).unwrap_or_default()
    )))
}

/// The stress tests of what a run decided, as they are written into its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stressed {
    /// The run.
    pub run: String,
    /// The tests that could not be made, and why.
    pub left_out: Vec<LeftOut>,
    /// A report a test, as `pool-tune stress --json` tells it.
    pub tests: Vec<StressReport>,
}

/// A test that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Its name.
    pub test: String,
    /// What it would have to do that cannot be done here.
    pub why: String,
}

impl Stressed {
    /// Reads what was written of a run; none where there is none.
    #[must_use]
    pub fn read(results: &Path, run: &str) -> Option<Self> {
        // Who shares a store writes the ids: one that leads out of the results folder is none of ours.
        let mut parts = Path::new(run).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else { return None };
        serde_json::from_str(&std::fs::read_to_string(results.join(run).join(FILE)).ok()?).ok()
    }

    /// The tests that missed a threshold.
    #[must_use]
    pub fn missed(&self) -> Vec<&StressReport> {
        self.tests.iter().filter(|report| !report.passed).collect()
    }

    /// In a sentence, without its full stop.
    #[must_use]
    pub fn headline(&self) -> String {
        let missed = self.missed();
        // Those without a threshold are there to be compared with.
        let all = self.tests.iter().filter(|report| !report.thresholds.is_empty() || !report.passed).count();
        let tests = if all == 1 { "stress test" } else { "stress tests" };
        let of = format!("of {all} {tests} with the settings of run {}", self.run);
        let mut text = if missed.is_empty() {
            format!("{all} {of} kept their thresholds")
        } else {
            let told: Vec<String> = missed.into_iter().map(told).collect();
            format!("{} {of} missed a threshold: {}", told.len(), told.join("; "))
        };
        if !self.left_out.is_empty() {
            let names: Vec<&str> = self.left_out.iter().map(|left| left.test.as_str()).collect();
            text += &format!("; left out, since they cannot be made on this target: {}", names.join(", "));
        }
        text
    }
}

/// A test that missed something, with what was measured.
fn told(report: &StressReport) -> String {
    let missed = report.thresholds.iter().filter(|outcome| !outcome.holds);
    let missed = missed.map(|outcome| format!("{}: {}", outcome.threshold, report::measured_in_words(outcome)));
    let missed: Vec<String> = missed.collect();
    let why = if missed.is_empty() { "the server does not answer any more".to_owned() } else { missed.join(", ") };
    format!("{} ({why})", report.scenario)
}

/// What a round is to be stressed with.
pub(super) struct Stress<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) choice: &'a Choice,
    pub(super) round: i64,
    pub(super) load_in_use: bool,
    pub(super) cancel: &'a CancellationToken,
}

impl Rounds<'_> {
    /// Stresses what each run of a round decided, with the scenarios of the experiment; one whose reports are written is done.
    pub(super) async fn stress(
        &self,
        of: Stress<'_>,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<Vec<Stressed>, JobError> {
        let mut all = Vec::new();
        for (profile, _) in &of.loaded.profiles {
            let runs = self.store.runs_of_round(of.round).await?;
            let Some(run) = runs.iter().find(|run| run.profile == profile.name && run.status == RunStatus::Finished)
            else {
                continue;
            };
            let folder = self.results.join(&run.id);
            if folder.join(FILE).exists() {
                continue;
            }
            let stressed = self.stress_one(&of, profile.clone(), &run.id, &folder, listen).await?;
            listen(RoundEvent::Stressed { stressed: &stressed, file: &folder.join(FILE) });
            all.push(stressed);
        }
        Ok(all)
    }

    async fn stress_one(
        &self,
        of: &Stress<'_>,
        mut profile: Profile,
        run: &str,
        folder: &Path,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<Stressed, JobError> {
        let (settings, seed) = decided(self.store, run).await?;
        profile.space.baseline = settings.unwrap_or(profile.space.baseline);
        let tests = tests(&of.loaded.scenarios, &profile)?;
        store::check_writable(folder)?;
        let name = format!("stress-{run}");
        let options = SuiteOptions { name: &name, seed, load_in_use: of.load_in_use, leave_out: true };
        let mut events = |event: tune::Event| {
            if let tune::Event::Notice(text) = event {
                listen(RoundEvent::Notice(text));
            }
        };
        let opened = tokio::select! {
            () = of.cancel.cancelled() => return Err(TuneError::Interrupted.into()),
            opened = Box::pin(Suite::open(of.choice, profile, tests, options, &mut events)) => opened,
        };
        let mut suite = opened?;
        if let Some(notice) = suite.notice() {
            listen(RoundEvent::Notice(notice.clone()));
            if suite.tests.is_empty() {
                suite.close().await;
                return Err(JobError::Input(format!(
                    "no stress test of run {run} can be made on this target: {notice}"
                )));
            }
        }
        let left_out: Vec<LeftOut> =
            suite.left_out.iter().map(|(test, why)| LeftOut { test: test.clone(), why: why.to_string() }).collect();
        let finish = CancellationToken::new();
        let (tests, mut session) = suite.session(of.cancel, &finish);
        let mut reports = Vec::with_capacity(tests.len());
        let mut result: Result<(), JobError> = Ok(());
        for (index, test) in tests.iter().enumerate() {
            listen(RoundEvent::Test { run, name: &test.name, number: index + 1, of: tests.len() });
            if of.cancel.is_cancelled() {
                result = Err(TuneError::Interrupted.into());
                break;
            }
            match session.run(test, stored_time(Timestamp::now()), &mut |_| {}).await {
                Ok(report) => reports.push(report),
                Err(StressError::Interrupted) => result = Err(TuneError::Interrupted.into()),
                Err(error) => result = Err(error.into()),
            }
            if result.is_err() {
                break;
            }
        }
        suite.close().await;
        result?;
        let stressed = Stressed { run: run.to_owned(), left_out, tests: reports };
        let text = serde_json::to_string_pretty(&stressed).map_err(JobError::answer)? + "\n";
        store::write_results(folder, &[(FILE, text)])?;
        Ok(stressed)
    }
}

/// The settings that a run recommends, and its seed.
async fn decided(store: &Store, run: &str) -> Result<(Option<crate::model::Settings>, u64), JobError> {
    let stored = store.run(run).await?;
    Ok((stored.recommendation.map(|recommendation| recommendation.settings()), stored.intent.seed))
}

/// The tests of all scenarios with a profile's load and settings.
///
/// # Errors
/// [`JobError`] when a scenario and the profile do not go together.
pub(super) fn tests(scenarios: &[Scenario], profile: &Profile) -> Result<Vec<Test>, JobError> {
    let mut tests = Vec::new();
    for scenario in scenarios {
        tests.extend(stress::tests(scenario, profile, &Overrides::default())?);
    }
    Ok(tests)
}
