//! What is SQLite's own: a database is a file that this process opens itself, and nobody serves it.

mod inspect;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

pub(super) use self::inspect::inspect;
use super::{
    UrlError,
    url::{cause, malformed},
};

/// How long a connection waits for another one's write to end before it fails with `SQLITE_BUSY`; the default of many
/// drivers, sqlx's among them.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to a database file.
#[derive(Clone)]
pub(in crate::database) struct Way {
    options: SqliteConnectOptions,
    /// As the person named it.
    path: PathBuf,
}

impl Way {
    /// A file of our own, which is made when it is first opened, with a write-ahead log.
    ///
    /// A commit does not wait for the disk (`synchronous = normal` waits at checkpoints only, as is usual with a
    /// write-ahead log).
    pub(in crate::database) fn of_our_own(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        Self::new(options, path)
    }

    fn new(options: SqliteConnectOptions, path: &Path) -> Self {
        let options = options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        Self { options, path: path.to_owned() }
    }

    pub(super) async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&self.options).await
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

/// Reads what stands behind `sqlite:`: a path, with or without `//`, and `?mode=ro` or `?mode=rw`.
pub(super) fn parse(rest: &str) -> Result<Way, UrlError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split('?').next().unwrap_or_default();
    if path.is_empty() {
        return Err(malformed("`sqlite:` names no file: write `sqlite:path/to/file.db`, or `sqlite:private`"));
    }
    if path == ":memory:" || rest.contains("mode=memory") {
        return Err(malformed(
            "a database in memory is there for one connection only: name a file, or use `sqlite:private` for a \
             throw-away one",
        ));
    }
    if rest.contains("mode=rwc") {
        return Err(malformed("`mode=rwc` would make the file: name one that is there, or use `sqlite:private`"));
    }
    let options =
        SqliteConnectOptions::from_str(&format!("sqlite:{rest}")).map_err(|error| malformed(&cause(&error)))?;
    let path = options.get_filename().to_owned();
    if !path.is_file() {
        return Err(malformed(&format!(
            "there is no file {}: name a database that is there, or use `sqlite:private` for a throw-away one",
            path.display()
        )));
    }
    Ok(Way::new(options, &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(rest: &str) -> String {
        parse(rest).err().unwrap().to_string()
    }

    #[test]
    fn only_a_file_that_is_there_is_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        for rest in [format!("{path}"), format!("//{path}"), format!("{path}?mode=ro")] {
            assert_eq!(parse(&rest).unwrap().path(), file.path(), "{rest}");
        }
        assert!(message("").contains("names no file"));
        assert!(message(":memory:").contains("sqlite:private"));
        assert!(message("/no/such/file.db").contains("/no/such/file.db"));
        assert!(message(&format!("{path}?mode=rwc")).contains("would make the file"));
        assert!(message(&format!("{path}?mode=odd")).contains("mode"));
    }
}
