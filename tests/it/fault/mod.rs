//! Faults for real: each is seen from the pool as what it is, and over when it is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pool_tune::{
    database::{PrivateOptions, PrivateServer, Server},
    fault::{Happened, Proxy, Reach, make},
    model::{ErrorClass, Fault, FaultKind, Setting, Settings, Value},
    pool::{Attempt, Failure, Observer, Pool, Work, WorkError},
};
use sqlx::SqlStr;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::Cluster;

/// Few connections, nothing in the background, no retries, no breaker, short times.
fn settings() -> Settings {
    let time = |settings: Settings, setting, millis| settings.with(setting, Value::Time(Duration::from_millis(millis)));
    let mut settings = Settings::default()
        .with(Setting::MinConnections, Value::Count(4))
        .with(Setting::MaxConnections, Value::Count(4))
        .with(Setting::RetryAttempts, Value::Count(0))
        .with(Setting::CircuitBreakerThreshold, Value::Count(10_000))
        .with(Setting::ValidationQuery, Value::Sql(String::new()));
    settings = time(settings, Setting::ConnectionTimeout, 400);
    settings = time(settings, Setting::ValidationTimeout, 300);
    settings
}

fn validated() -> Settings {
    settings().with(Setting::ValidationQuery, Value::Sql("SELECT 1".to_owned()))
}

struct Say(&'static str);

impl Work for Say {
    async fn run(&mut self, connection: &mut pool_tune::database::Connection) -> Result<(), WorkError> {
        Ok(connection.execute(SqlStr::from_static(self.0), &[]).await?)
    }
}

#[derive(Default)]
struct Seen(Vec<Attempt>);

impl Observer for Seen {
    fn attempted(&mut self, attempt: &Attempt, _: Option<&Failure>) {
        self.0.push(*attempt);
    }
}

/// A pool whose connections go through a proxy.
struct Proxied {
    proxy: Arc<Proxy>,
    pool: Pool,
}

impl Proxied {
    async fn new(settings: &Settings) -> Self {
        let cluster = Cluster::shared();
        let server: Server = cluster.server_with("postgres", "");
        let proxy = Arc::new(Proxy::start("127.0.0.1", cluster.port(), 7).await.unwrap());
        let pool = Pool::new(server.via(proxy.address()).unwrap(), settings, 1);
        pool.open().await.unwrap();
        Self { proxy, pool }
    }

    async fn request(&self) -> Result<u32, ErrorClass> {
        self.pool.request(&mut Say("select 1"), &mut ()).await.map_err(|failure| failure.class)
    }

    /// The classes of as many requests at once as there are connections.
    async fn requests(&self) -> Vec<Result<u32, ErrorClass>> {
        let all = async { tokio::join!(self.request(), self.request(), self.request(), self.request()) };
        let (a, b, c, d) = Box::pin(all).await;
        vec![a, b, c, d]
    }
}

#[tokio::test]
async fn what_nothing_disturbs_is_carried_as_it_is() {
    let proxied = Proxied::new(&settings()).await;
    let mut long = Say("select length(repeat('x', 3000000)), repeat('y', 3000000)");
    assert!(proxied.pool.request(&mut long, &mut ()).await.is_ok());
    assert_eq!(proxied.requests().await, [Ok(1); 4]);
    assert_eq!(proxied.proxy.connections(), 4);
    proxied.pool.close().await;
    for _ in 0..400 {
        if proxied.proxy.connections() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the proxy keeps {} connections of a pool that is closed", proxied.proxy.connections());
}

#[tokio::test]
async fn a_reset_loses_a_share_of_the_connections_and_no_others() {
    let proxied = Proxied::new(&settings()).await;
    proxied.proxy.begin(&FaultKind::Reset, 0.5);
    for _ in 0..400 {
        if proxied.proxy.connections() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = proxied.requests().await;
    let lost = first.iter().filter(|result| **result == Err(ErrorClass::ConnectionLost)).count();
    assert_eq!(lost, 2, "{first:?}");
    assert_eq!(proxied.requests().await, [Ok(1); 4], "lost connections are replaced");
}

#[tokio::test]
async fn while_connections_are_refused_none_is_opened_and_afterwards_they_are() {
    let proxied = Proxied::new(&settings()).await;
    let id = proxied.proxy.begin(&FaultKind::Refuse, 1.0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(proxied.request().await, Ok(1), "open connections go on");
    proxied.proxy.begin(&FaultKind::Reset, 1.0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(proxied.requests().await.iter().all(|result| *result == Err(ErrorClass::ConnectionLost)));
    let refused = proxied.pool.request(&mut Say("select 1"), &mut ()).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_deref()), (ErrorClass::Connect, Some("os 111")), "{refused:?}");
    proxied.proxy.end(id, &FaultKind::Refuse);
    let deadline = Instant::now() + Duration::from_secs(20);
    while proxied.request().await.is_err() {
        assert!(Instant::now() < deadline, "it never listens again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_was_sent_during_a_stall_arrives_after_it() {
    let proxied = Proxied::new(&settings()).await;
    let id = proxied.proxy.begin(&FaultKind::Stall, 1.0);
    let end = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        proxied.proxy.end(id, &FaultKind::Stall);
    };
    let started = Instant::now();
    let (result, ()) = tokio::join!(proxied.request(), end);
    assert_eq!(result, Ok(1));
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_stalled_validation_is_a_timeout_that_says_so() {
    let proxied = Proxied::new(&validated()).await;
    proxied.proxy.begin(&FaultKind::Stall, 1.0);
    let result = proxied.request().await;
    assert!(
        matches!(result, Err(ErrorClass::AcquireTimeoutValidating | ErrorClass::AcquireTimeoutOpening)),
        "{result:?}"
    );
}

#[tokio::test]
async fn connections_dropped_silently_are_found_dead_by_validation_and_replaced() {
    let proxied = Proxied::new(&validated()).await;
    // Room for the new connection after the validation that never answers.
    proxied.proxy.begin(&FaultKind::DropSilently, 1.0);
    let mut results = Vec::new();
    for _ in 0..8 {
        results.push(proxied.request().await);
    }
    assert!(results.contains(&Ok(1)), "{results:?}");
    assert_eq!(proxied.request().await, Ok(1));
    assert!(proxied.pool.counts().0.closed_broken >= 1);
}

#[tokio::test]
async fn latency_acts_both_ways_and_ends() {
    let proxied = Proxied::new(&settings()).await;
    let kind = FaultKind::Latency { delay: Duration::from_millis(60), jitter: Duration::from_millis(10) };
    proxied.request().await.unwrap();
    let id = proxied.proxy.begin(&kind, 1.0);
    let mut seen = Seen::default();
    proxied.pool.request(&mut Say("select 1"), &mut seen).await.unwrap();
    assert!(seen.0[0].query.unwrap() >= Duration::from_millis(100), "{:?}", seen.0);
    proxied.proxy.end(id, &kind);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let mut seen = Seen::default();
        proxied.pool.request(&mut Say("select 1"), &mut seen).await.unwrap();
        quickest = quickest.min(seen.0[0].query.unwrap());
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

#[tokio::test]
async fn a_narrow_line_takes_its_time_for_what_it_carries() {
    let proxied = Proxied::new(&settings()).await;
    proxied.proxy.begin(&FaultKind::Bandwidth { bytes_per_second: 100_000 }, 1.0);
    let mut seen = Seen::default();
    proxied.pool.request(&mut Say("select repeat('x', 30000)"), &mut seen).await.unwrap();
    assert!(seen.0[0].query.unwrap() >= Duration::from_millis(250), "{:?}", seen.0);
}

#[tokio::test]
async fn a_connection_that_has_carried_enough_is_reset() {
    let proxied = Proxied::new(&settings()).await;
    proxied.proxy.begin(&FaultKind::DropAfter { bytes: 5000 }, 1.0);
    assert_eq!(proxied.request().await, Ok(1));
    let failure = proxied.pool.request(&mut Say("select repeat('x', 30000)"), &mut ()).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::ConnectionLost);
}

fn fault(at: u64, lasts: u64, kind: FaultKind) -> Fault {
    Fault { at: Duration::from_millis(at), lasts: Duration::from_millis(lasts), share: 1.0, kind }
}

/// A private server and a pool on it.
async fn private() -> (Arc<PrivateServer>, Pool, Reach) {
    let private = Arc::new(PrivateServer::start(&PrivateOptions::default()).await.unwrap());
    let pool = Pool::new(private.server(), &settings(), 1);
    pool.open().await.unwrap();
    let reach = Reach { proxy: None, private: Some(Arc::clone(&private)) };
    (private, pool, reach)
}

async fn happen(faults: &[Fault], reach: &Reach, pool: &Pool) -> Vec<Happened> {
    make(faults, reach, Some(pool), Instant::now(), &CancellationToken::new(), |_, _| ()).await
}

async fn served(pool: &Pool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while pool.request(&mut Say("select 1"), &mut ()).await.is_err() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

#[tokio::test]
async fn a_private_server_is_paused_restarted_and_its_sessions_ended() {
    let (private, pool, reach) = private().await;

    let faults = [fault(0, 300, FaultKind::Pause)];
    let request = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut seen = Seen::default();
        pool.request(&mut Say("select 1"), &mut seen).await.unwrap();
        seen.0[0].query.unwrap()
    };
    let (happened, query) = tokio::join!(happen(&faults, &reach, &pool), request);
    assert!(happened[0].problem.is_none() && happened[0].ended >= Some(0.3), "{happened:?}");
    assert!(query >= Duration::from_millis(150), "{query:?}");

    let happened = happen(&[fault(0, 0, FaultKind::Terminate)], &reach, &pool).await;
    assert_eq!(happened[0].problem, None);
    let failure = pool.request(&mut Say("select 1"), &mut ()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_deref()), (ErrorClass::ConnectionLost, Some("57P01")), "{failure:?}");

    let happened = happen(&[fault(0, 100, FaultKind::Restart)], &reach, &pool).await;
    assert_eq!(happened[0].problem, None);
    assert!(private.is_running() && served(&pool).await);
    pool.close().await;
}

#[tokio::test]
async fn what_is_under_way_ends_when_the_trial_is_over_and_the_rest_never_begins() {
    let (private, pool, reach) = private().await;
    let over = CancellationToken::new();
    let faults = [fault(0, 60_000, FaultKind::Restart), fault(50_000, 1000, FaultKind::Pause)];
    let end = async {
        while private.is_running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        over.cancel();
    };
    let (happened, ()) = tokio::join!(make(&faults, &reach, Some(&pool), Instant::now(), &over, |_, _| ()), end);
    assert!(happened[0].began.is_some() && happened[0].ended < Some(30.0), "{happened:?}");
    assert_eq!(happened[1], Happened::default());
    assert!(private.is_running() && served(&pool).await);
}

#[tokio::test]
async fn held_connections_are_missing_meanwhile_and_come_back() {
    let cluster = Cluster::shared();
    let pool = Pool::new(cluster.server_with("postgres", ""), &settings(), 1);
    pool.open().await.unwrap();
    let hold = |connections| fault(0, 300, FaultKind::Hold { connections, in_transaction: true });
    let look = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        pool.status().active
    };
    let (few, nothing) = ([hold(3)], Reach::default());
    let (happened, active) = tokio::join!(happen(&few, &nothing, &pool), look);
    assert_eq!((happened[0].problem.as_deref(), active), (None, 3));
    assert_eq!(pool.status().active, 0);
    let happened = happen(&[hold(9)], &Reach::default(), &pool).await;
    assert_eq!(pool.status().active, 0);
    assert_eq!(happened[0].problem, None, "those that were not to be had within its time are no fault: {happened:?}");
}

#[test]
fn a_foreign_server_is_not_touched() {
    let refused = Reach::default().check(&[fault(0, 1000, FaultKind::Restart)]).unwrap_err().to_string();
    assert!(refused.contains("restart") && refused.contains("not started by pool-tune"), "{refused}");
}
