use std::fs;

use super::{pool_tune, program, stderr};

/// Runs the program; gives its exit code and what it says.
fn refused(arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = pool_tune(folder.path(), arguments);
    // A run that never began leaves no folder of its own.
    let results = fs::read_dir(folder.path().join("results")).into_iter().flatten();
    let runs: Vec<_> = results.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(runs.is_empty(), "{runs:?}");
    (output.status.code().unwrap(), stderr(&output))
}

#[track_caller]
fn assert_refused(arguments: &[&str], code: i32, says: &[&str]) {
    let (found, text) = refused(arguments);
    assert_eq!(found, code, "{text}");
    for words in says {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn an_unknown_profile_lists_those_there_are() {
    assert_refused(&["run", "--profile", "hevy"], 2, &["`hevy`", "did you mean `heavy`?", "`light`", "`medium`"]);
}

#[test]
fn a_missing_file_is_named() {
    assert_refused(&["run", "--profile", "./mine.yaml"], 2, &["./mine.yaml", "No such file"]);
}

#[test]
fn bad_flags_are_told() {
    assert_refused(&["run", "--pin", "max_conections=3"], 2, &["did you mean `max_connections`?"]);
    assert_refused(&["run", "--range", "max_connections=60..10"], 2, &["expected the lower end first"]);
    assert_refused(&["run", "--prefix", "1 bad"], 2, &["1 bad"]);
    assert_refused(&["run", "--name", "../../etc"], 2, &["--name"]);
    assert_refused(&["run", "--target", "oracle://root@localhost/x"], 2, &["mysql", "postgres://"]);
}

#[test]
fn a_password_is_never_shown() {
    for url in ["postgres://me:s3cr3t@127.0.0.1:1/x", "postgres://me:s3cr3t@[bad/x", "postgres:/me:s3cr3t@h"] {
        let (code, text) = refused(&["-vv", "run", "--profile", "light", "--target", url]);
        assert_ne!(code, 0);
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn an_unreachable_host_is_told() {
    assert_refused(&["run", "--profile", "light", "--target", "postgres://me@127.0.0.1:1/x"], 3, &["127.0.0.1:1"]);
}

#[test]
fn without_postgresql_the_remedy_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let output = program(folder.path()).args(["run", "--profile", "light"]).env("PG_BIN", &empty).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("PG_BIN"), "{text}");
}

#[test]
fn nothing_to_show_or_export_is_told() {
    assert_refused(&["export"], 6, &["there are no runs"]);
    assert_refused(&["show", "x"], 6, &["there are no runs"]);
}

#[test]
fn an_unknown_format_gets_the_nearest() {
    assert_refused(&["export", "--format", "hikri"], 2, &["`hikri`", "did you mean `hikari`?", "--format list"]);
    assert_refused(&["export", "--format", "json", "--prefix", "DB"], 2, &["--prefix is for config.py and env"]);
}

#[test]
fn an_unknown_run_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    pool_tune(folder.path(), &["run", "-p", "light", "-t", "simulated", "--name", "monday"]);
    let text = stderr(&pool_tune(folder.path(), &["show", "mondy"]));
    assert!(text.contains("the nearest is `monday`"), "{text}");
    let text = stderr(&pool_tune(folder.path(), &["run", "-p", "light", "-t", "simulated", "--name", "monday"]));
    assert!(text.contains("choose another with --name"), "{text}");
    let text = stderr(&pool_tune(folder.path(), &["run", "-t", "simulated", "--resume", "monday"]));
    assert!(text.contains("has finished"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_the_run() {
    // Nobody can make files there, root included.
    let output = program(std::env::temp_dir().as_path())
        .args(["run", "-t", "simulated", "--results", "/proc/pool-tune"])
        .output();
    let output = output.unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("/proc/pool-tune") && text.contains("--results"), "{text}");
}

#[test]
fn a_file_that_is_no_store_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    fs::create_dir(&results).unwrap();
    fs::write(results.join("pool-tune.db"), "no database at all, but long enough to be looked at as one").unwrap();
    let output = pool_tune(folder.path(), &["runs"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("no SQLite database"), "{text}");
}

#[test]
fn profiles_are_checked_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), "name: bad\nworkers: 3\nworkload: {operatons: []}\n").unwrap();
    let output = pool_tune(folder.path(), &["profiles", "check", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bad.yaml`, line 3"), "{}", stderr(&output));
    let shown = pool_tune(folder.path(), &["profiles", "show", "heavy"]);
    fs::write(folder.path().join("good.yaml"), &shown.stdout).unwrap();
    assert!(pool_tune(folder.path(), &["profiles", "check", "good.yaml"]).status.success());
}
