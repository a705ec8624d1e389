use std::fmt;

use super::{Bound, Convert, Field, Format, Rule};
use crate::model::{Setting, Value};

/// Why a recommendation is not exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// No settings keep the limits, so there is nothing to export.
    #[error("no settings keep the run's limits")]
    Infeasible,
    /// The pool would take values for others, or silently reset them.
    #[error("{title} cannot be given these settings: {}", list(refusals))]
    Refused {
        /// The format's title.
        title: &'static str,
        /// What is refused, one a setting and name.
        refusals: Vec<Refusal>,
    },
}

/// A value that a pool cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The setting.
    pub setting: Setting,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refusal {
    /// A value that breaks a rule; `number` is what would be written.
    pub(super) fn of_rule(
        field: &Field,
        setting: Setting,
        convert: Convert,
        value: &Value,
        number: f64,
        rule: &Rule,
    ) -> Self {
        let mend = match rule.bound {
            Bound::NotZero => format!("with {} or more", convert.ours(1.0)),
            Bound::AtLeast(least) => format!("with {} or more", convert.ours(least)),
            Bound::AtMost(most) => format!("with {} or less", convert.ours(most)),
            Bound::Under(limit) => format!("with less than {}", convert.ours(limit)),
            Bound::Below(other, 0.0) => format!("with no more than `{other}`"),
            Bound::Below(other, margin) => format!("with {margin} less than `{other}`"),
        };
        let text = format!(
            "`{setting}` is {value}, which would be {} {number}{}: {}. Run again {mend} (--pin {setting}=…, or the \
             profile's settings), or choose another format",
            field.name,
            convert.unit(),
            rule.otherwise
        );
        Self { setting, text }
    }

    /// A text that the language has no way to say.
    pub(super) fn of_text(field: &Field, setting: Setting, format: &Format) -> Self {
        let text = format!(
            "`{setting}` cannot be written as {} in {}: it has a line end, a control character or a space at its ends. \
             Give it in one plain line, or choose another format",
            field.name, format.title
        );
        Self { setting, text }
    }
}

/// One alone goes on in the sentence, several stand below each other.
fn list(refusals: &[Refusal]) -> String {
    match refusals {
        [one] => one.to_string(),
        several => several.iter().fold(String::new(), |list, refusal| list + "\n- " + &refusal.text),
    }
}

/// A name that is no format's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a format: {}`pool-tune export --format list` shows all", did_you_mean(*.nearest))]
pub struct UnknownFormat {
    /// What was written.
    pub name: String,
    /// The nearest name there is, where one is near.
    pub nearest: Option<&'static str>,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default()
}
