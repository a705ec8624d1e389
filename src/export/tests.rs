use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::{Prefix, config_py, python, recommendation_yaml};
use crate::{
    model::{Recommendation, Setting, Value},
    report::samples,
};

fn prefix() -> Prefix {
    Prefix::parse("SUPABASE").unwrap()
}

#[test]
fn config_py_of_better_settings() {
    insta::assert_snapshot!(config_py(&samples::better(), &prefix()).unwrap());
}

#[test]
fn config_py_of_kept_settings() {
    insta::assert_snapshot!(config_py(&samples::keep(), &prefix()).unwrap());
}

#[test]
fn there_is_no_config_py_when_no_settings_keep_the_limits() {
    assert_eq!(config_py(&samples::infeasible(), &prefix()), None);
}

#[test]
fn yaml_of_better_settings() {
    insta::assert_snapshot!(recommendation_yaml(&samples::better()).unwrap());
}

/// A recommendation with text in it that tries to be something else.
fn hostile(text: &str) -> Recommendation {
    let mut recommendation = samples::better();
    for row in &mut recommendation.rows {
        row.why = text.to_owned();
        if row.setting == Setting::ValidationQuery {
            row.was = Value::Sql(format!("was {text}"));
            row.now = Value::Sql(text.to_owned());
        }
    }
    recommendation.warnings = vec![text.to_owned()];
    text.clone_into(&mut recommendation.provenance.run);
    text.clone_into(&mut recommendation.provenance.server);
    recommendation
}

const HOSTILE: [&str; 20] = [
    "",
    "SELECT 1",
    "SELECT 'it''s' AS \"x\"",
    "\\",
    "ends with a backslash\\",
    "\\' + __import__('os').name + '",
    "'''",
    "\"\"\"",
    "SELECT 1\nimport os",
    "SELECT 1\r\nimport os\rraise SystemExit",
    "tab\tfeed\u{c}bell\u{7}nul\u{0}escape\u{1b}",
    "\u{85}next line\u{2028}separator\u{2029}",
    "größe 数据库 🦀 \u{10ffff}",
    "\u{202e}reversed\u{2066}\u{feff}",
    "\\n \\x41 \\u0041 \\N{BULLET} {braces} %s %(x)s",
    "# -*- coding: utf-16 -*-",
    "null",
    "5",
    "~: [a, b] &x *x !!int",
    "  leading and trailing  ",
];

#[test]
fn yaml_reads_back_as_the_same_recommendation() {
    for recommendation in [samples::better(), samples::keep(), samples::infeasible()] {
        let text = recommendation_yaml(&recommendation).unwrap();
        assert_eq!(serde_yaml::from_str::<Recommendation>(&text).unwrap(), recommendation);
    }
    for text in HOSTILE {
        let recommendation = hostile(text);
        let yaml = recommendation_yaml(&recommendation).unwrap();
        assert_eq!(serde_yaml::from_str::<Recommendation>(&yaml).unwrap(), recommendation, "{yaml}");
    }
}

/// Loads each file with Python as a module of its own and gives back what the names then hold, as JSON.
fn loaded_by_python(files: &[String]) -> Vec<serde_json::Value> {
    const LOAD: &str = "import json, sys\n\
        out = []\n\
        for source in json.load(sys.stdin):\n    \
            names = {}\n    \
            exec(compile(source.encode('utf-8'), 'config.py', 'exec'), names)\n    \
            names.pop('__builtins__')\n    \
            out.append(names)\n\
        json.dump(out, sys.stdout)\n";
    let mut python =
        Command::new("python3").args(["-c", LOAD]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(&serde_json::to_vec(files).unwrap()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "Python refused a config.py");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn python_reads_the_values_that_were_meant() {
    let files: Vec<String> = HOSTILE.iter().map(|text| config_py(&hostile(text), &prefix()).unwrap()).collect();
    let loaded = loaded_by_python(&files);
    assert_eq!(loaded.len(), HOSTILE.len());
    for (names, text) in loaded.iter().zip(HOSTILE) {
        let names = names.as_object().unwrap();
        assert_eq!(names.len(), Setting::TABLE.len(), "{text:?} made other names: {names:?}");
        assert_eq!(names["SUPABASE_VALIDATION_QUERY"], text);
        assert_eq!(names["SUPABASE_MAX_CONNECTIONS"], 15);
        assert_eq!(names["SUPABASE_INITIAL_RETRY_DELAY"], 0.2);
        assert_eq!(names["SUPABASE_CONNECTION_LIFETIME"], 1800);
    }
}

proptest! {
    /// Undoing the escapes by hand gives the text again, and nothing in the literal ends a line or the string.
    #[test]
    fn a_literal_is_one_string_on_one_line(text in any::<String>()) {
        let literal = python::literal(&Value::Sql(text.clone()));
        let inside = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap();
        prop_assert!(!inside.chars().any(char::is_control));
        let mut read = String::new();
        let mut characters = inside.chars();
        while let Some(character) = characters.next() {
            prop_assert_ne!(character, '\'');
            if character != '\\' {
                read.push(character);
                continue;
            }
            match characters.next().unwrap() {
                'n' => read.push('\n'),
                'r' => read.push('\r'),
                't' => read.push('\t'),
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    read.extend(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()));
                }
                itself => read.push(itself),
            }
        }
        prop_assert_eq!(read, text);
    }
}
