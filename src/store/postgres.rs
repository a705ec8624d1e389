//! A store on a PostgreSQL: how it is opened, and what the server's errors mean.

use std::{collections::HashMap, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::MigrateError,
    postgres::{PgDatabaseError, PgPoolOptions},
};

use super::{StoreError, migrations};
use crate::database::{Connection, DatabaseError, Server};

/// A run asks for one thing at a time; whoever lists runs does so beside it.
const CONNECTIONS: u32 = 2;
/// How long a connection of the pool is waited for, before the store counts as lost and is tried again.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Makes migrations one program's at a time ("pool-tune" in ASCII, as far as it goes).
const MIGRATING: i64 = 0x706f_6f6c_2d74_756e;

/// What the schema holds.
enum Contents {
    /// Nothing yet.
    Nothing,
    /// A store of this version.
    Current,
    /// A store of an older version.
    Older,
}

/// Opens a store to write and read, making the schema and its tables where they are missing.
pub(super) async fn open(server: &Server) -> Result<PgPool, StoreError> {
    let mut connection = connect(server).await?;
    if !matches!(look(server, &mut connection).await?, Contents::Current) {
        migrate(server, &mut connection).await?;
    }
    drop(connection.close().await);
    pool(server)
}

/// Opens a store to read what is there. Gives `None` when there is nothing yet; an older store is brought up to date first.
pub(super) async fn open_to_read(server: &Server) -> Result<Option<PgPool>, StoreError> {
    let mut connection = connect(server).await?;
    let contents = look(server, &mut connection).await?;
    drop(connection.close().await);
    match contents {
        Contents::Nothing => Ok(None),
        Contents::Current => pool(server).map(Some),
        Contents::Older => open(server).await.map(Some),
    }
}

/// A connection of one's own, outside the pool.
pub(super) async fn connect(server: &Server) -> Result<PgConnection, StoreError> {
    let mut connection = match server.connect_control().await {
        Ok(Connection::Postgres(connection)) => connection,
        Ok(Connection::MySql(_) | Connection::Sqlite(_)) => return Err(no_postgres(server)),
        Err(DatabaseError::Pooler { message, .. }) => return Err(pooler(server, &message)),
        Err(error) => return Err(error.into()),
    };
    // A pooler may drop what a session asks for; then the tables would be made somewhere else.
    let path: String = sqlx::query_scalar("SELECT current_setting('search_path')")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| opening(server, &error))?;
    if path.trim_matches('"') != "pool_tune" {
        return Err(pooler(server, "something in between drops the session's `search_path`"));
    }
    Ok(connection)
}

fn pooler(server: &Server, message: &str) -> StoreError {
    StoreError::Failed {
        operation: "open the runs",
        place: server.to_string(),
        problem: format!(
            "{message}; this looks like a pooler (PgBouncer): give the URL of the PostgreSQL server behind it, since locks of sessions \
             do not go through one"
        ),
    }
}

fn pool(server: &Server) -> Result<PgPool, StoreError> {
    let options = server.postgres_options().ok_or_else(|| no_postgres(server))?;
    Ok(PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE).connect_lazy_with(options.clone()))
}

fn no_postgres(server: &Server) -> StoreError {
    StoreError::ForeignSchema { place: server.to_string(), problem: "it is no PostgreSQL".to_owned() }
}

/// Reads what is there, and changes nothing: whoever only reads needs no right to make anything.
async fn look(server: &Server, connection: &mut PgConnection) -> Result<Contents, StoreError> {
    const TABLES: &str = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                          WHERE nspname = 'pool_tune' AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let reading = |error: sqlx::Error| opening(server, &error);
    let foreign = |problem: String| StoreError::ForeignSchema { place: server.to_string(), problem };
    let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *connection).await.map_err(reading)?;
    if tables.is_empty() {
        return Ok(Contents::Nothing);
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Err(foreign("the schema `pool_tune` is another program's".to_owned()));
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM pool_tune._sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await
            .map_err(reading)?;
    let ours: HashMap<i64, &[u8]> =
        migrations::POSTGRES.iter().map(|migration| (migration.version, &*migration.checksum)).collect();
    for (version, checksum) in &applied {
        match ours.get(version) {
            None => return Err(foreign(migrations::is_newer(*version))),
            Some(expected) if *expected != checksum.as_slice() => {
                return Err(foreign(migrations::differs(*version)));
            }
            Some(_) => {}
        }
    }
    Ok(if applied.len() == ours.len() { Contents::Current } else { Contents::Older })
}

/// Makes the schema and its tables, all or nothing, and one program at a time.
async fn migrate(server: &Server, connection: &mut PgConnection) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| opening(server, &error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATING).execute(&mut *transaction).await.map_err(failed)?;
    let exists: bool = sqlx::query_scalar("SELECT to_regnamespace('pool_tune') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    // `IF NOT EXISTS` asks for the right to make one even where it is there.
    if !exists {
        sqlx::query("CREATE SCHEMA pool_tune").execute(&mut *transaction).await.map_err(failed)?;
    }
    migrations::POSTGRES.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => opening(server, &error),
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            StoreError::ForeignSchema { place: server.to_string(), problem: migrations::is_newer(version) }
        }
        other => StoreError::ForeignSchema { place: server.to_string(), problem: other.to_string() },
    })?;
    transaction.commit().await.map_err(failed)
}

fn opening(server: &Server, error: &sqlx::Error) -> StoreError {
    if code(error).as_deref() == Some("53100") {
        return StoreError::Full { operation: "open the runs", place: server.to_string() };
    }
    if code(error).as_deref() == Some("42501") {
        let user = server.postgres_options().map_or("the user", |options| options.get_username());
        return StoreError::Failed {
            operation: "make or read the schema `pool_tune`",
            place: server.to_string(),
            problem: format!(
                "{}; let an administrator run `CREATE SCHEMA pool_tune AUTHORIZATION \"{user}\"`, or grant `{user}` the rights on the \
                 schema and its tables",
                message(error)
            ),
        };
    }
    StoreError::Server(server.explain("open the runs", error))
}

/// Why a statement failed.
pub(super) fn failed(operation: &'static str, server: &Server, error: &sqlx::Error) -> StoreError {
    if code(error).as_deref() == Some("53100") {
        return StoreError::Full { operation, place: server.to_string() };
    }
    let remedy = match code(error).as_deref() {
        Some("42501") => "; grant the user of --store the rights on the schema `pool_tune`",
        Some("25006") => "; it takes no writes: it is a standby or read-only, so give the URL of the primary",
        _ if is_lost(error) => "; the connection was lost: see that the server of --store runs, then start again",
        _ => "",
    };
    StoreError::Failed { operation, place: server.to_string(), problem: format!("{}{remedy}", message(error)) }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// Whether the connection, and not the statement, is at fault: the server went away, is starting, or takes no more of us now.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(_) => code(error).is_some_and(|code| {
            // 57014 is a statement that was cancelled, 57P… a server that shuts down, has crashed or is starting.
            code.starts_with("57P") || code.starts_with("08") || code == "53300" || code == "25P03"
        }),
        _ => false,
    }
}

/// What the server or the system said.
pub(super) fn message(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            let detail = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
            let detail = detail.map_or(String::new(), |detail| format!(" ({})", detail.trim_end_matches('.')));
            format!("{}{detail}", database.message())
        }
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "it did not answer in time".to_owned(),
        other => other.to_string(),
    }
}
