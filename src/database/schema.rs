use std::{path::Path, time::Duration};

use super::{
    Connection, DatabaseError, PrivateError, Server, StateFolder, private::ClusterFolder, server::Way, sqlite,
    words::Words,
};
use crate::model::Dialect;

/// How a schema of the program begins, and how its mark does: both must hold before one is dropped.
pub(super) const PREFIX: &str = "pool_tune_";
pub(super) const MARK: &str = "made by pool-tune";

const DROPPED: &str = "it was dropped";
const IN_USE: &str = "another session of the same run is using it";
const NOT_OURS: &str = "a schema of that name is there, but was not made by the program: drop or rename it";
/// How long a server may take to notice that a connection is gone.
const NOTICED: Duration = Duration::from_secs(5);
/// Where the tables of a workload on a SQLite file lie, beside that file.
const BESIDE: &str = ".pool-tune";

/// A schema of a run's own on the target, in which the workload's tables live. For MySQL that is a database, for SQLite a
/// file of its own beside the person's, which stays as it is.
///
/// A connection holds a lock for as long as the schema is in use; so a later start can tell a schema that a dead run left
/// from one that is in use, and drops only the former.
#[derive(Debug)]
pub struct Schema {
    name: String,
    base: Server,
    control: Connection,
    /// The folder of a file of its own, deleted when dropped.
    folder: Option<ClusterFolder>,
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
        let mut schema = match server.way() {
            Way::Sqlite(way) => in_file(server, way, name).await?,
            Way::Postgres(_) | Way::MySql(_) => {
                let control = hold(server, &name).await?;
                Self { name, base: server.clone(), control, folder: None }
            }
        };
        match schema.fill(prepare).await {
            Ok(()) => Ok(schema),
            Err(error) => {
                if matches!(error, DatabaseError::SchemaLost { .. }) {
                    return Err(error);
                }
                // A failed statement of `prepare` may have begun a transaction; without one this only warns.
                drop(schema.run("roll back".to_owned(), "rollback").await);
                if let Err(left) = schema.remove().await {
                    tracing::warn!("failed to {left}");
                }
                Err(error)
            }
        }
    }

    async fn fill(&mut self, prepare: &[String]) -> Result<(), DatabaseError> {
        let words = Words::of(self.base.dialect());
        let name = self.name.clone();
        if let Some(words) = &words {
            if self.says("look for the schema", &(words.of_another)(&name)).await? {
                return Err(lost(&self.base, &name, NOT_OURS));
            }
            for sql in (words.create)(&name) {
                self.run(format!("create the schema `{name}`"), &sql).await?;
            }
        }
        for (place, sql) in prepare.iter().enumerate() {
            self.control.raw(sql).await.map_err(|error| match error {
                sqlx::Error::Database(_) => DatabaseError::prepare(&self.base, place + 1, prepare.len(), sql, &error),
                lost => DatabaseError::statement(&self.base, "prepare the workload's tables", &lost),
            })?;
        }
        let Some(words) = words else {
            return self.run("gather statistics".to_owned(), "analyze").await;
        };
        let tables = self.control.texts(&(words.tables)(&name)).await;
        let tables =
            tables.map_err(|error| DatabaseError::statement(&self.base, "list the workload's tables", &error))?;
        for table in tables {
            self.run(format!("analyze {table}"), &(words.analyze)(&table)).await?;
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
        if self.folder.is_some() { self.base.clone() } else { self.base.in_schema(&self.name) }
    }

    /// Makes sure that the schema is still held: after the server was gone, connects and locks again.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, or the schema is gone or held by another.
    pub async fn keep(&mut self) -> Result<(), DatabaseError> {
        let alive = self.base.bounded(async { Ok(self.control.ping().await.is_ok()) }).await.unwrap_or(false);
        let Some(words) = Words::of(self.base.dialect()).filter(|_| !alive) else { return Ok(()) };
        self.control = self.hold_again().await?;
        if !self.says("look for the schema", &(words.exists)(&self.name)).await? {
            return Err(lost(&self.base, &self.name, DROPPED));
        }
        if let Some(enter) = words.enter {
            self.run("use the schema".to_owned(), &enter(&self.name)).await?;
        }
        Ok(())
    }

    /// As [`hold`], but waits for a moment: the server may not have noticed yet that the connection before is gone.
    async fn hold_again(&self) -> Result<Connection, DatabaseError> {
        let deadline = tokio::time::Instant::now() + NOTICED;
        loop {
            match hold(&self.base, &self.name).await {
                Err(DatabaseError::SchemaLost { message: IN_USE, .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    }

    /// Drops the schema with all that is in it.
    ///
    /// # Errors
    /// [`DatabaseError`]; the next start tries again then.
    pub async fn remove(mut self) -> Result<(), DatabaseError> {
        if let Some(words) = Words::of(self.base.dialect()) {
            self.keep_connection().await?;
            self.run(format!("drop the schema `{}`", self.name), &(words.drop)(&self.name)).await?;
        }
        // Nothing depends on the goodbye; a file is closed by it, before its folder is deleted.
        drop(self.control.close().await);
        if let Some(folder) = self.folder {
            let beside = folder.path().parent().map(Path::to_owned);
            drop(folder);
            // Others may be at work in it; then it is not empty, and stays.
            if let Some(beside) = beside.filter(|path| path.ends_with(BESIDE)) {
                std::fs::remove_dir(beside).ok();
            }
        }
        Ok(())
    }

    /// As [`Self::keep`], where it does not matter whether the schema is still there.
    async fn keep_connection(&mut self) -> Result<(), DatabaseError> {
        match self.keep().await {
            Err(DatabaseError::SchemaLost { message: DROPPED, .. }) | Ok(()) => Ok(()),
            other => other,
        }
    }

    async fn run(&mut self, action: String, sql: &str) -> Result<(), DatabaseError> {
        run(&self.base, &mut self.control, action, sql).await
    }

    async fn says(&mut self, action: &str, sql: &str) -> Result<bool, DatabaseError> {
        says(&self.base, &mut self.control, action, sql).await
    }

    /// Drops the schemas that dead runs left in the server's database, and gives their names.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached or a schema cannot be dropped.
    pub async fn clean_leftovers(server: &Server) -> Result<Vec<String>, DatabaseError> {
        let Some(words) = Words::of(server.dialect()) else { return files_of_the_dead(server).await };
        let mut control = server.connect_control().await?;
        quieten(server, &mut control, &words).await?;
        let names = control.texts(&(words.leftovers)()).await;
        let names = names.map_err(|error| DatabaseError::statement(server, "look for schemas of dead runs", &error))?;
        let mut dropped = Vec::new();
        for name in names {
            if !says(server, &mut control, "look for schemas of dead runs", &(words.lock)(&name)).await? {
                continue;
            }
            run(server, &mut control, format!("drop the schema `{name}`, left by a dead run,"), &(words.drop)(&name))
                .await?;
            dropped.push(name);
        }
        // Closing releases the locks; nothing else depends on the goodbye.
        drop(control.close().await);
        Ok(dropped)
    }
}

/// A file for the tables, beside the person's own.
async fn in_file(server: &Server, way: &sqlite::Way, name: String) -> Result<Schema, DatabaseError> {
    let folder = beside(way).claim().map_err(|error| in_the_way(server, &error))?;
    let base = server.in_file(sqlite::Way::of_our_own(&folder.path().join(format!("{name}.db"))));
    let control = base.connect_control().await?;
    Ok(Schema { name, base, control, folder: Some(folder) })
}

async fn files_of_the_dead(server: &Server) -> Result<Vec<String>, DatabaseError> {
    let Way::Sqlite(way) = server.way() else { return Ok(Vec::new()) };
    let removed = beside(way).clean_leftovers().await.map_err(|error| in_the_way(server, &error))?;
    Ok(removed.into_iter().map(|removed| removed.folder.display().to_string()).collect())
}

fn beside(way: &sqlite::Way) -> StateFolder {
    StateFolder::beside(way.path().parent().unwrap_or(Path::new("")).join(BESIDE))
}

fn in_the_way(server: &Server, error: &PrivateError) -> DatabaseError {
    DatabaseError::Statement {
        action: "make a file for the workload's tables beside the database".to_owned(),
        server: server.to_string(),
        message: error.to_string(),
        remedy: "; copy the database to a folder that you may write to, or use a workload without `prepare`",
    }
}

/// A connection that holds the schema's lock.
async fn hold(server: &Server, name: &str) -> Result<Connection, DatabaseError> {
    // PostgreSQL takes a search path that leads nowhere yet; MySQL takes no database that is not there yet.
    let of = if server.dialect() == Dialect::Postgres { server.in_schema(name) } else { server.clone() };
    let mut control = of.connect_control().await?;
    if let Some(words) = Words::of(server.dialect()) {
        quieten(server, &mut control, &words).await?;
        if !says(server, &mut control, &format!("lock the schema `{name}`"), &(words.lock)(name)).await? {
            return Err(lost(server, name, IN_USE));
        }
    }
    Ok(control)
}

/// Sets the control connection up.
async fn quieten(server: &Server, control: &mut Connection, words: &Words) -> Result<(), DatabaseError> {
    run(server, control, "set the control connection up", words.quieten).await
}

async fn run(
    server: &Server,
    control: &mut Connection,
    action: impl Into<String>,
    sql: &str,
) -> Result<(), DatabaseError> {
    control.raw(sql).await.map_err(|error| DatabaseError::statement(server, action, &error))
}

/// Whether a query has a row.
async fn says(server: &Server, control: &mut Connection, action: &str, sql: &str) -> Result<bool, DatabaseError> {
    let rows = control.texts(sql).await;
    rows.map(|rows| !rows.is_empty()).map_err(|error| DatabaseError::statement(server, action, &error))
}

fn lost(server: &Server, schema: &str, message: &'static str) -> DatabaseError {
    DatabaseError::SchemaLost { schema: schema.to_owned(), server: server.to_string(), message }
}

/// The schema's name: the run's, with what needs no quotes, and no longer than PostgreSQL keeps (MySQL keeps one more).
fn schema_name(run: &str) -> String {
    const LONGEST: usize = 63;
    let run = run.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    PREFIX.chars().chain(run).take(LONGEST).collect()
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
}
