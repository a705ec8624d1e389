use sqlx::{Arguments, AssertSqlSafe, Connection as _, Executor, PgConnection, SqlStr, postgres::PgArguments};

use super::QueryError;

/// One open connection, of whichever kind the server is.
#[derive(Debug)]
pub enum Connection {
    /// To PostgreSQL.
    Postgres(PgConnection),
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

impl Connection {
    /// Runs a statement as a prepared one (prepared once a connection) and discards its rows.
    ///
    /// # Errors
    /// [`QueryError`], which also says whether the connection was lost.
    pub async fn execute(&mut self, sql: SqlStr, arguments: &[Argument<'_>]) -> Result<(), QueryError> {
        match self {
            Self::Postgres(connection) => {
                let mut bound = PgArguments::default();
                for argument in arguments {
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
                connection.execute(sqlx::query_with(sql, bound)).await?;
            }
        }
        Ok(())
    }

    /// Runs statements as they are, without preparing them (`BEGIN`, DDL, several at once).
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_raw(&mut self, sql: &str) -> Result<(), QueryError> {
        match self {
            Self::Postgres(connection) => {
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            }
        }
        Ok(())
    }

    /// Sees whether the server answers, in one round trip and without a statement.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn ping(&mut self) -> Result<(), QueryError> {
        match self {
            Self::Postgres(connection) => Ok(connection.ping().await?),
        }
    }

    /// Closes the connection, telling the server.
    ///
    /// # Errors
    /// [`QueryError`] when the server could not be told; the connection is closed all the same.
    pub async fn close(self) -> Result<(), QueryError> {
        match self {
            Self::Postgres(connection) => Ok(connection.close().await?),
        }
    }
}
