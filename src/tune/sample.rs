//! What a simulation can be calibrated with, of what a run has stored.

use super::Phase;
use crate::{
    profile::Profile,
    simulate::{Connecting, Measured, Sample},
    store::TrialRecord,
};

/// The trials and probes of a run that a simulation can be calibrated with: closed loops, and undisturbed ones where there are
/// enough.
#[must_use]
pub fn sample(run: &str, server: &str, profile: &Profile, trials: &[TrialRecord]) -> Sample {
    let is_loop = |trial: &&TrialRecord| Phase::is_of_settings(&trial.phase) && trial.measurement.throughput > 0.0;
    let all: Vec<_> = trials.iter().filter(is_loop).collect();
    let quiet: Vec<_> = all.iter().filter(|trial| !trial.measurement.cpu.disturbed).copied().collect();
    let chosen = if 2 * quiet.len() > all.len() { quiet } else { all };
    let probes = trials.iter().filter(|trial| trial.phase == Phase::Probe.name());
    Sample {
        source: format!("run {run} on {server}"),
        workers: profile.workers,
        think_time: profile.workload.think_time.unwrap_or_default().as_secs_f64(),
        trials: chosen
            .into_iter()
            .map(|trial| Measured { settings: trial.settings.clone(), measurement: trial.measurement.clone() })
            .collect(),
        connecting: probes
            .map(|trial| Connecting { at_once: trial.settings.max_connections(), open: trial.measurement.acquire.open })
            .collect(),
    }
}
