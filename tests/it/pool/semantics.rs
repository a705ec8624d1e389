//! One set of rules for the pool under test and for its simulation: each is checked on both, so that they cannot drift apart.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pool_tune::{
    database::Connection,
    fault::{Proxy, Reach, make},
    model::{BreakerCounts, ConnectionCounts, ErrorClass, Fault, FaultKind, Setting, Settings},
    pool::{Pool, Work, WorkError},
    simulate::{Arrivals, Ask, Beyond, ByActive, Load, Plan, Times, World, simulate},
};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use tokio_util::sync::CancellationToken;

use super::{count, millis, quiet, validated};
use crate::support::cluster::Cluster;

/// What is done to a pool.
#[derive(Clone)]
struct Script {
    settings: Settings,
    /// When requests come and how long their statements take, in milliseconds.
    asks: Vec<(u64, u64)>,
    faults: Vec<Fault>,
    length: u64,
}

/// What is seen of it, without times.
#[derive(Debug)]
struct Seen {
    /// Requests in the order of their ends: place, failure, attempts.
    ends: Vec<(usize, Option<ErrorClass>, u32)>,
    connections: ConnectionCounts,
    breaker: BreakerCounts,
}

impl Seen {
    fn of(&self, ask: usize) -> (Option<ErrorClass>, u32) {
        let found = self.ends.iter().find(|(place, _, _)| *place == ask);
        let none = || panic!("{ask} has no end: {self:?}");
        found.map_or_else(none, |(_, failed, attempts)| (*failed, *attempts))
    }

    fn order(&self) -> Vec<usize> {
        self.ends.iter().map(|(place, _, _)| *place).collect()
    }
}

struct Sleep(u64);

impl Work for Sleep {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), WorkError> {
        let sql = format!("select pg_sleep({})", Duration::from_millis(self.0).as_secs_f64());
        Ok(connection.execute(AssertSqlSafe(sql).into_sql_str(), &[]).await?)
    }
}

async fn on_a_pool(script: &Script) -> Seen {
    let server = Cluster::shared().server();
    let (host, port) = server.host_and_port().unwrap();
    let proxy = Arc::new(Proxy::start(host, port, 1).await.unwrap());
    let pool = Pool::new(server.via(proxy.address()).unwrap(), &script.settings, 1);
    pool.open().await.unwrap();
    let start = Instant::now();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let mut requests = tokio::task::JoinSet::new();
    for (place, (at, takes)) in script.asks.iter().copied().enumerate() {
        let (pool, ends) = (pool.clone(), Arc::clone(&ends));
        requests.spawn(async move {
            tokio::time::sleep_until((start + Duration::from_millis(at)).into()).await;
            let end = match pool.request(&mut Sleep(takes), &mut ()).await {
                Ok(attempts) => (place, None, attempts),
                Err(failure) => (place, Some(failure.class), failure.attempt),
            };
            ends.lock().unwrap().push(end);
        });
    }
    let reach = Reach { proxy: Some(proxy), private: None };
    let over = CancellationToken::new();
    let faults = make(&script.faults, &reach, Some(&pool), start, &over, |_, _| ());
    let all = async { while requests.join_next().await.is_some() {} };
    tokio::join!(faults, all);
    tokio::time::sleep_until((start + Duration::from_millis(script.length)).into()).await;
    let (connections, breaker) = pool.counts();
    pool.close().await;
    Seen { ends: std::mem::take(&mut *ends.lock().unwrap()), connections, breaker }
}

fn on_the_model(script: &Script) -> Seen {
    let world = World {
        connect: ByActive::same(Times::constant(0.004)),
        validate: ByActive::same(Times::constant(0.000_2)),
        ..World::plain(Times::constant(0.0))
    };
    let ask = |(at, takes): &(u64, u64)| Ask { at: Duration::from_millis(*at), takes: Duration::from_millis(*takes) };
    let arrivals = Arrivals::Listed(script.asks.iter().map(ask).collect());
    let outcome = simulate(&Plan {
        settings: script.settings.clone(),
        world,
        load: Load { workers: 1000, beyond: Beyond::Wait, arrivals, steps: Vec::new() },
        faults: script.faults.clone(),
        length: Duration::from_millis(script.length),
        interval: Duration::from_secs(1),
        thinning: None,
        seed: 1,
    });
    Seen {
        ends: outcome.ends.iter().map(|end| (end.ask, end.failed, end.attempts)).collect(),
        connections: outcome.total.connections,
        breaker: outcome.breaker,
    }
}

/// Checks the same on both.
async fn on_both(script: Script, check: impl Fn(&Seen)) {
    script.settings.check().unwrap();
    check(&on_the_model(&script));
    check(&on_a_pool(&script).await);
}

fn script(settings: Settings, asks: &[(u64, u64)], length: u64) -> Script {
    Script { settings, asks: asks.to_vec(), faults: Vec::new(), length }
}

fn with_fault(script: Script, at: u64, lasts: u64, kind: FaultKind) -> Script {
    let (at, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
    Script { faults: vec![Fault { at, lasts, share: 1.0, kind }], ..script }
}

fn small(max: u32) -> Settings {
    count(quiet(), Setting::MaxConnections, max)
}

#[tokio::test]
async fn whoever_waits_is_served_in_order() {
    let asks: Vec<_> = (0..6).map(|place| (place * 40, 150)).collect();
    on_both(script(small(1), &asks, 1500), |seen| {
        assert_eq!(seen.order(), [0, 1, 2, 3, 4, 5], "{seen:?}");
        assert!(seen.ends.iter().all(|(_, failed, attempts)| failed.is_none() && *attempts == 1), "{seen:?}");
        assert_eq!(seen.connections.opened, 1, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_too_long_gives_up_and_the_next_in_line_is_served() {
    let settings = millis(millis(small(1), Setting::ConnectionTimeout, 400), Setting::ValidationTimeout, 400);
    on_both(script(settings, &[(0, 900), (100, 10), (700, 10)], 1500), |seen| {
        assert_eq!(seen.order(), [1, 0, 2], "{seen:?}");
        assert_eq!(seen.of(1), (Some(ErrorClass::AcquireTimeoutWaiting), 1), "{seen:?}");
        assert_eq!((seen.of(0).0, seen.of(2).0), (None, None), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_idle_for_long_is_closed_down_to_the_minimum_and_the_warmest_is_used() {
    let settings = count(small(4), Setting::MinConnections, 1);
    let settings = millis(settings, Setting::IdleTimeout, 500);
    // A crowd, and then one after the other.
    let mut asks = vec![(0, 100), (0, 100), (0, 100), (0, 100)];
    asks.extend((1..8).map(|place| (place * 200, 10)));
    on_both(script(settings, &asks, 1600), |seen| {
        assert_eq!((seen.connections.opened, seen.connections.closed_idle), (4, 3), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_has_outlived_its_time_is_closed_between_requests_and_never_in_one() {
    let settings = millis(millis(small(1), Setting::ConnectionLifetime, 500), Setting::IdleTimeout, 400);
    let asks: Vec<_> = (0..5).map(|place| (place * 320, 250)).collect();
    on_both(script(settings, &asks, 1700), |seen| {
        assert!(seen.ends.iter().all(|(_, failed, _)| failed.is_none()), "{seen:?}");
        assert!((2..=4).contains(&seen.connections.closed_lifetime), "{seen:?}");
        assert_eq!(seen.connections.closed_broken, 0, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_connection_lost_in_use_fails_the_attempt_and_a_retry_rescues_the_request() {
    for (retries, ended) in [(0, (Some(ErrorClass::ConnectionLost), 1)), (2, (None, 2))] {
        let settings = count(small(2), Setting::RetryAttempts, retries);
        let reset = with_fault(script(settings, &[(0, 800)], 2500), 400, 0, FaultKind::Reset);
        on_both(reset, |seen| {
            assert_eq!(seen.of(0), ended, "{seen:?}");
            assert_eq!(seen.connections.closed_broken, 1, "{seen:?}");
            assert_eq!(seen.connections.opened, 1 + u64::from(retries.min(1)), "{seen:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn where_new_connections_are_refused_the_open_ones_go_on() {
    let settings = count(small(2), Setting::MinConnections, 1);
    let refused = with_fault(script(settings, &[(200, 300), (300, 50), (700, 10)], 1000), 100, 850, FaultKind::Refuse);
    on_both(refused, |seen| {
        assert_eq!((seen.of(0).0, seen.of(2).0), (None, None), "{seen:?}");
        assert_eq!(seen.of(1), (Some(ErrorClass::Connect), 1), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn the_circuit_opens_turns_away_probes_and_closes() {
    let settings = count(count(small(1), Setting::CircuitBreakerThreshold, 3), Setting::CircuitBreakerReset, 2);
    let settings = millis(settings, Setting::CircuitBreakerTimeout, 600);
    // Three fail, two are turned away; then one probe after another, and it is closed.
    let asks = [(200, 1), (250, 1), (300, 1), (400, 1), (500, 1), (1300, 1), (1400, 1), (1500, 1)];
    let refused = with_fault(script(settings, &asks, 1700), 50, 900, FaultKind::Refuse);
    on_both(refused, |seen| {
        let classes: Vec<_> = (0..8).map(|ask| seen.of(ask).0).collect();
        let (refused, turned_away) = (Some(ErrorClass::Connect), Some(ErrorClass::CircuitOpen));
        assert_eq!(classes, [refused, refused, refused, turned_away, turned_away, None, None, None], "{seen:?}");
        let BreakerCounts { opened, half_opened, closed, .. } = seen.breaker;
        assert_eq!((opened, half_opened, closed), (1, 1, 1), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn connections_that_died_idle_are_found_by_the_check_and_replaced() {
    let settings = count(small(3), Setting::MinConnections, 3);
    let settings = millis(settings, Setting::HealthCheckInterval, 400);
    let reset = with_fault(script(settings, &[(1700, 10)], 2000), 500, 0, FaultKind::Reset);
    on_both(reset, |seen| {
        assert_eq!((seen.connections.closed_broken, seen.connections.opened), (3, 6), "{seen:?}");
        assert_eq!(seen.of(0), (None, 1), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn validation_replaces_what_was_dropped_silently_before_the_request_has_it() {
    let settings = millis(count(small(2), Setting::MinConnections, 1), Setting::ValidationTimeout, 300);
    let dropped = with_fault(script(validated(settings), &[(500, 10)], 1500), 200, 0, FaultKind::DropSilently);
    on_both(dropped, |seen| {
        assert_eq!(seen.of(0), (None, 1), "{seen:?}");
        assert_eq!((seen.connections.closed_broken, seen.connections.opened), (1, 2), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_dead_connection_without_validation_costs_an_attempt() {
    let settings = count(count(small(2), Setting::MinConnections, 1), Setting::RetryAttempts, 1);
    let reset = with_fault(script(settings, &[(500, 10)], 1500), 200, 0, FaultKind::Reset);
    on_both(reset, |seen| {
        assert_eq!(seen.of(0), (None, 2), "{seen:?}");
        assert_eq!(seen.connections.closed_broken, 1, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_keeps_connections_leaves_fewer_for_the_others() {
    let settings = millis(millis(small(2), Setting::ConnectionTimeout, 300), Setting::ValidationTimeout, 300);
    let hold = FaultKind::Hold { connections: 2, in_transaction: false };
    let held = with_fault(script(settings, &[(300, 10), (1300, 10)], 1600), 100, 900, hold);
    on_both(held, |seen| {
        assert_eq!(seen.of(0).0, Some(ErrorClass::AcquireTimeoutWaiting), "{seen:?}");
        assert_eq!(seen.of(1).0, None, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_during_a_check_waits_for_its_verdict() {
    let settings = count(small(1), Setting::MinConnections, 1);
    let settings = millis(settings, Setting::HealthCheckInterval, 1000);
    let settings = millis(millis(settings, Setting::ConnectionTimeout, 900), Setting::ValidationTimeout, 900);
    let late = FaultKind::Latency { delay: Duration::from_millis(170), jitter: Duration::ZERO };
    let script = with_fault(script(settings, &[(1350, 10), (2300, 10)], 2600), 900, 1300, late);
    on_both(script, |seen| {
        assert_eq!((seen.of(0), seen.of(1)), ((None, 1), (None, 1)), "{seen:?}");
        assert_eq!((seen.connections.closed_broken, seen.connections.opened), (0, 1), "{seen:?}");
    })
    .await;
}
