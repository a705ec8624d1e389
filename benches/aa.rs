//! How often the verification claims a difference where there is none: the same settings on both sides.
//!
//! `cargo bench --bench aa [-- --simulated 2000 --real 50]`. Simulated: trials of [`Response`] with its noise, drift and
//! bursts. Real: short trials on a private PostgreSQL; a fast target, on which a verification takes seconds.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops when something is wrong")]

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use pool_tune::{
    database::{PrivateOptions, PrivateServer},
    model::{Operation, Setting, Settings, Statement, Value, Workload},
    simulate::Response,
    stats::{Arm, Pair, Plan, Verdict, verify},
    trial::{Control, DatabaseTarget, Load, Mix, Target},
};

const LIMIT: f64 = 0.99;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    println!("{}", pool_tune::tune::machine());
    simulated(number("--simulated", 2000), None);
    // The luck of a fault part is worst where the circuit opens at every second fault.
    simulated(number("--simulated", 2000), Some(0.25));
    under_faults_alone(number("--simulated", 2000));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(real(number("--real", 50)));
}

/// Counts of verdicts.
#[derive(Default)]
struct Claims {
    better: u64,
    worse: u64,
    all: u64,
}

impl Claims {
    fn count(&mut self, verdict: Verdict) {
        self.all += 1;
        match verdict {
            Verdict::Better => self.better += 1,
            Verdict::Worse => self.worse += 1,
            Verdict::NotBetter => {}
        }
    }

    fn print(&self, name: &str) {
        println!(
            "{name}: baseline against itself {} times: \"better\" {} times, \"worse\" {} times (limit for \"better\": 5 %)",
            self.all, self.better, self.worse
        );
    }
}

/// The share served in time in a part with three faults, at each of which the circuit opens or not, for 0.2 of 1.5 s.
fn share_under_faults(rng: &mut ChaCha8Rng) -> f64 {
    (0..3).map(|_| if rng.random::<bool>() { 0.2 / 1.5 } else { 0.0 }).fold(1.0, |share, lost| share - lost)
}

/// With a weight, faults are counted.
fn simulated(n: u64, weight: Option<f64>) {
    let name = if weight.is_some() { "simulated, faults counted" } else { "simulated" };
    verified_against_themselves(n, name, |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut response = Response::heavy(1 + seed % 20).reseeded(seed);
        let settings = response.baseline().clone();
        move || {
            let reading = response.measure(&settings);
            let lost = weight.map_or(0.0, |weight| weight * (1.0 - share_under_faults(&mut rng)));
            let throughput = reading.throughput * (1.0 - lost);
            Arm { throughput, succeeded: reading.succeeded, failed: reading.failed }
        }
    });
}

/// Where what faults leave of throughput decides alone: a few values, and hardly any noise.
fn under_faults_alone(n: u64) {
    verified_against_themselves(n, "simulated, by faults alone", |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        move || {
            let share = (share_under_faults(&mut rng) + 0.01 * (rng.random::<f64>() - 0.5)).min(1.0);
            Arm { throughput: 1.0 - 0.25 * (1.0 - share), succeeded: 50_000, failed: 0 }
        }
    });
}

/// The order of a pair's trials alternates, as in a run.
fn verified_against_themselves<A: FnMut() -> Arm>(n: u64, name: &str, arms: impl Fn(u64) -> A) {
    let mut claims = Claims::default();
    for seed in 0..n {
        let mut arm = arms(seed);
        let plan = Plan::new(12);
        let mut pairs = Vec::new();
        let verdict = loop {
            let (first, second) = (arm(), arm());
            let swapped = pairs.len() % 2 == 1;
            let (baseline, winner) = if swapped { (second, first) } else { (first, second) };
            pairs.push(Pair { baseline, winner });
            if pairs.len() == plan.early() || pairs.len() == plan.last() {
                let found = verify(&pairs, plan, LIMIT).unwrap();
                if found.conclusive {
                    break found.verdict;
                }
            }
        };
        claims.count(verdict);
    }
    claims.print(name);
}

async fn real(n: u64) {
    if n == 0 {
        return;
    }
    let private = PrivateServer::start(&PrivateOptions::default()).await.unwrap();
    let statement = Statement { source: "select 1".into(), sql: "select 1".into(), arguments: vec![] };
    let operation = Operation {
        name: "select".into(),
        weight: 1.0,
        statements: vec![statement],
        transaction: false,
        nested: false,
        parameters: vec![],
    };
    let workload = Workload { prepare: vec![], operations: vec![operation], think_time: None };
    let load =
        Load { warm_up_cap: Duration::from_millis(100), ..Load::closed(8, None, Duration::from_millis(200), LIMIT) };
    let mut target = Target::Database(DatabaseTarget::new(private.server(), Mix::new(&workload).unwrap(), || None));
    let settings = Settings::default()
        .with(Setting::MinConnections, Value::Count(4))
        .with(Setting::MaxConnections, Value::Count(4));
    let mut claims = Claims::default();
    for seed in 0..n {
        let plan = Plan::new(6);
        let mut pairs = Vec::new();
        let verdict = loop {
            let mut arms = Vec::new();
            for _ in 0..2 {
                let measurement =
                    target.run(&load, &settings, seed, &mut Control::default()).await.unwrap().measurement;
                arms.push(Arm {
                    throughput: measurement.throughput,
                    succeeded: measurement.requests.succeeded,
                    failed: measurement.requests.failed,
                });
            }
            if pairs.len() % 2 == 1 {
                arms.swap(0, 1);
            }
            pairs.push(Pair { baseline: arms[0], winner: arms[1] });
            if pairs.len() == plan.early() || pairs.len() == plan.last() {
                let found = verify(&pairs, plan, LIMIT).unwrap();
                if found.conclusive {
                    break found.verdict;
                }
            }
        };
        claims.count(verdict);
    }
    claims.print("private PostgreSQL, trials of 0.2 s");
    private.stop().await.unwrap();
}
