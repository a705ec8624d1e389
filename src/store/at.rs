//! Where a store is.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::database::{Server, UrlError};

/// The schema that holds the tables, so that a database of other programs will do.
const SCHEMA: &str = "pool_tune";

/// Where a store is: a file for one person, a PostgreSQL for a team. It shows itself without its password.
#[derive(Clone, Debug)]
pub enum StoreAt {
    /// A file of SQLite's.
    File(PathBuf),
    /// A PostgreSQL, in a schema of its own.
    Server(Box<Server>),
}

/// Why a store cannot be where somebody says. A URL is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreAtError {
    /// The URL is wrong.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// It is no URL of a store.
    #[error(
        "failed to read --store (or POOL_TUNE_STORE): expected postgres://user:password@host:5432/name, or sqlite:FILE to read a backup"
    )]
    Kind,
}

impl StoreAt {
    /// What `--store` says, or else the file of the results folder.
    ///
    /// # Errors
    /// [`StoreAtError`], which never repeats the URL.
    pub fn parse(store: Option<&SecretString>, file: &Path) -> Result<Self, StoreAtError> {
        let Some(text) = store.map(|store| store.expose_secret().trim()).filter(|text| !text.is_empty()) else {
            return Ok(Self::File(file.to_owned()));
        };
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return if path.is_empty() { Err(StoreAtError::Kind) } else { Ok(Self::File(path.into())) };
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(StoreAtError::Kind);
        }
        let server = Server::from_url(&SecretString::from(text))?;
        server.for_own_tables(SCHEMA).map(|server| Self::Server(Box::new(server))).ok_or(StoreAtError::Kind)
    }

    /// Whether several programs on several machines can use it at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

impl fmt::Display for StoreAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(store: &str) -> Result<StoreAt, StoreAtError> {
        StoreAt::parse(Some(&SecretString::from(store)), Path::new("results/pool-tune.db"))
    }

    #[test]
    fn a_store_shows_where_it_is_and_no_password() {
        for (text, shown) in [
            ("", "results/pool-tune.db"),
            ("postgres://me:hunter2@db.test/runs", "postgres://me@db.test:5432/runs"),
            ("postgresql:///runs?host=/run/pg&user=me&password=hunter2", "postgres://me@/runs?host=/run/pg&port=5432"),
            ("sqlite:backup.db", "backup.db"),
            ("sqlite:///tmp/backup.db", "/tmp/backup.db"),
        ] {
            let at = at(text).unwrap();
            assert_eq!(at.to_string(), shown);
            assert!(!format!("{at:?}").contains("hunter2"), "{at:?}");
        }
    }

    #[test]
    fn what_is_no_store_is_told_without_being_repeated() {
        for text in ["mysql://me:hunter2@db/runs", "hunter2", "sqlite:", "postgres://me:hunter2@db:port/x"] {
            let error = at(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("postgres://"), "{error}");
        }
    }
}
