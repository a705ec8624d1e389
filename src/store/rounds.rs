//! Rounds of experiments: what was started when, how far it came, and which runs belong to it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{RunStatus, RunSummary, Store, StoreError, runs::Which};

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
        // Where the answer to the first try was lost, or it is still on its way, the second is the same round.
        let token = format!("{:016x}", rand::random::<u64>());
        let insert = "INSERT INTO rounds (experiment, due, started_at, status, token) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (token) DO NOTHING";
        let query = self.query(operation, insert).bind(experiment).bind(due).bind(now).bind(RunStatus::Running.name());
        query.bind(&*token).run().await?;
        let begun = "SELECT id FROM rounds WHERE token = $1";
        let rows = self.query(operation, begun).bind(token).run().await?.rows;
        let row = rows.first().ok_or_else(|| self.failed(operation, &sqlx::Error::RowNotFound))?;
        self.column(operation, row, "id")
    }

    /// Notes that a round that was interrupted goes on.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn resume_round(&self, round: i64, due: Option<&str>) -> Result<(), StoreError> {
        let update =
            "UPDATE rounds SET status = $1, due = coalesce($2, due), ended_at = NULL, error = NULL WHERE id = $3";
        let query = self.query("go on with a round", update).bind(RunStatus::Running.name()).bind(due).bind(round);
        query.run().await.map(drop)
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
        let update = "UPDATE rounds SET status = $1, error = $2, ended_at = $3 WHERE id = $4";
        let query = self.query("end a round", update).bind(status.name()).bind(error).bind(now).bind(round);
        query.run().await.map(drop)
    }

    /// The newest round of an experiment.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn last_round(&self, experiment: &str) -> Result<Option<RoundRecord>, StoreError> {
        let operation = "read a round";
        let newest = "SELECT id, experiment, due, started_at, ended_at, status, error FROM rounds
             WHERE experiment = $1 ORDER BY id DESC LIMIT 1";
        let rows = self.query(operation, newest).bind(experiment).run().await?.rows;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(RoundRecord {
            id: self.column(operation, row, "id")?,
            experiment: self.column(operation, row, "experiment")?,
            due: self.column(operation, row, "due")?,
            started_at: self.column(operation, row, "started_at")?,
            ended_at: self.column(operation, row, "ended_at")?,
            status: self.status(operation, row)?,
            error: self.column(operation, row, "error")?,
        }))
    }

    /// The last due time of an experiment that was started, whatever became of it; RFC 3339 in UTC.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn last_due(&self, experiment: &str) -> Result<Option<String>, StoreError> {
        let operation = "read the last due time";
        // All are written in one way, so that their order as texts is that of time.
        let last = "SELECT max(due) AS due FROM rounds WHERE experiment = $1";
        let rows = self.query(operation, last).bind(experiment).run().await?.rows;
        rows.first().map_or(Ok(None), |row| self.column(operation, row, "due"))
    }

    /// The runs of a round, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn runs_of_round(&self, round: i64) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries(&Which { round: Some(round), ..Which::default() }).await
    }
}
