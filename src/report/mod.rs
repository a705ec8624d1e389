//! A recommendation in words and charts: the pages `summary.md` and `report.html`, two runs side by side, the rows of the terminal's table, the verdict in a sentence.
//!
//! In: a [`Recommendation`](crate::model::Recommendation) and the trials behind it; out: text. Nothing is written or
//! printed here, and there is no clock: the same run gives the same bytes.

mod beside;
mod curve;
mod faults;
pub(crate) mod figures;
mod markdown;
mod metrics;
mod page;
#[cfg(test)]
pub(crate) mod samples;
mod simulation;
mod stress;
mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use beside::{Beside, side_by_side};
pub(crate) use metrics::measured;
pub use page::{Past, STYLE, history_html, report_html, trials_html};
pub(crate) use simulation::{median_errors, prediction};
pub use stress::{
    Comparison, Grid, Incomparable, breaker, comparable, compare, fault_in_words, findings_grid, ladder,
    measured_in_words, sections, suite_grid,
};
pub use summary::summary_md;
pub use words::{faults_sentence, fleet_sentence, table, timeline_in_words, verdict_sentence};

use crate::model::{Measurement, Settings};

/// A trial as the report takes it.
#[derive(Clone, Copy, Debug)]
pub struct ReportedTrial<'a> {
    /// The phase that it belongs to: baseline, search, insight, verification.
    pub phase: &'a str,
    /// Why it was made.
    pub why: &'a str,
    /// The settings that it ran with.
    pub settings: &'a Settings,
    /// What it measured.
    pub measurement: &'a Measurement,
}
