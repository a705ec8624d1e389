//! What an expert asks of a load tool: does an open loop offer its rate, how does it compare with pgbench, is memory flat, do
//! scenarios give the same verdict again? It runs the program itself, as a user does.
//!
//! `cargo bench --bench stress -- [--part open|pgbench|memory|verdicts] [--seconds 5] [--pairs 5] [--minutes 5] [--times 5]`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on fails")]

#[path = "../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod cluster;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use procfs::process::Process;
use serde_json::Value;

use cluster::{Cluster, binary};

fn argument(name: &str, default: &str) -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let found = arguments.iter().position(|argument| argument == name);
    found.map_or(default, |index| arguments[index + 1].as_str()).to_owned()
}

fn number(name: &str, default: u32) -> u32 {
    argument(name, &default.to_string()).parse().unwrap()
}

fn main() {
    machine();
    let part = argument("--part", "all");
    let parts: [(&str, fn()); 4] =
        [("open", open), ("pgbench", beside_pgbench), ("memory", memory), ("verdicts", verdicts)];
    for (name, run) in parts {
        if part == "all" || part == name {
            run();
        }
    }
}

fn machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    println!("{} × {}", std::thread::available_parallelism().unwrap(), model.trim_start_matches([':', ' ', '\t']));
}

/// Runs `pool-tune stress … --json`; gives its documents.
fn stress(arguments: &[&str]) -> Value {
    let output = program(arguments).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pool-tune"));
    command.env_remove("DATABASE_URL").args(["-q", "stress", "--json"]).args(arguments);
    command
}

fn figure(document: &Value, path: &str) -> f64 {
    document.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An open loop at half of what a closed one reaches.
fn open() {
    let seconds = number("--seconds", 5).to_string();
    let select =
        ["--builtin", "select-only", "--max-connections", "8", "--validation-query", "", "--duration", &seconds];
    let capacity = figure(&stress(&[&["--workers", "16"], select.as_slice()].concat()), "/measurement/throughput");
    println!("\nopen loop at half of capacity ({capacity:.0} QPS in a closed one); achieved over offered");
    for arrival in ["constant", "poisson"] {
        let rate = format!("{:.0}", capacity / 2.0);
        let document = stress(&[&["--rate", &rate, "--arrival", arrival], select.as_slice()].concat());
        let (offered, served) =
            (figure(&document, "/measurement/offered/requests"), figure(&document, "/measurement/requests/succeeded"));
        println!(
            "{arrival:>9}  rate {rate}  due {offered:.0} (asked for {:.0})  served {served:.0}  {:+.3} %  p99 {:.2} ms",
            figure(&document, "/measurement/seconds") * rate.parse::<f64>().unwrap(),
            (served / offered - 1.0) * 100.0,
            figure(&document, "/measurement/response/p99") * 1e3
        );
    }
}

/// Throughput and the client's processor seconds for 1000 transactions.
#[derive(Clone, Copy)]
struct Figure {
    throughput: f64,
    cpu: f64,
}

/// Processor time of children that have ended, in seconds.
fn of_children() -> f64 {
    let stat = Process::myself().unwrap().stat().unwrap();
    let ticks = u32::try_from(stat.cutime + stat.cstime).unwrap();
    f64::from(ticks) / f64::from(u32::try_from(procfs::ticks_per_second()).unwrap())
}

/// The same scripts on the same server with as many clients as connections, in turn.
fn beside_pgbench() {
    let (pairs, seconds) = (number("--pairs", 5), number("--seconds", 5).to_string());
    let cluster = Cluster::start("");
    let port = cluster.port().to_string();
    let pgbench = |arguments: &[&str]| {
        let mut command = Command::new(binary("pgbench"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"]).args(arguments).arg("postgres");
        command.output().unwrap()
    };
    assert!(pgbench(&["-i", "-q", "-s", "10"]).status.success());
    let target = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let folder = tempfile::tempdir().unwrap();
    println!(
        "\nbeside pgbench -M prepared, scale 10, N clients and N connections, medians of {pairs} pairs of {seconds} s"
    );
    println!(
        "{:>12} {:>3} {:>9} {:>9}  ratio (lowest–highest)   CPU s per 1000: ours  pgbench",
        "script", "N", "ours/s", "pgbench/s"
    );
    for script in ["select-only", "tpcb-like"] {
        // pgbench's own text of the script, on the tables that pgbench has made.
        let shown = pgbench(&[&format!("--show-script={script}")]);
        let file = folder.path().join(format!("{script}.sql"));
        std::fs::write(&file, shown.stderr).unwrap();
        let file = file.to_str().unwrap();
        for n in ["1", "8", "30"] {
            let ours = || {
                let before = of_children();
                let document = stress(&[
                    "--target",
                    &target,
                    "--file",
                    file,
                    "--scale",
                    "10",
                    "--workers",
                    n,
                    "--min-connections",
                    n,
                    "--max-connections",
                    n,
                    "--validation-query",
                    "",
                    "--duration",
                    &seconds,
                ]);
                let (throughput, length) =
                    (figure(&document, "/measurement/throughput"), figure(&document, "/measurement/seconds"));
                let warm_up = figure(&document, "/measurement/warm_up/seconds");
                Figure { throughput, cpu: (of_children() - before) * 1000.0 / (throughput * (length + warm_up)) }
            };
            let theirs = || {
                let before = of_children();
                let output = pgbench(&["-n", "-M", "prepared", "-b", script, "-c", n, "-T", &seconds]);
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
                let throughput: f64 = tps.unwrap_or_else(|| panic!("{text}"));
                Figure {
                    throughput,
                    cpu: (of_children() - before) * 1000.0 / (throughput * seconds.parse::<f64>().unwrap()),
                }
            };
            let all: Vec<(Figure, Figure)> = (0..pairs).map(|_| (ours(), theirs())).collect();
            let mut ratios: Vec<f64> = all.iter().map(|(ours, theirs)| ours.throughput / theirs.throughput).collect();
            ratios.sort_by(f64::total_cmp);
            let of = |pick: fn(&(Figure, Figure)) -> f64| median(all.iter().map(pick).collect());
            println!(
                "{script:>12} {n:>3} {:>9.0} {:>9.0}  {:.2} ({:.2}–{:.2}) {:>24.3} {:>8.3}",
                of(|(ours, _)| ours.throughput),
                of(|(_, theirs)| theirs.throughput),
                median(ratios.clone()),
                ratios[0],
                ratios[ratios.len() - 1],
                of(|(ours, _)| ours.cpu),
                of(|(_, theirs)| theirs.cpu),
            );
        }
    }
}

/// One million requests a minute: the program's memory after the first minute and in the end.
fn memory() {
    let minutes = number("--minutes", 5);
    let length = format!("{}s", minutes * 60);
    let mut child = program(&[
        "--builtin",
        "select-only",
        "--rate",
        "16667",
        "--max-connections",
        "8",
        "--validation-query",
        "",
        "--duration",
        &length,
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let process = Process::new(i32::try_from(child.id()).unwrap()).unwrap();
    let (mut peaks, started) = (BTreeMap::<u64, u64>::new(), Instant::now());
    let mut document = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        std::io::Read::read_to_string(&mut stdout, &mut document).unwrap();
        document
    });
    while child.try_wait().unwrap().is_none() {
        if let Ok(status) = process.status()
            && let Some(kilobytes) = status.vmrss
        {
            let minute = started.elapsed().as_secs() / 60;
            let peak = peaks.entry(minute).or_default();
            *peak = (*peak).max(kilobytes);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let document: Value = serde_json::from_str(&reader.join().unwrap()).unwrap();
    println!("\none million requests a minute for {minutes} minutes: peak resident memory by minute");
    let shown: Vec<String> = peaks.values().map(|kilobytes| format!("{:.1} MB", mega(*kilobytes))).collect();
    let first = mega(peaks[&0]);
    let most = peaks.values().copied().map(mega).fold(0.0, f64::max);
    println!("{}; the highest is {:+.1} % of the first minute's", shown.join(", "), (most / first - 1.0) * 100.0);
    println!(
        "due {}, served {}, p99 {:.2} ms",
        figure(&document, "/measurement/offered/requests"),
        figure(&document, "/measurement/requests/succeeded"),
        figure(&document, "/measurement/response/p99") * 1e3
    );
}

fn mega(kilobytes: u64) -> f64 {
    f64::from(u32::try_from(kilobytes).unwrap_or(u32::MAX)) / 1024.0
}

/// Every scenario of the suite, several times.
fn verdicts() {
    let times = number("--times", 5);
    let mut passed: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for _ in 0..times {
        for document in stress(&["--full-suite"]).as_array().unwrap() {
            let judged = document["thresholds"].as_array().is_some_and(|thresholds| !thresholds.is_empty());
            if judged {
                let name = document["scenario"].as_str().unwrap().to_owned();
                passed.entry(name).or_default().push(document["passed"].as_bool().unwrap());
            }
        }
    }
    println!("\nverdicts of {times} suites (profile medium)");
    for (scenario, passed) in &passed {
        let yes = passed.iter().filter(|passed| **passed).count();
        let alike = if yes == 0 || yes == passed.len() { "the same each time" } else { "NOT THE SAME" };
        println!("{scenario:>20}  passed {yes} of {}  {alike}", passed.len());
    }
}
