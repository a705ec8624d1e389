//! The database room on real SQLite files.

use pool_tune::{
    database::{Argument, Connection, DatabaseError, PrivateFile, Schema, Server, StateFolder},
    model::{Dialect, is_conflict},
};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use tempfile::TempDir;

use super::{at, folder};

/// A person's database, with a table.
async fn person(folder: &TempDir) -> Server {
    let path = folder.path().join("shop.db");
    std::fs::write(&path, "").unwrap();
    let server = at(&format!("sqlite:{}", path.display()));
    run(&server, "create table item (id integer primary key); insert into item values (1), (2)").await;
    server
}

async fn run(server: &Server, sql: &str) {
    let mut connection = server.connect_control().await.unwrap();
    connection.execute_raw(sql).await.unwrap();
    connection.close().await.unwrap();
}

async fn number(server: &Server, sql: &'static str) -> i64 {
    let Connection::Sqlite(mut connection) = server.connect_control().await.unwrap() else { panic!("no SQLite") };
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_private_file_has_a_write_ahead_log_and_goes_with_its_owner() {
    let folder = folder();
    let file = PrivateFile::claim(&StateFolder::at(folder.path())).unwrap();
    let inspection = file.server().inspect().await.unwrap();
    assert!(inspection.version.starts_with("SQLite 3."), "{}", inspection.version);
    assert!(inspection.settings.contains(&("journal_mode".to_owned(), "wal".to_owned())), "{:?}", inspection.settings);
    assert_eq!((inspection.dialect, inspection.in_use), (Dialect::Sqlite, 0));
    drop(file);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn the_tables_of_a_run_lie_beside_the_persons_file_which_stays_as_it_is() {
    let folder = folder();
    let server = person(&folder).await;
    let before = std::fs::read(folder.path().join("shop.db")).unwrap();
    let tables =
        ["create table account (id integer primary key)".to_owned(), "insert into account values (7)".to_owned()];
    let schema = Schema::create(&server, "x", &tables).await.unwrap();
    assert_eq!(number(&schema.server(), "select id from account").await, 7);
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), Vec::<String>::new());
    schema.remove().await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("shop.db")).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the person's file is left");

    let error = Schema::create(&server, "x", &["create tabel t (id int)".to_owned()]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Prepare { number: 1, .. }), "{error}");
    assert!(error.to_string().contains("sqlite: "), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    // What a dead run left: the folder is there, and nobody holds its lock.
    let dead = folder.path().join(".pool-tune/cluster-0123abcd");
    std::fs::create_dir_all(&dead).unwrap();
    std::fs::write(dead.with_extension("lock"), "").unwrap();
    let shown = dead.canonicalize().unwrap().display().to_string();
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), [shown]);
    assert!(!dead.exists());
}

#[tokio::test]
async fn what_is_no_database_is_told() {
    let folder = folder();
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "Dear all, this is no database.\n".repeat(200)).unwrap();
    let server = at(&format!("sqlite:{}", path.display()));
    let error = server.inspect().await.unwrap_err().to_string();
    assert!(error.contains("not a database") && error.contains("letter.txt"), "{error}");
}

#[tokio::test]
async fn another_process_that_has_the_file_open_is_seen() {
    let folder = folder();
    let server = person(&folder).await;
    assert!(server.inspect().await.unwrap().other_clients.is_empty());
    let file = std::fs::File::open(folder.path().join("shop.db")).unwrap();
    let mut other = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
    let clients = server.inspect().await.unwrap().other_clients;
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert_eq!(clients[0].application, "sleep");
}

#[tokio::test]
async fn a_transaction_that_will_write_waits_for_its_turn_instead_of_failing() {
    let folder = folder();
    let file = PrivateFile::claim(&StateFolder::at(folder.path())).unwrap();
    let server = file.server();
    run(&server, "create table counter (value integer); insert into counter values (0)").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let server = server.clone();
        tasks.spawn(async move {
            let mut connection = server.connect().await.unwrap();
            for _ in 0..25 {
                connection.begin(true).await.unwrap();
                for sql in ["select value from counter", "update counter set value = value + ?1"] {
                    let arguments: &[Argument<'_>] = if sql.contains('?') { &[Argument::Integer(1)] } else { &[] };
                    connection.execute(AssertSqlSafe(sql).into_sql_str(), arguments).await.unwrap();
                }
                connection.execute_raw("COMMIT").await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(number(&server, "select value from counter").await, 100);

    // Begun without saying so, the second to write loses, and is told so that it can be tried again.
    let (mut one, mut two) = (server.connect().await.unwrap(), server.connect().await.unwrap());
    for connection in [&mut one, &mut two] {
        connection.begin(false).await.unwrap();
        connection.execute_raw("select value from counter").await.unwrap();
    }
    one.execute_raw("update counter set value = 1").await.unwrap();
    one.execute_raw("COMMIT").await.unwrap();
    let error = two.execute_raw("update counter set value = 2").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("SQLITE_BUSY"), "{error:?}");
    assert!(is_conflict("SQLITE_BUSY") && !error.connection_lost);
}
