use sqlx::{
    Arguments, AssertSqlSafe, Connection as _, Executor, MySqlConnection, PgConnection, SqlStr, SqliteConnection,
    mysql::MySqlArguments, postgres::PgArguments, sqlite::SqliteArguments,
};

use super::QueryError;

/// One open connection, of whichever kind the database is.
#[derive(Debug)]
pub enum Connection {
    /// To PostgreSQL.
    Postgres(PgConnection),
    /// To MySQL or MariaDB.
    MySql(MySqlConnection),
    /// To a SQLite file.
    Sqlite(SqliteConnection),
}

/// A value bound to a placeholder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument<'a> {
    /// SQL `bigint`.
    Integer(i64),
    /// SQL `double precision`.
    Real(f64),
    /// SQL `text`.
    Text(&'a str),
}

/// Binds arguments in a database's own way.
macro_rules! bind {
    ($kind:ty, $arguments:expr) => {{
        let mut bound = <$kind>::default();
        for argument in $arguments {
            match *argument {
                Argument::Integer(value) => bound.add(value),
                Argument::Real(value) => bound.add(value),
                Argument::Text(value) => bound.add(value),
            }
            .map_err(|error| QueryError {
                code: None,
                message: error.to_string(),
                connection_lost: false,
            })?;
        }
        bound
    }};
}

/// Does the same with whichever connection it is.
macro_rules! with_each {
    ($of:expr, $connection:ident => $work:expr) => {
        match $of {
            Connection::Postgres($connection) => $work,
            Connection::MySql($connection) => $work,
            Connection::Sqlite($connection) => $work,
        }
    };
}

impl Connection {
    /// Runs a statement as a prepared one (prepared once a connection) and discards its rows.
    ///
    /// # Errors
    /// [`QueryError`], which also says whether the connection was lost.
    pub async fn execute(&mut self, sql: SqlStr, arguments: &[Argument<'_>]) -> Result<(), QueryError> {
        match self {
            Self::Postgres(connection) => {
                connection.execute(sqlx::query_with(sql, bind!(PgArguments, arguments))).await?;
            }
            Self::MySql(connection) => {
                connection.execute(sqlx::query_with(sql, bind!(MySqlArguments, arguments))).await?;
            }
            Self::Sqlite(connection) => {
                connection.execute(sqlx::query_with(sql, bind!(SqliteArguments, arguments))).await?;
            }
        }
        Ok(())
    }

    /// Runs statements as they are, without preparing them (`BEGIN`, DDL, several at once).
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_raw(&mut self, sql: &str) -> Result<(), QueryError> {
        Ok(self.raw(sql).await?)
    }

    /// As [`Self::execute_raw`], with the error as it came.
    pub(super) async fn raw(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        with_each!(self, connection => connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop))
    }

    /// The first column of all rows of a statement, which has to be text.
    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<String>, sqlx::Error> {
        with_each!(self, connection => {
            sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_all(connection).await
        })
    }

    /// Begins a transaction. `writes` is whether one of its statements does: SQLite has to know at once, since a
    /// transaction that has begun by reading may not go on to write when another one has written meanwhile.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn begin(&mut self, writes: bool) -> Result<(), QueryError> {
        let immediate = writes && matches!(self, Self::Sqlite(_));
        self.execute_raw(if immediate { "BEGIN IMMEDIATE" } else { "BEGIN" }).await
    }

    /// Sees whether the server answers, in one round trip and without a statement.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn ping(&mut self) -> Result<(), QueryError> {
        Ok(with_each!(self, connection => connection.ping().await)?)
    }

    /// Closes the connection, telling the server.
    ///
    /// # Errors
    /// [`QueryError`] when the server could not be told; the connection is closed all the same.
    pub async fn close(self) -> Result<(), QueryError> {
        Ok(with_each!(self, connection => connection.close().await)?)
    }
}
