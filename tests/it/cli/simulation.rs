//! The whole program without a database: `--target simulation`.

use std::{fs, path::Path};

use serde_json::Value;

use super::{pool_tune, program, read, stderr, stdout};

const FILES: [&str; 3] = ["recommendation.yaml", "summary.md", "report.html"];

/// The heavy profile with days that are quickly simulated.
fn profile(folder: &Path) {
    let heavy = include_str!("../../../profiles/heavy.yaml");
    let pins = "pin: [connection_timeout, idle_timeout, health_check_interval, max_retry_delay, retry_jitter_factor, \
                validation_timeout, circuit_breaker_reset]";
    let mut quiet = heavy.to_owned();
    for (usual, other) in [
        ("  load: diurnal ", "  load: flat "),
        ("  peak: 0.5 ", "  peak: 0.01 "),
        ("  brown_outs: 1", "  brown_outs: 0"),
        ("  packet_loss: 1", "  packet_loss: 0"),
        ("search:\n", &format!("search:\n  {pins}\n")),
    ] {
        let before = quiet.clone();
        quiet = quiet.replace(usual, other);
        assert_ne!(before, quiet, "{usual}");
    }
    fs::write(folder.join("heavy.yaml"), quiet).unwrap();
}

fn run(folder: &Path) {
    profile(folder);
    let heavy =
        ["run", "--profile", "heavy.yaml", "--target", "simulation", "--trials", "12", "--pairs", "6", "--seed", "5"];
    let output = pool_tune(folder, &[&heavy[..], &["--name", "run"]].concat());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("circuit_breaker_threshold") && text.contains("they say nothing of your database"), "{text}");
}

fn document(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = pool_tune(folder, &[arguments, &["--json"]].concat());
    let document = serde_json::from_str(&stdout(&output));
    (output.status.code(), document.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output))))
}

#[test]
fn a_run_gives_an_answer_and_the_same_seed_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(one.path());
    run(other.path());
    for file in FILES {
        let text = read(one.path(), "run", file);
        assert_eq!(text, read(other.path(), "run", file), "{file}");
        assert!(text.contains("simulation"), "{text}");
    }
    // What acts too slowly for trials is decided too, and what decided it is told.
    let summary = read(one.path(), "run", "summary.md");
    for part in ["## In simulated days", "a restart of the server", "median error", "all slow times were divided by 60"]
    {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let breaker = summary.lines().find(|line| line.starts_with("| circuit_breaker_timeout ")).unwrap();
    assert!(breaker.contains("simulation") && breaker.contains("% lost ["), "{breaker}");
    let calibration = ["simulate", "--calibration", "results/run/calibration.json", "--hours", "1", "--peak", "50"];
    let output = pool_tune(one.path(), &calibration);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("what one incident does"), "{}", stdout(&output));

    // It serves everything that a run on a database serves, another simulation included.
    let folder = one.path();
    let shown = stdout(&pool_tune(folder, &["show", "run"]));
    assert!(shown.contains("target simulation · simulation of a run of the profile heavy on PostgreSQL"), "{shown}");
    assert!(shown.contains("faults %"), "{shown}");
    let (code, report) = document(folder, &["stress", "--target", "simulation:run", "--duration", "2", "--seed", "1"]);
    assert_eq!((code, report["target"].as_str()), (Some(0), Some("simulation:run")), "{report}");
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("these figures are simulated, from what run run on simulation of"), "{warning}");
    // A simulation is nothing that was measured, so that it is not taken unless it is named.
    let output = pool_tune(folder, &["stress", "--target", "simulation:latest"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no run on a database has finished"), "{}", stderr(&output));
}

#[test]
fn sizes_that_the_workers_cannot_use_are_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, range: &str| {
        let text = format!(
            "name: few\nworkers: 8\nday: none\nsettings: {{min_connections: 2, max_connections: 10}}\n\
             search: {{ranges: {{min_connections: [2, 5], max_connections: {range}}}}}\n\
             workload: {{operations: [{{name: read, sql: select 1}}]}}\n"
        );
        fs::write(folder.path().join("few.yaml"), text).unwrap();
        let run = ["run", "-p", "./few.yaml", "-t", "simulation", "--trials", "10", "--pairs", "6", "--name", name];
        let (code, answer) = document(folder.path(), &run);
        assert_eq!(code, Some(0), "{answer}");
        let (_, shown) = document(folder.path(), &["show", name]);
        let sizes = shown["trials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|trial| trial["settings"]["max_connections"].as_u64().unwrap());
        let mut sizes: Vec<u64> = sizes.collect();
        sizes.sort_unstable();
        sizes.dedup();
        (answer["recommendation"].clone(), sizes)
    };
    let (kept, sizes) = run("kept", "[10, 30]");
    assert_eq!(sizes, [10]);
    let row = kept["rows"].as_array().unwrap().iter().find(|row| row["setting"] == "max_connections").unwrap();
    assert_eq!((&row["decided_by"], &row["now"]), (&"kept".into(), &10.into()));
    assert!(row["why"].as_str().unwrap().starts_with("8 workers have at most 8 connections in use at once"), "{row}");
    assert!(kept["warnings"].to_string().contains("`max_connections` is not searched"), "{}", kept["warnings"]);
    let (cut, sizes) = run("cut", "[4, 30]");
    // The one in use is measured as it is, and nothing else beyond the workers is.
    assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= 8 || *size == 10), "{sizes:?}");
    assert!(cut["warnings"].to_string().contains("4..30, is cut to 4..8"), "{}", cut["warnings"]);
}

#[test]
fn a_run_that_was_interrupted_goes_on_without_being_told_the_target() {
    let cut = tempfile::tempdir().unwrap();
    run(cut.path());
    let whole = FILES.map(|file| read(cut.path(), "run", file));
    let database = cut.path().join("results/pool-tune.db");
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('delete from trials where sequence > 7')\nd.execute(\"update runs set status = 'interrupted', recommendation = null\")\nd.commit()";
    let python = std::process::Command::new("python3").args(["-c", script]).arg(&database).status().unwrap();
    assert!(python.success());
    let shown = stdout(&pool_tune(cut.path(), &["show", "run"]));
    assert!(shown.contains("pool-tune run --resume run`"), "{shown}");
    let output = program(cut.path()).args(["run", "--resume", "run"]).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("7 trials are taken over"), "{}", stderr(&output));
    assert_eq!(FILES.map(|file| read(cut.path(), "run", file)), whole);
}

#[test]
fn a_stress_test_gives_a_report_that_its_schema_describes() {
    let folder = tempfile::tempdir().unwrap();
    let test = ["stress", "--target", "simulation", "--scenario", "server-restart", "--seed", "3"];
    let files = ["--csv", "line.csv", "--hdr-log", "times.hlog", "--save", "first.json"];
    let (code, report) = document(folder.path(), &[&test[..], &files].concat());
    assert_eq!(code, Some(0), "{report}");
    let schema = serde_json::from_str(include_str!("../../../schemas/stress.schema.json")).unwrap();
    let wrong: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let measured = &report["measurement"];
    assert!(measured["faults"][0]["recovery"]["half_seconds"].as_f64().unwrap() < 5.0, "{}", measured["faults"]);
    assert!(measured["errors"][0]["example"].as_str().unwrap().starts_with("simulated: "), "{}", measured["errors"]);
    assert!(report["series"].as_array().unwrap().len() > 5 && report["ladder"].as_array().unwrap().len() > 10);
    assert!(files.chunks(2).all(|pair| fs::metadata(folder.path().join(pair[1])).unwrap().len() > 100));
    // All but the hour at which it was made is the same again.
    let mut again = document(folder.path(), &test).1;
    again["started_at"] = report["started_at"].clone();
    assert_eq!(again, report);
}

#[test]
fn the_suite_leaves_out_what_is_not_modelled() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        pool_tune(folder.path(), &["stress", "--target", "simulation", "--full-suite", "--seed", "1", "--plain"]);
    let (text, said) = (stdout(&output), stderr(&output));
    assert!(
        said.contains("left out, for what cannot be made here: brown-out") && said.contains("`bandwidth`"),
        "{said}"
    );
    // Requests that hold one connection and ask for another are what the program warns of, in a simulation as well.
    assert_eq!(output.status.code(), Some(8), "{text}");
    let verdict = |name: &str| text.lines().rev().find(|line| line.contains(&format!("│ {name} "))).unwrap().to_owned();
    assert!(verdict("nested-acquire").contains("failed"), "{text}");
    for name in ["basic", "high-concurrency", "burst-after-idle", "connection-storm", "leak", "server-restart"] {
        assert!(verdict(name).contains("passed"), "{text}");
    }
    let output = pool_tune(folder.path(), &["stress", "--target", "simulation", "--scenario", "brown-out"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("the simulation carries no bytes"), "{}", stderr(&output));
}

#[test]
fn what_it_cannot_be_made_of_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |target: &str| {
        let outputs = ["run", "stress"].map(|command| pool_tune(folder.path(), &[command, "--target", target]));
        assert!(outputs.iter().all(|output| output.status.code() == Some(2)), "{}", stderr(&outputs[0]));
        let [one, other] = outputs.map(|output| stderr(&output));
        assert_eq!(one, other);
        one
    };
    let text = refused("simulation:monday");
    assert!(text.contains("there are no runs in") && text.contains("`--target simulation` needs none"), "{text}");
    fs::write(folder.path().join("other.json"), "{\"trials\": 3}").unwrap();
    let text = refused("simulation:other.json");
    assert!(text.contains("other.json") && text.contains("expected the `calibration.json` of a run"), "{text}");
    let text = refused("simulation:./none.json");
    assert!(text.contains("./none.json") && text.contains("No such file"), "{text}");
    let few = "{\"source\": \"nothing\", \"workers\": 4, \"think_time\": 0, \"trials\": [], \"connecting\": []}";
    fs::write(folder.path().join("few.json"), few).unwrap();
    let text = refused("simulation:few.json");
    assert!(text.contains("0 undisturbed trials") && text.contains("run `pool-tune run` to its end"), "{text}");
    pool_tune(folder.path(), &["run", "-p", "light", "-t", "simulated", "--name", "monday"]);
    let text = refused("simulation:mondy");
    assert!(text.contains("the nearest is `monday`"), "{text}");
}

#[test]
fn hours_are_simulated_from_a_file_or_from_what_comes_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let day = ["simulate", "--hours", "1", "--peak", "50", "--replications", "2"];
    let output = pool_tune(folder.path(), &day);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("no run on a database has finished"), "{}", stderr(&output));
    assert!(stdout(&output).contains("as a run of the profile heavy on PostgreSQL"), "{}", stdout(&output));
    let sample = include_str!("../../../src/simulate/shipped.json");
    fs::write(folder.path().join("mine.json"), sample).unwrap();
    let (code, of_file) = document(folder.path(), &[&day[..], &["--calibration", "mine.json"]].concat());
    let (_, shipped) = document(folder.path(), &day);
    assert_eq!((code, &of_file["figures"]), (Some(0), &shipped["figures"]));
    assert_eq!((of_file["run"].as_str(), shipped["run"].as_str()), (Some("mine.json"), Some("shipped")));
    let output = pool_tune(folder.path(), &["simulate", "--calibration", "none.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("none.json"), "{}", stderr(&output));
}
