//! The program on databases other than PostgreSQL.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use super::{pool_tune, stderr, stdout};

/// Requests of every kind of parameter, with statements of each database's own.
const EVERYWHERE: &str = "
name: everywhere
workers: 4
day: none
settings: {min_connections: 1, max_connections: 3, connection_timeout: 2, validation_timeout: 1}
search: {ranges: {max_connections: [2, 4]}}
trial: {measure: 200ms, warm_up_cap: 200ms}
budget: {search_trials: 10, verification_pairs: 6}
workload:
  prepare:
    postgres: ['create table item (id bigint primary key, name text)', \"insert into item values (1, 'a'), (2, 'b')\"]
    mysql: ['create table item (id bigint primary key, name varchar(9))', \"insert into item values (1, 'a'), (2, 'b')\"]
    sqlite: ['create table item (id integer primary key, name text)', \"insert into item values (1, 'a'), (2, 'b')\"]
  operations:
    - name: read
      weight: 3
      sql: select name from item where id = :id and (name = :name or :share < 2 or id = :id)
      parameters: {id: {uniform: [1, 2]}, name: {choice: [a, b]}, share: {real: [0, 1]}}
    - name: write
      transaction:
        postgres: [select id from item where id = :id for update, update item set name = 'c' where id = :id]
        mysql: [select id from item where id = :id for update, update item set name = 'c' where id = :id]
        sqlite: [select id from item where id = :id, update item set name = 'c' where id = :id]
      parameters: {id: {uniform: [1, 2]}}
";

fn folder(profile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.yaml"), profile).unwrap();
    folder
}

fn stress(folder: &Path, target: &str, arguments: &[&str]) -> Output {
    pool_tune(folder, &[&["stress", "--profile", "./mine.yaml", "--target", target], arguments].concat())
}

#[test]
fn a_profile_with_statements_for_each_runs_on_all() {
    for (target, server) in
        [("postgres:private", "PostgreSQL"), ("mariadb:private", "MariaDB"), ("sqlite:private", "SQLite")]
    {
        let folder = folder(EVERYWHERE);
        let output = stress(folder.path(), target, &["--duration", "1", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{target}: {}{}", stderr(&output), stdout(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(report["server"].as_str().unwrap().starts_with(server), "{}", report["server"]);
        assert_eq!(report["measurement"]["requests"]["failed"], 0, "{}", report["measurement"]["errors"]);
        assert_eq!(report["warnings"].to_string().contains("embedded"), target == "sqlite:private");
    }
}

#[test]
fn a_run_ends_with_an_answer_on_a_database_that_needs_no_server() {
    let folder = folder(EVERYWHERE);
    let output = pool_tune(folder.path(), &["run", "--profile", "./mine.yaml", "--target", "sqlite:private", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["recommendation"]["provenance"]["target"], "sqlite:private", "{answer}");
    assert!(fs::read_dir(folder.path().join("state")).unwrap().next().is_none(), "the private file is gone");
}

#[test]
fn a_server_that_is_stopped_comes_back() {
    let scenario = "
name: stopped
duration: 5s
settings: {circuit_breaker_timeout: 1}
faults: [{at: 1s, for: 500ms, fault: restart}, {at: 3s, fault: terminate, share: 0.5}]
expect: [restored<5s]
";
    let folder = folder(EVERYWHERE);
    fs::write(folder.path().join("stopped.yaml"), scenario).unwrap();
    let output = stress(folder.path(), "mariadb:private", &["--scenario", "./stopped.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stderr(&output), stdout(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let faults = report["measurement"]["faults"].as_array().unwrap();
    assert!(faults.iter().all(|fault| fault["problem"].is_null()), "{faults:?}");
    assert!(report["measurement"]["connections"]["closed_broken"].as_u64().unwrap() > 0);
}

#[test]
fn a_url_of_one_database_with_a_profile_for_another_is_told_before_anything_is_reached() {
    let profile = "
name: mine
workers: 2
workload:
  operations:
    - {name: series, sql: {postgres: \"select generate_series(1, 3)\"}}
";
    let folder = folder(profile);
    let nowhere = "mysql://me:hunter2@127.0.0.1:1/app";
    for command in ["run", "stress"] {
        let output = pool_tune(folder.path(), &[command, "--profile", "./mine.yaml", "--target", nowhere]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("line 6") && text.contains("operation `series` has statements for PostgreSQL only"),
            "{text}"
        );
        assert!(text.contains("add `mysql: …` beside") && !text.contains("hunter2"), "{text}");
    }

    // Written for all, but understood by one.
    fs::write(folder.path().join("mine.yaml"), profile.replace("{postgres: ", "").replace(")\"}}", ")\"}")).unwrap();
    for target in ["mariadb:private", "sqlite:private"] {
        let output = stress(folder.path(), target, &["--duration", "1"]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("operation `series`") && text.contains("a statement of its own"), "{text}");
    }
}

#[test]
fn pgbenchs_tables_are_refused_where_they_cannot_be_made() {
    let folder = folder(EVERYWHERE);
    let output = pool_tune(folder.path(), &["stress", "-b", "tpcb-like", "--target", "sqlite:private"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("`prepare` has statements for PostgreSQL only"), "{}", stderr(&output));
}

#[test]
fn what_cannot_fail_in_an_embedded_database_is_left_out_of_a_suite_and_refused_alone() {
    let folder = folder(EVERYWHERE);
    let output = stress(folder.path(), "sqlite:private", &["--scenario", "server-restart"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("an embedded database has no server"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_no_database_or_not_there_is_told() {
    let folder = folder(EVERYWHERE);
    let path = folder.path().join("letter.txt");
    fs::write(&path, "no database\n".repeat(500)).unwrap();
    let told = |target: &str| {
        let output = stress(folder.path(), target, &["--duration", "1"]);
        (output.status.code().unwrap(), stderr(&output))
    };
    let (code, text) = told(&format!("sqlite:{}", path.display()));
    assert!(code == 3 && text.contains("not a database"), "{code} {text}");
    let (code, text) = told("sqlite:/no/such.db");
    assert!(code == 2 && text.contains("/no/such.db") && text.contains("sqlite:private"), "{code} {text}");
    let (code, text) = told("oracle://me:hunter2@h/d");
    assert!(code == 2 && text.contains("mysql://") && !text.contains("hunter2"), "{code} {text}");
}
