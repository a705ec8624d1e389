//! The pool under test: each setting acts, and each failure is told by its name.

mod acquire;
mod keeper;
mod request;
mod semantics;

use std::{future::Future, time::Duration};

use pool_tune::{
    database::Server,
    model::{ConnectionCounts, Setting, Settings, Value},
    pool::Pool,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::support::cluster::Cluster;

/// Settings with which nothing happens that a test does not ask for: nothing in the background, no validation, no
/// retries, no limit that a busy machine could reach.
fn quiet() -> Settings {
    let set = |settings: Settings, setting, seconds| settings.with(setting, Value::Time(Duration::from_secs(seconds)));
    let mut settings = count(Settings::default(), Setting::MinConnections, 0);
    settings = count(settings, Setting::MaxConnections, 4);
    settings = count(settings, Setting::RetryAttempts, 0);
    settings = count(settings, Setting::CircuitBreakerThreshold, 1000);
    settings = set(settings, Setting::ConnectionTimeout, 60);
    settings = set(settings, Setting::ConnectionLifetime, 3600);
    settings = set(settings, Setting::IdleTimeout, 3000);
    settings = set(settings, Setting::HealthCheckInterval, 3000);
    settings = set(settings, Setting::ValidationTimeout, 60);
    settings.with(Setting::ValidationQuery, Value::Sql(String::new()))
}

fn count(settings: Settings, setting: Setting, count: u32) -> Settings {
    settings.with(setting, Value::Count(count))
}

fn millis(settings: Settings, setting: Setting, millis: u64) -> Settings {
    settings.with(setting, Value::Time(Duration::from_millis(millis)))
}

fn validated(settings: Settings) -> Settings {
    settings.with(Setting::ValidationQuery, Value::Sql("SELECT 1".to_owned()))
}

/// Waits for what must come about, however busy the machine is.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// A role of the shared server that only one test uses, so that its connections can be told apart.
struct Role {
    name: &'static str,
    server: Server,
    admin: PgConnection,
}

impl Role {
    async fn new(name: &'static str) -> Self {
        Self::with(name, "").await
    }

    async fn with(name: &'static str, options: &str) -> Self {
        let cluster = Cluster::shared();
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port());
        let mut role =
            Self { name, server: cluster.server_with(name, ""), admin: PgConnection::connect(&url).await.unwrap() };
        role.run(&format!("CREATE ROLE {name} LOGIN {options}")).await;
        role
    }

    fn pool(&self, settings: &Settings) -> Pool {
        settings.check().unwrap();
        Pool::new(self.server.clone(), settings, 1)
    }

    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.admin).await.unwrap();
    }

    async fn number(&mut self, sql: &str) -> i64 {
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.admin).await.unwrap().get(0)
    }

    /// How many connections of the role the server has.
    async fn connections(&mut self) -> i64 {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", self.name);
        self.number(&sql).await
    }

    /// Ends the role's connections on the server's side.
    async fn terminate(&mut self) {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE usename = '{}'",
            self.name
        );
        assert!(self.number(&sql).await > 0);
    }
}

fn connections(pool: &Pool) -> ConnectionCounts {
    pool.counts().0
}
