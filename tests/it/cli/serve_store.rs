//! The service and its store: one that others share, and one that somebody keeps locked.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use super::serve::{PATIENCE, Serving, long, trials};
use crate::support::cluster::Cluster;

/// A service of a folder of its own whose runs are in a server's store.
fn sharing(folder: &Path, cluster: &Cluster) -> Serving {
    let mut command = long(folder);
    command.env("POOL_TUNE_STORE", format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port()));
    Serving::start(command)
}

#[tokio::test]
async fn of_two_services_on_one_store_one_leads_and_the_other_goes_on_where_it_dies() {
    let cluster = Cluster::start("");
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = sharing(here.path(), &cluster);
    first.until("/api/ready", |ready| ready["leads"] == true).await;
    let second = sharing(there.path(), &cluster);
    let (_, ready) = second.get("/api/ready").await;
    assert_eq!((&ready["ready"], &ready["leads"]), (&json!(true), &json!(false)));
    first.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    let begun = |runs: &serde_json::Value| runs["runs"][0]["trials"].as_u64().is_some_and(|trials| trials >= 2);
    // What one measures the other tells.
    let id = second.until("/api/runs", begun).await["runs"][0]["id"].as_str().unwrap().to_owned();
    // One that is asked for on the other meanwhile does not run beside it.
    let mut events = second.client.get(format!("{}/api/events", second.url)).send().await.unwrap();
    second.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    let mut told = String::new();
    while !(told.contains("event: round_ended") && told.ends_with("\n\n")) {
        let part = tokio::time::timeout(PATIENCE, events.chunk()).await.unwrap().unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&part));
    }
    assert!(told.contains("experiment `quick`") && !told.contains("event: run_started"), "{told}");
    assert_eq!(second.get("/api/runs").await.1["total"], 1);
    let before = trials(&first, &id).await;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    // The other one leads when the server has noticed, and goes on with the round.
    second.until("/api/ready", |ready| ready["leads"] == true).await;
    second.until(&format!("/api/runs/{id}"), |run| run["status"] == "finished").await;
    let after = trials(&second, &id).await;
    assert_eq!(after[..before.len()], before[..]);
    let (_, runs) = second.get("/api/runs").await;
    let ids: BTreeSet<&str> = runs["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([id.as_str()]));
}

/// Another program that keeps a store's file for itself until it is told to let go.
struct Locking(Child);

impl Locking {
    fn start(store: &Path) -> Self {
        let script = "import sqlite3, sys
d = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
d.execute('begin exclusive')
print('locked', flush=True)
sys.stdin.readline()
d.execute('rollback')";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Self(child)
    }

    fn let_go(mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Locking {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_store_that_somebody_keeps_locked_is_told_and_nothing_is_lost_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(long(folder.path()));
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    let begun = |runs: &serde_json::Value| runs["runs"][0]["trials"].as_u64().is_some_and(|trials| trials >= 2);
    let id = serving.until("/api/runs", begun).await["runs"][0]["id"].as_str().unwrap().to_owned();
    let before = trials(&serving, &id).await;
    let mut events = serving.client.get(format!("{}/api/events", serving.url)).send().await.unwrap();
    let locking = Locking::start(&folder.path().join("results/pool-tune.db"));
    // Whoever reads goes on, and so does whoever asks what is under way.
    assert_eq!(serving.get("/api/live").await.1["live"]["run"], id.as_str());
    assert!(trials(&serving, &id).await.len() >= before.len());
    // Longer than anybody waits for a lock: the run is interrupted, and says why.
    let mut told = String::new();
    while !told.contains("event: run_stopped") {
        let part = tokio::time::timeout(PATIENCE, events.chunk()).await.unwrap().unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&part));
    }
    assert!(told.contains("another program keeps it locked") && told.contains("\"interrupted\":true"), "{told}");
    locking.let_go();
    serving.until("/api/live", |now| now["live"].is_null()).await;
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    serving.until(&format!("/api/runs/{id}"), |run| run["status"] == "finished").await;
    let after = trials(&serving, &id).await;
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(serving.get("/api/runs").await.1["total"], 1);
}
