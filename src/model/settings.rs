use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};

use super::{Setting, Unit};

/// The value of one setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number of things.
    Count(u32),
    /// A time; seconds in files.
    Time(Duration),
    /// A share without a unit.
    Factor(f64),
    /// A statement in SQL; empty means that nothing is run.
    Sql(String),
}

/// A value that a setting cannot take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// A number where SQL is due, or the other way round.
    #[error("`{setting}` is {given}: expected {expected}")]
    Kind {
        /// The setting.
        setting: Setting,
        /// What was given.
        given: String,
        /// What is due.
        expected: &'static str,
    },
    /// A number outside what is legal.
    #[error("`{setting}` is {given}: expected a value from {low} to {high}")]
    Illegal {
        /// The setting.
        setting: Setting,
        /// What was given.
        given: f64,
        /// The smallest legal value.
        low: f64,
        /// The largest legal value.
        high: f64,
    },
}

impl Value {
    /// The value of `setting` that `number` stands for, in the setting's unit.
    ///
    /// # Errors
    /// [`ValueError`] when the setting is no number, the number is not legal, or a count is not whole.
    pub fn from_number(setting: Setting, number: f64) -> Result<Self, ValueError> {
        let spec = setting.spec();
        let (low, high) = spec.legal;
        if spec.unit == Unit::Sql {
            return Err(ValueError::Kind { setting, given: number.to_string(), expected: "a statement in SQL" });
        }
        if !(low..=high).contains(&number) {
            return Err(ValueError::Illegal { setting, given: number, low, high });
        }
        match spec.unit {
            Unit::Count if number.fract() != 0.0 => {
                Err(ValueError::Kind { setting, given: number.to_string(), expected: "a whole number" })
            }
            Unit::Count => Ok(Self::Count(whole(number))),
            Unit::Seconds => Ok(Self::Time(Duration::from_secs_f64(number))),
            Unit::Factor | Unit::Sql => Ok(Self::Factor(number)),
        }
    }

    /// The value of `setting` that a person wrote as `text`.
    ///
    /// # Errors
    /// As [`Value::from_number`], and when a number is due and `text` is none.
    pub fn from_text(setting: Setting, text: &str) -> Result<Self, ValueError> {
        if setting.spec().unit == Unit::Sql {
            return Ok(Self::Sql(text.to_owned()));
        }
        let number = text.trim().parse().map_err(|_| ValueError::Kind {
            setting,
            given: format!("\"{text}\""),
            expected: if setting.spec().unit == Unit::Seconds { "a number of seconds" } else { "a number" },
        })?;
        Self::from_number(setting, number)
    }

    /// The value of `setting` that [`Serialize`] wrote.
    pub(super) fn from_json(setting: Setting, value: &serde_json::Value) -> Result<Self, ValueError> {
        match value {
            serde_json::Value::String(text) => Self::from_text(setting, text),
            other => Self::from_number(setting, other.as_f64().unwrap_or(f64::NAN)),
        }
    }

    /// The value as a number in the setting's unit; `None` for SQL.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(f64::from(*count)),
            Self::Time(time) => Some(seconds(*time)),
            Self::Factor(factor) => Some(*factor),
            Self::Sql(_) => None,
        }
    }
}

/// Seconds rounded to the nanosecond, so that 0.2 s is written as 0.2 again.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e9
}

/// The one place where a checked whole `f64` becomes a count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => write!(f, "{}", seconds(*time)),
            Self::Factor(factor) => write!(f, "{factor}"),
            Self::Sql(sql) => write!(f, "'{sql}'"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Time(time) => number(seconds(*time), serializer),
            Self::Factor(factor) => number(*factor, serializer),
            Self::Sql(sql) => serializer.serialize_str(sql),
        }
    }
}

/// Writes a whole number without a fraction: 20, not 20.0, as the guide's files do.
#[expect(clippy::cast_possible_truncation, reason = "guarded by the bound")]
fn number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(number as i64)
    } else {
        serializer.serialize_f64(number)
    }
}

/// A value of every setting. Equal settings behave equally.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    values: Vec<Value>,
}

/// A rule between two settings that does not hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{left}` is {left_value} and `{right}` is {right_value}: {left} must {rule} {right}")]
pub struct BrokenRule {
    /// The setting on the left of the rule.
    pub left: Setting,
    /// Its value.
    pub left_value: Value,
    /// The setting on the right of the rule.
    pub right: Setting,
    /// Its value.
    pub right_value: Value,
    /// The relation in words.
    pub rule: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        let values = Setting::TABLE.iter().map(|spec| match spec.unit {
            Unit::Count => Value::Count(whole(spec.default)),
            Unit::Seconds => Value::Time(Duration::from_secs_f64(spec.default)),
            Unit::Factor => Value::Factor(spec.default),
            Unit::Sql => Value::Sql(spec.sql.to_owned()),
        });
        Self { values: values.collect() }
    }
}

impl Settings {
    /// The value of `setting`.
    #[must_use]
    pub fn get(&self, setting: Setting) -> &Value {
        &self.values[setting as usize]
    }

    /// The same settings with another value of one; rules between settings are not checked here, see [`Self::check`].
    #[must_use]
    pub fn with(mut self, setting: Setting, value: Value) -> Self {
        self.values[setting as usize] = value;
        self
    }

    /// Each setting with its value, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (Setting, &Value)> {
        Setting::all().zip(&self.values)
    }

    /// Checks the rules between settings.
    ///
    /// # Errors
    /// The first [`BrokenRule`].
    pub fn check(&self) -> Result<(), BrokenRule> {
        type Rule = (Setting, Setting, &'static str, fn(f64, f64) -> bool);
        let rules: [Rule; 4] = [
            (Setting::MinConnections, Setting::MaxConnections, "not exceed", |a, b| a <= b),
            (Setting::InitialRetryDelay, Setting::MaxRetryDelay, "not exceed", |a, b| a <= b),
            (Setting::ValidationTimeout, Setting::ConnectionTimeout, "not exceed", |a, b| a <= b),
            (Setting::IdleTimeout, Setting::ConnectionLifetime, "be below", |a, b| a < b),
        ];
        for (left, right, rule, holds) in rules {
            let (left_value, right_value) = (self.get(left), self.get(right));
            if let (Some(a), Some(b)) = (left_value.number(), right_value.number())
                && !holds(a, b)
            {
                return Err(BrokenRule {
                    left,
                    left_value: left_value.clone(),
                    right,
                    right_value: right_value.clone(),
                    rule,
                });
            }
        }
        Ok(())
    }

    /// The settings whose value is legal but outside the recommended range.
    pub fn outside_recommended(&self) -> impl Iterator<Item = (Setting, &Value)> {
        self.iter().filter(|(setting, value)| {
            let (low, high) = setting.spec().recommended;
            value.number().is_some_and(|number| !(low..=high).contains(&number))
        })
    }

    fn count(&self, setting: Setting) -> u32 {
        match self.get(setting) {
            Value::Count(count) => *count,
            _ => 0,
        }
    }

    fn time(&self, setting: Setting) -> Duration {
        match self.get(setting) {
            Value::Time(time) => *time,
            _ => Duration::ZERO,
        }
    }

    /// Connections kept open when idle.
    #[must_use]
    pub fn min_connections(&self) -> u32 {
        self.count(Setting::MinConnections)
    }

    /// Most connections open at once.
    #[must_use]
    pub fn max_connections(&self) -> u32 {
        self.count(Setting::MaxConnections)
    }

    /// Longest wait to be handed a connection.
    #[must_use]
    pub fn connection_timeout(&self) -> Duration {
        self.time(Setting::ConnectionTimeout)
    }

    /// Age past which a connection is closed.
    #[must_use]
    pub fn connection_lifetime(&self) -> Duration {
        self.time(Setting::ConnectionLifetime)
    }

    /// Idle time past which a connection above the minimum is closed.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.time(Setting::IdleTimeout)
    }

    /// How often idle connections are validated.
    #[must_use]
    pub fn health_check_interval(&self) -> Duration {
        self.time(Setting::HealthCheckInterval)
    }

    /// Tries after the first failed one.
    #[must_use]
    pub fn retry_attempts(&self) -> u32 {
        self.count(Setting::RetryAttempts)
    }

    /// Delay before the first retry.
    #[must_use]
    pub fn initial_retry_delay(&self) -> Duration {
        self.time(Setting::InitialRetryDelay)
    }

    /// Cap of the delay between retries.
    #[must_use]
    pub fn max_retry_delay(&self) -> Duration {
        self.time(Setting::MaxRetryDelay)
    }

    /// Random share of the delay.
    #[must_use]
    pub fn retry_jitter_factor(&self) -> f64 {
        match self.get(Setting::RetryJitterFactor) {
            Value::Factor(factor) => *factor,
            _ => 0.0,
        }
    }

    /// The statement run before a connection is handed out; `None` when there is none.
    #[must_use]
    pub fn validation_query(&self) -> Option<&str> {
        match self.get(Setting::ValidationQuery) {
            Value::Sql(sql) if !sql.trim().is_empty() => Some(sql),
            _ => None,
        }
    }

    /// Longest time that a validation may take.
    #[must_use]
    pub fn validation_timeout(&self) -> Duration {
        self.time(Setting::ValidationTimeout)
    }

    /// Consecutive failures that open the circuit.
    #[must_use]
    pub fn circuit_breaker_threshold(&self) -> u32 {
        self.count(Setting::CircuitBreakerThreshold)
    }

    /// Time that the circuit stays open.
    #[must_use]
    pub fn circuit_breaker_timeout(&self) -> Duration {
        self.time(Setting::CircuitBreakerTimeout)
    }

    /// Successes in half-open that close the circuit.
    #[must_use]
    pub fn circuit_breaker_reset(&self) -> u32 {
        self.count(Setting::CircuitBreakerReset)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (setting, value) in self.iter() {
            map.serialize_entry(setting.name(), value)?;
        }
        map.end()
    }
}

/// Reads what [`Serialize`] wrote (the store's JSON); files that people write are read by the profile room.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        let mut settings = Self::default();
        for (name, value) in map {
            let setting: Setting = name.parse().map_err(D::Error::custom)?;
            settings = settings.with(setting, Value::from_json(setting, &value).map_err(D::Error::custom)?);
        }
        Ok(settings)
    }
}

/// A number, or a statement; times are seconds.
impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "description": "A setting's value; times are seconds." })
    }
}

/// An object with a property a setting; times are seconds.
impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let properties: serde_json::Map<String, serde_json::Value> = Setting::TABLE
            .iter()
            .map(|spec| {
                let (kind, unit) = match spec.unit {
                    Unit::Count => ("integer", ""),
                    Unit::Seconds => ("number", ", in seconds"),
                    Unit::Factor => ("number", ", from 0 to 1"),
                    Unit::Sql => ("string", ""),
                };
                let property = serde_json::json!({ "type": kind, "description": format!("{}{unit}", spec.about) });
                (spec.name.to_owned(), property)
            })
            .collect();
        let required: Vec<&str> = Setting::all().map(Setting::name).collect();
        json_schema!({
            "type": "object",
            "description": "A value of every setting.",
            "properties": properties,
            "required": required,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_the_rules() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn a_minimum_above_the_maximum_breaks_a_rule() {
        let settings = Settings::default().with(Setting::MinConnections, Value::Count(11));
        let message = settings.check().unwrap_err().to_string();
        assert_eq!(
            message,
            "`min_connections` is 11 and `max_connections` is 10: min_connections must not exceed max_connections"
        );
    }

    #[test]
    fn settings_survive_json() {
        let settings = Settings::default()
            .with(Setting::ValidationQuery, Value::Sql(String::new()))
            .with(Setting::InitialRetryDelay, Value::Time(Duration::from_millis(130)));
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.contains("\"initial_retry_delay\":0.13"), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn a_fraction_is_no_count() {
        assert!(Value::from_text(Setting::MaxConnections, "10.5").is_err());
        assert!(Value::from_text(Setting::MaxConnections, "nan").is_err());
        assert!(Value::from_text(Setting::MaxConnections, "-3").is_err());
    }
}
