use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A closed interval of a real quantity, `low <= high`; the confidence level is said where it is made. An end may be
/// infinite, where too few figures bound it; JSON, which has no infinity, has `null` there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    #[serde(deserialize_with = "low")]
    pub low: f64,
    /// Upper end.
    #[serde(deserialize_with = "high")]
    pub high: f64,
}

fn low<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

fn high<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

impl Interval {
    /// Whether `value` lies inside, ends included.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A point estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Interval,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_end_reads_back() {
        for interval in [
            Interval { low: f64::NEG_INFINITY, high: f64::INFINITY },
            Interval { low: 0.1 + 0.2, high: f64::INFINITY },
            Interval { low: -1.0, high: 1.0 / 3.0 },
        ] {
            let text = serde_json::to_string(&interval).unwrap();
            assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), interval, "{text}");
        }
    }
}
