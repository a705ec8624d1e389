use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Measurement, Pacing, Point, Settings, ThresholdOutcome};

/// What one stress test found: the document of `--json`. Times are seconds, rates are per second, shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StressReport {
    /// The version of this format; it changes when a field changes its meaning or goes.
    pub format: u32,
    /// This program's version.
    pub program: String,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario is about, in a line.
    pub about: String,
    /// The profile that the workload and the settings come from.
    pub profile: String,
    /// The target, without its password.
    pub target: String,
    /// The database's name and version.
    pub server: String,
    /// Processors, memory and system of the machine that drove the load.
    pub machine: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// The seed of everything random.
    pub seed: u64,
    /// The settings under test.
    pub settings: Settings,
    /// What was offered.
    pub load: StressLoad,
    /// What was measured.
    pub measurement: Measurement,
    /// The time line.
    pub series: Vec<Point>,
    /// The distribution of response times: the steps of an HDR percentile ladder.
    pub ladder: Vec<Rung>,
    /// What the figures point to.
    pub findings: Vec<Finding>,
    /// The thresholds, each with what was measured.
    pub thresholds: Vec<ThresholdOutcome>,
    /// The threshold that ended the test early, because it could not be met any more.
    #[serde(default)]
    pub ended_by: Option<String>,
    /// Whether all thresholds hold.
    pub passed: bool,
    /// What a reader must know before trusting the figures.
    pub warnings: Vec<String>,
}

/// The load of a stress test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StressLoad {
    /// Most requests at once.
    pub workers: u32,
    /// When requests begin.
    pub pacing: Pacing,
    /// Pause between a worker's requests, in seconds; a closed loop only.
    pub think_time: Option<f64>,
    /// The planned length, in seconds.
    pub seconds: f64,
}

/// A step of a percentile ladder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// From 0 to 100.
    pub percentile: f64,
    /// This share of the times is no longer than this, in seconds.
    pub seconds: f64,
    /// How many times that are.
    pub count: u64,
}

/// Something that the figures point to, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule that found it, in snake case.
    pub rule: String,
    /// What is the matter, in a few words.
    pub title: String,
    /// The figures that it rests on, each as a phrase.
    pub evidence: Vec<String>,
    /// What to change, as a sentence.
    pub remedy: String,
    /// How much it matters.
    pub severity: Severity,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It costs throughput or time.
    Warning,
    /// Requests fail because of it, or the figures cannot be trusted.
    Serious,
}

impl Severity {
    /// Every severity, the least serious first.
    pub const ALL: [Self; 3] = [Self::Note, Self::Warning, Self::Serious];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Serious => "serious",
        }
    }
}
