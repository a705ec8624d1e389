//! What the simulation costs, what thinning changes, and how far predictions are from a real database.
//!
//! `cargo bench --bench simulate -- [--part speed|prediction] [--minutes 3.7] [--save FILE] [--measured FILE]`; `speed` is the
//! default, since `prediction` measures for some minutes.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark prints its table"
)]

#[path = "simulate/prediction.rs"]
mod prediction;

use std::time::{Duration, Instant};

use pool_tune::{
    model::{Fault, FaultKind, Settings},
    profile,
    simulate::{Arrivals, Beyond, ByActive, Load, Outcome, Plan, Step, Times, World, simulate},
};

/// A database like the one that the heavy profile meets on two cores: most statements short, some waiting for 20 ms.
fn world() -> World {
    let service = Times::new(|share| if share > 0.97 { 0.0205 } else { 0.0001 * (share * 4.0).exp() });
    World {
        connect: ByActive::same(Times::new(|share| 0.002 + 0.002 * share)),
        validate: ByActive::same(Times::new(|share| 0.00004 + 0.0002 * share.powi(8))),
        ..World::plain(service)
    }
}

/// A day of the heavy profile's settings: quiet nights, two peaks, a restart and some resets.
fn day(settings: Settings, hours: u32, peak: f64) -> Plan {
    let steps = (0..hours * 12)
        .map(|step| {
            let hour = f64::from(step) / 12.0;
            let shape = 0.15 + 0.85 * (std::f64::consts::PI * (hour % 24.0) / 24.0).sin().powi(2);
            Step { at: Duration::from_secs(u64::from(step) * 300), level: peak * shape }
        })
        .collect();
    let faults = (0..hours / 6)
        .map(|place| Fault {
            at: Duration::from_secs(u64::from(place) * 21_600 + 3_000),
            lasts: Duration::from_secs(4),
            share: 1.0,
            kind: if place % 2 == 0 { FaultKind::Restart } else { FaultKind::Refuse },
        })
        .collect();
    Plan {
        settings,
        world: world(),
        load: Load { workers: 64, beyond: Beyond::Wait, arrivals: Arrivals::Poisson, steps },
        faults,
        length: Duration::from_secs(u64::from(hours) * 3600),
        interval: Duration::from_secs(60),
        thinning: None,
        seed: 1,
    }
}

fn timed(plan: &Plan) -> (Outcome, f64) {
    let started = Instant::now();
    let outcome = simulate(plan);
    (outcome, started.elapsed().as_secs_f64())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map(|at| arguments[at + 1].as_str())
    };
    match argument("--part") {
        None | Some("speed") => speed(),
        Some("prediction") => prediction::run(argument("--save"), argument("--measured"), argument("--minutes")),
        Some(other) => panic!("--part is `{other}`: expected speed or prediction"),
    }
}

fn speed() {
    let settings = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap().space.baseline;
    let (outcome, took) = timed(&day(settings.clone(), 1, 6000.0));
    let millions = outcome.total.events as f64 / 1e6;
    println!(
        "one hour, every request: {millions:.1} million events in {took:.2} s, {:.2} million a second",
        millions / took
    );

    let thinned = Plan { thinning: Some(Duration::from_secs(1)), ..day(settings.clone(), 1, 6000.0) };
    let (thin, _) = timed(&thinned);
    let percent = |thin: f64, every: f64| (thin / every - 1.0) * 100.0;
    println!(
        "the same thinned ({:.0} % skipped), against every request: throughput {:+.2} %, success rate {:+.4} %, p95 response \
         {:+.1} %, mean acquisition {:+.1} %, connections open {:+.1} %",
        thin.skipped * 100.0,
        percent(thin.total.throughput(), outcome.total.throughput()),
        percent(thin.total.success_rate(), outcome.total.success_rate()),
        percent(
            thin.total.response.value_at_quantile(0.95) as f64,
            outcome.total.response.value_at_quantile(0.95) as f64
        ),
        percent(thin.total.acquire.mean(), outcome.total.acquire.mean()),
        percent(thin.total.open, outcome.total.open),
    );

    let plan = Plan { thinning: Some(Duration::from_secs(1)), ..day(settings, 24, 6000.0) };
    let (day, took) = timed(&plan);
    println!(
        "24 hours thinned ({:.0} % skipped): {:.1} million events in {took:.1} s; {:.0} million requests, success rate {:.3} %",
        day.skipped * 100.0,
        day.total.events as f64 / 1e6,
        (day.total.served + day.total.failed) as f64 / 1e6,
        day.total.success_rate() * 100.0,
    );
}
