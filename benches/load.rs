//! How close the load comes to `pgbench`: point selects through the pool with all recorders on, beside
//! `pgbench -S -M prepared` with as many clients, on the same private server; all in turn, several times. The runtime has
//! as many threads as there are processors, as in the program; pgbench has one, and once more as many.
//!
//! `cargo bench --bench load -- [--pairs 5] [--seconds 3] [--workers 64] [--threads N] [--connections 2,10,30]
//! [--transport tcp|socket]`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on fails")]

#[path = "../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod cluster;

use std::{process::Command, time::Duration};

use pool_tune::{
    database::Server,
    model::{Domain, Generator, Operation, Parameter, Setting, Settings, Statement, Value, Workload},
    trial::{Control, DatabaseTarget, Load, Mix, Target},
};
use procfs::process::Process;

use cluster::{Cluster, binary};

const ROWS: i64 = 100_000;

struct Plan {
    pairs: usize,
    seconds: u64,
    workers: u32,
    threads: usize,
    connections: Vec<u32>,
    socket: bool,
}

impl Plan {
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let get = |name: &str, default: &str| {
            let found = arguments.iter().position(|argument| argument == name);
            found.map_or(default, |index| arguments[index + 1].as_str()).to_owned()
        };
        Self {
            pairs: get("--pairs", "5").parse().unwrap(),
            seconds: get("--seconds", "3").parse().unwrap(),
            workers: get("--workers", "64").parse().unwrap(),
            threads: get("--threads", &std::thread::available_parallelism().unwrap().to_string()).parse().unwrap(),
            connections: get("--connections", "2,10,30").split(',').map(|n| n.parse().unwrap()).collect(),
            socket: get("--transport", "tcp") == "socket",
        }
    }
}

/// Throughput, and processor time of the client a query in microseconds.
#[derive(Clone, Copy)]
struct Figure {
    throughput: f64,
    cpu: f64,
}

/// Ours, and pgbench's with each number of threads.
type Round = (Figure, Vec<Figure>);

fn main() {
    let plan = Plan::from_arguments();
    machine();
    let cluster = Cluster::start("");
    let prepared = pgbench(&cluster, &plan).args(["-i", "-q", "-s", "1"]).output().unwrap();
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let server = if plan.socket { cluster.server_by_socket() } else { cluster.server() };
    println!(
        "{} workers, {} runtime threads, {}, median of {} pairs of {} s",
        plan.workers,
        plan.threads,
        if plan.socket { "socket" } else { "loopback TCP" },
        plan.pairs,
        plan.seconds
    );
    println!(
        "{:>11} {:>8}   {:>12} {:>9}   ratio (lowest–highest)   CPU µs a query: ours  pgbench",
        "connections", "ours/s", "beside", "its/s"
    );
    for &connections in &plan.connections {
        let mut jobs = vec![1, u32::try_from(plan.threads).unwrap()];
        jobs.dedup();
        let rounds: Vec<Round> = (0..plan.pairs)
            .map(|_| {
                (
                    ours(&server, &plan, connections),
                    jobs.iter().map(|j| theirs(&cluster, &plan, connections, *j)).collect(),
                )
            })
            .collect();
        for (place, job) in jobs.iter().enumerate() {
            let mut ratios: Vec<f64> =
                rounds.iter().map(|(ours, theirs)| ours.throughput / theirs[place].throughput).collect();
            ratios.sort_by(f64::total_cmp);
            let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
            println!(
                "{connections:>11} {:>8.0}   {:>12} {:>9.0}   {:.2} ({:.2}–{:.2})  {:>28.1} {:>8.1}",
                of(&|round| round.0.throughput),
                format!("pgbench -j {job}"),
                of(&|round| round.1[place].throughput),
                median(ratios.clone()),
                ratios[0],
                ratios[ratios.len() - 1],
                of(&|round| round.0.cpu),
                of(&|round| round.1[place].cpu),
            );
        }
    }
}

fn machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown").trim();
    let version = Command::new(binary("postgres")).arg("--version").output().unwrap();
    println!(
        "{} × {}; {}",
        std::thread::available_parallelism().unwrap(),
        model.trim_start_matches([':', ' ', '\t']),
        String::from_utf8_lossy(&version.stdout).trim()
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Point selects by the trial engine, as a run makes them, with the processor time that it measured itself.
fn ours(server: &Server, plan: &Plan, connections: u32) -> Figure {
    let settings = Settings::default()
        .with(Setting::MinConnections, Value::Count(connections))
        .with(Setting::MaxConnections, Value::Count(connections))
        .with(Setting::ValidationQuery, Value::Sql(String::new()));
    let mut builder = if plan.threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(plan.threads);
        builder
    };
    let load = Load {
        warm_up_cap: Duration::from_secs(1),
        ..Load::closed(plan.workers, None, Duration::from_secs(plan.seconds), 0.99)
    };
    let mut target = Target::Database(DatabaseTarget::new(server.clone(), Mix::new(&workload()).unwrap(), || None));
    let trial = async { target.run(&load, &settings, 1, &mut Control::default()).await.unwrap().measurement };
    let measurement = builder.enable_all().build().unwrap().block_on(trial);
    assert_eq!(measurement.requests.failed, 0);
    let processors = f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
    Figure { throughput: measurement.throughput, cpu: measurement.cpu.own * processors * 1e6 / measurement.throughput }
}

/// What `pgbench -S` does.
fn workload() -> Workload {
    let statement = Statement {
        source: "SELECT abalance FROM pgbench_accounts WHERE aid = :aid".into(),
        sql: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".into(),
        arguments: vec![0],
    };
    let aid = Generator::Integer(Domain::Uniform { low: 1, high: ROWS });
    let operation = Operation {
        name: "point select".into(),
        weight: 1.0,
        statements: vec![statement],
        transaction: false,
        nested: false,
        parameters: vec![Parameter { name: "aid".into(), generator: aid }],
    };
    Workload { prepare: vec![], operations: vec![operation], think_time: None }
}

fn pgbench(cluster: &Cluster, plan: &Plan) -> Command {
    let mut command = Command::new(binary("pgbench"));
    let host = if plan.socket { cluster.folder().to_owned() } else { "127.0.0.1".into() };
    command.arg("-h").arg(host).args(["-p", &cluster.port().to_string(), "-U", "postgres", "postgres"]);
    command
}

fn theirs(cluster: &Cluster, plan: &Plan, connections: u32, threads: u32) -> Figure {
    let cpu = processor_time().1;
    let output = pgbench(cluster, plan)
        .args(["-n", "-S", "-M", "prepared", "-c", &connections.to_string(), "-j", &threads.to_string()])
        .args(["-T", &plan.seconds.to_string()])
        .output()
        .unwrap();
    let cpu = processor_time().1 - cpu;
    let text = String::from_utf8_lossy(&output.stdout);
    let after = |label: &str| -> f64 {
        let rest = text.split(label).nth(1).unwrap_or_else(|| panic!("{text}"));
        rest.split_whitespace().next().unwrap().split('/').next().unwrap().parse().unwrap()
    };
    let count = after("number of transactions actually processed: ");
    Figure { throughput: after("\ntps = "), cpu: cpu * 1e6 / count }
}

/// Seconds of processor time taken by this process, and by children that have ended.
fn processor_time() -> (f64, f64) {
    let stat = Process::myself().unwrap().stat().unwrap();
    let seconds = |ticks: u64| {
        f64::from(u32::try_from(ticks).unwrap()) / f64::from(u32::try_from(procfs::ticks_per_second()).unwrap())
    };
    let children = u64::try_from(stat.cutime + stat.cstime).unwrap();
    (seconds(stat.utime + stat.stime), seconds(children))
}
