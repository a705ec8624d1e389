use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Evidence, Scale, Setting, Settings, Value, ValueError};

/// One dimension of a search: a setting that a trial can decide, with the ends of its range in the setting's unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// The setting that varies.
    pub setting: Setting,
    /// The smallest value to try.
    pub low: f64,
    /// The largest value to try.
    pub high: f64,
}

/// What a search may vary, and what it starts from.
///
/// Every setting that is not an axis keeps its value in `baseline`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// The settings in use today; a baseline may lie outside the axes' ranges.
    pub baseline: Settings,
    /// The settings to vary, in the order of the table.
    pub axes: Vec<Axis>,
}

/// A range that no search can use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// The range holds no value.
    #[error("the range of `{setting}` is {low}..{high}: expected the lower end first")]
    Empty {
        /// The setting.
        setting: Setting,
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// An end of the range is not legal.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The setting has no range.
    #[error("`{0}` has no range: pin it to a value instead")]
    NotANumber(Setting),
}

impl Axis {
    /// The setting's recommended range.
    ///
    /// # Errors
    /// [`SpaceError::NotANumber`] for a setting whose value is SQL.
    pub fn recommended(setting: Setting) -> Result<Self, SpaceError> {
        let (low, high) = setting.spec().recommended;
        Self::new(setting, low, high)
    }

    /// A range of a setting, ends included.
    ///
    /// # Errors
    /// [`SpaceError`] when the setting has no range, an end is not legal, or the ends are in the wrong order.
    pub fn new(setting: Setting, low: f64, high: f64) -> Result<Self, SpaceError> {
        if setting.spec().scale == Scale::Choice {
            return Err(SpaceError::NotANumber(setting));
        }
        Value::from_number(setting, low)?;
        Value::from_number(setting, high)?;
        if low > high {
            return Err(SpaceError::Empty { setting, low, high });
        }
        Ok(Self { setting, low, high })
    }

    /// Whether a trial can decide the setting; some act only in trials `with_faults`.
    #[must_use]
    pub fn decidable(setting: Setting, with_faults: bool) -> bool {
        let shown = match setting.spec().decided_by {
            Evidence::Trial => true,
            Evidence::TrialWithFaults => with_faults,
            Evidence::Simulation => false,
        };
        shown && setting.spec().scale != Scale::Choice
    }
}

/// What settings must satisfy to be recommended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// The success rate that must be exceeded, 0 to 1.
    pub success_rate: f64,
    /// The longest 95th percentile of query time allowed, in seconds.
    pub p95_query: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { success_rate: 0.99, p95_query: None }
    }
}
