use super::*;
use crate::model::{Acquisition, Cpu, ErrorCount, Latency, OpenLoop, Setting, Utilisation, Value};

/// A pool of 20 that is well.
struct Case {
    settings: Settings,
    measurement: Measurement,
    series: Vec<Point>,
    sizes: Vec<SizeFacts>,
    steady_load: bool,
}

fn times(p50: f64) -> Latency {
    Latency {
        count: 1000,
        mean: p50,
        p50,
        p90: p50 * 2.0,
        p95: p50 * 2.5,
        p99: p50 * 4.0,
        p999: p50 * 6.0,
        max: p50 * 9.0,
    }
}

fn well() -> Case {
    let mut measurement = crate::report::samples::trials().remove(0).2;
    measurement.seconds = 10.0;
    measurement.errors.clear();
    measurement.requests.retries = 0;
    measurement.query = times(0.005);
    measurement.hold = times(0.0055);
    measurement.acquire = Acquisition { total: times(0.0005), wait: times(0.0001), ..Acquisition::default() };
    measurement.utilisation = Utilisation { mean: 0.7, active: 14.0, total: 20.0, peak_active: 20, peak_total: 20 };
    measurement.cpu = Cpu { own: 0.2, database: 0.4, ..Cpu::default() };
    let series = (0..30_u32)
        .map(|i| Point {
            at: f64::from(i),
            seconds: 1.0,
            throughput: 1000.0 + f64::from(i * 7 % 5),
            active: 12 + i * 3 % 4,
            held: Some(f64::from(12 + i * 3 % 4) + 0.2 * f64::from(i % 3)),
            ..Point::default()
        })
        .collect();
    let settings = Settings::default().with(Setting::MaxConnections, Value::Count(20));
    Case { settings, measurement, series, sizes: Vec::new(), steady_load: true }
}

impl Case {
    fn error(mut self, class: ErrorClass, count: u64) -> Self {
        self.measurement.errors.push(ErrorCount { class, code: None, example: "it failed".to_owned(), count });
        self
    }

    fn full(mut self) -> Self {
        self.measurement.utilisation.active = 19.8;
        self.measurement.acquire.wait = times(0.02);
        self
    }

    fn found(&self) -> Vec<String> {
        let facts = Facts {
            settings: &self.settings,
            measurement: &self.measurement,
            series: &self.series,
            workers: 25,
            steady_load: self.steady_load,
            sizes: &self.sizes,
        };
        findings(&facts).into_iter().map(|finding| finding.rule).collect()
    }
}

#[test]
fn a_pool_that_is_well_has_no_findings() {
    assert!(well().found().is_empty(), "{:?}", well().found());
}

#[test]
fn timeouts_of_an_exhausted_pool_are_told_by_their_cause() {
    let too_small = well().full().error(ErrorClass::AcquireTimeoutWaiting, 9);
    assert_eq!(too_small.found(), ["pool_too_small"]);

    // The same, but the processors are full: more connections would not help.
    let mut saturated = well().full().error(ErrorClass::AcquireTimeoutWaiting, 9);
    saturated.measurement.cpu = Cpu { own: 0.2, database: 0.78, ..Cpu::default() };
    assert_eq!(saturated.found(), ["server_saturated"]);

    // The same, but connections in use have grown all the time.
    let mut leaking = well().full().error(ErrorClass::AcquireTimeoutWaiting, 9);
    for (i, point) in (0..).zip(&mut leaking.series) {
        point.active = 5 + i / 2;
        point.held = Some(5.0 + f64::from(i % 3));
        point.throughput = 1000.0 - f64::from(i);
    }
    assert_eq!(leaking.found(), ["connection_leak"]);
    leaking.steady_load = false;
    assert_eq!(leaking.found(), ["pool_too_small"], "with a load that changes, a trend says nothing");

    let refused = well().full().error(ErrorClass::TooManyConnections, 9);
    assert_eq!(refused.found(), ["pool_beyond_server"]);

    assert_eq!(well().error(ErrorClass::AcquireTimeoutNested, 9).found(), ["nested_acquire"]);
    assert_eq!(well().error(ErrorClass::Connect, 9).found(), ["server_refuses"]);
    assert_eq!(well().error(ErrorClass::AcquireTimeoutOpening, 9).found(), ["slow_opening"]);
}

#[test]
fn growth_with_the_load_is_no_leak() {
    let mut growing = well();
    for (i, point) in (0..).zip(&mut growing.series) {
        point.active = 5 + i / 2;
        point.throughput = 1000.0 + 10.0 * f64::from(i);
    }
    assert!(growing.found().is_empty(), "{:?}", growing.found());
}

#[test]
fn other_sizes_know_better_than_waiting_times() {
    let mut case = well().full();
    case.sizes = vec![size(10, 1000.0, 0.02), size(20, 1200.0, 0.02), size(30, 1500.0, 0.02)];
    assert_eq!(case.found(), ["pool_too_small"]);
    case.sizes = vec![size(10, 1500.0, 0.02), size(20, 1200.0, 0.03), size(30, 1000.0, 0.03)];
    assert_eq!(case.found(), ["pool_too_large"]);
    case.sizes = vec![size(10, 1500.0, 0.02), size(20, 1480.0, 0.03), size(30, 1200.0, 0.2)];
    assert_eq!(case.found(), ["lock_contention"]);
    case.sizes = vec![size(20, 1200.0, 0.02)];
    assert_eq!(case.found(), ["pool_too_small"], "where no other size was tried, waiting times are all there is");
}

#[test]
fn sizes_that_noise_may_have_told_apart_are_no_finding() {
    let mut case = well().full();
    // A tenth apart on average, but so are trials of the same size.
    let noisy = |connections, throughput: &[f64]| SizeFacts {
        connections,
        throughput: throughput.to_vec(),
        query_p99: f64::from(connections) * 0.01,
    };
    case.sizes = vec![noisy(10, &[1350.0, 1000.0, 1290.0, 1080.0]), noisy(20, &[990.0, 1240.0, 1010.0, 1060.0])];
    assert!(case.found().is_empty(), "{:?}", case.found());
    // Far apart, but seen once or twice only.
    case.sizes = vec![noisy(5, &[1500.0]), noisy(10, &[1500.0, 1510.0]), noisy(20, &[1200.0, 1210.0, 1190.0, 1220.0])];
    assert!(case.found().is_empty(), "{:?}", case.found());
    // What would do as the only comparison is too little as the best of eight.
    let close = |connections| noisy(connections, &[1100.0, 1050.0, 1100.0, 1150.0]);
    let present = noisy(20, &[1000.0, 1040.0, 980.0, 1000.0]);
    case.sizes = vec![close(10), present.clone()];
    assert_eq!(case.found(), ["pool_too_large"]);
    case.sizes = (5..13).map(close).chain([present]).collect();
    assert!(case.found().is_empty(), "{:?}", case.found());
}

#[test]
fn a_database_that_gets_slower_is_no_leak() {
    let mut slowing = well();
    for (i, point) in (0..).zip(&mut slowing.series) {
        point.active = 5 + i / 2;
        point.held = Some(5.0 + f64::from(i) / 2.0 + f64::from(i % 3));
        point.throughput = 1000.0 - f64::from(i);
    }
    assert!(slowing.found().is_empty(), "{:?}", slowing.found());
    // An earlier version's document does not say how long connections were held.
    slowing.series.iter_mut().for_each(|point| point.held = None);
    assert!(slowing.found().is_empty(), "{:?}", slowing.found());
}

/// A size with four trials that spread by some per cent.
fn size(connections: u32, throughput: f64, query_p99: f64) -> SizeFacts {
    let throughput = [0.98, 1.03, 1.0, 0.99].map(|factor| factor * throughput).to_vec();
    SizeFacts { connections, throughput, query_p99 }
}

#[test]
fn a_pool_of_which_half_is_idle_is_too_large_for_this_load() {
    let mut case = well();
    case.measurement.utilisation.peak_active = 6;
    assert_eq!(case.found(), ["pool_too_large"]);
    case.measurement.utilisation.peak_active = 11;
    assert!(case.found().is_empty());
}

#[test]
fn connections_replaced_all_the_time_are_told_with_why() {
    let mut case = well();
    case.measurement.connections.opened = 40;
    assert!(case.found().is_empty(), "a pool that grows replaces nothing");
    case.measurement.connections.closed_lifetime = 38;
    assert_eq!(case.found(), ["frequent_reconnects"]);
    case.measurement.seconds = 3600.0;
    assert!(case.found().is_empty(), "40 in an hour are few");
}

#[test]
fn failures_cascade_when_the_circuit_or_retries_multiply_them() {
    let open = well().error(ErrorClass::ConnectionLost, 5).error(ErrorClass::CircuitOpen, 5000);
    assert_eq!(open.found(), ["cascading_failures"]);
    let mut retried = well().error(ErrorClass::ConnectionLost, 50);
    assert!(retried.found().is_empty());
    retried.measurement.requests.retries = 15_000;
    assert_eq!(retried.found(), ["cascading_failures"]);
}

#[test]
fn costs_and_limits_outside_the_pool_are_told() {
    let mut case = well();
    case.measurement.acquire.validate = times(0.002);
    assert_eq!(case.found(), ["validation_cost"]);

    let mut case = well();
    case.measurement.cpu.generator_limited = true;
    assert_eq!(case.found(), ["load_generator_saturated"]);

    let mut case = well();
    case.measurement.offered = Some(OpenLoop { requests: 1000, rate: 100.0, not_started: 5, longest_wait: 0.01 });
    assert!(case.found().is_empty(), "some are always on their way at the end");
    case.measurement.offered = Some(OpenLoop { requests: 1000, rate: 100.0, not_started: 400, longest_wait: 4.0 });
    assert_eq!(case.found(), ["overload"]);

    let mut case = well().error(ErrorClass::Query, 12);
    assert!(case.found().is_empty(), "an error of the application is no conflict");
    case.measurement.errors[0].code = Some("40P01".to_owned());
    assert_eq!(case.found(), ["lock_contention"]);
}

#[test]
fn every_finding_has_evidence_and_a_remedy_and_the_serious_come_first() {
    let mut case = well().full().error(ErrorClass::AcquireTimeoutWaiting, 9).error(ErrorClass::CircuitOpen, 4000);
    case.measurement.acquire.validate = times(0.002);
    let facts = Facts {
        settings: &case.settings,
        measurement: &case.measurement,
        series: &case.series,
        workers: 25,
        steady_load: true,
        sizes: &[],
    };
    let found = findings(&facts);
    assert!(found.iter().all(|finding| !finding.evidence.is_empty() && !finding.remedy.is_empty()));
    assert!(found.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)));
    insta::assert_debug_snapshot!(found);
}
