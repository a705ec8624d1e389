use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::{StatementsError, nature};
use crate::{
    database::{Connection, DatabaseError, Server},
    model::{Dialect, Nature, Observed, ObservedStatement},
};

/// What makes a statement a top one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Calls.
    Calls,
    /// Time spent in it.
    Time,
}

const ACTION: &str = "read the statements";
const HIDDEN: &str = "<insufficient privilege>";

impl Server {
    /// Reads the top `n` statements that applications have run in the database, and which of them only read.
    ///
    /// # Errors
    /// [`StatementsError`] when the server does not count statements, the user may not see them, or there are none.
    pub async fn statements(&self, n: u32, top: Top) -> Result<Observed, StatementsError> {
        let not_postgres = || StatementsError::NotPostgres { server: self.to_string() };
        if self.dialect() != Dialect::Postgres {
            return Err(not_postgres());
        }
        let Connection::Postgres(mut connection) = self.connect_control().await? else { return Err(not_postgres()) };
        let rows = read(self, &mut connection, top).await?;
        let mut observed = Observed {
            server: self.to_string(),
            statements: Vec::new(),
            calls: rows.iter().map(|row| row.calls).sum(),
            time: rows.iter().map(|row| row.time).sum(),
            left_out: 0,
            hidden_calls: rows.iter().filter(|row| row.is_hidden()).map(|row| row.calls).sum(),
        };
        nature::take_no_writes(self, &mut connection).await?;
        for row in rows.into_iter().filter(|row| !row.is_hidden()) {
            if observed.statements.len() >= usize::try_from(n).unwrap_or(usize::MAX) {
                break;
            }
            match nature::of(self, &mut connection, &row.sql).await? {
                None => observed.left_out += 1,
                Some(nature) => observed.statements.push(row.observed(nature)),
            }
        }
        let server = self.to_string();
        if observed.statements.is_empty() {
            return Err(if observed.hidden_calls == 0 {
                StatementsError::Empty { server }
            } else {
                StatementsError::NotAllowed { server, role: self.bounded(role(self, &mut connection)).await? }
            });
        }
        // Nothing depends on the goodbye.
        drop(connection.close().await);
        Ok(observed)
    }
}

/// A statement and its counts.
struct Row {
    sql: String,
    calls: u64,
    time: Duration,
}

impl Row {
    fn is_hidden(&self) -> bool {
        self.sql.is_empty() || self.sql == HIDDEN
    }

    fn observed(self, nature: Nature) -> ObservedStatement {
        ObservedStatement { sql: self.sql, calls: self.calls, time: self.time, nature }
    }
}

/// The database's statements, top ones first.
async fn read(server: &Server, connection: &mut PgConnection, top: Top) -> Result<Vec<Row>, StatementsError> {
    let sql = query(server, connection, top).await?;
    let rows = server
        .bounded(async { Ok(sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *connection).await) })
        .await?;
    let code = |error: &sqlx::Error| {
        error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned))
    };
    let rows = rows.map_err(|error| match code(&error).as_deref() {
        // object_not_in_prerequisite_state: "must be loaded via shared_preload_libraries".
        Some("55000") => StatementsError::NotLoaded { server: server.to_string() },
        _ => DatabaseError::statement(server, ACTION, &error).into(),
    })?;
    let row = |row: &sqlx::postgres::PgRow| {
        Ok(Row {
            sql: row.try_get::<Option<String>, _>("query")?.unwrap_or_default().trim().to_owned(),
            calls: u64::try_from(row.try_get::<i64, _>("calls")?).unwrap_or(0),
            time: Duration::try_from_secs_f64(row.try_get::<f64, _>("milliseconds")? / 1e3).unwrap_or_default(),
        })
    };
    rows.iter()
        .map(row)
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| DatabaseError::statement(server, ACTION, &error).into())
}

/// The query that reads them, for the version of the extension that is there.
async fn query(server: &Server, connection: &mut PgConnection, top: Top) -> Result<String, StatementsError> {
    let facts = "
        select (select quote_ident(nspname) from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
                where extname = 'pg_stat_statements') as schema,
               exists (select from pg_available_extensions where name = 'pg_stat_statements') as is_available,
               array(select attname::text from pg_extension
                     join pg_class on relnamespace = extnamespace and relname = 'pg_stat_statements'
                     join pg_attribute on attrelid = pg_class.oid and attnum > 0
                     where extname = 'pg_stat_statements') as columns";
    let facts: (Option<String>, bool, Vec<String>) = server
        .bounded(async {
            let facts = sqlx::query_as(facts).fetch_one(&mut *connection).await;
            facts.map_err(|error| DatabaseError::statement(server, ACTION, &error))
        })
        .await?;
    let (schema, is_available, columns) = facts;
    let Some(schema) = schema else {
        let install = if is_available { "" } else { "install PostgreSQL's contrib package on the server's machine, " };
        return Err(StatementsError::NotInstalled { server: server.to_string(), install });
    };
    let has = |column: &str| columns.iter().any(|known| known == column);
    // PostgreSQL 13 has split the time into planning and executing; 14 tells statements inside functions apart.
    let time = if has("total_exec_time") { "total_exec_time" } else { "total_time" };
    let own = if has("toplevel") { "and toplevel" } else { "" };
    let order = match top {
        Top::Calls => "calls desc, milliseconds desc",
        Top::Time => "milliseconds desc, calls desc",
    };
    // The extension replaces the text of `interval '1 day'` by `interval $1`, which is no good SQL.
    Ok(format!(
        r"select regexp_replace(query, '\m(date|interval|time|timestamp|timestamptz)\s+(\$\d+)', 'cast(\2 as \1)', 'gi')
                     as query,
                 sum(calls)::bigint as calls, sum({time})::double precision as milliseconds
          from {schema}.pg_stat_statements
          where dbid = (select oid from pg_database where datname = current_database()) {own}
          group by 1 order by {order}, 1"
    ))
}

/// The URL's user, quoted where it has to be.
async fn role(server: &Server, connection: &mut PgConnection) -> Result<String, DatabaseError> {
    let role = sqlx::query_scalar("select quote_ident(session_user)").fetch_one(connection).await;
    role.map_err(|error| DatabaseError::statement(server, ACTION, &error))
}
