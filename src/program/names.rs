//! Texts with names in braces: `--max={max_connections}`.

use std::collections::BTreeMap;

use crate::{
    export::Prefix,
    model::{Setting, Settings, Value},
};

/// What may stand in braces, with what is put there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// The settings, each by its name, in its unit.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(settings.iter().map(|(setting, value)| (setting.spec().name.to_owned(), plain(value))).collect())
    }

    pub(crate) fn with(mut self, name: &str, text: String) -> Self {
        self.0.insert(name.to_owned(), text);
        self
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The text with every known name in braces replaced; other braces stay, for JSON has many.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.fill_as(text, str::to_owned)
    }

    /// The same, with each value written by `written`.
    pub(crate) fn fill_as(&self, text: &str, written: impl Fn(&str) -> String) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let known = after.split_once('}').and_then(|(name, left)| Some((self.0.get(name)?, left)));
            if let Some((value, left)) = known {
                filled.push_str(&written(value));
                rest = left;
            } else {
                filled.push('{');
                rest = after;
            }
        }
        filled.push_str(rest);
        filled
    }

    /// The names as a program's environment has them: settings under the prefix, the rest under `POOL_TUNE`.
    pub(crate) fn environment(&self, prefix: &Prefix) -> Vec<(String, String)> {
        let of = |(name, text): (&String, &String)| {
            let is_setting = name.parse::<Setting>().is_ok();
            let variable =
                if is_setting { variable(prefix, name) } else { format!("POOL_TUNE_{}", name.to_uppercase()) };
            (variable, text.clone())
        };
        self.0.iter().map(of).collect()
    }

    /// The settings as JSON, numbers as numbers.
    pub(crate) fn json(settings: &Settings) -> serde_json::Value {
        let value = |value: &Value| match value {
            Value::Count(count) => (*count).into(),
            Value::Time(time) => time.as_secs_f64().into(),
            other => other.number().map_or_else(|| plain(other).into(), serde_json::Value::from),
        };
        settings.iter().map(|(setting, of)| (setting.spec().name.to_owned(), value(of))).collect()
    }
}

/// A setting's name in a program's environment.
pub(crate) fn variable(prefix: &Prefix, name: &str) -> String {
    format!("{prefix}_{}", name.to_uppercase())
}

/// A value as a program reads it: a number in the setting's unit, or a statement.
fn plain(value: &Value) -> String {
    match value {
        Value::Sql(sql) => sql.clone(),
        other => other.number().map_or_else(String::new, |number| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_filled_in_and_other_braces_stay() {
        let names = Names::of(&Settings::default().with(Setting::MaxConnections, Value::Count(7)));
        assert_eq!(names.fill("--max={max_connections} {x} {"), "--max=7 {x} {");
        assert_eq!(names.fill(r#"{"size": {max_connections}}"#), r#"{"size": 7}"#);
        let settings = Settings::default().with(Setting::InitialRetryDelay, Value::Time(Duration::from_millis(250)));
        assert_eq!(Names::of(&settings).fill("{initial_retry_delay}"), "0.25");
    }
}
