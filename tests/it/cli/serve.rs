//! `pool-tune serve`: its API, its page in a browser, its metrics, and what outlives its death.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use pool_tune::store::{RunStatus, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{program, stderr};
use crate::support::browser::Browser;

const TOKEN: &str = "a token of thirty-two characters";
/// What something may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
const QUICK: &str =
    "name: quick\nabout: a few trials\nprofile: light\ntarget: simulated\nbudget: {trials: 6, pairs: 6}\n";

/// A service on a port of its own; killed when dropped.
pub(super) struct Serving {
    pub(super) child: Child,
    pub(super) url: String,
    pub(super) client: reqwest::Client,
}

/// The program as a service of a folder with an experiment.
pub(super) fn command(folder: &Path) -> Command {
    let experiments = folder.join("experiments");
    if !experiments.exists() {
        fs::create_dir(&experiments).unwrap();
        fs::write(experiments.join("quick.yaml"), QUICK).unwrap();
    }
    let mut command = program(folder);
    command.args(["serve", "--bind", "127.0.0.1:0"]).env("POOL_TUNE_TOKEN", TOKEN);
    command
}

impl Serving {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let mut problem = String::new();
            child.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
            panic!("{problem}");
        };
        // Whoever writes to a pipe that nobody reads stands still.
        let mut errors = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let client = pool_tune::http::client().timeout(PATIENCE).build().unwrap();
        Self { child, url: url.to_owned(), client }
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    async fn post_with(&self, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let mut request = self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.post_with(path, Some(TOKEN), body).await
    }

    /// Waits until something that is asked for is as wanted.
    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (status, answer) = self.get(path).await;
            if status == 200 && wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {status} {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end; gives its exit code.
    pub(super) fn end(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Checks an answer against the description of the API that the service gives.
fn check(document: &Value, schema: &str, answer: &Value) {
    let mut whole = json!({ "$ref": format!("#/components/schemas/{schema}") });
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new(), "{schema}: {answer}");
}

/// Every reference in a document leads somewhere.
fn references(document: &Value, of: &Value, found: &mut usize) {
    match of {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                let place = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "{reference}");
                *found += 1;
            }
            map.values().for_each(|value| references(document, value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(document, value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn an_experiment_is_started_followed_and_exported_over_the_api_as_it_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(command(folder.path()));
    let (_, document) = serving.get("/api/openapi.json").await;
    let mut found = 0;
    references(&document, &document, &mut found);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1") && found > 40, "{found}");

    for (path, schema) in [
        ("/api/health", "Health"),
        ("/api/ready", "Readiness"),
        ("/api/runs", "Runs"),
        ("/api/live", "Now"),
        ("/api/experiments", "Experiments"),
        ("/api/schedule", "Schedule"),
        ("/api/formats", "Formats"),
        ("/api/monitors", "Monitors"),
    ] {
        let (status, answer) = serving.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        check(&document, schema, &answer);
    }

    let mut events = serving.client.get(format!("{}/api/events", serving.url)).send().await.unwrap();
    let (status, queued) = serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    assert_eq!((status, &queued["before"]), (202, &json!(0)));
    check(&document, "Queued", &queued);
    let mut told = String::new();
    while !told.contains("event: round_ended") {
        let part = tokio::time::timeout(PATIENCE, events.chunk()).await.unwrap().unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&part));
    }
    for line in told.lines().filter_map(|line| line.strip_prefix("data: ")) {
        check(&document, "Told", &serde_json::from_str(line).unwrap());
    }
    let order = [
        "event: queued",
        "event: run_started",
        "event: phase",
        "event: trial",
        "event: run_finished",
        "event: round_ended",
    ];
    let places: Vec<_> = order.iter().map(|name| told.find(name).unwrap_or_else(|| panic!("{name}: {told}"))).collect();
    assert!(places.is_sorted(), "{places:?}");

    let (_, runs) = serving.get("/api/runs?experiment=quick&limit=5").await;
    check(&document, "Runs", &runs);
    let id = runs["runs"][0]["id"].as_str().unwrap();
    for (path, schema) in [("", "Run"), ("/trials", "Trials"), ("/recommendation", "Recommendation")] {
        let (status, answer) = serving.get(&format!("/api/runs/latest{path}")).await;
        assert_eq!(status, 200, "{answer}");
        check(&document, schema, &answer);
    }
    // What the API gives is what the command line gives.
    let exported = serving.text(&format!("/api/runs/{id}/export?format=hikaricp")).await;
    let own = super::pool_tune(folder.path(), &["export", id, "--format", "hikaricp"]);
    assert_eq!(exported, super::stdout(&own), "{}", stderr(&own));
    assert!(serving.text(&format!("/runs/{id}")).await.contains("<svg class=\"chart\""));
    // A stream is not told what was before it, unless it asks for that.
    let last: u64 = told.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().parse().unwrap();
    let again = serving.client.get(format!("{}/api/events", serving.url)).header("last-event-id", last - 1);
    let part = again.send().await.unwrap().chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&part).contains("event: round_ended"));
    assert_eq!(serving.end(), Some(0));
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(command(folder.path()));
    let (_, document) = serving.get("/api/openapi.json").await;
    let start = r#"{"experiment": "quick"}"#;
    let large = format!(r#"{{"experiment": "{}"}}"#, "x".repeat(20_000));
    for (token, body, status, says) in [
        (None, start, 401, "show the token"),
        (Some("a token of thirty-two characterz"), start, 401, "the token is wrong"),
        (Some(TOKEN), r#"{"experiment": "quikc"}"#, 404, "did you mean `quick`?"),
        (Some(TOKEN), r#"{"experiment": "../../etc/passwd"}"#, 404, "there are quick"),
        (Some(TOKEN), r#"{"experiment": "quick", "target": "postgres://me@db/app"}"#, 422, "unknown field `target`"),
        (Some(TOKEN), "{", 400, "expected JSON such as"),
        (Some(TOKEN), large.as_str(), 413, "larger than 16 KiB"),
    ] {
        let (found, answer) = serving.post_with("/api/runs", token, body).await;
        assert_eq!(found, status, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{answer}");
        check(&document, "Problem", &answer);
    }
    for (path, status, says) in [
        ("/api/runs/..%2F..%2Fetc%2Fpasswd", 404, "there is no run"),
        ("/api/runs/none/trials", 404, "there is no run"),
        ("/api/runs?limit=100000", 400, "at most 500"),
        ("/api/runs?lmit=1", 400, "lmit"),
        ("/api/runs/latest/export?format=hikri", 400, "did you mean `hikari`?"),
        ("/api/nothing", 404, "/api/openapi.json"),
    ] {
        let (found, answer) = serving.get(path).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{answer}");
    }
    let (status, answer) = serving.post("/api/runs/none/stop", "").await;
    assert_eq!((status, answer["detail"].as_str().unwrap()), (409, "run `none` is not under way: nothing is"));
    let deleted =
        serving.client.delete(format!("{}/api/runs", serving.url)).header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(deleted.send().await.unwrap().status(), 405);
    // A page elsewhere that has its name lead here.
    let elsewhere = serving.client.get(format!("{}/api/runs", serving.url)).header("host", "evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 421);
    // Guessing tokens ends soon.
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(serving.post_with("/api/runs", Some("wrong"), start).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(serving.get("/api/runs").await.1["total"], 0);
}

#[tokio::test]
async fn it_answers_to_the_names_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("service.yaml");
    fs::write(&config, "hosts: [tune.example.org, dotted.example.org.]\n").unwrap();
    let mut command = command(folder.path());
    command.arg("--config").arg(&config);
    let serving = Serving::start(command);
    for (host, status) in [
        ("dotted.example.org", 200),
        ("tune.example.org", 200),
        ("Tune.Example.org:8099", 200),
        ("localhost", 200),
        ("evil.example", 421),
    ] {
        let asked = serving.client.get(format!("{}/api/runs", serving.url)).header("host", host);
        assert_eq!(asked.send().await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn without_a_token_it_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.env_remove("POOL_TUNE_TOKEN");
    let serving = Serving::start(command);
    let (status, answer) = serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    assert_eq!(status, 403, "{answer}");
    assert!(!serving.text("/").await.contains("<button"));
}

fn failing(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[tokio::test]
async fn what_it_cannot_begin_with_has_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(command(folder.path()));
    let port = serving.url.rsplit(':').next().unwrap();
    let config = folder.path().join("service.yaml");
    fs::write(&config, "binds: x\n").unwrap();
    let config = config.to_str().unwrap();
    let taken = format!("127.0.0.1:{port}");
    for (arguments, token, code, says) in [
        (
            &["--bind", "0.0.0.0:0", "--results", "other"][..],
            None,
            2,
            "others can reach that address, and there is no token",
        ),
        (&["--results", "other"], Some("short"), 2, "could be guessed"),
        (&["--bind", &taken, "--results", "other"], Some(TOKEN), 7, "choose another address with --bind"),
        (&[], Some(TOKEN), 7, "another service is at work in"),
        (&["--config", config], Some(TOKEN), 2, "did you mean `bind`?"),
        (&["--config", "none.yaml"], Some(TOKEN), 2, "failed to read configuration `none.yaml`"),
    ] {
        let mut command = program(folder.path());
        command.arg("serve").env_remove("POOL_TUNE_TOKEN").args(arguments);
        if !arguments.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        if let Some(token) = token {
            command.env("POOL_TUNE_TOKEN", token);
        }
        let output = failing(command);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says) && !stderr(&output).contains("short\""), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_goes_on_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(long(folder.path()));
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    let live = serving.until("/api/live", |now| now["live"]["trial"].as_u64().is_some_and(|trial| trial >= 2)).await;
    let id = live["live"]["run"].as_str().unwrap().to_owned();
    let (status, answer) = serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    assert_eq!(status, 409, "{answer}");
    // What waits can be taken back.
    fs::write(folder.path().join("experiments/later.yaml"), QUICK.replace("name: quick", "name: later")).unwrap();
    serving.until("/api/experiments", |answer| answer["experiments"].as_array().unwrap().len() == 2).await;
    assert_eq!(serving.post("/api/runs", r#"{"experiment": "later"}"#).await.1["before"], 1);
    assert_eq!(serving.get("/api/live").await.1["waiting"], json!(["later"]));
    assert_eq!(serving.post("/api/experiments/later/stop", "").await.0, 202);
    assert_eq!(serving.post("/api/experiments/later/stop", "").await.0, 409);
    assert_eq!(serving.get("/api/live").await.1["waiting"], json!([]));
    let (status, answer) = serving.post(&format!("/api/runs/{id}/stop"), "").await;
    assert_eq!((status, &answer["stopping"]), (202, &json!(true)));
    serving.until("/api/live", |now| now["live"].is_null()).await;
    let stopped = serving.get(&format!("/api/runs/{id}")).await.1;
    assert_eq!(stopped["status"], "interrupted");
    let before = trials(&serving, &id).await;
    assert!(!before.is_empty());
    let (status, answer) = serving.post(&format!("/api/runs/{id}/resume"), "").await;
    assert_eq!(status, 202, "{answer}");
    serving.until(&format!("/api/runs/{id}"), |run| run["status"] == "finished").await;
    let after = trials(&serving, &id).await;
    assert_eq!(after[..before.len()], before[..]);
    let (status, answer) = serving.post(&format!("/api/runs/{id}/resume"), "").await;
    assert_eq!(status, 409, "{answer}");
}

pub(super) async fn trials(serving: &Serving, id: &str) -> Vec<Value> {
    // A run that is still being prepared is not stored yet.
    serving.get(&format!("/api/runs/{id}/trials")).await.1["trials"].as_array().cloned().unwrap_or_default()
}

/// A service whose experiment takes long enough to be met on the way: real trials on a throw-away file.
pub(super) fn long(folder: &Path) -> Command {
    let profile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/light.yaml")).unwrap();
    let experiments = folder.join("experiments");
    fs::create_dir_all(&experiments).unwrap();
    let short = profile.replace("measure: 2s", "measure: 300ms").replace("warm_up_cap: 2s", "warm_up_cap: 100ms");
    assert_ne!(short, profile);
    fs::write(folder.join("short.yaml"), short).unwrap();
    let text = "name: quick\nprofile: ../short.yaml\ntarget: sqlite:private\nbudget: {trials: 6, pairs: 6}\n";
    fs::write(experiments.join("quick.yaml"), text).unwrap();
    command(folder)
}

#[tokio::test]
async fn its_death_loses_no_finished_trial_and_its_next_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = None;
    let mut known: Vec<Value> = Vec::new();
    let mut runs = std::collections::BTreeSet::new();
    // As many trials as it takes to die twenty times on the way, each so long that few end between two deaths.
    let started = |folder: &Path| {
        let command = long(folder);
        let text = "name: quick\nprofile: ../short.yaml\ntarget: sqlite:private\nbudget: {trials: 28, pairs: 6}\n";
        fs::write(folder.join("experiments/quick.yaml"), text).unwrap();
        let profile = folder.join("short.yaml");
        let short = fs::read_to_string(&profile).unwrap();
        fs::write(&profile, short.replace("measure: 300ms", "measure: 800ms")).unwrap();
        Serving::start(command)
    };
    let mut deaths = 0;
    for death in 0..20 {
        let mut serving = started(folder.path());
        let is_through = |runs: &Value| runs["runs"][0]["status"] == "finished";
        // A search may have said all that it can before the twentieth.
        if death > 0 && is_through(&serving.get("/api/runs").await.1) {
            break;
        }
        deaths += 1;
        if death == 0 {
            serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
        }
        // It goes on by itself after a death.
        let begun = |runs: &Value| matches!(runs["runs"][0]["status"].as_str(), Some("running" | "finished"));
        let id = serving.until("/api/runs", begun).await["runs"][0]["id"].as_str().unwrap().to_owned();
        // Each comes further than the one before, and dies at another moment of a trial or of what is between two.
        let began = Instant::now();
        while trials(&serving, &id).await.len() <= known.len() && !is_through(&serving.get("/api/runs").await.1) {
            assert!(began.elapsed() < PATIENCE, "death {death}: nothing is measured");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..400))).await;
        let seen = trials(&serving, &id).await;
        assert!(seen.len() >= known.len() && seen[..known.len()] == known[..], "death {death}");
        runs.insert(id);
        known = seen;
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
        let path = folder.path().join("results/pool-tune.db");
        store = Some(path);
    }
    // Each death has met the same run.
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(deaths >= 10, "{deaths}");
    let id = runs.first().unwrap().clone();
    let mut serving = started(folder.path());
    // However long the rest takes: it goes on as long as trials end.
    let (mut seen, mut progress) = (0, Instant::now());
    while serving.get(&format!("/api/runs/{id}")).await.1["status"] != "finished" {
        let now = trials(&serving, &id).await.len();
        if now > seen {
            (seen, progress) = (now, Instant::now());
        }
        assert!(progress.elapsed() < PATIENCE, "it stands still after {seen} trials");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = trials(&serving, &id).await;
    assert_eq!(all[..known.len()], known[..]);
    assert_eq!(serving.end(), Some(0));
    let store = Store::open_to_read(&store.unwrap()).await.unwrap().unwrap();
    let stored = store.runs().await.unwrap();
    assert_eq!(
        stored.iter().map(|run| (run.id.as_str(), run.status)).collect::<Vec<_>>(),
        [(id.as_str(), RunStatus::Finished)]
    );
}

#[tokio::test]
async fn asked_to_end_it_keeps_what_was_measured_and_goes_on_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(long(folder.path()));
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    let live = serving.until("/api/live", |now| now["live"]["trial"].as_u64().is_some_and(|trial| trial >= 2)).await;
    let id = live["live"]["run"].as_str().unwrap().to_owned();
    // A stream that is open does not hold it up.
    let mut stream = serving.client.get(format!("{}/api/events", serving.url)).send().await.unwrap();
    assert_eq!(serving.end(), Some(0));
    while let Ok(Some(_)) = stream.chunk().await {}
    let serving = Serving::start(long(folder.path()));
    serving.until(&format!("/api/runs/{id}"), |run| run["status"] == "finished").await;
}

#[tokio::test]
async fn a_broken_experiment_is_told_and_the_others_go_on_and_a_new_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let start = command(folder.path());
    fs::write(folder.path().join("experiments/broken.yaml"), "name: broken\nprofile: lihgt\ntarget: simulated\n")
        .unwrap();
    let serving = Serving::start(start);
    let (_, answer) = serving.get("/api/experiments").await;
    let problem = answer["experiments"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("broken.yaml") && problem.contains("light"), "{problem}");
    let (status, _) = serving.post("/api/runs", r#"{"experiment": "broken"}"#).await;
    assert_eq!(status, 409);
    fs::write(folder.path().join("experiments/broken.yaml"), "name: whole\nprofile: light\ntarget: simulated\n")
        .unwrap();
    let mended =
        |answer: &Value| answer["experiments"][1]["name"] == "whole" || answer["experiments"][0]["name"] == "whole";
    serving.until("/api/experiments", mended).await;
}

#[tokio::test]
async fn its_metrics_are_what_promtool_takes_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(command(folder.path()));
    serving.post("/api/runs", r#"{"experiment": "quick"}"#).await;
    // Counted when it is told, which is after it is stored.
    serving.until("/api/runs", |runs| runs["total"] == 1).await;
    serving.until("/api/live", |now| now["live"].is_null()).await;
    let text = serving.text("/metrics").await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is no promtool here: run .ci/deps test");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // It parses all of it, and has nothing to say but that; that name is OpenTelemetry's.
    let otel = "db_client_connection_count non-histogram and non-summary metrics should not have \"_count\" suffix";
    assert_eq!((stderr(&output).trim(), output.status.code()), (otel, Some(3)), "{text}");
    for series in [
        "db_client_connection_count{db_client_connection_pool_name=\"light\",db_client_connection_state=\"used\"}",
        "pool_tune_runs_total{experiment=\"quick\",outcome=",
        "pool_tune_trials_total{phase=\"baseline\"}",
        "pool_tune_circuit_breaker_open_ratio{",
        "process_cpu_seconds_total",
        "pool_tune_build_info{version=",
    ] {
        assert!(text.contains(series), "{series}\n{text}");
    }
    let open = serving.client.get(format!("{}/metrics", serving.url)).header("accept", "application/openmetrics-text");
    let open = open.send().await.unwrap();
    assert!(open.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_person_starts_a_run_on_the_page_watches_it_end_and_exports_it() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(long(folder.path()));
    let mut browser = Browser::open(&serving.url, 390).await;
    browser.until("document.getElementById('link').textContent.includes('up to date')").await;
    // Each time has the name that the reader's zone has then: in Berlin it is summer for one of them.
    let times = "(() => { const root = document.createElement('div'); for (const at of ['2026-01-15T12:00:00Z', '2026-07-15T12:00:00Z']) \
                 { const time = document.createElement('time'); time.dateTime = at; root.append(time); } local(root); \
                 return [...root.children].map((time) => time.textContent); })()";
    assert_eq!(browser.value(times).await, json!(["2026-01-15 13:00 GMT+1", "2026-07-15 14:00 GMT+2"]));
    // Without the token it is told what is missing, and the place for it has the focus.
    browser.click("#run-quick").await;
    browser.until("document.getElementById('said').textContent.includes('type the token above')").await;
    browser.until("document.activeElement.id === 'token'").await;
    let refused = browser.errors.len();
    browser.write(TOKEN).await;
    browser.click("#run-quick").await;
    browser.until("document.getElementById('state').textContent.includes('runs because it was asked for')").await;
    // Trials come up on the curve while it goes.
    browser.until("document.querySelector('#now figure#throughput svg') !== null").await;
    browser.until("document.querySelector('#now progress').value >= 2").await;
    browser.until("document.getElementById('state').textContent.includes('Nothing is under way')").await;
    browser.until("document.querySelector('#recommended .verdict') !== null").await;
    browser.until("document.querySelector('#history a[href^=\"/runs/\"]') !== null").await;
    // Nothing is wider than a phone.
    browser.until("document.documentElement.scrollWidth <= 390").await;
    // Every control has a name, and the keyboard reaches them.
    let nameless = "[...document.querySelectorAll('button, select, input')].filter(of => !(of.textContent.trim() || \
                    of.getAttribute('aria-label') || document.querySelector(`label[for=\"${of.id}\"]`))).length === 0";
    browser.until(nameless).await;
    browser.value("document.activeElement.blur()").await;
    browser.tab().await;
    browser.until("document.activeElement !== document.body").await;
    assert_eq!(browser.errors.len(), refused, "{:?}", browser.errors);
    browser
        .value(
            "(() => { const of = document.querySelector('select[data-export]'); of.value = 'config.py'; \
             of.dispatchEvent(new Event('change', { bubbles: true })); })()",
        )
        .await;
    browser.until("document.body.innerText.includes('MAX_CONNECTIONS')").await;
    let own = browser.requests.iter().all(|request| request.starts_with(&serving.url) || request.starts_with("data:"));
    assert!(own, "{:?}", browser.requests);
}
