//! How a private PostgreSQL is made and run.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    process::Command,
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Binaries, ClusterFolder, PrivateError, PrivateOptions, programs::Made};
use crate::database::{DatabaseError, Server, postgres::Way as PostgresWay, server::Way};

/// Settings that make trials alike, and why.
///
/// * `fsync`, `full_page_writes`: a trial is to measure the pool and the database, not this machine's disk, which is
///   not that of production; a commit keeps its place in the log, but does not wait for the disk. Nothing is lost: the
///   data is thrown away anyway.
/// * `checkpoint_timeout`, `max_wal_size`: no checkpoint in the middle of a trial.
/// * `log_min_messages`, `log_min_error_statement`, `log_checkpoints`: trials with failing statements must not fill the
///   disk with messages; what stops a start is still told.
/// * `unix_socket_directories`: loopback only, as the applications that are compared connect; measured, a socket is no
///   faster beyond the noise.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '128MB'
fsync = off
full_page_writes = off
checkpoint_timeout = '1d'
max_wal_size = '2GB'
log_min_messages = log
log_min_error_statement = panic
log_checkpoints = off
";

/// The role that the workload runs as. It is no superuser, so that the server refuses it where it would refuse an
/// application, and the program can still get in by the connections that are kept for superusers.
const ROLE: &str = "pool_tune";
const SUPERUSER: &str = "postgres";
const DATABASE: &str = "postgres";

/// Makes the cluster's files, and writes the server's settings.
pub(super) async fn initialise(
    binaries: &Binaries,
    made: &Made<'_>,
    options: &PrivateOptions,
) -> Result<(), PrivateError> {
    let password_file = made.secret_file("password", made.password).map_err(|cause| made.failed(cause))?;
    let (data, password) = (made.folder.data(), password_file.display().to_string());
    let arguments = [
        "-D",
        &data.display().to_string(),
        "--pwfile",
        &password,
        "--username",
        SUPERUSER,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]
    .map(str::to_owned);
    made.run(&binaries.initdb(), arguments).await?;
    fs::remove_file(&password_file).map_err(|cause| made.failed(cause))?;

    let own = format!("{SETTINGS}max_connections = {}\n", options.max_connections);
    let given = options.settings.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")));
    let text: String = std::iter::once(own).chain(given).collect();
    OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| made.failed(cause))
}

pub(super) fn arguments(command: &mut Command, folder: &ClusterFolder, port: u16) {
    command.arg("-D").arg(folder.data()).arg("-p").arg(port.to_string());
}

pub(super) fn is_ready(folder: &ClusterFolder) -> bool {
    const STATUS_LINE: usize = 7;
    let status = fs::read_to_string(folder.data().join("postmaster.pid")).unwrap_or_default();
    status.lines().nth(STATUS_LINE).is_some_and(|line| line.trim() == "ready")
}

/// How the workload reaches it, as a role that owns the database; and how the program does, as the superuser.
pub(super) fn ways(port: u16, password: &str) -> (Server, Server) {
    let login = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .password(password)
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable);
    let server = |role: &str| {
        let shown = format!("a private PostgreSQL (postgres://{role}@127.0.0.1:{port}/{DATABASE})");
        Server::of_our_own(Way::Postgres(PostgresWay::new(login.clone().username(role))), shown)
    };
    (server(ROLE), server(SUPERUSER))
}

/// Makes the role that the workload runs as.
pub(super) async fn make_role(admin: &Server, password: &str) -> Result<(), DatabaseError> {
    let mut connection = admin.connect_control().await?;
    let sql = format!(
        "create role {ROLE} login password '{password}' in role pg_monitor, pg_signal_backend;
         alter database {DATABASE} owner to {ROLE}"
    );
    connection.raw(&sql).await.map_err(|error| DatabaseError::statement(admin, "make the role", &error))?;
    // Nothing depends on the goodbye.
    drop(connection.close().await);
    Ok(())
}
