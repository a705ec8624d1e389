//! What faults did to the settings in use and to the others, side by side.

use super::{
    ReportedTrial, figures,
    markdown::{Align, table, text},
    metrics, words,
};
use crate::{
    model::{Measurement, Recommendation, UnderFaults},
    stats,
};

type Figure = fn(&[&UnderFaults]) -> String;

/// The section, without its heading; `None` where trials had no fault part.
pub(super) fn section(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Option<String> {
    let sentence = words::faults_sentence(recommendation)?;
    let first = trials.iter().find_map(|trial| trial.measurement.under_faults.as_ref())?;
    let columns: Vec<(&str, Vec<&UnderFaults>)> = metrics::columns(recommendation, trials)
        .into_iter()
        .map(|(name, of)| (name, of.into_iter().filter_map(part).collect()))
        .collect();
    let figures: [(&str, Figure); 5] = [
        ("served in time", |of| figures::share(mean(of, |part| part.share))),
        ("attempts a request", |of| format!("{:.3}", mean(of, |part| part.attempts))),
        ("circuit opened, times a trial", |of| format!("{:.2}", mean(of, |part| count(part.breaker.opened)))),
        ("circuit not closed, a trial", |of| match mean(of, |part| part.breaker.open_seconds) {
            seconds if seconds <= 0.0 => "never".to_owned(),
            seconds => figures::time(seconds),
        }),
        ("outage that a fault amounts to", |of| figures::time(mean(of, lost))),
    ];
    let header: Vec<_> =
        [("", Align::Left)].into_iter().chain(columns.iter().map(|(name, _)| (*name, Align::Right))).collect();
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(name, figure)| {
            [(*name).to_owned()].into_iter().chain(columns.iter().map(|(_, of)| figure(of))).collect()
        })
        .collect();
    let made: Vec<_> = first.faults.iter().map(|record| record.fault.clone()).collect();
    Some(format!(
        "{}\n\nBeside its steady load each trial had a part with {} requests a second, about half of what the first trial \
         served, in which the network failed: {}. The time for which the circuit breaker stays open was shortened, for all \
         settings alike.\n\n{}",
        text(&sentence),
        figures::rate(first.rate),
        text(&words::timeline_in_words(&made)),
        table(&header, &rows)
    ))
}

fn part(measurement: &Measurement) -> Option<&UnderFaults> {
    measurement.under_faults.as_ref()
}

fn mean(of: &[&UnderFaults], figure: impl Fn(&UnderFaults) -> f64) -> f64 {
    if of.is_empty() { f64::NAN } else { stats::mean(&of.iter().map(|part| figure(part)).collect::<Vec<_>>()) }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(times: u64) -> f64 {
    times as f64
}

/// What a fault cost, as the time in which as many requests are due as were not served in time. Unlike the time until
/// throughput is back it needs no quiet time behind each fault.
fn lost(part: &UnderFaults) -> f64 {
    let due = (1.0 - part.share) * count(part.due) / part.rate.max(f64::MIN_POSITIVE);
    due / stats::real(part.faults.len().max(1))
}
