use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::{
    ExportError, FORMATS, Fields, Format, Holds, Language, Prefix, config_py, export, python, recommendation_yaml,
};
use crate::{
    model::{Recommendation, Setting, Settings, Value},
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
fn every_format_of_better_settings() {
    // config.py has a test of its own.
    for format in FORMATS.iter().filter(|format| !format.evidence) {
        let text = export(format, &samples::better(), &prefix()).unwrap();
        insta::assert_snapshot!(format.name, text);
    }
}

#[test]
fn every_format_has_a_place_or_a_reason_for_every_setting() {
    for format in FORMATS {
        for setting in Setting::all() {
            let (held, absent) =
                (format.of(setting).count(), format.absent.iter().filter(|a| a.setting == setting).count());
            assert!(
                (held > 0) != (absent == 1),
                "{} holds {setting} {held} times, names it {absent} times",
                format.name
            );
        }
        if format.language.comment().is_none() {
            assert!(format.sections.iter().all(|section| matches!(section.fields, Fields::Ours)), "{}", format.name);
        }
    }
}

#[test]
fn names_of_formats_are_found_and_slips_get_the_nearest() {
    let mut seen = std::collections::BTreeSet::new();
    for format in FORMATS {
        for name in format.aliases.iter().chain([&format.name]) {
            assert!(seen.insert(*name), "{name} is two formats'");
            assert_eq!(Format::named(name).unwrap().name, format.name);
        }
    }
    assert_eq!(Format::named(" HikariCP ").unwrap().name, "hikaricp");
    assert_eq!(
        Format::named("hikricp").unwrap_err().to_string(),
        "`hikricp` is not a format: did you mean `hikaricp`? `pool-tune export --format list` shows all"
    );
    assert_eq!(Format::named("zzz").unwrap_err().nearest, None);
}

#[test]
fn every_row_reads_back_what_it_writes() {
    let settings = samples::better().settings();
    for format in FORMATS {
        for (_, field) in format.fields() {
            let Holds::Setting(setting, convert) = field.holds else { continue };
            let value = settings.get(setting);
            let written = convert.write(value).unwrap();
            assert_eq!(convert.read(setting, &written).as_ref(), Ok(value), "{} {}", format.name, field.name);
        }
    }
}

#[test]
fn a_name_is_found_in_any_spelling() {
    let format = Format::named("spring-boot").unwrap();
    for name in ["maxLifetime", "max-lifetime", "MAX_LIFETIME"] {
        let (section, field) = format.field(name).unwrap();
        assert_eq!((section.library, field.name), ("HikariCP", "maxLifetime"));
    }
}

/// Better settings, but one of them.
fn with(setting: Setting, value: &Value) -> Recommendation {
    let mut recommendation = samples::better();
    recommendation.rows.iter_mut().filter(|row| row.setting == setting).for_each(|row| row.now = value.clone());
    recommendation
}

fn exported(format: &str, setting: Setting, number: f64) -> Result<String, ExportError> {
    let value = Value::from_number(setting, number).unwrap();
    export(Format::named(format).unwrap(), &with(setting, &value), &prefix())
}

#[test]
fn what_a_pool_would_reset_is_refused_with_the_remedy() {
    let refused = [
        ("hikaricp", Setting::ConnectionTimeout, 0.2, "refuses less than 250 ms. Run again with 0.25 or more"),
        ("spring-boot", Setting::ConnectionLifetime, 29.0, "silently takes 30 minutes for less than 30 s"),
        ("hikaricp", Setting::IdleTimeout, 1799.5, "Run again with 1 less than `connection_lifetime`"),
        ("hikaricp", Setting::HealthCheckInterval, 5.0, "silently switches it off, or takes its default"),
        ("hikaricp", Setting::RetryJitterFactor, 1.0, "takes factors below 1 only"),
        ("npgsql", Setting::ConnectionTimeout, 0.3, "which would be Timeout 0 s: Npgsql then waits for ever"),
        ("npgsql", Setting::ConnectionTimeout, 3000.0, "Run again with 1024 or less"),
        ("npgsql", Setting::CircuitBreakerThreshold, 1.0, "Polly takes 2 or more"),
        ("sqlalchemy", Setting::ConnectionLifetime, 0.2, "opens a new connection for each checkout"),
    ];
    for (format, setting, number, says) in refused {
        let text = exported(format, setting, number).unwrap_err().to_string();
        assert!(text.contains(says) && text.contains(&format!("--pin {setting}=")), "{format}: {text}");
    }
    assert!(exported("hikaricp", Setting::ConnectionTimeout, 0.25).is_ok());
    assert!(exported("json", Setting::ConnectionTimeout, 0.2).unwrap().contains("\"connection_timeout\": 0.2,"));
}

#[test]
fn rounding_is_told() {
    let text = exported("npgsql", Setting::IdleTimeout, 187.4).unwrap();
    assert!(text.contains("Connection Idle Lifetime=187;") && text.contains("idle_timeout 187.4 is rounded"), "{text}");
}

#[test]
fn without_a_validation_no_pool_validates() {
    let none = with(Setting::ValidationQuery, &Value::Sql(String::new()));
    let text = |name| export(Format::named(name).unwrap(), &none, &prefix()).unwrap();
    assert!(!text("hikaricp").contains("connectionTestQuery="));
    assert!(text("sqlalchemy").contains("'pool_pre_ping': False,"));
    assert!(text("pgbouncer").contains("server_check_query = \n"));
    assert!(text("sqlx").contains(".test_before_acquire(false)"));
}

#[test]
fn nothing_is_exported_when_no_settings_keep_the_limits() {
    for format in FORMATS {
        assert_eq!(export(format, &samples::infeasible(), &prefix()), Err(ExportError::Infeasible));
    }
}

#[test]
fn text_from_elsewhere_stays_where_it_belongs() {
    for text in HOSTILE {
        let recommendation = hostile(text);
        for format in FORMATS {
            let Ok(file) = export(format, &recommendation, &prefix()) else {
                // Only what has to stay on one line as it is cannot say everything.
                assert!(matches!(format.language, Language::Ini | Language::Shell), "{} {text:?}", format.name);
                continue;
            };
            let unsafe_character = |c: char| c != '\n' && c != '\t' && crate::report::words::breaks(c);
            assert!(!file.chars().any(unsafe_character), "{} {text:?}: {file}", format.name);
        }
        let file = export(Format::named("json").unwrap(), &recommendation, &prefix()).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&file).unwrap(), recommendation.settings());
        let file = export(Format::named("yaml").unwrap(), &recommendation, &prefix()).unwrap();
        assert_eq!(serde_yaml::from_str::<Settings>(&file).unwrap(), recommendation.settings());
    }
}

#[test]
fn every_setting_is_in_our_own_formats_under_its_name() {
    for format in
        FORMATS.iter().filter(|format| format.fields().all(|(section, _)| matches!(section.fields, Fields::Ours)))
    {
        assert_eq!(format.fields().count(), Setting::TABLE.len());
        assert!(format.fields().all(|(_, field)| Setting::all().any(|setting| setting.name() == field.name)));
    }
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
        let literal = python::text(&text);
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
