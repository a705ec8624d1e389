//! Runs on private servers that the program starts itself.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{pool_tune, program, read, stderr, stdout};
use crate::support::cluster::Cluster;

/// A profile that takes seconds: it proves the way, not the figures.
const QUICK: &str = "
name: quick
workers: 8
settings: {min_connections: 2, max_connections: 6}
search: {ranges: {max_connections: [2, 6], min_connections: [1, 2]}}
trial: {measure: 200ms, warm_up_cap: 700ms}
budget: {search_trials: 10, verification_pairs: 6}
day: none
workload:
  prepare:
    - create table item (id bigint primary key, hits bigint not null)
    - insert into item select n, 0 from generate_series(1, 1000) n
  operations:
    - name: read
      weight: 3
      sql: select hits from item where id = :id
      parameters: {id: {uniform: [1, 1000]}}
    - name: update
      transaction:
        - select hits from item where id = :id for update
        - update item set hits = hits + 1 where id = :id
      parameters: {id: {zipf: {range: [1, 1000], exponent: 1.1}}}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("quick.yaml"), QUICK).unwrap();
    folder
}

/// What private servers have left in the state folder.
fn clusters(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder.join("state")) else { return 0 };
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn a_run_on_a_private_server_gives_an_answer_and_leaves_nothing() {
    let folder = folder();
    let output = pool_tune(folder.path(), &["run", "--profile", "./quick.yaml", "--name", "run"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("PostgreSQL"), "{}", stderr(&output));
    assert!(read(folder.path(), "run", "config.py").contains("SUPABASE_MAX_CONNECTIONS = "));
    assert_eq!(clusters(folder.path()), 0);
    let shown: serde_json::Value =
        serde_json::from_str(&stdout(&pool_tune(folder.path(), &["show", "--json"]))).unwrap();
    for trial in shown["trials"].as_array().unwrap() {
        let measurement = &trial["measurement"];
        assert!(measurement["throughput"].as_f64().unwrap() > 0.0, "{trial}");
        assert_eq!(measurement["requests"]["failed"], 0, "{trial}");
        let most = trial["settings"]["max_connections"].as_u64().unwrap();
        assert!(measurement["utilisation"]["peak_total"].as_u64().unwrap() <= most, "{trial}");
    }
}

#[test]
fn what_acts_too_slowly_for_trials_is_judged_by_days_made_of_what_was_measured() {
    let folder = folder();
    let pins = "pin: [connection_timeout, idle_timeout, health_check_interval, max_retry_delay, retry_jitter_factor, \
                validation_timeout, circuit_breaker_reset, connection_lifetime, retry_attempts, initial_retry_delay, \
                circuit_breaker_threshold], ";
    let day = "day: {load: flat, peak: 0.01, incidents: {restarts: 2, failovers: 0, brown_outs: 0, packet_loss: 0, resets: 0}}\n\
               faults: {weight: 0.25, measure: 400ms, deadline: 200ms, timeline: [{at: 100ms, fault: reset}]}\n";
    let profile = QUICK.replace("day: none\n", day).replace("search: {", &format!("search: {{{pins}"));
    fs::write(folder.path().join("quick.yaml"), profile).unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./quick.yaml", "--name", "run", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let found = &document["recommendation"]["simulation"];
    assert!(!found["predictions"].as_array().unwrap().is_empty(), "{found}");
    let trials = trials(folder.path(), "run");
    let of = |phase: &str| trials.iter().filter(|trial| trial["phase"] == phase).collect::<Vec<_>>();
    let probes = of("probe");
    assert_eq!(probes.iter().map(|trial| &trial["settings"]["max_connections"]).collect::<Vec<_>>(), [1, 6]);
    assert!(probes.iter().all(|trial| trial["measurement"]["acquire"]["open"]["p50"].as_f64().unwrap() > 0.0));
    let sample: serde_json::Value = serde_json::from_str(&read(folder.path(), "run", "calibration.json")).unwrap();
    assert_eq!(sample["connecting"].as_array().unwrap().len(), 2, "{}", sample["connecting"]);
    // Where other programs disturb the trials so much that nothing can be foretold, it decides nothing, and says so.
    let rows = document["recommendation"]["rows"].as_array().unwrap();
    let breaker = rows.iter().find(|row| row["setting"] == "circuit_breaker_timeout").unwrap();
    if found["was"].is_null() {
        assert!(found["refused"].as_str().unwrap().contains("too far from the trials"), "{found}");
        assert_eq!((&breaker["decided_by"], of("compressed").len()), (&"kept".into(), 0));
    } else {
        let measured = &found["compressed"]["was"]["measured"];
        assert!(measured["value"].as_f64().unwrap() > 0.2, "an outage of 1.4 s in 4.5 s: {measured}");
        assert!(breaker["effect"]["value"].as_f64().unwrap() < -0.3, "{breaker}");
        assert_eq!(breaker["decided_by"] == "simulation", found["refused"].is_null(), "{breaker} {found}");
        assert_eq!(of("compressed").len(), 6);
    }
    assert!(read(folder.path(), "run", "summary.md").contains("## In simulated days"));
}

#[test]
fn sql_that_fails_is_told_before_any_trial() {
    let folder = folder();
    fs::write(
        folder.path().join("bad.yaml"),
        QUICK.replace("select hits from item where", "select hitz from item where"),
    )
    .unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./bad.yaml"]);
    let text = stderr(&output);
    assert!(text.contains("hitz") && text.contains("read"), "{text}");
    assert!(!output.status.success());
    assert_eq!(clusters(folder.path()), 0);
}

/// A run in the background, ended with its server when the test ends.
pub(super) struct Background(pub(super) Child);

impl Background {
    /// What the run says is in the folder's `log`.
    fn begin(folder: &Path, arguments: &[&str]) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        Self(program(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Its exit code, if it ends soon.
    pub(super) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the run does not end");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::INT);
            self.end();
        }
    }
}

/// Waits until the background run has stored more than `trials`; gives all that it has stored.
fn stored(folder: &Path, run: &mut Background, trials: usize) -> Vec<serde_json::Value> {
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    let begun = Instant::now();
    loop {
        let shown = pool_tune(folder, &["show", "run", "--json"]);
        if shown.status.success() {
            let shown: serde_json::Value = serde_json::from_str(&stdout(&shown)).unwrap();
            let stored = shown["trials"].as_array().unwrap();
            if stored.len() > trials {
                return stored.clone();
            }
        }
        assert!(run.0.try_wait().unwrap().is_none(), "the run ended too early: {}", log());
        assert!(begun.elapsed() < Duration::from_secs(180), "the run makes no progress: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A run in the background that has stored its first trials.
fn running(folder: &Path) -> Background {
    let mut run = Background::begin(folder, &["run", "--profile", "./quick.yaml", "--name", "run", "--trials", "400"]);
    stored(folder, &mut run, 1);
    run
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let folder = folder();
    let mut child = running(folder.path());
    child.signal(Signal::INT);
    assert_eq!(child.end(), Some(130));
    assert_eq!(clusters(folder.path()), 0);
    let runs = stdout(&pool_tune(folder.path(), &["runs"]));
    assert!(runs.contains("interrupted"), "{runs}");
}

#[test]
fn a_killed_run_loses_no_trial_and_the_next_start_cleans_up() {
    let folder = folder();
    let mut child = running(folder.path());
    child.signal(Signal::KILL);
    child.end();
    assert_eq!(clusters(folder.path()), 1, "a killed run cannot clean up");
    let before: serde_json::Value =
        serde_json::from_str(&stdout(&pool_tune(folder.path(), &["show", "run", "--json"]))).unwrap();
    let before = before["trials"].as_array().unwrap();

    let mut again = Background::begin(folder.path(), &["run", "--resume", "run"]);
    let trials = stored(folder.path(), &mut again, before.len());
    assert_eq!(&trials[..before.len()], before.as_slice());
    assert_eq!(clusters(folder.path()), 1, "the dead run's server is gone, the new one's is there");
    again.signal(Signal::INT);
    again.end();
    assert_eq!(clusters(folder.path()), 0);
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let folder = folder();
    let mut child = running(folder.path());
    let second = pool_tune(folder.path(), &["run", "--profile", "./quick.yaml"]);
    assert_eq!(second.status.code(), Some(7), "{}", stderr(&second));
    assert!(stderr(&second).contains(&child.0.id().to_string()), "{}", stderr(&second));
    child.signal(Signal::INT);
    child.end();
}

#[test]
fn limits_that_nothing_keeps_get_a_plain_answer() {
    let folder = folder();
    let strict = QUICK.replace("trial:", "limits: {p95_query: 1us}\ntrial:");
    fs::write(folder.path().join("strict.yaml"), strict).unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./strict.yaml", "--name", "strict"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stdout(&output).contains("p95_query"), "{}", stdout(&output));
    assert!(!folder.path().join("results/strict/config.py").exists());
    assert_eq!(pool_tune(folder.path(), &["export", "strict"]).status.code(), Some(5));
}

/// The quick profile with a part under faults: for a moment all connections are gone and none can be opened. Its users pause,
/// so that even a busy machine serves what is offered, and nothing is searched; few trials show a low limit kept.
fn faulty(retries: u32) -> String {
    let settings = format!(
        "{{min_connections: 2, max_connections: 6, retry_attempts: {retries}, initial_retry_delay: 0.05, \
         circuit_breaker_threshold: 10000}}"
    );
    QUICK
        .replace("{min_connections: 2, max_connections: 6}", &settings)
        .replace(
            "{ranges: {max_connections: [2, 6], min_connections: [1, 2]}}",
            "{pin: [max_connections, min_connections, retry_attempts, initial_retry_delay, circuit_breaker_threshold]}",
        )
        .replace("warm_up_cap: 700ms", "warm_up_cap: 100ms")
        .replace("workload:\n", "limits: {success_rate: 0.5}\nworkload:\n  think_time: 5ms\n")
        .replace(
            "budget:",
            "faults: {weight: 0.5, measure: 600ms, deadline: 500ms, timeline: \
             [{at: 100ms, for: 150ms, fault: refuse}, {at: 110ms, fault: reset}]}\nbudget:",
        )
}

/// The trials of a run.
fn trials(folder: &Path, run: &str) -> Vec<serde_json::Value> {
    let shown: serde_json::Value = serde_json::from_str(&stdout(&pool_tune(folder, &["show", run, "--json"]))).unwrap();
    shown["trials"].as_array().unwrap().clone()
}

fn part(trial: &serde_json::Value, figure: &str) -> f64 {
    trial["measurement"]["under_faults"][figure].as_f64().unwrap_or_else(|| panic!("{figure} in {trial}"))
}

#[test]
fn retries_serve_more_under_faults_and_a_resumed_run_goes_on_at_the_same_rate() {
    let folder = folder();
    for (name, retries) in [("none", 0), ("some", 5)] {
        fs::write(folder.path().join(format!("{name}.yaml")), faulty(retries)).unwrap();
        let profile = format!("./{name}.yaml");
        let output = pool_tune(folder.path(), &["run", "--profile", &profile, "--name", name]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let (none, some) = (trials(folder.path(), "none"), trials(folder.path(), "some"));
    let mean = |trials: &[serde_json::Value], figure: &str| {
        let sum: f64 = trials.iter().map(|trial| part(trial, figure)).sum();
        sum / f64::from(u32::try_from(trials.len()).unwrap())
    };
    assert!(none.iter().all(|trial| part(trial, "share") < 1.0), "{none:?}");
    assert!(mean(&some, "share") > mean(&none, "share"), "{} {}", mean(&some, "share"), mean(&none, "share"));
    assert!(mean(&some, "attempts") > 1.0);
    assert!((mean(&none, "attempts") - 1.0).abs() < 1e-9);
    for trial in none.iter().chain(&some) {
        // What faults break is no failure of the steady part, and voids no trial.
        assert_eq!(trial["measurement"]["requests"]["failed"], 0, "{trial}");
        assert!(trial["measurement"]["under_faults"]["faults"][0]["began"].is_number(), "{trial}");
    }
    assert!(read(folder.path(), "some", "summary.md").contains("## Under faults"));

    // As if the run had been killed after three trials.
    let database = folder.path().join("results/pool-tune.db");
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute(\"delete from trials where sequence > 3 and run = 'some'\")\nd.execute(\"update runs set status = 'interrupted', recommendation = null where id = 'some'\")\nd.commit()";
    assert!(std::process::Command::new("python3").args(["-c", script]).arg(&database).status().unwrap().success());
    let output = pool_tune(folder.path(), &["run", "--resume", "some"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let again = trials(folder.path(), "some");
    assert_eq!((&again[..3], again.len()), (&some[..3], some.len()));
    for trial in &again {
        assert!((part(trial, "rate") - part(&some[0], "rate")).abs() < 1e-9, "{trial}");
    }
}

#[test]
fn where_no_faults_can_be_made_a_run_has_none_and_says_so() {
    let folder = folder();
    let cluster = crate::support::cluster::Cluster::shared();
    fs::write(folder.path().join("some.yaml"), faulty(5).replace("retry_attempts, initial_retry_delay, ", "")).unwrap();
    let target =
        format!("postgres://postgres@localhost/postgres?host={}&port={}", cluster.folder().display(), cluster.port());
    let arguments =
        ["run", "--profile", "./some.yaml", "--name", "run", "--target", &target, "--yes-load-this-database", "--json"];
    let output = pool_tune(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let warnings = document["recommendation"]["warnings"].to_string();
    assert!(warnings.contains("no fault part") && warnings.contains("socket"), "{warnings}");
    let rows = document["recommendation"]["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["setting"] == "retry_attempts").unwrap();
    assert!(row["why"].as_str().unwrap().contains("cannot be made on this target"), "{row}");
    assert!(document["recommendation"]["under_faults"].is_null());
}

#[test]
fn several_pools_share_the_server_and_the_range_is_cut_to_what_it_allows_them() {
    let folder = folder();
    let cluster = Cluster::start("max_connections = 20");
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port());
    let profile = QUICK.replace("max_connections: 6}", "max_connections: 5}");
    fs::write(folder.path().join("quick.yaml"), profile).unwrap();
    let run = ["run", "--profile", "./quick.yaml", "--name", "run", "--target", &url, "--instances", "3"];
    let output = pool_tune(folder.path(), &run);
    assert!(output.status.success(), "{}", stderr(&output));
    // 20 less 3 reserved and 2 of the program's own are 15: five for each of three.
    let told = stderr(&output);
    assert!(told.contains("cut from 2..6 to 2..5") && told.contains("3 pools share the rest"), "{told}");
    assert!(told.contains("8 workers · 3 pools, each"), "{told}");
    assert!(stdout(&output).contains("3 pools shared the server: "), "{}", stdout(&output));
    let shown: serde_json::Value =
        serde_json::from_str(&stdout(&pool_tune(folder.path(), &["show", "--json"]))).unwrap();
    let mut beyond_one = 0;
    for trial in shown["trials"].as_array().unwrap() {
        let most = trial["settings"]["max_connections"].as_u64().unwrap();
        let open = trial["measurement"]["utilisation"]["peak_total"].as_u64().unwrap();
        assert!(most <= 5 && open <= 3 * most, "{trial}");
        beyond_one += u32::from(open > most);
    }
    assert!(beyond_one > 0, "more connections are open than one pool may have");
    let summary = read(folder.path(), "run", "summary.md");
    assert!(summary.contains("- pools that share the server: 3") && summary.contains("--instances 3"), "{summary}");
    // A simulation has one pool.
    let output = pool_tune(folder.path(), &["run", "--target", "simulation", "--instances", "3"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("leave `instances` out"), "{}", stderr(&output));
}
