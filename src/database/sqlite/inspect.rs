use std::{fs, path::Path};

use sqlx::SqliteConnection;

use super::Way;
use crate::{
    database::{Bound, Inspection, OtherClients},
    model::Dialect,
};

const RECORDED: [&str; 5] = ["journal_mode", "synchronous", "page_size", "cache_size", "busy_timeout"];

/// Looks at a database file, and at who else has it open.
pub(in crate::database) async fn inspect(
    way: &Way,
    connection: &mut SqliteConnection,
) -> Result<Inspection, sqlx::Error> {
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut *connection).await?;
    let mut settings = Vec::new();
    for name in RECORDED {
        let sql = format!(
            "select cast(\"{}\" as text) from pragma_{name}",
            if name == "busy_timeout" { "timeout" } else { name }
        );
        let value: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        settings.push((name.to_owned(), value));
    }
    let other_clients = others(way.path());
    Ok(Inspection {
        dialect: Dialect::Sqlite,
        version: format!("SQLite {version}"),
        // Nobody counts: a connection is an open file.
        max_connections: u32::MAX,
        reserved: 0,
        in_use: other_clients.iter().map(|client| client.count).sum(),
        free: u32::MAX,
        bound: Bound::Server,
        other_clients,
        is_replica: false,
        may_create_schema: true,
        settings,
    })
}

/// Other processes that have the file open, as far as this user may see: by name, once each.
fn others(path: &Path) -> Vec<OtherClients> {
    let Ok(path) = fs::canonicalize(path) else { return Vec::new() };
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own);
    let has_open = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|open| open == path)
    };
    pids.filter(has_open)
        .map(|pid| OtherClients {
            application: fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned(),
            user: format!("process {pid}"),
            database: path.display().to_string(),
            state: None,
            count: 1,
        })
        .collect()
}
