//! What the service costs: idle, while it is asked during trials, and with many streams open. It runs the program itself on a
//! PostgreSQL of its own. What is compared are the stress tests of one round, all with the same settings and the same load: every
//! other one, with what is measured and without it, in pairs whose order alternates.
//!
//! `cargo bench --bench service -- [--part idle|asked|streams] [--seconds 60] [--pairs 40] [--streams 500] [--rate 20]`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on fails")]

#[path = "../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod cluster;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pool_tune::stats;
use procfs::process::Process;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use cluster::Cluster;

const TOKEN: &str = "a token of thirty-two characters";
const ASKED: [&str; 6] = ["/api/live", "/api/runs", "/api/experiments", "/api/health", "/metrics", "/parts"];

fn argument(name: &str, default: &str) -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let found = arguments.iter().position(|argument| argument == name);
    found.map_or(default, |index| arguments[index + 1].as_str()).to_owned()
}

fn number(name: &str, default: u32) -> u32 {
    argument(name, &default.to_string()).parse().unwrap()
}

/// A service of a folder of its own.
struct Serving {
    child: Child,
    url: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
    _cluster: Cluster,
}

impl Serving {
    fn start() -> Self {
        let cluster = Cluster::start("");
        let folder = tempfile::tempdir().unwrap();
        let experiments = folder.path().join("experiments");
        fs::create_dir(&experiments).unwrap();
        let mut tests = Vec::new();
        for number in 0..2 * number("--pairs", 40) {
            let name = format!("test-{number}");
            let scenario = format!("name: {name}\nabout: the profile's load\nduration: 3s\n");
            fs::write(folder.path().join(format!("{name}.yaml")), scenario).unwrap();
            tests.push(format!("../{name}.yaml"));
        }
        fs::write(folder.path().join("fixed.yaml"), fixed(&fs::read_to_string("profiles/heavy.yaml").unwrap()))
            .unwrap();
        let experiment = format!(
            "name: fixed\nprofile: ../fixed.yaml\ntarget: {{env: DATABASE_URL}}\nbudget: {{trials: 4, pairs: 6}}\nstress: [{}]\n",
            tests.join(", ")
        );
        fs::write(experiments.join("fixed.yaml"), experiment).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pool-tune"))
            .args(["serve", "--bind", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("POOL_TUNE_TOKEN", TOKEN)
            .env("POOL_TUNE_STATE", folder.path().join("state"))
            .env("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let client = pool_tune::http::client().timeout(Duration::from_secs(60)).build().unwrap();
        Self { child, url, client, _folder: folder, _cluster: cluster }
    }

    async fn get(&self, path: &str) -> Value {
        let text = self.client.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Runs the tests, with something while every other one is made, and nothing while the others are; gives the logarithm of the
    /// ratio of throughput of each pair.
    async fn pairs<T, F: Future<Output = T>>(&self, mut begin: impl FnMut() -> F, end: impl Fn(T)) -> Vec<f64> {
        let events = self.client.get(format!("{}/api/events", self.url)).timeout(Duration::from_secs(3600));
        let mut events = events.send().await.unwrap();
        let request =
            self.client.post(format!("{}/api/runs", self.url)).bearer_auth(TOKEN).body(r#"{"experiment": "fixed"}"#);
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let (mut told, mut now) = (String::new(), None);
        let mut with: Vec<bool> = Vec::new();
        while !told.contains("event: round_ended") {
            told.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()));
            while let Some(place) = told.find("event: test\n") {
                told.drain(..=place);
                let number = with.len();
                let is_with = (number / 2 + number).is_multiple_of(2);
                with.push(is_with);
                if !is_with {
                    now.take().into_iter().for_each(&end);
                } else if now.is_none() {
                    now = Some(begin().await);
                }
            }
        }
        now.into_iter().for_each(&end);
        let tests = self.get("/api/runs/latest/stress").await;
        let tests = tests["tests"].as_array().unwrap_or_else(|| panic!("{told}"));
        let throughput = |place: usize| tests[place]["measurement"]["throughput"].as_f64().unwrap();
        assert_eq!(tests.len(), with.len());
        let pair = |first: usize| {
            let (something, nothing) = if with[first] { (first, first + 1) } else { (first + 1, first) };
            (throughput(something) / throughput(nothing)).ln()
        };
        (0..with.len()).step_by(2).map(pair).collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The heavy profile with nothing to search or to simulate, short trials, and its fault part left out.
fn fixed(profile: &str) -> String {
    let mut text = String::new();
    let mut left_out = false;
    for line in profile.lines() {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            left_out = ["search:", "faults:", "day:", "trial:", "budget:"].iter().any(|key| line.starts_with(key));
        }
        if !left_out {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str("search: {pin: {max_connections: 30, min_connections: 5, validation_query: SELECT 1}}\nday: none\n");
    text.push_str("trial: {measure: 1s, warm_up_cap: 1s}\n");
    text
}

#[tokio::main]
async fn main() {
    let part = argument("--part", "all");
    if part == "all" || part == "idle" {
        idle().await;
    }
    if part == "all" || part == "asked" {
        asked().await;
    }
    if part == "all" || part == "streams" {
        streams().await;
    }
}

/// Memory and processor time of a service that has nothing to do; and what requests take of the processors, which is what they can
/// cost a trial.
async fn idle() {
    let serving = Serving::start();
    let seconds = number("--seconds", 60);
    let process = Process::new(i32::try_from(serving.child.id()).unwrap()).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ticks = |process: &Process| process.stat().map(|stat| stat.utime + stat.stime).unwrap();
    let before = ticks(&process);
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    let spent = ticks(&process) - before;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a minute")]
    let share = spent as f64 / procfs::ticks_per_second() as f64 / f64::from(seconds);
    let rss = process.stat().unwrap().rss * procfs::page_size() / 1024;
    println!("idle for {seconds} s: {:.2} % of a core, {} KiB resident", share * 100.0, rss);
    // There has to be something to tell.
    serving.pairs(async || (), drop).await;
    let rate = number("--rate", 20);
    let before = ticks(&process);
    let asking = Asking::start(&serving, rate);
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    let (spent, made) = (ticks(&process) - before, asking.times.lock().unwrap().len());
    drop(asking);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    #[expect(clippy::cast_precision_loss, reason = "ticks of a minute")]
    let took = spent as f64 / procfs::ticks_per_second() as f64;
    println!(
        "{rate} requests a second and no trial: {:.2} ms of a core a request, {:.2} % of the machine's {cores} cores",
        1e3 * took / stats::real(made),
        100.0 * took / f64::from(seconds) / stats::real(cores)
    );
}

/// The times of requests, which a client makes at a rate while it is let.
struct Asking {
    times: Arc<Mutex<Vec<f64>>>,
    _tasks: JoinSet<()>,
}

impl Asking {
    fn start(serving: &Serving, rate: u32) -> Self {
        let times = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for (place, path) in ASKED.iter().enumerate() {
            let (client, url, times) = (serving.client.clone(), format!("{}{path}", serving.url), Arc::clone(&times));
            let pace = Duration::from_secs_f64(f64::from(u32::try_from(ASKED.len()).unwrap()) / f64::from(rate));
            tasks.spawn(async move {
                tokio::time::sleep(pace * u32::try_from(place).unwrap() / u32::try_from(ASKED.len()).unwrap()).await;
                let mut ticks = tokio::time::interval(pace);
                loop {
                    ticks.tick().await;
                    let began = Instant::now();
                    let answer = client.get(&url).send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.unwrap();
                    times.lock().unwrap().push(began.elapsed().as_secs_f64());
                }
            });
        }
        Self { times, _tasks: tasks }
    }
}

async fn asked() {
    let serving = Serving::start();
    let rate = number("--rate", 20);
    let times = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&times);
    let begin = || {
        let asking = Asking::start(&serving, rate);
        async move { asking }
    };
    let end = |asking: Asking| kept.lock().unwrap().append(&mut asking.times.lock().unwrap());
    let ratio = told(&serving.pairs(begin, end).await);
    let mut times = times.lock().unwrap().clone();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = ((stats::real(times.len()) * share) as usize).min(times.len() - 1);
        times[place] * 1e3
    };
    println!(
        "{rate} requests a second during trials: {} in all, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("throughput of trials that were asked during, against those that were not (client included): {ratio}");
}

async fn streams() {
    let serving = Serving::start();
    let count = number("--streams", 500);
    let address = serving.url.strip_prefix("http://").unwrap().to_owned();
    let begin = || {
        let address = address.clone();
        async move {
            let mut open = Vec::new();
            for _ in 0..count {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                let request = format!("GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                open.push(stream);
            }
            // None of them reads.
            open
        }
    };
    let ratio = told(&serving.pairs(begin, drop).await);
    println!("throughput of trials with {count} streams open that nobody reads, against none: {ratio}");
}

/// The ratio of throughput with something to that without it.
fn told(logs: &[f64]) -> String {
    let estimate = stats::mean_estimate(logs, 0.95).unwrap();
    let percent = |log: f64| (log.exp() - 1.0) * 100.0;
    format!(
        "{:+.1} % [{:+.1}, {:+.1}] in {} pairs",
        percent(estimate.value),
        percent(estimate.interval.low),
        percent(estimate.interval.high),
        logs.len()
    )
}
