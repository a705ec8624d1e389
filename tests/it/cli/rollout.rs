//! `pool-tune rollout` with hooks that write down how they are called, files, and a Prometheus that answers as a test wants.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use pool_tune::model::{Recommendation, Row, Setting};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::Connection as _;

use super::{pool_tune, program, read, stderr, stdout};

/// What anything may take to be seen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const HOOK: &str =
    "#!/bin/sh\necho \"$POOL_TUNE_DIRECTION $1 $POOL_TUNE_SHARE $DB_MAX_CONNECTIONS $POOL_TUNE_ROLLOUT\" >> calls\n";
/// Two stages that are watched for three readings each.
const STAGES: &str = "stages: [{share: 10%, watch: 300ms}, {share: 100%, watch: 300ms}]";
const QUERIES: &str = "queries: [{name: success, query: ok, at_least: 0.99}]";

/// A folder with a run that found better settings, as if it had been made on a database.
static RUN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // A static is never dropped: what is left lies where cargo cleans.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let arguments = ["run", "--target", "simulated", "--seed", "11", "--trials", "20", "--prefix", "DB"];
    let more = ["--profile", "heavy", "--name", "run"];
    let output = pool_tune(folder.path(), &[&arguments[..], &more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    change_run(folder.path(), "json_set(intent, '$.target', 'private')");
    folder
});

/// Runs SQL on the store, and what is given while its connection is open.
fn on_store(folder: &Path, sql: String, meanwhile: impl FnOnce()) {
    let path = folder.join("results/pool-tune.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        meanwhile();
        connection.close().await.unwrap();
    });
}

/// Changes what is stored of a run.
fn change_run(folder: &Path, intent: &str) {
    on_store(folder, format!("UPDATE runs SET intent = {intent}"), || {});
}

/// A test's folder: the run, a hook, a plan.
struct Stand {
    folder: tempfile::TempDir,
}

impl Stand {
    fn new(hook: &str, plan: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("results/run")).unwrap();
        for file in ["results/pool-tune.db", "results/run/recommendation.yaml"] {
            fs::copy(RUN.path().join(file), folder.path().join(file)).unwrap();
        }
        let stand = Self { folder };
        stand.hook(hook);
        fs::write(stand.path("rollout.yaml"), plan).unwrap();
        stand
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hook(&self, text: &str) {
        fs::write(self.path("apply.sh"), text).unwrap();
        fs::set_permissions(self.path("apply.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn rollout(&self, arguments: &[&str]) -> std::process::Output {
        pool_tune(self.folder.path(), &[&["rollout"], arguments].concat())
    }

    fn begin(&self) -> std::process::Output {
        self.rollout(&["run", "--plan", "rollout.yaml"])
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The value of a setting in use, and the recommended one.
    fn change(&self, setting: Setting) -> (String, String) {
        let found: Recommendation =
            serde_yaml::from_str(&read(self.folder.path(), "run", "recommendation.yaml")).unwrap();
        let row = found.rows.iter().find(|row| row.setting == setting).unwrap();
        assert_ne!(row.was, row.now);
        (row.was.to_string(), row.now.to_string())
    }

    /// How the hook was called, with the values before and after in short.
    fn told(&self) -> Vec<String> {
        let (was, now) = self.change(Setting::MaxConnections);
        let short = |call: &String| {
            let words: Vec<&str> = call.split(' ').collect();
            let value = if words[3] == was { "was" } else { "now" };
            assert!(words[3] == was || words[3] == now, "{call}");
            assert_eq!((words[1], words[4]), (words[2], "checkout"), "{call}");
            format!("{} {} {value}", words[0], words[1])
        };
        self.calls().iter().map(short).collect()
    }
}

fn plan(stages: &str, gates: &str) -> String {
    format!(
        "name: checkout\napply: {{command: './apply.sh {{share}}', time_limit: 30s}}\n{stages}\ngates: {{every: 100ms, patience: 500ms, {gates}}}\n"
    )
}

/// The address of a Prometheus (and of an application's metrics) that gives what `answer` says for a path; nothing is a failure.
fn prometheus(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> String {
    answering(move |path| answer(path).map_or(("503 Down", String::new()), |body| ("200 OK", body)))
}

/// The same, with the status of each answer.
fn answering(answer: impl Fn(&str) -> (&'static str, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let (mut first, mut line) = (String::new(), String::new());
                stream.read_line(&mut first).unwrap();
                while stream.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                let path = first.split(' ').nth(1).unwrap_or_default();
                let (status, body) = answer(path);
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                // Whoever asked may have been ended.
                stream.get_mut().write_all(format!("{head}{body}").as_bytes()).ok();
            });
        }
    });
    format!("http://{address}")
}

fn series(value: f64) -> String {
    let series = serde_json::json!([{"metric": {}, "value": [1.0, value.to_string()]}]);
    serde_json::json!({"status": "success", "data": {"resultType": "vector", "result": series}}).to_string()
}

fn gates(address: &str, queries: &str) -> String {
    format!("prometheus: '{address}', {queries}")
}

/// The program while it rolls out; ended when dropped.
struct Rolling {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Rolling {
    fn start(stand: &Stand, arguments: &[&str]) -> Self {
        let mut command = program(stand.folder.path());
        command.arg("rollout").args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn until(&mut self, wanted: &str) {
        let began = Instant::now();
        let mut before = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended: {before:?}");
            if line.contains(wanted) {
                return;
            }
            before.push(line);
            assert!(began.elapsed() < PATIENCE, "{before:?}");
        }
    }

    /// Ends it by a signal; gives its exit code and what it said on standard error.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Rolling {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn stages_are_applied_one_after_the_other_and_can_be_taken_back_when_done() {
    let address = prometheus(|_| Some(series(1.0)));
    let against = "queries: [{name: success, query: ok, at_least: 0.99}, {name: p95, query: p95, not_worse: 10%, worse_is: more}]";
    let stand = Stand::new(HOOK, &plan(STAGES, &gates(&address, against)));
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.told(), ["forward 10 now", "forward 100 now"]);
    let told = stdout(&output);
    for part in [
        "Z rollout checkout of run run begins: 2 stages\n",
        "Z before the first stage, in the middle: p95 1, success 1\n",
        "Z stage 1 of 2: applies to 10 %: ",
        "Z stage 1 of 2: success 1, p95 1, for ",
        "Z stage 1 of 2: all gates held, forward\n",
        "Z stage 2 of 2: applied\n",
        "Z done: the recommended settings are applied to 100 %\n",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!told.contains("warning"), "{told}");
    // What is done is not begun again without a word.
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--dry-run"]);
    let again = "warning: rollout `checkout` of this run is done already and in force; it begins again\n";
    assert!(stderr(&output).contains(again), "{}", stderr(&output));
    // What was told is what is stored.
    assert_eq!(stdout(&stand.rollout(&["--log"])), told);
    let json = stdout(&stand.rollout(&["--log", "checkout", "--json"]));
    let last: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last["step"], "done");
    let output = stand.rollout(&["--resume", "checkout"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is done"), "{}", stderr(&output));

    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.told().last().unwrap(), "back 100 was");
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!((output.status.code(), stand.calls().len()), (Some(0), 3), "{}", stderr(&output));
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--quiet"]);
    let short = stdout(&output);
    assert!(short.lines().count() == 1 && short.contains("Z done: "), "{short}");
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
    // What has ended does not stand in the way of the next, and is told before it.
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0));
    let log = stdout(&stand.rollout(&["--log", "checkout"]));
    assert!(log.starts_with(&told) && log.ends_with(&stdout(&output)) && log.contains(" went back: "), "{log}");
}

#[test]
fn a_gate_that_fails_takes_back_what_was_applied() {
    let stand = Stand::new(HOOK, "");
    let calls = stand.path("calls");
    let address = prometheus(move |_| {
        let all = fs::read_to_string(&calls).unwrap_or_default().contains("forward 100");
        Some(series(if all { 0.5 } else { 1.0 }))
    });
    fs::write(stand.path("rollout.yaml"), plan(STAGES, &gates(&address, QUERIES))).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
    assert_eq!(stand.told(), ["forward 10 now", "forward 100 now", "back 100 was"]);
    let told = stdout(&output);
    assert!(told.contains("stage 2 of 2: a gate fails (1 in a row): `success` is 0.5, due is at least 0.99"), "{told}");
    assert!(told.contains("goes back: `success` is 0.5") && told.contains("went back: "), "{told}");
    assert!(stderr(&output).contains("rollout `checkout` went back"), "{}", stderr(&output));
}

#[test]
fn a_gate_that_fails_beforehand_begins_nothing() {
    let address = prometheus(|_| Some(series(0.5)));
    let stand = Stand::new(HOOK, &plan(STAGES, &gates(&address, QUERIES)));
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
    assert!(stderr(&output).contains("did not begin, nothing was applied"), "{}", stderr(&output));
    assert!(stand.calls().is_empty());
}

#[test]
fn a_start_that_came_to_nothing_hides_no_rollout_that_is_in_force() {
    let stand = Stand::new(HOOK, "");
    let (bad, down) = (stand.path("bad"), stand.path("down"));
    let address = prometheus(move |_| (!down.exists()).then(|| series(if bad.exists() { 0.5 } else { 1.0 })));
    let text = plan(STAGES, &gates(&address, QUERIES)).replace("patience: 500ms", "patience: 1h");
    fs::write(stand.path("rollout.yaml"), text).unwrap();
    assert_eq!(stand.begin().status.code(), Some(0));
    // A gate that fails beforehand.
    fs::write(stand.path("bad"), "").unwrap();
    assert_eq!(stand.begin().status.code(), Some(12));
    let output = stand.rollout(&["--resume", "checkout"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("rollout `checkout` is done"), "{}", stderr(&output));
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.told().last().unwrap(), "back 100 was", "{}", stderr(&output));
    let output = stand.rollout(&["--back", "checkout"]);
    assert!(stderr(&output).contains("is back already"), "{}", stderr(&output));
    // Ctrl-C before the first stage.
    fs::remove_file(stand.path("bad")).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0));
    assert!(!stdout(&output).contains("warning"), "{}", stdout(&output));
    fs::write(stand.path("down"), "").unwrap();
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("before the first stage: holds for");
    let (code, said) = rolling.end(Signal::INT);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted: nothing was applied; go on with "), "{said}");
    assert!(
        said.contains("--back checkout`, which also takes back what the earlier one (of run run, begun at "),
        "{said}"
    );
    let output = stand.rollout(&["--back"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("not begun, nothing was applied") && told.contains("went back: "), "{told}");
    assert_eq!(stand.told().last().unwrap(), "back 100 was");
    assert_eq!(stand.calls().len(), 6);
    // Where nothing is in force nothing else is taken back.
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("before the first stage: holds for");
    let (_, said) = rolling.end(Signal::INT);
    assert!(said.contains("nothing was applied; go on with ") && !said.contains("earlier"), "{said}");
}

#[test]
fn a_rollout_that_cannot_be_read_is_passed_over_but_not_where_it_may_be_in_force() {
    let address = prometheus(|_| Some(series(1.0)));
    let stand = Stand::new(HOOK, &plan(STAGES, &gates(&address, QUERIES)));
    assert_eq!(stand.begin().status.code(), Some(0));
    on_store(stand.folder.path(), "UPDATE rollouts SET state = '{}'".to_owned(), || {});
    // It may be what is in force: nobody knows what to take back.
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("is stored in a form that is not understood"), "{}", stderr(&output));
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("it is passed over (number 1 in the store)"), "{}", stderr(&output));
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
    assert_eq!(stand.calls().len(), 5);
}

#[test]
fn a_plan_that_is_stored_is_taken_back_as_it_was_applied() {
    let address = prometheus(|_| Some(series(1.0)));
    let hook = format!("{HOOK}echo \"$2\" >> seconds\n");
    let good = plan(STAGES, &gates(&address, QUERIES));
    let stand = Stand::new(&hook, &good);
    assert_eq!(stand.begin().status.code(), Some(0));
    // As an older build took it.
    let older = "UPDATE rollouts SET intent = replace(intent, '{share}', '{share} {file}')";
    on_store(stand.folder.path(), older.to_owned(), || {});
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.told().last().unwrap(), "back 100 was");
    assert_eq!(fs::read_to_string(stand.path("seconds")).unwrap(), "\n\n{file}\n");
    // Who begins with it is told.
    fs::write(stand.path("rollout.yaml"), good.replace("{share}", "{share} {file}")).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("`{file}` needs a format for the file"), "{}", stderr(&output));
}

#[test]
fn a_source_that_is_down_holds_the_stage_and_then_takes_it_back() {
    let stand = Stand::new(HOOK, "");
    let calls = stand.path("calls");
    let address = prometheus(move |_| (!calls.exists()).then(|| series(1.0)));
    fs::write(stand.path("rollout.yaml"), plan(STAGES, &gates(&address, QUERIES))).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was"]);
    let told = stdout(&output);
    assert!(told.contains("stage 1 of 2: holds for ") && told.contains("503"), "{told}");
    assert!(told.contains("goes back: a source has been down"), "{told}");
}

#[test]
fn a_query_that_is_refused_ends_at_once_and_a_server_that_fails_is_waited_for() {
    let stand = Stand::new(HOOK, "");
    let calls = stand.path("calls");
    let error = |text: &str| serde_json::json!({"status": "error", "errorType": "bad_data", "error": text}).to_string();
    let address = answering(move |path| match path {
        path if path.contains("wrong") => ("400 Bad Request", error("parse error: unclosed left brace")),
        path if path.contains("broken") => ("500 Internal Server Error", "\n out of space \nmore".to_owned()),
        path if path.contains("slow") => ("503 Service Unavailable", error("query timed out")),
        _ if calls.exists() => ("400 Bad Request", error("many-to-many")),
        _ => ("200 OK", series(1.0)),
    });
    let ends = |query: &str, patience: &str, says: &str| {
        let queries = format!("queries: [{{name: x, query: {query}, at_least: 0.99}}]");
        let text = plan(STAGES, &gates(&address, &queries)).replace("patience: 500ms", patience);
        fs::write(stand.path("rollout.yaml"), text).unwrap();
        let output = stand.begin();
        assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    };
    // With a patience of an hour whoever waits is never seen again.
    ends("wrong", "patience: 1h", "did not begin, nothing was applied: `x`: Prometheus at ");
    ends("wrong", "patience: 1h", " does not take the query: parse error: unclosed left brace");
    ends("broken", "patience: 200ms", "down for longer than the plan's patience: `x`: Prometheus at ");
    ends("broken", "patience: 200ms", " answered 500 Internal Server Error: out of space; ");
    ends("slow", "patience: 200ms", " answered 503 Service Unavailable: query timed out; ");
    assert!(stand.calls().is_empty());
    ends("good", "patience: 1h", "went back, the settings that were in use are: `x`: Prometheus at ");
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was"]);
}

#[test]
fn a_finding_of_the_monitor_that_is_serious_takes_it_back() {
    let stand = Stand::new(HOOK, "");
    let calls = stand.path("calls");
    let address = prometheus(move |_| {
        let (active, pending) = if calls.exists() { (10, 5) } else { (1, 0) };
        Some(format!(
            "hikaricp_connections_active{{pool=\"a\"}} {active}\nhikaricp_connections_idle{{pool=\"a\"}} {}\n\
             hikaricp_connections_pending{{pool=\"a\"}} {pending}\nhikaricp_connections_max{{pool=\"a\"}} 10\n",
            10 - active
        ))
    });
    let watched = format!("monitor: {{metrics: '{address}/metrics'}}");
    fs::write(stand.path("rollout.yaml"), plan(STAGES, &watched)).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(12), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was"]);
    assert!(stdout(&output).contains("goes back: The pool is exhausted (10 of 10"), "{}", stdout(&output));
}

#[test]
fn what_was_killed_in_the_middle_of_a_hook_is_applied_again() {
    let address = prometheus(|_| Some(series(1.0)));
    let waits = format!("{HOOK}while [ ! -e go ]; do sleep 0.05; done\n");
    let stages = "stages: [{share: 10%, watch: 1h}, {share: 100%, watch: 1h}]";
    let stand = Stand::new(&waits, &plan(stages, &gates(&address, QUERIES)));
    let rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    wait_for(|| !stand.calls().is_empty());
    // There is one rollout of a name at a time.
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert_eq!(stand.rollout(&["--back"]).status.code(), Some(7));
    rolling.end(Signal::KILL);
    fs::write(stand.path("go"), "").unwrap();

    let output = stand.begin();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("has not ended: go on with `pool-tune rollout --resume checkout`"),
        "{}",
        stderr(&output)
    );
    // The plan's file and the run are not asked again.
    fs::write(stand.path("rollout.yaml"), "").unwrap();
    let mut rolling = Rolling::start(&stand, &["--resume"]);
    rolling.until("goes on");
    rolling.until("stage 1 of 2: applied");
    rolling.until("stage 1 of 2: success 1, for ");
    // Killed while it watches, it applies and watches the stage anew.
    rolling.end(Signal::KILL);
    let mut rolling = Rolling::start(&stand, &["--resume", "checkout"]);
    rolling.until("stage 1 of 2: applied");
    let (code, said) = rolling.end(Signal::INT);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stage 1 of 2 (10 % of instances with ") && said.contains("--back checkout"), "{said}");
    assert_eq!(stand.told(), ["forward 10 now"; 3]);

    let output = stand.rollout(&["--back"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.told().last().unwrap(), "back 100 was");
}

#[test]
fn what_one_rollout_changes_no_other_changes_at_once() {
    let address = prometheus(|_| Some(series(1.0)));
    let stages = "stages: [{share: 100%, watch: 1h}]";
    let stand = Stand::new(HOOK, &plan(stages, &gates(&address, QUERIES)));
    let of = |name: &str, apply: &str| {
        let text = plan(stages, &gates(&address, QUERIES)).replace("name: checkout", &format!("name: {name}"));
        text.replace("{command: './apply.sh {share}', time_limit: 30s}", apply)
    };
    let other = |text: String| {
        // One that is not refused must end.
        fs::write(stand.path("other.yaml"), text.replace("watch: 1h", "watch: 300ms")).unwrap();
        stand.rollout(&["run", "--plan", "other.yaml", "--force"])
    };
    let same = "{command: './apply.sh {share}'}";
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("stage 1 of 1: applied");
    let output = other(of("other", same));
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains(&format!("rollout `checkout` (process {}", rolling.child.id())), "{said}");
    assert!(said.contains("`./apply.sh {share}` in `") && said.contains("write `{rollout}`"), "{said}");
    // A program is the same by whatever path.
    let absolute = format!("{{command: '{} {{share}}'}}", stand.path("apply.sh").display());
    let output = other(of("other", &absolute));
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    drop(rolling);

    // A file is the same by whatever path.
    fs::write(stand.path("pool.env"), "").unwrap();
    std::os::unix::fs::symlink(stand.path("pool.env"), stand.path("link.env")).unwrap();
    fs::write(stand.path("rollout.yaml"), of("first", "{into: pool.env}")).unwrap();
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("stage 1 of 1: applied");
    let output = other(of("second", "{into: link.env}"));
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(stderr(&output).contains("rollout `first` (process ") && stderr(&output).contains("pool.env`"));
    // That is told, and not what the file has meanwhile.
    let output = stand.rollout(&["run", "--plan", "other.yaml"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    // What another process held is free when that has died.
    drop(rolling);
    assert_eq!(stand.rollout(&["--back", "first"]).status.code(), Some(0));
}

#[test]
fn what_is_back_or_done_is_told_as_such_whoever_is_under_way() {
    let address = prometheus(|_| Some(series(1.0)));
    let stand = Stand::new(HOOK, &plan(STAGES, &gates(&address, QUERIES)));
    assert_eq!(stand.begin().status.code(), Some(0));
    let long = plan("stages: [{share: 100%, watch: 1h}]", &gates(&address, QUERIES));
    fs::write(stand.path("other.yaml"), long.replace("name: checkout", "name: other")).unwrap();
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "other.yaml"]);
    rolling.until("stage 1 of 1: applied");
    let output = stand.rollout(&["--resume", "checkout"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("rollout `checkout` is done (at "), "{}", stderr(&output));
    // To take it back is to do something.
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(7));
    rolling.end(Signal::INT);
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
    let mut rolling = Rolling::start(&stand, &["--resume", "other"]);
    rolling.until("stage 1 of 1: applied");
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("rollout `checkout` is back already"), "{}", stderr(&output));
    let output = stand.rollout(&["--resume", "checkout"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("rollout `checkout` went back (at "), "{}", stderr(&output));
}

#[test]
fn a_hook_that_outlived_its_program_is_waited_for() {
    let address = prometheus(|_| Some(series(1.0)));
    let late =
        format!("{HOOK}[ $POOL_TUNE_DIRECTION = back ] || while [ ! -e go ]; do sleep 0.05; done\necho end >> ends\n");
    let stand = Stand::new(&late, &plan(STAGES, &gates(&address, QUERIES)));
    let rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    let mark = stand.path("results/rollouts/checkout/hooks.pid");
    wait_for(|| !stand.calls().is_empty() && mark.exists());
    rolling.end(Signal::KILL);
    let mut back = Rolling::start(&stand, &["--back"]);
    back.until("goes back: asked for by hand");
    assert_eq!(stand.told(), ["forward 10 now"]);
    fs::write(stand.path("go"), "").unwrap();
    back.until("went back");
    assert!(back.child.wait().unwrap().success());
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was"]);
    assert!(!mark.exists());
    assert_eq!(fs::read_to_string(stand.path("ends")).unwrap().lines().count(), 2);
}

#[test]
fn a_hook_that_outlived_another_rollout_of_the_same_is_waited_for() {
    let address = prometheus(|_| Some(series(1.0)));
    let waits = format!("{HOOK}while [ ! -e go ]; do sleep 0.05; done\necho $POOL_TUNE_ROLLOUT >> ends\n");
    let stages = "stages: [{share: 100%, watch: 1h}]";
    let text = plan(stages, &gates(&address, QUERIES));
    let stand = Stand::new(&waits, &text);
    let rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    let mark = stand.path("results/rollouts/checkout/hooks.pid");
    wait_for(|| !stand.calls().is_empty() && mark.exists());
    rolling.end(Signal::KILL);
    // It has a name of its own, and a limit that would end the hook at once.
    let other = text.replace("name: checkout", "name: other").replace("time_limit: 30s", "time_limit: 500ms");
    fs::write(stand.path("other.yaml"), other).unwrap();
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "other.yaml"]);
    rolling.until("stage 1 of 1: applies to 100 %");
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(stand.calls().len(), 1);
    fs::write(stand.path("go"), "").unwrap();
    wait_for(|| stand.calls().len() >= 2);
    assert!(fs::read_to_string(stand.path("ends")).unwrap().starts_with("checkout\n"));
    let (_, said) = rolling.end(Signal::INT);
    assert!(said.contains("was left over from before, and is waited for"), "{said}");
}

#[test]
fn a_hook_that_fails_is_taken_back_and_one_that_fails_to_go_back_is_told() {
    let address = prometheus(|_| Some(series(1.0)));
    let late = format!("{HOOK}[ $1 = 10 ] || [ $POOL_TUNE_DIRECTION = back ] || sleep 1000\n");
    let text = plan(STAGES, &gates(&address, QUERIES));
    let stand = Stand::new(&late, &text.replace("time_limit: 30s", "time_limit: 1s"));
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("stage 2 could not be applied: `./apply.sh 100` did not end within 1.00 s"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stand.told(), ["forward 10 now", "forward 100 now", "back 100 was"]);

    let broken = format!("{HOOK}echo no rights >&2; exit 3\n");
    let stand = Stand::new(&broken, &text);
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("COULD NOT GO BACK: stage 1 of 2 (10 % of instances with "), "{said}");
    assert!(stdout(&output).contains("going back failed (4 of 4 times): ") && stdout(&output).contains("no rights"));
    let expected = ["forward 10 now", "back 100 was", "back 100 was", "back 100 was", "back 100 was"];
    assert_eq!(stand.told(), expected);
    assert!(fs::read_to_string(stand.path("results/rollouts/checkout/hooks.log")).unwrap().contains("no rights"));
    stand.hook(HOOK);
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stand.calls().len(), 6);
}

#[test]
fn who_stops_it_on_its_way_back_is_told_that_it_can_only_go_back() {
    let address = prometheus(|_| Some(series(1.0)));
    let fails = format!("{HOOK}while [ $POOL_TUNE_DIRECTION = back ] && [ ! -e go ]; do sleep 0.05; done\nexit 3\n");
    let stand = Stand::new(&fails, &plan(STAGES, &gates(&address, QUERIES)));
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("goes back: stage 1 could not be applied");
    wait_for(|| stand.calls().len() == 2);
    // The hook goes on until it has ended, and is not tried again.
    kill_process(Pid::from_child(&rolling.child), Signal::INT).unwrap();
    thread::sleep(Duration::from_millis(200));
    fs::write(stand.path("go"), "").unwrap();
    rolling.until("going back failed (1 of 4 times)");
    let mut said = String::new();
    rolling.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(rolling.child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("on its way back: stage 1 of 2 (10 % of instances with "), "{said}");
    assert!(said.contains("go on going back with `pool-tune rollout --resume checkout` (`--back` does"), "{said}");
    stand.hook(HOOK);
    assert_eq!(stand.rollout(&["--resume"]).status.code(), Some(12));
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was", "back 100 was"]);
}

#[test]
fn what_can_be_noted_no_more_is_taken_back() {
    let address = prometheus(|_| Some(series(1.0)));
    let stages = "stages: [{share: 10%, watch: 1h}, {share: 100%, watch: 1h}]";
    let stand = Stand::new(HOOK, &plan(stages, &gates(&address, QUERIES)));
    let mut rolling = Rolling::start(&stand, &["run", "--plan", "rollout.yaml"]);
    rolling.until("stage 1 of 2: applied");
    // Somebody holds the store for longer than is waited for.
    on_store(stand.folder.path(), "BEGIN IMMEDIATE".to_owned(), || {
        let (mut said, mut err) = (String::new(), rolling.child.stderr.take().unwrap());
        err.read_to_string(&mut said).unwrap();
        assert_eq!(rolling.child.wait().unwrap().code(), Some(6), "{said}");
        assert!(said.contains("locked") && said.contains("were applied to 100 % again"), "{said}");
    });
    assert_eq!(stand.told(), ["forward 10 now", "back 100 was"]);
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
}

#[test]
fn a_file_is_changed_by_steps_and_back_to_what_it_had() {
    let stand = Stand::new(HOOK, "");
    let (was, now) = stand.change(Setting::MaxConnections);
    let found: Recommendation = serde_yaml::from_str(&read(stand.folder.path(), "run", "recommendation.yaml")).unwrap();
    let changed = found.rows.iter().filter(|row| row.was != row.now);
    let line =
        |row: &Row| format!("DB_{}={}", row.setting.name().to_uppercase(), row.was.to_string().trim_matches('\''));
    let lines: Vec<String> = changed.map(line).collect();
    let in_use = format!("# ours\n{}\nOTHER=1\n", lines.join("\n"));
    let file = stand.path("pool.env");
    fs::write(&file, &in_use).unwrap();
    let seen = stand.path("seen");
    let config = file.clone();
    let fails = stand.path("fails");
    let address = prometheus(move |_| Some(series(if fails.exists() { 0.0 } else { 1.0 })));
    let text = format!(
        "name: checkout\napply: {{into: pool.env, then: './apply.sh {{share}}'}}\nsteps: 3\nwatch: 100ms\n\
         gates: {{every: 100ms, {}}}\n",
        gates(&address, QUERIES)
    );
    fs::write(stand.path("rollout.yaml"), text).unwrap();
    // The hook sees the file as it has been changed.
    stand.hook(&format!("#!/bin/sh\ngrep MAX_CONNECTIONS {} >> {}\n", config.display(), seen.display()));

    fs::write(&file, in_use.replace(&format!("DB_MAX_CONNECTIONS={was}"), "DB_MAX_CONNECTIONS=999")).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("DB_MAX_CONNECTIONS is 999, and was {was}")), "{}", stderr(&output));
    fs::write(&file, &in_use).unwrap();

    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (first, last): (f64, f64) = (was.parse().unwrap(), now.parse().unwrap());
    let steps: Vec<String> = [1.0, 2.0, 3.0]
        .map(|step| format!("DB_MAX_CONNECTIONS={}", (first + (last - first) * step / 3.0).round()))
        .to_vec();
    assert_eq!(fs::read_to_string(&seen).unwrap().lines().collect::<Vec<_>>(), steps);
    assert!(fs::read_to_string(&file).unwrap().ends_with("OTHER=1\n"));
    assert_eq!(fs::read_to_string(stand.path("pool.env.bak")).unwrap(), in_use);
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), in_use);

    // A gate that fails takes the file back, too.
    fs::write(&file, in_use.replace(&format!("DB_MAX_CONNECTIONS={was}"), "DB_MAX_CONNECTIONS=999")).unwrap();
    stand.hook(&format!("#!/bin/sh\n[ $POOL_TUNE_STAGE != 2 ] || touch {}\n", stand.path("fails").display()));
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--force"]);
    assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), in_use);
}

#[test]
fn names_that_a_file_does_not_have_are_told() {
    let address = prometheus(|_| Some(series(1.0)));
    let text = format!(
        "name: checkout\napply: {{into: pool.env}}\nsteps: 1\nwatch: 100ms\ngates: {{every: 100ms, {}}}\n",
        gates(&address, QUERIES)
    );
    let stand = Stand::new(HOOK, &text);
    fs::write(stand.path("pool.env"), "MAX_CONNECTIONS=1\n").unwrap();
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--dry-run"]);
    let said = stderr(&output);
    let warned = said.lines().find(|line| line.starts_with("warning: `")).unwrap_or_default().to_owned();
    assert!(warned.contains("pool.env` does not have DB_") && warned.contains("DB_MAX_CONNECTIONS"), "{said}");
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains(&warned), "{}", stdout(&output));
    // A file that is gone is told as such, where no hook said anything.
    let held = fs::read_to_string(stand.path("pool.env")).unwrap();
    fs::remove_file(stand.path("pool.env")).unwrap();
    let output = stand.rollout(&["--back", "checkout"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(
        told.contains("pool.env` is gone: put it back, from its backup `") && told.contains("pool.env.bak`"),
        "{told}"
    );
    assert!(!stderr(&output).contains("hooks.log"), "{}", stderr(&output));
    fs::write(stand.path("pool.env"), held).unwrap();
    // Now it has them.
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
    let output = stand.begin();
    assert!(!stdout(&output).contains("warning"), "{}", stdout(&output));
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rollout");
    let stand = Stand::new(HOOK, "");
    for file in ["rollout.yaml", "apply.sh"] {
        fs::copy(example.join(file), stand.path(file)).unwrap();
    }
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (was, now) = stand.change(Setting::MaxConnections);
    let told = stdout(&output);
    for part in [
        "rollout checkout of run run: stages: 3, watched for 1h 20m in all\n".to_owned(),
        "apply: ./apply.sh {share} {file} (in ".to_owned(),
        format!("max_connections {was} -> {now}"),
        "stage 3 of 3: 100 % of instances, watched for 1h: ".to_owned(),
        "gate: success at least 0.99: sum(rate(".to_owned(),
        "gate: p95 against before at most 10 % more than before: ".to_owned(),
        "read every 15s; back after 2 readings in a row that fail, after 2m without a source".to_owned(),
    ] {
        assert!(told.contains(&part), "{part} is not in {told}");
    }
    assert!(!stand.path("instances").exists() && !stand.path("results/.rollout-checkout.lock").exists());
    assert_eq!(stand.rollout(&["--log"]).status.code(), Some(2));
}

#[test]
fn going_on_and_going_back_are_never_dry() {
    let stand = Stand::new(HOOK, "");
    for what in ["--resume", "--back", "--log"] {
        for flag in ["--dry-run", "--yes-old", "--force"] {
            let output = stand.rollout(&[what, "checkout", flag]);
            assert_eq!(output.status.code(), Some(2), "{what} {flag}: {}", stderr(&output));
            assert!(stderr(&output).contains("cannot be used with"), "{what} {flag}: {}", stderr(&output));
        }
    }
}

#[test]
fn the_example_s_hook_does_the_same_twice() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rollout");
    let address = prometheus(|_| Some(series(1.0)));
    let stand = Stand::new(HOOK, "");
    fs::copy(example.join("apply.sh"), stand.path("apply.sh")).unwrap();
    let text = fs::read_to_string(example.join("rollout.yaml")).unwrap();
    let short = text.replace("http://127.0.0.1:9090", &address).replace("every: 15s", "every: 100ms");
    fs::write(
        stand.path("rollout.yaml"),
        short.replace("watch: 10m", "watch: 100ms").replace("watch: 1h", "watch: 100ms"),
    )
    .unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read_dir(stand.path("instances")).unwrap().count(), 10);
    let (_, now) = stand.change(Setting::MaxConnections);
    let first = fs::read_to_string(stand.path("instances/1.properties")).unwrap();
    assert!(first.contains(&format!("maximumPoolSize={now}")), "{first}");
    assert_eq!(stand.rollout(&["--back", "checkout"]).status.code(), Some(0));
    assert_ne!(fs::read_to_string(stand.path("instances/1.properties")).unwrap(), first);
}

#[test]
fn runs_that_say_nothing_of_a_database_or_are_old_are_refused() {
    let text = plan(STAGES, "monitor: {metrics: 'http://127.0.0.1:1/metrics'}");
    let stand = Stand::new(HOOK, &text);
    let refused = |what: &str, code: i32, says: &str| {
        change_run(stand.folder.path(), what);
        let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--dry-run"]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    };
    refused("json_set(intent, '$.target', 'simulated')", 2, "which says nothing of your database");
    refused("json_set(intent, '$.target', 'simulation:x')", 2, "which says nothing of your database");
    let old = "json_set(intent, '$.target', 'private', '$.started_at', '2024-01-01T00:00:00Z')";
    refused(old, 2, " days old, and the plan takes runs of up to 30 days: make a new one");
    let output = stand.rollout(&["run", "--plan", "rollout.yaml", "--dry-run", "--yes-old"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let verdict = |answer: &str| {
        format!(
            "intent, recommendation = json_set(recommendation, '$.verdict', json('{{\"answer\":\"{answer}\",\"reason\":\"no matter\"}}'))"
        )
    };
    refused(&verdict("infeasible"), 5, "no settings that keep its limits");
    refused(&verdict("keep"), 2, "nothing to roll out: no matter");
    refused("intent, status = 'failed', recommendation = NULL", 2, "has no recommendation, since it failed: finish it");
    assert!(stand.calls().is_empty());
}

#[test]
fn what_cannot_be_applied_is_told_before_anything_is() {
    let address = prometheus(|_| Some(series(1.0)));
    let good = plan(STAGES, &gates(&address, QUERIES));
    let stand = Stand::new(HOOK, &good);
    let refused = |text: &str, says: &str| {
        fs::write(stand.path("rollout.yaml"), text).unwrap();
        let output = stand.begin();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    };
    refused(
        &good.replace("./apply.sh", "./aply.sh"),
        "`apply`: `command`: `./aply.sh` cannot be started: it is not there",
    );
    refused(
        &good.replace("time_limit: 30s", "directory: none"),
        "none` is not there; a relative one is seen from the folder of the plan",
    );
    refused(&good.replace("time_limit: 30s", "file: hikari-cp"), "`apply`: `file`: ");
    refused(&good.replace(&format!("'{address}'"), "{env: NO_SUCH_VARIABLE}"), "`NO_SUCH_VARIABLE` is not set");
    refused(
        &good.replace("name: checkout", "nam: checkout"),
        "line 1: `nam` is not known in `rollout`: did you mean `name`?",
    );
    refused(
        "name: checkout\napply: {into: none.env}\nsteps: 2\nwatch: 1m\ngates: {monitor: {metrics: 'http://x'}}",
        "there is no such file",
    );
    assert!(stand.calls().is_empty());
    assert_eq!(stand.rollout(&["--resume"]).status.code(), Some(2));
}

/// A Prometheus that reads itself every second; ended when dropped.
struct Real {
    child: Child,
    port: u16,
}

impl Real {
    fn start(folder: &Path) -> Self {
        // The port may be taken between here and there, by nobody that this machine's tests start.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        let mut command = std::process::Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.expect("there is no prometheus here: run .ci/deps test"), port }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_real_prometheus_is_understood() {
    let stand = Stand::new(HOOK, "");
    let real = Real::start(stand.folder.path());
    let address = format!("http://127.0.0.1:{}", real.port);
    // Until it has read itself there is no series, which is waited for as for a source that is down.
    let queries = "queries: [{name: up, query: 'up{job=\"self\"}', at_least: 1}, {name: scalar, query: 'scalar(vector(2))', at_most: 2}, \
                   {name: steady, query: 'sum by (job) (up)', not_worse: 0%, worse_is: less}]";
    let text = plan(STAGES, &gates(&address, queries)).replace("patience: 500ms", "patience: 60s");
    fs::write(stand.path("rollout.yaml"), &text).unwrap();
    let output = stand.begin();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stand.told(), ["forward 10 now", "forward 100 now"]);
    // What it says of a query that it does not take is told; no value, 0 / 0 and ranges are none.
    for (query, says) in [
        ("up{", "does not take the query: "),
        ("nothing_of_that_name", "there is no series"),
        ("vector(0) / 0", "the answer is NaN"),
        ("up[1m]", "the query gives a matrix"),
    ] {
        let queries = format!("queries: [{{name: x, query: '{query}', at_least: 1}}]");
        fs::write(stand.path("rollout.yaml"), plan(STAGES, &gates(&address, &queries))).unwrap();
        let output = stand.begin();
        assert_eq!(output.status.code(), Some(12), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{query}: {}", stderr(&output));
    }
    assert_eq!(stand.calls().len(), 2);
}
