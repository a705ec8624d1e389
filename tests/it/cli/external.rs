//! Programs and services in place of a database: the shipped examples against a real PostgreSQL, and what goes wrong.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process_group, test_kill_process};

use super::{pool_tune, program, read, stderr, stdout};
use crate::support::cluster::{Cluster, binary};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with the examples, their trials made short: a test proves the way, not the figures.
fn with_examples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(project().join("examples")).unwrap() {
        let from = entry.unwrap().path();
        // An example of a rollout has no profile.
        if !from.join("profile.yaml").is_file() {
            continue;
        }
        let to = folder.path().join("examples").join(from.file_name().unwrap());
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
        let profile = fs::read_to_string(to.join("profile.yaml")).unwrap();
        let short = profile
            .replace("measure: 2s", "measure: 300ms")
            .replace("warm_up_cap: 500ms", "warm_up_cap: 100ms")
            .replace("search_trials: 20, verification_pairs: 8", "search_trials: 10, verification_pairs: 6");
        assert_ne!(profile, short, "the profile of an example has another form than the test expects");
        fs::write(to.join("profile.yaml"), short).unwrap();
    }
    folder
}

/// The program, which finds the libraries that `.ci/deps test` installed.
fn tuned(folder: &Path, database: &str, example: &str) -> Command {
    let mut command = program(folder);
    let own = project().join("target/venv-exports/bin");
    assert!(own.join("python3").exists(), "run `.ci/deps test` first");
    let programs = binary("pgbench").parent().unwrap().to_owned();
    let path = std::env::join_paths(
        [own, programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let profile = format!("examples/{example}/profile.yaml");
    command.env("PATH", path.unwrap()).env("DATABASE_URL", database);
    command.args(["run", "--profile", &profile, "--name", "run"]);
    command
}

fn url(cluster: &Cluster) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port())
}

/// The trials of the run, as `show --json` tells them.
fn trials(folder: &Path) -> Vec<serde_json::Value> {
    let shown: serde_json::Value = serde_json::from_str(&stdout(&pool_tune(folder, &["show", "--json"]))).unwrap();
    shown["trials"].as_array().unwrap().clone()
}

/// What holds of the run of every example.
fn assert_tuned(folder: &Path, output: &Output) -> Vec<serde_json::Value> {
    assert!(output.status.success(), "{}", stderr(output));
    let trials = trials(folder);
    // A search of one setting begins with five trials, and at the fifth look that promises nothing it ends: before its tenth, then.
    assert!(trials.len() >= 9, "{}", stderr(output));
    for trial in &trials {
        let measured = &trial["measurement"];
        assert!(measured["throughput"].as_f64().unwrap() > 0.0, "{trial}");
        assert!(measured["requests"]["succeeded"].as_u64().unwrap() > 0, "{trial}");
        assert_eq!(measured["requests"]["failed"], 0, "{trial}");
    }
    let sizes: std::collections::BTreeSet<_> =
        trials.iter().map(|trial| trial["settings"]["max_connections"].as_u64().unwrap()).collect();
    assert!(sizes.len() >= 3, "several sizes are tried: {sizes:?}");
    let summary = read(folder, "run", "summary.md");
    assert!(summary.contains("the target does not say that it heeds it"), "{summary}");
    trials
}

#[test]
fn psycopg_pool_is_tuned_by_a_program_that_tells_every_time() {
    let cluster = Cluster::start("");
    let folder = with_examples();
    let output = tuned(folder.path(), &url(&cluster), "psycopg").output().unwrap();
    for trial in assert_tuned(folder.path(), &output) {
        let measured = &trial["measurement"];
        assert_eq!(measured["response"]["count"], measured["requests"]["succeeded"], "{trial}");
        assert!(measured["acquire"]["total"]["count"].as_u64().unwrap() > 0, "{trial}");
    }
    let log = fs::read_to_string(folder.path().join("results/run/trials/001.log")).unwrap();
    assert!(log.starts_with("$ python3 bench.py --min 2 --max 10 --timeout 30\n"), "{log}");
    assert!(log.contains("POOL_TUNE_WORKERS=16") && log.contains("\"successes\""), "{log}");
}

#[test]
fn pgs_pool_is_tuned_by_a_node_program_that_reads_its_environment() {
    let cluster = Cluster::start("");
    let folder = with_examples();
    let modules = project().join("target/node-exports/node_modules");
    assert!(modules.exists(), "run `.ci/deps test` first");
    symlink(modules, folder.path().join("node_modules")).unwrap();
    let output = tuned(folder.path(), &url(&cluster), "node-postgres").output().unwrap();
    assert_tuned(folder.path(), &output);
}

/// Something that a test started; dropped, it is killed with its group.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.0), Signal::KILL).ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(what: &str, log: &Path, mut is_there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_there() {
        let said = || fs::read_to_string(log).unwrap_or_default();
        assert!(began.elapsed() < Duration::from_secs(30), "{what} does not come up: {}", said());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn pgbouncers_ini_is_written_and_reloaded_for_each_trial() {
    let cluster = Cluster::start("");
    let folder = with_examples();
    let bouncer = folder.path().join("bouncer");
    fs::create_dir(&bouncer).unwrap();
    let port = free_port();
    let shipped = fs::read_to_string(folder.path().join("examples/pgbouncer/pgbouncer.ini")).unwrap();
    let ini = shipped
        .replace("listen_port = 6432", &format!("listen_port = {port}"))
        .replace("host=127.0.0.1 port=5432", &format!("host=127.0.0.1 port={} user=postgres", cluster.port()))
        .replace("%include pool.ini", &format!("%include {}", bouncer.join("pool.ini").display()))
        .replace("pool_mode", "unix_socket_dir =\npool_mode");
    fs::write(bouncer.join("pgbouncer.ini"), ini).unwrap();
    fs::write(bouncer.join("pool.ini"), "[pgbouncer]\n").unwrap();
    let log = bouncer.join("log");
    let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.expect("run `.ci/deps test` first"));
    command.arg("pgbouncer.ini").current_dir(&bouncer).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    // PgBouncer refuses to run as root, and has to reach the files.
    if geteuid().is_root() {
        command.uid(65534).gid(65534);
        for path in [folder.path(), &bouncer] {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let _bouncer = Started(command.process_group(0).spawn().unwrap());
    let tables = Command::new(binary("pgbench")).args(["-i", "-q"]).arg(url(&cluster)).output().unwrap();
    assert!(tables.status.success(), "{}", stderr(&tables));
    wait_for("PgBouncer", &log, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());

    let mut command = tuned(folder.path(), &url(&cluster), "pgbouncer");
    command.env("PGBOUNCER_FOLDER", &bouncer).env("PGBOUNCER_PORT", port.to_string());
    let output = command.output().unwrap();
    let trials = assert_tuned(folder.path(), &output);
    let last = trials.last().unwrap()["settings"]["max_connections"].as_u64().unwrap();
    let shown = Command::new("psql")
        .args(["-qXAt", &format!("host=127.0.0.1 port={port} user=postgres dbname=pgbouncer"), "-c", "SHOW CONFIG"])
        .output()
        .unwrap();
    assert!(stdout(&shown).contains(&format!("default_pool_size|{last}|")), "{}\n{}", stdout(&shown), stderr(&shown));
}

/// The text of a file with a part in place of another.
fn replaced(file: &Path, part: &str, by: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(part), "{} has another form than the test expects: {part}", file.display());
    fs::write(file, text.replace(part, by)).unwrap();
}

/// The example's service, on a port of its own. A request holds a connection for a while in which it needs no processor, and the pool
/// in use is small: with more connections it serves several times as much, however busy the machine is. A lower limit makes the few requests
/// of a short trial enough to be judged.
fn serve(folder: &Path, database: &str) -> (Started, u16) {
    let port = free_port();
    let example = folder.join("examples/fastapi");
    let profile = example.join("profile.yaml");
    replaced(&profile, "127.0.0.1:8000", &format!("127.0.0.1:{port}"));
    replaced(&profile, "max_connections: 10", "max_connections: 2");
    replaced(
        &profile,
        "
trial:",
        "
limits: {success_rate: 0.8}
trial:",
    );
    let asks = "            return connection.execute(text(statement), values).scalar()";
    replaced(
        &example.join("app.py"),
        asks,
        &format!("            connection.execute(text(\"SELECT pg_sleep(0.02)\"))\n{asks}"),
    );
    let log = folder.join("service.log");
    let mut command = Command::new(project().join("target/venv-exports/bin/python3"));
    command.args(["-m", "uvicorn", "app:app", "--log-level", "warning", "--port", &port.to_string()]);
    command.current_dir(example).env("DATABASE_URL", database).stdout(Stdio::null());
    command.stderr(fs::File::create(&log).unwrap()).process_group(0);
    let service = Started(command.spawn().unwrap());
    wait_for("the service", &log, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (service, port)
}

#[test]
fn a_service_is_driven_over_http_and_left_with_the_settings_in_use() {
    let cluster = Cluster::start("");
    let folder = with_examples();
    let (_service, port) = serve(folder.path(), &url(&cluster));
    let output = tuned(folder.path(), &url(&cluster), "fastapi").output().unwrap();
    for trial in assert_tuned(folder.path(), &output) {
        let measured = &trial["measurement"];
        let most = trial["settings"]["max_connections"].as_u64().unwrap();
        let open = measured["utilisation"]["peak_total"].as_u64().unwrap();
        // Scraped figures may be a moment apart from each other.
        assert!((1..=most + 1).contains(&open), "{open} connections of {most}: {trial}");
        assert!(measured["acquire"]["total"]["count"].as_u64().unwrap() > 0, "{trial}");
    }
    let metrics = Command::new("python3")
        .args(["-c", "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"])
        .arg(format!("http://127.0.0.1:{port}/metrics"))
        .output()
        .unwrap();
    assert!(stdout(&metrics).contains("db_client_connection_max 2.0"), "{}", stdout(&metrics));
}

#[test]
fn a_service_takes_an_open_load_in_a_stress_test() {
    let cluster = Cluster::start("");
    let folder = with_examples();
    let _service = serve(folder.path(), &url(&cluster));
    let mut command = program(folder.path());
    command.args([
        "stress",
        "--profile",
        "examples/fastapi/profile.yaml",
        "--rate",
        "50",
        "--duration",
        "1s",
        "--json",
    ]);
    let output = command.output().unwrap();
    let report: serde_json::Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let due = report["reports"][0]["measurement"]["offered"]["requests"].as_u64();
    let due =
        due.or_else(|| report["measurement"]["offered"]["requests"].as_u64()).unwrap_or_else(|| panic!("{report}"));
    assert!((20..=90).contains(&due), "{due} due at 50 a second");
}

/// Runs a program of one line as the target, with trials that take no time.
fn run_command(folder: &Path, script: &str, more: &[&str]) -> Output {
    fs::write(folder.join("bench.sh"), script).unwrap();
    let arguments = ["run", "--profile", "light", "--name", "run", "--trials", "10", "--pairs", "6"];
    let target = ["--target", "command:sh bench.sh {max_connections}"];
    pool_tune(folder, &[&arguments[..], &target, more].concat())
}

const GOOD: &str = r#"echo '{"successes": 1000, "failures": 0, "seconds": 0.01}'"#;

#[test]
fn a_program_that_fails_stops_the_run_with_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let failed = |script: &str| {
        let output = run_command(folder.path(), script, &[]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let told = stderr(&output);
        fs::remove_dir_all(folder.path().join("results")).unwrap();
        assert!(told.contains("gave up on the target after 3 attempts"), "{told}");
        assert!(told.contains("--resume run"), "{told}");
        told
    };
    let told = failed("echo 'no such host' >&2; exit 7");
    assert!(told.contains("ended with code 7; the last that it said: no such host"), "{told}");
    assert!(told.contains("001.log"), "{told}");
    let told = failed("kill -SEGV $$");
    assert!(told.contains("ended by signal 11"), "{told}");
    let told = failed("echo done");
    assert!(told.contains("it printed no summary that can be read"), "{told}");
    let told = failed(r#"echo '{"successes": 1000, "failures": 0, "seconds": 100}'"#);
    assert!(told.contains("it says that it measured for 100.0 s, and ran for"), "{told}");
    let told = failed("sleep 1000 & echo $! > child; head -c 1G /dev/zero; echo end");
    assert!(told.contains("it printed 1073 MB, of which the last 8 MB were read"), "{told}");
    // What it left behind is ended.
    let child: i32 = fs::read_to_string(folder.path().join("child")).unwrap().trim().parse().unwrap();
    let child = Pid::from_raw(child).unwrap();
    let began = Instant::now();
    while test_kill_process(child).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "the child of a program lives on");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("profile.yaml"),
        "name: own\nworkers: 2\ntarget: {command: [sh, bench.sh, '{max_connections}'], time_limit: 200ms}\n",
    )
    .unwrap();
    fs::write(folder.path().join("bench.sh"), "trap '' TERM; sleep 1000 & echo $! > child; wait; sleep 1000").unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./profile.yaml"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("did not end within 200 ms and was ended"), "{}", stderr(&output));
    let child: i32 = fs::read_to_string(folder.path().join("child")).unwrap().trim().parse().unwrap();
    let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z"), "{state}");
}

#[test]
fn a_command_that_cannot_be_started_or_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |target: &str, code: i32| {
        let output = pool_tune(folder.path(), &["run", "--profile", "light", "--target", target]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(told("command:", 2).contains("there is no program"));
    assert!(told("command:sh 'x", 2).contains("a quote is not closed"));
    let misspelt = told("command:sh bench.sh {max_conections}", 2);
    assert!(misspelt.contains("did you mean `{max_connections}`?"), "{misspelt}");
    let told_at_once = |target: &str, why: &str| {
        let said = told(target, 2);
        assert!(said.contains(why) && !said.contains("--resume") && !said.contains("void"), "{target}: {said}");
    };
    told_at_once("command:./nowhere.sh", "`./nowhere.sh` cannot be started: it is not there");
    told_at_once("command:no-such-program x", "`no-such-program` cannot be started: it is in no folder of PATH");
    fs::write(folder.path().join("plain.sh"), GOOD).unwrap();
    told_at_once("command:./plain.sh", "`./plain.sh` cannot be started: it is not executable");
    let nowhere = "name: own\nworkers: 2\ntarget: {command: sh x, directory: ./nowhere}\n";
    fs::write(folder.path().join("p.yaml"), nowhere).unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./p.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("its `directory` `./nowhere` is not there"), "{}", stderr(&output));
    assert!(!stdout(&pool_tune(folder.path(), &["runs"])).contains("own"), "no run was begun");
    let output = pool_tune(folder.path(), &["stress", "--target", "command:sh bench.sh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("use `pool-tune run`"), "{}", stderr(&output));
}

#[test]
fn an_interrupted_run_of_a_program_goes_on_without_its_target_being_given_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("count"), "").unwrap();
    // It fails for good from the eighth trial on, until it is mended.
    let breaks = format!("echo x >> count; [ $(wc -l < count) -le 7 ] || [ -e mended ] || exit 1; {GOOD}");
    let output = run_command(folder.path(), &breaks, &["--seed", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    fs::write(folder.path().join("mended"), "").unwrap();
    // What the environment has for other programs does not contradict what is stored; a flag does.
    let resumed = |more: &[&str]| {
        let mut command = program(folder.path());
        command.env("DATABASE_URL", "postgres://me@127.0.0.1:1/nowhere");
        command.args(["run", "--resume", "run"]).args(more).output().unwrap()
    };
    let output = resumed(&["--target", "postgres://me@127.0.0.1:1/nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("not on postgres://"), "{}", stderr(&output));
    let output = resumed(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("7 trials are taken over"), "{}", stderr(&output));
    let summary = read(folder.path(), "run", "summary.md");
    assert!(summary.contains("--target 'command:sh bench.sh {max_connections}'"), "{summary}");
}

#[test]
fn a_target_that_is_named_wins_over_the_profiles_also_where_the_environment_has_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("p.yaml"),
        "name: own\nworkers: 2\ntarget: {command: 'false'}\nworkload: {operations: [{name: read, sql: select 1}]}\n",
    )
    .unwrap();
    let url = "postgres://me@127.0.0.1:1/nowhere";
    let told = |target: &[&str]| {
        let mut command = program(folder.path());
        command.env("DATABASE_URL", url).args(["run", "--profile", "./p.yaml", "--name", "run"]).args(target);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stderr(&output)
    };
    let told_by_flag = told(&["--target", url]);
    assert!(told_by_flag.contains("127.0.0.1:1"), "{told_by_flag}");
    let told_by_profile = told(&[]);
    assert!(told_by_profile.contains("`false` ended with code 1"), "{told_by_profile}");
}

#[test]
fn a_program_says_what_it_cannot_serve_and_no_settings_are_recommended() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo '{"successes": 900, "failures": 100, "seconds": 0.01, "errors": [{"code": "X1", "message": "refused", "count": 100}]}'"#;
    let output = run_command(folder.path(), script, &[]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stdout(&output).contains("No settings keep the limits"), "{}", stdout(&output));
}

#[test]
fn what_contradicts_itself_or_waits_for_a_shell_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_command(folder.path(), GOOD, &[]);
    assert!(!stderr(&output).contains("shell"), "{}", stderr(&output));
    // Its trials are short, which is told once as it goes and once in the answer.
    let told = "the program measured for 10.0 ms in trial 1, and is asked for 2.00 s";
    assert_eq!(stderr(&output).matches(told).count(), 1, "{}", stderr(&output));
    assert!(stdout(&output).contains("trials the program measured for less than half"), "{}", stdout(&output));
    fs::remove_dir_all(folder.path().join("results")).unwrap();
    let profile = "name: own\nworkers: 2\ntarget:\n  command: sh bench.sh {max_connections} {idle_timeout} $PORT > out\n  \
                   takes: [max_connections, min_connections]\nbudget: {search_trials: 10, verification_pairs: 6}\n";
    fs::write(folder.path().join("p.yaml"), profile).unwrap();
    let output = pool_tune(folder.path(), &["run", "--profile", "./p.yaml"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    for text in [
        "no shell reads the command, and the program is given `$PORT`, `>` as it stands: write sh -c '…' around it",
        "the command names idle_timeout, not among `takes` and so kept at the value in use",
        "`takes` has min_connections, told to the command in its environment alone (SUPABASE_MIN_CONNECTIONS)",
    ] {
        assert_eq!(said.matches(text).count(), 1, "{text}: {said}");
    }
}

#[test]
fn a_load_generators_code_for_failed_requests_counts_beside_its_summary() {
    let cluster = Cluster::start("");
    let folder = tempfile::tempdir().unwrap();
    // A client gives up at the first error of SQL, and pgbench ends with 2.
    fs::write(folder.path().join("odd.sql"), "select 1 / (case when random() < 0.0001 then 0 else 1 end);\n").unwrap();
    let pgbench = binary("pgbench");
    let script = format!("{} -n -f odd.sql -c 2 -t 5000 '{}'; exit $?", pgbench.display(), url(&cluster));
    let output = run_command(folder.path(), &script, &[]);
    assert!(matches!(output.status.code(), Some(0 | 5)), "{}", stderr(&output));
    let logs = fs::read_dir(folder.path().join("results/run/trials")).unwrap();
    let log: String = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()).collect();
    assert!(log.contains("it ended with code 2"), "{log}");
    let failed: u64 =
        trials(folder.path()).iter().map(|trial| trial["measurement"]["requests"]["failed"].as_u64().unwrap()).sum();
    assert!(failed > 0, "clients that gave up are failures");

    fs::remove_dir_all(folder.path().join("results")).unwrap();
    let k6 =
        r#"echo '{"metrics": {"iterations": {"count": 3000, "rate": 300000}, "iteration_duration": {"p(95)": 1}}}'; "#;
    let output = run_command(folder.path(), &format!("{k6} exit 99"), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::remove_dir_all(folder.path().join("results")).unwrap();
    let output = run_command(folder.path(), &format!("{k6} exit 98"), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("ended with code 98"), "{}", stderr(&output));
}

#[test]
fn too_few_requests_to_judge_the_success_rate_are_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_command(folder.path(), r#"echo '{"successes": 1, "failures": 0, "seconds": 0.01}'"#, &[]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let said = stdout(&output).replace('\n', " ");
    assert!(said.contains("too few requests were made"), "{said}");
    assert!(said.contains("A trial had 1 at most, and it takes 368 without a failure"), "{said}");
    // What it did not tell is not told as nothing.
    let shown = stdout(&pool_tune(folder.path(), &["show"]));
    let row = shown.lines().find(|line| line.contains("baseline")).unwrap();
    assert_eq!(row.matches('–').count(), 2, "{row}");
    let summary = read(folder.path(), "run", "summary.md");
    let row = summary.lines().find(|line| line.starts_with("| pool utilisation")).unwrap();
    assert!(row.contains('–') && !row.contains('%'), "{row}");
}

#[test]
fn a_verification_that_noise_leaves_undecided_tells_what_it_could_have_shown() {
    let folder = tempfile::tempdir().unwrap();
    // Pools of more than ten look better to the search, and are as good in the verification; trials differ by the trial's number.
    let script = "n=$((20000 + POOL_TUNE_SEED * 7919 % 8000)); [ $1 -gt 10 ] && [ $POOL_TUNE_TRIAL -lt 12 ] && n=$((n * 2))\n\
                  echo \"{\\\"successes\\\": $n, \\\"failures\\\": 0, \\\"seconds\\\": 0.5}\"";
    let output = run_command(folder.path(), script, &["--seed", "1", "--pin", "min_connections=2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output).replace('\n', " ");
    assert!(said.contains("the verification does not show it"), "{said}");
    assert!(said.contains("these 6 pairs show a difference from about"), "{said}");
    assert!(said.contains("(`trial: {measure: …}` in the profile) or four times the pairs (--pairs)"), "{said}");
}

#[test]
fn statements_are_no_requests_to_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let profile = "name: own\nworkers: 2\ntarget:\n  http: http://127.0.0.1:1\n  requests: [{path: /}]\n  \
                   apply: {request: {path: /admin}}\n";
    fs::write(folder.path().join("p.yaml"), profile).unwrap();
    fs::write(folder.path().join("q.sql"), "select 1;\n").unwrap();
    for more in [["--file", "q.sql"], ["--builtin", "tpcb-like"]] {
        let output = pool_tune(folder.path(), &[&["stress", "--profile", "./p.yaml"], &more[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("loads a service over HTTP"), "{}", stderr(&output));
    }
}

#[test]
fn a_service_that_never_gets_ready_is_told_with_its_last_answer() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let profile = |apply: &str| {
        format!(
            "name: own\nworkers: 2\ntarget:\n  http: http://127.0.0.1:{port}\n  requests: [{{path: /}}]\n  apply: {apply}\n  \
             ready: {{path: /health, within: 300ms}}\n"
        )
    };
    let told = |apply: &str| {
        fs::write(folder.path().join("profile.yaml"), profile(apply)).unwrap();
        let output = pool_tune(folder.path(), &["run", "--profile", "./profile.yaml"]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stderr(&output)
    };
    let said = told("{command: 'true {max_connections}'}");
    assert!(said.contains("was not ready within 300 ms: `GET /health`") && said.contains("refused"), "{said}");
    let said = told("{request: {path: /admin}}");
    assert!(said.contains("could not be put into effect by `POST /admin`"), "{said}");
    assert!(said.contains("has not the settings in use again"), "{said}");
    // The ids of runs that begin in the same second differ, also where the one before has left no folder.
    let said = told("{command: 'false {max_connections}'}");
    assert!(said.contains("ended with code 1"), "{said}");
}

#[test]
fn profiles_of_programs_and_services_are_checked_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let told = |target: &str| {
        fs::write(folder.path().join("p.yaml"), format!("name: own\nworkers: 2\ntarget:\n{target}")).unwrap();
        let output = pool_tune(folder.path(), &["profiles", "check", "./p.yaml"]);
        (output.status.success(), stdout(&output) + &stderr(&output))
    };
    for (target, line, what) in [
        ("  comand: x\n", 4, "did you mean `command`"),
        ("  command: x\n  reads: wrkk\n", 5, "did you mean `wrk`"),
        ("  command: []\n", 4, "`command` is empty"),
        ("  command: [x, '{max_conections}']\n", 4, "did you mean `{max_connections}`"),
        (
            "  http: http://x\n  requests: [{path: /}]\n  apply: {request: {path: /, body: '{max_conections}'}}\n",
            6,
            "did you mean `{max_connections}`",
        ),
        ("  command: x\n  takes: [max_conections]\n", 5, "did you mean `max_connections`"),
        ("  http: localhost\n  requests: [{path: /}]\n", 4, "expected a URL"),
        ("  http: http://me:hunter2@x\n  requests: [{path: /}]\n", 4, "holds a user or a password"),
        ("  http: http://x\n  requests: [{path: x}]\n", 5, "begins with /"),
        ("  http: http://x\n  requests: [{path: '/{id}'}]\n", 5, "`{id}` is no parameter"),
        ("  http: http://x\n  requests: [{path: /}]\n  success: 2yy\n", 6, "classes of them such as 2xx"),
    ] {
        let (good, said) = told(target);
        assert!(!good && said.contains(what) && said.contains(&format!("p.yaml`, line {line}:")), "{target}: {said}");
    }
    let (good, said) = told("  command: ./bench.sh {max_connections}\n");
    assert!(good, "{said}");
}
