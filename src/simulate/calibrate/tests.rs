use super::*;
use crate::{
    model::{
        Acquisition, BreakerCounts, ConnectionCounts, Cpu, Ended, Interval, Requests, Setting, Utilisation, Value,
        WarmUp,
    },
    simulate::Outcome,
};

/// What validation takes in the world of these tests.
const VALIDATION: f64 = 0.000_05;
const WORKERS: u32 = 40;

/// A database that gets slower as a power of the connections at work; some of its requests take long.
fn truth() -> World {
    let times = |active: f64| {
        let slower = (active / 10.0).powf(0.7);
        Times::new(move |share| slower * if share > 0.93 { 0.004 } else { 0.0004 * (share * 2.0).exp() })
    };
    let at = |active: u32| At { active: f64::from(active), times: times(f64::from(active)) };
    World {
        service: ByActive::new((1..=40).map(at).collect()),
        validate: ByActive::same(Times::constant(VALIDATION)),
        ..World::plain(Times::constant(0.0))
    }
}

fn settings(connections: u32) -> Settings {
    Settings::default().with(Setting::MaxConnections, Value::Count(connections))
}

/// The truth under a load of its own.
fn plan(connections: u32, seconds: u64, seed: u64) -> Plan {
    let known =
        Calibration { workers: WORKERS, think_time: Duration::ZERO, world: truth(), trials: 0, connect_measured: true };
    known.trial(&settings(connections), Duration::from_secs(seconds), seed)
}

fn latency(of: &Histogram<u64>) -> Latency {
    let seconds = |value: u64| Duration::from_nanos(value).as_secs_f64();
    let at = |share: f64| seconds(of.value_at_quantile(share));
    Latency {
        count: of.len(),
        mean: of.mean() / 1e9,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: seconds(of.max()),
    }
}

/// What a trial would have measured.
fn measurement(outcome: &Outcome) -> Measurement {
    let of = &outcome.total;
    let (active, total) = (of.active / of.seconds, of.open / of.seconds);
    let flat =
        |time: f64| Latency { count: 1, mean: time, p50: time, p90: time, p95: time, p99: time, p999: time, max: time };
    let acquire = latency(&of.acquire);
    Measurement {
        seconds: of.seconds,
        warm_up: WarmUp { seconds: 0.0, steady: true },
        throughput: of.throughput(),
        slices: Vec::new(),
        requests: Requests {
            succeeded: of.served,
            failed: of.failed,
            retries: 0,
            success_rate: of.success_rate(),
            success_interval: Interval { low: 0.0, high: 1.0 },
        },
        response: latency(&of.response),
        offered: None,
        query: latency(&of.query),
        acquire: Acquisition { total: acquire, wait: acquire, validate: flat(VALIDATION), ..Acquisition::default() },
        hold: latency(&of.hold),
        utilisation: Utilisation { mean: active / total, active, total, peak_active: 0, peak_total: 0 },
        errors: Vec::new(),
        connections: ConnectionCounts::default(),
        breaker: BreakerCounts::default(),
        cpu: Cpu::default(),
        faults: Vec::new(),
        under_faults: None,
        ended: Ended::Completed,
    }
}

/// Trials of two seconds, two of each size; each is slower or faster than the truth by its luck.
fn sample(sizes: &[u32], luck: f64) -> Sample {
    let trial = |(place, size): (u64, u32)| {
        let mut measurement = measurement(&simulate(&plan(size, 2, place)));
        let factor = if (place / 2 + place) % 2 == 0 { 1.0 + luck } else { 1.0 / (1.0 + luck) };
        measurement.query.mean *= factor;
        measurement.query.p95 *= factor;
        Measured { settings: settings(size), measurement }
    };
    Sample {
        source: "a world that is known".to_owned(),
        workers: WORKERS,
        think_time: 0.0,
        trials: (0..).zip(sizes.iter().flat_map(|size| [*size; 2])).map(trial).collect(),
        connecting: Vec::new(),
    }
}

fn within(prediction: &Prediction, tolerances: [f64; 3]) {
    for (error, tolerance) in prediction.errors().iter().zip(tolerances) {
        assert!(*error < tolerance, "{prediction:?}: errors {:?}", prediction.errors());
    }
}

#[test]
fn a_size_that_was_not_measured_is_foretold() {
    let sample = sample(&[8, 12, 20, 30], 0.0);
    let calibration = Calibration::of(&sample).unwrap();
    for (size, tolerances) in [(10, [0.02, 0.05, 0.05]), (16, [0.02, 0.05, 0.05]), (25, [0.02, 0.05, 0.05])] {
        let measured = measurement(&simulate(&plan(size, 20, 77)));
        let said = simulate(&calibration.trial(&settings(size), PREDICTED, 1)).total;
        within(&Prediction::beside(size, &said, &[&measured]), tolerances);
    }
    // Beyond what was measured it goes on as it went.
    let measured = measurement(&simulate(&plan(6, 20, 77)));
    let said = simulate(&calibration.trial(&settings(6), PREDICTED, 1)).total;
    within(&Prediction::beside(6, &said, &[&measured]), [0.05, 0.1, 0.1]);
}

#[test]
fn another_load_is_foretold_from_trials_of_closed_loops() {
    let calibration = Calibration::of(&sample(&[8, 12, 20, 30], 0.0)).unwrap();
    let capacity = simulate(&plan(16, 10, 5)).total.throughput();
    let open = |plan: Plan| Plan {
        load: Load {
            arrivals: Arrivals::Poisson,
            steps: vec![Step { at: Duration::ZERO, level: 0.8 * capacity }],
            ..plan.load
        },
        ..plan
    };
    let measured = measurement(&simulate(&open(plan(16, 20, 77))));
    let said = simulate(&open(calibration.trial(&settings(16), PREDICTED, 1))).total;
    // How long a queue gets shortly below capacity is moved by every per cent of it.
    within(&Prediction::beside(16, &said, &[&measured]), [0.02, 0.1, 0.3]);

    let unvalidated = settings(16).with(Setting::ValidationQuery, Value::Sql(String::new()));
    let measured = measurement(&simulate(&Plan { settings: unvalidated.clone(), ..plan(16, 20, 77) }));
    let said = simulate(&calibration.trial(&unvalidated, PREDICTED, 1)).total;
    within(&Prediction::beside(16, &said, &[&measured]), [0.02, 0.05, 0.05]);
}

#[test]
fn the_luck_of_single_trials_is_evened_out() {
    let sample = sample(&[8, 10, 13, 16, 20, 25, 30], 0.1);
    let checked = Calibration::check(&sample, 1);
    assert_eq!(checked.len(), 7);
    let calibration = Calibration::of(&sample).unwrap();
    let measured = measurement(&simulate(&plan(18, 20, 77)));
    let said = simulate(&calibration.trial(&settings(18), PREDICTED, 1)).total;
    within(&Prediction::beside(18, &said, &[&measured]), [0.05, 0.08, 0.08]);
}

#[test]
fn too_few_trials_are_refused_and_check_nothing() {
    let error = Calibration::of(&sample(&[8], 0.0)).unwrap_err();
    assert!(error.to_string().contains("2 undisturbed trials of 1 pool sizes"), "{error}");
    assert!(Calibration::check(&sample(&[8, 12], 0.0), 1).is_empty());
}

#[test]
fn a_distribution_keeps_its_percentiles_and_its_mean() {
    let truth = Times::new(|share| if share > 0.97 { 0.0205 } else { 0.0001 * (share * 4.0).exp() });
    let known: Vec<_> = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(|at| (at, truth.quantile(at))).into();
    let found = between(&known, truth.mean());
    assert!((found.mean() / truth.mean() - 1.0).abs() < 0.01, "{} {}", found.mean(), truth.mean());
    for share in [0.5, 0.9, 0.95, 0.99] {
        let (found, truth) = (found.quantile(share), truth.quantile(share));
        assert!((found / truth - 1.0).abs() < 0.05, "{share}: {found} for {truth}");
    }
}
