use std::{fs, process::Command};

use serde_json::json;

use super::{asked, assert_waits, exported, installed, repository};

/// What the pool of a format holds, without what the libraries beside it hold, which is checked here.
fn pool(format: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.mjs");
    fs::write(&file, exported(format, "SELECT 1")).unwrap();
    let libraries = repository("target/node-exports");
    installed(libraries.join("node_modules/pg"));
    let mut node = Command::new("node");
    node.arg(repository("tests/exports/check.mjs")).arg(format).arg(file).arg(libraries);
    let mut found = asked(&mut node, "");
    let held = found.as_object_mut().unwrap();
    assert_eq!(held.remove("tries"), Some(json!(5)));
    assert_waits(&held.remove("waits").unwrap(), 1e-3, 0.0);
    assert_eq!(held.remove("failures"), Some(json!(6)));
    assert_eq!(held.remove("resetTimeout"), Some(json!(25_000)));
    assert_eq!(held.remove("timeout"), Some(json!(false)));
    found
}

#[test]
fn node_postgres_makes_the_pool() {
    let expected = json!({
        "min": 4, "max": 17, "connectionTimeoutMillis": 12_000, "maxLifetimeSeconds": 2100, "idleTimeoutMillis": 240_000,
    });
    assert_eq!(pool("node-postgres"), expected);
}

#[test]
fn knex_makes_the_pool() {
    let expected = json!({
        "min": 4, "max": 17, "acquireTimeoutMillis": 12_000, "maxConnectionLifetimeMillis": 2_100_000,
        "idleTimeoutMillis": 240_000,
    });
    assert_eq!(pool("knex"), expected);
}
