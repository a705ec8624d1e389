//! Units: a value of ours as another pool writes it, and back.

use std::time::Duration;

use crate::model::{Setting, Value, ValueError};

/// How another pool says a value of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    /// The same whole number.
    Count,
    /// Tries after the first failed one, as the number of all tries.
    TotalAttempts,
    /// Seconds, with a fraction where there is one.
    Seconds,
    /// Whole seconds.
    WholeSeconds,
    /// Whole milliseconds.
    Milliseconds,
    /// A time in the language's own words, such as `10 * time.Second` or `200ms`.
    Time,
    /// The same share.
    Factor,
    /// The same statement; empty where there is none.
    Text,
    /// The same statement; the name is left out where there is none.
    TextIfAny,
    /// Whether there is a validation at all: one word or the other.
    Validated {
        /// The word where there is one.
        yes: &'static str,
        /// The word where there is none.
        no: &'static str,
    },
}

/// A value as another pool has it, before it becomes text in a language.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// A whole number, in their unit.
    Whole(u64),
    /// A number, in their unit.
    Number(f64),
    /// A time.
    Time(Duration),
    /// A text, not yet quoted.
    Text(String),
    /// A word of the language, never quoted.
    Word(&'static str),
}

impl Written {
    /// The number, in their unit; a time in seconds; `None` for texts and words.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "counts, and milliseconds of a week at most")]
            Self::Whole(whole) => Some(*whole as f64),
            Self::Number(number) => Some(*number),
            Self::Time(time) => Some(time.as_secs_f64()),
            Self::Text(_) | Self::Word(_) => None,
        }
    }
}

impl Convert {
    /// The value as they have it; `None` where the name is left out. Times are rounded to their unit.
    #[must_use]
    pub fn write(self, value: &Value) -> Option<Written> {
        Some(match (self, value) {
            (Self::TotalAttempts, Value::Count(count)) => Written::Whole(u64::from(*count) + 1),
            (_, Value::Count(count)) => Written::Whole(u64::from(*count)),
            (Self::WholeSeconds, Value::Time(time)) => Written::Whole(in_units(*time, 1_000_000_000)),
            (Self::Milliseconds, Value::Time(time)) => Written::Whole(in_units(*time, 1_000_000)),
            (Self::Time, Value::Time(time)) => Written::Time(*time),
            (_, Value::Time(_) | Value::Factor(_)) => Written::Number(value.number().unwrap_or_default()),
            (Self::Validated { yes, no }, Value::Sql(sql)) => {
                Written::Word(if sql.trim().is_empty() { no } else { yes })
            }
            (Self::TextIfAny, Value::Sql(sql)) if sql.trim().is_empty() => return None,
            (_, Value::Sql(sql)) => Written::Text(sql.clone()),
        })
    }

    /// The value of `setting` that they have as `written`.
    ///
    /// # Errors
    /// [`ValueError`] when the setting cannot take it: a zero that is a word there, no tries at all, a text for a number.
    pub fn read(self, setting: Setting, written: &Written) -> Result<Value, ValueError> {
        let validation = |on: bool| Value::Sql(if on { setting.spec().sql.to_owned() } else { String::new() });
        match (self, written) {
            (Self::Validated { yes, .. }, Written::Word(word)) => Ok(validation(*word == yes)),
            (_, Written::Text(text)) => Value::from_text(setting, text),
            (_, Written::Word(word)) => Value::from_text(setting, word),
            (_, written) => Value::from_number(setting, self.ours(written.number().unwrap_or(f64::NAN))),
        }
    }

    /// A number of theirs in our unit.
    #[must_use]
    pub fn ours(self, theirs: f64) -> f64 {
        match self {
            Self::TotalAttempts => theirs - 1.0,
            Self::Milliseconds => theirs / 1e3,
            _ => theirs,
        }
    }

    /// Their unit, in a word; empty where it goes without saying.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Milliseconds => " ms",
            Self::Seconds | Self::WholeSeconds | Self::Time => " s",
            _ => "",
        }
    }
}

/// A time in units of so many nanoseconds, rounded to the nearest.
fn in_units(time: Duration, nanoseconds: u128) -> u64 {
    u64::try_from((time.as_nanos() + nanoseconds / 2) / nanoseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [(Convert, Setting, f64, Written); 6] = [
        (Convert::Count, Setting::MaxConnections, 15.0, Written::Whole(15)),
        (Convert::TotalAttempts, Setting::RetryAttempts, 0.0, Written::Whole(1)),
        (Convert::Seconds, Setting::InitialRetryDelay, 0.2, Written::Number(0.2)),
        (Convert::WholeSeconds, Setting::IdleTimeout, 180.0, Written::Whole(180)),
        (Convert::Milliseconds, Setting::ConnectionTimeout, 0.25, Written::Whole(250)),
        (Convert::Time, Setting::MaxRetryDelay, 1.5, Written::Time(Duration::from_millis(1500))),
    ];

    #[test]
    fn what_is_written_is_read_back() {
        for (convert, setting, number, written) in NUMBERS {
            let value = Value::from_number(setting, number).unwrap();
            assert_eq!(convert.write(&value), Some(written.clone()), "{setting}");
            assert_eq!(convert.read(setting, &written), Ok(value), "{setting}");
        }
    }

    #[test]
    fn a_validation_is_a_word_elsewhere() {
        let convert = Convert::Validated { yes: "true", no: "false" };
        let none = Value::Sql(" ".to_owned());
        assert_eq!(convert.write(&none), Some(Written::Word("false")));
        assert_eq!(Convert::TextIfAny.write(&none), None);
        let read = convert.read(Setting::ValidationQuery, &Written::Word("true"));
        assert_eq!(read, Ok(Value::Sql("SELECT 1".to_owned())));
    }

    #[test]
    fn a_zero_that_is_a_word_elsewhere_is_no_value_here() {
        assert!(Convert::Milliseconds.read(Setting::ConnectionLifetime, &Written::Whole(0)).is_err());
        assert!(Convert::TotalAttempts.read(Setting::RetryAttempts, &Written::Whole(0)).is_err());
    }
}
