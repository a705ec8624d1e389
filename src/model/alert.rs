use serde::Serialize;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The settings in use do not keep the success rate.
    Success,
    /// The settings in use serve more or less than they did.
    Drift,
    /// A run ended without an answer.
    RunFailed,
    /// Other settings are recommended than before.
    Recommendation,
    /// The circuit breaker opens with the settings in use, although nothing was broken on purpose.
    Breaker,
    /// What is watched shows something serious.
    Finding,
    /// What is recommended misses a threshold of a stress test.
    Stress,
    /// Somebody wants to know whether alerts arrive.
    Test,
}

impl AlertKind {
    /// Every kind that something gives rise to.
    pub const ALL: [Self; 7] =
        [Self::Success, Self::Drift, Self::RunFailed, Self::Recommendation, Self::Breaker, Self::Finding, Self::Stress];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Drift => "drift",
            Self::RunFailed => "run_failed",
            Self::Recommendation => "recommendation",
            Self::Breaker => "breaker",
            Self::Finding => "finding",
            Self::Stress => "stress",
            Self::Test => "test",
        }
    }
}

/// Something that a person should be told, wherever they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// In a few words.
    pub title: String,
    /// With figures, as sentences.
    pub text: String,
    /// The experiment or the monitor that it comes from.
    pub source: String,
    /// The run, if it comes from one.
    pub run: Option<String>,
}
