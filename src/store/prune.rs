//! Removing old runs, and telling how large a store has become.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    RunStatus, Store, StoreAt, StoreError,
    query::{Database, Row},
};

/// What belongs to a run and goes with it: tables whose column `run` is its id, the ones that others refer to last.
const GOES_WITH_A_RUN: [&str; 2] = ["trials", "stress_tests"];

/// The runs that are never removed. What a run of a round that is under way decided may be stressed still. A table with runs that
/// something stands on adds its own line, such as ` UNION SELECT run FROM standing`; a test sees to it that no table that refers to
/// runs is forgotten.
const KEPT: &str = "SELECT id FROM runs WHERE status = 'running' UNION SELECT run FROM standing
    UNION SELECT id FROM runs WHERE round IN (SELECT id FROM rounds WHERE status = 'running')";

/// Which runs are old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that began before this time, RFC 3339 in UTC, are.
    Since(String),
    /// All but so many of the newest are.
    Newest(u32),
}

/// A run that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pruned {
    /// Its id.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How far it had come.
    pub status: RunStatus,
    /// How many trials went with it.
    pub trials: u64,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreInfo {
    /// The file, or the server without its password.
    pub place: String,
    /// The version of its schema.
    pub version: i64,
    /// How many runs there are of each status.
    pub runs: BTreeMap<String, u64>,
    /// How many trials.
    pub trials: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Store {
    /// The old runs that may be removed, newest first: none that is under way, and none that something stands on.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn old_runs(&self, keep: &Keep) -> Result<Vec<Pruned>, StoreError> {
        let operation = "look for old runs";
        let of_keep = match keep {
            Keep::Since(_) => "started_at < $1",
            Keep::Newest(_) => "id NOT IN (SELECT id FROM runs ORDER BY started_at DESC, rowid DESC LIMIT $1)",
        };
        let old = format!(
            "SELECT id, started_at, status, (SELECT count(*) FROM trials WHERE run = runs.id) AS trials FROM runs
             WHERE {of_keep} AND id NOT IN ({KEPT}) ORDER BY started_at DESC, rowid DESC"
        );
        let query = self.query(operation, old);
        let query = match keep {
            Keep::Since(time) => query.bind(&**time),
            Keep::Newest(runs) => query.bind(i64::from(*runs)),
        };
        let read = |row: &Row| {
            Ok(Pruned {
                id: self.column(operation, row, "id")?,
                started_at: self.column(operation, row, "started_at")?,
                status: self.status(operation, row)?,
                trials: self.count(operation, row, "trials")?,
            })
        };
        query.run().await?.rows.iter().map(read).collect()
    }

    /// Removes old runs with their trials, all or none, and gives the room back. Gives those that were removed: whatever has begun
    /// again meanwhile stays.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be removed; then all are still there.
    pub async fn prune(&self, keep: &Keep) -> Result<Vec<Pruned>, StoreError> {
        let operation = "remove old runs";
        let mut removed = Vec::new();
        let old = self.old_runs(keep).await?;
        let mut transaction = self.begin(operation).await?;
        for run in old {
            // Whoever resumes a run holds it first, and then says that it is under way.
            if !self.lock_within(&mut transaction, &run.id).await? {
                continue;
            }
            let still = format!("SELECT id FROM runs WHERE id = $1 AND id NOT IN ({KEPT})");
            if self.query(operation, still).bind(&*run.id).within(&mut transaction).await?.rows.is_empty() {
                continue;
            }
            for table in GOES_WITH_A_RUN {
                let delete = format!("DELETE FROM {table} WHERE run = $1");
                self.query(operation, delete).bind(&*run.id).within(&mut transaction).await?;
            }
            self.query(operation, "DELETE FROM runs WHERE id = $1").bind(&*run.id).within(&mut transaction).await?;
            removed.push(run);
        }
        transaction.commit().await.map_err(|error| self.failed(operation, &error))?;
        if !removed.is_empty() {
            self.vacuum().await;
        }
        Ok(removed)
    }

    /// Gives room back: a file gets smaller, a server can use it again. The runs are gone whether that succeeds or not.
    async fn vacuum(&self) {
        let all = match &self.database {
            Database::Sqlite(_) => vec!["VACUUM".to_owned()],
            // One by one: only those of the schema, which hold what was removed.
            Database::Postgres(_) => {
                GOES_WITH_A_RUN.iter().chain(&["runs"]).map(|table| format!("VACUUM pool_tune.{table}")).collect()
            }
        };
        for vacuum in all {
            if let Err(error) = self.query("give the room of removed runs back", vacuum).run().await {
                tracing::warn!("failed to {error}; the runs are removed all the same");
            }
        }
    }

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn info(&self) -> Result<StoreInfo, StoreError> {
        let operation = "look into the store";
        let one = async |sql: &str| -> Result<i64, StoreError> {
            let rows = self.query(operation, sql).run().await?.rows;
            rows.first().map_or(Ok(0), |row| self.column(operation, row, "n"))
        };
        let mut runs: BTreeMap<_, _> = RunStatus::ALL.iter().map(|status| (status.to_string(), 0)).collect();
        let of_status = "SELECT status, count(*) AS n FROM runs GROUP BY status";
        for row in &self.query(operation, of_status).run().await?.rows {
            runs.insert(self.column(operation, row, "status")?, self.count(operation, row, "n")?);
        }
        let bytes = match &self.at {
            StoreAt::File(_) => {
                one("SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()").await?
            }
            StoreAt::Server(_) => {
                one("SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint AS n FROM pg_class
                     JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'pool_tune' AND relkind = 'r'")
                .await?
            }
        };
        Ok(StoreInfo {
            place: self.at.to_string(),
            version: one("SELECT max(version) AS n FROM _sqlx_migrations").await?,
            runs,
            trials: unsigned(one("SELECT count(*) AS n FROM trials").await?),
            bytes: unsigned(bytes),
        })
    }

    fn count(&self, operation: &'static str, row: &Row, column: &str) -> Result<u64, StoreError> {
        self.column::<i64>(operation, row, column).map(unsigned)
    }
}

/// A count, which no database gives below nought.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_table_that_refers_to_runs_goes_with_them_or_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
        let tables = "SELECT t.name AS name FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) k
                      WHERE t.type = 'table' AND k.\"table\" = 'runs'";
        let rows = store.query("read the schema", tables).run().await.unwrap().rows;
        assert!(!rows.is_empty());
        for row in rows {
            let table: String = row.get("name").unwrap();
            assert!(
                GOES_WITH_A_RUN.contains(&&*table) || KEPT.contains(&format!("FROM {table}")),
                "`{table}` refers to runs: say in prune.rs whether it goes with a run or keeps it"
            );
        }
    }
}
