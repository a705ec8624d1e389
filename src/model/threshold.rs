use serde::{Deserialize, Serialize};

/// A condition that a stress test has to meet, with what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdOutcome {
    /// The condition as it was written.
    pub threshold: String,
    /// What was measured, in the metric's unit (seconds, a share, a number); `None` when there was nothing to measure.
    pub measured: Option<f64>,
    /// Whether it holds; what was not measured does not.
    pub holds: bool,
}
