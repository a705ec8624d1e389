//! What is a PostgreSQL's own.

use std::{collections::BTreeMap, net::TcpListener, path::Path, time::Duration};

use pool_tune::store::{Keep, RunStatus, Store, StoreError, Task};
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};

use super::{Place, at, execute, run, trial};
use crate::{exports::pgbouncer::Bouncer, support::cluster::Cluster};

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_tables_are_left_alone() {
    let place = Place::server().await;
    execute(place.url(), "CREATE TABLE runs (id integer); CREATE TABLE _sqlx_migrations (version integer)").await;
    assert!(Store::connect_to_read(&place.at).await.unwrap().is_none());
    place.open().await.begin_run(&run("one")).await.unwrap();
    let mut connection = PgConnection::connect(place.url()).await.unwrap();
    let theirs: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM public.runs) + (SELECT count(*) FROM public._sqlx_migrations)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(theirs, 0);
    assert_eq!(Store::connect_to_read(&place.at).await.unwrap().unwrap().runs().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_schema_and_other_migrations_are_told() {
    let place = Place::server().await;
    execute(place.url(), "CREATE SCHEMA pool_tune; CREATE TABLE pool_tune.theirs (id integer)").await;
    for opened in [Store::connect(&place.at).await.map(drop), Store::connect_to_read(&place.at).await.map(drop)] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::ForeignSchema { .. }));
        assert!(error.to_string().contains("another program's"), "{error}");
    }
    for (change, says) in [
        ("INSERT INTO pool_tune._sqlx_migrations SELECT 99, '', now(), true, '', 0", "newer version"),
        ("UPDATE pool_tune._sqlx_migrations SET checksum = '\\x00' WHERE version = 2", "migration 2 differs"),
    ] {
        let place = Place::server().await;
        place.open().await.close().await;
        execute(place.url(), change).await;
        for opened in [Store::connect(&place.at).await.map(drop), Store::connect_to_read(&place.at).await.map(drop)] {
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("--store"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_older_version_is_brought_up_to_date_with_its_runs() {
    let place = Place::server().await;
    place.open().await.close().await;
    execute(
        place.url(),
        "SET search_path = pool_tune; ALTER TABLE runs DROP COLUMN round; DROP TABLE rounds; DROP TABLE stress_tests; DROP TABLE standing;
         DROP TABLE rollout_steps; DROP TABLE rollouts;
         DELETE FROM _sqlx_migrations WHERE version > 1;
         INSERT INTO runs (id, started_at, status, profile_name, profile_source, target, seed, intent)
         VALUES ('old', '2026-01-01T00:00:00Z', 'interrupted', 'light', '', 'private', '1', '{}')",
    )
    .await;
    let store = Store::connect_to_read(&place.at).await.unwrap().unwrap();
    let runs = store.runs().await.unwrap();
    assert_eq!((runs[0].id.as_str(), &runs[0].experiment), ("old", &None));
    assert_eq!(store.last_round("nightly").await.unwrap(), None);
}

/// The tables of a store with the names of their columns.
type Tables = BTreeMap<String, Vec<String>>;

async fn in_a_file(path: &Path) -> Tables {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let columns = "SELECT t.name AS t, c.name AS c FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.name";
    grouped(
        sqlx::query(columns).fetch_all(&mut connection).await.unwrap().iter().map(|row| (row.get("t"), row.get("c"))),
    )
}

async fn on_a_server(url: &str) -> Tables {
    let mut connection = PgConnection::connect(url).await.unwrap();
    // SQLite's tables have this column without naming it.
    let columns = "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns
                   WHERE table_schema = 'pool_tune' AND column_name <> 'rowid' ORDER BY 1, 2";
    grouped(
        sqlx::query(columns).fetch_all(&mut connection).await.unwrap().iter().map(|row| (row.get("t"), row.get("c"))),
    )
}

fn grouped(columns: impl Iterator<Item = (String, String)>) -> Tables {
    let mut tables = Tables::new();
    for (table, column) in columns {
        tables.entry(table).or_default().push(column);
    }
    for columns in tables.values_mut() {
        columns.sort();
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_store_have_the_same_tables_and_columns() {
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::server().await);
    let path = folder.path().join("pool-tune.db");
    Store::open(&path).await.unwrap().close().await;
    place.open().await.close().await;
    let tables = on_a_server(place.url()).await;
    assert!(tables.contains_key("trials"));
    assert_eq!(in_a_file(&path).await, tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_no_schema_is_told_what_to_grant_and_who_may_only_read_reads() {
    let place = Place::server().await;
    let user = place.url().rsplit('/').next().unwrap().to_owned();
    execute(place.url(), &format!("CREATE ROLE {user} LOGIN")).await;
    let theirs = at(&place.url().replace("postgres@", &format!("{user}@")));
    let error = Store::connect(&theirs).await.unwrap_err().to_string();
    assert!(error.contains(&format!("CREATE SCHEMA pool_tune AUTHORIZATION \"{user}\"")), "{error}");
    place.open().await.begin_run(&run("one")).await.unwrap();
    let error = Store::connect_to_read(&theirs).await.unwrap_err().to_string();
    assert!(error.contains("grant"), "{error}");
    let grant =
        format!("GRANT USAGE ON SCHEMA pool_tune TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA pool_tune TO {user}");
    execute(place.url(), &grant).await;
    let store = Store::connect_to_read(&theirs).await.unwrap().unwrap();
    assert_eq!(store.run("latest").await.unwrap().intent.id, "one");
    let error = store.set_status("one", RunStatus::Failed).await.unwrap_err().to_string();
    assert!(error.contains("grant the user of --store"), "{error}");
}

/// Ends every session on a database but the one that asks, as a restart of the server does.
async fn end_sessions(url: &str) {
    execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_outlives_a_lost_connection() {
    let place = Place::server().await;
    let store = place.open().await;
    store.begin_run(&run("one")).await.unwrap();
    for sequence in 1..=3 {
        end_sessions(place.url()).await;
        store.record_trial("one", &trial(sequence)).await.unwrap();
    }
    assert_eq!(store.trials("one").await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_a_wrong_password_and_one_that_goes_away_are_told() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start("")).await.unwrap();
    let place = Place::on(&cluster).await;
    let store = place.open().await.with_patience(Duration::ZERO);
    store.begin_run(&run("one")).await.unwrap();
    std::fs::write(cluster.folder().join("data/pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    execute(place.url(), "ALTER ROLE postgres PASSWORD 'right'; SELECT pg_reload_conf()").await;
    let wrong = at(&place.url().replace("postgres@", "postgres:hunter2@"));
    // The server reads its files again in its own time.
    let error = loop {
        match Store::connect(&wrong).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("check the user and the password") && !error.contains("hunter2"), "{error}");
    tokio::task::spawn_blocking(move || drop(cluster)).await.unwrap();
    let error = store.record_trial("one", &trial(1)).await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert!(error.to_string().starts_with("store a trial in `postgres://postgres@127.0.0.1"), "{error}");
    let error = Store::connect(&wrong).await.unwrap_err().to_string();
    assert!(error.contains("the connection was refused") && !error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_dead_are_buried() {
    let place = Place::server().await;
    let (one, two) = (place.open().await, place.open().await);
    for id in ["alive", "dead"] {
        one.begin_run(&run(id)).await.unwrap();
    }
    one.begin_round("nightly", None, "2026-01-02T03:04:05Z").await.unwrap();
    let alive = one.hold(Task::Run("alive")).await.unwrap().unwrap();
    let held_round = one.hold(Task::Round("nightly")).await.unwrap().unwrap();
    assert!(two.hold(Task::Run("alive")).await.unwrap().is_none());
    assert_eq!(two.is_held(Task::Run("alive")).await.unwrap(), Some(true));
    assert_eq!(two.is_held(Task::Run("dead")).await.unwrap(), Some(false));
    let holder = two.holder(Task::Run("alive")).await.unwrap().unwrap();
    assert!(holder.starts_with("127.0.0.1, since 20"), "{holder}");
    two.bury_the_dead().await.unwrap();
    let status = async |id: &str| two.run(id).await.unwrap().status;
    assert_eq!((status("alive").await, status("dead").await), (RunStatus::Running, RunStatus::Interrupted));
    assert_eq!(two.last_round("nightly").await.unwrap().unwrap().status, RunStatus::Running);
    alive.let_go().await;
    held_round.let_go().await;
    two.bury_the_dead().await.unwrap();
    assert_eq!(status("alive").await, RunStatus::Interrupted);
    assert_eq!(two.last_round("nightly").await.unwrap().unwrap().status, RunStatus::Interrupted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_connection_died_is_none_and_another_takes_over() {
    let place = Place::server().await;
    let (one, two) = (place.open().await, place.open().await);
    let leader = one.lead("watch").await.unwrap().unwrap();
    assert!(leader.is_held().await);
    end_sessions(place.url()).await;
    let next = loop {
        match two.lead("watch").await.unwrap() {
            Some(next) => break next,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(!leader.is_held().await && next.is_held().await);
    // It does not come back, though nobody has it.
    next.resign().await;
    assert!(!leader.is_held().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_when_the_server_forgot_it_is_held_again() {
    let place = Place::server().await;
    let store = place.open().await;
    let held = store.hold(Task::Target("postgres db.test:5432")).await.unwrap().unwrap();
    end_sessions(place.url()).await;
    while store.is_held(Task::Target("postgres db.test:5432")).await.unwrap() == Some(false) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!held.is_taken());
    held.let_go().await;
    assert_eq!(store.is_held(Task::Target("postgres db.test:5432")).await.unwrap(), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_resumed_meanwhile_is_not_removed() {
    let place = Place::server().await;
    let (one, two) = (place.open().await, place.open().await);
    for id in ["resumed", "left"] {
        one.begin_run(&run(id)).await.unwrap();
        one.set_status(id, RunStatus::Interrupted).await.unwrap();
    }
    // It is held before it is told to be under way.
    let held = one.hold(Task::Run("resumed")).await.unwrap().unwrap();
    let removed = two.prune(&Keep::Newest(0)).await.unwrap();
    assert_eq!(removed.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["left"]);
    held.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_standby_are_told() {
    let place = Place::server().await;
    let store = place.open().await;
    store.begin_run(&run("one")).await.unwrap();
    for (code, says) in [("53100", "the disk is full; make room"), ("25006", "give the URL of the primary")] {
        let fails = format!(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
             CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON pool_tune.trials EXECUTE FUNCTION fails()"
        );
        execute(place.url(), &fails).await;
        let error = store.record_trial("one", &trial(1)).await.unwrap_err().to_string();
        assert!(error.starts_with("store a trial in `postgres://") && error.contains(says), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_between_is_refused_whatever_it_does_with_what_a_session_asks_for() {
    let place = Place::server().await;
    let (server, database) = place.url().rsplit_once('/').unwrap();
    let server_port = server.rsplit_once(':').unwrap().1;
    for ignored in ["extra_float_digits", "extra_float_digits, options"] {
        let folder = tempfile::Builder::new().prefix("pool-tune-test-").tempdir().unwrap();
        // The port names the socket only; nothing listens on the network.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!("[pgbouncer]\nignore_startup_parameters = {ignored}\npool_mode = transaction\n");
        let databases = format!("{database} = host=127.0.0.1 port={server_port} user=postgres");
        let _bouncer = Bouncer::of(folder.path(), port, &settings, &databases);
        let pooled = at(&format!("postgres://postgres@/{database}?host={}&port={port}", folder.path().display()));
        let error = loop {
            match Store::connect(&pooled).await {
                // It takes a moment to come up.
                Err(StoreError::Server(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                opened => break opened.unwrap_err().to_string(),
            }
        };
        assert!(error.contains("looks like a pooler"), "{error}");
    }
    // Nothing was made, neither there nor elsewhere.
    assert!(Store::connect_to_read(&place.at).await.unwrap().is_none());
    let mut connection = PgConnection::connect(place.url()).await.unwrap();
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(made, 0);
}
