//! Runs and their trials.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{NewRun, RunAnswer, RunRecord, RunStatus, RunSummary, Store, StoreError, TrialRecord, query::Row};
use crate::model::{Recommendation, Throughput, Verdict};

/// Runs that are named where a name is not clear.
const SHOWN: usize = 10;

/// Which runs are listed.
#[derive(Clone, Debug, Default)]
pub(super) struct Which {
    pub(super) round: Option<i64>,
    pub(super) experiment: Option<String>,
    pub(super) limit: Option<i64>,
    pub(super) offset: i64,
}

/// What lists need of an answer.
#[derive(Deserialize)]
struct AnswerAlone {
    verdict: Verdict,
    throughput: Throughput,
}

impl Store {
    /// Stores a run that begins.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when its id is taken, or when it cannot be written.
    pub async fn begin_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let operation = "begin a run";
        let intent = self.json(operation, run)?;
        let begun = self
            .query(
                operation,
                "INSERT INTO runs (id, started_at, status, profile_name, profile_source, target, seed, intent, round)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(&*run.id)
            .bind(&*run.started_at)
            .bind(RunStatus::Running.name())
            .bind(&*run.profile_name)
            .bind(&*run.profile_source)
            .bind(&*run.target)
            // The databases' integers are signed: a seed is kept as text.
            .bind(run.seed.to_string())
            .bind(&*intent)
            .bind(run.round)
            .attempt()
            .await?;
        match begun {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                // The first time may have got through before the connection was lost.
                let ours = "SELECT id FROM runs WHERE id = $1 AND intent = $2";
                let found = self.query(operation, ours).bind(&*run.id).bind(intent).run().await?;
                if self.at.is_shared() && !found.rows.is_empty() {
                    return Ok(());
                }
                Err(StoreError::Exists { run: run.id.clone() })
            }
            begun => begun.map(drop).map_err(|error| self.failed(operation, &error)),
        }
    }

    /// Stores a trial; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn record_trial(&self, run: &str, trial: &TrialRecord) -> Result<(), StoreError> {
        let operation = "store a trial";
        let record = self.json(operation, trial)?;
        let stored = self
            .query(operation, "INSERT INTO trials (run, sequence, phase, record) VALUES ($1, $2, $3, $4)")
            .bind(run)
            .bind(i64::from(trial.sequence))
            .bind(&*trial.phase)
            .bind(&*record)
            .attempt()
            .await?;
        match stored {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                // The first time may have got through before the connection was lost.
                let ours = "SELECT run FROM trials WHERE run = $1 AND sequence = $2 AND record = $3";
                let ours = self.query(operation, ours).bind(run).bind(i64::from(trial.sequence)).bind(record);
                if !ours.run().await?.rows.is_empty() {
                    return Ok(());
                }
                let text = format!(
                    "trial {} of run {run} is there already: another process goes on with the run",
                    trial.sequence
                );
                Err(self.problem(operation, text))
            }
            stored => stored.map(drop).map_err(|error| self.failed(operation, &error)),
        }
    }

    /// A run's trials, in order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn trials(&self, run: &str) -> Result<Vec<TrialRecord>, StoreError> {
        let operation = "read trials";
        let trials = "SELECT record FROM trials WHERE run = $1 ORDER BY sequence";
        let rows = self.query(operation, trials).bind(run).run().await?.rows;
        rows.iter().map(|row| self.parse(operation, row, "record")).collect()
    }

    /// Notes how far a run has come.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn set_status(&self, run: &str, status: RunStatus) -> Result<(), StoreError> {
        let update = "UPDATE runs SET status = $1 WHERE id = $2";
        let done = self.query("store a run's status", update).bind(status.name()).bind(run).run().await?;
        self.updated(run, done.affected)
    }

    /// Stores a run's answer.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn finish_run(&self, run: &str, recommendation: &Recommendation) -> Result<(), StoreError> {
        let operation = "store a recommendation";
        let done = self
            .query(operation, "UPDATE runs SET status = $1, recommendation = $2 WHERE id = $3")
            .bind(RunStatus::Finished.name())
            .bind(self.json(operation, recommendation)?)
            .bind(run)
            .run()
            .await?;
        self.updated(run, done.affected)
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries(&Which::default()).await
    }

    /// Some runs, newest first, and how many there are of their kind.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn page(
        &self,
        experiment: Option<&str>,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<RunSummary>, u32), StoreError> {
        let operation = "count runs";
        let count = "SELECT count(*) AS count FROM runs LEFT JOIN rounds ON rounds.id = runs.round
             WHERE $1 IS NULL OR rounds.experiment = $1";
        let rows = self.query(operation, count).bind(experiment).run().await?.rows;
        let total: i64 = rows.first().map_or(Ok(0), |row| self.column(operation, row, "count"))?;
        let experiment = experiment.map(str::to_owned);
        let which = Which { experiment, limit: Some(limit.into()), offset: offset.into(), round: None };
        Ok((self.summaries(&which).await?, u32::try_from(total).unwrap_or(u32::MAX)))
    }

    /// The newest run with an answer of each profile on each target, newest first: their ids.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn newest_answers(&self) -> Result<Vec<String>, StoreError> {
        let operation = "list answers";
        let runs = "SELECT id, profile_name, target FROM runs WHERE status = $1 ORDER BY started_at DESC, rowid DESC";
        let rows = self.query(operation, runs).bind(RunStatus::Finished.name()).run().await?.rows;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for row in &rows {
            let kind: (String, String) =
                (self.column(operation, row, "profile_name")?, self.column(operation, row, "target")?);
            if seen.insert(kind) {
                found.push(self.column(operation, row, "id")?);
            }
        }
        Ok(found)
    }

    /// The answers of a profile on a target, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn answers(&self, profile: &str, target: &str, limit: u32) -> Result<Vec<RunAnswer>, StoreError> {
        let operation = "list answers";
        let runs =
            "SELECT id, started_at, recommendation FROM runs WHERE status = $1 AND profile_name = $2 AND target = $3
             ORDER BY started_at DESC, rowid DESC LIMIT $4";
        let query = self.query(operation, runs).bind(RunStatus::Finished.name()).bind(profile).bind(target);
        let rows = query.bind(Some(i64::from(limit))).run().await?.rows;
        let answer = |row: &Row| {
            let AnswerAlone { verdict, throughput } = self.parse(operation, row, "recommendation")?;
            Ok(RunAnswer {
                id: self.column(operation, row, "id")?,
                started_at: self.column(operation, row, "started_at")?,
                verdict,
                throughput,
            })
        };
        rows.iter().map(answer).collect()
    }

    /// Runs, newest first.
    pub(super) async fn summaries(&self, which: &Which) -> Result<Vec<RunSummary>, StoreError> {
        let operation = "list runs";
        let runs = "SELECT id, started_at, status, profile_name, target, recommendation,
                    (SELECT count(*) FROM trials WHERE run = runs.id) AS trials,
                    (SELECT experiment FROM rounds WHERE rounds.id = runs.round) AS experiment
             FROM runs WHERE ($1 IS NULL OR round = $1)
               AND ($2 IS NULL OR EXISTS (SELECT 1 FROM rounds WHERE rounds.id = runs.round AND rounds.experiment = $2))
             ORDER BY started_at DESC, rowid DESC LIMIT $3 OFFSET $4";
        let Which { round, experiment, limit, offset } = which;
        let query = self.query(operation, runs).bind(*round).bind(experiment.as_deref());
        let rows = query.bind(Some(limit.unwrap_or(i64::from(u32::MAX)))).bind(Some(*offset)).run().await?.rows;
        rows.iter()
            .map(|row| {
                Ok(RunSummary {
                    id: self.column(operation, row, "id")?,
                    started_at: self.column(operation, row, "started_at")?,
                    profile: self.column(operation, row, "profile_name")?,
                    target: self.column(operation, row, "target")?,
                    experiment: self.column(operation, row, "experiment")?,
                    status: self.status(operation, row)?,
                    trials: u32::try_from(self.column::<i64>(operation, row, "trials")?).unwrap_or(u32::MAX),
                    verdict: self.verdict(operation, row)?,
                })
            })
            .collect()
    }

    /// One run: by its id, by the beginning of its id when no other begins so, or the newest as `latest`.
    ///
    /// # Errors
    /// [`StoreError::NoRun`] when there is none, or several.
    pub async fn run(&self, id: &str) -> Result<RunRecord, StoreError> {
        let operation = "read a run";
        let ids = "SELECT id FROM runs ORDER BY started_at DESC, rowid DESC";
        let rows = self.query(operation, ids).run().await?.rows;
        let runs = rows.iter().map(|row| self.column(operation, row, "id")).collect::<Result<Vec<String>, _>>()?;
        let found = if id == "latest" {
            runs.first()
        } else {
            let starting: Vec<_> = runs.iter().filter(|run| run.starts_with(id)).collect();
            runs.iter().find(|run| *run == id).or_else(|| (starting.len() == 1).then(|| starting[0]))
        };
        let Some(found) = found else {
            return Err(self.no_run(id, hint(id, &runs)));
        };
        let run = "SELECT intent, status, recommendation FROM runs WHERE id = $1";
        let rows = self.query(operation, run).bind(found.as_str()).run().await?.rows;
        // Where several use a store, one may remove it meanwhile.
        let Some(row) = rows.first() else { return Err(self.no_run(id, "it was removed just now".to_owned())) };
        Ok(RunRecord {
            intent: self.parse(operation, row, "intent")?,
            status: self.status(operation, row)?,
            recommendation: self.recommendation(operation, row)?,
        })
    }

    pub(super) fn status(&self, operation: &'static str, row: &Row) -> Result<RunStatus, StoreError> {
        let name: String = self.column(operation, row, "status")?;
        RunStatus::ALL
            .into_iter()
            .find(|status| status.name() == name)
            .ok_or_else(|| self.problem(operation, format!("`{name}` is no status of a run")))
    }

    fn recommendation(&self, operation: &'static str, row: &Row) -> Result<Option<Recommendation>, StoreError> {
        let text: Option<String> = self.column(operation, row, "recommendation")?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.problem(operation, error.to_string())))
            .transpose()
    }

    /// Of an answer its verdict alone, which takes a fraction of the time of the whole.
    fn verdict(&self, operation: &'static str, row: &Row) -> Result<Option<Verdict>, StoreError> {
        #[derive(Deserialize)]
        struct Alone {
            verdict: Verdict,
        }
        let text: Option<String> = self.column(operation, row, "recommendation")?;
        let alone = text.map(|text| serde_json::from_str::<Alone>(&text)).transpose();
        alone.map(|alone| alone.map(|alone| alone.verdict)).map_err(|error| self.problem(operation, error.to_string()))
    }

    pub(super) fn parse<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        row: &Row,
        column: &'static str,
    ) -> Result<T, StoreError> {
        self.parsed(operation, &self.column::<String>(operation, row, column)?)
    }

    pub(super) fn parsed<T: DeserializeOwned>(&self, operation: &'static str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.problem(operation, error.to_string()))
    }

    /// As text that reads back: what cannot be read again (a figure that is no number) must not be stored.
    pub(super) fn json<T: Serialize + DeserializeOwned>(
        &self,
        operation: &'static str,
        value: &T,
    ) -> Result<String, StoreError> {
        let text = serde_json::to_string(value).map_err(|error| self.problem(operation, error.to_string()))?;
        match serde_json::from_str::<T>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(self.problem(operation, error.to_string())),
        }
    }

    fn updated(&self, run: &str, rows: u64) -> Result<(), StoreError> {
        if rows == 1 {
            return Ok(());
        }
        Err(self.no_run(run, "it was never begun".to_owned()))
    }

    fn no_run(&self, run: &str, hint: String) -> StoreError {
        StoreError::NoRun { run: run.to_owned(), place: self.at.to_string(), hint }
    }
}

/// What to tell somebody who asked for a run that is not there.
fn hint(id: &str, runs: &[String]) -> String {
    if runs.is_empty() {
        return "there are no runs yet; make one with `pool-tune run`".to_owned();
    }
    let starting: Vec<_> = runs.iter().filter(|run| run.starts_with(id)).map(String::as_str).collect();
    if starting.len() > 1 {
        let more = if starting.len() > SHOWN { ", …" } else { "" };
        return format!("{} runs begin so: {}{more}", starting.len(), starting[..starting.len().min(SHOWN)].join(", "));
    }
    let nearest = runs.iter().max_by(|a, b| strsim::jaro_winkler(id, a).total_cmp(&strsim::jaro_winkler(id, b)));
    format!(
        "there is none of that name; the nearest is `{}`, the newest `{}` (`pool-tune runs` lists all)",
        nearest.map_or("", String::as_str),
        runs[0]
    )
}
