use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the settings of a connection pool that the program knows.
///
/// The enum gives the name in code; [`Spec`] (a row of [`Setting::TABLE`]) gives everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the table below documents each variant, once")]
pub enum Setting {
    MinConnections,
    MaxConnections,
    ConnectionTimeout,
    ConnectionLifetime,
    IdleTimeout,
    HealthCheckInterval,
    RetryAttempts,
    InitialRetryDelay,
    MaxRetryDelay,
    RetryJitterFactor,
    ValidationQuery,
    ValidationTimeout,
    CircuitBreakerThreshold,
    CircuitBreakerTimeout,
    CircuitBreakerReset,
}

/// The unit of a setting in files that a person reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole number of things.
    Count,
    /// Seconds, fractions allowed.
    Seconds,
    /// A share without a unit.
    Factor,
    /// A statement in SQL; empty means that nothing is run.
    Sql,
}

/// The scale on which a search moves through a setting's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Whole numbers, evenly spaced.
    Integer,
    /// Evenly spaced.
    Linear,
    /// Evenly spaced in the logarithm.
    Log,
    /// A choice between values; not searched as a number.
    Choice,
}

/// What kind of evidence is able to decide a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A short trial shows its effect.
    Trial,
    /// A trial shows its effect only while faults are injected.
    TrialWithFaults,
    /// It acts over minutes to hours, or rarely; only a simulation in virtual time shows its effect.
    Simulation,
}

/// A row of the settings table.
#[derive(Debug)]
pub struct Spec {
    /// The setting that the row describes.
    pub setting: Setting,
    /// The name in files, flags and reports.
    pub name: &'static str,
    /// The unit in files.
    pub unit: Unit,
    /// The default, in the unit; unused for [`Unit::Sql`], whose default is `sql`.
    pub default: f64,
    /// The default of a [`Unit::Sql`] setting.
    pub sql: &'static str,
    /// The recommended range, in the unit.
    pub recommended: (f64, f64),
    /// The smallest and the largest legal value.
    pub legal: (f64, f64),
    /// How a search moves through the range.
    pub scale: Scale,
    /// What can decide it.
    pub decided_by: Evidence,
    /// What it means, in a line.
    pub about: &'static str,
}

/// A row with a number as its value.
macro_rules! row {
    ($setting:ident, $name:literal, $unit:ident, $default:literal, $low:literal ..= $high:literal,
     legal $floor:literal ..= $ceiling:literal, $scale:ident, $evidence:ident, $about:literal) => {
        Spec {
            setting: Setting::$setting,
            name: $name,
            unit: Unit::$unit,
            default: $default,
            sql: "",
            recommended: ($low, $high),
            legal: ($floor, $ceiling),
            scale: Scale::$scale,
            decided_by: Evidence::$evidence,
            about: $about,
        }
    };
}

impl Setting {
    /// Every setting, in the order in which files list them.
    ///
    /// Names, defaults and recommended ranges are the tuning guide's, but `validation_timeout`'s range, which is ours.
    pub const TABLE: [Spec; 15] = [
        row!(MinConnections, "min_connections", Count, 2.0, 2.0..=5.0, legal 0.0..=10_000.0, Integer, Trial,
            "connections kept open when idle"),
        row!(MaxConnections, "max_connections", Count, 10.0, 10.0..=30.0, legal 1.0..=10_000.0, Integer, Trial,
            "most connections of one pool open at once"),
        row!(ConnectionTimeout, "connection_timeout", Seconds, 30.0, 5.0..=30.0, legal 0.001..=3600.0, Log, Simulation,
            "longest wait to be handed a connection"),
        row!(ConnectionLifetime, "connection_lifetime", Seconds, 3600.0, 1800.0..=3600.0, legal 0.1..=604_800.0, Log,
            Simulation, "age past which a connection is closed, never in use"),
        row!(IdleTimeout, "idle_timeout", Seconds, 300.0, 180.0..=600.0, legal 0.05..=604_800.0, Log, Simulation,
            "idle time past which a connection above the minimum is closed"),
        row!(HealthCheckInterval, "health_check_interval", Seconds, 60.0, 30.0..=120.0, legal 0.05..=86_400.0, Log,
            Simulation, "how often idle connections are validated"),
        row!(RetryAttempts, "retry_attempts", Count, 3.0, 3.0..=5.0, legal 0.0..=100.0, Integer, TrialWithFaults,
            "tries after the first failed one"),
        row!(InitialRetryDelay, "initial_retry_delay", Seconds, 0.2, 0.1..=0.5, legal 0.001..=60.0, Log,
            TrialWithFaults, "delay before the first retry; doubles each time"),
        row!(MaxRetryDelay, "max_retry_delay", Seconds, 10.0, 5.0..=15.0, legal 0.001..=600.0, Log, Simulation,
            "cap of the delay between retries"),
        row!(RetryJitterFactor, "retry_jitter_factor", Factor, 0.1, 0.05..=0.2, legal 0.0..=1.0, Linear, Simulation,
            "random share of the delay, against thundering herds"),
        Spec {
            setting: Self::ValidationQuery,
            name: "validation_query",
            unit: Unit::Sql,
            default: 0.0,
            sql: "SELECT 1",
            recommended: (0.0, 0.0),
            legal: (0.0, 0.0),
            scale: Scale::Choice,
            decided_by: Evidence::Trial,
            about: "run on a connection before it is handed out; empty means not at all",
        },
        row!(ValidationTimeout, "validation_timeout", Seconds, 5.0, 1.0..=5.0, legal 0.001..=600.0, Log, Simulation,
            "a validation slower than this counts as a dead connection"),
        row!(CircuitBreakerThreshold, "circuit_breaker_threshold", Count, 5.0, 3.0..=10.0, legal 1.0..=10_000.0,
            Integer, TrialWithFaults, "consecutive failures that open the circuit"),
        row!(CircuitBreakerTimeout, "circuit_breaker_timeout", Seconds, 30.0, 10.0..=60.0, legal 0.001..=3600.0, Log,
            Simulation, "time that the circuit stays open before a probe"),
        row!(CircuitBreakerReset, "circuit_breaker_reset", Count, 2.0, 1.0..=3.0, legal 1.0..=1000.0, Integer,
            Simulation, "successes in half-open that close the circuit"),
    ];

    /// Every setting, in the order of the table.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        Self::TABLE.iter().map(|spec| spec.setting)
    }

    /// The setting's row.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        const TABLE: &[Spec; 15] = &Setting::TABLE;
        &TABLE[self as usize]
    }

    /// The name in files, flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no setting's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a setting: did you mean `{nearest}`?")]
pub struct UnknownSetting {
    /// What was written.
    pub name: String,
    /// The nearest name there is.
    pub nearest: &'static str,
}

impl FromStr for Setting {
    type Err = UnknownSetting;

    fn from_str(name: &str) -> Result<Self, UnknownSetting> {
        Self::all().find(|setting| setting.name() == name).ok_or_else(|| UnknownSetting {
            name: name.to_owned(),
            nearest: Self::all()
                .map(Self::name)
                .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, spec) in Setting::TABLE.iter().enumerate() {
            assert_eq!(spec.setting as usize, index, "{}", spec.name);
        }
    }

    #[test]
    fn defaults_are_legal_and_ranges_are_ordered() {
        for spec in Setting::TABLE.iter().filter(|spec| spec.unit != Unit::Sql) {
            assert!(spec.legal.0 <= spec.recommended.0 && spec.recommended.1 <= spec.legal.1, "{}", spec.name);
            assert!(spec.recommended.0 < spec.recommended.1, "{}", spec.name);
            assert!(spec.legal.0 <= spec.default && spec.default <= spec.legal.1, "{}", spec.name);
        }
    }

    #[test]
    fn a_name_with_a_slip_gets_the_nearest_one() {
        let error = "max_conections".parse::<Setting>().unwrap_err();
        assert_eq!(error.nearest, "max_connections");
    }
}
