use std::time::Duration;

use insta::assert_snapshot;

use super::{Experiment, TargetSource};
use crate::schedule::Missed;

const SHIPPED: [(&str, &str); 3] = [
    ("nightly", include_str!("../../../experiments/nightly.yaml")),
    ("quick", include_str!("../../../experiments/quick.yaml")),
    ("full-suite", include_str!("../../../experiments/full-suite.yaml")),
];

/// A small experiment with `more` behind it.
fn small(more: &str) -> String {
    format!("name: mine\nprofile: light\ntarget: private\n{more}")
}

fn error(text: &str) -> String {
    Experiment::parse("mine.yaml", text).unwrap_err().to_string()
}

#[test]
fn shipped_experiments_are_good_and_named_as_their_files() {
    for (name, text) in SHIPPED {
        let experiment = Experiment::parse(name, text).unwrap();
        assert_eq!(experiment.name, name);
        for profile in experiment.profiles {
            crate::profile::find(&profile).unwrap();
        }
    }
}

#[test]
fn nightly_is_what_it_says() {
    let nightly = Experiment::parse("nightly", SHIPPED[0].1).unwrap();
    let schedule = nightly.schedule.unwrap();
    assert_eq!(nightly.target, TargetSource::Environment("DATABASE_URL".to_owned()));
    assert_eq!((schedule.missed(), schedule.window().unwrap().to_string()), (Missed::Skip, "01:00-05:00".to_owned()));
    assert!(schedule.jitter() > Duration::ZERO);
}

#[test]
fn runs_know_of_earlier_ones_unless_the_experiment_says_otherwise() {
    let memory = |more: &str| Experiment::parse("mine.yaml", &small(more)).unwrap().memory;
    assert!(memory("") && memory("memory: true\n") && !memory("memory: false\n"));
    let error = error(&small("memory: maybe\n"));
    assert!(error.contains("line 4") && error.contains("true (runs know of earlier ones) or false"), "{error}");
}

#[test]
fn errors_name_line_key_and_remedy() {
    let schedule = |text: &str| error(&small(&format!("schedule:\n  {text}\n")));
    let errors = [
        error(""),
        error("name: my experiment\n"),
        error("name: mine\ntarget: private\n"),
        error("name: mine\nprofile: light\nprofiles: [light]\ntarget: private\n"),
        error("name: mine\nprofiles: [light, light]\ntarget: private\n"),
        error("name: mine\nprofiles: []\ntarget: private\n"),
        error("name: mine\nprofile: light\n"),
        error(&small("shedule: {}\n")),
        error(&small("budget: {trials: 3}\n")),
        error(&small("budget: {time: 5}\n")),
        schedule("zone: UTC"),
        schedule("cron: \"0 1 30 2 *\""),
        schedule("cron: \"0 1 * *\""),
        schedule("cron: \"0 1 * * *\"\n  zone: Berlin"),
        schedule("cron: \"0 1 * * *\"\n  missed: maybe"),
        schedule("cron: \"0 1 * * *\"\n  window: \"02:00-05:00\""),
        schedule("cron: \"0 1 * * *\"\n  window: \"01:00-05:00\"\n  jitter: 4h"),
        schedule("cron: \"0 1 * * *\"\n  not_after: 5"),
        schedule("cron: \"0 1 * * *\"\n  not_after: \"25:00\""),
        schedule("cron: \"0 1 * * *\"\n  not_after: \"05:00\"\n  window: \"01:00-05:00\""),
        error(&small("answer: {folder: ../../etc}\n")),
        error(&small("answer: {exports: [{format: env, file: ../.env}]}\n")),
        error(&small("answer: {exports: [{format: env, file: a}, {format: json, file: a}]}\n")),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_password_is_refused_with_the_remedy_and_never_repeated() {
    for target in [
        "postgres://me:hunter2@host/db",
        "postgres://me:hun/ter2@host/db",
        "postgres://me@host/db?password=hunter2",
        "'mysql://me:hunter2@host/db'",
        "me:hunter2@host/db",
        "hunter2",
        "{env: 'postgres://me:hunter2@host/db'}",
        "{file: 'postgres://me:hunter2@host/db'}",
        "{file: [hunter2]}",
        "[hunter2]",
        "{env: A, file: hunter2}",
    ] {
        let error = error(&format!("name: mine\nprofile: light\ntarget: {target}\n"));
        assert!(!error.contains("hunter2"), "{target} gives {error}");
        assert!(error.contains("line 3: ") && error.contains("env"), "{target} gives {error}");
    }
    let of = |target: &str| Experiment::parse("", &format!("name: a\nprofile: b\ntarget: {target}\n")).unwrap().target;
    assert_eq!(
        of("postgres://me@host:5432/db?sslmode=require"),
        TargetSource::Plain("postgres://me@host:5432/db?sslmode=require".into())
    );
    assert_eq!(of("{file: /run/secrets/db}"), TargetSource::File("/run/secrets/db".into()));
    assert_eq!(of("simulation:latest"), TargetSource::Plain("simulation:latest".into()));
}
