//! A store in a file: how it is opened, and what SQLite's errors mean.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{
    SqliteConnection, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{StoreError, migrations};

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

/// How long another program's lock is waited for.
const WAIT: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(10);

/// What a file holds.
enum Contents {
    /// Nothing yet.
    Nothing,
    /// A store; its last migration, if any is finished.
    Store(Option<i64>),
    /// Something else.
    Foreign,
}

/// Opens the file to write and read, making it and its folder when they are missing.
///
/// # Errors
/// [`StoreError`] when that cannot be done, or the file is no store of this program or of a newer version of it.
pub(super) async fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| StoreError::Open { path: path.to_owned(), problem: error.to_string() })?;
    }
    // A trial is on the disk when it is told to be: a write-ahead log with full synchronisation.
    let options = options(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let opening = |error: sqlx::Error| failed("open the runs", path, &error);
    // Another program's file is not even given a write-ahead log.
    if path.exists()
        && matches!(again(|| look_into(self::options(path))).await.map_err(opening)?, (_, Contents::Foreign))
    {
        return Err(foreign(path));
    }
    // Two programs that open a new file at once must not both make its tables.
    let begin = || async {
        let pool = connect(options.clone()).await?;
        let transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok((pool, transaction))
    };
    let (pool, mut transaction) = again(begin).await.map_err(opening)?;
    // `run` asks for a lifetime that a transaction's connection cannot have; this is what it calls.
    migrations::SQLITE.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(path, error))?;
    transaction.commit().await.map_err(opening)?;
    Ok(pool)
}

/// Opens the file to read what is there and changes nothing, so that a folder that cannot be written will do.
/// Gives `None` when there is nothing yet.
///
/// # Errors
/// [`StoreError`] when the file cannot be read, or is no store of this program or of a newer version of it.
pub(super) async fn open_to_read(path: &Path) -> Result<Option<SqlitePool>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let opening = |error: sqlx::Error| failed("open the runs", path, &error);
    let (pool, contents) = match again(|| look_into(options(path))).await {
        // SQLite makes a file beside one that has a write-ahead log. Where it may not and there is no log,
        // nobody writes.
        Err(error) if is(&error, &[code::CANTOPEN, code::READONLY]) && !log(path).exists() => {
            look_into(options(path).read_only(true).immutable(true)).await
        }
        looked => looked,
    }
    .map_err(opening)?;
    let newest = migrations::newest(&migrations::SQLITE);
    match contents {
        Contents::Nothing => Ok(None),
        Contents::Foreign => Err(foreign(path)),
        Contents::Store(version) if version == newest => Ok(Some(pool)),
        // An older store is brought up to date first, a newer one is told.
        Contents::Store(_) => open(path).await.map(Some),
    }
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(WAIT)
}

/// Opens again while the file is locked. SQLite waits by itself for another's transaction, but not for one that is just turning its
/// write-ahead log on, or that was the last to close and tidies the log away (<https://www.sqlite.org/wal.html>, "Sometimes Queries
/// Return `SQLITE_BUSY` In WAL Mode").
async fn again<T, F: Future<Output = Result<T, sqlx::Error>>>(open: impl Fn() -> F) -> Result<T, sqlx::Error> {
    let begun = Instant::now();
    loop {
        match open().await {
            Err(error) if is(&error, &[code::BUSY]) && begun.elapsed() < WAIT => tokio::time::sleep(BETWEEN).await,
            opened => return opened,
        }
    }
}

pub(super) async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

async fn look_into(options: SqliteConnectOptions) -> Result<(SqlitePool, Contents), sqlx::Error> {
    let pool = connect(options).await?;
    let found = contents(&mut *pool.acquire().await?).await?;
    Ok((pool, found))
}

async fn contents(connection: &mut SqliteConnection) -> Result<Contents, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .fetch_all(&mut *connection)
            .await?;
    if tables.is_empty() {
        return Ok(Contents::Nothing);
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Ok(Contents::Foreign);
    }
    let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
    version.fetch_one(connection).await.map(Contents::Store)
}

/// The write-ahead log of a file.
fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Foreign { path: path.to_owned(), problem: "it is another program's database".to_owned() }
}

fn migrating(path: &Path, error: MigrateError) -> StoreError {
    let problem = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return failed("open the runs", path, &error);
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            migrations::is_newer(version)
        }
        MigrateError::VersionMismatch(version) => migrations::differs(version),
        other => other.to_string(),
    };
    StoreError::Foreign { path: path.to_owned(), problem }
}

/// Whether SQLite gave one of these codes; the upper bits of a code only refine it.
fn is(error: &sqlx::Error, codes: &[u32]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| codes.contains(&(code & 0xff)))
}

/// Whether another program keeps the file locked, for longer than SQLite itself waits.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    is(error, &[code::BUSY])
}

pub(super) fn failed(operation: &'static str, path: &Path, error: &sqlx::Error) -> StoreError {
    let path = path.to_owned();
    let problem = error.to_string();
    if is(error, &[code::FULL]) {
        StoreError::Full { operation, place: path.display().to_string() }
    } else if is(error, &[code::NOTADB]) {
        StoreError::Foreign { path, problem: "it is no SQLite database".to_owned() }
    } else if is(error, &[code::CORRUPT]) {
        StoreError::Foreign { path, problem: format!("it is damaged ({problem})") }
    } else if is(error, &[code::READONLY, code::CANTOPEN]) {
        StoreError::Open { path, problem }
    } else if is(error, &[code::BUSY]) {
        let problem = "another program has it locked; end that program, or wait for it".to_owned();
        StoreError::Failed { operation, place: path.display().to_string(), problem }
    } else {
        StoreError::Failed { operation, place: path.display().to_string(), problem }
    }
}
