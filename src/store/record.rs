use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Standing;
use crate::model::{Measurement, Recommendation, Settings, Throughput, Verdict};

/// What is known of a run when it begins; enough to go on with it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// The run's id, the name of its folder.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// The profile's name, or the path of its file.
    pub profile_name: String,
    /// The profile's file, where it was one.
    #[serde(default)]
    pub profile_file: Option<String>,
    /// The profile's text.
    pub profile_source: String,
    /// Settings pinned on the command line, as written there.
    pub pins: Vec<String>,
    /// Ranges given on the command line, as written there.
    pub ranges: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// The target, without its password.
    pub target: String,
    /// The database's name and version.
    pub server_version: String,
    /// The server's own settings worth knowing.
    pub server_settings: serde_json::Map<String, serde_json::Value>,
    /// The machine that drove the load.
    pub machine: String,
    /// This program's version.
    pub program_version: String,
    /// The prefix of the names in config.py.
    pub prefix: String,
    /// The process that runs it.
    pub pid: u32,
    /// Trials of the search, where the command line said so.
    pub trials: Option<u32>,
    /// Pairs of the verification, where the command line said so.
    pub pairs: Option<u32>,
    /// Pools that share the server, where the command line said so.
    #[serde(default)]
    pub instances: Option<u32>,
    /// The longest that it should take in seconds, where its experiment said so.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// The experiment that it belongs to.
    #[serde(default)]
    pub experiment: Option<String>,
    /// The round of that experiment.
    #[serde(default)]
    pub round: Option<i64>,
    /// What it knows of earlier runs, where it is to know of them; fixed when it begins, so that it is the same when it is gone on with.
    #[serde(default)]
    pub recalled: Option<Recalled>,
}

/// What a run knows of earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// What stands recommended.
    pub standing: Option<Standing>,
    /// Earlier runs that asked the same, newest first.
    pub runs: Vec<RecalledRun>,
}

/// An earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecalledRun {
    /// Its id.
    pub run: String,
    /// Days from its beginning to that of the run that knows of it.
    pub days: f64,
    /// Whether the search is told its trials; the history of the settings in use goes further back.
    pub searched: bool,
    /// Whether it dropped what it knew, because its first trials disagreed.
    #[serde(default)]
    pub dropped: bool,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes on, or was killed.
    Running,
    /// It has its answer.
    Finished,
    /// It was stopped by a person.
    Interrupted,
    /// It ended without an answer.
    Failed,
}

impl RunStatus {
    pub(super) const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// What was known when it began.
    pub intent: NewRun,
    /// How far it has come.
    pub status: RunStatus,
    /// Its answer, once it has finished.
    pub recommendation: Option<Recommendation>,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// The profile's name.
    pub profile: String,
    /// The target, without its password.
    pub target: String,
    /// The experiment that it belongs to.
    pub experiment: Option<String>,
    /// How far it has come.
    pub status: RunStatus,
    /// How many trials are stored.
    pub trials: u32,
    /// The answer, once it has one.
    pub verdict: Option<Verdict>,
}

/// The answer of a run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RunAnswer {
    /// The run's id.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// What it says.
    pub verdict: Verdict,
    /// Throughput before and after.
    pub throughput: Throughput,
}

/// A trial as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRecord {
    /// Its number in the run, from 1.
    pub sequence: u32,
    /// The phase that it belongs to.
    pub phase: String,
    /// Why its settings were tried, in a word.
    pub why: String,
    /// The settings.
    pub settings: Settings,
    /// What was measured.
    pub measurement: Measurement,
    /// How often it was repeated because other programs disturbed it; only the last time is kept.
    pub repeats: u32,
    /// When it began, seconds since 1970.
    pub started_at: i64,
}
