//! The tuning guide's six key metrics, of the settings in use and of the others, side by side.

use std::collections::BTreeMap;

use super::{
    ReportedTrial, figures,
    markdown::{Align, table, text},
    words,
};
use crate::{
    model::{ErrorClass, Latency, Measurement, Recommendation, Settings, Verdict},
    stats,
};

/// The phase whose trials are preferred, for they were made in pairs.
const VERIFICATION: &str = "verification";
/// The phases whose trials have a load of their own.
const OTHER_LOADS: [&str; 2] = ["probe", "compressed"];

/// The section, without its heading.
pub(super) fn section(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> String {
    let columns = columns(recommendation, trials);
    if columns.is_empty() {
        return "No trials were made with these settings.\n".to_owned();
    }
    let counts: Vec<_> = columns.iter().map(|(name, of)| format!("{} of the settings {name}", of.len())).collect();
    let header: Vec<_> =
        [("metric", Align::Left)].into_iter().chain(columns.iter().map(|(name, _)| (*name, Align::Right))).collect();
    let rows: Vec<Vec<String>> = METRICS
        .iter()
        .map(|(name, figure)| {
            [(*name).to_owned()].into_iter().chain(columns.iter().map(|(_, of)| figure(of))).collect()
        })
        .chain(error_rows(&columns))
        .collect();
    let mut section = format!("Averages over trials: {}.\n\n{}", counts.join(", "), table(&header, &rows));
    let examples = examples(&columns);
    if !examples.is_empty() {
        section.push_str("\nThe first error of each kind:\n\n");
        section.push_str(&examples);
    }
    section
}

/// The settings in use and those to set against them, with their measurements, where there are any.
pub(super) fn columns<'a>(
    recommendation: &Recommendation,
    trials: &[ReportedTrial<'a>],
) -> Vec<(&'static str, Vec<&'a Measurement>)> {
    let in_use =
        recommendation.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()));
    let mut columns = vec![("in use", measured(trials, &in_use))];
    if let Some(other) = other(recommendation).filter(|other| *other != in_use) {
        let name = match recommendation.verdict {
            Verdict::Better => "recommended",
            Verdict::Simulated { .. } | Verdict::Keep { .. } | Verdict::Infeasible { .. } => "tried instead",
        };
        columns.push((name, measured(trials, &other)));
    }
    columns.retain(|(_, measured)| !measured.is_empty());
    columns
}

/// The settings to set against those in use.
fn other(recommendation: &Recommendation) -> Option<Settings> {
    match (&recommendation.verification, &recommendation.verdict) {
        (Some(verification), _) => Some(verification.candidate.clone()),
        (None, Verdict::Better) => Some(recommendation.settings()),
        (None, _) => None,
    }
}

/// The measurements of `settings`: those of the verification if there are any, else all.
pub(crate) fn measured<'a>(trials: &[ReportedTrial<'a>], settings: &Settings) -> Vec<&'a Measurement> {
    let of = |phase: Option<&str>| -> Vec<&'a Measurement> {
        trials
            .iter()
            .filter(|trial| {
                trial.settings == settings
                    && match phase {
                        Some(phase) => trial.phase == phase,
                        // Those of another load have other figures.
                        None => !OTHER_LOADS.contains(&trial.phase),
                    }
            })
            .map(|trial| trial.measurement)
            .collect()
    };
    let paired = of(Some(VERIFICATION));
    if paired.is_empty() { of(None) } else { paired }
}

type Figure = fn(&[&Measurement]) -> String;

/// The metrics that are one figure.
const METRICS: [(&str, Figure); 7] = [
    ("queries per second (QPS)", |of| figures::rate(average(of, |one| Some(one.throughput)))),
    ("success rate", success_rate),
    ("query time, mean", |of| figures::time(latency(of, |one| one.query, |query| query.mean))),
    ("query time, 95th percentile", |of| figures::time(latency(of, |one| one.query, |query| query.p95))),
    ("connection acquisition, mean", |of| figures::time(latency(of, |one| one.acquire.total, |time| time.mean))),
    ("connection acquisition, 95th percentile", |of| {
        figures::time(latency(of, |one| one.acquire.total, |time| time.p95))
    }),
    ("pool utilisation (in use / open)", utilisation),
];

fn average(of: &[&Measurement], figure: impl Fn(&Measurement) -> Option<f64>) -> f64 {
    let figures: Vec<f64> = of.iter().filter_map(|one| figure(one)).collect();
    if figures.is_empty() { f64::NAN } else { figures.iter().sum::<f64>() / stats::real(figures.len()) }
}

/// A trial that recorded no times has none to average.
fn latency(of: &[&Measurement], part: fn(&Measurement) -> Latency, figure: fn(Latency) -> f64) -> f64 {
    average(of, |one| Some(part(one)).filter(|times| times.count > 0).map(figure))
}

/// Of all requests together, for trials differ in how many they have.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn success_rate(of: &[&Measurement]) -> String {
    let succeeded: u64 = of.iter().map(|one| one.requests.succeeded).sum();
    let failed: u64 = of.iter().map(|one| one.requests.failed).sum();
    match succeeded + failed {
        0 => figures::NONE.to_owned(),
        all => figures::share(succeeded as f64 / all as f64),
    }
}

/// Of a program or a service it may be that nothing is known, or only what is in use.
fn utilisation(of: &[&Measurement]) -> String {
    let known = |one: &Measurement, figure: f64| (one.utilisation.total > 0.0).then_some(figure);
    let [share, active, total] = [
        average(of, |one| known(one, one.utilisation.mean)),
        average(of, |one| known(one, one.utilisation.active).or(Some(one.utilisation.active).filter(|of| *of > 0.0))),
        average(of, |one| known(one, one.utilisation.total)),
    ];
    match (active.is_finite(), total.is_finite()) {
        (false, _) => figures::NONE.to_owned(),
        (true, false) => format!("{0} ({active:.1} / {0})", figures::NONE),
        (true, true) => format!("{:.1} % ({active:.1} / {total:.1})", share * 100.0),
    }
}

type Kind = (ErrorClass, Option<String>);

fn kinds(columns: &[(&str, Vec<&Measurement>)]) -> BTreeMap<Kind, (Vec<u64>, String)> {
    let mut kinds: BTreeMap<Kind, (Vec<u64>, String)> = BTreeMap::new();
    for (column, (_, of)) in columns.iter().enumerate() {
        for error in of.iter().flat_map(|one| &one.errors) {
            let entry = kinds
                .entry((error.class, error.code.clone()))
                .or_insert_with(|| (vec![0; columns.len()], error.example.clone()));
            entry.0[column] += error.count;
        }
    }
    kinds
}

/// Failed attempts a trial, a row for each kind.
fn error_rows(columns: &[(&str, Vec<&Measurement>)]) -> Vec<Vec<String>> {
    let kinds = kinds(columns);
    if kinds.is_empty() {
        let none = columns.iter().map(|_| "none".to_owned());
        return vec![["errors".to_owned()].into_iter().chain(none).collect()];
    }
    kinds
        .into_iter()
        .map(|(kind, (counts, _))| {
            let per_trial = counts.iter().zip(columns).map(|(&count, (_, of))| per_trial(count, of.len()));
            [format!("errors a trial: {}", named(&kind))].into_iter().chain(per_trial).collect()
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of errors are far below 2^53")]
fn per_trial(count: u64, trials: usize) -> String {
    if count == 0 { "none".to_owned() } else { figures::parameter(count as f64 / stats::real(trials)) }
}

fn named((class, code): &Kind) -> String {
    match code {
        Some(code) => format!("{} ({})", words::error(*class), text(code)),
        None => words::error(*class).to_owned(),
    }
}

/// One message of each kind of error, for counts alone do not say what to mend.
fn examples(columns: &[(&str, Vec<&Measurement>)]) -> String {
    kinds(columns)
        .into_iter()
        .filter(|(_, (_, example))| !example.trim().is_empty())
        .flat_map(|(kind, (_, example))| {
            ["- ".to_owned(), named(&kind), ": ".to_owned(), text(example.trim()), "\n".to_owned()]
        })
        .collect()
}
