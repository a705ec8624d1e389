//! What is a file's own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pool_tune::store::{Store, StoreError};

use super::run;

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool-tune.db");
    (folder, path)
}

/// Runs SQL on a file of SQLite's, as another program might.
async fn another_program(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn reading_an_empty_file_makes_nothing() {
    let (_folder, path) = file();
    assert!(Store::open_to_read(&path).await.unwrap().is_none());
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(Store::open_to_read(&path).await.unwrap().is_none());
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn another_programs_file_is_refused_and_left_alone() {
    let (_folder, path) = file();
    another_program(&path, "create table runs (id integer)").await;
    let before = fs::read(&path).unwrap();
    assert!(matches!(Store::open_to_read(&path).await, Err(StoreError::Foreign { .. })));
    assert!(matches!(Store::open(&path).await, Err(StoreError::Foreign { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn other_migrations_are_told() {
    for (change, says) in [
        ("insert into _sqlx_migrations select 99, '', '', 1, x'00', 0", "newer version"),
        ("update _sqlx_migrations set checksum = x'00'", "differs"),
    ] {
        let (_folder, path) = file();
        Store::open(&path).await.unwrap().close().await;
        another_program(&path, change).await;
        let error = Store::open(&path).await.unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("--results"), "{error}");
    }
}

#[tokio::test]
async fn a_file_in_a_folder_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = file();
    let store = Store::open(&path).await.unwrap();
    store.begin_run(&run("one")).await.unwrap();
    store.close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let store = Store::open_to_read(&path).await.unwrap().unwrap();
    assert_eq!(store.run("latest").await.unwrap().intent.seed, u64::MAX);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let (_folder, path) = file();
    let store = Store::open(&path).await.unwrap();
    store.begin_run(&run("one")).await.unwrap();
    store.close().await;
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = Store::open_to_read(&path).await.unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}

#[tokio::test]
async fn a_store_from_before_there_were_rounds_is_brought_up_to_date_with_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool-tune.db");
    let all = sqlx::migrate!();
    let first = all.iter().take(1).cloned().collect();
    let old = sqlx::migrate::Migrator { migrations: first, ..sqlx::migrate::Migrator::DEFAULT };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    old.run(&pool).await.unwrap();
    let row = "INSERT INTO runs VALUES ('old', '2026-01-01T00:00:00Z', 'interrupted', 'light', '', 'private', '1', '{}', NULL)";
    sqlx::raw_sql(row).execute(&pool).await.unwrap();
    pool.close().await;
    let store = Store::open_to_read(&path).await.unwrap().unwrap();
    let runs = store.runs().await.unwrap();
    assert_eq!((runs[0].id.as_str(), &runs[0].experiment), ("old", &None));
    assert_eq!(store.last_round("nightly").await.unwrap(), None);
}
