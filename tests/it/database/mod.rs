//! The database room on real databases: PostgreSQL, where it says nothing else.

mod inspect;
mod mysql;
mod private;
mod schema;
mod sqlite;
mod tls;
mod url;

use std::{
    fs::Permissions,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use pool_tune::database::{Connection, PrivateOptions, PrivateServer, Server, StateFolder};
use secrecy::SecretString;
use sqlx::PgConnection;
use tempfile::TempDir;

/// The password of every role that a test makes.
const PASSWORD: &str = "hunter2";

/// A folder that PostgreSQL may enter, also when it runs as another user.
fn folder() -> TempDir {
    folder_with(0o755)
}

/// A folder with these rights, whatever the umask.
fn folder_with(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    folder
}

/// A private server in a folder of its own.
async fn start(max_connections: u32) -> (PrivateServer, TempDir) {
    let folder = folder();
    let state = StateFolder::at(folder.path());
    let options = PrivateOptions { max_connections, state, ..PrivateOptions::default() };
    (PrivateServer::start(&options).await.unwrap(), folder)
}

/// A raw connection for a test's own statements.
async fn connect(server: &Server) -> PgConnection {
    match server.connect_control().await.unwrap() {
        Connection::Postgres(connection) => connection,
        other => panic!("{other:?} is no connection to PostgreSQL"),
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::Executor::execute(connection, sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
}

/// The port of a private server, from how it shows itself.
fn port(server: &PrivateServer) -> u16 {
    let shown = server.server().to_string();
    let after = shown.split("127.0.0.1:").nth(1).unwrap();
    after.split('/').next().unwrap().parse().unwrap()
}

/// A server by URL; the URL names `{port}`.
fn at(url: &str) -> Server {
    Server::from_url(&SecretString::from(url)).unwrap()
}

/// Waits for something that happens soon, however slow the machine is.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still waiting for {what}");
}

/// Gives a file to the owner of a folder, as which the server runs.
fn give(file: &Path, folder: &Path) {
    let owner = std::fs::metadata(folder).unwrap();
    std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
}
