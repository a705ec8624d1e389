//! What the service tells others by itself: metrics by OTLP, and alerts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use pool_tune::alert::{DeadLetter, DeadLetters};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    program,
    serve::{PATIENCE, Serving, command},
    stderr, stdout,
};

/// A collector in Python; killed when dropped.
struct Collector {
    child: Child,
    port: u16,
    told: mpsc::Receiver<String>,
}

impl Collector {
    fn start(answers: &[&str]) -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(project.join("target/venv-exports/bin/python3"))
            .arg(project.join("tests/otlp/collector.py"))
            .args(answers)
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is no Python environment here: run .ci/deps test");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A pipe cannot be waited for with patience.
        let (tell, told) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let port = told.recv_timeout(PATIENCE).expect("the collector did not start");
        Self { port: port.parse().unwrap(), child, told }
    }

    fn next(&self) -> Value {
        serde_json::from_str(&self.told.recv_timeout(PATIENCE).expect("nothing was pushed")).unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn metrics_are_pushed_to_a_collector_under_their_conventional_names() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(&["503", "partial", "200"]);
    let config = folder.path().join("service.yaml");
    let text = format!(
        "otlp: {{endpoint: \"http://127.0.0.1:{}\", headers: {{env: OTLP_HEADERS}}, every: 1s}}\n",
        collector.port
    );
    fs::write(&config, text).unwrap();
    let mut command = command(folder.path());
    command.arg("--config").arg(&config).env("OTLP_HEADERS", "authorization=Bearer hunter2");
    let serving = Serving::start(command);
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    serving.until("/api/runs", |runs| runs["total"] == 1).await;
    serving.until("/api/live", |now| now["live"].is_null()).await;
    let mut answers = Vec::new();
    let (resource, metrics) = loop {
        let told = collector.next();
        assert_eq!(told["path"], "/v1/metrics");
        assert_eq!(told["headers"]["authorization"], "Bearer hunter2");
        assert_eq!(told["headers"]["content-type"], "application/x-protobuf");
        answers.push(told["answer"].clone());
        let of = &told["request"]["resourceMetrics"][0];
        let metrics = of["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
        if metrics.iter().any(|metric| metric["name"] == "pool_tune.runs") {
            break (of["resource"]["attributes"].clone(), metrics);
        }
    };
    assert!(resource.to_string().contains("service.instance.id") && resource.to_string().contains("\"pool-tune\""));
    let of = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("{name}"));
    let connections = of("db.client.connection.count");
    assert_eq!((&connections["unit"], connections["sum"]["isMonotonic"].is_null()), (&"{connection}".into(), true));
    let attributes = connections["sum"]["dataPoints"][0]["attributes"].to_string();
    assert!(attributes.contains("db.client.connection.pool.name") && attributes.contains("db.client.connection.state"));
    let runs = of("pool_tune.runs");
    assert_eq!(runs["sum"]["aggregationTemporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
    assert_eq!((&runs["sum"]["isMonotonic"], &runs["sum"]["dataPoints"][0]["asDouble"]), (&true.into(), &1.0.into()));
    assert_eq!(of("process.cpu.time")["unit"], "s");
    let codes = of("pool_tune.http_requests")["sum"]["dataPoints"][0]["attributes"].to_string();
    assert!(codes.contains("http.response.status_code") && codes.contains("intValue"), "{codes}");
    assert!(of("pool_tune.pool_utilisation")["gauge"].is_object());
    // What is lost is not sent again, and counted.
    while answers.len() < 3 {
        answers.push(collector.next()["answer"].clone());
    }
    assert_eq!(answers[..3], ["503", "partial", "200"]);
    // The collector tells of a request before it answers.
    let began = Instant::now();
    loop {
        let text = serving.text("/metrics").await;
        if text.contains("pool_tune_otlp_exports_total{outcome=\"taken\"}") {
            assert!(text.lines().any(|line| line == "pool_tune_otlp_exports_total{outcome=\"failed\"} 2.0"), "{text}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_came_last_is_pushed_at_the_end_and_a_collector_that_hangs_does_not_hold_it_up() {
    for answer in ["200", "hang"] {
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start(&["200", answer]);
        let config = folder.path().join("service.yaml");
        let text = format!("otlp: {{endpoint: \"http://127.0.0.1:{}/v1/metrics/\", every: 1h}}\n", collector.port);
        fs::write(&config, text).unwrap();
        let mut command = command(folder.path());
        command.arg("--config").arg(&config);
        let mut serving = Serving::start(command);
        assert!(!collector.next().to_string().contains("http_requests"));
        serving.text("/metrics").await;
        let began = Instant::now();
        assert_eq!(serving.end(), Some(0));
        // What it waits at most for an answer otherwise.
        assert!(began.elapsed() < Duration::from_secs(10), "{answer}: {:?}", began.elapsed());
        let last = collector.next();
        assert_eq!((&last["answer"], &last["path"]), (&answer.into(), &"/v1/metrics".into()));
        assert!(last.to_string().contains("http_requests"), "{last}");
    }
}

#[test]
fn a_collector_that_cannot_be_used_is_told_before_it_begins_and_its_token_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("service.yaml");
    let with = |headers: Option<&str>| {
        fs::write(&config, "otlp: {endpoint: \"http://127.0.0.1:1\", headers: {env: OTLP_HEADERS}}\n").unwrap();
        let mut command = command(folder.path());
        command.arg("--config").arg(&config).env_remove("OTLP_HEADERS");
        if let Some(headers) = headers {
            command.env("OTLP_HEADERS", headers);
        }
        command.output().unwrap()
    };
    for (headers, says) in [(None, "OTLP_HEADERS"), (Some("hunter2"), "expected name=value")] {
        let output = with(headers);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(says) && !stderr(&output).contains("hunter2"), "{}", stderr(&output));
    }
}

/// What a webhook answers, and what it was sent.
#[derive(Clone, Default)]
struct Hook {
    broken: Arc<Mutex<bool>>,
    /// What it never answers.
    hangs_at: Arc<Mutex<Option<String>>>,
    sent: Arc<Mutex<Vec<String>>>,
}

async fn take(State(hook): State<Hook>, body: String) -> StatusCode {
    let hangs = hook.hangs_at.lock().unwrap().as_ref() == Some(&body);
    hook.sent.lock().unwrap().push(body);
    if hangs {
        std::future::pending::<()>().await;
    }
    if *hook.broken.lock().unwrap() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

impl Hook {
    /// Begins to listen; gives its address and what ends it.
    async fn start(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(self.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        (url, tasks)
    }
}

fn letter(webhook: &str, body: &str) -> DeadLetter {
    DeadLetter {
        at: "2026-11-01T02:00:00Z".to_owned(),
        webhook: webhook.to_owned(),
        problem: "it answered 500".to_owned(),
        body: body.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_tried_and_what_they_did_not_take_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::default();
    let (url, _tasks) = hook.start().await;
    fs::write(folder.path().join("service.yaml"), "alerts: [{name: ops, url: {env: ALERT_URL}, on: [drift]}]\n")
        .unwrap();
    let alerts = |arguments: &[&str]| {
        let mut command = program(folder.path());
        command.arg("alerts").args(arguments).env("ALERT_URL", &url);
        command.output().unwrap()
    };
    let config = ["--config", "service.yaml"];
    // Also one that is told of nothing but drift can be tried.
    let output = alerts(&[&config[..], &["--test"]].concat());
    assert_eq!((stdout(&output).trim(), output.status.code()), ("ops: taken", Some(0)), "{}", stderr(&output));
    assert!(hook.sent.lock().unwrap().pop().unwrap().contains("\"kind\":\"test\""));

    let output = alerts(&config);
    assert_eq!(stdout(&output).trim(), "0 alerts were not taken");
    // Before anything was kept there is no folder.
    let output = alerts(&[&config[..], &["--resend"]].concat());
    assert_eq!((stdout(&output).trim(), output.status.code()), ("0 sent, 0 kept", Some(0)), "{}", stderr(&output));
    let output = alerts(&["--discard", "ops"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing is kept for a webhook `ops`"), "{}", stderr(&output));
    let results = folder.path().join("results");
    fs::create_dir(&results).unwrap();
    let dead = DeadLetters::of(&results);
    for (webhook, body) in [("ops", "one"), ("gone", "other"), ("ops", "two")] {
        dead.keep(&letter(webhook, body)).unwrap();
    }
    assert!(stdout(&alerts(&config)).contains("3 alerts were not taken"));
    *hook.broken.lock().unwrap() = true;
    let output = alerts(&[&config[..], &["--resend"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    // One that fails is not asked to take the next.
    assert_eq!(*hook.sent.lock().unwrap(), ["one"]);
    assert_eq!(dead.read().unwrap().len(), 3);
    *hook.broken.lock().unwrap() = false;
    let output = alerts(&[&config[..], &["--resend"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("kept for gone, which the configuration does not name"), "{}", stdout(&output));
    assert!(stdout(&output).contains("2 sent, 1 kept"));
    assert_eq!(*hook.sent.lock().unwrap(), ["one", "one", "two"]);
    assert_eq!(dead.read().unwrap(), [letter("gone", "other")]);
    assert_eq!(alerts(&["--discard", "ops"]).status.code(), Some(2));
    let output = alerts(&["--discard", "gone"]);
    assert_eq!((stdout(&output).trim(), output.status.code()), ("1 removed, 0 kept", Some(0)));
    assert_eq!(dead.read().unwrap(), []);

    for (arguments, says) in [
        (&["--test"][..], "--config"),
        (&["--resend"], "--config"),
        (&["--test", "--config", "none.yaml"], "none.yaml"),
    ] {
        let output = alerts(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_while_sending_again_has_lost_nothing_and_repeats_only_what_was_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::default();
    let (url, _tasks) = hook.start().await;
    fs::write(folder.path().join("service.yaml"), "alerts: [{name: ops, url: {env: ALERT_URL}}]\n").unwrap();
    let results = folder.path().join("results");
    fs::create_dir(&results).unwrap();
    let dead = DeadLetters::of(&results);
    for body in ["one", "two", "three"] {
        dead.keep(&letter("ops", body)).unwrap();
    }
    let resend = || {
        let mut command = program(folder.path());
        command.args(["alerts", "--config", "service.yaml", "--resend"]).env("ALERT_URL", &url);
        command
    };
    *hook.hangs_at.lock().unwrap() = Some("two".to_owned());
    let mut child = resend().stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while hook.sent.lock().unwrap().len() < 2 {
        assert!(began.elapsed() < PATIENCE, "it sends nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Nobody else sends the same ones, and what comes meanwhile waits for no answer.
    let output = resend().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("somebody else sends or removes them"), "{}", stderr(&output));
    dead.keep(&letter("ops", "four")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = program(folder.path()).arg("alerts").output().unwrap();
    assert!(stdout(&listed).contains("3 alerts were not taken"), "{}", stdout(&listed));
    *hook.hangs_at.lock().unwrap() = None;
    let output = resend().output().unwrap();
    assert!(stdout(&output).contains("3 sent, 0 kept"), "{}", stdout(&output));
    assert_eq!(*hook.sent.lock().unwrap(), ["one", "two", "two", "three", "four"]);
    assert_eq!(dead.read().unwrap(), []);
}
