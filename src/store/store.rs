//! Opening and closing a store, wherever it is.

use std::{path::Path, time::Duration};

use super::{StoreAt, StoreError, postgres, query::Database, sqlite};

/// How long a server that went away is waited for. A trial takes seconds: what is waited for longer is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// The store of runs: one file, or a schema on a PostgreSQL.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) database: Database,
    pub(super) at: StoreAt,
    pub(super) patience: Duration,
}

impl Store {
    /// Opens a file to write and read, making it and its folder when they are missing.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be done, or the file is no store of this program or of a newer version of it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(&StoreAt::File(path.to_owned())).await
    }

    /// Opens a file to read what is there and changes nothing, so that a folder that cannot be written will do.
    /// Gives `None` when there is nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read, or is no store of this program or of a newer version of it.
    pub async fn open_to_read(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::connect_to_read(&StoreAt::File(path.to_owned())).await
    }

    /// Opens a store to write and read, making it where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be done, or what is there is no store of this program or of a newer version of it.
    pub async fn connect(at: &StoreAt) -> Result<Self, StoreError> {
        let database = match at {
            StoreAt::File(path) => Database::Sqlite(sqlite::open(path).await?),
            StoreAt::Server(server) => Database::Postgres(postgres::open(server).await?),
        };
        Ok(Self::of(database, at))
    }

    /// Opens a store to read what is there; one of an older version is brought up to date first. Gives `None` when there is
    /// nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or is no store of this program or of a newer version of it.
    pub async fn connect_to_read(at: &StoreAt) -> Result<Option<Self>, StoreError> {
        let database = match at {
            StoreAt::File(path) => sqlite::open_to_read(path).await?.map(Database::Sqlite),
            StoreAt::Server(server) => postgres::open_to_read(server).await?.map(Database::Postgres),
        };
        Ok(database.map(|database| Self::of(database, at)))
    }

    fn of(database: Database, at: &StoreAt) -> Self {
        Self { database, at: at.clone(), patience: PATIENCE }
    }

    /// The same store, waiting so long for a server that went away.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &StoreAt {
        &self.at
    }

    /// Closes it. What is in a file's write-ahead log goes into the file, so that it can be copied alone.
    pub async fn close(self) {
        match self.database {
            Database::Sqlite(pool) => pool.close().await,
            Database::Postgres(pool) => pool.close().await,
        }
    }

    pub(super) fn problem(&self, operation: &'static str, problem: String) -> StoreError {
        StoreError::Failed { operation, place: self.at.to_string(), problem }
    }

    pub(super) fn failed(&self, operation: &'static str, error: &sqlx::Error) -> StoreError {
        match &self.at {
            StoreAt::File(path) => sqlite::failed(operation, path, error),
            StoreAt::Server(server) => postgres::failed(operation, server, error),
        }
    }
}
