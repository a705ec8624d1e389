//! Hours of operation on what a run has measured.

use std::fs;

use serde_json::Value;

use super::{pool_tune, stderr, stdout};

/// A folder with a finished run on an embedded database.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let profile = "
name: tiny
workers: 6
settings: {min_connections: 1, max_connections: 4}
search: {ranges: {max_connections: [1, 6]}}
trial: {measure: 200ms, warm_up_cap: 200ms}
budget: {search_trials: 10, verification_pairs: 6}
workload: {operations: [{name: read, sql: select 1}]}
";
    fs::write(folder.path().join("tiny.yaml"), profile).unwrap();
    let run = ["run", "--profile", "./tiny.yaml", "--target", "sqlite:private", "-q"];
    let output = pool_tune(folder.path(), &run);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    folder
}

#[test]
fn two_settings_are_set_side_by_side_on_what_a_run_has_measured() {
    let folder = folder();
    let two =
        ["simulate", "--hours", "2", "--peak", "50", "--vs", "connection_lifetime=400", "--set", "idle_timeout=60"];
    let output = pool_tune(folder.path(), &[&two[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let mean = |side: &str, figure: &str| {
        let all = document[side].as_array().unwrap();
        all.iter().map(|of| of[figure].as_f64().unwrap()).sum::<f64>() / 5.0
    };
    // Connections that live for less are opened more often.
    assert!(mean("against_figures", "reconnects") > mean("figures", "reconnects"), "{document}");
    assert!(mean("figures", "success_rate") > 0.99 && mean("figures", "throughput") > 20.0, "{document}");
    assert!(!document["predictions"].as_array().unwrap().is_empty());
    let seeded = |seed: &str| {
        let output = pool_tune(folder.path(), &[&two[..], &["--json", "--seed", seed]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(seeded("7"), seeded("7"), "the same seed does not print the same bytes");
    assert_ne!(seeded("7"), seeded("8"), "another seed prints the same");

    let text = stdout(&pool_tune(folder.path(), &two));
    assert!(text.contains("connection_lifetime 400 instead of 3600") && text.contains("median error"), "{text}");

    let refused = |arguments: &[&str]| {
        let output = pool_tune(folder.path(), &[&["simulate", "--replications", "1"], arguments].concat());
        (output.status.code().unwrap(), stderr(&output))
    };
    let csv = folder.path().join("requests.csv");
    fs::write(&csv, "minute,requests\n1,60\n4,60\n").unwrap();
    let csv = csv.display().to_string();
    for (arguments, part) in [
        (&["--hours", "0"][..], "--hours"),
        (&["--hours", "1000000"], "8760"),
        (&["--restarts", "-1"], "--restarts"),
        (&["--resets", "1e9"], "--resets"),
        (&["--leaks", "NaN"], "--leaks"),
        (&["--peak", "0"], "--peak"),
        (&["--set", "idle_timeout"], "setting=value"),
        (&["--set", "idle_time=3"], "idle_time"),
        (&["--vs", "min_connections=99"], "max_connections"),
        (&["--requests", "/no/such.csv"], "/no/such.csv"),
        (&["--requests", &csv], "2 minutes are missing"),
        (&["--idle-limit", "soon"], "--idle-limit"),
    ] {
        let (code, text) = refused(arguments);
        assert!(code == 2 && text.contains(part), "{arguments:?} gives {code}: {text}");
    }

    // More than can be served is said, and ends.
    let (code, text) = refused(&["--peak", "100000000", "--hours", "1", "--load", "flat"]);
    assert!(code == 0 && text.contains("more requests came than can be served"), "{code}: {text}");
}

#[test]
fn a_run_that_is_named_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = pool_tune(folder.path(), &["simulate", "--run", "latest"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("pool-tune run"), "{}", stderr(&output));
}
