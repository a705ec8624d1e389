use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Estimate, Settings};

/// What earlier runs on the same target and profile had to do with a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// Earlier runs whose trials the search was told, newest first.
    pub runs: Vec<String>,
    /// Probability of first trials as far from what those let expect, if nothing has changed; `None` without such runs.
    pub p_value: Option<f64>,
    /// Whether they were dropped because the first trials disagreed with them.
    pub dropped: bool,
    /// What became of what stood recommended; `None` where nothing did, and nothing does.
    pub standing: Option<Judged>,
    /// In what the settings in use differ from their own history by more than chance.
    pub drift: Vec<Drift>,
}

/// What a run has made of what stands recommended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// What became of it.
    pub outcome: StandingOutcome,
    /// The settings that stood; for [`StandingOutcome::First`] those that stand now.
    pub settings: Settings,
    /// The run that had recommended them.
    pub run: String,
    /// When that run began, RFC 3339 in UTC.
    pub since: String,
    /// Their throughput over that of the settings in use, tonight; `None` where they are those in use.
    pub against_in_use: Option<Estimate>,
    /// The settings that were set against them, if any were worth it.
    pub challenger: Option<Challenger>,
    /// Whether it was judged as a first recommendation is, because what was known before holds no more since this night or the last.
    #[serde(default, skip_serializing_if = "is_false")]
    pub anew: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Settings that were set against those that stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Challenger {
    /// The settings.
    pub settings: Settings,
    /// Their throughput over that of those that stand.
    pub ratio: Estimate,
    /// Pairs of trials.
    pub pairs: u32,
}

/// What became of what stood recommended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingOutcome {
    /// Nothing stood before; from now on these settings do.
    First,
    /// It stands.
    Stands,
    /// Others take its place.
    Replaced,
    /// It was shown worse than the settings in use, and nothing takes its place.
    Withdrawn,
}

/// A figure of the settings in use that has left its own history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// Which.
    pub of: Drifting,
    /// By how much it is larger than in the runs before, relatively (−0.23 is 23 % less), with the interval that chance leaves.
    pub change: Estimate,
    /// How many runs before.
    pub runs: u32,
}

/// A figure whose history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drifting {
    /// Successful requests a second.
    Throughput,
    /// The 95th percentile of query time.
    P95Query,
}
