//! The charts of the page: each a function of the recommendation and the trials, and none where there is nothing to show.

mod effects;
mod incidents;
mod search;
mod sizes;
mod verification;

pub(super) use effects::{on_loss, on_throughput};
pub(super) use incidents::{lost, predictions, recovery, under_faults};
pub(super) use search::{success, tried};
pub(super) use sizes::{knee, throughput};
pub(super) use verification::pairs;

use crate::{
    model::{Recommendation, Settings},
    report::ReportedTrial,
};

/// A trial under the run's load, with the number that it has in the run.
#[derive(Clone, Copy, Debug)]
struct Numbered<'a> {
    number: u32,
    trial: ReportedTrial<'a>,
}

/// The trials under the run's load. Probes and compressed trials have figures of another kind, and keep their numbers.
fn under_load<'a>(trials: &[ReportedTrial<'a>]) -> Vec<Numbered<'a>> {
    (1..)
        .zip(trials)
        .filter(|(_, trial)| !matches!(trial.phase, "probe" | "compressed"))
        .map(|(number, trial)| Numbered { number, trial: *trial })
        .collect()
}

/// The settings in use.
fn in_use(recommendation: &Recommendation) -> Settings {
    recommendation.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()))
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
