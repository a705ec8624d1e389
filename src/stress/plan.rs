//! From scenarios to tests: relative figures made absolute, flags applied, everything checked before any load.

use std::time::Duration;

use super::StressError;
use crate::{
    model::{Offered, Pacing, Setting, Settings, Stage, Threshold, Value},
    profile::{HIGHEST_RATE, Level, MOST_WORKERS, Profile, Scenario},
    trial::Load,
};

/// How many requests may be under way at once in an open loop for each connection of the pool, when nobody says; beyond
/// that, requests that are due wait for a worker instead of for a connection, and their waiting counts all the same.
const OPEN_WORKERS_A_CONNECTION: u32 = 16;
/// The length of the intervals of the time line, in a short test and in a long one.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORT_INTERVAL: Duration = Duration::from_millis(500);
/// A test up to this long has short intervals.
const SHORT: Duration = Duration::from_secs(15);
/// The longest warm-up of a test.
const WARM_UP_CAP: Duration = Duration::from_secs(5);
/// Retry and circuit breaker switched off: nothing is tried again, and no number of failures opens the circuit.
const NO_RETRY: u32 = 0;
const NO_BREAKER: u32 = 10_000;

/// What the command line changes of every scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Most requests at once.
    pub workers: Option<u32>,
    /// Requests a second, in an open loop.
    pub rate: Option<f64>,
    /// How requests of an open loop arrive.
    pub arrival: Option<Offered>,
    /// The length.
    pub duration: Option<Duration>,
    /// Pause between a worker's requests.
    pub think_time: Option<Duration>,
    /// Settings under test.
    pub settings: Vec<(Setting, Value)>,
    /// Thresholds instead of the scenario's.
    pub thresholds: Vec<Threshold>,
    /// Whether a threshold that cannot be met any more ends the test.
    pub abort_on_fail: bool,
}

/// A stress test, ready to be run.
#[derive(Clone, Debug)]
pub struct Test {
    /// The scenario's name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What is offered, and what goes wrong.
    pub load: Load,
    /// The settings under test.
    pub settings: Settings,
    /// What has to hold.
    pub thresholds: Vec<Threshold>,
}

/// The tests of a scenario with a profile: one, or two where it is to be compared without retry and circuit breaker.
///
/// # Errors
/// [`StressError`] when the parts do not go together.
pub fn tests(scenario: &Scenario, profile: &Profile, overrides: &Overrides) -> Result<Vec<Test>, StressError> {
    let test = test(scenario, profile, overrides)?;
    if !scenario.compare_bare {
        return Ok(vec![test]);
    }
    let settings = test
        .settings
        .clone()
        .with(Setting::RetryAttempts, Value::Count(NO_RETRY))
        .with(Setting::CircuitBreakerThreshold, Value::Count(NO_BREAKER));
    let bare = Test {
        name: format!("{}-bare", test.name),
        about: format!("{}: retry and circuit breaker off, for comparison", test.about),
        settings,
        thresholds: Vec::new(),
        // It is made to be compared, so that nothing ends it early.
        load: Load { abort_on: Vec::new(), ..test.load.clone() },
    };
    Ok(vec![test, bare])
}

fn test(scenario: &Scenario, profile: &Profile, overrides: &Overrides) -> Result<Test, StressError> {
    let problem = |problem: String| StressError::Plan { test: scenario.name.clone(), problem };
    let settings = scenario.settings(profile)?;
    let settings =
        overrides.settings.iter().fold(settings, |settings, (setting, value)| settings.with(*setting, value.clone()));
    settings.check().map_err(|rule| problem(rule.to_string()))?;

    // Shares are of whatever number of workers there is.
    let base = overrides.workers.filter(|_| !scenario.stages.is_empty() && scenario.offered == Offered::Workers);
    let level = |level: Level| level.of(base.unwrap_or(profile.workers));
    let mut stages: Vec<Stage> = scenario
        .stages
        .iter()
        .map(|stage| Stage { level: level(stage.level), lasts: stage.lasts, ramp: stage.ramp })
        .collect();
    let (mut offered, mut duration) = (scenario.offered, scenario.duration);
    let steady = scenario.stages.len() <= 1;
    if let Some(rate) = overrides.rate {
        if !steady {
            return Err(problem("its load has stages: leave --rate out, or write the rate into the stages".to_owned()));
        }
        offered = overrides.arrival.unwrap_or(Offered::ConstantRate);
        stages = vec![Stage { level: rate, lasts: duration, ramp: false }];
    } else if let Some(arrival) = overrides.arrival {
        if offered == Offered::Workers {
            return Err(problem("--arrival is of a rate: give --rate as well".to_owned()));
        }
        offered = arrival;
    }
    if let Some(length) = overrides.duration {
        if !steady {
            return Err(problem("its stages make its length: leave --duration out".to_owned()));
        }
        if let Some(fault) = scenario.faults.iter().find(|fault| fault.end() > length) {
            return Err(problem(format!(
                "its fault `{}` ends at {} s, after the test, which --duration makes {} s long",
                fault.kind,
                fault.end().as_secs_f64(),
                length.as_secs_f64()
            )));
        }
        duration = length;
        if let [only] = stages.as_mut_slice() {
            only.lasts = length;
        }
    }
    let open = offered != Offered::Workers;
    let workers = overrides.workers.unwrap_or_else(|| match scenario.workers {
        Some(workers) => count(level(workers)),
        None if open => (settings.max_connections() * OPEN_WORKERS_A_CONNECTION).clamp(64, MOST_WORKERS),
        None => profile.workers,
    });
    let highest = stages.iter().map(|stage| stage.level).fold(0.0, f64::max);
    // In stages of workers, as many are needed as the highest stage has.
    let workers = if open || stages.is_empty() { workers } else { count(highest) };
    if workers > MOST_WORKERS {
        return Err(problem(format!(
            "{workers} workers are more than the {MOST_WORKERS} that one program drives: run it on several machines, or \
             offer a rate (--rate), which needs no worker for each user"
        )));
    }
    if open && highest > HIGHEST_RATE {
        return Err(problem(format!(
            "{highest} requests a second are more than the {HIGHEST_RATE} that can be offered"
        )));
    }
    let think_time = overrides.think_time.or(scenario.think_time).or(profile.workload.think_time);
    if open && overrides.think_time.is_some() {
        return Err(problem(
            "--think-time is of a closed loop; with a rate, requests do not wait for each other".to_owned(),
        ));
    }
    let pacing = if stages.is_empty() { Pacing::closed(workers) } else { Pacing { offered, stages } };
    let thresholds = if overrides.thresholds.is_empty() { &scenario.expect } else { &overrides.thresholds };
    let load = Load {
        workers,
        pacing,
        nested: scenario.nested,
        think_time: think_time.filter(|time| !open && !time.is_zero()),
        measure: duration,
        warm_up_cap: if scenario.warm_up { WARM_UP_CAP } else { Duration::ZERO },
        success_limit: None,
        abort_on: if overrides.abort_on_fail { thresholds.clone() } else { Vec::new() },
        interval: Some(if duration <= SHORT { SHORT_INTERVAL } else { INTERVAL }),
        faults: scenario.faults.clone(),
    };
    let (name, about) = (scenario.name.clone(), scenario.about.clone());
    Ok(Test { name, about, load, settings, thresholds: thresholds.clone() })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn count(level: f64) -> u32 {
    level.round() as u32
}

#[cfg(test)]
mod tests_of_plan {
    use super::*;

    fn planned(scenario: &str, overrides: &Overrides) -> Result<Vec<Test>, String> {
        let profile = crate::profile::parse("medium", crate::profile::find("medium").unwrap()).unwrap();
        let scenario = Scenario::parse("mine", &format!("name: mine\n{scenario}")).unwrap();
        tests(&scenario, &profile, overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scenario_takes_the_profiles_load_and_settings() {
        let tests = planned("settings: {max_connections: 7}", &Overrides::default()).unwrap();
        assert_eq!(tests.len(), 1);
        assert_eq!((tests[0].load.workers, tests[0].load.pacing.clone()), (25, Pacing::closed(25)));
        assert_eq!((tests[0].settings.max_connections(), tests[0].settings.min_connections()), (7, 3));
    }

    #[test]
    fn flags_win_over_the_scenario() {
        let overrides = Overrides {
            workers: Some(3),
            duration: Some(Duration::from_secs(60)),
            settings: vec![(Setting::MaxConnections, Value::Count(9))],
            ..Overrides::default()
        };
        let test = planned("workers: 400 %\nsettings: {max_connections: 7}", &overrides).unwrap().remove(0);
        assert_eq!((test.load.workers, test.settings.max_connections()), (3, 9));
        assert_eq!(test.load.measure, Duration::from_secs(60));
    }

    #[test]
    fn shares_in_stages_are_of_the_workers_that_a_flag_gives() {
        let overrides = Overrides { workers: Some(100), ..Overrides::default() };
        let test =
            planned("stages: [{workers: 50 %, for: 1s}, {workers: 200 %, for: 1s}]", &overrides).unwrap().remove(0);
        assert_eq!(test.load.workers, 200);
        assert_eq!(test.load.pacing.stages.iter().map(|stage| stage.level).collect::<Vec<_>>(), [50.0, 200.0]);
    }

    #[test]
    fn a_rate_makes_the_loop_open() {
        let overrides = Overrides { rate: Some(500.0), arrival: Some(Offered::PoissonRate), ..Overrides::default() };
        let test = planned("duration: 4s", &overrides).unwrap().remove(0);
        assert!(test.load.pacing.is_open() && test.load.workers > 64);
        assert_eq!(test.load.pacing.length(), Duration::from_secs(4));
    }

    #[test]
    fn compared_without_layers_it_is_two_tests_with_the_same_load() {
        let tests = planned("compare_bare: true", &Overrides::default()).unwrap();
        assert_eq!(tests[0].load.workers, tests[1].load.workers);
        assert_eq!((tests[0].settings.retry_attempts(), tests[1].settings.retry_attempts()), (3, 0));
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let staged = "stages: [{rate: 5, for: 1s}, {rate: 9, for: 1s}]";
        for (scenario, overrides, part) in [
            (staged, Overrides { rate: Some(5.0), ..Overrides::default() }, "leave --rate out"),
            (staged, Overrides { duration: Some(Duration::from_secs(9)), ..Overrides::default() }, "--duration"),
            ("", Overrides { arrival: Some(Offered::PoissonRate), ..Overrides::default() }, "--rate"),
            ("workers: 100000 %", Overrides::default(), "10000"),
            (
                "",
                Overrides { settings: vec![(Setting::MinConnections, Value::Count(99))], ..Overrides::default() },
                "min_connections must not exceed",
            ),
        ] {
            let error = planned(scenario, &overrides).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
