//! How well the search does on simulated responses with a known optimum, beside random search and Optuna's TPE.
//!
//! `cargo bench --bench search` prints everything; `-- --only ours` leaves out the others, `-- --seeds 40 --from 3000`
//! chooses the responses, `-- --budget 20` one budget. Each seed is a response of its own, with its optimum in another place.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops when something is wrong")]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::Instant,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use pool_tune::{
    model::{Scale, Setting, Settings, Space, Unit, Value},
    search::{Answer, Config, Outcome, Search, Step},
    simulate::{Reading, Response},
    stats::{mean, quantile, real},
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).cloned();
    let number = |flag: &str, default: u64| after(flag).map_or(default, |text| text.parse().unwrap());
    let (from, n) = (number("--from", 2000), number("--seeds", 200));
    let seeds: Vec<u64> = (from..from + n).collect();
    let only = after("--only");
    for budget in after("--budget").map_or(vec![20, 40], |text| vec![text.parse().unwrap()]) {
        if only.as_deref().is_none_or(|only| only == "random") {
            report(&format!("random search, {budget} trials"), &each(&seeds, |seed| random(seed, budget)));
        }
        if only.as_deref().is_none_or(|only| only == "ours") {
            report(&format!("ours, {budget} trials"), &each(&seeds, |seed| ours(seed, budget, false, None)));
            report(&format!("ours, stopping early, {budget}"), &each(&seeds, |seed| ours(seed, budget, true, None)));
        }
        if only.as_deref().is_none_or(|only| only == "tpe") {
            match Optuna::start() {
                Ok(mut optuna) => {
                    let runs: Vec<Run> = seeds.iter().map(|seed| optuna.run(*seed, budget)).collect();
                    report(&format!("Optuna {} TPE, {budget} trials", optuna.version), &runs);
                }
                Err(reason) => println!("Optuna TPE left out: {reason}"),
            }
        }
        if only.as_deref().is_none_or(|only| only == "sizes") {
            let sizes = [Setting::MinConnections, Setting::MaxConnections];
            let runs = each(&seeds, |seed| ours(seed, budget, false, Some(&sizes)));
            report(&format!("ours, two axes, {budget} trials"), &runs);
        }
    }
}

/// What came of one search.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// True loss of throughput against the best there is, 0 to 1.
    regret: f64,
    infeasible: bool,
    trials: f64,
    covered: Option<bool>,
    ratio_covered: Option<bool>,
    width: f64,
    seconds: f64,
    slowest: f64,
}

fn each(seeds: &[u64], run: impl Fn(u64) -> Run + Sync) -> Vec<Run> {
    let (next, found) = (Mutex::new(0), Mutex::new(vec![Run::default(); seeds.len()]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    let Some(&seed) = seeds.get(at) else { return };
                    let outcome = run(seed);
                    found.lock().unwrap()[at] = outcome;
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn outcome(reading: Reading) -> Outcome {
    Outcome {
        throughput: reading.throughput,
        throughput_error: Some(0.01),
        succeeded: reading.succeeded,
        failed: reading.failed,
        latency_margin: None,
    }
}

fn ours(seed: u64, budget: usize, stops: bool, axes: Option<&[Setting]>) -> Run {
    let mut response = Response::heavy(seed);
    let space = axes.map_or_else(|| response.space(), |axes| response.space_of(axes));
    let mut search = Search::new(&space, config(budget, seed, stops));
    let (started, mut slowest) = (Instant::now(), 0.0_f64);
    loop {
        let asked = Instant::now();
        let step = search.ask();
        slowest = slowest.max(asked.elapsed().as_secs_f64());
        let Step::Try(proposal) = step else { break };
        let reading = response.measure(&proposal.settings);
        search.tell(proposal.settings, outcome(reading));
    }
    assert!(search.n_trials() <= budget);
    let seconds = started.elapsed().as_secs_f64();
    let trials = real(search.n_trials());
    match search.answer().unwrap() {
        Answer::Feasible(found) => {
            let run = judge(&response, &space, &found.settings);
            let ratio = response.true_throughput(&found.settings) / response.true_throughput(response.baseline());
            let fresh: Vec<f64> = (0..8).map(|_| response.measure(&found.settings).throughput).collect();
            Run {
                trials,
                covered: Some(found.throughput.interval.contains(mean(&fresh))),
                ratio_covered: Some(found.ratio.interval.contains(ratio)),
                width: found.throughput.interval.high / found.throughput.interval.low - 1.0,
                seconds,
                slowest,
                ..run
            }
        }
        Answer::Infeasible(_) => Run { trials, ..judge(&response, &space, response.baseline()) },
    }
}

/// Random search, baseline included, that takes the best observed trial with an observed success rate above the limit.
fn random(seed: u64, budget: usize) -> Run {
    let mut response = Response::heavy(seed);
    let space = response.space();
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xbad);
    let mut best = (response.baseline().clone(), 0.0);
    for trial in 0..budget {
        let settings = if trial == 0 { response.baseline().clone() } else { anywhere(&space, &mut rng) };
        let reading = response.measure(&settings);
        if observed_success(reading) > 0.99 && reading.throughput > best.1 {
            best = (settings, reading.throughput);
        }
    }
    Run { trials: real(budget), ..judge(&response, &space, &best.0) }
}

/// A Python process that runs Optuna's TPE on responses served over its standard input and output.
struct Optuna {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
    version: String,
}

impl Optuna {
    /// Starts `$PYTHON` (`python3` by default).
    fn start() -> Result<Self, String> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/optuna_tpe.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{python} cannot be started ({error})"))?;
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(ready)) = answers.next() else {
            child.wait().unwrap();
            return Err(format!(
                "`import optuna` fails in {python}: run `{python} -m pip install optuna`, or set PYTHON"
            ));
        };
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        Ok(Self { child, answers, version: ready["ready"].as_str().unwrap().to_owned() })
    }

    fn run(&mut self, seed: u64, budget: usize) -> Run {
        let mut response = Response::heavy(seed);
        let space = response.space();
        let axes: Vec<_> = space
            .axes
            .iter()
            .map(|axis| {
                let spec = axis.setting.spec();
                let (log, integer) = (spec.scale == Scale::Log, spec.unit == Unit::Count);
                json!({"name": spec.name, "low": axis.low, "high": axis.high, "log": log, "integer": integer})
            })
            .collect();
        let baseline: serde_json::Map<_, _> = space
            .axes
            .iter()
            .map(|axis| (axis.setting.name().to_owned(), json!(space.baseline.get(axis.setting))))
            .collect();
        self.say(&json!({"axes": axes, "baseline": baseline, "trials": budget, "seed": seed}));
        loop {
            let answer: serde_json::Value = serde_json::from_str(&self.answers.next().unwrap().unwrap()).unwrap();
            let numbers = answer.get("try").or_else(|| answer.get("best")).unwrap();
            let settings = complete(&space, |setting| numbers[setting.name()].as_f64().unwrap());
            if answer.get("best").is_some() {
                return Run { trials: real(budget), ..judge(&response, &space, &settings) };
            }
            let reading = response.measure(&settings);
            self.say(&json!({"throughput": reading.throughput, "success": observed_success(reading)}));
        }
    }

    fn say(&mut self, message: &serde_json::Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }
}

impl Drop for Optuna {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "requests of a trial are far below 2^53")]
fn observed_success(reading: Reading) -> f64 {
    reading.succeeded as f64 / (reading.succeeded + reading.failed).max(1) as f64
}

/// Settings drawn evenly over the space, on the scales of the settings.
fn anywhere(space: &Space, rng: &mut ChaCha8Rng) -> Settings {
    let numbers: Vec<f64> = space
        .axes
        .iter()
        .map(|axis| {
            let share: f64 = rng.random();
            let number = match axis.setting.spec().scale {
                Scale::Log => (axis.low.ln() + share * (axis.high / axis.low).ln()).exp(),
                Scale::Integer | Scale::Linear | Scale::Choice => axis.low + share * (axis.high - axis.low),
            };
            if axis.setting.spec().unit == Unit::Count { number.round() } else { number }
        })
        .collect();
    complete(space, |setting| numbers[space.axes.iter().position(|axis| axis.setting == setting).unwrap()])
}

/// Settings with a number for each axis; the minimum is cut to the maximum.
fn complete(space: &Space, number: impl Fn(Setting) -> f64) -> Settings {
    let settings = space.axes.iter().fold(space.baseline.clone(), |settings, axis| {
        let number = number(axis.setting).clamp(axis.low, axis.high);
        settings.with(axis.setting, Value::from_number(axis.setting, number).unwrap())
    });
    if settings.min_connections() > settings.max_connections() {
        let most = settings.get(Setting::MaxConnections).clone();
        return settings.with(Setting::MinConnections, most);
    }
    settings
}

/// The recommended search, or one that uses its whole budget.
fn config(budget: usize, seed: u64, stops: bool) -> Config {
    let recommended = Config::new(budget, 0.99, seed);
    if stops { recommended } else { Config { patience: 0, ..recommended } }
}

fn judge(response: &Response, space: &Space, settings: &Settings) -> Run {
    let (_, best) = response.optimum(space).unwrap();
    Run {
        regret: 1.0 - response.true_throughput(settings) / best,
        infeasible: response.true_success(settings) <= 0.99,
        ..Run::default()
    }
}

fn report(name: &str, runs: &[Run]) {
    let regrets: Vec<f64> = runs.iter().map(|run| 100.0 * run.regret).collect();
    let at = |share| quantile(&regrets, share).unwrap();
    let infeasible = runs.iter().filter(|run| run.infeasible).count();
    print!(
        "{name:32} regret median {:4.2} % mean {:4.2} % p90 {:4.2} %  infeasible {infeasible} of {}",
        at(0.5),
        mean(&regrets),
        at(0.9),
        runs.len()
    );
    let share = |pick: &dyn Fn(&Run) -> Option<bool>| {
        let all: Vec<bool> = runs.iter().filter_map(pick).collect();
        (!all.is_empty()).then(|| 100.0 * real(all.iter().filter(|covered| **covered).count()) / real(all.len()))
    };
    if let (Some(covered), Some(ratio)) = (share(&|run| run.covered), share(&|run| run.ratio_covered)) {
        let of = |pick: &dyn Fn(&Run) -> f64| mean(&runs.iter().map(pick).collect::<Vec<_>>());
        let slowest = runs.iter().map(|run| run.slowest).fold(0.0, f64::max);
        print!(
            "  covered {covered:.0} % (ratio {ratio:.0} %), width {:.1} %, {:.1} trials, {:.2} s a search, slowest ask {:.0} ms",
            100.0 * of(&|run| run.width),
            of(&|run| run.trials),
            of(&|run| run.seconds),
            1e3 * slowest
        );
    }
    println!();
}
