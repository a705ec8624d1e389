//! One way to ask either database: the same SQL (SQLite takes `$1` too), values of two kinds, rows that read alike.
//!
//! An enum and not sqlx's `Any`: that takes nothing but a URL, and so would need the password put back into one, SQLite's
//! options made words of a URL, and a driver chosen by name at run time.

use std::time::{Duration, Instant};

use sqlx::{
    AssertSqlSafe, Decode, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection, SqlitePool, Type,
    postgres::PgRow, sqlite::SqliteRow,
};
use tokio::{sync::oneshot, task::JoinSet};

use super::{Store, StoreError, postgres, sqlite};

/// How long a server may take to answer a statement: the longest of ours takes milliseconds.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest pause before a lost server is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The connections to a store.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A value for a placeholder.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
}

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a statement gave.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How many rows were written.
    pub(super) affected: u64,
}

/// A connection, by its kind.
pub(super) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Several statements that are done together or not at all; dropped, they are not.
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A statement with its values, and what it is for.
pub(super) struct Query<'a> {
    store: &'a Store,
    operation: &'static str,
    sql: String,
    values: Vec<Value>,
}

/// What a column can be read as in either database.
pub(super) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl Row {
    pub(super) fn get<T: Column>(&self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

impl Row {
    /// What only PostgreSQL answers.
    pub(super) fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

impl Database {
    async fn once(&self, sql: &str, values: &[Value]) -> Result<Answer, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => ask(Link::Sqlite(&mut *pool.acquire().await?), sql, values).await,
            Self::Postgres(pool) => {
                in_time(async { ask(Link::Postgres(&mut *pool.acquire().await?), sql, values).await }).await
            }
        }
    }
}

impl Transaction {
    pub(super) fn link(&mut self) -> Link<'_> {
        match self {
            Self::Sqlite(transaction) => Link::Sqlite(&mut *transaction),
            Self::Postgres(transaction) => Link::Postgres(&mut *transaction),
        }
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => in_time(transaction.commit()).await,
        }
    }
}

/// Waits for a server's answer: a network that swallows packets must not hold up a run for ever.
async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Begins a transaction in a task of its own. A wait that is given up would leave a connection in the pool that is in the middle of
/// one, and what is written over it later would be lost; the task takes back what was begun too late.
async fn begun(pool: PgPool) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    let (done, begun) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Whoever does not wait any more drops it.
        done.send(pool.begin().await).ok();
    });
    tasks.detach_all();
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Runs one statement on a connection.
async fn ask(link: Link<'_>, sql: &str, values: &[Value]) -> Result<Answer, sqlx::Error> {
    // What gives rows says so; a prepared statement is one statement, and its text is ours.
    let gives_rows = sql.trim_start().starts_with("SELECT") || sql.contains(" RETURNING ");
    let (mut rows, mut affected) = (Vec::new(), 0);
    match link {
        Link::Sqlite(connection) => {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in values {
                query = match value.clone() {
                    Value::Text(text) => query.bind(text),
                    Value::Integer(number) => query.bind(number),
                };
            }
            if gives_rows {
                rows = query.fetch_all(connection).await?.into_iter().map(Row::Sqlite).collect();
            } else {
                affected = query.execute(connection).await?.rows_affected();
            }
        }
        Link::Postgres(connection) => {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in values {
                query = match value.clone() {
                    Value::Text(text) => query.bind(text),
                    Value::Integer(number) => query.bind(number),
                };
            }
            if gives_rows {
                rows = query.fetch_all(connection).await?.into_iter().map(Row::Postgres).collect();
            } else {
                affected = query.execute(connection).await?.rows_affected();
            }
        }
    }
    Ok(Answer { rows, affected })
}

impl Query<'_> {
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it by itself. A server that is lost, or a file that is locked, is tried again for a bounded time.
    pub(super) async fn run(&self) -> Result<Answer, StoreError> {
        self.attempt().await?.map_err(|error| self.store.failed(self.operation, &error))
    }

    /// The same, with errors of the database as they are.
    pub(super) async fn attempt(&self) -> Result<Result<Answer, sqlx::Error>, StoreError> {
        self.store.patiently(self.operation, || self.store.database.once(&self.sql, &self.values)).await
    }

    /// Runs it within a transaction, which a lost connection ends.
    pub(super) async fn within(&self, transaction: &mut Transaction) -> Result<Answer, StoreError> {
        let answer = match transaction.link() {
            link @ Link::Sqlite(_) => ask(link, &self.sql, &self.values).await,
            link @ Link::Postgres(_) => in_time(ask(link, &self.sql, &self.values)).await,
        };
        answer.map_err(|error| self.store.failed(self.operation, &error))
    }
}

impl Store {
    /// A statement for either database; `operation` is what a person is told that failed.
    pub(super) fn query(&self, operation: &'static str, sql: impl Into<String>) -> Query<'_> {
        Query { store: self, operation, sql: sql.into(), values: Vec::new() }
    }

    pub(super) async fn begin(&self, operation: &'static str) -> Result<Transaction, StoreError> {
        let begun = self.patiently(operation, || async {
            match &self.database {
                Database::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Transaction::Sqlite),
                Database::Postgres(pool) => in_time(begun(pool.clone())).await.map(Transaction::Postgres),
            }
        });
        begun.await?.map_err(|error| self.failed(operation, &error))
    }

    /// Does something again while the server is lost or the file is locked, for a bounded time; other errors are given as they are.
    async fn patiently<T, F: Future<Output = Result<T, sqlx::Error>>>(
        &self,
        operation: &'static str,
        once: impl Fn() -> F,
    ) -> Result<Result<T, sqlx::Error>, StoreError> {
        let mut lost: Option<Instant> = None;
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match once().await {
                Err(error) if self.at.is_shared() && postgres::is_lost(&error) => error,
                Err(error) if !self.at.is_shared() && sqlite::is_locked(&error) => error,
                result => return Ok(result),
            };
            let problem = postgres::message(&error);
            let since = *lost.get_or_insert_with(|| {
                let waited = self.patience.as_secs();
                tracing::warn!(operation, "the store does not answer ({problem}): trying again for {waited} s");
                Instant::now()
            });
            if since.elapsed() >= self.patience {
                let (place, waited) = (self.at.to_string(), self.patience.as_secs());
                return Err(if self.at.is_shared() {
                    StoreError::Lost { operation, place, problem, waited }
                } else {
                    StoreError::Locked { operation, place, waited }
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A column of a row.
    pub(super) fn column<T: Column>(&self, operation: &'static str, row: &Row, name: &str) -> Result<T, StoreError> {
        row.get(name).map_err(|error| self.failed(operation, &error))
    }
}
