//! The store in a file and on a PostgreSQL: the same rules for both, and what is each one's own.

mod both;
mod postgres;
mod sqlite;

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use pool_tune::{
    model::{Measurement, Settings},
    store::{NewRun, Store, StoreAt, TrialRecord},
};
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};

use super::support::cluster::Cluster;

/// A store's place of a test's own.
struct Place {
    at: StoreAt,
    /// A database's URL, where it is one.
    url: Option<String>,
    _folder: tempfile::TempDir,
}

impl Place {
    fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = StoreAt::File(folder.path().join("pool-tune.db"));
        Self { at, url: None, _folder: folder }
    }

    /// A new database on the server that tests share.
    async fn server() -> Self {
        Self::on(tokio::task::spawn_blocking(Cluster::shared).await.unwrap()).await
    }

    async fn on(cluster: &Cluster) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = format!("store_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = |database: &str| format!("postgres://postgres@127.0.0.1:{}/{database}", cluster.port());
        execute(&url("postgres"), &format!("CREATE DATABASE {database}")).await;
        let url = url(&database);
        Self { at: at(&url), url: Some(url), _folder: tempfile::tempdir().unwrap() }
    }

    fn url(&self) -> &str {
        self.url.as_deref().unwrap()
    }

    async fn open(&self) -> Store {
        Store::connect(&self.at).await.unwrap()
    }
}

fn at(url: &str) -> StoreAt {
    StoreAt::parse(Some(&SecretString::from(url)), Path::new("none.db")).unwrap()
}

/// Runs SQL on a database, as another program might.
async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn run(id: &str) -> NewRun {
    NewRun {
        id: id.to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        profile_file: None,
        profile_name: "light".to_owned(),
        profile_source: "name: light".to_owned(),
        pins: Vec::new(),
        ranges: Vec::new(),
        seed: u64::MAX,
        target: "simulated".to_owned(),
        server_version: String::new(),
        server_settings: serde_json::Map::new(),
        machine: String::new(),
        program_version: String::new(),
        prefix: "SUPABASE".to_owned(),
        pid: 1,
        trials: None,
        pairs: None,
        instances: None,
        seconds: None,
        experiment: None,
        round: None,
        recalled: None,
    }
}

fn trial(sequence: u32) -> TrialRecord {
    TrialRecord {
        sequence,
        phase: "search".to_owned(),
        why: "to see".to_owned(),
        settings: Settings::default(),
        measurement: Measurement::empty(),
        repeats: 0,
        started_at: 1_767_323_045,
    }
}
