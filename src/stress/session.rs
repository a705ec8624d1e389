use tokio_util::sync::CancellationToken;

use super::{Event, StressError, Test};
use crate::{
    diagnose,
    model::{
        Ended, Measurement, StressLoad, StressReport,
        figures::{percent, time},
    },
    report,
    trial::{Control, Details, Target, TrialError, UNIT, Watch},
};

/// The version of the report's format.
pub const FORMAT: u32 = 1;

/// The tests of one call, one after the other on one target.
pub struct Session<'a> {
    /// What is loaded.
    pub target: &'a mut Target,
    /// What is told of the target and of how the tests were made.
    pub about: About,
    /// Gives a test up.
    pub cancel: &'a CancellationToken,
    /// Ends the measured part of every test early.
    pub finish: &'a CancellationToken,
}

/// How tests are made; told in their reports.
#[derive(Clone, Debug)]
pub struct About {
    /// The profile that the workload and the settings come from.
    pub profile: String,
    /// The target, without its password.
    pub target: String,
    /// The database's name and version.
    pub server: String,
    /// Processors, memory and system of the machine that drives the load.
    pub machine: String,
    /// The seed of everything random.
    pub seed: u64,
    /// What a reader must know: notices of the preflight.
    pub warnings: Vec<String>,
}

impl Session<'_> {
    /// Makes a test. `started_at` is the wall clock's word for it, `events` is told of how it goes.
    ///
    /// # Errors
    /// [`StressError`] when there is no measurement at all.
    pub async fn run(
        &mut self,
        test: &Test,
        started_at: String,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<StressReport, StressError> {
        let about = &self.about;
        let mut watch = |watch: Watch<'_>| events(Event::Trial(watch));
        let mut control =
            Control { trial: 0, cancel: self.cancel.clone(), finish: self.finish.clone(), watch: Some(&mut watch) };
        let result = self.target.run(&test.load, &test.settings, about.seed, &mut control).await;
        let Details { measurement, series, response, ended_by } = result.map_err(|cause| match cause {
            TrialError::Cancelled => StressError::Interrupted,
            cause => StressError::Trial { test: test.name.clone(), cause },
        })?;
        let thresholds: Vec<_> = test.thresholds.iter().map(|threshold| threshold.evaluate(&measurement)).collect();
        let mut warnings = about.warnings.clone();
        warnings.extend(doubts(&measurement, ended_by.as_deref()));
        // Requests fail slowly where nobody answers, and are few: a server that died halfway could pass for one that served.
        let gone = self.target.reachable().await.err();
        warnings.extend(gone.as_ref().map(|cause| format!("the server does not answer any more: {cause}")));
        let mut report = StressReport {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: test.name.clone(),
            about: test.about.clone(),
            profile: about.profile.clone(),
            target: about.target.clone(),
            server: about.server.clone(),
            machine: about.machine.clone(),
            started_at,
            seed: about.seed,
            settings: test.settings.clone(),
            load: test.offers(),
            passed: gone.is_none() && thresholds.iter().all(|outcome| outcome.holds),
            thresholds,
            ended_by,
            findings: Vec::new(),
            ladder: report::ladder(&response, UNIT),
            measurement,
            series,
            warnings,
        };
        report.findings = diagnose::findings(&diagnose::Facts::of_stress(&report));
        events(Event::Ended(&report));
        Ok(report)
    }
}

/// What must be known before the figures are trusted.
fn doubts(measurement: &Measurement, ended_by: Option<&str>) -> Vec<String> {
    let mut doubts = Vec::new();
    if measurement.cpu.generator_limited {
        doubts.push(format!(
            "the load generator, not the database, was the limit (it took {} of the processors): drive the load from \
             another machine",
            percent(measurement.cpu.own)
        ));
    }
    if measurement.cpu.disturbed {
        doubts.push(format!(
            "other programs (or the hypervisor) took {} of the processors: repeat the test when the machine is quiet",
            percent(measurement.cpu.other)
        ));
    }
    if measurement.ended != Ended::Completed {
        doubts.push(format!(
            "the test ended early, after {}{}: everything in it is of that time",
            time(measurement.seconds),
            ended_by.map_or(String::new(), |threshold| format!(", since `{threshold}` could not be met any more"))
        ));
    }
    if !measurement.warm_up.steady {
        doubts.push("throughput was not steady by the end of the warm-up".to_owned());
    }
    if let Some(offered) = measurement.offered.filter(|offered| offered.not_started > 0) {
        doubts.push(format!(
            "{} of {} requests that were due could not be begun before the end (the oldest was due for {}): more was \
             offered than could be served",
            offered.not_started,
            offered.requests,
            time(offered.longest_wait)
        ));
    }
    doubts
}

impl Test {
    /// What it offers, as its report tells it.
    #[must_use]
    pub fn offers(&self) -> StressLoad {
        StressLoad {
            workers: self.load.workers,
            pacing: self.load.pacing.clone(),
            think_time: self.load.think_time.map(|time| time.as_secs_f64()),
            seconds: self.load.measure.as_secs_f64(),
        }
    }
}
