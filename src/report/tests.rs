use std::time::Duration;

use super::{ReportedTrial, figures, samples, summary_md, table, timeline_in_words, verdict_sentence};
use crate::model::{
    Challenger, DecidedBy, Estimate, Fault, FaultKind, Interval, Judged, Measurement, Memory, Recommendation, Setting,
    Settings, StandingOutcome, Value, Verdict,
};

fn summary(recommendation: &Recommendation) -> String {
    summary_of(recommendation, &samples::trials())
}

fn summary_of(recommendation: &Recommendation, trials: &[(&str, Settings, Measurement)]) -> String {
    let reported: Vec<_> = trials
        .iter()
        .map(|(phase, settings, measurement)| ReportedTrial { phase, why: "", settings, measurement })
        .collect();
    summary_md(recommendation, &reported)
}

#[test]
fn the_summary_of_better_settings() {
    insta::assert_snapshot!(summary(&samples::better()));
}

#[test]
fn what_a_program_does_not_tell_is_not_told_as_nothing() {
    let mut trials = samples::trials();
    for (_, _, measurement) in &mut trials {
        measurement.query = crate::model::Latency::default();
        measurement.acquire = crate::model::Acquisition::default();
        measurement.utilisation = crate::model::Utilisation::default();
    }
    let page = summary_of(&samples::better(), &trials);
    for metric in
        ["query time, mean", "query time, 95th percentile", "connection acquisition, mean", "pool utilisation"]
    {
        let row = page.lines().find(|line| line.starts_with(&format!("| {metric}"))).unwrap();
        assert!(row.contains('–') && !row.chars().skip(metric.len() + 4).any(|c| c == '0'), "{row}");
    }
    // What is in use may be known where what is open is not.
    for (_, _, measurement) in &mut trials {
        measurement.utilisation.active = 3.2;
    }
    assert!(summary_of(&samples::better(), &trials).contains("– (3.2 / –)"));
}

#[test]
fn the_summary_of_settings_that_are_better_under_faults() {
    let (recommendation, trials) = samples::better_under_faults();
    let page = summary_of(&recommendation, &trials);
    // The figure with faults counted is never called queries per second.
    assert!(!page.lines().any(|line| line.contains("counted") && line.contains("QPS")), "{page}");
    insta::assert_snapshot!(page);
}

#[test]
fn faults_of_one_kind_are_told_together() {
    let fault = |at, lasts, kind| Fault {
        at: Duration::from_millis(at),
        lasts: Duration::from_millis(lasts),
        share: 1.0,
        kind,
    };
    let timeline =
        [fault(500, 0, FaultKind::Reset), fault(600, 300, FaultKind::Refuse), fault(1100, 0, FaultKind::Reset)];
    assert_eq!(
        timeline_in_words(&timeline),
        "connections reset at 500 ms, 1.10 s; new connections refused for 300 ms at 600 ms"
    );
}

#[test]
fn the_summary_of_kept_settings() {
    insta::assert_snapshot!(summary(&samples::keep()));
}

#[test]
fn the_summary_of_limits_that_cannot_be_kept() {
    insta::assert_snapshot!(summary(&samples::infeasible()));
}

#[test]
fn a_summary_without_trials_says_so() {
    let page = summary_md(&samples::better(), &[]);
    assert!(page.contains("No trials were made with these settings."), "{page}");
    assert!(page.contains("- trials: 12 in the search"), "{page}");
}

#[test]
fn verdicts_are_sentences() {
    insta::assert_snapshot!(
        [samples::better(), samples::keep(), samples::infeasible(), samples::better_under_faults().0]
            .map(|one| verdict_sentence(&one))
            .join("\n")
    );
}

#[test]
fn a_headline_shows_of_each_simulated_change_what_its_row_shows() {
    let mut recommendation = samples::keep();
    recommendation.verdict = Verdict::Simulated { reason: "what trials decide stays as it is".to_owned() };
    let mut change = |setting, number, (low, value, high)| {
        let row = recommendation.rows.iter_mut().find(|row| row.setting == setting).unwrap();
        row.now = Value::from_number(setting, number).unwrap();
        row.decided_by = DecidedBy::Simulation;
        row.effect = Some(Estimate { value, interval: Interval { low, high } });
    };
    change(Setting::IdleTimeout, 420.0, (-0.09, -0.06, -0.03));
    change(Setting::CircuitBreakerTimeout, 11.0, (-0.5, -0.4, -0.3));
    assert_eq!(
        verdict_sentence(&recommendation),
        "Use idle_timeout 420 instead of 180: 6.0 % less is lost in simulated days [-9.0, -3.0 %]; circuit_breaker_timeout 11 instead \
         of 30: 40.0 % less [-50.0, -30.0 %]. what trials decide stays as it is."
    );
}

#[test]
fn a_verification_that_was_clear_early_says_so() {
    let mut recommendation = samples::better();
    let found = recommendation.verification.as_mut().unwrap();
    (found.pairs, found.planned) = (3, Some(6));
    let sentence = verdict_sentence(&recommendation);
    assert!(sentence.contains("verified in 3 of at most 6 pairs, by when it was clear;"), "{sentence}");
    let page = summary(&recommendation);
    assert!(
        page.contains("in 3 pairs of new trials (of at most 6: the planned look after half of them was clear"),
        "{page}"
    );
}

#[test]
fn what_stands_is_told_with_its_run_and_its_day() {
    let estimate = |value: f64| Estimate { value, interval: Interval { low: value - 0.03, high: value + 0.03 } };
    let told = |outcome| {
        let mut recommendation = samples::better();
        let in_use =
            recommendation.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()));
        let stood = in_use.with(Setting::MaxConnections, Value::Count(22));
        let settings = recommendation.settings();
        recommendation.memory = Some(Memory {
            runs: vec!["night-2".to_owned(), "night-1".to_owned()],
            p_value: Some(0.41),
            dropped: false,
            standing: Some(Judged {
                outcome,
                settings: if outcome == StandingOutcome::Stands { settings.clone() } else { stood },
                run: "night-1".to_owned(),
                since: "2026-11-01T01:30:00Z".to_owned(),
                against_in_use: Some(estimate(1.1)),
                challenger: Some(Challenger { settings, ratio: estimate(1.08), pairs: 12 }),
                anew: false,
            }),
            drift: vec![],
        });
        let page = summary(&recommendation);
        let nights = page.split("## Nights before").nth(1).unwrap().split("##").next().unwrap();
        format!("{}\n{nights}", verdict_sentence(&recommendation))
    };
    insta::assert_snapshot!([StandingOutcome::Stands, StandingOutcome::Replaced].map(told).join("\n"));
}

#[test]
fn rows_fit_a_terminal_of_120_columns() {
    let mut told = String::new();
    for recommendation in [samples::better(), samples::keep(), samples::better_under_faults().0] {
        let rows = table(&recommendation);
        let widths: Vec<usize> =
            (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap()).collect();
        assert!(widths.iter().sum::<usize>() + 10 <= 120, "{widths:?}");
        told.extend(rows.iter().flat_map(|row| [row.join(" / "), "\n".to_owned()]));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn hostile_text_stays_in_its_cell() {
    let mut recommendation = samples::better();
    for row in recommendation.rows.iter_mut().filter(|row| row.setting == Setting::ValidationQuery) {
        row.was = Value::Sql("SELECT '|' -- `\n# Heading\n| a |".to_owned());
        row.now = row.was.clone();
        row.why = "a | b\n\nc".to_owned();
    }
    recommendation.warnings = vec!["first\n# second".to_owned()];
    let page = summary(&recommendation);
    assert!(!page.lines().any(|line| line.starts_with("# ") && line != "# Connection pool settings: run better"));
    let row = page.lines().find(|line| line.starts_with("| validation_query")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
    assert!(row.contains("SELECT '\\|' -- \\`\\\\n# Heading"), "{row}");
}

#[test]
fn a_figure_that_is_none_is_a_dash() {
    assert_eq!(figures::rate(f64::NAN), "–");
    assert_eq!(figures::time(f64::INFINITY), "–");
}
