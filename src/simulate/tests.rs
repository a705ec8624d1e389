use std::time::Duration;

use super::{
    Arrivals, Attempt, Beyond, ByActive, Left, Load, Moment, Observer, Outcome, Plan, Step, Times, Watched, World,
    simulate, simulate_watched,
};
use crate::{
    model::{ErrorClass, Fault, FaultKind, Setting, Settings, Value},
    stats,
};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A pool of `connections` that never gets in the way: no validation, no retries, no circuit breaker.
fn bare(connections: u32) -> Settings {
    Settings::default()
        .with(Setting::MinConnections, Value::Count(connections))
        .with(Setting::MaxConnections, Value::Count(connections))
        .with(Setting::ConnectionTimeout, Value::Time(seconds(1e6)))
        .with(Setting::ConnectionLifetime, Value::Time(seconds(1e6)))
        .with(Setting::IdleTimeout, Value::Time(seconds(1e5)))
        .with(Setting::ValidationQuery, Value::Sql(String::new()))
        .with(Setting::RetryAttempts, Value::Count(0))
        .with(Setting::CircuitBreakerThreshold, Value::Count(10_000))
}

fn open(rate: f64) -> Load {
    let steps = vec![Step { at: Duration::ZERO, level: rate }];
    Load { workers: 10_000, beyond: Beyond::Wait, arrivals: Arrivals::Poisson, steps }
}

fn closed(workers: u32) -> Load {
    let arrivals = Arrivals::Closed { think_time: Duration::ZERO };
    let beyond = Beyond::Wait;
    Load { workers, beyond, arrivals, steps: vec![Step { at: Duration::ZERO, level: f64::from(workers) }] }
}

fn plan(settings: Settings, world: World, load: Load, length: f64) -> Plan {
    Plan {
        settings,
        world,
        load,
        faults: Vec::new(),
        length: seconds(length),
        interval: seconds(length),
        thinning: None,
        seed: 7,
    }
}

/// The 99 % interval of what replications give.
fn interval(plan: &Plan, replications: u64, of: impl Fn(&Outcome) -> f64) -> (f64, f64) {
    let values: Vec<f64> = (0..replications).map(|seed| of(&simulate(&Plan { seed, ..plan.clone() }))).collect();
    let found = stats::mean_estimate(&values, 0.99).unwrap().interval;
    (found.low, found.high)
}

/// The chance that all of `servers` are busy where nobody waits (Erlang's B formula), by its recursion.
fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
fn per_request(sum: f64, outcome: &Outcome) -> f64 {
    sum / (outcome.total.served.max(1)) as f64
}

#[test]
fn waiting_is_that_of_the_queue_m_m_c() {
    for (servers, rate, service) in [(1_u32, 70.0, 0.01), (3, 80.0, 0.03), (10, 850.0, 0.01)] {
        let load = rate * service;
        let (blocked, n) = (erlang_b(servers, load), f64::from(servers));
        // Erlang's C from B, and the mean wait (Gross & Harris, Fundamentals of Queueing Theory, 2.3).
        let waits = blocked / (1.0 - load / n * (1.0 - blocked));
        let mean = waits * service / (n - load);
        let plan = plan(bare(servers), World::plain(Times::Exponential(service)), open(rate), 400.0);
        let (low, high) = interval(&plan, 30, |outcome| per_request(outcome.total.sums.0, outcome));
        assert!(low < mean && mean < high, "M/M/{servers}: {mean} is not in [{low}, {high}]");
        assert!((high - low) / mean < 0.2, "M/M/{servers}: [{low}, {high}] says little of {mean}");
    }
}

#[test]
fn losses_are_those_of_the_queue_m_m_c_c() {
    for (servers, rate, service) in [(2_u32, 100.0, 0.02), (8, 700.0, 0.01)] {
        // Whoever finds no place gives up at once.
        let settings = bare(servers).with(Setting::ConnectionTimeout, Value::Time(Duration::from_nanos(1)));
        let expected = erlang_b(servers, rate * service);
        let plan = plan(settings, World::plain(Times::Exponential(service)), open(rate), 200.0);
        let (low, high) = interval(&plan, 30, |outcome| 1.0 - outcome.total.success_rate());
        assert!(low < expected && expected < high, "M/M/{servers}/{servers}: {expected} not in [{low}, {high}]");
    }
}

/// The share lost and the mean number in an M/M/c/K queue (Gross & Harris, 2.5).
fn m_m_c_k(servers: u32, room: u32, load: f64) -> (f64, f64) {
    let mut weights = vec![1.0_f64];
    for n in 1..=room {
        let last = weights.last().copied().unwrap_or(1.0);
        weights.push(last * load / f64::from(n.min(servers)));
    }
    let sum: f64 = weights.iter().sum();
    let mean = weights.iter().zip(0_u32..).map(|(weight, n)| weight * f64::from(n)).sum::<f64>() / sum;
    (weights.last().copied().unwrap_or(0.0) / sum, mean)
}

#[test]
fn losses_and_times_are_those_of_the_queue_m_m_c_k() {
    for (servers, room, rate, service) in [(1_u32, 4_u32, 90.0, 0.01), (3, 10, 130.0, 0.02), (8, 12, 1000.0, 0.01)] {
        let (lost, mean) = m_m_c_k(servers, room, rate * service);
        // Little's law for those that are let in.
        let time = mean / (rate * (1.0 - lost));
        let load = Load { workers: room, beyond: Beyond::Lost, ..open(rate) };
        let plan = plan(bare(servers), World::plain(Times::Exponential(service)), load, 300.0);
        let (low, high) = interval(&plan, 30, |outcome| 1.0 - outcome.total.success_rate());
        assert!(low < lost && lost < high, "M/M/{servers}/{room} loses {lost}, not in [{low}, {high}]");
        let (low, high) = interval(&plan, 30, |outcome| per_request(outcome.total.sums.1, outcome));
        assert!(low < time && time < high, "M/M/{servers}/{room} takes {time}, not in [{low}, {high}]");
        assert!((high - low) / time < 0.2, "M/M/{servers}/{room}: [{low}, {high}] says little of {time}");
    }
}

#[test]
fn a_closed_loop_is_bound_by_connections_or_by_workers() {
    let world = || World::plain(Times::constant(0.01));
    for (workers, connections, expected) in [(4, 8, 400.0), (8, 4, 400.0), (30, 30, 3000.0)] {
        let outcome = simulate(&plan(bare(connections), world(), closed(workers), 10.0));
        let throughput = outcome.total.throughput();
        assert!((throughput / expected - 1.0).abs() < 0.01, "{workers} on {connections}: {throughput}");
        assert_eq!(outcome.total.failed, 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let plan = plan(bare(3), World::plain(Times::Exponential(0.01)), open(200.0), 20.0);
    let shown = |plan: &Plan| format!("{:?}", simulate(plan));
    assert_eq!(shown(&plan), shown(&plan));
    assert_ne!(shown(&plan), shown(&Plan { seed: 8, ..plan.clone() }));
}

#[test]
fn a_load_above_capacity_is_told_and_ends() {
    let plan = plan(bare(2), World::plain(Times::constant(0.01)), Load { workers: 50, ..open(20_000.0) }, 86_400.0);
    let outcome = simulate(&plan);
    assert!(outcome.overloaded && outcome.not_begun > 0);
    assert!((outcome.total.throughput() / 200.0 - 1.0).abs() < 0.05, "{}", outcome.total.throughput());
}

#[test]
fn a_server_that_is_away_for_a_moment_costs_what_was_under_way_and_retries_rescue_it() {
    let fault = Fault { at: seconds(2.0), lasts: seconds(0.3), share: 1.0, kind: FaultKind::Restart };
    let world = World { connect: ByActive::same(Times::constant(0.003)), ..World::plain(Times::constant(0.01)) };
    let run = |retries: u32| {
        let settings = bare(5)
            .with(Setting::RetryAttempts, Value::Count(retries))
            .with(Setting::InitialRetryDelay, Value::Time(seconds(0.2)));
        simulate(&Plan { faults: vec![fault.clone()], ..plan(settings, world.clone(), closed(5), 5.0) })
    };
    let (without, with) = (run(0), run(3));
    assert!(without.total.failed > 5 && without.total.errors_of(ErrorClass::Connect) > 0);
    assert_eq!(without.total.errors_of(ErrorClass::ConnectionLost), 5);
    assert_eq!(with.total.failed, 0);
    assert_eq!(with.total.connections.opened, 10);
}

#[test]
fn thinned_figures_are_those_of_every_request() {
    let world = World { connect: ByActive::same(Times::constant(0.004)), ..World::plain(Times::Exponential(0.002)) };
    let settings = bare(10)
        .with(Setting::MinConnections, Value::Count(2))
        .with(Setting::ConnectionLifetime, Value::Time(seconds(300.0)))
        .with(Setting::IdleTimeout, Value::Time(seconds(60.0)));
    let fault = Fault { at: seconds(500.0), lasts: seconds(5.0), share: 1.0, kind: FaultKind::Restart };
    let every = Plan { faults: vec![fault], interval: seconds(60.0), ..plan(settings, world, open(1000.0), 1800.0) };
    let thin = simulate(&Plan { thinning: Some(seconds(2.0)), ..every.clone() });
    let every = simulate(&every);
    assert!(thin.skipped > 0.5 && every.skipped == 0.0, "{} of the time was skipped", thin.skipped);
    assert!(thin.total.events < every.total.events / 2);
    let near = |what: &str, thin: f64, every: f64, tolerance: f64| {
        assert!((thin / every - 1.0).abs() < tolerance, "{what}: {thin} for {every}");
    };
    near("seconds", thin.total.seconds, every.total.seconds, 1e-6);
    near("throughput", thin.total.throughput(), every.total.throughput(), 0.02);
    near("at work", thin.total.active, every.total.active, 0.02);
    near("open", thin.total.open, every.total.open, 0.05);
    let p95 = |outcome: &Outcome| stats::real(usize::try_from(outcome.total.response.value_at_quantile(0.95)).unwrap());
    near("p95", p95(&thin), p95(&every), 0.03);
    eprintln!("{:?} {:?} {} {}", thin.total.connections, every.total.connections, thin.total.open, every.total.open);
    assert_eq!(thin.line.len(), every.line.len());
}

/// Writes down what it hears.
#[derive(Default)]
struct Heard {
    due: u64,
    attempts: Vec<Attempt>,
    /// Requests served and failed.
    ended: (u64, u64),
    intervals: Vec<u64>,
    /// After how many intervals it has heard enough.
    enough: Option<usize>,
}

impl Observer for Heard {
    fn due(&mut self, _: Duration) {
        self.due += 1;
    }

    fn attempted(&mut self, _: Duration, attempt: &Attempt) {
        self.attempts.push(*attempt);
    }

    fn ended(&mut self, _: Duration, _: Duration, served: bool, _: u32) {
        let count = if served { &mut self.ended.0 } else { &mut self.ended.1 };
        *count += 1;
    }

    fn interval(&mut self, moment: &Moment<'_>) -> bool {
        self.intervals.push(moment.tally.served);
        self.enough != Some(self.intervals.len())
    }
}

fn watched(plan: &Plan, nested: bool) -> (Heard, Left) {
    let mut heard = Heard::default();
    let left = simulate_watched(plan, Watched { observer: &mut heard, nested, grace: seconds(1.5) });
    (heard, left)
}

#[test]
fn who_listens_hears_of_everything_and_changes_nothing() {
    let world = World { validate: ByActive::same(Times::constant(0.001)), ..World::plain(Times::constant(0.01)) };
    let settings = bare(2).with(Setting::ValidationQuery, Value::Sql("select 1".to_owned()));
    let plan = Plan { interval: seconds(0.5), ..plan(settings, world, Load { workers: 50, ..open(400.0) }, 5.0) };
    let (heard, left) = watched(&plan, false);
    let alone = simulate(&plan);
    assert_eq!((left.outcome.total.served, left.outcome.line.clone()), (alone.total.served, alone.line));
    assert_eq!(heard.intervals.iter().sum::<u64>(), alone.total.served);
    assert_eq!((heard.intervals.len(), left.at), (10, seconds(5.0)));
    // Of twice what can be served, what has not begun by the end stays so; what is under way ends in the grace.
    let waiting = left.not_begun.len() as u64;
    assert_eq!(heard.due, heard.ended.0 + waiting, "{waiting}");
    assert!(waiting > 500 && left.unfinished == 0 && left.not_begun.is_sorted());
    let longest = heard.attempts.iter().filter_map(|of| of.acquired).map(|of| of.wait).max().unwrap();
    assert!(longest > seconds(0.2), "{longest:?}");
    for attempt in &heard.attempts {
        let acquired = attempt.acquired.unwrap();
        assert_eq!(acquired.total, acquired.wait + acquired.open.unwrap_or_default() + acquired.validate.unwrap());
        assert!((attempt.holds[0].unwrap().as_secs_f64() - 0.011).abs() < 1e-6);
    }
}

#[test]
fn who_has_heard_enough_ends_it() {
    let plan = Plan { interval: seconds(0.1), ..plan(bare(2), World::plain(Times::constant(0.01)), closed(4), 5.0) };
    let mut heard = Heard { enough: Some(3), ..Heard::default() };
    let left = simulate_watched(&plan, Watched { observer: &mut heard, nested: false, grace: Duration::ZERO });
    assert_eq!((left.at, left.unfinished), (seconds(0.3), 4));
}

#[test]
fn requests_that_hold_one_connection_and_wait_for_another_stop_each_other() {
    let settings = bare(4)
        .with(Setting::ConnectionTimeout, Value::Time(seconds(0.5)))
        .with(Setting::ValidationQuery, Value::Sql("select 1".to_owned()));
    let validate = ByActive::same(Times::constant(0.001));
    let world = || World { validate: validate.clone(), ..World::plain(Times::constant(0.01)) };
    // As many workers as connections: each has one, and nobody a second.
    let (heard, _) = watched(&plan(settings.clone(), world(), closed(4), 3.0), true);
    assert!(heard.ended.1 > 0);
    assert!(heard.attempts.iter().any(|of| of.failed == Some(ErrorClass::AcquireTimeoutNested)));
    // With one to spare somebody always gets on.
    let (heard, left) = watched(&plan(settings, world(), closed(3), 3.0), true);
    assert!(heard.ended.0 > 100 && heard.ended.1 == 0, "{:?}", heard.ended);
    let both = heard.attempts.iter().filter(|of| of.second.is_some() && of.holds[1].is_some()).count() as u64;
    assert_eq!(both, heard.ended.0);
    assert!(left.outcome.total.active / left.outcome.total.seconds > 3.0);
}

#[test]
fn a_slow_ramp_of_even_distances_comes_to_its_requests() {
    let steps = (0..200_u32).map(|n| Step { at: seconds(f64::from(n) / 10.0), level: f64::from(n) / 20.0 }).collect();
    let load = Load { arrivals: Arrivals::Constant, steps, ..open(1.0) };
    let plan = plan(bare(2), World::plain(Times::constant(0.01)), load, 20.0);
    // From 0 to 10 a second in 20 s are 100.
    let served = simulate(&plan).total.served;
    assert!((97..=101).contains(&served), "{served}");
}
