//! Rounds of experiments: what was started when, how far it came, and which runs belong to it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{RunStatus, RunSummary, Store, StoreError};

/// One time through an experiment's profiles, over as many starts as that takes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RoundRecord {
    /// Its number.
    pub id: i64,
    /// The experiment's name.
    pub experiment: String,
    /// The due time of its last start, RFC 3339 in UTC; none when a person started it.
    pub due: Option<String>,
    /// When it was first started, RFC 3339 in UTC.
    pub started_at: String,
    /// When it last ended, RFC 3339 in UTC.
    pub ended_at: Option<String>,
    /// How far it has come; [`RunStatus::Interrupted`] is what the next start goes on with.
    pub status: RunStatus,
    /// Why it failed, or what interrupted it.
    pub error: Option<String>,
}

impl Store {
    /// Notes that a round of an experiment begins, before anything of it is tried: a due time has then been used up.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn begin_round(&self, experiment: &str, due: Option<&str>, now: &str) -> Result<i64, StoreError> {
        let operation = "begin a round";
        let row =
            sqlx::query("INSERT INTO rounds (experiment, due, started_at, status) VALUES (?, ?, ?, ?) RETURNING id")
                .bind(experiment)
                .bind(due)
                .bind(now)
                .bind(RunStatus::Running.name())
                .fetch_one(&self.pool)
                .await
                .map_err(|error| self.failed(operation, &error))?;
        self.column(operation, &row, "id")
    }

    /// Notes that a round that was interrupted goes on.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn resume_round(&self, round: i64, due: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE rounds SET status = ?, due = coalesce(?, due), ended_at = NULL, error = NULL WHERE id = ?")
            .bind(RunStatus::Running.name())
            .bind(due)
            .bind(round)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed("go on with a round", &error))
    }

    /// Notes how a round ended.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn end_round(
        &self,
        round: i64,
        status: RunStatus,
        error: Option<&str>,
        now: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE rounds SET status = ?, error = ?, ended_at = ? WHERE id = ?")
            .bind(status.name())
            .bind(error)
            .bind(now)
            .bind(round)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed("end a round", &error))
    }

    /// The newest round of an experiment.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn last_round(&self, experiment: &str) -> Result<Option<RoundRecord>, StoreError> {
        let operation = "read a round";
        let row = sqlx::query(
            "SELECT id, experiment, due, started_at, ended_at, status, error FROM rounds
             WHERE experiment = ? ORDER BY id DESC LIMIT 1",
        )
        .bind(experiment)
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| self.failed(operation, &error))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RoundRecord {
            id: self.column(operation, &row, "id")?,
            experiment: self.column(operation, &row, "experiment")?,
            due: self.column(operation, &row, "due")?,
            started_at: self.column(operation, &row, "started_at")?,
            ended_at: self.column(operation, &row, "ended_at")?,
            status: self.status(operation, &row)?,
            error: self.column(operation, &row, "error")?,
        }))
    }

    /// The last due time of an experiment that was started, whatever became of it; RFC 3339 in UTC.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn last_due(&self, experiment: &str) -> Result<Option<String>, StoreError> {
        let operation = "read the last due time";
        // All are written in one way, so that their order as texts is that of time.
        let row = sqlx::query("SELECT max(due) AS due FROM rounds WHERE experiment = ?")
            .bind(experiment)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.failed(operation, &error))?;
        self.column(operation, &row, "due")
    }

    /// The runs of a round, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn runs_of_round(&self, round: i64) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries(Some(round)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: &str = "2026-06-30T23:00:00Z";
    const NEXT: &str = "2026-07-01T23:00:00Z";

    #[tokio::test]
    async fn a_round_goes_on_after_its_holder_died_and_its_due_time_stays_used_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
        assert_eq!(
            (store.last_round("nightly").await.unwrap(), store.last_due("nightly").await.unwrap()),
            (None, None)
        );
        let round = store.begin_round("nightly", Some(NIGHT), NIGHT).await.unwrap();
        store.begin_round("other", Some(NEXT), NEXT).await.unwrap();
        assert_eq!(store.last_round("nightly").await.unwrap().unwrap().status, RunStatus::Running);
        store.bury_the_dead().await.unwrap();
        let found = store.last_round("nightly").await.unwrap().unwrap();
        assert_eq!((found.id, found.status), (round, RunStatus::Interrupted));
        assert_eq!(store.last_due("nightly").await.unwrap().as_deref(), Some(NIGHT));
        // A person goes on with it: no due time is used up by that.
        store.resume_round(round, None).await.unwrap();
        assert_eq!(store.last_due("nightly").await.unwrap().as_deref(), Some(NIGHT));
        store.resume_round(round, Some(NEXT)).await.unwrap();
        store.end_round(round, RunStatus::Failed, Some("refused"), NEXT).await.unwrap();
        let found = store.last_round("nightly").await.unwrap().unwrap();
        assert_eq!((found.due.as_deref(), found.error.as_deref()), (Some(NEXT), Some("refused")));
        assert_eq!(store.runs_of_round(round).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_store_from_before_there_were_rounds_is_brought_up_to_date_with_its_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool-tune.db");
        let all = sqlx::migrate!();
        let first = all.iter().take(1).cloned().collect();
        let old = sqlx::migrate::Migrator { migrations: first, ..sqlx::migrate::Migrator::DEFAULT };
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        old.run(&pool).await.unwrap();
        let row = "INSERT INTO runs VALUES ('old', '2026-01-01T00:00:00Z', 'interrupted', 'light', '', 'private', '1', '{}', NULL)";
        sqlx::raw_sql(row).execute(&pool).await.unwrap();
        pool.close().await;
        let store = Store::open_to_read(&path).await.unwrap().unwrap();
        let runs = store.runs().await.unwrap();
        assert_eq!((runs[0].id.as_str(), &runs[0].experiment), ("old", &None));
        assert_eq!(store.last_round("nightly").await.unwrap(), None);
    }
}
