use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};

use super::{DatabaseError, Server};

/// How a schema of the program begins, and how its comment does: both must hold before one is dropped.
const PREFIX: &str = "pool_tune_";
const MARK: &str = "made by pool-tune";

const DROPPED: &str = "it was dropped";
const NOT_OURS: &str = "a schema of that name is there, but was not made by the program: drop or rename it";

/// A schema of a run's own on the target, in which the workload's tables live.
///
/// A connection holds an advisory lock for as long as the schema is in use; so a later start can tell a schema that a
/// dead run left from one that is in use, and drops only the former.
#[derive(Debug)]
pub struct Schema {
    name: String,
    base: Server,
    control: PgConnection,
}

impl Schema {
    /// Makes the schema of the run `run` and runs the statements of `prepare` in it, in order, then has the server
    /// gather statistics of the tables, so that neither plans nor background work change in the middle of a run.
    ///
    /// What an earlier, dead session of the same run left is dropped first.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, does not let us, or a statement fails; the schema is
    /// dropped again then.
    pub async fn create(server: &Server, run: &str, prepare: &[String]) -> Result<Self, DatabaseError> {
        let name = schema_name(run);
        let control = hold(server, &name).await?;
        let mut schema = Self { name, base: server.clone(), control };
        match schema.fill(prepare).await {
            Ok(()) => Ok(schema),
            Err(error) => {
                if matches!(error, DatabaseError::SchemaLost { .. }) {
                    return Err(error);
                }
                // A failed statement of `prepare` may have begun a transaction; without one this only warns.
                drop(schema.run("roll back".to_owned(), "rollback".to_owned()).await);
                if let Err(left) = schema.remove().await {
                    tracing::warn!("failed to {left}");
                }
                Err(error)
            }
        }
    }

    async fn fill(&mut self, prepare: &[String]) -> Result<(), DatabaseError> {
        let name = &self.name;
        let of_another: bool = sqlx::query_scalar(
            "select exists (select from pg_namespace where nspname = $1
                            and not coalesce(starts_with(obj_description(oid, 'pg_namespace'), $2), false))",
        )
        .bind(name)
        .bind(MARK)
        .fetch_one(&mut self.control)
        .await
        .map_err(|error| DatabaseError::statement(&self.base, "look for the schema", &error))?;
        if of_another {
            return Err(lost(&self.base, name, NOT_OURS));
        }
        self.run(
            format!("create the schema `{name}`"),
            format!(
                // Sent as one, these are one transaction.
                "drop schema if exists {name} cascade; create schema {name};
                 comment on schema {name} is '{MARK}; safe to drop when no run is going on'"
            ),
        )
        .await?;
        for (place, sql) in prepare.iter().enumerate() {
            let outcome = self.control.execute(sqlx::raw_sql(AssertSqlSafe(sql.as_str()))).await;
            outcome.map_err(|error| match error {
                sqlx::Error::Database(_) => DatabaseError::prepare(place + 1, prepare.len(), sql, &error),
                lost => DatabaseError::statement(&self.base, "prepare the workload's tables", &lost),
            })?;
        }
        let tables: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', $1::text, relname) from pg_class
             where relnamespace = to_regnamespace($1) and relkind in ('r', 'm') order by relname",
        )
        .bind(&self.name)
        .fetch_all(&mut self.control)
        .await
        .map_err(|error| DatabaseError::statement(&self.base, "list the workload's tables", &error))?;
        for table in tables {
            self.run(format!("analyze {table}"), format!("vacuum (analyze) {table}")).await?;
        }
        Ok(())
    }

    /// The schema's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server, with unqualified names looked up in the schema.
    #[must_use]
    pub fn server(&self) -> Server {
        self.base.in_schema(&self.name)
    }

    /// Makes sure that the schema is still held: after the server was gone, connects and locks again.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, or the schema is gone or held by another.
    pub async fn keep(&mut self) -> Result<(), DatabaseError> {
        let alive = self.base.bounded(async { Ok(self.control.ping().await.is_ok()) }).await.unwrap_or(false);
        if alive {
            return Ok(());
        }
        self.control = hold(&self.base, &self.name).await?;
        let exists: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
            .bind(&self.name)
            .fetch_one(&mut self.control)
            .await
            .map_err(|error| DatabaseError::statement(&self.base, "look for the schema", &error))?;
        if exists { Ok(()) } else { Err(lost(&self.base, &self.name, DROPPED)) }
    }

    /// Drops the schema with all that is in it.
    ///
    /// # Errors
    /// [`DatabaseError`]; the next start tries again then.
    pub async fn remove(mut self) -> Result<(), DatabaseError> {
        self.keep_connection().await?;
        self.run(format!("drop the schema `{}`", self.name), format!("drop schema if exists {} cascade", self.name))
            .await?;
        // Nothing depends on the goodbye.
        drop(self.control.close().await);
        Ok(())
    }

    /// As [`Self::keep`], where it does not matter whether the schema is still there.
    async fn keep_connection(&mut self) -> Result<(), DatabaseError> {
        match self.keep().await {
            Err(DatabaseError::SchemaLost { message: DROPPED, .. }) | Ok(()) => Ok(()),
            other => other,
        }
    }

    async fn run(&mut self, action: String, sql: String) -> Result<(), DatabaseError> {
        run(&self.base, &mut self.control, action, sql).await
    }

    /// Drops the schemas that dead runs left in the server's database, and gives their names.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached or a schema cannot be dropped.
    pub async fn clean_leftovers(server: &Server) -> Result<Vec<String>, DatabaseError> {
        let mut control = server.control().await?;
        quieten(server, &mut control).await?;
        let failed = |error: sqlx::Error| DatabaseError::statement(server, "look for schemas of dead runs", &error);
        let names: Vec<String> = sqlx::query_scalar(
            "select nspname::text from pg_namespace
             where starts_with(nspname::text, $1) and starts_with(obj_description(oid, 'pg_namespace'), $2)
               and pg_has_role(nspowner, 'MEMBER')
             order by nspname",
        )
        .bind(PREFIX)
        .bind(MARK)
        .fetch_all(&mut control)
        .await
        .map_err(failed)?;
        let mut dropped = Vec::new();
        for name in names {
            if !lock(&mut control, &name).await.map_err(failed)? {
                continue;
            }
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            run(
                server,
                &mut control,
                format!("drop the schema `{name}`, left by a dead run,"),
                format!("drop schema if exists {quoted} cascade"),
            )
            .await?;
            dropped.push(name);
        }
        // Closing releases the locks; nothing else depends on the goodbye.
        drop(control.close().await);
        Ok(dropped)
    }
}

/// A connection that holds the schema's lock.
async fn hold(server: &Server, name: &str) -> Result<PgConnection, DatabaseError> {
    let mut control = server.in_schema(name).control().await?;
    quieten(server, &mut control).await?;
    let locked = lock(&mut control, name)
        .await
        .map_err(|error| DatabaseError::statement(server, format!("lock the schema `{name}`"), &error))?;
    if locked { Ok(control) } else { Err(lost(server, name, "another session of the same run is using it")) }
}

/// Sets the control connection up: no notices for each dropped table, no endless wait for the lock of a dead run's
/// last statement, and (PostgreSQL 14 and later) no end after some idle time.
async fn quieten(server: &Server, control: &mut PgConnection) -> Result<(), DatabaseError> {
    run(
        server,
        control,
        "set the control connection up",
        "set client_min_messages = warning; set lock_timeout = '10s';
         select set_config('idle_session_timeout', '0', false) from pg_settings where name = 'idle_session_timeout'",
    )
    .await
}

async fn run(
    server: &Server,
    control: &mut PgConnection,
    action: impl Into<String>,
    sql: impl Into<String>,
) -> Result<(), DatabaseError> {
    match control.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await {
        Ok(_) => Ok(()),
        Err(error) => Err(DatabaseError::statement(server, action, &error)),
    }
}

async fn lock(control: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(lock_key(name)).fetch_one(control).await
}

fn lost(server: &Server, schema: &str, message: &'static str) -> DatabaseError {
    DatabaseError::SchemaLost { schema: schema.to_owned(), server: server.to_string(), message }
}

/// The schema's name: the run's, with what needs no quotes, and no longer than PostgreSQL keeps.
fn schema_name(run: &str) -> String {
    const LONGEST: usize = 63;
    let run = run.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    PREFIX.chars().chain(run).take(LONGEST).collect()
}

/// The advisory lock of a schema: FNV-1a, 64 bits, of its name, the same in every version of the program.
fn lock_key(name: &str) -> i64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_quotes_and_fits() {
        assert_eq!(schema_name("2026-11-23T15-00 Heavy"), "pool_tune_2026_11_23t15_00_heavy");
        assert_eq!(schema_name("\"; drop table x"), "pool_tune____drop_table_x");
        assert_eq!(schema_name(&"x".repeat(99)).len(), 63);
    }

    #[test]
    fn the_lock_of_a_schema_never_changes() {
        // The published test vector of FNV-1a for "foobar".
        assert_eq!(lock_key("foobar").cast_unsigned(), 0x8594_4171_f739_67e8);
    }
}
