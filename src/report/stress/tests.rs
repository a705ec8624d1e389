use std::time::Duration;

use super::*;
use crate::{
    model::{
        Cpu, ErrorClass, Fault, FaultKind, FaultRecord, Finding, MetricUnit, OpenLoop, Pacing, Point, Recovery,
        Settings, Severity, StressLoad, StressReport, ThresholdOutcome,
    },
    report::samples,
};

fn report() -> StressReport {
    let mut measurement = samples::trials().remove(0).2;
    measurement.offered = Some(OpenLoop { requests: 20_100, rate: 10_050.0, not_started: 100, longest_wait: 0.3 });
    let fault = Fault {
        at: Duration::from_secs(3),
        lasts: Duration::from_secs(1),
        share: 0.5,
        kind: FaultKind::Latency { delay: Duration::from_millis(20), jitter: Duration::from_millis(5) },
    };
    measurement.cpu = Cpu { own: 0.25, database: 0.5, other: 0.02, ..Cpu::default() };
    let recovery = Recovery {
        prior_throughput: 9000.0,
        seconds: Some(0.7),
        half_seconds: Some(0.4),
        failed: 12,
        attempts: 1.25,
        opened: 4,
        circuit_open: 0.2,
    };
    measurement.faults = vec![
        FaultRecord {
            fault: fault.clone(),
            began: Some(3.0),
            ended: Some(4.0),
            problem: None,
            recovery: Some(recovery),
        },
        FaultRecord { fault, began: Some(5.0), ended: Some(6.0), problem: None, recovery: None },
    ];
    let series = (1..=12_u32)
        .map(|second| Point {
            at: f64::from(second),
            seconds: 1.0,
            level: 25.0,
            throughput: 9000.0 + f64::from(second % 3) * 90.0,
            errors: vec![(ErrorClass::Query, 2)],
            response: measurement.response,
            ..Point::default()
        })
        .collect();
    StressReport {
        format: 1,
        program: "0.1.0".to_owned(),
        scenario: "brown-out".to_owned(),
        about: "the network gets slow".to_owned(),
        profile: "medium".to_owned(),
        target: "private".to_owned(),
        server: "PostgreSQL 15".to_owned(),
        machine: "2 × cpu".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        seed: 1,
        settings: Settings::default(),
        load: StressLoad { workers: 25, pacing: Pacing::closed(25), think_time: None, seconds: 12.0 },
        measurement,
        series,
        ladder: vec![
            Rung { percentile: 50.0, seconds: 0.01, count: 10_000 },
            Rung { percentile: 99.0, seconds: 0.2, count: 19_800 },
            Rung { percentile: 100.0, seconds: 0.9, count: 20_000 },
        ],
        findings: vec![Finding {
            rule: "pool_too_small".to_owned(),
            title: "The pool is too small".to_owned(),
            evidence: vec!["all connections in use 99 % of the time".to_owned()],
            remedy: "raise max_connections".to_owned(),
            severity: Severity::Warning,
        }],
        thresholds: vec![
            ThresholdOutcome {
                threshold: "success_rate>=0.99".to_owned(),
                measured: Some(0.994),
                unit: MetricUnit::Share,
                holds: true,
            },
            ThresholdOutcome {
                threshold: "recovery<2s".to_owned(),
                measured: None,
                unit: MetricUnit::Seconds,
                holds: false,
            },
        ],
        ended_by: None,
        passed: false,
        warnings: vec![],
    }
}

fn text(grid: &Grid) -> String {
    let rows = std::iter::once(&grid.header).chain(&grid.rows).map(|row| row.join(" | "));
    format!("# {}\n{}", grid.title, rows.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_test_in_words() {
    let report = report();
    let (headline, grids) = sections(&report);
    let grids: Vec<_> = grids.iter().chain([&suite_grid(&[report])]).map(text).collect();
    insta::assert_snapshot!(format!("{headline}\n{}", grids.join("\n")));
}

#[test]
fn a_test_against_itself_shows_no_difference() {
    let report = report();
    let comparison = compare(&report, &report).unwrap();
    assert!(comparison.settings.is_empty());
    assert!(comparison.rows.iter().all(|row| !row.distinguishable()), "{comparison:?}");
    let judged = comparison.rows.iter().filter(|row| row.change.is_some()).count();
    assert_eq!(judged, 5, "success rate, throughput and times: {comparison:?}");
}

#[test]
fn success_rates_and_failures_by_class_are_compared() {
    let of = |failures: f64, bursts: bool| {
        let mut report = report();
        for (second, point) in (0..).zip(&mut report.series) {
            point.failures = if bursts { failures * f64::from(u8::from(second == 0)) * 12.0 } else { failures };
        }
        report.measurement.requests.succeeded = 108_000;
        report.measurement.requests.failed = if failures > 1.0 { 480 } else { 120 };
        report.measurement.requests.success_rate = if failures > 1.0 { 0.9956 } else { 0.9989 };
        report
    };
    let mut before = of(10.0 / 12.0, false);
    before.measurement.errors.clear();
    let row = |now: &StressReport| compare(now, &before).unwrap().rows[0].clone();
    let evenly = row(&of(40.0, false));
    assert!(evenly.distinguishable() && evenly.change.unwrap().value < 0.0, "{evenly:?}");
    assert!(!row(&of(40.0, true)).distinguishable(), "one burst is one event, however many requests it hit");
    insta::assert_snapshot!(text(&compare(&of(40.0, false), &before).unwrap().grid()));
}

#[test]
fn only_a_change_beyond_the_spread_between_tests_is_told() {
    let before = report();
    let faster = |factor: f64| {
        let mut now = report();
        now.measurement.throughput *= factor;
        now
    };
    let qps = |now: &StressReport| compare(now, &before).unwrap().rows[1].distinguishable();
    assert!(!qps(&faster(1.08)) && qps(&faster(1.3)));
}

#[test]
fn tests_of_different_loads_are_not_compared() {
    let mut other = report();
    other.load.workers = 26;
    let error = compare(&report(), &other).unwrap_err().to_string();
    assert!(error.contains("load") && error.contains("26 at once"), "{error}");
}

#[test]
fn the_ladder_climbs_to_all_requests() {
    let mut times = Histogram::<u32>::new(3).unwrap();
    for time in 1..=1000 {
        times.record(time * 10).unwrap();
    }
    let ladder = ladder(&times, 1e-7);
    assert_eq!(ladder.last().map(|rung| (rung.percentile, rung.count)), Some((100.0, 1000)));
    assert!((ladder.last().unwrap().seconds - 1e-3).abs() < 1e-5);
    let median = ladder.iter().find(|rung| rung.percentile >= 50.0).unwrap();
    assert!((median.seconds - 0.5e-3).abs() < 1e-5, "{median:?}");
}
