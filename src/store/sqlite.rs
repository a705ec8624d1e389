use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row as _, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{NewRun, RunRecord, RunStatus, RunSummary, StoreError, TrialRecord};
use crate::model::Recommendation;

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The store of runs in one file.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
    path: PathBuf,
}

/// What a file holds.
enum Contents {
    /// Nothing yet.
    Nothing,
    /// A store; its last migration, if any is finished.
    Store(Option<i64>),
    /// Something else.
    Foreign,
}

impl Store {
    /// Opens the file to write and read, making it and its folder when they are missing.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be done, or the file is no store of this program or of a newer version of it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| StoreError::Open { path: path.to_owned(), problem: error.to_string() })?;
        }
        // A trial is on the disk when it is told to be: a write-ahead log with full synchronisation.
        let options = options(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let opening = |error: sqlx::Error| failed("open the runs", path, &error);
        // Another program's file is not even given a write-ahead log.
        if path.exists() && matches!(look_into(self::options(path)).await.map_err(opening)?, (_, Contents::Foreign)) {
            return Err(foreign(path));
        }
        let pool = connect(options).await.map_err(opening)?;
        // Two programs that open a new file at once must not both make its tables.
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(opening)?;
        // `run` asks for a lifetime that a transaction's connection cannot have; this is what it calls.
        MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| migrating(path, error))?;
        transaction.commit().await.map_err(opening)?;
        Ok(Self { pool, path: path.to_owned() })
    }

    /// Opens the file to read what is there and changes nothing, so that a folder that cannot be written will do.
    /// Gives `None` when there is nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read, or is no store of this program or of a newer version of it.
    pub async fn open_to_read(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let opening = |error: sqlx::Error| failed("open the runs", path, &error);
        let (pool, contents) = match look_into(options(path)).await {
            // SQLite makes a file beside one that has a write-ahead log. Where it may not and there is no log,
            // nobody writes.
            Err(error) if is(&error, &[code::CANTOPEN, code::READONLY]) && !log(path).exists() => {
                look_into(options(path).read_only(true).immutable(true)).await
            }
            looked => looked,
        }
        .map_err(opening)?;
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
        match contents {
            Contents::Nothing => Ok(None),
            Contents::Foreign => Err(foreign(path)),
            Contents::Store(version) if version == newest => Ok(Some(Self { pool, path: path.to_owned() })),
            // An older store is brought up to date first, a newer one is told.
            Contents::Store(_) => Self::open(path).await.map(Some),
        }
    }

    /// Stores a run that begins.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when its id is taken, or when it cannot be written.
    pub async fn begin_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let operation = "begin a run";
        let result = sqlx::query(
            "INSERT INTO runs (id, started_at, status, profile_name, profile_source, target, seed, intent, round)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        .bind(run.round)
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
            .map_err(|error| self.failed("store a run's status", &error))
            .and_then(|done| self.updated(run, done.rows_affected()))
    }

    /// Marks every run and every round that is told to be under way as interrupted: for whoever knows that none is.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn bury_the_dead(&self) -> Result<(), StoreError> {
        for update in ["UPDATE runs SET status = ? WHERE status = ?", "UPDATE rounds SET status = ? WHERE status = ?"] {
            sqlx::query(update)
                .bind(RunStatus::Interrupted.name())
                .bind(RunStatus::Running.name())
                .execute(&self.pool)
                .await
                .map_err(|error| self.failed("store a run's status", &error))?;
        }
        Ok(())
    }

    /// Closes the file: what is in its write-ahead log goes into it, so that it can be copied alone.
    pub async fn close(self) {
        self.pool.close().await;
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
            .map_err(|error| self.failed(operation, &error))
            .and_then(|done| self.updated(run, done.rows_affected()))
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries(None).await
    }

    /// All runs, or those of a round, newest first.
    pub(super) async fn summaries(&self, round: Option<i64>) -> Result<Vec<RunSummary>, StoreError> {
        let operation = "list runs";
        let rows = sqlx::query(
            "SELECT id, started_at, status, profile_name, target, recommendation,
                    (SELECT count(*) FROM trials WHERE run = runs.id) AS trials,
                    (SELECT experiment FROM rounds WHERE rounds.id = runs.round) AS experiment
             FROM runs WHERE ?1 IS NULL OR round = ?1 ORDER BY started_at DESC, rowid DESC",
        )
        .bind(round)
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
                    experiment: self.column(operation, row, "experiment")?,
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

    pub(super) fn status(&self, operation: &'static str, row: &SqliteRow) -> Result<RunStatus, StoreError> {
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

    pub(super) fn column<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
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

    /// As text that reads back: what cannot be read again (a figure that is no number) must not be stored.
    fn json<T: Serialize + DeserializeOwned>(&self, operation: &'static str, value: &T) -> Result<String, StoreError> {
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
        Err(StoreError::NoRun { run: run.to_owned(), path: self.path.clone(), hint: "it was never begun".to_owned() })
    }

    pub(super) fn problem(&self, operation: &'static str, problem: String) -> StoreError {
        StoreError::Failed { operation, path: self.path.clone(), problem }
    }

    pub(super) fn failed(&self, operation: &'static str, error: &sqlx::Error) -> StoreError {
        failed(operation, &self.path, error)
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5))
}

async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

async fn look_into(options: SqliteConnectOptions) -> Result<(SqlitePool, Contents), sqlx::Error> {
    let pool = connect(options).await?;
    let found = contents(&mut *pool.acquire().await?).await?;
    Ok((pool, found))
}

async fn contents(connection: &mut SqliteConnection) -> Result<Contents, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .fetch_all(&mut *connection)
            .await?;
    if tables.is_empty() {
        return Ok(Contents::Nothing);
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Ok(Contents::Foreign);
    }
    let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
    version.fetch_one(connection).await.map(Contents::Store)
}

/// The write-ahead log of a file.
fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Foreign { path: path.to_owned(), problem: "it is another program's database".to_owned() }
}

fn migrating(path: &Path, error: MigrateError) -> StoreError {
    let problem = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return failed("open the runs", path, &error);
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            format!("a newer version of pool-tune made it (migration {version})")
        }
        MigrateError::VersionMismatch(version) => {
            format!("another program, or an unreleased pool-tune, made it (migration {version} differs)")
        }
        other => other.to_string(),
    };
    StoreError::Foreign { path: path.to_owned(), problem }
}

/// Whether SQLite gave one of these codes; the upper bits of a code only refine it.
fn is(error: &sqlx::Error, codes: &[u32]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| codes.contains(&(code & 0xff)))
}

fn failed(operation: &'static str, path: &Path, error: &sqlx::Error) -> StoreError {
    let path = path.to_owned();
    let problem = error.to_string();
    if is(error, &[code::FULL]) {
        StoreError::Full { operation, path }
    } else if is(error, &[code::NOTADB]) {
        StoreError::Foreign { path, problem: "it is no SQLite database".to_owned() }
    } else if is(error, &[code::CORRUPT]) {
        StoreError::Foreign { path, problem: format!("it is damaged ({problem})") }
    } else if is(error, &[code::READONLY, code::CANTOPEN]) {
        StoreError::Open { path, problem }
    } else if is(error, &[code::BUSY]) {
        let problem = "another program has it locked; end that program, or wait for it".to_owned();
        StoreError::Failed { operation, path, problem }
    } else {
        StoreError::Failed { operation, path, problem }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> NewRun {
        NewRun {
            id: id.to_owned(),
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            profile_file: None,
            profile_name: "light".to_owned(),
            profile_source: "name: light".to_owned(),
            pins: Vec::new(),
            ranges: Vec::new(),
            seed: u64::MAX,
            target: "simulated".to_owned(),
            server_version: String::new(),
            server_settings: serde_json::Map::new(),
            machine: String::new(),
            program_version: String::new(),
            prefix: "SUPABASE".to_owned(),
            pid: 1,
            trials: None,
            pairs: None,
            instances: None,
            seconds: None,
            experiment: None,
            round: None,
        }
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool-tune.db");
        (folder, path)
    }

    /// Runs SQL on a file of SQLite's that no store has made.
    async fn another_program(path: &Path, sql: &'static str) {
        let pool = connect(options(path).create_if_missing(true)).await.unwrap();
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_can_open_a_new_file_at_once() {
        let (_folder, path) = file();
        let mut openings = tokio::task::JoinSet::new();
        for number in 0..16 {
            let path = path.clone();
            openings.spawn(async move {
                Store::open_to_read(&path).await.unwrap();
                Store::open(&path).await.unwrap().begin_run(&run(&number.to_string())).await.unwrap();
            });
        }
        openings.join_all().await;
        assert_eq!(Store::open_to_read(&path).await.unwrap().unwrap().runs().await.unwrap().len(), 16);
    }

    #[tokio::test]
    async fn reading_makes_nothing() {
        let (_folder, path) = file();
        assert!(Store::open_to_read(&path).await.unwrap().is_none());
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert!(Store::open_to_read(&path).await.unwrap().is_none());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn another_programs_file_is_refused_and_left_alone() {
        let (_folder, path) = file();
        another_program(&path, "create table runs (id integer)").await;
        let before = fs::read(&path).unwrap();
        assert!(matches!(Store::open_to_read(&path).await, Err(StoreError::Foreign { .. })));
        assert!(matches!(Store::open(&path).await, Err(StoreError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[tokio::test]
    async fn other_migrations_are_told() {
        for (change, says) in [
            ("insert into _sqlx_migrations select 99, '', '', 1, x'00', 0", "newer version"),
            ("update _sqlx_migrations set checksum = x'00'", "differs"),
        ] {
            let (_folder, path) = file();
            Store::open(&path).await.unwrap().pool.close().await;
            another_program(&path, change).await;
            let error = Store::open(&path).await.unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("--results"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_in_a_folder_that_cannot_be_written_is_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, path) = file();
        let store = Store::open(&path).await.unwrap();
        store.begin_run(&run("one")).await.unwrap();
        store.pool.close().await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let store = Store::open_to_read(&path).await.unwrap().unwrap();
        assert_eq!(store.run("latest").await.unwrap().intent.seed, u64::MAX);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_file_is_told() {
        let (_folder, path) = file();
        let store = Store::open(&path).await.unwrap();
        store.begin_run(&run("one")).await.unwrap();
        store.pool.close().await;
        let mut bytes = fs::read(&path).unwrap();
        bytes[100..].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let error = Store::open_to_read(&path).await.unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }

    #[tokio::test]
    async fn a_run_that_was_never_begun_has_no_status() {
        let (_folder, path) = file();
        let store = Store::open(&path).await.unwrap();
        assert!(matches!(store.set_status("none", RunStatus::Failed).await, Err(StoreError::NoRun { .. })));
        store.begin_run(&run("one")).await.unwrap();
        assert!(matches!(store.begin_run(&run("one")).await, Err(StoreError::Exists { .. })));
        store.set_status("one", RunStatus::Failed).await.unwrap();
        assert_eq!(store.run("one").await.unwrap().status, RunStatus::Failed);
    }
}
