//! Experiments as a person, systemd or cron starts them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;

use super::{pool_tune, program, read, real::Background, stderr, stdout};

/// Two profiles on a formula, and files for the answer.
const TWO: &str = "
name: two
profiles: [light, heavy]
target: simulated
budget: {trials: 4, pairs: 6}
answer: {exports: [{format: config.py, file: settings.py}, {format: json, file: settings.json}]}
";

fn folder(experiment: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("experiments")).unwrap();
    fs::write(folder.path().join("experiments/two.yaml"), experiment).unwrap();
    folder
}

fn run(folder: &Path, more: &[&str]) -> Output {
    program(folder).args(["run", "--experiment", "two"]).args(more).output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for words in says {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

fn told(folder: &Path) -> serde_json::Value {
    let output = pool_tune(folder, &["schedule", "--json", "two"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str::<serde_json::Value>(&stdout(&output)).unwrap().as_array().unwrap()[0].clone()
}

fn runs(folder: &Path) -> Vec<String> {
    let runs = told(folder)["runs"].as_array().unwrap().clone();
    runs.iter().rev().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
}

/// Makes the newest run and its round look as a crash after three trials would have left them.
fn crash(folder: &Path) {
    let script = "import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
last = d.execute('select id from runs order by rowid desc limit 1').fetchone()[0]
d.execute('delete from trials where run = ? and sequence > 3', (last,))
d.execute(\"update runs set status = 'running', recommendation = null where id = ?\", (last,))
d.execute(\"update rounds set status = 'running' where id = (select max(id) from rounds)\")
d.commit()";
    let database = folder.join("results/pool-tune.db");
    assert!(Command::new("python3").args(["-c", script]).arg(&database).status().unwrap().success());
}

#[test]
fn a_round_runs_every_profile_and_goes_on_after_a_crash_to_the_same_answer() {
    let folder = folder(TWO);
    let output = run(folder.path(), &["--seed", "21", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((document["experiment"].as_str(), document["runs"].as_array().unwrap().len()), (Some("two"), 2));
    let before = runs(folder.path());
    assert_eq!(before.len(), 2);
    let answers = folder.path().join("results/answers/two");
    for (run, profile) in before.iter().zip(["light", "heavy"]) {
        let written = fs::read_to_string(answers.join(profile).join("settings.py")).unwrap();
        assert_eq!(written, read(folder.path(), run, "config.py"));
        assert!(answers.join(profile).join("settings.json").is_file());
    }
    let whole = read(folder.path(), &before[1], "recommendation.yaml");

    crash(folder.path());
    fs::remove_dir_all(&answers).unwrap();
    let shown = stdout(&pool_tune(folder.path(), &["schedule", "two"]));
    assert!(shown.contains("interrupted · the next start goes on with it"), "{shown}");
    // What a resumed round cannot be asked for is told, and nothing is lost by it.
    assert_refused(&run(folder.path(), &["--pin", "max_connections=9"]), 2, &["--pin", "--fresh"]);
    let output = run(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("goes on with the round of") && text.contains("3 trials are taken over"), "{text}");
    assert_eq!(runs(folder.path()), before, "what had ended is not run again");
    assert_eq!(read(folder.path(), &before[1], "recommendation.yaml"), whole);
    assert!(answers.join("heavy/settings.py").is_file() && !answers.join("light").exists());

    // It is through: the next start begins a new round.
    crash(folder.path());
    let output = run(folder.path(), &["--fresh", "--seed", "22"]);
    assert!(output.status.success() && !stderr(&output).contains("goes on"), "{}", stderr(&output));
    assert!(runs(folder.path()).iter().all(|run| !before.contains(run)));
    let all: serde_json::Value = serde_json::from_str(&stdout(&pool_tune(folder.path(), &["runs", "--json"]))).unwrap();
    let all = all.as_array().unwrap();
    assert!(all.len() == 4 && all.iter().all(|run| run["experiment"] == "two"), "{all:?}");
}

#[test]
fn a_round_of_another_target_or_profile_is_not_gone_on_with() {
    let folder = folder(&TWO.replace("[light, heavy]", "[mine.yaml]"));
    let profile = folder.path().join("experiments/mine.yaml");
    let light = pool_tune::profile::find("light").unwrap();
    let light = format!("{light}day: none\n");
    fs::write(&profile, &light).unwrap();
    let output = run(folder.path(), &["--seed", "21"]);
    assert!(output.status.success(), "{}", stderr(&output));
    crash(folder.path());
    let begins_anew = |more: &[&str], why: &str| {
        let output = run(folder.path(), more);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("a new one begins") && stderr(&output).contains(why), "{}", stderr(&output));
    };
    fs::write(&profile, format!("{light}# changed\n")).unwrap();
    begins_anew(&[], "`light` has been changed");
    crash(folder.path());
    begins_anew(&["--target", "simulation"], "was made on simulated");
}

#[test]
fn a_closed_window_keeps_what_is_scheduled_out_and_a_person_only_told() {
    let in_hours = |hours| (Timestamp::now() + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let (from, until) = (in_hours(2), in_hours(3));
    let (hour, minute) = from.split_once(':').unwrap();
    let schedule = format!("schedule: {{cron: \"{minute} {hour} * * *\", window: \"{from}-{until}\"}}\n");
    let folder = folder(&(TWO.replace(", heavy", "") + &schedule));
    assert_refused(&run(folder.path(), &["--scheduled"]), 11, &["nothing is run", &from, "next due at"]);
    assert!(!folder.path().join("results").exists());
    // What cannot be begun is not announced.
    let experiment = folder.path().join("experiments/two.yaml");
    let text = fs::read_to_string(&experiment).unwrap();
    fs::write(&experiment, text.replace("target: simulated", "target: {env: NIGHTLY_URL}")).unwrap();
    let output = run(folder.path(), &[]);
    assert_refused(&output, 2, &["`NIGHTLY_URL` is not set"]);
    assert!(!stderr(&output).contains("outside the window") && !folder.path().join("results").exists());
    fs::write(&experiment, text).unwrap();
    let output = run(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("outside the window") && text.contains(&format!("{until} +00:00")), "{text}");
    assert!(told(folder.path())["last"]["due"].is_null());

    // With its window open it uses up its due time.
    let open = schedule.replace(&format!("window: \"{from}-{until}\""), &format!("not_after: \"{until}\""));
    fs::write(folder.path().join("experiments/two.yaml"), TWO.replace(", heavy", "") + &open).unwrap();
    let output = run(folder.path(), &["--scheduled"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let due = told(folder.path())["last"]["due"].as_str().unwrap().to_owned();
    assert!(due.ends_with(&format!("T{from}:00Z")), "{due}");
    // What is over is told as what is to come.
    let text = stdout(&pool_tune(folder.path(), &["schedule", "two"]));
    let begins = |word: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
        line.trim_start().trim_start_matches(word).trim_start().split(" · ").next().unwrap().to_owned()
    };
    for time in [begins("next"), begins("last")] {
        jiff::fmt::strtime::parse("%a %F %H:%M %:z", &time).unwrap_or_else(|error| panic!("{time}: {error}"));
    }
}

#[test]
fn a_program_has_its_names_under_the_same_prefix_when_its_round_goes_on() {
    let folder = folder(&TWO.replace("[light, heavy]", "[mine.yaml, other.yaml]").replace("trials: 4", "trials: 10"));
    for name in ["mine", "other"] {
        let profile = format!(
            "name: {name}\nworkers: 2\nsearch: {{ranges: {{max_connections: [1, 4]}}}}\nsettings: {{min_connections: 1, max_connections: 2}}\nworkload: {{operations: [{{name: read, sql: select 1}}]}}\n"
        );
        fs::write(folder.path().join(format!("experiments/{name}.yaml")), profile).unwrap();
    }
    let bench =
        "env | grep _MAX_CONNECTIONS >> seen\necho '{\"successes\": 1000, \"failures\": 0, \"seconds\": 0.01}'\n";
    fs::write(folder.path().join("bench.sh"), bench).unwrap();
    let seen = || {
        let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
        fs::remove_file(folder.path().join("seen")).unwrap();
        seen
    };
    let target = ["--target", "command:sh bench.sh {max_connections} {min_connections}"];
    let output = run(folder.path(), &[&target[..], &["--prefix", "SVC", "--seed", "3"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let before = runs(folder.path());
    assert!(seen().lines().all(|line| line.starts_with("SVC_")));
    // The command that repeats a run names what it was given.
    let summary = read(folder.path(), &before[0], "summary.md");
    assert!(summary.contains("--prefix SVC --target 'command:sh bench.sh"), "{summary}");
    crash(folder.path());
    let output = run(folder.path(), &target);
    assert!(output.status.success() && stderr(&output).contains("goes on with the round"), "{}", stderr(&output));
    let seen = seen();
    assert!(!seen.is_empty() && seen.lines().all(|line| line.starts_with("SVC_")), "{seen}");
    assert!(read(folder.path(), &before[1], "config.py").contains("SVC_MAX_CONNECTIONS = "));
}

#[test]
fn the_target_comes_from_where_the_experiment_says() {
    let folder = folder(&TWO.replace("target: simulated", "target: {env: NIGHTLY_URL}").replace(", heavy", ""));
    // The variable that `run` heeds otherwise is not this experiment's.
    let with = |name: &str, value: &str, more: &[&str]| {
        program(folder.path()).env(name, value).args(["run", "--experiment", "two"]).args(more).output().unwrap()
    };
    assert_refused(&with("DATABASE_URL", "simulated", &[]), 2, &["`NIGHTLY_URL` is not set", "--target"]);
    assert!(with("NIGHTLY_URL", "simulated", &[]).status.success());
    assert!(with("NIGHTLY_URL", "postgres://me:hunter2@127.0.0.1:1/x", &["--target", "simulated"]).status.success());
    let unreachable = with("NIGHTLY_URL", "postgres://me:hunter2@127.0.0.1:1/x", &["--fresh"]);
    assert_refused(&unreachable, 3, &["127.0.0.1:1"]);
    assert!(!stderr(&unreachable).contains("hunter2"));
    let last = told(folder.path())["last"].clone();
    assert_eq!(last["status"], "failed", "{last}");
    assert!(!last.to_string().contains("hunter2") && last["error"].as_str().unwrap().contains("127.0.0.1:1"), "{last}");

    fs::write(folder.path().join("experiments/url"), "simulated\n").unwrap();
    let file = TWO.replace("target: simulated", "target: {file: url}").replace(", heavy", "");
    fs::write(folder.path().join("experiments/two.yaml"), file).unwrap();
    let output = run(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(folder.path().join("experiments/url"), "\n").unwrap();
    assert_refused(&run(folder.path(), &[]), 2, &["experiments/url", "in one line"]);
}

#[test]
fn what_is_wrong_in_an_experiment_is_told_before_anything_is_made() {
    let cases = [
        (TWO.replace("simulated", "postgres://me:hunter2@host/db"), "line 4", "{env: DATABASE_URL}"),
        (TWO.replace("light", "lihgt"), "`lihgt`", "did you mean `light`?"),
        (TWO.replace("format: json", "format: jsno"), "line 6", "json"),
        (TWO.to_owned() + "schedule: {cron: \"0 1 30 2 *\"}", "line 7", "never comes"),
    ];
    for (text, place, remedy) in cases {
        let folder = folder(&text);
        let output = run(folder.path(), &[]);
        assert_refused(&output, 2, &["experiments/two.yaml", place, remedy]);
        assert!(!stderr(&output).contains("hunter2") && !folder.path().join("results").exists());
    }
    let folder = folder(TWO);
    let misspelt = pool_tune(folder.path(), &["run", "--experiment", "tvo"]);
    assert_refused(&misspelt, 2, &["experiments/tvo.yaml", "did you mean `two`?"]);
    let strange = pool_tune(folder.path(), &["run", "--experiment", "xyz"]);
    assert_refused(&strange, 2, &["experiments/xyz.yaml", "expected one of `two`; name a file"]);
    assert_refused(&run(folder.path(), &["--profile", "light"]), 2, &["cannot be used with"]);
    assert_refused(&pool_tune(folder.path(), &["run", "--fresh"]), 2, &["--experiment"]);
}

#[test]
fn a_server_is_loaded_by_one_at_a_time_whatever_the_results_folder_and_is_free_after_a_crash() {
    let folder = folder(TWO);
    let database = folder.path().join("app.db");
    fs::write(&database, "").unwrap();
    let target = format!("sqlite:{}", database.display());
    let mut command = program(folder.path());
    command.args(["run", "--profile", "light", "--name", "first", "--target", &target, "--yes-load-this-database"]);
    let child =
        command.env("POOL_TUNE_RESULTS", folder.path().join("other")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = Background(child.spawn().unwrap());
    let begun = Instant::now();
    let held = || {
        let entries = fs::read_dir(folder.path().join("state")).into_iter().flatten();
        let mut names = entries.map(|entry| entry.unwrap().path());
        names.any(|path| path.to_string_lossy().contains("target-") && fs::metadata(&path).unwrap().len() > 0)
    };
    while !held() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the run does not hold its target");
        std::thread::sleep(Duration::from_millis(10));
    }
    let stress = ["stress", "--duration", "0.5", "--profile", "light", "--yes-load-this-database", "--target"];
    let second = program(folder.path()).args(stress).arg(&target).output().unwrap();
    assert_refused(&second, 7, &["run first", &format!("process {}", first.0.id()), "since 20", "app.db"]);
    first.signal(Signal::KILL);
    first.end();
    let third = program(folder.path()).args(stress).arg(&target).output().unwrap();
    assert_ne!(third.status.code(), Some(7), "{}", stderr(&third));
    assert!(stdout(&third).contains("QPS") || stdout(&third).contains("throughput"), "{}", stderr(&third));
}

#[test]
fn what_its_runs_decide_is_stressed_and_a_missed_threshold_has_an_exit_code() {
    let text = "name: two\nprofile: light\ntarget: simulated\nbudget: {trials: 4, pairs: 6}\nstress: [../calm.yaml, ../strict.yaml]\n";
    let folder = folder(text);
    let strict = "name: strict\nabout: more than can be had\nduration: 1s\nexpect: [p95_query<1us]\n";
    fs::write(folder.path().join("strict.yaml"), strict).unwrap();
    let calm = "name: calm\nabout: what is kept easily\nduration: 1s\nexpect: [success_rate>=0.5]\n";
    fs::write(folder.path().join("calm.yaml"), calm).unwrap();
    let output = run(folder.path(), &[]);
    assert_refused(&output, 8, &["stress test 1 of 2 of the settings of run", "stress test 2 of 2"]);
    let text = stdout(&output);
    assert!(
        text.contains("1 of 2 stress tests with the settings of run")
            && text.contains("missed a threshold: strict (p95_query<1us: "),
        "{text}"
    );
    let id = &runs(folder.path())[0];
    let written = read(folder.path(), id, "stress.json");
    let reports: serde_json::Value = serde_json::from_str(&written).unwrap();
    let passed = |test: usize| reports["tests"][test]["passed"].as_bool();
    assert_eq!((passed(0), passed(1), &reports["left_out"]), (Some(true), Some(false), &serde_json::json!([])));
    assert_eq!(told(folder.path())["last"]["status"], "finished");

    for (stress, says) in [
        ("stress: full", "`stress` is \"full\": expected full-suite, or a list of scenarios"),
        ("stress: []", "`stress` is empty"),
        ("stress: [basic, basic]", "`stress` has `basic` twice"),
        ("stress: [basics]", "did you mean `basic`?"),
        ("stress: [./none.yaml]", "failed to read scenario"),
        ("stress: [../calm.yaml, ./../calm.yaml]", "two tests that are called `calm`"),
    ] {
        let path = folder.path().join("experiments/two.yaml");
        fs::write(&path, format!("name: two\nprofile: light\ntarget: simulation\n{stress}\n")).unwrap();
        assert_refused(&run(folder.path(), &[]), 2, &[says]);
    }
    let own = "name: two\nprofile: light\ntarget: {env: TARGET}\nstress: full-suite\n";
    fs::write(folder.path().join("experiments/two.yaml"), own).unwrap();
    let mut command = program(folder.path());
    command.args(["run", "--experiment", "two"]).env("TARGET", "command:true");
    assert_refused(&command.output().unwrap(), 2, &["a stress test makes the load itself"]);
}

#[test]
fn another_process_goes_on_with_the_stress_tests_that_are_missing() {
    let folder = folder(
        "name: two\nprofile: ../short.yaml\ntarget: sqlite:private\nbudget: {trials: 4, pairs: 6}\nstress: [../calm.yaml, ../next.yaml]\n",
    );
    let profile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/light.yaml")).unwrap();
    let short = profile.replace("measure: 2s", "measure: 300ms").replace("warm_up_cap: 2s", "warm_up_cap: 100ms");
    fs::write(folder.path().join("short.yaml"), short).unwrap();
    for (name, duration) in [("calm", "1s"), ("next", "5s")] {
        let text = format!(
            "name: {name}\nabout: the load\nduration: {duration}\nexpect: [success_rate>=0.5, p95_query<10s]\n"
        );
        fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let mut command = program(folder.path());
    let child = command.args(["run", "--experiment", "two"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut first = Background(child.unwrap());
    let lines = BufReader::new(first.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    for line in lines {
        if line.contains("stress test 2 of 2") {
            first.signal(Signal::INT);
        }
    }
    assert_eq!(first.0.wait().unwrap().code(), Some(130));
    let output = run(folder.path(), &[]);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("stress test 1 of 2") && text.contains("stress test 2 of 2"), "{text}");
    assert!(stdout(&output).contains("2 of 2 stress tests"), "{}", stdout(&output));
}

#[test]
fn stress_tests_that_cannot_be_made_do_not_pass() {
    let text = |stress: &str| {
        format!("name: two\nprofile: light\ntarget: simulated\nbudget: {{trials: 4, pairs: 6}}\nstress: [{stress}]\n")
    };
    let folder = folder(&text("server-restart"));
    let output = run(folder.path(), &[]);
    assert_refused(&output, 2, &["no stress test of run", "left out, for what cannot be made here: server-restart"]);
    assert_eq!(told(folder.path())["last"]["status"], "failed");
    let calm = "name: calm\nabout: what is kept easily\nduration: 1s\nexpect: [success_rate>=0.5]\n";
    fs::write(folder.path().join("calm.yaml"), calm).unwrap();
    fs::write(folder.path().join("experiments/two.yaml"), text("server-restart, ../calm.yaml")).unwrap();
    let output = run(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("1 of 1 stress test with the settings of run") && text.contains("target: server-restart"),
        "{text}"
    );
}
