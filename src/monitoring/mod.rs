//! The monitoring kit of a run: Prometheus rules whose thresholds the run has verified, unit tests for them, a Grafana
//! dashboard and a runbook.
//!
//! In: a recommendation, the trials behind it, and whose metrics the application has. Out: texts. Nothing is written here.
//! Only [`Library`]'s rows know names of metrics: recording rules give every figure one name, and alerts and dashboard
//! are made of those.

mod alerts;
mod dashboard;
mod library;
mod recording;
mod rule_tests;
mod rules;
mod runbook;
mod thresholds;

pub use library::{LIBRARIES, Library, UnknownLibrary};
pub use thresholds::{NothingToWatch, Thresholds};

use crate::{
    model::Recommendation,
    report::{ReportedTrial, words::one_line},
};

/// The names of the kit's files.
pub const FILES: [&str; 4] = ["rules.yaml", "rules_test.yaml", "dashboard.json", "runbook.md"];

/// Where a page of the kit's came from, in one line.
struct Origin {
    run: String,
    profile: String,
    program: String,
}

impl Origin {
    fn sentence(&self) -> String {
        let Self { run, profile, program } = self;
        format!("Made by pool-tune {program} of run {run} (profile {profile})")
    }
}

/// Makes the kit: its files with their contents, in the order of [`FILES`]. `runbook` is where alerts say that the runbook is.
///
/// # Errors
/// [`NothingToWatch`] when the run has found no settings that keep its limits.
pub fn kit(
    recommendation: &Recommendation,
    trials: &[ReportedTrial<'_>],
    library: &Library,
    runbook: &str,
) -> Result<Vec<(&'static str, String)>, NothingToWatch> {
    let thresholds = Thresholds::of(recommendation, trials)?;
    let provenance = &recommendation.provenance;
    let origin = Origin {
        run: one_line(&provenance.run),
        profile: one_line(&provenance.profile),
        program: one_line(&provenance.program),
    };
    let [rules, tests, dashboard, book] = FILES;
    Ok(vec![
        (rules, rules::yaml(library, &thresholds, &origin, runbook)),
        (tests, rule_tests::yaml(library, &thresholds, &origin)),
        (dashboard, dashboard::json(library, &thresholds, &origin)),
        (book, runbook::markdown(library, &thresholds, &origin)),
    ])
}

#[cfg(test)]
mod tests;
