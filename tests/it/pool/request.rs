use std::time::{Duration, Instant};

use pool_tune::{
    database::Connection,
    model::{ErrorClass, Setting, Settings},
    pool::{Acquired, Attempt, Failure, Observer, Pool, Second, Work, WorkError},
};
use sqlx::SqlStr;

use super::{Role, connections, count, millis, quiet, until};

/// Runs one statement in the first attempt and another in all later ones.
struct Then {
    first: SqlStr,
    later: SqlStr,
    runs: u32,
}

impl Then {
    fn new(first: &'static str, later: &'static str) -> Self {
        Self { first: SqlStr::from_static(first), later: SqlStr::from_static(later), runs: 0 }
    }

    fn always(sql: &'static str) -> Self {
        Self::new(sql, sql)
    }
}

impl Work for Then {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), WorkError> {
        self.runs += 1;
        let sql = if self.runs == 1 { &self.first } else { &self.later };
        Ok(connection.execute(sql.clone(), &[]).await?)
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Seen(Vec<(Attempt, Option<Failure>)>);

impl Observer for Seen {
    fn attempted(&mut self, attempt: &Attempt, failure: Option<&Failure>) {
        self.0.push((*attempt, failure.cloned()));
    }
}

impl Seen {
    fn classes(&self) -> Vec<Option<ErrorClass>> {
        self.0.iter().map(|(_, failure)| failure.as_ref().map(|failure| failure.class)).collect()
    }
}

/// How often the circuit opened, became half-open, and closed.
fn transitions(pool: &Pool) -> (u64, u64, u64) {
    let (_, breaker) = pool.counts();
    (breaker.opened, breaker.half_opened, breaker.closed)
}

fn retrying() -> Settings {
    let settings = count(quiet(), Setting::RetryAttempts, 3);
    millis(millis(settings, Setting::InitialRetryDelay, 1), Setting::MaxRetryDelay, 10)
}

/// Says that it waited an hour for a second connection.
struct WithSecond(Option<Second>);

impl Work for WithSecond {
    async fn run(&mut self, _: &mut Connection) -> Result<(), WorkError> {
        let acquired = Acquired { total: Duration::from_secs(3600), ..Acquired::default() };
        self.0 = Some(Second { acquired, hold: Duration::ZERO });
        Ok(())
    }

    fn second(&mut self) -> Option<Second> {
        self.0.take()
    }
}

#[tokio::test]
async fn waiting_for_a_second_connection_is_no_query_time() {
    let role = Role::new("second").await;
    let pool = role.pool(&retrying());
    let mut seen = Seen::default();
    assert_eq!(pool.request(&mut WithSecond(None), &mut seen).await, Ok(1));
    let attempt = seen.0[0].0;
    assert_eq!((attempt.query, attempt.second.unwrap().acquired.total.as_secs()), (Some(Duration::ZERO), 3600));
}

#[tokio::test]
async fn a_request_whose_backend_is_killed_is_run_again_on_another_connection() {
    let role = Role::new("killed").await;
    let pool = role.pool(&retrying());
    let mut seen = Seen::default();
    let mut work = Then::new("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1");
    assert_eq!(pool.request(&mut work, &mut seen).await, Ok(2));
    assert_eq!(seen.classes(), [Some(ErrorClass::ConnectionLost), None]);
    assert_eq!(seen.0[0].1.as_ref().unwrap().code.as_deref(), Some("57P01"));
    let counts = connections(&pool);
    assert_eq!((counts.opened, counts.closed_broken, pool.status().total), (2, 1, 1));
}

#[tokio::test]
async fn an_idle_connection_killed_unnoticed_costs_a_retry() {
    let mut role = Role::new("killed_idle").await;
    let pool = role.pool(&retrying());
    pool.request(&mut Then::always("SELECT 1"), &mut ()).await.unwrap();
    role.terminate().await;
    let mut seen = Seen::default();
    assert_eq!(pool.request(&mut Then::always("SELECT 1"), &mut seen).await, Ok(2));
    assert_eq!(seen.classes(), [Some(ErrorClass::ConnectionLost), None]);
}

#[tokio::test]
async fn the_observer_sees_the_times_of_each_attempt() {
    let role = Role::new("times").await;
    let pool = role.pool(&super::validated(retrying()));
    let mut seen = Seen::default();
    pool.request(&mut Then::always("SELECT pg_sleep(0.02)"), &mut seen).await.unwrap();
    let attempt = seen.0[0].0;
    let acquired = attempt.acquired.unwrap();
    assert!(acquired.open.unwrap() + acquired.validate.unwrap() + acquired.wait <= acquired.total);
    assert!(attempt.query.unwrap() >= Duration::from_millis(20));
    assert!(attempt.hold.unwrap() >= attempt.query.unwrap() + acquired.validate.unwrap());
}

#[tokio::test]
async fn transactions_that_lost_against_another_are_retried_and_other_errors_are_not() {
    let role = Role::new("conflicts").await;
    let pool = role.pool(&retrying());
    for code in ["40001", "40P01"] {
        let raise = if code == "40001" {
            "DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40001'; END $$"
        } else {
            "DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40P01'; END $$"
        };
        let mut seen = Seen::default();
        assert_eq!(pool.request(&mut Then::new(raise, "SELECT 1"), &mut seen).await, Ok(2));
        let failure = seen.0[0].1.clone().unwrap();
        assert_eq!((failure.class, failure.code.as_deref()), (ErrorClass::Query, Some(code)));
        let failure = pool.request(&mut Then::always(raise), &mut ()).await.unwrap_err();
        assert_eq!(failure.attempt, 4, "the first and three retries");
    }
    let failure = pool.request(&mut Then::new("SELECT 1/0", "SELECT 1"), &mut ()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_deref(), failure.attempt), (ErrorClass::Query, Some("22012"), 1));
    assert_eq!(connections(&pool).opened, 1, "the connection is as good as before");
}

#[tokio::test]
async fn retries_are_as_many_and_as_far_apart_as_set() {
    let server = crate::support::cluster::server("postgres://nobody@127.0.0.1:1/none");
    let settings = count(quiet(), Setting::RetryAttempts, 2);
    let settings = millis(millis(settings, Setting::InitialRetryDelay, 100), Setting::MaxRetryDelay, 150);
    let pool = Pool::new(server, &settings, 1);
    let (mut seen, begun) = (Seen::default(), Instant::now());
    let failure = pool.request(&mut Then::always("SELECT 1"), &mut seen).await.unwrap_err();
    assert_eq!((failure.class, failure.attempt), (ErrorClass::Connect, 3));
    assert_eq!(seen.classes(), [Some(ErrorClass::Connect); 3]);
    // 100 ms and, capped, 150 ms, each less 10 % of jitter at most.
    assert!(begun.elapsed() >= Duration::from_millis(90 + 135));
}

#[tokio::test]
async fn the_circuit_opens_lets_probes_through_and_closes() {
    let mut role = Role::new("circuit").await;
    let settings = count(quiet(), Setting::CircuitBreakerThreshold, 3);
    let settings = count(settings, Setting::CircuitBreakerReset, 2);
    let settings = millis(settings, Setting::CircuitBreakerTimeout, 200);
    let pool = role.pool(&settings);
    let request = async || pool.request(&mut Then::always("SELECT 1"), &mut ()).await.map_err(|failure| failure.class);
    // Errors of a statement do not count, however many.
    for _ in 0..5 {
        pool.request(&mut Then::always("SELECT 1/0"), &mut ()).await.unwrap_err();
    }
    assert_eq!(request().await, Ok(1));
    pool.acquire().await.unwrap().discard();
    role.run("ALTER ROLE circuit NOLOGIN").await;
    for _ in 0..3 {
        assert_eq!(request().await, Err(ErrorClass::Connect));
    }
    assert_eq!(transitions(&pool), (1, 0, 0));
    until("a probe is let through", || async { request().await == Err(ErrorClass::Connect) }).await;
    assert_eq!(transitions(&pool), (2, 1, 0));
    role.run("ALTER ROLE circuit LOGIN").await;
    until("the next probe succeeds", || async { request().await == Ok(1) }).await;
    assert_eq!(transitions(&pool), (2, 2, 0));
    assert_eq!(request().await, Ok(1));
    assert_eq!(transitions(&pool), (2, 2, 1));
}

#[tokio::test]
async fn an_open_circuit_turns_requests_away_without_asking_the_server() {
    let role = Role::with("turned_away", "CONNECTION LIMIT 0").await;
    let pool = role.pool(&count(retrying(), Setting::CircuitBreakerThreshold, 2));
    let mut seen = Seen::default();
    // Each attempt has to pass: the circuit opens in the midst of a request's retries.
    let failure = pool.request(&mut Then::always("SELECT 1"), &mut seen).await.unwrap_err();
    let (refused, turned_away) = (Some(ErrorClass::TooManyConnections), Some(ErrorClass::CircuitOpen));
    assert_eq!(seen.classes(), [refused, refused, turned_away]);
    assert_eq!((failure.class, failure.attempt), (ErrorClass::CircuitOpen, 3));
}

#[tokio::test]
async fn a_connection_given_up_in_the_midst_of_a_statement_is_not_handed_to_the_next() {
    let role = Role::new("given_up").await;
    let pool = role.pool(&retrying());
    pool.request(&mut Then::always("SELECT 1"), &mut ()).await.unwrap();
    let mut sleep = Then::always("SELECT pg_sleep(600)");
    let given_up = tokio::time::timeout(Duration::from_millis(100), pool.request(&mut sleep, &mut ())).await;
    assert!(given_up.is_err());
    assert_eq!((pool.status().total, pool.status().active), (0, 0));
    assert_eq!(pool.request(&mut Then::always("SELECT 1"), &mut ()).await, Ok(1));
    assert_eq!(connections(&pool).closed_broken, 1);
}
