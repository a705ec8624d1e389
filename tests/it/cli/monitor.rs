//! `pool-tune monitor` on a real PostgreSQL in made situations, and on metrics of a pool.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use pool_tune::database::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{pool_tune, program, stderr, stdout};
use crate::support::cluster::Cluster;

/// What a situation may take to be seen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn url(cluster: &Cluster) -> String {
    format!("postgres://postgres:hunter2@127.0.0.1:{}/postgres", cluster.port())
}

/// A session of an application.
async fn session(cluster: &Cluster, name: &str) -> Connection {
    let mut connection = cluster.server().connect_control().await.unwrap();
    connection.execute_raw(&format!("set application_name = '{name}'")).await.unwrap();
    connection
}

fn rules(reading: &Value) -> Vec<&str> {
    reading["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}

/// Looks once, again and again, until a reading is as wanted.
fn until(folder: &Path, cluster: &Cluster, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let output = pool_tune(folder, &["monitor", "--target", &url(cluster), "--once", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let reading: Value = serde_json::from_str(&stdout(&output)).unwrap();
        if wanted(&reading) {
            return reading;
        }
        assert!(began.elapsed() < PATIENCE, "{reading}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// The program while it watches; ended when dropped.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = program(folder);
        command.args(["monitor", "--every", "500ms"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads on until a line is as wanted; gives it, and those before it.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> (String, Vec<String>) {
        let began = Instant::now();
        let mut before = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended: {before:?}");
            if wanted(&line) {
                return (line, before);
            }
            before.push(line);
            assert!(began.elapsed() < PATIENCE, "{before:?}");
        }
    }

    /// Ends it as Ctrl-C does; gives its exit code and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_transaction_its_waiter_and_a_full_server_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start("max_connections = 20\n");
    let calm = until(folder.path(), &cluster, |_| true);
    assert_eq!(rules(&calm), Vec::<&str>::new(), "{calm}");
    assert_eq!((&calm["database"]["limit"], &calm["database"]["connected"]), (&17.into(), &0.into()), "{calm}");

    let mut holder = session(&cluster, "shop").await;
    holder.execute_raw("create table item (id int); insert into item values (1)").await.unwrap();
    holder.execute_raw("begin; update item set id = 2").await.unwrap();
    let mut waiter = session(&cluster, "waiter").await;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { waiter.execute_raw("update item set id = 3").await });
    let both = ["idle_in_transaction", "lock_waits"];
    let reading = until(folder.path(), &cluster, |reading| rules(reading) == both);
    let finding = &reading["findings"][0];
    assert!(finding["evidence"].to_string().contains("1 of shop"), "{finding}");
    assert_eq!(finding["severity"], "serious", "somebody waits for it: {finding}");
    assert_eq!(reading["database"]["waits"][0]["kind"], "Lock", "{reading}");
    let of = |fail_on: &str| {
        let target = url(&cluster);
        let output = pool_tune(folder.path(), &["monitor", "--target", &target, "--once", "--fail-on", fail_on]);
        assert!(stdout(&output).contains("begins: Sessions are idle inside a transaction"), "{}", stdout(&output));
        output.status.code()
    };
    assert_eq!(["serious", "lock_waits", "near_server_limit"].map(of), [Some(10), Some(10), Some(0)]);

    holder.execute_raw("commit").await.unwrap();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    let mut all = vec![holder];
    for _ in 0..15 {
        all.push(session(&cluster, "crowd").await);
    }
    let reading = until(folder.path(), &cluster, |reading| rules(reading).contains(&"near_server_limit"));
    assert!(reading["findings"].to_string().contains("15 of crowd"), "{reading}");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_and_outages_are_told_once_and_the_server_sees_one_connection_that_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start("log_statement = all\nlog_connections = on\n");
    let target = url(&cluster);
    let mut watching = Watching::start(folder.path(), &["--target", &target]);
    watching.until(|line| line.contains("database 0/97 connections"));

    let mut holder = session(&cluster, "shop").await;
    holder.execute_raw("create table item (id int); insert into item values (1)").await.unwrap();
    holder.execute_raw("begin; update item set id = 2").await.unwrap();
    let mut waiter = session(&cluster, "waiter").await;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { waiter.execute_raw("update item set id = 3").await });
    watching.until(|line| line.contains("begins: Sessions wait for each other's locks"));
    // Time passes while it goes on.
    let waited = |line: &str| line.contains("wait for locks");
    let (_, before) = watching.until(waited);
    let (_, after) = watching.until(waited);
    assert!(!before.iter().chain(&after).any(|line| line.contains("each other's locks")), "{before:?} {after:?}");
    holder.execute_raw("commit").await.unwrap();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    watching.until(|line| line.contains("ends: Sessions wait for each other's locks (lock_waits) after"));

    let log = fs::read_to_string(cluster.folder().join("log")).unwrap();
    let own: Vec<_> = log.lines().filter(|line| line.contains("pg_stat_activity")).collect();
    assert!(own.len() >= 3, "{log}");
    let begun = log.lines().filter(|line| line.contains("begin read only; set local statement_timeout")).count();
    assert!(begun >= own.len(), "{begun} {}", own.len());
    let opened = log.lines().filter(|line| line.contains("connection authorized")).count();
    assert_eq!(opened, 3, "the two sessions and one of the monitor's: {log}");

    drop(holder);
    drop(cluster);
    let (down, _) = watching.until(|line| line.contains("down: "));
    assert!(down.contains("connect to postgres://postgres@127.0.0.1:"), "{down}");
    thread::sleep(Duration::from_secs(3));
    let (code, rest) = watching.end();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!rest.contains("down: ") && !(rest + &down).contains("hunter2"), "told again");
}

/// An application that answers every request with a text, while there is one.
struct Application {
    port: u16,
    text: Arc<Mutex<String>>,
}

impl Application {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut asked = [0; 4096];
                let Ok(_) = stream.read(&mut asked) else { continue };
                let text = shared.lock().unwrap().clone();
                let status = if text.is_empty() { "503 Service Unavailable" } else { "200 OK" };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                // Whoever asked may have gone.
                stream.write_all((head + &text).as_bytes()).ok();
            }
        });
        Self { port, text }
    }

    fn url(&self) -> String {
        format!("http://me:hunter2@127.0.0.1:{}/metrics?token=hunter2", self.port)
    }

    fn tells(&self, active: u32, pending: u32, timeouts: u32) {
        *self.text.lock().unwrap() = format!(
            "hikaricp_connections_active{{pool=\"main\"}} {active}\nhikaricp_connections_idle{{pool=\"main\"}} {}\n\
             hikaricp_connections_max{{pool=\"main\"}} 20\nhikaricp_connections_pending{{pool=\"main\"}} {pending}\n\
             hikaricp_connections_timeout_total{{pool=\"main\"}} {timeouts}\n",
            20 - active
        );
    }

    fn fails(&self) {
        self.text.lock().unwrap().clear();
    }
}

#[test]
fn an_applications_pool_is_watched_through_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::start();
    application.tells(12, 0, 3);
    let mut watching = Watching::start(folder.path(), &["--metrics", &application.url()]);
    watching.until(|line| line.contains("pool 12/20 in use, 8 idle, 0 requests wait"));
    application.tells(20, 7, 3);
    let (line, _) = watching.until(|line| line.contains("begins: "));
    assert!(line.contains("The pool is exhausted (serious, pool_exhausted): 20 of 20 connections in use, 7"), "{line}");
    application.fails();
    let (line, _) = watching.until(|line| line.contains("down: "));
    assert!(
        line.contains(&format!("read metrics from http://127.0.0.1:{}/metrics: it answered 503", application.port))
    );
    application.tells(4, 0, 5);
    let (_, between) = watching.until(|line| line.contains("back: "));
    assert!(!between.iter().any(|line| line.contains("ends: ") || line.contains("down: ")), "{between:?}");
    watching.until(|line| line.contains("begins: Requests give up waiting for a connection"));
    watching.until(|line| line.contains("ends: The pool is exhausted"));
    let (code, rest) = watching.end();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!rest.contains("hunter2") && !line.contains("hunter2"), "{rest}");
}

#[test]
fn a_watch_ends_by_itself_and_each_of_its_readings_is_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::start();
    application.tells(20, 7, 0);
    let metrics = application.url();
    let arguments = ["monitor", "--metrics", &metrics, "--every", "500ms", "--for", "2s", "--json"];
    let output = pool_tune(folder.path(), &[&arguments[..], &["--fail-on", "pool_exhausted"]].concat());
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let readings: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(readings.len() >= 2, "{readings:?}");
    let begun = readings.iter().filter(|reading| reading["changes"].to_string().contains("began")).count();
    assert_eq!(begun, 1, "{readings:?}");
    assert_eq!(readings[0]["pool"]["pending"], 7.0, "{}", readings[0]);
    assert!(!stdout(&output).contains("hunter2"));
}

#[test]
fn what_cannot_be_watched_is_told_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.db"), "").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("postgres://me:hunter2@127.0.0.1:{port}/d");
    let silent = format!("http://me:hunter2@127.0.0.1:{port}/metrics");
    for (arguments, code, told) in [
        (&[][..], 2, "there is nothing to watch"),
        (&["--target", "sqlite:mine.db"], 2, "a SQLite file has no server"),
        (&["--target", "oracle://me:hunter2@h/d"], 2, "failed to read the database URL"),
        (&["--metrics", "me:hunter2@h/metrics"], 2, "failed to read the address of the metrics"),
        (&["--target", &nobody, "--once"], 3, "could not be read a single time: failed to connect to postgres://me@"),
        (&["--metrics", &silent, "--once"], 3, "failed to read metrics from http://127.0.0.1"),
        (&["--metrics", &silent, "--once", "--fail-on", "typo"], 2, "expected note, warning, serious or one of"),
        (&["--metrics", &silent, "--every", "0"], 2, "expected a time from 500ms"),
    ] {
        let output = pool_tune(folder.path(), &[&["monitor"], arguments].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
        assert!(!(said + &stdout(&output)).contains("hunter2"), "{arguments:?}");
    }
}
