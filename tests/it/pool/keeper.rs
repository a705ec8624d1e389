use std::time::Duration;

use pool_tune::{
    model::{ErrorClass, Setting},
    pool::Pool,
};
use sqlx::SqlStr;

use super::{Role, connections, count, millis, quiet, until, validated};
use crate::support::cluster::Cluster;

#[tokio::test]
async fn idle_connections_are_closed_down_to_the_minimum() {
    let role = Role::new("idle").await;
    let settings = millis(count(quiet(), Setting::MinConnections, 1), Setting::IdleTimeout, 100);
    let pool = role.pool(&settings);
    pool.open().await.unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.acquire().await.unwrap());
    }
    assert_eq!(pool.status().total, 4);
    drop(leases);
    until("they are closed", || async { pool.status().total == 1 }).await;
    let counts = connections(&pool);
    assert_eq!((counts.closed_idle, counts.opened), (3, 4));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(connections(&pool), counts, "the minimum stays open");
}

#[tokio::test]
async fn idle_connections_past_their_lifetime_are_replaced() {
    let role = Role::new("old_idle").await;
    let settings = millis(millis(quiet(), Setting::IdleTimeout, 50), Setting::ConnectionLifetime, 100);
    let pool = role.pool(&count(settings, Setting::MinConnections, 2));
    pool.open().await.unwrap();
    until("all are replaced", || async { connections(&pool).closed_lifetime >= 2 && pool.status().total == 2 }).await;
    let counts = connections(&pool);
    assert_eq!((counts.closed_idle, counts.closed_broken), (0, 0));
}

#[tokio::test]
async fn a_health_check_replaces_dead_idle_connections() {
    for (name, settings) in [("checked", validated(quiet())), ("pinged", quiet())] {
        let mut role = Role::new(name).await;
        let pool = role.pool(&millis(count(settings, Setting::MinConnections, 3), Setting::HealthCheckInterval, 50));
        pool.open().await.unwrap();
        role.terminate().await;
        until("they are replaced", || async { connections(&pool).closed_broken == 3 && pool.status().total == 3 })
            .await;
        assert_eq!(connections(&pool).opened, 6);
        let mut lease = pool.acquire().await.unwrap();
        lease.execute(SqlStr::from_static("SELECT 1"), &[]).await.unwrap();
        assert_eq!(lease.acquired().open, None);
    }
}

#[tokio::test]
async fn health_checks_leave_living_connections_where_they_are() {
    let role = Role::new("healthy").await;
    let settings = millis(count(quiet(), Setting::MinConnections, 2), Setting::HealthCheckInterval, 50);
    let pool = role.pool(&settings);
    pool.open().await.unwrap();
    for _ in 0..200 {
        let mut lease = pool.acquire().await.unwrap();
        lease.execute(SqlStr::from_static("SELECT pg_sleep(0.001)"), &[]).await.unwrap();
    }
    let counts = connections(&pool);
    assert_eq!((counts.closed_broken, counts.opened), (0, 2));
}

#[tokio::test]
async fn a_request_waits_for_a_connection_that_is_being_checked() {
    let cluster = Cluster::start("");
    let settings = millis(count(quiet(), Setting::MinConnections, 1), Setting::HealthCheckInterval, 50);
    let pool = Pool::new(cluster.server(), &millis(settings, Setting::ConnectionTimeout, 1000), 1);
    until("it opens", || async { pool.open().await.is_ok() }).await;
    let before = connections(&pool);
    let frozen = cluster.freeze();
    let error = loop {
        // Before the check has begun the connection is handed out at once.
        if let Err(error) = pool.acquire().await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(error.class, ErrorClass::AcquireTimeoutValidating);
    drop(frozen);
    until("the check ends", || async { pool.acquire().await.is_ok() }).await;
    assert_eq!(connections(&pool), before, "it was slow, but not dead");
}

#[tokio::test]
async fn a_connection_lost_in_use_is_replaced_up_to_the_minimum() {
    let role = Role::new("refilled").await;
    let settings = millis(count(quiet(), Setting::MinConnections, 2), Setting::HealthCheckInterval, 50);
    let pool = role.pool(&settings);
    pool.open().await.unwrap();
    pool.acquire().await.unwrap().discard();
    assert_eq!(connections(&pool).closed_broken, 1);
    until("it is replaced", || async { pool.status().total == 2 }).await;
    assert_eq!(connections(&pool).opened, 3);
}
