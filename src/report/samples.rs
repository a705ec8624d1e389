//! Recommendations of real runs, and trials to go with them, for tests.

use std::time::Duration;

use crate::model::{
    Acquisition, BreakerCounts, ConnectionCounts, Cpu, DecidedBy, Ended, ErrorClass, ErrorCount, Estimate, Fault,
    FaultEvidence, FaultKind, FaultRecord, Interval, Latency, Measurement, Recommendation, Requests, Setting, Settings,
    UnderFaults, Utilisation, Value, Verdict, WarmUp,
};

/// A run that found better settings.
pub(crate) fn better() -> Recommendation {
    serde_yaml::from_str(include_str!("samples/better.yaml")).unwrap()
}

/// A run whose favourite did not stand the verification.
pub(crate) fn keep() -> Recommendation {
    serde_yaml::from_str(include_str!("samples/keep.yaml")).unwrap()
}

/// A run that found better settings, most of all under faults, with its trials.
pub(crate) fn better_under_faults() -> (Recommendation, Vec<(&'static str, Settings, Measurement)>) {
    let estimate =
        |value: f64, reach: f64| Estimate { value, interval: Interval { low: value - reach, high: value + reach } };
    let mut recommendation = better();
    recommendation.under_faults = Some(FaultEvidence {
        weight: 0.25,
        deadline: 1.0,
        rate: 5900.0,
        was: estimate(0.731, 0.012),
        tried: Some(estimate(0.9987, 0.0008)),
        throughput_ratio: Some(estimate(1.102, 0.031)),
    });
    for row in recommendation.rows.iter_mut().filter(|row| row.setting == Setting::CircuitBreakerThreshold) {
        (row.now, row.decided_by) = (Value::Count(10), DecidedBy::TrialWithFaults);
        row.effect = Some(estimate(0.072, 0.021));
        "better, and verified".clone_into(&mut row.why);
    }
    let reset = Fault { at: Duration::from_millis(500), lasts: Duration::ZERO, share: 1.0, kind: FaultKind::Reset };
    let mut trials = trials();
    for (_, settings, measurement) in &mut trials {
        let trips = settings.max_connections() > 15;
        let open = if trips { 0.3 } else { 0.0 };
        measurement.under_faults = Some(UnderFaults {
            open: Latency::default(),
            weight: 0.25,
            deadline: 1.0,
            rate: 5900.0,
            due: 8850,
            in_time: if trips { 6470 } else { 8838 },
            share: if trips { 0.731 } else { 0.9987 },
            attempts: 1.0012,
            errors: Vec::new(),
            breaker: BreakerCounts { opened: u64::from(trips), open_seconds: open, ..BreakerCounts::default() },
            faults: vec![FaultRecord {
                fault: reset.clone(),
                began: Some(0.5),
                ended: Some(0.5),
                problem: None,
                recovery: None,
            }],
            cpu: Cpu::default(),
        });
    }
    (recommendation, trials)
}

/// A run in which nothing kept the limits.
pub(crate) fn infeasible() -> Recommendation {
    let mut recommendation = keep();
    recommendation.provenance.run = "infeasible".to_owned();
    recommendation.provenance.limits.p95_query = Some(0.05);
    recommendation.verdict = Verdict::Infeasible {
        reason: "the success rate has to be above 99 % and the best settings found (min_connections 2, \
                 max_connections 10) reach 95.20 % [94.90, 95.50]. 97 % of the failures are: no connection was free \
                 within connection_timeout; allow more connections (--range)"
            .to_owned(),
    };
    recommendation.verification = None;
    recommendation.insights.clear();
    recommendation.warnings.clear();
    for row in recommendation.rows.iter_mut().filter(|row| row.effect.is_some()) {
        row.effect = None;
        "nothing keeps the limits".clone_into(&mut row.why);
    }
    recommendation
}

/// The phases, settings and measurements of a run's trials: of the settings in use and of a maximum of 15.
pub(crate) fn trials() -> Vec<(&'static str, Settings, Measurement)> {
    let better = better();
    let in_use = better.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()));
    let other = in_use.clone().with(Setting::MaxConnections, Value::Count(15));
    vec![
        ("baseline", in_use.clone(), measurement(9000.0, 0.03)),
        ("search", other.clone(), measurement(16_000.0, 0.01)),
        ("verification", in_use.clone(), measurement(11_600.0, 0.021)),
        ("verification", other.clone(), measurement(14_100.0, 0.011)),
        ("verification", other, measurement(13_900.0, 0.009)),
        ("verification", in_use, measurement(12_000.0, 0.019)),
    ]
}

fn measurement(throughput: f64, query: f64) -> Measurement {
    let latency = |mean: f64| Latency {
        count: 20_000,
        mean,
        p50: mean * 0.9,
        p90: mean * 1.7,
        p95: mean * 2.0,
        p99: mean * 3.0,
        p999: mean * 5.0,
        max: mean * 9.0,
    };
    Measurement {
        seconds: 2.0,
        warm_up: WarmUp { seconds: 0.6, steady: true },
        throughput,
        slices: vec![throughput; 4],
        requests: Requests {
            succeeded: 19_880,
            failed: 120,
            retries: 300,
            success_rate: 0.994,
            success_interval: Interval { low: 0.993, high: 0.995 },
        },
        response: latency(query * 1.25),
        offered: None,
        query: latency(query),
        acquire: Acquisition { total: latency(query / 4.0), ..Acquisition::default() },
        hold: latency(query),
        utilisation: Utilisation { mean: 0.913, active: 13.7, total: 15.0, peak_active: 15, peak_total: 15 },
        errors: vec![
            ErrorCount {
                class: ErrorClass::Query,
                code: Some("40001".to_owned()),
                example: "could not serialize access | `accounts`\nHINT: retry".to_owned(),
                count: 118,
            },
            ErrorCount { class: ErrorClass::CircuitOpen, code: None, example: String::new(), count: 2 },
        ],
        connections: ConnectionCounts::default(),
        breaker: BreakerCounts::default(),
        cpu: Cpu::default(),
        faults: Vec::new(),
        under_faults: None,
        ended: Ended::Completed,
    }
}
