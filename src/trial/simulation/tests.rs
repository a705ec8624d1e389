use std::sync::LazyLock;

use super::*;
use crate::{
    model::{FaultKind, Pacing, Setting, Stage, Threshold, Value},
    trial::Target,
};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

static TARGET: LazyLock<SimulationTarget> = LazyLock::new(|| SimulationTarget::new(&Sample::shipped()).unwrap());

fn target() -> SimulationTarget {
    TARGET.clone()
}

fn settings() -> Settings {
    Settings::default()
        .with(Setting::MaxConnections, Value::Count(10))
        .with(Setting::CircuitBreakerTimeout, Value::Time(seconds(0.3)))
}

fn measured(load: &Load, settings: &Settings, seed: u64) -> Details {
    TARGET.run(load, settings, seed, &mut Control::default()).unwrap()
}

fn closed(workers: u32, measure: f64) -> Load {
    Load { interval: Some(seconds(0.5)), ..Load::closed(workers, None, seconds(measure), 0.99) }
}

fn open(offered: Offered, rate: f64, measure: f64) -> Load {
    Load { pacing: Pacing::steady(offered, rate), success_limit: None, ..closed(200, measure) }
}

fn fault(kind: FaultKind, at: f64, lasts: f64) -> Fault {
    Fault { at: seconds(at), lasts: seconds(lasts), share: 1.0, kind }
}

/// Requests a second that ten connections serve.
fn capacity() -> f64 {
    measured(&closed(64, 1.0), &settings(), 1).measurement.throughput
}

#[test]
fn a_closed_loop_is_measured_with_all_its_times() {
    let Details { measurement, series, response, ended_by } = measured(&closed(64, 2.0), &settings(), 1);
    assert!((measurement.seconds - 2.0).abs() < 1e-6 && measurement.throughput > 1000.0, "{measurement:?}");
    assert_eq!((measurement.ended, ended_by), (Ended::Completed, None));
    assert!(measurement.warm_up.steady && measurement.warm_up.seconds > 0.0, "{:?}", measurement.warm_up);
    assert_eq!(measurement.slices.len(), 20);
    assert_eq!((measurement.requests.failed, measurement.errors.len(), measurement.offered), (0, 0, None));
    assert_eq!(response.len(), measurement.requests.succeeded);
    let acquire = measurement.acquire;
    for times in
        [measurement.response, measurement.query, measurement.hold, acquire.total, acquire.wait, acquire.validate]
    {
        assert!(times.count > 1000 && times.mean > 0.0 && times.p50 <= times.p99, "{times:?}");
    }
    // 54 of 64 wait: a request spends most of its time on that, and all of it on waiting, validating and its statements.
    let parts = acquire.total.mean + measurement.query.mean;
    assert!((parts / measurement.response.mean - 1.0).abs() < 0.02, "{parts} {:?}", measurement.response);
    assert!((acquire.wait.mean + acquire.validate.mean) / acquire.total.mean > 0.98);
    let used = measurement.utilisation;
    assert!(used.active > 9.9 && used.mean > 0.99 && (used.peak_active, used.peak_total) == (10, 10), "{used:?}");
    assert_eq!(series.len(), 4);
    let last = &series[3];
    assert_eq!((last.at, last.seconds, last.level, last.waiting), (2.0, 0.5, 64.0, 54));
    assert!((last.held.unwrap() - 10.0).abs() < 0.5, "{last:?}");
}

#[test]
fn the_same_seed_is_the_same_trial_and_others_differ_as_a_machines_do() {
    let load = closed(64, 0.5);
    let shown = |seed: u64| format!("{:?}", measured(&load, &settings(), seed).measurement);
    assert_eq!(shown(3), shown(3));
    let logs: Vec<f64> = (0..20).map(|seed| measured(&load, &settings(), seed).measurement.throughput.ln()).collect();
    let spread = crate::stats::sample_sd(&logs);
    assert!((0.013..0.05).contains(&spread), "{spread}");
}

#[test]
fn an_open_loop_below_capacity_serves_what_is_due() {
    let half = (capacity() / 2.0).round();
    for offered in [Offered::ConstantRate, Offered::PoissonRate] {
        let measured = measured(&open(offered, half, 2.0), &settings(), 2).measurement;
        let due = measured.offered.unwrap();
        assert!((due.rate / half - 1.0).abs() < 0.05, "{due:?} of {half}");
        assert_eq!((measured.requests.succeeded, due.not_started), (due.requests, 0), "{offered:?}");
        assert!(measured.response.p50 < 0.01, "{:?}", measured.response);
    }
}

#[test]
fn an_open_loop_beyond_capacity_leaves_requests_behind() {
    let load = open(Offered::ConstantRate, (capacity() * 2.0).round(), 2.0);
    let Details { measurement, series, .. } = measured(&load, &settings(), 2);
    let due = measurement.offered.unwrap();
    let ended = measurement.requests.succeeded + measurement.requests.failed;
    assert_eq!(due.requests, ended + due.not_started);
    assert!(due.not_started > 1000 && due.longest_wait > 0.2, "{due:?}");
    assert!(series.iter().is_sorted_by_key(|point| point.backlog) && series[3].backlog > 1000);
}

#[test]
fn stages_ramps_and_pauses_are_followed() {
    let stage = |level: f64, lasts: f64, ramp: bool| Stage { level, lasts: seconds(lasts), ramp };
    let stages = vec![stage(400.0, 1.0, false), stage(0.0, 1.0, false), stage(1000.0, 2.0, true)];
    let pacing = Pacing { offered: Offered::ConstantRate, stages };
    let load = Load { pacing, ..open(Offered::ConstantRate, 1.0, 4.0) };
    let Details { measurement, series, .. } = measured(&load, &settings(), 1);
    let due = measurement.offered.unwrap().requests;
    assert!((1395..=1402).contains(&due), "{due}");
    let rates: Vec<f64> = series.iter().map(|point| point.throughput).collect();
    assert!((rates[0] - 400.0).abs() < 10.0 && rates[3] < 10.0 && (rates[7] - 875.0).abs() < 30.0, "{rates:?}");
    // Workers come and go as well.
    let stages = vec![stage(2.0, 1.0, false), stage(0.0, 1.0, false), stage(4.0, 1.0, false)];
    let load = Load { pacing: Pacing { offered: Offered::Workers, stages }, ..closed(4, 3.0) };
    let series = measured(&load, &settings(), 1).series;
    // Where a stage begins, the interval before it sees it begin.
    assert_eq!([0, 2, 4, 5].map(|place: usize| series[place].active), [2, 0, 4, 4]);
}

#[test]
fn faults_have_a_record_with_a_recovery() {
    let faults = vec![fault(FaultKind::Reset, 1.5, 0.0), fault(FaultKind::Refuse, 3.0, 0.5)];
    let load = Load { faults, ..open(Offered::PoissonRate, (capacity() / 2.0).round(), 6.0) };
    let measurement = measured(&load, &settings(), 4).measurement;
    let [reset, refuse] = measurement.faults.as_slice() else { panic!("{:?}", measurement.faults) };
    assert_eq!((reset.began, reset.ended, refuse.began, refuse.ended), (Some(1.5), Some(1.5), Some(3.0), Some(3.5)));
    let recovery = reset.recovery.as_ref().unwrap();
    assert!(recovery.seconds.unwrap() < 3.0 && recovery.opened > 0 && recovery.attempts > 1.0, "{recovery:?}");
    assert!(refuse.recovery.is_some() && measurement.breaker.opened > 0, "{:?}", measurement.breaker);
    assert!(measurement.breaker.open_seconds > 0.0 && measurement.acquire.open.count > 0);
    let lost = measurement.errors.iter().find(|error| error.class == ErrorClass::ConnectionLost).unwrap();
    assert!(lost.count > 0 && lost.example.starts_with("simulated: "), "{lost:?}");
}

#[test]
fn a_server_that_is_full_turns_connections_away() {
    let settings = settings().with(Setting::MaxConnections, Value::Count(150));
    let load = Load { success_limit: None, ..closed(200, 1.0) };
    let measurement = measured(&load, &settings, 1).measurement;
    assert_eq!(measurement.utilisation.peak_total, 100);
    assert!(measurement.errors.iter().any(|error| error.class == ErrorClass::TooManyConnections));
}

#[test]
fn limits_that_are_missed_end_it() {
    let slow = settings()
        .with(Setting::ConnectionTimeout, Value::Time(seconds(0.002)))
        .with(Setting::RetryAttempts, Value::Count(0));
    let missed = measured(&closed(64, 5.0), &slow, 1).measurement;
    assert_eq!(missed.ended, Ended::SuccessLimitMissed);
    assert!(missed.seconds < 1.0, "{}", missed.seconds);
    let abort_on = vec![Threshold::parse("opened<1").unwrap()];
    let faults = vec![fault(FaultKind::Reset, 1.0, 0.0)];
    let load = Load { abort_on, faults, success_limit: None, ..closed(8, 5.0) };
    let Details { measurement, ended_by, .. } = measured(&load, &settings(), 1);
    assert_eq!((measurement.ended, ended_by.as_deref()), (Ended::ThresholdMissed, Some("opened<1")));
    assert!(measurement.seconds < 1.5, "{}", measurement.seconds);
}

#[test]
fn who_steers_it_is_heard() {
    let control = Control::default();
    control.cancel.cancel();
    let mut control = control;
    assert!(matches!(target().run(&closed(8, 1.0), &settings(), 1, &mut control), Err(TrialError::Cancelled)));
    let mut told = Vec::new();
    let mut watch = |watch: Watch<'_>| {
        told.push(match watch {
            Watch::WarmUp => "warm-up",
            Watch::Measuring => "measuring",
            Watch::Point { .. } => "point",
            Watch::Draining => "draining",
        });
    };
    let mut control = Control { watch: Some(&mut watch), ..Control::default() };
    target().run(&closed(8, 1.0), &settings(), 1, &mut control).unwrap();
    assert_eq!(told, ["warm-up", "measuring", "point", "point", "draining"]);
    let mut control = Control::default();
    control.finish.cancel();
    let stopped = target().run(&closed(8, 60.0), &settings(), 1, &mut control).unwrap().measurement;
    assert_eq!((stopped.ended, stopped.seconds), (Ended::Stopped, 0.1));
}

#[test]
fn what_it_does_not_model_is_refused() {
    let narrow = fault(FaultKind::Bandwidth { bytes_per_second: 9 }, 1.0, 1.0);
    let mut target = Target::Simulation(target());
    let error = target.allow_faults(crate::fault::Reach::default(), &[narrow]).unwrap_err().to_string();
    assert!(error.contains("`bandwidth`") && error.contains("postgres:private"), "{error}");
    target.allow_faults(crate::fault::Reach::default(), &[fault(FaultKind::Restart, 1.0, 1.0)]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_where_other_tasks_do() {
    let load = closed(8, 0.5);
    let mut target = Target::Simulation(target());
    let details = target.run(&load, &settings(), 1, &mut Control::default()).await.unwrap();
    target.check(&details.measurement).await.unwrap();
}
