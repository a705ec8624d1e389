use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::failure::{code, message, number};

/// A database URL that cannot be used. The URL itself is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is no URL, or a part of it is wrong.
    #[error(
        "failed to read the database URL: {0}; expected something like postgres://user:password@host:5432/name, mysql://user:password@host:3306/name or sqlite:path/to/file.db"
    )]
    Malformed(String),
    /// The scheme is of no database that the program can load.
    #[error("failed to read the database URL: `{0}://` is not supported; expected postgres://, mysql:// or sqlite:")]
    Scheme(&'static str),
}

/// Why a connection could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// The server's own code (PostgreSQL's SQLSTATE, MySQL's number, SQLite's name of it), or the operating system's, if
    /// there was one.
    pub code: Option<String>,
    /// What was said, without any secret.
    pub message: String,
}

impl ConnectError {
    /// Whether the server refused because it has too many connections.
    #[must_use]
    pub fn is_too_many_connections(&self) -> bool {
        matches!(self.code.as_deref(), Some("53300" | "1040" | "1203" | "1226"))
    }
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// The server's own code, as in [`ConnectError`], if there was one.
    pub code: Option<String>,
    /// What was said.
    pub message: String,
    /// Whether the connection was lost, so that it must not be used again.
    pub connection_lost: bool,
}

impl From<sqlx::Error> for ConnectError {
    fn from(error: sqlx::Error) -> Self {
        Self { code: code(&error), message: message(&error) }
    }
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        let code = code(&error);
        let lost = match &error {
            // The session was killed or has timed out, or the server is shutting down.
            sqlx::Error::Database(_) if number(&error).is_some() => {
                matches!(number(&error), Some(1053 | 1927 | 3169 | 4031))
            }
            // FATAL and PANIC end the connection: a shutdown, a crash, an idle or a transaction timeout.
            sqlx::Error::Database(error) => error
                .try_downcast_ref::<PgDatabaseError>()
                .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
            _ => false,
        };
        Self { code, message: message(&error), connection_lost: lost }
    }
}
