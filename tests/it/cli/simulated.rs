use super::{pool_tune, program, read, stderr, stdout};

const FILES: [&str; 4] = ["config.py", "recommendation.yaml", "summary.md", "report.html"];

fn simulated(folder: &std::path::Path, seed: &str) {
    let arguments =
        ["run", "--profile", "heavy", "--target", "simulated", "--seed", seed, "--name", "run", "--trials", "20"];
    let output = pool_tune(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    simulated(one.path(), "11");
    simulated(other.path(), "11");
    for file in FILES {
        assert_eq!(read(one.path(), "run", file), read(other.path(), "run", file), "{file}");
    }
}

#[test]
fn a_run_is_exported_in_every_format_that_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    // The formats are told without any run.
    let listed = stdout(&pool_tune(folder.path(), &["export", "--format", "list"]));
    simulated(folder.path(), "3");
    for format in pool_tune::export::FORMATS {
        assert!(listed.contains(&format!(" {} ", format.name)), "{} is not in {listed}", format.name);
        let output = pool_tune(folder.path(), &["export", "latest", "--format", format.name]);
        let text = stdout(&output);
        assert!(output.status.success(), "{}: {}", format.name, stderr(&output));
        assert!(format.name == "json" || text.contains("run run, profile heavy, seed 3\n"), "{text}");
    }
}

#[test]
fn what_a_pool_would_reset_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let pins = ["--pin", "validation_timeout=0.1", "--pin", "connection_timeout=0.2"];
    let output =
        program(folder.path()).args(["run", "--target", "simulated", "--trials", "4"]).args(pins).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let output = pool_tune(folder.path(), &["export", "--format", "hikaricp"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    let text = stderr(&output);
    for says in ["\n- `connection_timeout` is 0.2", "\n- `validation_timeout` is 0.1", "less than 250 ms", "--pin"] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    assert!(pool_tune(folder.path(), &["export", "--format", "sqlx"]).status.success());
}

#[test]
fn another_seed_gives_other_figures() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    simulated(one.path(), "11");
    simulated(other.path(), "12");
    assert_ne!(read(one.path(), "run", "summary.md"), read(other.path(), "run", "summary.md"));
}

#[test]
fn a_run_can_be_listed_shown_and_exported_again() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "3");
    assert_eq!(stdout(&pool_tune(folder.path(), &["export"])), read(folder.path(), "run", "config.py"));
    let renamed = stdout(&pool_tune(folder.path(), &["export", "run", "--prefix", "DB"]));
    assert!(renamed.contains("\nDB_MAX_CONNECTIONS = "), "{renamed}");
    let runs: serde_json::Value =
        serde_json::from_str(&stdout(&pool_tune(folder.path(), &["runs", "--json"]))).unwrap();
    assert_eq!(runs[0]["id"], "run");
    assert_eq!(runs[0]["status"], "finished");
    let shown = stdout(&pool_tune(folder.path(), &["show", "latest"]));
    assert!(shown.contains("max_connections") && shown.contains("verification"), "{shown}");
}

#[test]
fn json_is_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        pool_tune(folder.path(), &["run", "--profile", "light", "--target", "simulated", "--seed", "1", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(document["recommendation"]["provenance"]["seed"], 1);
    assert_eq!(document["recommendation"]["rows"].as_array().unwrap().len(), 15);
}

#[test]
fn every_changed_setting_is_shown_to_have_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 1..=12 {
        let name = format!("run{seed}");
        let output = pool_tune(
            folder.path(),
            &["run", "-p", "heavy", "-t", "simulated", "--seed", &seed.to_string(), "--name", &name, "--json"],
        );
        let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        for row in document["recommendation"]["rows"].as_array().unwrap() {
            if row["was"] != row["now"] {
                let interval = &row["effect"]["interval"];
                let (low, high) = (interval["low"].as_f64().unwrap(), interval["high"].as_f64().unwrap());
                assert!(low > 0.0 || high < 0.0, "seed {seed}: noise reported as a finding: {row}");
                assert_eq!(row["decided_by"], "trial");
            }
        }
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_answer() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    simulated(whole.path(), "21");
    // A run that was killed after some trials: a whole one, with the later trials and the answer taken away.
    simulated(cut.path(), "21");
    let database = cut.path().join("results/pool-tune.db");
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('delete from trials where sequence > 7')\nd.execute(\"update runs set status = 'running', recommendation = null\")\nd.commit()";
    let python = std::process::Command::new("python3").args(["-c", script]).arg(&database).status().unwrap();
    assert!(python.success());
    let output = program(cut.path()).args(["run", "--target", "simulated", "--resume", "run"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("7 trials are taken over"), "{}", stderr(&output));
    for file in FILES {
        assert_eq!(read(whole.path(), "run", file), read(cut.path(), "run", file), "{file}");
    }
}

#[test]
fn a_run_from_a_configuration_goes_on_from_it_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.py"), "DB_MAX_CONNECTIONS = 14\nDB_MIN_CONNECTIONS = 3\n").unwrap();
    let run = ["run", "--profile", "heavy", "--target", "simulated", "--seed", "5", "--trials", "12", "--name", "run"];
    let output = program(folder.path()).args(run).args(["--baseline", "config.py"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let whole = read(folder.path(), "run", "recommendation.yaml");
    // As if it had been killed after five trials; the file that it began from is not needed any more.
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('delete from trials where sequence > 5')\n\
                  d.execute(\"update runs set status = 'interrupted', recommendation = null\")\nd.commit()";
    let database = folder.path().join("results/pool-tune.db");
    assert!(std::process::Command::new("python3").args(["-c", script]).arg(&database).status().unwrap().success());
    std::fs::remove_file(folder.path().join("config.py")).unwrap();
    let output = pool_tune(folder.path(), &["run", "--resume", "run"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("min_connections=3, max_connections=14"), "{}", stderr(&output));
    assert_eq!(read(folder.path(), "run", "recommendation.yaml"), whole);
}
