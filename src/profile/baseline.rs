use super::{Profile, error::Problem, parse};
use crate::model::{Setting, Value};
use crate::profile::ProfileError;

impl Profile {
    /// The profile with other settings in use, its text included, from which a run that was interrupted reads it again.
    ///
    /// # Errors
    /// [`ProfileError`] when the settings break a rule, or the profile pins one of them at another value.
    pub fn in_use(&self, values: &[(Setting, Value)]) -> Result<Self, ProfileError> {
        let settings = values
            .iter()
            .fold(self.space.baseline.clone(), |settings, (setting, value)| settings.with(*setting, value.clone()));
        let mut block = String::from("settings:\n");
        for (setting, value) in settings.iter() {
            // JSON's texts are YAML's too.
            let written = match value {
                Value::Sql(sql) => serde_json::Value::from(sql.as_str()).to_string(),
                number => number.number().unwrap_or_default().to_string(),
            };
            block.push_str(&format!("  {setting}: {written}\n"));
        }
        let changed = parse(&self.name, &with_block(&self.source, &block))?;
        let different = values.iter().find(|(setting, value)| changed.space.baseline.get(*setting) != value);
        match different {
            None => Ok(changed),
            Some((setting, value)) => {
                let text =
                    format!("it holds `{setting}` at another value than {value}, which is in use; take its pin out");
                Err(Problem { line: None, text }.of_profile(&self.name))
            }
        }
    }
}

/// A profile's text with another part `settings`.
fn with_block(source: &str, block: &str) -> String {
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let is_settings =
        |line: &&str| line.strip_prefix("settings").is_some_and(|rest| rest.trim_start().starts_with(':'));
    let Some(start) = lines.iter().position(is_settings) else {
        let line_end = if source.ends_with('\n') { "" } else { "\n" };
        return format!("{source}{line_end}{block}");
    };
    let is_inside = |line: &&&str| line.trim().is_empty() || line.starts_with([' ', '\t', '#', '}']);
    let mut end = start + 1 + lines[start + 1..].iter().take_while(is_inside).count();
    // Comments in front of the next part are that part's.
    while end > start + 1 && (lines[end - 1].trim().is_empty() || lines[end - 1].starts_with('#')) {
        end -= 1;
    }
    [&lines[..start].concat(), block, &lines[end..].concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_in_use_are_replaced_and_all_else_is_kept() {
        let values = [
            (Setting::MaxConnections, Value::Count(23)),
            (Setting::ValidationQuery, Value::Sql("select 'ä' -- \"#\n".to_owned())),
        ];
        for (name, source) in crate::profile::built_in() {
            let profile = parse(name, source).unwrap();
            let changed = profile.in_use(&values).unwrap();
            let mut expected = profile.clone();
            for (setting, value) in values.clone() {
                expected.space.baseline = expected.space.baseline.with(setting, value);
            }
            assert_eq!(changed.space.baseline, expected.space.baseline);
            assert_eq!((&changed.workload, &changed.limits), (&profile.workload, &profile.limits));
            // Twice is once.
            assert_eq!(changed.in_use(&values).unwrap().source, changed.source);
            let comments =
                |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(comments(&changed.source), comments(source));
        }
    }

    #[test]
    fn a_profile_without_settings_gets_them_and_a_pin_is_told() {
        let source = "name: mine\nworkers: 2\nsearch: {pin: {max_connections: 7}}\nworkload: {operations: [{name: a, sql: select 1, weight: 1}]}";
        let profile = parse("mine", source).unwrap();
        let changed =
            profile.in_use(&[(Setting::IdleTimeout, Value::from_number(Setting::IdleTimeout, 99.0).unwrap())]);
        assert!(changed.unwrap().source.starts_with(&format!("{source}\nsettings:\n")));
        let error = profile.in_use(&[(Setting::MaxConnections, Value::Count(23))]).unwrap_err().to_string();
        assert!(error.ends_with("another value than 23, which is in use; take its pin out"), "{error}");
    }
}
