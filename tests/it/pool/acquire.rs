use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pool_tune::{
    model::{ErrorClass, Setting, Value},
    pool::Pool,
};
use sqlx::SqlStr;
use tokio::task::JoinSet;

use super::{Role, connections, count, millis, quiet, until, validated};
use crate::support::cluster::{Cluster, server};

const ONE: SqlStr = SqlStr::from_static("SELECT 1");

#[tokio::test]
async fn min_connections_are_open_before_the_first_request() {
    let mut role = Role::new("min_open").await;
    let pool = role.pool(&count(quiet(), Setting::MinConnections, 3));
    assert_eq!(pool.status().total, 0);
    pool.open().await.unwrap();
    assert_eq!((pool.status().total, role.connections().await), (3, 3));
    let lease = pool.acquire().await.unwrap();
    assert_eq!(lease.acquired().open, None, "an open one is used");
    assert_eq!(connections(&pool).opened, 3);
}

#[tokio::test]
async fn an_exhausted_pool_says_that_all_connections_were_in_use() {
    let role = Role::new("exhausted").await;
    let settings = millis(count(quiet(), Setting::MaxConnections, 1), Setting::ValidationTimeout, 50);
    let pool = role.pool(&millis(settings, Setting::ConnectionTimeout, 500));
    let lease = loop {
        // On a busy machine opening may take longer than that.
        if let Ok(lease) = pool.acquire().await {
            break lease;
        }
    };
    let error = pool.acquire().await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::AcquireTimeoutWaiting, None));
    drop(lease);
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let role = Role::new("in_order").await;
    let pool = role.pool(&count(quiet(), Setting::MaxConnections, 1));
    let lease = pool.acquire().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = JoinSet::new();
    for number in 0..20 {
        let (pool, served) = (pool.clone(), Arc::clone(&served));
        let watched = pool.clone();
        waiters.spawn(async move {
            let mut lease = pool.acquire().await.unwrap();
            served.lock().unwrap().push(number);
            lease.execute(ONE, &[]).await.unwrap();
        });
        until("it waits", || async { watched.status().waiting == number + 1 }).await;
    }
    drop(lease);
    // A newcomer does not overtake them.
    let newcomer = pool.acquire().await.unwrap();
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
    drop(newcomer);
    waiters.join_all().await;
}

#[tokio::test]
async fn too_many_connections_are_told_as_such() {
    let role = Role::with("limited", "CONNECTION LIMIT 1").await;
    let pool = role.pool(&quiet());
    let lease = pool.acquire().await.unwrap();
    let error = pool.acquire().await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::TooManyConnections, Some("53300")), "{error}");
    assert_eq!((pool.status().total, pool.status().active), (1, 1), "nothing is left of the attempt");
    drop(lease);
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test]
async fn a_refused_connection_has_the_systems_code() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pool = Pool::new(server(&format!("postgres://nobody@127.0.0.1:{port}/none")), &quiet(), 1);
    let error = pool.acquire().await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Connect, Some("os 111")), "{error}");
    assert_eq!(pool.open().await, Ok(()), "a minimum of 0 opens nothing");
    let pool = Pool::new(
        server(&format!("postgres://nobody@127.0.0.1:{port}/none")),
        &count(quiet(), Setting::MinConnections, 2),
        1,
    );
    assert_eq!(pool.open().await.unwrap_err().class, ErrorClass::Connect);
}

#[tokio::test]
async fn a_refused_login_has_the_servers_code() {
    let mut role = Role::new("no_login").await;
    role.run("ALTER ROLE no_login NOLOGIN").await;
    let error = role.pool(&quiet()).acquire().await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Connect, Some("28000")), "{error}");
}

#[tokio::test]
async fn a_timeout_at_a_stopped_server_names_what_it_waited_for() {
    let cluster = Cluster::start("");
    let limited = |validation| {
        let settings = millis(validated(quiet()), Setting::ValidationTimeout, validation);
        Pool::new(cluster.server(), &millis(settings, Setting::ConnectionTimeout, 2000), 1)
    };
    let empty = limited(100);
    let (same, shorter) = (limited(2000), limited(100));
    for pool in [&same, &shorter] {
        until("it opens one", || async { pool.acquire().await.is_ok() }).await;
    }
    let before = connections(&shorter);
    let frozen = cluster.freeze();
    assert_eq!(empty.acquire().await.unwrap_err().class, ErrorClass::AcquireTimeoutOpening);
    assert_eq!(same.acquire().await.unwrap_err().class, ErrorClass::AcquireTimeoutValidating);
    // The idle one is found dead by the shorter validation timeout, and the rest of the time goes into another one.
    assert_eq!(shorter.acquire().await.unwrap_err().class, ErrorClass::AcquireTimeoutOpening);
    let after = connections(&shorter);
    assert_eq!((after.closed_broken, after.opened), (before.closed_broken + 1, before.opened));
    assert_eq!((shorter.status().total, shorter.status().active), (0, 0));
    drop(frozen);
    until("it recovers", || async { same.acquire().await.is_ok() }).await;
}

#[tokio::test]
async fn validation_replaces_a_dead_connection_before_it_is_handed_out() {
    let mut role = Role::new("dead_idle").await;
    let pool = role.pool(&validated(count(quiet(), Setting::MinConnections, 3)));
    pool.open().await.unwrap();
    role.terminate().await;
    let mut lease = pool.acquire().await.unwrap();
    lease.execute(ONE, &[]).await.unwrap();
    assert!(lease.acquired().open.is_some() && lease.acquired().validate.is_some());
    assert!(lease.acquired().total >= lease.acquired().open.unwrap() + lease.acquired().wait);
    let counts = connections(&pool);
    assert_eq!((counts.closed_broken, counts.opened), (3, 4), "all idle ones are tried first");
    assert_eq!(pool.status().total, 1);
}

#[tokio::test]
async fn the_validation_query_runs_once_each_time_a_connection_is_handed_out() {
    let mut role = Role::new("validations").await;
    role.run("CREATE SEQUENCE validations; GRANT USAGE ON SEQUENCE validations TO validations").await;
    let query = Value::Sql("SELECT nextval('validations')".to_owned());
    let pool = role.pool(&quiet().with(Setting::ValidationQuery, query));
    for _ in 0..10 {
        assert!(pool.acquire().await.unwrap().acquired().validate.is_some());
    }
    assert_eq!(connections(&pool).opened, 1);
    assert_eq!(role.number("SELECT last_value FROM validations").await, 10);
    let pool = role.pool(&quiet());
    assert_eq!(pool.acquire().await.unwrap().acquired().validate, None);
    assert_eq!(role.number("SELECT last_value FROM validations").await, 10);
}

#[tokio::test]
async fn a_validation_query_that_never_passes_is_a_failed_validation() {
    let role = Role::new("bad_query").await;
    let pool = role.pool(&quiet().with(Setting::ValidationQuery, Value::Sql("SELEC 1".to_owned())));
    let error = pool.acquire().await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Validation, Some("42601")), "{error}");
    assert_eq!(pool.status().total, 0);
}

#[tokio::test]
async fn a_connection_past_its_lifetime_is_closed_on_return_but_never_in_use() {
    let role = Role::new("lifetime").await;
    let settings = millis(quiet(), Setting::IdleTimeout, 50);
    let pool = role.pool(&millis(settings, Setting::ConnectionLifetime, 100));
    pool.open().await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let begun = Instant::now();
    // The keeper has its turn many times meanwhile.
    while begun.elapsed() < Duration::from_millis(400) {
        lease.execute(ONE, &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((pool.status().total, connections(&pool).closed_lifetime), (1, 0));
    drop(lease);
    assert_eq!((pool.status().total, connections(&pool).closed_lifetime), (0, 1));
}

#[tokio::test]
async fn the_status_tells_connections_in_use_open_and_their_peaks() {
    let role = Role::new("status").await;
    let pool = role.pool(&quiet());
    let leases = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    assert_eq!((pool.status().active, pool.status().total), (3, 3));
    drop(leases);
    let lease = pool.acquire().await.unwrap();
    lease.discard();
    let status = pool.status();
    assert_eq!((status.active, status.total, status.peak_active, status.peak_total), (0, 2, 3, 3));
    pool.reset_peaks();
    assert_eq!((pool.status().peak_active, pool.status().peak_total), (0, 2));
}

#[tokio::test]
async fn the_connection_used_last_is_handed_out_first() {
    let role = Role::new("hot").await;
    let pool = role.pool(&millis(quiet(), Setting::IdleTimeout, 200));
    pool.open().await.unwrap();
    let leases = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    drop(leases);
    // One user at a time needs one connection: the others grow cold and are closed.
    until("the others are closed", || async {
        pool.acquire().await.unwrap().execute(ONE, &[]).await.unwrap();
        pool.status().total == 1
    })
    .await;
    assert_eq!(connections(&pool).closed_idle, 2);
}

#[tokio::test]
async fn a_closed_pool_closes_its_connections_and_turns_everyone_away() {
    let mut role = Role::new("closing").await;
    let settings = count(count(quiet(), Setting::MinConnections, 2), Setting::MaxConnections, 2);
    let pool = role.pool(&settings);
    pool.open().await.unwrap();
    let first = pool.acquire().await.unwrap();
    let second = pool.acquire().await.unwrap();
    drop(second);
    pool.close().await;
    assert!(pool.acquire().await.is_err());
    drop(first);
    assert_eq!(pool.status().total, 0);
    let role = tokio::sync::Mutex::new(&mut role);
    until("the server sees it", || async { role.lock().await.connections().await == 0 }).await;
}
