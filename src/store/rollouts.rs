//! Rollouts: how far each has come, and what it did, step by step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, query::Row};

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStatus {
    /// It goes on, or was stopped or killed and can be resumed.
    Running,
    /// The recommended settings are in use.
    Done,
    /// The settings that were in use are in use again.
    Back,
    /// It could not go back: what is applied where is not known.
    Stuck,
}

impl RolloutStatus {
    const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Back, Self::Stuck];

    /// As it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Back => "back",
            Self::Stuck => "stuck",
        }
    }

    /// Whether nothing is left to be done.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Back)
    }
}

/// A rollout as it is stored. What it intends and its state are JSON of whoever carries it out.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutRecord {
    /// Its number.
    pub id: i64,
    /// Its plan's name.
    pub name: String,
    /// The run whose settings it brings into use.
    pub run: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended, RFC 3339 in UTC.
    pub ended_at: Option<String>,
    /// How far it has come.
    pub status: RolloutStatus,
    /// All that is needed to go on with it.
    pub intent: String,
    /// Where it stands.
    pub state: String,
}

/// What a rollout did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutStep {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What, as JSON.
    pub step: String,
}

impl Store {
    /// Notes that a rollout begins, before anything of it is applied; gives its number.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn begin_rollout(
        &self,
        (name, run): (&str, &str),
        intent: &str,
        state: &str,
        now: &str,
    ) -> Result<i64, StoreError> {
        let operation = "begin a rollout";
        let insert = "INSERT INTO rollouts (name, run, started_at, status, intent, state)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
        let query = self.query(operation, insert).bind(name).bind(run).bind(now).bind(RolloutStatus::Running.name());
        let rows = query.bind(intent).bind(state).run().await?.rows;
        let row = rows.first().ok_or_else(|| self.problem(operation, "it was given no number".to_owned()))?;
        self.column(operation, row, "id")
    }

    /// Notes where a rollout stands and how it came there; both are on the disk when this returns, or neither.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn advance_rollout(
        &self,
        rollout: i64,
        (status, state): (RolloutStatus, &str),
        steps: &[RolloutStep],
        now: &str,
    ) -> Result<(), StoreError> {
        let operation = "note a rollout's step";
        let mut transaction = self.begin(operation).await?;
        let update = "UPDATE rollouts SET status = $1, state = $2, ended_at = $3 WHERE id = $4";
        let query = self.query(operation, update).bind(status.name()).bind(state);
        query.bind(Some(now).filter(|_| status.has_ended())).bind(rollout).within(&mut transaction).await?;
        for step in steps {
            let insert = "INSERT INTO rollout_steps (rollout, sequence, at, step)
                 SELECT CAST($1 AS BIGINT), coalesce(max(sequence), 0) + 1, CAST($2 AS TEXT), CAST($3 AS TEXT)
                 FROM rollout_steps WHERE rollout = $4";
            let query = self.query(operation, insert).bind(rollout).bind(step.at.as_str()).bind(step.step.as_str());
            query.bind(rollout).within(&mut transaction).await?;
        }
        transaction.commit().await.map_err(|error| self.failed(operation, &error))
    }

    /// All rollouts, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn rollouts(&self) -> Result<Vec<RolloutRecord>, StoreError> {
        let operation = "read rollouts";
        let all = "SELECT id, name, run, started_at, ended_at, status, intent, state FROM rollouts ORDER BY id DESC";
        let rows = self.query(operation, all).run().await?.rows;
        rows.iter().map(|row| self.rollout(operation, row)).collect()
    }

    /// What a rollout did, in order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn rollout_steps(&self, rollout: i64) -> Result<Vec<RolloutStep>, StoreError> {
        let operation = "read a rollout's steps";
        let steps = "SELECT at, step FROM rollout_steps WHERE rollout = $1 ORDER BY sequence";
        let rows = self.query(operation, steps).bind(rollout).run().await?.rows;
        let read = |row| {
            Ok(RolloutStep { at: self.column(operation, row, "at")?, step: self.column(operation, row, "step")? })
        };
        rows.iter().map(read).collect()
    }

    fn rollout(&self, operation: &'static str, row: &Row) -> Result<RolloutRecord, StoreError> {
        let name: String = self.column(operation, row, "status")?;
        let status = RolloutStatus::ALL.into_iter().find(|status| status.name() == name);
        Ok(RolloutRecord {
            id: self.column(operation, row, "id")?,
            name: self.column(operation, row, "name")?,
            run: self.column(operation, row, "run")?,
            started_at: self.column(operation, row, "started_at")?,
            ended_at: self.column(operation, row, "ended_at")?,
            status: status.ok_or_else(|| self.problem(operation, format!("`{name}` is no status of a rollout")))?,
            intent: self.column(operation, row, "intent")?,
            state: self.column(operation, row, "state")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rollout_is_found_where_it_stands_with_its_steps_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
        let step = |text: &str| RolloutStep { at: "2026-07-01T00:00:00Z".to_owned(), step: text.to_owned() };
        let first = store.begin_rollout(("checkout", "one"), "{}", "1", "2026-07-01T00:00:00Z").await.unwrap();
        let other = store.begin_rollout(("other", "two"), "{}", "1", "2026-07-02T00:00:00Z").await.unwrap();
        let running = (RolloutStatus::Running, "2");
        store.advance_rollout(first, running, &[step("a"), step("b")], "2026-07-01T00:00:01Z").await.unwrap();
        store.advance_rollout(other, running, &[step("x")], "2026-07-01T00:00:01Z").await.unwrap();
        let ended = (RolloutStatus::Back, "3");
        store.advance_rollout(first, ended, &[step("c")], "2026-07-01T00:00:02Z").await.unwrap();
        let found = store.rollouts().await.unwrap();
        assert_eq!([found[0].id, found[1].id], [other, first]);
        assert_eq!((found[0].status, found[0].ended_at.as_deref()), (RolloutStatus::Running, None));
        assert_eq!((found[1].status, found[1].state.as_str()), (RolloutStatus::Back, "3"));
        assert_eq!(found[1].ended_at.as_deref(), Some("2026-07-01T00:00:02Z"));
        assert_eq!(store.rollout_steps(first).await.unwrap(), [step("a"), step("b"), step("c")]);
    }
}
