use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    export::{Bound, FORMATS, Holds, Prefix, configuration, export},
    model::{Setting, Value},
    report::samples,
};

fn plain() -> Circumstances {
    Circumstances { instances: 1, deadline: None, server: None }
}

#[test]
fn rules_have_names_that_stay() {
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len());
    for rule in RULES {
        assert!(rule.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.id);
        assert!(rule.about.ends_with('.') && rule.why.ends_with('.'), "{}", rule.id);
        assert_eq!(LintRule::named(rule.id), Ok(*rule));
    }
    assert!(LintRule::named("none").unwrap_err().to_string().contains("--list-rules"));
}

/// What the program itself writes must not be called wrong by it.
#[test]
fn exports_have_no_errors_and_no_warnings() {
    for format in FORMATS {
        let text = export(format, &samples::better(), &Prefix::default()).unwrap();
        let configuration = configuration(format, &text, None).unwrap();
        let findings = lint(format, &text, &configuration, &plain());
        let bad: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}\n{text}", format.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the values, what the program writes has numbers where they are due, and no name that a pool does not have.
    #[test]
    fn exports_are_numbers_under_known_names(
        (min, max, timeout, lifetime, idle, check, tries, share) in
            (0_u32..50, 50_u32..500, 1_u32..1000, 3600_u32..90_000, 10_u32..1800, 31_u32..1799, 1_u32..20, 0_u32..900),
        sql in "[ -~äß🦀]{0,30}",
    ) {
        let number = |setting, number: f64| (setting, Value::from_number(setting, number).unwrap());
        let values = [
            number(Setting::MinConnections, min.into()),
            number(Setting::MaxConnections, max.into()),
            number(Setting::ConnectionTimeout, timeout.into()),
            number(Setting::ConnectionLifetime, lifetime.into()),
            number(Setting::IdleTimeout, idle.into()),
            number(Setting::HealthCheckInterval, check.into()),
            number(Setting::RetryAttempts, tries.into()),
            number(Setting::InitialRetryDelay, f64::from(timeout) / 1000.0),
            number(Setting::MaxRetryDelay, f64::from(timeout) / 2.0),
            number(Setting::RetryJitterFactor, f64::from(share) / 1000.0),
            (Setting::ValidationQuery, Value::Sql(sql.trim().to_owned())),
            number(Setting::ValidationTimeout, f64::from(tries) / 2.0),
            number(Setting::CircuitBreakerThreshold, f64::from(tries) + 1.0),
            number(Setting::CircuitBreakerTimeout, timeout.into()),
            number(Setting::CircuitBreakerReset, tries.into()),
        ];
        let mut recommendation = samples::better();
        for row in &mut recommendation.rows {
            row.now = values.iter().find(|(setting, _)| *setting == row.setting).unwrap().1.clone();
        }
        let wrong = ["not-a-number", "negative-number", "unknown-name", "milliseconds-for-seconds", "defined-twice"];
        for format in FORMATS {
            let text = export(format, &recommendation, &Prefix::default()).unwrap();
            let findings = lint(format, &text, &configuration(format, &text, None).unwrap(), &plain());
            let bad: Vec<_> = findings.iter().filter(|finding| wrong.contains(&finding.rule.id)).collect();
            prop_assert!(bad.is_empty(), "{}: {:#?}\n{}", format.name, bad, text);
        }
    }
}

/// Every bound of the tables is a finding, in files of names with values.
#[test]
fn every_bound_of_a_table_is_found() {
    let mut checked = 0;
    for name in ["hikaricp", "pgbouncer", "npgsql"] {
        let format = Format::named(name).unwrap();
        let pool = &format.sections[0];
        for field in pool.fields() {
            for rule in field.rules {
                let beyond = match rule.bound {
                    Bound::NotZero if matches!(field.holds, Holds::Setting(..)) => 0.0,
                    Bound::AtLeast(least) => least / 2.0,
                    Bound::AtMost(most) => most + 1.0,
                    _ => continue,
                };
                let text = format!("{}={}\n", field.name, beyond.floor());
                let configuration = configuration(format, &text, None).unwrap();
                let findings = lint(format, &text, &configuration, &plain());
                let is_told = findings.iter().any(|finding| finding.line == 1 && finding.what.contains(rule.otherwise));
                // A smaller bound of the same name may say it first.
                let is_other = findings.iter().any(|finding| finding.what.starts_with(field.name));
                assert!(is_told || is_other, "{text}: {findings:#?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn a_file_of_any_text_is_no_reason_to_fail() {
    for format in FORMATS {
        for text in
            ["", "\u{feff}", "=", "[", "a: &a [*a]", "max_connections=-1", "max_connections: 1e400", "\0", "ä: {ö: }"]
        {
            if let Ok(configuration) = configuration(format, text, None) {
                assert!(lint(format, text, &configuration, &plain()).len() < 100);
            }
        }
    }
}

#[test]
fn deep_nesting_takes_no_longer_than_its_length() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
    for (format, text) in [
        ("sqlalchemy", format!("x = {}", deep("f(", ")"))),
        ("sqlx", format!("fn f() {{ a{}; }}", ".b(1)".repeat(5_000))),
        ("knex", format!("x = {}", deep("{a: ", "}"))),
        ("yaml", deep("[", "]")),
        ("yaml", deep("{a: ", "}")),
    ] {
        let format = Format::named(format).unwrap();
        let names = configuration(format, &text, None).map(|read| names_of(format, &text, &read));
        assert!(names.is_err() || names == Ok((0, 0)), "{}", format.name);
    }
}

#[test]
fn slips_in_names_of_ones_own_are_told_where_they_stand() {
    for (format, text) in [
        (
            "env",
            "SUPABASE_MAX_CONNECTIONS=20\nexport SUPABASE_RETRY_ATEMPTS=3\nSUPABASE_URL=x\nSUPABASE_IDLE_TIMEOT=60\n",
        ),
        (
            "config.py",
            "SUPABASE_MAX_CONNECTIONS = 20\nclass A:\n    SUPABASE_RETRY_ATEMPTS: int = 3\nSUPABASE_URL = 'x'\nSUPABASE_IDLE_TIMEOT = 60\n",
        ),
    ] {
        let format = Format::named(format).unwrap();
        let configuration = configuration(format, text, None).unwrap();
        let findings = lint(format, text, &configuration, &plain());
        let told = findings.iter().filter(|finding| finding.rule.id == "unknown-name");
        let told: Vec<_> = told.map(|finding| (finding.line, finding.remedy.as_str())).collect();
        let (line, last) = if format.name == "env" { (2, 4) } else { (3, 5) };
        let meant = [(line, "write retry_attempts, if that is meant"), (last, "write idle_timeout, if that is meant")];
        assert_eq!(told, meant, "{}", format.name);
    }
}
