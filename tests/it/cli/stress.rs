use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{pool_tune, program, stderr, stdout};
use crate::support::cluster::Cluster;

const QUICK: &str = "
name: quick
workers: 4
settings: {min_connections: 1, max_connections: 3, connection_timeout: 2, validation_timeout: 1, validation_query: ''}
workload:
  operations:
    - {name: read, sql: select 1}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("quick.yaml"), QUICK).unwrap();
    folder
}

fn stress(folder: &Path, arguments: &[&str]) -> Output {
    pool_tune(folder, &[&["stress", "--profile", "./quick.yaml"], arguments].concat())
}

/// Runs it with `--json`; gives its exit code and its document.
fn document(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = stress(folder, &[arguments, &["--json"]].concat());
    let document = serde_json::from_str(&stdout(&output));
    (output.status.code().unwrap(), document.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output))))
}

fn url() -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", Cluster::shared().port())
}

#[test]
fn a_test_gives_a_document_that_its_schema_describes_and_files_beside_it() {
    let folder = folder();
    let files = ["--csv", "line.csv", "--hdr-log", "times.hlog", "--save", "first.json"];
    let (code, first) = document(folder.path(), &[&["--duration", "3"], files.as_slice()].concat());
    assert_eq!(code, 0, "{first}");
    let shipped = include_str!("../../../schemas/stress.schema.json");
    assert_eq!(stdout(&pool_tune(folder.path(), &["stress", "--json-schema"])), shipped, "the schema is out of date");
    let schema = serde_json::from_str(shipped).unwrap();
    let wrong: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&first).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    let measured = &first["measurement"];
    assert!(measured["throughput"].as_f64().unwrap() > 0.0);
    assert_eq!(measured["utilisation"]["peak_total"], 3);
    let requests = measured["requests"]["succeeded"].as_u64().unwrap();
    assert_eq!(first["ladder"].as_array().unwrap().last().unwrap()["count"].as_u64(), Some(requests));
    let csv = fs::read_to_string(folder.path().join("line.csv")).unwrap();
    assert_eq!(csv.lines().count(), first["series"].as_array().unwrap().len() + 1, "{csv}");
    assert!(fs::read_to_string(folder.path().join("times.hlog")).unwrap().contains("Tag=basic,"));

    let saved = fs::read_to_string(folder.path().join("first.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap(), first);
    let again = stress(folder.path(), &["--duration", "3", "--compare", "first.json"]);
    assert!(stdout(&again).contains("Compared with the earlier test, of the same settings"), "{}", stdout(&again));
    let other = stress(folder.path(), &["--duration", "1", "--compare", "first.json"]);
    assert_eq!(other.status.code(), Some(2), "a test of another length is not comparable: {}", stdout(&other));
    assert!(!stderr(&other).contains("measuring"), "that is told before the test: {}", stderr(&other));

    let diagnosed = pool_tune(folder.path(), &["diagnose", "first.json", "--json"]);
    let found: Value = serde_json::from_str(&stdout(&diagnosed)).unwrap();
    assert_eq!(found[0]["findings"], first["findings"]);
}

#[test]
fn an_open_loop_and_flags_for_settings_do_what_they_say() {
    let (code, document) = document(
        folder().path(),
        &[
            "--rate",
            "100",
            "--arrival",
            "poisson",
            "--duration",
            "2",
            "--max-connections",
            "5",
            "--idle-timeout",
            "90s",
        ],
    );
    assert_eq!(code, 0);
    assert_eq!(document["settings"]["max_connections"], 5);
    assert_eq!(document["settings"]["idle_timeout"], 90);
    let offered = &document["measurement"]["offered"];
    assert!(offered["requests"].as_u64().unwrap() > 100, "{offered}");
    assert_eq!(document["load"]["pacing"]["offered"], "poisson_rate");
}

#[test]
fn thresholds_decide_the_exit_code() {
    let folder = folder();
    let list = stdout(&stress(folder.path(), &["--threshold", "list"]));
    assert!(list.contains("success_rate") && list.contains("FIGURE_query"), "{list}");
    let arguments = ["--duration", "1", "--threshold", "p50_query<1ns", "--threshold", "success_rate>=0.99"];
    let bad = stress(folder.path(), &arguments);
    assert_eq!(bad.status.code(), Some(2), "`1ns` is no time that it knows: {}", stderr(&bad));
    let (code, document) =
        document(folder.path(), &["--duration", "1", "--threshold", "max_query<0.000001", "--threshold", "qps>1"]);
    assert_eq!((code, &document["passed"]), (8, &Value::Bool(false)));
    let holds: Vec<_> = document["thresholds"].as_array().unwrap().iter().map(|outcome| &outcome["holds"]).collect();
    assert_eq!(holds, [&Value::Bool(false), &Value::Bool(true)]);
}

#[test]
fn a_test_that_cannot_pass_any_more_ends_early_when_asked_to() {
    let folder = folder();
    let failing = QUICK
        .replace("{name: read, sql: select 1}", "{name: half, sql: select 1 / :x, parameters: {x: {choice: [0, 1]}}}");
    fs::write(folder.path().join("quick.yaml"), failing).unwrap();
    let (code, document) = document(folder.path(), &["--duration", "60", "--abort-on-fail"]);
    assert_eq!(code, 8);
    assert_eq!(document["measurement"]["ended"], "success_limit_missed");
    assert_eq!(document["ended_by"], "success_rate>=0.99");
    assert!(document["measurement"]["seconds"].as_f64().unwrap() < 30.0);
    let error = &document["measurement"]["errors"][0];
    assert_eq!((&error["class"], &error["code"]), (&"query".into(), &"22012".into()));
    assert_eq!(error["example"], "operation `half`: division by zero");

    // In a test with faults as well, and by a threshold of another kind.
    let scenario =
        "name: mine\nduration: 60s\nfaults: [{at: 500ms, fault: terminate}]\nexpect: [opened<1, errors<1000000]\n";
    fs::write(folder.path().join("quick.yaml"), QUICK).unwrap();
    fs::write(folder.path().join("mine.yaml"), scenario).unwrap();
    let (code, document) = self::document(folder.path(), &["--scenario", "./mine.yaml", "--abort-on-fail"]);
    assert_eq!(code, 8);
    assert_eq!(
        (&document["measurement"]["ended"], &document["ended_by"]),
        (&"threshold_missed".into(), &"opened<1".into())
    );
    assert!(document["warnings"].to_string().contains("`opened<1` could not be met any more"), "{document}");
}

#[test]
fn requests_that_ask_for_a_second_connection_are_told_as_the_cause() {
    let (code, document) =
        document(folder().path(), &["--scenario", "nested-acquire", "--workers", "12", "--duration", "3"]);
    assert_eq!(code, 8);
    assert_eq!(document["findings"][0]["rule"], "nested_acquire", "{}", document["findings"]);
}

#[test]
fn a_scenario_with_faults_tells_what_they_did() {
    let folder = folder();
    let scenario = "
name: mine
duration: 4s
settings: {circuit_breaker_threshold: 1000}
faults:
  - {at: 1s, fault: terminate}
  - {at: 2s, for: 300ms, fault: latency, delay: 30ms}
expect: [recovery<20s]
";
    fs::write(folder.path().join("mine.yaml"), scenario).unwrap();
    let (_, document) = document(folder.path(), &["--scenario", "./mine.yaml"]);
    let faults = document["measurement"]["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2);
    for fault in faults {
        assert!(fault["began"].as_f64().unwrap() < fault["ended"].as_f64().unwrap() + 1e-9, "{fault}");
        assert_eq!(fault["problem"], Value::Null);
        assert!(fault["recovery"]["prior_throughput"].as_f64().unwrap() > 0.0, "{fault}");
    }
    assert!(faults[0]["recovery"]["opened"].as_u64().unwrap() > 0, "ended sessions are replaced: {}", faults[0]);
}

#[test]
fn pgbench_scripts_are_stressed() {
    let (code, document) =
        document(folder().path(), &["--builtin", "select-only", "--duration", "1", "--workers", "2"]);
    assert_eq!(code, 0, "{document}");
    assert!(document["measurement"]["requests"]["succeeded"].as_u64().unwrap() > 0);
}

#[test]
fn faults_of_the_server_are_only_for_servers_of_our_own() {
    let output =
        stress(folder().path(), &["--target", &url(), "--scenario", "server-restart", "--yes-load-this-database"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("not started by pool-tune"), "{}", stderr(&output));
}

#[test]
fn bad_input_is_told_with_its_remedy_before_any_load() {
    let folder = folder();
    let late = "name: late\nduration: 2s\nfaults: [{at: 3s, for: 1s, fault: stall}]\n";
    fs::write(folder.path().join("late.yaml"), late).unwrap();
    for (arguments, says) in [
        (["--rate", "0"].as_slice(), ["requests a second above 0", "--rate"].as_slice()),
        (&["--rate=-5"], &["requests a second above 0"]),
        (&["--rate", "1e9"], &["100000"]),
        (&["--workers", "0"], &["from 1 to 10000"]),
        (&["--workers", "1000000"], &["from 1 to 10000", "--rate"]),
        (&["--duration", "0"], &["500ms to 24h"]),
        (&["--duration", "10x"], &["such as 60, 90s"]),
        (&["--threshold", "p95_qery<50ms"], &["p95_qery<50ms\n    ^", "did you mean `p95_query`?"]),
        (&["--threshold", "success_rate=0.99"], &["\n                ^", "expected <, <=, > or >="]),
        (&["--max-connections", "0"], &["from 1 to 10000"]),
        (&["--max-connections", "2", "--min-connections", "3"], &["min_connections must not exceed"]),
        (&["--scenario", "brownout"], &["did you mean `brown-out`?"]),
        (&["--scenario", "./none.yaml"], &["./none.yaml", "No such file"]),
        (&["--scenario", "./late.yaml"], &["line 3", "`stall` ends at 4 s and the test at 2 s"]),
        (&["--scenario", "leak", "--duration", "4"], &["ends at 8 s"]),
        (&["--arrival", "poisson"], &["give --rate as well"]),
        (&["--compare", "none.json"], &["none.json"]),
        (&["--csv", "/no/such/folder/line.csv"], &["/no/such/folder/line.csv"]),
    ] {
        let output = stress(folder.path(), arguments);
        let text = stderr(&output);
        let code = if arguments[0] == "--csv" { 6 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for words in says {
            assert!(text.contains(words), "{arguments:?}: `{words}` is not in: {text}");
        }
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn more_connections_than_open_files_allow_are_refused_with_the_limit() {
    let folder = folder();
    let binary = env!("CARGO_BIN_EXE_pool-tune");
    let script =
        format!("ulimit -n 150; exec {binary} stress --profile ./quick.yaml --max-connections 400 --duration 1");
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("ulimit -n") && text.contains("may have 150"), "{text}");
}

#[test]
fn a_port_where_something_else_answers_is_no_database() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        // As often as the program may try; each gets the answer of a web server.
        for stream in listener.incoming().take(1) {
            drop(stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let target = format!("postgres://me@127.0.0.1:{port}/app?sslmode=disable");
    let output = stress(folder().path(), &["--target", &target, "--duration", "1"]);
    answers.join().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn a_server_that_dies_and_never_returns_is_a_result() {
    let folder = folder();
    let cluster = Cluster::start("");
    let target = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port());
    let child = program(folder.path())
        .args(["stress", "--profile", "./quick.yaml", "--target", &target, "--duration", "4", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is dead some time after the test has begun; were it before, the target could not be used, which is told as well.
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(2500));
    drop(cluster);
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    let document: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert!(document["measurement"]["requests"]["failed"].as_u64().unwrap() > 0);
    // Also where so much was served before that the success rate alone would pass.
    assert!(document["warnings"].to_string().contains("does not answer any more"), "{}", document["warnings"]);
    assert_eq!(document["passed"], false);
}
