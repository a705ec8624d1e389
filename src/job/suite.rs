//! Stress tests one after the other on one target, for a person or for an experiment.

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{JobError, Loaded, RoundEnd, RoundEvent, Rounds, Stopped, TargetHold, stored_time};
use crate::{
    fault::OutOfReach,
    model::{External, Fault, FaultPlace, Setting, StressReport, Value},
    profile::{Profile, Scenario},
    report,
    store::{self, RunStatus, Store, StoreError, StressOutcome, StressRecord, stable_hash},
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
    /// How many tests the suite has, those included that have not been made yet.
    pub of: u32,
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
    /// Reads what is stored of a run; none where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn of(store: &Store, run: &str) -> Result<Option<Self>, StoreError> {
        let records = store.stress_tests(run).await?;
        let Some(of) = records.iter().map(|record| record.of).max() else { return Ok(None) };
        let mut stressed = Self { run: run.to_owned(), of, left_out: Vec::new(), tests: Vec::new() };
        for StressRecord { name, outcome, .. } in records {
            match outcome {
                StressOutcome::Made(report) => stressed.tests.push(*report),
                StressOutcome::LeftOut(why) => stressed.left_out.push(LeftOut { test: name, why }),
            }
        }
        Ok(Some(stressed))
    }

    /// How many tests have not been made yet.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.of.saturating_sub(count(self.tests.len() + self.left_out.len()))
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
        if self.missing() > 0 {
            text += &format!("; {} of {} are not made yet", self.missing(), self.of);
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
    pub(super) target: &'a TargetHold,
    pub(super) load_in_use: bool,
    pub(super) cancel: &'a CancellationToken,
}

impl Rounds<'_> {
    /// Stresses what each run of a round decided, with the scenarios of the experiment. What cannot be made of one run keeps none of
    /// another's from being made; what is stored is not made again, and counts all the same.
    pub(super) async fn stress(&self, of: Stress<'_>, end: &mut RoundEnd, listen: &mut dyn FnMut(RoundEvent<'_>)) {
        for (index, (profile, _)) in of.loaded.profiles.iter().enumerate() {
            let mut run = None;
            let result = self.stress_of(&of, (index, profile), end, &mut run, listen).await;
            match result {
                Ok(()) => {}
                Err(error) if error.is_interruption() => {
                    end.stopped = Some(Stopped { run, error });
                    return;
                }
                Err(error) => {
                    listen(RoundEvent::NotStressed { run: run.as_deref(), error: &error });
                    end.stopped.get_or_insert(Stopped { run: None, error });
                }
            }
        }
    }

    /// Makes what is left of the tests of a profile's run, if that has finished. `run` is its id, once it is known.
    async fn stress_of(
        &self,
        of: &Stress<'_>,
        (index, profile): (usize, &Profile),
        end: &mut RoundEnd,
        run: &mut Option<String>,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<(), JobError> {
        let runs = self.store.runs_of_round(end.round).await?;
        let finished = runs.iter().find(|run| run.profile == profile.name && run.status == RunStatus::Finished);
        let Some(id) = finished.map(|finished| finished.id.clone()) else { return Ok(()) };
        *run = Some(id.clone());
        let (settings, seed) = decided(self.store, &id).await?;
        let mut profile = profile.clone();
        profile.space.baseline = settings.unwrap_or(profile.space.baseline);
        let all = tests(&of.loaded.scenarios, &profile)?;
        let suite = Asked::of(&all);
        let left = self.left(&id, all, &suite).await?;
        let folder = self.results.join(&id);
        let is_news = !left.is_empty();
        if is_news {
            // Nothing is loaded for what cannot be written.
            store::check_writable(&folder)?;
            let (number, of_profiles) = (index + 1, of.loaded.profiles.len());
            listen(RoundEvent::Stressing { run: &id, profile: &profile.name, number, of: of_profiles });
            self.make(of, profile, left, &suite, (&id, seed), listen).await?;
        }
        let Some(stressed) = Stressed::of(self.store, &id).await? else { return Ok(()) };
        // Whoever died between the last test and the file has told nobody.
        if is_news || !folder.join(FILE).exists() {
            let text = serde_json::to_string_pretty(&stressed).map_err(JobError::answer)? + "\n";
            let written = store::check_writable(&folder).and_then(|()| store::write_results(&folder, &[(FILE, text)]));
            // It is stored all the same, and decides.
            if let Err(error) = &written {
                listen(RoundEvent::Notice(format!("failed to {error}; the stress tests are stored all the same")));
            }
            let file = written.is_ok().then(|| folder.join(FILE));
            listen(RoundEvent::Stressed { stressed: &stressed, file: file.as_deref() });
        }
        end.stressed.push(stressed);
        Ok(())
    }

    /// The tests of a suite that are not stored. What is stored of another suite, or was asked otherwise, is removed.
    async fn left(&self, run: &str, all: Vec<Test>, suite: &[Asked]) -> Result<Vec<Test>, JobError> {
        let stored = self.store.stress_tests(run).await?;
        let (mut left, of) = (all, count(suite.len()));
        for record in stored {
            let place = suite.iter().position(|asked| (&asked.name, asked.hash) == (&record.name, record.asked));
            let Some(place) = place else {
                self.store.remove_stress_test(run, &record.name).await?;
                continue;
            };
            left.retain(|test| test.name != record.name);
            let placed = StressRecord { sequence: count(place), of, ..record.clone() };
            if placed != record {
                self.store.record_stress_test(run, &placed).await?;
            }
        }
        Ok(left)
    }

    /// Makes tests with the settings of a run, and stores each as it ends.
    async fn make(
        &self,
        of: &Stress<'_>,
        profile: Profile,
        tests: Vec<Test>,
        asked: &[Asked],
        (run, seed): (&str, u64),
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<(), JobError> {
        let suite_name = format!("stress-{run}");
        let options = SuiteOptions { name: &suite_name, seed, load_in_use: of.load_in_use, leave_out: true };
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
        let result = self.make_in(&mut suite, of, asked, run, listen).await;
        suite.close().await;
        result
    }

    async fn make_in(
        &self,
        suite: &mut Suite,
        of: &Stress<'_>,
        asked: &[Asked],
        run: &str,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<(), JobError> {
        let place = |name: &str| asked.iter().position(|asked| asked.name == name).unwrap_or(asked.len());
        let keep = async |name: &str, outcome: StressOutcome| {
            let place = place(name);
            let hash = asked.get(place).map_or(0, |asked| asked.hash);
            let (sequence, of, name) = (count(place), count(asked.len()), name.to_owned());
            self.store.record_stress_test(run, &StressRecord { sequence, name, of, asked: hash, outcome }).await
        };
        if let Some(notice) = suite.notice() {
            listen(RoundEvent::Notice(notice.clone()));
            // Nothing made is no pass.
            if suite.left_out.len() == asked.len() {
                return Err(JobError::Input(format!(
                    "no stress test of run {run} can be made on this target: {notice}"
                )));
            }
        }
        for (name, why) in &suite.left_out {
            keep(name, StressOutcome::LeftOut(why.to_string())).await?;
        }
        let finish = CancellationToken::new();
        let (tests, mut session) = suite.session(of.cancel, &finish);
        for test in tests {
            listen(RoundEvent::Test { run, name: &test.name, number: place(&test.name) + 1, of: asked.len() });
            if of.target.is_taken() {
                tracing::error!(
                    "somebody else took the target while the store was away: the stress tests are interrupted"
                );
                of.cancel.cancel();
            }
            if of.cancel.is_cancelled() {
                return Err(TuneError::Interrupted.into());
            }
            let report = match session.run(test, stored_time(Timestamp::now()), &mut |_| {}).await {
                Err(StressError::Interrupted) => return Err(TuneError::Interrupted.into()),
                report => report?,
            };
            keep(&test.name, StressOutcome::Made(Box::new(report))).await?;
        }
        Ok(())
    }
}

/// What a test of a suite is known by.
struct Asked {
    name: String,
    hash: u64,
}

impl Asked {
    /// Of each test of a suite, in order.
    fn of(tests: &[Test]) -> Vec<Self> {
        // What it is told as does not change what it does; all else that it consists of can be printed.
        let hash = |test: &Test| stable_hash(&format!("{:?} {:?} {:?}", test.load, test.settings, test.thresholds));
        tests.iter().map(|test| Self { name: test.name.clone(), hash: hash(test) }).collect()
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
