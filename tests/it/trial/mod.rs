//! The trial engine against a real server: what it counts is what was asked for and what happened.

use std::time::Duration;

use pool_tune::{
    model::{ErrorClass, Offered, Operation, Pacing, Setting, Settings, Stage, Statement, Value, Workload},
    trial::{Control, DatabaseTarget, Details, Load, Mix, Target, Watch},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::cluster::Cluster;

/// A target whose requests run one statement.
fn target(sql: &str) -> Target {
    let statement = Statement { source: sql.into(), sql: sql.into(), arguments: vec![] };
    let operation = Operation {
        name: "only".into(),
        weight: 1.0,
        statements: vec![statement],
        transaction: false,
        nested: false,
        parameters: vec![],
    };
    let workload = Workload { prepare: vec![], operations: vec![operation], think_time: None };
    let server = Cluster::shared().server_with("postgres", "");
    Target::Database(DatabaseTarget::new(server, Mix::new(&workload).unwrap(), || None))
}

fn settings(connections: u32) -> Settings {
    Settings::default()
        .with(Setting::MinConnections, Value::Count(connections.min(2)))
        .with(Setting::MaxConnections, Value::Count(connections))
        .with(Setting::RetryAttempts, Value::Count(0))
        .with(Setting::ValidationQuery, Value::Sql(String::new()))
}

fn load(workers: u32, pacing: Pacing, seconds: f64) -> Load {
    Load {
        pacing,
        warm_up_cap: Duration::from_millis(300),
        success_limit: None,
        interval: Some(Duration::from_millis(200)),
        ..Load::closed(workers, None, Duration::from_secs_f64(seconds), 0.99)
    }
}

async fn admin() -> PgConnection {
    PgConnection::connect(&format!("postgres://postgres@127.0.0.1:{}/postgres", Cluster::shared().port()))
        .await
        .unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

async fn trial(sql: &str, load: &Load, settings: &Settings) -> Details {
    target(sql).run(load, settings, 1, &mut Control::default()).await.unwrap()
}

#[tokio::test]
async fn an_open_loop_offers_its_rate_and_accounts_for_every_request() {
    for offered in [Offered::ConstantRate, Offered::PoissonRate] {
        let Details { measurement, .. } =
            trial("select 1", &load(64, Pacing::steady(offered, 200.0), 2.0), &settings(4)).await;
        let open = measurement.offered.unwrap();
        let accounted = measurement.requests.succeeded + measurement.requests.failed + open.not_started;
        let unfinished: u64 = measurement
            .errors
            .iter()
            .filter(|error| error.class == ErrorClass::Unfinished)
            .map(|error| error.count)
            .sum();
        assert_eq!(accounted + unfinished, open.requests, "{measurement:?}");
        // Four standard deviations of a Poisson process; a constant rate is exact but for its ends.
        let spread = if offered == Offered::PoissonRate { 80.0 } else { 3.0 };
        let due = 200.0 * measurement.seconds;
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let requests = open.requests as f64;
        assert!((requests - due).abs() <= spread, "{requests} of {due}");
    }
}

#[tokio::test]
async fn a_stall_shows_in_the_times_of_all_requests_that_were_due_meanwhile() {
    let mut admin = admin().await;
    run(&mut admin, "create table if not exists stalled (id int)").await;
    let load = load(16, Pacing::steady(Offered::ConstantRate, 200.0), 4.0);
    let mut begun = false;
    let (stall, mut stalled) = tokio::sync::mpsc::unbounded_channel();
    let mut watch = |watch: Watch<'_>| {
        if let Watch::Point { .. } = watch
            && !begun
        {
            begun = true;
            stall.send(()).unwrap();
        }
    };
    let mut control = Control { watch: Some(&mut watch), ..Control::default() };
    let mut target = target("select count(*) from stalled");
    let settings = settings(8);
    let trial = target.run(&load, &settings, 1, &mut control);
    let freeze = async {
        stalled.recv().await.unwrap();
        run(&mut admin, "begin; lock table stalled in access exclusive mode; select pg_sleep(1); commit").await;
    };
    let (details, ()) = tokio::join!(trial, freeze);
    let measurement = details.unwrap().measurement;
    // Some 200 requests were due in that second, so a fifth of all waited, on average for half of it. A tool that counts
    // from the actual start would have seen 8, those under way: 1 %.
    assert!(measurement.response.p999 > 0.9 && measurement.response.p99 > 0.8, "{:?}", measurement.response);
    assert!(measurement.response.p90 > 0.3, "{:?}", measurement.response);
    assert!(measurement.query.p90 < measurement.response.p90 / 2.0, "{:?}", measurement.query);
}

#[tokio::test]
async fn what_an_overloaded_pool_cannot_begin_is_told_as_backlog() {
    let details =
        trial("select pg_sleep(0.05)", &load(4, Pacing::steady(Offered::ConstantRate, 400.0), 1.5), &settings(2)).await;
    let open = details.measurement.offered.unwrap();
    assert!(open.not_started > open.requests / 2, "{open:?}");
    assert!(open.longest_wait > 0.5, "{open:?}");
    let backlogs: Vec<u64> = details.series.iter().map(|point| point.backlog).collect();
    assert!(backlogs.len() > 3 && backlogs.last() > backlogs.first(), "{backlogs:?}");
}

#[tokio::test]
async fn a_pause_of_the_load_is_a_pause_and_the_burst_after_it_is_served() {
    let stage = |level, seconds| Stage { level, lasts: Duration::from_secs_f64(seconds), ramp: false };
    let stages = vec![stage(4.0, 0.6), stage(0.0, 0.8), stage(8.0, 0.6)];
    let settings = settings(8).with(Setting::IdleTimeout, Value::Time(Duration::from_millis(100)));
    let details = trial("select 1", &load(8, Pacing { offered: Offered::Workers, stages }, 2.0), &settings).await;
    let quiet: Vec<_> = details.series.iter().filter(|point| point.at > 0.85 && point.at < 1.3).collect();
    assert!(!quiet.is_empty() && quiet.iter().all(|point| point.throughput == 0.0), "{quiet:?}");
    assert!(details.series.last().unwrap().throughput > 0.0);
    let connections = details.measurement.connections;
    assert!(
        connections.closed_idle > 0 && connections.opened > 0,
        "idle connections are closed and opened again: {connections:?}"
    );
}

#[tokio::test]
async fn requests_that_ask_for_a_second_connection_block_each_other_when_all_hold_one() {
    // With twice as many workers as connections, the second requests queue up behind the first ones of others.
    let load = Load { nested: true, ..load(8, Pacing::closed(8), 1.5) };
    let short = settings(4)
        .with(Setting::ConnectionTimeout, Value::Time(Duration::from_millis(200)))
        .with(Setting::ValidationTimeout, Value::Time(Duration::from_millis(200)))
        .with(Setting::CircuitBreakerThreshold, Value::Count(10_000));
    let blocked = trial("select 1", &load, &short).await.measurement;
    let waited = blocked.errors.iter().find(|error| error.class == ErrorClass::AcquireTimeoutNested);
    assert!(waited.is_some_and(|error| error.example.contains("second connection")), "{:?}", blocked.errors);
    let roomy = trial("select 1", &load, &settings(16)).await.measurement;
    assert_eq!((roomy.requests.failed, roomy.errors.len()), (0, 0), "{:?}", roomy.errors);
    assert!(roomy.requests.succeeded > 0);
    // Both connections are counted as acquired and held.
    assert_eq!(roomy.acquire.total.count, 2 * roomy.query.count);
    assert_eq!(roomy.hold.count, 2 * roomy.query.count);
}

#[tokio::test]
async fn a_test_that_is_asked_to_finish_keeps_what_it_has_measured() {
    let load = load(2, Pacing::closed(2), 60.0);
    let control = Control::default();
    let finish = control.finish.clone();
    let mut watch = move |watch: Watch<'_>| {
        if let Watch::Point { .. } = watch {
            finish.cancel();
        }
    };
    let mut control = Control { watch: Some(&mut watch), ..control };
    let details = target("select 1").run(&load, &settings(2), 1, &mut control).await.unwrap();
    assert_eq!(details.measurement.ended, pool_tune::model::Ended::Stopped);
    assert!(details.measurement.requests.succeeded > 0 && details.measurement.seconds < 30.0);
    assert_eq!(details.response.len(), details.measurement.requests.succeeded);
}
