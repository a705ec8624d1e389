//! Each format of `pool-tune export` is read by the library that it is for, and the library holds what was recommended.

mod files;
mod into;
mod into_yaml;
mod node;
pub(crate) mod pgbouncer;
mod python;
mod rust;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pool_tune::{
    export::{FORMATS, Format, Prefix, export},
    model::{Recommendation, Setting, Value},
};

/// Values that are no pool's defaults.
const VALUES: [(Setting, f64); 14] = [
    (Setting::MinConnections, 4.0),
    (Setting::MaxConnections, 17.0),
    (Setting::ConnectionTimeout, 12.0),
    (Setting::ConnectionLifetime, 2100.0),
    (Setting::IdleTimeout, 240.0),
    (Setting::HealthCheckInterval, 45.0),
    (Setting::RetryAttempts, 4.0),
    (Setting::InitialRetryDelay, 0.15),
    (Setting::MaxRetryDelay, 0.5),
    (Setting::RetryJitterFactor, 0.2),
    (Setting::ValidationTimeout, 3.0),
    (Setting::CircuitBreakerThreshold, 6.0),
    (Setting::CircuitBreakerTimeout, 25.0),
    (Setting::CircuitBreakerReset, 3.0),
];

/// A recommendation with those values and a statement.
fn recommendation(validation_query: &str) -> Recommendation {
    let sample = include_str!("../../../src/report/samples/better.yaml");
    let mut recommendation: Recommendation = serde_yaml::from_str(sample).unwrap();
    for row in &mut recommendation.rows {
        row.now = match VALUES.iter().find(|(setting, _)| *setting == row.setting) {
            Some((setting, number)) => Value::from_number(*setting, *number).unwrap(),
            None => Value::Sql(validation_query.to_owned()),
        };
        row.was = row.now.clone();
    }
    recommendation
}

/// The export of that recommendation.
fn exported(format: &str, validation_query: &str) -> String {
    let prefix = Prefix::parse("APP").unwrap();
    export(Format::named(format).unwrap(), &recommendation(validation_query), &prefix).unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a program prints as JSON when it is given a text.
fn asked(command: &mut Command, input: &str) -> serde_json::Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} refused the export: {errors}\n{input}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Something that `.ci/deps test` installs; without it the tests fail, for a skipped proof is none.
fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `.ci/deps test` first, as `make test` does", path.display());
    path
}

/// What Python and its libraries make of an export.
fn read_by_python(format: &str, text: &str) -> serde_json::Value {
    let python = installed(repository("target/venv-exports/bin/python"));
    asked(Command::new(python).arg(repository("tests/exports/check.py")).arg(format), text)
}

/// The waits between the tries are those of the recommendation: doubled, capped, and jittered by the factor at most.
#[track_caller]
fn assert_waits(found: &serde_json::Value, unit: f64, jitter: f64) {
    let waits: Vec<f64> = found.as_array().unwrap().iter().map(|wait| wait.as_f64().unwrap() * unit).collect();
    let expected = [0.15, 0.3, 0.5, 0.5];
    assert_eq!(waits.len(), expected.len(), "{waits:?}");
    for (wait, expected) in waits.iter().zip(expected) {
        assert!((wait - expected).abs() <= expected * jitter + 1e-9, "{waits:?}");
    }
}

/// The formats that the library itself loads in a test here, and those that a parser reads.
const PROVED: [&[&str]; 2] = [
    &[
        "sqlalchemy",
        "psycopg-pool",
        "asyncpg",
        "django",
        "node-postgres",
        "knex",
        "sqlx",
        "deadpool",
        "bb8",
        "pgbouncer",
        "config.py",
        "config-dict",
        "env",
    ],
    &["json", "yaml", "toml", "hikaricp", "spring-boot", "rails", "npgsql", "database-sql", "pgxpool"],
];

#[test]
fn no_format_is_without_a_proof() {
    for format in FORMATS {
        assert!(PROVED.iter().any(|names| names.contains(&format.name)), "no test here reads {}", format.name);
    }
}
