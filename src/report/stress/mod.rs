//! A stress test in words: tables of texts that whoever prints them draws.

mod compare;
mod tables;

pub use compare::{Comparison, Incomparable, comparable, compare};
use hdrhistogram::Histogram;
pub use tables::{Grid, breaker, fault_in_words, findings_grid, measured_in_words, sections, suite_grid};

use crate::model::Rung;

/// Steps of the ladder for each halving of what is left to 100 %; as HdrHistogram's own tools print it.
const TICKS: u32 = 5;

/// The steps of a percentile ladder of times that were recorded in `unit`s of seconds.
#[must_use]
pub fn ladder(times: &Histogram<u32>, unit: f64) -> Vec<Rung> {
    let mut count = 0;
    times
        .iter_quantiles(TICKS)
        .map(|step| {
            count += step.count_since_last_iteration();
            #[expect(clippy::cast_precision_loss, reason = "units of an hour are far below 2^53")]
            let seconds = step.value_iterated_to() as f64 * unit;
            Rung { percentile: step.quantile_iterated_to() * 100.0, seconds, count }
        })
        .collect()
}

#[cfg(test)]
mod tests;
