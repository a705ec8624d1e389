use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row as _, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{NewRun, RunRecord, RunStatus, RunSummary, StoreError, TrialRecord};
use crate::model::Recommendation;

/// Codes of SQLite: the disk is full, the file is no database.
const SQLITE_FULL: &str = "13";
const SQLITE_NOTADB: &str = "26";

/// The store of runs in one file.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the file, making it and its folder when they are missing.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be done, or the file is no store of this program or of a newer version of it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |problem: String| StoreError::Open { path: path.to_owned(), problem };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        // A trial is on the disk when it is told to be: a write-ahead log with full synchronisation.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(|error| opening(path, &error))?;
        sqlx::migrate!().run(&pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => StoreError::Foreign {
                path: path.to_owned(),
                problem: format!("a newer version of pool-tune made it (migration {version})"),
            },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => opening(path, &error),
            other => failed(other.to_string()),
        })?;
        Ok(Self { pool, path: path.to_owned() })
    }

    /// Stores a run that begins.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when its id is taken, or when it cannot be written.
    pub async fn begin_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let operation = "begin a run";
        let result = sqlx::query(
            "INSERT INTO runs (id, started_at, status, profile_name, profile_source, target, seed, intent)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&run.id)
        .bind(&run.started_at)
        .bind(RunStatus::Running.name())
        .bind(&run.profile_name)
        .bind(&run.profile_source)
        .bind(&run.target)
        // SQLite's integers are signed: a seed is kept as text.
        .bind(run.seed.to_string())
        .bind(self.json(operation, run)?)
        .execute(&self.pool)
        .await;
        match result {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(StoreError::Exists { run: run.id.clone() })
            }
            result => result.map(|_| ()).map_err(|error| self.failed(operation, &error)),
        }
    }

    /// Stores a trial; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn record_trial(&self, run: &str, trial: &TrialRecord) -> Result<(), StoreError> {
        let operation = "store a trial";
        sqlx::query("INSERT INTO trials (run, sequence, phase, record) VALUES (?, ?, ?, ?)")
            .bind(run)
            .bind(trial.sequence)
            .bind(&trial.phase)
            .bind(self.json(operation, trial)?)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.failed(operation, &error))
    }

    /// A run's trials, in order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn trials(&self, run: &str) -> Result<Vec<TrialRecord>, StoreError> {
        let operation = "read trials";
        let rows = sqlx::query("SELECT record FROM trials WHERE run = ? ORDER BY sequence")
            .bind(run)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failed(operation, &error))?;
        rows.iter().map(|row| self.parse(operation, row, "record")).collect()
    }

    /// Notes how far a run has come.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn set_status(&self, run: &str, status: RunStatus) -> Result<(), StoreError> {
        sqlx::query("UPDATE runs SET status = ? WHERE id = ?")
            .bind(status.name())
            .bind(run)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.failed("store a run's status", &error))
    }

    /// Stores a run's answer.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn finish_run(&self, run: &str, recommendation: &Recommendation) -> Result<(), StoreError> {
        let operation = "store a recommendation";
        sqlx::query("UPDATE runs SET status = ?, recommendation = ? WHERE id = ?")
            .bind(RunStatus::Finished.name())
            .bind(self.json(operation, recommendation)?)
            .bind(run)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.failed(operation, &error))
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let operation = "list runs";
        let rows = sqlx::query(
            "SELECT id, started_at, status, profile_name, target, recommendation,
                    (SELECT count(*) FROM trials WHERE run = id) AS trials
             FROM runs ORDER BY started_at DESC, rowid DESC",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.failed(operation, &error))?;
        rows.iter()
            .map(|row| {
                Ok(RunSummary {
                    id: self.column(operation, row, "id")?,
                    started_at: self.column(operation, row, "started_at")?,
                    profile: self.column(operation, row, "profile_name")?,
                    target: self.column(operation, row, "target")?,
                    status: self.status(operation, row)?,
                    trials: self.column(operation, row, "trials")?,
                    verdict: self.recommendation(operation, row)?.map(|recommendation| recommendation.verdict),
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
        let runs: Vec<String> = self.runs().await?.into_iter().map(|run| run.id).collect();
        let found = if id == "latest" {
            runs.first()
        } else {
            let starting: Vec<_> = runs.iter().filter(|run| run.starts_with(id)).collect();
            runs.iter().find(|run| *run == id).or_else(|| (starting.len() == 1).then(|| starting[0]))
        };
        let Some(found) = found else {
            return Err(StoreError::NoRun { run: id.to_owned(), path: self.path.clone(), hint: hint(id, &runs) });
        };
        let row = sqlx::query("SELECT intent, status, recommendation FROM runs WHERE id = ?")
            .bind(found)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.failed(operation, &error))?;
        Ok(RunRecord {
            intent: self.parse(operation, &row, "intent")?,
            status: self.status(operation, &row)?,
            recommendation: self.recommendation(operation, &row)?,
        })
    }

    fn status(&self, operation: &'static str, row: &SqliteRow) -> Result<RunStatus, StoreError> {
        let name: String = self.column(operation, row, "status")?;
        RunStatus::ALL
            .into_iter()
            .find(|status| status.name() == name)
            .ok_or_else(|| self.problem(operation, format!("`{name}` is no status of a run")))
    }

    fn recommendation(&self, operation: &'static str, row: &SqliteRow) -> Result<Option<Recommendation>, StoreError> {
        let text: Option<String> = self.column(operation, row, "recommendation")?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.problem(operation, error.to_string())))
            .transpose()
    }

    fn column<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &self,
        operation: &'static str,
        row: &'r SqliteRow,
        name: &'static str,
    ) -> Result<T, StoreError> {
        row.try_get(name).map_err(|error| self.failed(operation, &error))
    }

    fn parse<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        row: &SqliteRow,
        column: &'static str,
    ) -> Result<T, StoreError> {
        let text: String = self.column(operation, row, column)?;
        serde_json::from_str(&text).map_err(|error| self.problem(operation, error.to_string()))
    }

    fn json(&self, operation: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| self.problem(operation, error.to_string()))
    }

    fn problem(&self, operation: &'static str, problem: String) -> StoreError {
        StoreError::Failed { operation, path: self.path.clone(), problem }
    }

    fn failed(&self, operation: &'static str, error: &sqlx::Error) -> StoreError {
        if has_code(error, SQLITE_FULL) {
            return StoreError::Full { operation, path: self.path.clone() };
        }
        self.problem(operation, error.to_string())
    }
}

/// The code without SQLite's extension in its upper bits.
fn has_code(error: &sqlx::Error, wanted: &str) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| (code & 0xff).to_string() == wanted)
}

fn opening(path: &Path, error: &sqlx::Error) -> StoreError {
    let path = path.to_owned();
    if has_code(error, SQLITE_NOTADB) {
        return StoreError::Foreign { path, problem: "it is no SQLite database".to_owned() };
    }
    if has_code(error, SQLITE_FULL) {
        return StoreError::Full { operation: "open the runs", path };
    }
    StoreError::Open { path, problem: error.to_string() }
}

/// What to tell somebody who asked for a run that is not there.
fn hint(id: &str, runs: &[String]) -> String {
    if runs.is_empty() {
        return "there are no runs yet; make one with `pool-tune run`".to_owned();
    }
    let starting: Vec<_> = runs.iter().filter(|run| run.starts_with(id)).map(String::as_str).collect();
    if starting.len() > 1 {
        return format!("{} runs begin so: {}", starting.len(), starting.join(", "));
    }
    let nearest = runs.iter().max_by(|a, b| strsim::jaro_winkler(id, a).total_cmp(&strsim::jaro_winkler(id, b)));
    format!(
        "there is none of that name; the nearest is `{}`, the newest `{}` (`pool-tune runs` lists all)",
        nearest.map_or("", String::as_str),
        runs[0]
    )
}
