use serde::{Deserialize, Serialize};

use crate::model::{Estimate, Setting, Settings, Value};

/// How to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The number of trials, repeats of the baseline included, that are never exceeded.
    pub max_trials: usize,
    /// The success rate (0 to 1) that settings must exceed to be recommended.
    pub success_limit: f64,
    /// The seed of every random choice.
    pub seed: u64,
    /// A gain of throughput (0.01 for 1 %) not worth more trials: the search stops when the highest expected improvement
    /// of any settings on the best ones stays below it over `patience` proposals.
    pub negligible_gain: f64,
    /// See `negligible_gain`; 0 means that the whole budget is used.
    pub patience: usize,
}

impl Config {
    /// The recommended search of at most `max_trials` trials for settings with a success rate above `success_limit`.
    #[must_use]
    pub fn new(max_trials: usize, success_limit: f64, seed: u64) -> Self {
        Self { max_trials, success_limit, seed, negligible_gain: 0.01, patience: 5 }
    }
}

/// What one trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What is to be maximised: successful requests a second, with whatever else counts by its weight; 0 when nothing
    /// succeeded.
    pub throughput: f64,
    /// Relative standard error of the throughput within the trial, from its slices (their relative standard deviation
    /// over the root of their number). `None` when unknown. The spread between trials is learned, so this only matters
    /// for a trial that was much less steady than the others.
    pub throughput_error: Option<f64>,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Room under a limit on a latency: ln(limit / measured), above 0 when the limit is kept. `None` without such a limit.
    pub latency_margin: Option<f64>,
}

/// What an earlier search of the same space was told, on the same target.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Days from then to now; older trials count less.
    pub days: f64,
    /// Its trials. Those of the settings in use are what the others are relative to, so that a faster machine is no difference.
    pub trials: Vec<(Settings, Outcome)>,
}

/// Whether the first trials of a search are what earlier ones let expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Probability of trials at least as far from what was expected, if nothing has changed.
    pub p_value: f64,
    /// Whether what earlier searches were told goes on to count.
    pub agrees: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Make a trial and tell its outcome.
    Try(Proposal),
    /// Stop.
    Done(StopReason),
}

/// Settings to try, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The settings; within the space's ranges and the rules between settings, unless they are the baseline.
    pub settings: Settings,
    /// Why they are worth a trial.
    pub reason: Reason,
}

/// Why settings are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The settings in use today, repeated against drift.
    Baseline,
    /// Settings that were recommended before.
    Standing,
    /// A pool size that the throughput curve needs.
    Curve,
    /// A point of a low-discrepancy sequence, for an overview.
    Sobol,
    /// The settings that are expected to improve the recommendation most.
    Improve,
    /// Settings tried before, that are expected to improve the recommendation most when known better.
    Replicate,
}

/// Why a search stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The budget of trials is used up.
    Budget,
    /// Another trial is not expected to gain anything worth it.
    NothingToGain,
    /// No setting may vary.
    NothingToSearch,
}

/// What all trials together say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Answer {
    /// Settings that keep the limits.
    Feasible(Box<Recommendation>),
    /// No settings are known to keep the limits.
    Infeasible(Infeasible),
}

/// The recommended settings.
///
/// All intervals are 95 % credible intervals of the surrogate. The best settings are chosen by their expected, not their
/// best observed throughput, so that luck in a trial is not counted twice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// The settings; the baseline itself when nothing better is known.
    pub settings: Settings,
    /// Throughput to expect of them, requests a second: the mean of eight or more fresh trials made directly after the search.
    ///
    /// The interval covers what is unknown about the settings' throughput, the drift between the trials of the search and
    /// the fresh ones, and the noise of eight trials. It does not cover a change of the target.
    pub throughput: Estimate,
    /// Throughput over the baseline's, drift excluded.
    pub ratio: Estimate,
    /// Probability that the limits are kept.
    pub probability_feasible: f64,
    /// One effect for each axis of the space, in its order.
    pub effects: Vec<Effect>,
}

/// Whether a setting changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It changes.
    Changed,
    /// It stays at its present value.
    Kept,
}

/// What one searched setting does to throughput.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The setting.
    pub setting: Setting,
    /// Whether it changes.
    pub decision: Decision,
    /// The present value.
    pub was: Value,
    /// The recommended value.
    pub now: Value,
    /// For a changed setting the present value again; for a kept one the most promising other value.
    pub alternative: Value,
    /// For a changed setting: throughput of the recommendation over that of the recommendation with the present value put
    /// back. For a kept one: throughput with the alternative over that of the recommendation.
    pub ratio: Estimate,
    /// Whether the interval of the ratio excludes 1.
    pub distinguishable: bool,
}

/// Nothing is known to keep the limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Infeasible {
    /// The settings that most probably keep the limits.
    pub settings: Settings,
    /// Probability that they do.
    pub probability_feasible: f64,
    /// Their success rate, 0 to 1, with its 95 % credible interval.
    pub success_rate: Estimate,
    /// Their room under the limit on a latency, ln(limit / latency), where there is such a limit.
    pub latency_margin: Option<Estimate>,
}
