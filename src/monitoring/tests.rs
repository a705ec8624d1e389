use super::*;
use crate::{diagnose, monitor, report::samples, scrape::PoolFigures};

fn made(library: &Library, of: &Recommendation) -> Vec<(&'static str, String)> {
    let trials = samples::trials();
    let trials: Vec<_> = trials
        .iter()
        .map(|(phase, settings, measurement)| ReportedTrial { phase, why: "", settings, measurement })
        .collect();
    kit(of, &trials, library, "runbook.md").unwrap()
}

#[test]
fn thresholds_are_those_of_the_verified_trials() {
    let trials = samples::trials();
    let trials: Vec<_> = trials
        .iter()
        .map(|(phase, settings, measurement)| ReportedTrial { phase, why: "", settings, measurement })
        .collect();
    let recommendation = samples::better();
    let thresholds = Thresholds::of(&recommendation, &trials).unwrap();
    let verified = thresholds.verified.unwrap();
    assert_eq!(verified.trials, 2, "the two of the verification, not that of the search");
    assert!((verified.throughput - 14_000.0).abs() < 1e-9, "{}", verified.throughput);
    assert!((verified.query_p95 - 0.02).abs() < 1e-9, "{}", verified.query_p95);
    assert_eq!(thresholds.max_connections, recommendation.settings().max_connections());
    assert!((thresholds.budget - 0.01).abs() < 1e-9);
    assert!((thresholds.burn(14.4) - 0.144).abs() < 1e-9);
    assert_eq!(thresholds.query(false), Some(0.04));
    assert!(thresholds.acquire(false).unwrap() <= thresholds.acquire_near_timeout());
    let without = Thresholds::of(&recommendation, &[]).unwrap();
    assert_eq!((without.verified, without.acquire(false), without.utilisation), (None, None, 0.9));
    assert_eq!(Thresholds::of(&samples::infeasible(), &trials), Err(NothingToWatch));
}

#[test]
fn the_rules_of_opentelemetrys_names() {
    let files = made(&LIBRARIES[0], &samples::better());
    insta::assert_snapshot!(files[0].1);
}

#[test]
fn every_alert_and_every_rule_of_the_diagnosis_has_a_paragraph_that_its_link_leads_to() {
    for library in &LIBRARIES {
        let files = made(library, &samples::better());
        let [rules, tests, _, book] = [0, 1, 2, 3].map(|file| files[file].1.as_str());
        let mut alerts = 0;
        for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
            assert!(book.contains(&format!("### {name}\n")), "{name}");
            assert!(rules.contains(&format!("runbook_url: \"runbook.md#{}\"", name.to_lowercase())), "{name}");
            assert!(tests.contains(&format!("name: \"{name} fires: ")), "{name} is never made to fire");
            assert!(tests.contains(&format!("name: \"{name} is silent: ")), "{name} is never made to be silent");
            alerts += 1;
        }
        assert!(alerts >= 7, "{alerts}");
        for name in diagnose::rules().chain(monitor::rules()) {
            assert!(book.contains(&format!("### {name}\n")), "{name}");
        }
    }
}

#[test]
fn what_the_rules_record_a_scrape_reads_as_the_same() {
    for library in &LIBRARIES {
        let braced = |label: &str| if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        let line =
            |metric: &library::Metric, value: u32| format!("{}{} {value}\n", metric.name, braced(metric.example));
        let mut text = [line(&library.used, 7), line(&library.idle, 3), line(&library.pending, 2)].concat();
        text.extend(library.max.iter().map(|metric| line(metric, 20)));
        text.extend(library.timeouts.iter().map(|metric| line(metric, 5)));
        let figures = PoolFigures::read(&text).unwrap().unwrap();
        assert_eq!(
            (figures.active, figures.idle, figures.pending),
            (Some(7.0), Some(3.0), Some(2.0)),
            "{}",
            library.name
        );
        assert_eq!(figures.max, library.max.map(|_| 20.0), "{}", library.name);
        assert_eq!(figures.timeouts, library.timeouts.map(|_| 5.0), "{}", library.name);
    }
}
