//! The store as a person or a team uses it: on a server, copied, cleared out.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{pool_tune, program, read, real::Background, stderr, stdout};
use crate::support::cluster::{Cluster, binary};

/// The URL of a new database on the server that tests share.
fn database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("cli_store_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    sql(&Cluster::shared().url("postgres"), &format!("CREATE DATABASE {name}"));
    Cluster::shared().url(&name)
}

fn sql(url: &str, statement: &str) -> String {
    let output = std::process::Command::new(binary("psql")).args([url, "-Atqc", statement]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn simulated(folder: &Path, name: &str, more: &[&str]) -> Output {
    let usual = ["run", "--target", "simulated", "--profile", "light", "--trials", "4", "--pairs", "6", "--seed", "7"];
    pool_tune(folder, &[&usual, &["--name", name][..], more].concat())
}

/// An experiment in the folder's `experiments`.
fn night(folder: &Path) {
    let experiment = "{name: night, profile: light, target: simulated, schedule: {cron: \"0 1 * * *\"}}";
    fs::create_dir(folder.join("experiments")).unwrap();
    fs::write(folder.join("experiments/night.yaml"), experiment).unwrap();
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

#[test]
fn a_run_is_the_same_on_a_server_and_every_machine_reads_it_there() {
    let (one, two, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = database();
    let store = ["--store", url.as_str()];
    let output = simulated(one.path(), "run", &store);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(simulated(alone.path(), "run", &[]).status.success());
    // Files lie in the results folder, the runs do not.
    assert!(!one.path().join("results/pool-tune.db").exists());
    for file in ["recommendation.yaml", "config.py"] {
        assert_eq!(read(one.path(), "run", file), read(alone.path(), "run", file));
    }
    let runs = json(&pool_tune(two.path(), &["runs", "--json", "--store", &url]));
    assert_eq!((runs[0]["id"].as_str(), runs[0]["status"].as_str()), (Some("run"), Some("finished")));
    for command in [&["show", "run"][..], &["export"], &["report", "--format", "md"], &["compare", "run", "run"]] {
        let there = pool_tune(two.path(), &[command, &store].concat());
        let here = pool_tune(alone.path(), command);
        assert!(there.status.success() && stdout(&there) == stdout(&here), "{}", stderr(&there));
    }
    let by_environment = program(two.path()).args(["show", "run"]).env("POOL_TUNE_STORE", &url).output().unwrap();
    assert!(by_environment.status.success(), "{}", stderr(&by_environment));
    // Another run of that name, from wherever.
    let output = simulated(two.path(), "run", &store);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("there is one of that name already"), "{}", stderr(&output));
    // Whoever has not named a store has none of this.
    assert!(stderr(&pool_tune(two.path(), &["runs"])).contains("no runs yet"));
}

#[test]
fn a_password_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |store: &str, arguments: &[&str], code: i32, says: &str| {
        let output = pool_tune(folder.path(), &[arguments, &["--store", store]].concat());
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    };
    night(folder.path());
    let nobody = "postgres://me:hunter2@127.0.0.1:1/runs?connect_timeout=1";
    for command in
        [&["runs"][..], &["show"], &["export"], &["schedule"], &["store", "info"], &["store", "prune", "--keep", "1d"]]
    {
        refused(nobody, command, 6, "postgres://me@127.0.0.1:1/runs");
    }
    refused(nobody, &["run", "--target", "simulated"], 6, "the connection was refused");
    for wrong in ["mysql://me:hunter2@db/runs", "postgres://me:hunter2@db:port/runs", "hunter2"] {
        refused(wrong, &["runs"], 2, "postgres://");
    }
    refused("sqlite:backup.db", &["run", "--target", "simulated"], 2, "reading a backup");
    let help = program(folder.path()).args(["run", "--help"]).env("POOL_TUNE_STORE", nobody).output().unwrap();
    assert!(stdout(&help).contains("POOL_TUNE_STORE") && !stdout(&help).contains("hunter2"));
    // What the next command is says where the store is, but not how to get in.
    let secret = database().replace("postgres@", "postgres:hunter2@");
    assert!(simulated(folder.path(), "run", &["--store", &secret]).status.success());
    sql(&secret, "UPDATE pool_tune.runs SET status = 'failed', recommendation = NULL");
    refused(&secret, &["export"], 6, "--store 'postgres://postgres@127.0.0.1");
}

#[test]
fn units_name_the_file_for_the_stores_url_and_not_the_url() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path());
    let store = ["--store", "postgres://me:hunter2@db.test/runs"];
    let output = pool_tune(folder.path(), &[&["schedule", "--systemd", "units", "night"], &store[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("`POOL_TUNE_STORE=…` into /etc/pool-tune/night.env"), "{}", stderr(&output));
    let unit = fs::read_to_string(folder.path().join("units/pool-tune-night.service")).unwrap();
    assert!(unit.contains("EnvironmentFile=-/etc/pool-tune/night.env") && !unit.contains("hunter2"), "{unit}");
}

/// A profile whose run takes longer than a test.
const LONG: &str = "
name: long
workers: 4
settings: {min_connections: 2, max_connections: 4}
search: {ranges: {max_connections: [2, 6], min_connections: [1, 2]}}
trial: {measure: 200ms, warm_up_cap: 700ms}
budget: {search_trials: 400, verification_pairs: 6}
day: none
workload: {operations: [{name: read, sql: select 1}]}
";

#[test]
fn a_target_is_loaded_by_one_machine_at_a_time_and_a_killed_run_is_gone_on_with_on_another() {
    let target = Cluster::start("");
    let target = target.url("postgres") + "?sslmode=disable";
    let store = database();
    // Two machines: nothing in common but target and store.
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let machine = |folder: &tempfile::TempDir| {
        fs::write(folder.path().join("long.yaml"), LONG).unwrap();
        let mut command = program(folder.path());
        command.env("POOL_TUNE_STORE", &store).env("DATABASE_URL", &target);
        command
    };
    let log = fs::File::create(one.path().join("log")).unwrap();
    let mut first = machine(&one);
    first
        .args(["run", "--profile", "./long.yaml", "--name", "run"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let mut first = Background(first.spawn().unwrap());
    let trials = || json(&machine(&two).args(["runs", "--json"]).output().unwrap())[0]["trials"].as_u64().unwrap_or(0);
    let begun = Instant::now();
    while trials() < 2 {
        let log = || fs::read_to_string(one.path().join("log")).unwrap();
        assert!(first.0.try_wait().unwrap().is_none(), "the run ended too early: {}", log());
        assert!(begun.elapsed() < Duration::from_secs(180), "the run makes no progress: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    for arguments in [&["run", "--profile", "./long.yaml"][..], &["run", "--resume", "run"]] {
        let output = machine(&two).args(arguments).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(7), "{text}");
        assert!(text.contains("is held by another process (from 127.0.0.1, since 20"), "{text}");
    }
    let status = || json(&machine(&two).args(["runs", "--json"]).output().unwrap())[0]["status"].clone();
    // Neither was it taken for dead.
    assert_eq!(status(), "running");
    first.signal(Signal::KILL);
    first.end();
    while status() != "interrupted" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let shown = stdout(&machine(&two).args(["show", "run"]).output().unwrap());
    assert!(shown.contains("run run · interrupted"), "{shown}");
    let stored = trials();
    let log = fs::File::create(two.path().join("log")).unwrap();
    let mut second = machine(&two);
    second.args(["run", "--resume", "run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut second = Background(second.spawn().unwrap());
    while trials() <= stored {
        let log = fs::read_to_string(two.path().join("log")).unwrap();
        assert!(second.0.try_wait().unwrap().is_none(), "the run ended too early: {log}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(status(), "running");
    second.signal(Signal::INT);
    assert_eq!(second.end(), Some(130));
    assert_eq!(status(), "interrupted");
}

#[test]
fn a_store_is_told_copied_and_cleared_out() {
    let folder = tempfile::tempdir().unwrap();
    let url = database();
    for store in [&[][..], &["--store", &url]] {
        let results = folder.path().join("results");
        let of_store = |arguments: &[&str]| pool_tune(folder.path(), &[&["store"], arguments, store].concat());
        let missing = of_store(&["info"]);
        assert_eq!(missing.status.code(), Some(6), "{}", stderr(&missing));
        assert!(stderr(&missing).contains("there are no runs in"), "{}", stderr(&missing));
        for name in ["one", "two", "three"] {
            let output = simulated(folder.path(), name, store);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        let info = json(&of_store(&["info", "--json"]));
        assert_eq!((info["runs"]["finished"].as_u64(), info["runs"]["failed"].as_u64()), (Some(3), Some(0)));
        assert!(stdout(&of_store(&["info"])).contains("runs     3 (3 finished)"));

        let output = of_store(&["backup", "backup.db"]);
        assert!(output.status.success() && stdout(&output) == "wrote backup.db · 3 runs\n", "{}", stderr(&output));
        let again = of_store(&["backup", "backup.db"]);
        assert_eq!(again.status.code(), Some(6));
        assert!(stderr(&again).contains("there is a file of that name already"), "{}", stderr(&again));
        let shown = pool_tune(folder.path(), &["show", "two", "--json", "--store", "sqlite:backup.db"]);
        assert_eq!(json(&shown), json(&pool_tune(folder.path(), &[&["show", "two", "--json"], store].concat())));
        // It is never cleared out by a slip.
        let backup = pool_tune(folder.path(), &["store", "prune", "--keep-runs", "1", "--store", "sqlite:backup.db"]);
        assert_eq!(backup.status.code(), Some(2), "{}", stderr(&backup));
        fs::remove_file(folder.path().join("backup.db")).unwrap();

        assert_eq!(of_store(&["prune"]).status.code(), Some(2));
        let would = of_store(&["prune", "--keep-runs", "1", "--dry-run"]);
        assert!(stdout(&would).contains("would remove one · ") && stdout(&would).contains("would remove 2 runs"));
        assert_eq!(json(&of_store(&["prune", "--keep", "90d", "--json"]))["runs"], serde_json::json!([]));
        let removed = json(&of_store(&["prune", "--keep-runs", "2", "--json"]));
        assert_eq!((removed["runs"][0]["id"].as_str(), &removed["folders"]), (Some("one"), &serde_json::json!([])));
        assert!(results.join("one").exists());
        let output = of_store(&["prune", "--keep-runs", "0", "--files"]);
        assert!(output.status.success() && stdout(&output).contains("removed 2 runs"), "{}", stderr(&output));
        assert!(!results.join("two").exists() && !results.join("three").exists() && results.join("one").exists());
        fs::remove_dir_all(results).unwrap();
    }
}
