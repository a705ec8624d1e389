//! A copy of a store in one file, whichever kind the store is: it is read like any results folder's file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, SqliteConnection, SqlitePool};
use tempfile::TempPath;

use super::{Store, StoreError, query::Database, sqlite};

const OPERATION: &str = "write the backup";

/// A column of a table, and whether it holds whole numbers.
struct Column {
    name: String,
    is_integer: bool,
}

impl Store {
    /// Writes a copy into a file that is not there yet, whole or not at all. It is opened and counted before it gets its name.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is such a file, or whatever keeps the copy from being made.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| failed_file(file, &error);
        if file.symlink_metadata().is_ok() {
            return Err(StoreError::Taken { path: file.to_owned() });
        }
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let making = tempfile::Builder::new().prefix(".pool-tune-backup-").tempdir_in(&folder).map_err(failed)?;
        let copy = making.path().join("store.db");
        let expected = match &self.database {
            Database::Sqlite(_) => {
                let into = copy.to_str().ok_or_else(|| {
                    let problem = "its path is not UTF-8; choose another".to_owned();
                    StoreError::Failed { operation: OPERATION, place: file.display().to_string(), problem }
                })?;
                self.query(OPERATION, "VACUUM INTO $1").bind(into).run().await?;
                // What was written after the copy was begun is not in it: it is only looked at whether it is whole.
                None
            }
            Database::Postgres(pool) => Some(self.copied(pool, &copy).await?),
        };
        check(&copy, expected).await?;
        fs::File::open(&copy).and_then(|copy| copy.sync_all()).map_err(failed)?;
        let named = TempPath::try_from_path(&copy).map_err(failed)?;
        match named.persist_noclobber(file) {
            Ok(()) => {}
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Taken { path: file.to_owned() });
            }
            Err(error) => return Err(failed(error.error)),
        }
        // The name is on the disk only when its folder is.
        fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Copies the rows of all tables, as they are at one moment, and gives how many there are.
    async fn copied(&self, pool: &PgPool, copy: &Path) -> Result<u64, StoreError> {
        let theirs = |error: sqlx::Error| self.failed(OPERATION, &error);
        let ours = |error: sqlx::Error| sqlite::failed(OPERATION, copy, &error);
        // The file has the tables of this version, as the server has.
        Self::open(copy).await?.close().await;
        let file = sqlite::connect(sqlite::options(copy)).await.map_err(ours)?;
        let mut from = pool.begin().await.map_err(theirs)?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *from)
            .await
            .map_err(theirs)?;
        let mut to = file.begin().await.map_err(ours)?;
        // Tables come in the order of their names, which is not that of who refers to whom.
        sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *to).await.map_err(ours)?;
        let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *to).await.map_err(ours)?;
        let mut rows = 0;
        for table in tables {
            rows += self.copy_table(&table, &mut from, &mut to, copy).await?;
        }
        to.commit().await.map_err(ours)?;
        file.close().await;
        Ok(rows)
    }

    async fn copy_table(
        &self,
        table: &str,
        from: &mut sqlx::Transaction<'static, Postgres>,
        to: &mut SqliteConnection,
        copy: &Path,
    ) -> Result<u64, StoreError> {
        let theirs = |error: sqlx::Error| self.failed(OPERATION, &error);
        let ours = |error: sqlx::Error| sqlite::failed(OPERATION, copy, &error);
        let columns = columns(table, to).await.map_err(ours)?;
        let names: Vec<_> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let places: Vec<_> = (1..=columns.len()).map(|place| format!("${place}")).collect();
        let insert = format!("INSERT INTO \"{table}\" ({}) VALUES ({})", names.join(", "), places.join(", "));
        // SQLite numbers rows as they come, and lists are in that order.
        let in_order: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM information_schema.columns
             WHERE table_schema = 'pool_tune' AND table_name = $1 AND column_name = 'rowid')",
        )
        .bind(table)
        .fetch_one(&mut **from)
        .await
        .map_err(theirs)?;
        let order = if in_order { "ORDER BY rowid" } else { "" };
        let select = format!("SELECT {} FROM pool_tune.\"{table}\" {order}", names.join(", "));
        let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut **from);
        let mut count = 0;
        while let Some(row) = rows.try_next().await.map_err(theirs)? {
            let mut query = sqlx::query(AssertSqlSafe(insert.as_str()));
            for (index, column) in columns.iter().enumerate() {
                query = if column.is_integer {
                    query.bind(row.try_get::<Option<i64>, _>(index).map_err(theirs)?)
                } else {
                    query.bind(row.try_get::<Option<String>, _>(index).map_err(theirs)?)
                };
            }
            query.execute(&mut *to).await.map_err(ours)?;
            count += 1;
        }
        Ok(count)
    }
}

/// The tables that hold what is stored.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                      AND name <> '_sqlx_migrations' ORDER BY name";

async fn columns(table: &str, connection: &mut SqliteConnection) -> Result<Vec<Column>, sqlx::Error> {
    let rows = sqlx::query("SELECT name, type FROM pragma_table_info($1)").bind(table).fetch_all(connection).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Column { name: row.try_get("name")?, is_integer: row.try_get::<String, _>("type")? == "INTEGER" })
    };
    rows.iter().map(read).collect()
}

/// Opens a copy, and looks at whether it is whole and has as many rows as were copied.
async fn check(copy: &Path, expected: Option<u64>) -> Result<(), StoreError> {
    let ours = |error: sqlx::Error| sqlite::failed("check the backup", copy, &error);
    let problem = |problem: String| StoreError::Failed {
        operation: "check the backup",
        place: copy.display().to_string(),
        problem,
    };
    let pool: SqlitePool = sqlite::open_to_read(copy).await?.ok_or_else(|| problem("it is empty".to_owned()))?;
    let mut connection = pool.acquire().await.map_err(ours)?;
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *connection).await.map_err(ours)?;
    if whole != "ok" {
        return Err(problem(whole));
    }
    if let Some(expected) = expected {
        let mut found = 0;
        for table in sqlx::query_scalar::<_, String>(TABLES).fetch_all(&mut *connection).await.map_err(ours)? {
            let count = format!("SELECT count(*) FROM \"{table}\"");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *connection).await.map_err(ours)?;
            found += u64::try_from(rows).unwrap_or(0);
        }
        if found != expected {
            return Err(problem(format!("it has {found} rows, and {expected} were copied")));
        }
    }
    drop(connection);
    pool.close().await;
    Ok(())
}

fn failed_file(file: &Path, error: &std::io::Error) -> StoreError {
    let place = file.display().to_string();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full { operation: OPERATION, place }
        }
        _ => StoreError::Failed { operation: OPERATION, place, problem: format!("{error}; choose another place") },
    }
}
