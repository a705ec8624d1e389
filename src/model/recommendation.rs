use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{Estimate, Evidence, Interval, Limits, Memory, Setting, Settings, SimulationEvidence, Value};

/// What a run concludes. Everything in it but its [`Memory`] was measured in that run; no part of it depends on the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// How the run was done, enough to repeat it.
    pub provenance: Provenance,
    /// The answer in one word, with what it rests on.
    pub verdict: Verdict,
    /// One row a setting, in the order of the table.
    pub rows: Vec<Row>,
    /// Throughput under the settings in use and under the recommended ones; equal when nothing changes.
    pub throughput: Throughput,
    /// The paired comparison, when one was run.
    pub verification: Option<Verification>,
    /// What the trials' fault parts showed, where they had one. Effects and the verification's ratio are then of
    /// throughput with faults counted by their weight ([`Measurement::weighted_throughput`](super::Measurement)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_faults: Option<FaultEvidence>,
    /// What a simulation of operation showed, where one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<SimulationEvidence>,
    /// Throughput against connections, when it could be fitted.
    pub curve: Option<ThroughputCurve>,
    /// Why there is no curve, when there is none.
    pub no_curve: Option<String>,
    /// Things learnt on the way that decide no setting.
    pub insights: Vec<Insight>,
    /// What a reader must know before trusting the answer (a saturated load generator, disturbed trials, a cut range).
    pub warnings: Vec<String>,
    /// What earlier runs had to do with it, where the run was to know of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

impl Recommendation {
    /// The recommended settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.rows.iter().fold(Settings::default(), |settings, row| settings.with(row.setting, row.now.clone()))
    }
}

/// How a run was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The run's id, the name of its folder in `results`.
    pub run: String,
    /// The profile's name.
    pub profile: String,
    /// The profile's file, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_file: Option<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// What the command line changed of the profile, as its words: `--pin`, `max_connections=20`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// This program's version.
    pub program: String,
    /// The target, without its password.
    pub target: String,
    /// The database's name and version.
    pub server: String,
    /// Processors, memory and system of the machine that drove the load.
    pub machine: String,
    /// Concurrent workers of the load.
    pub workers: u32,
    /// Pools that shared the server, each with the settings that are told.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub instances: u32,
    /// The limits that a recommendation must keep.
    pub limits: Limits,
    /// Trials of the search, verification not included.
    pub search_trials: u32,
    /// Why the search stopped.
    pub stopped_because: String,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(instances: &u32) -> bool {
    *instances == 1
}

/// The answer of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Verdict {
    /// The recommended settings are better than those in use: a paired verification excludes "no better".
    Better,
    /// Keep what trials can decide; change settings that act too slowly for them, by which a simulated day loses less.
    Simulated {
        /// Why what trials can decide is kept, as a sentence.
        reason: String,
    },
    /// Keep what is in use.
    Keep {
        /// Why, as a sentence.
        reason: String,
    },
    /// No settings in the range keep the limits.
    Infeasible {
        /// Which limit fails, by how much, and what would have to give, as sentences.
        reason: String,
    },
}

/// What the fault parts of a run's trials showed. Shares are of requests served in time, with the 95 % interval of their mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultEvidence {
    /// The share of operating time that is under faults, as the profile says.
    pub weight: f64,
    /// A request was served in time within so many seconds from when it was meant to start.
    pub deadline: f64,
    /// Requests a second that were offered.
    pub rate: f64,
    /// The share under the settings in use.
    pub was: Estimate,
    /// The share under the settings that were verified against them, if any were.
    pub tried: Option<Estimate>,
    /// Plain throughput of the verified settings over that of the settings in use, without faults.
    pub throughput_ratio: Option<Estimate>,
}

/// What decided the value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// Trials, confirmed by the verification.
    Trial,
    /// Trials in their part under faults, confirmed by the verification.
    TrialWithFaults,
    /// A simulation of operation, with what trials measured.
    Simulation,
    /// Nothing: the present value is kept.
    Kept,
    /// A person, who pinned it.
    Pinned,
}

/// The recommendation for one setting.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// The setting.
    pub setting: Setting,
    /// The value in use.
    pub was: Value,
    /// The recommended value.
    pub now: Value,
    /// What decided it.
    pub decided_by: DecidedBy,
    /// Relative change of throughput, faults counted, due to this setting alone (0.12 is 12 % more), with its 95 % interval; for a
    /// setting kept after trials, the largest change that trials suggested. For a setting that acts too slowly for trials, the
    /// relative change of what a simulated day loses (−0.2 is a fifth less): see [`Row::is_of_loss`]. `None` where nothing
    /// could show one.
    pub effect: Option<Estimate>,
    /// Why, in a few words.
    pub why: String,
}

impl Row {
    /// Whether the effect is one on what a simulated day loses, and not on throughput.
    #[must_use]
    pub fn is_of_loss(&self) -> bool {
        self.setting.spec().decided_by == Evidence::Simulation
    }
}

/// What a value is depends on its setting, so it is read as plain data first.
impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            setting: Setting,
            was: serde_json::Value,
            now: serde_json::Value,
            decided_by: DecidedBy,
            effect: Option<Estimate>,
            why: String,
        }
        let raw = Raw::deserialize(deserializer)?;
        let value = |value| Value::from_json(raw.setting, value).map_err(D::Error::custom);
        Ok(Self {
            setting: raw.setting,
            was: value(&raw.was)?,
            now: value(&raw.now)?,
            decided_by: raw.decided_by,
            effect: raw.effect,
            why: raw.why,
        })
    }
}

/// Throughput in successful requests a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Under the settings in use.
    pub was: Estimate,
    /// Under the recommended settings.
    pub now: Estimate,
}

/// The paired comparison of the settings in use with the best ones found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Pairs of trials that counted.
    pub pairs: u32,
    /// Pairs that there would have been, had not the early look after half of them been clear already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u32>,
    /// The settings that were compared with those in use.
    pub candidate: Settings,
    /// Throughput of the candidate over throughput of the settings in use, faults counted by their weight; where faults alone
    /// decide, what they leave of throughput with the one over what they leave with the other.
    pub ratio: Estimate,
    /// Whether what faults leave of throughput decides alone, because the candidate differs in nothing that acts without them.
    #[serde(default)]
    pub by_faults_alone: bool,
    /// Success rate under the settings in use, with its 95 % Clopper–Pearson interval.
    pub success_was: Estimate,
    /// Success rate of the candidate, likewise.
    pub success_now: Estimate,
}

/// Throughput against connections: the Universal Scalability Law, `X(N) = λN / (1 + σ(N−1) + κN(N−1))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputCurve {
    /// λ, requests a second that one connection alone would serve.
    pub lambda: Estimate,
    /// σ, the contention: the share of work that is serial.
    pub sigma: Estimate,
    /// κ, the crosstalk: what each pair of connections costs.
    pub kappa: Estimate,
    /// Connections at the peak; `None` when the curve has no peak inside the range tried.
    pub optimum: Option<Estimate>,
    /// What must be said of the peak: why there is none inside the range, or that the data cannot tell.
    pub remark: Option<String>,
    /// The range of connections tried.
    pub range: Interval,
    /// What was measured: connections, mean throughput, number of trials.
    pub points: Vec<CurvePoint>,
    /// The fitted curve at each point: throughput and mean response time of a worker's request.
    pub fitted: Vec<FittedPoint>,
}

/// The trials at one number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Connections.
    pub connections: u32,
    /// Mean throughput, requests a second.
    pub throughput: f64,
    /// How many trials it is the mean of.
    pub trials: u32,
}

/// The fitted curves at one number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FittedPoint {
    /// Connections.
    pub connections: u32,
    /// Throughput with the band of its 95 % interval.
    pub throughput: Estimate,
    /// Mean response time in seconds, waiting for a connection included.
    pub response_time: f64,
}

/// Something learnt that decides no setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Insight {
    /// What it is about, in a few words.
    pub title: String,
    /// What was found, as a sentence, with its figures.
    pub text: String,
    /// The effect behind it, where there is one: a relative change of throughput.
    pub effect: Option<Estimate>,
}
