use std::{collections::BTreeMap, time::Duration};

use sqlx::{MySqlConnection, Row as _, mysql::MySqlRow};

use super::{Way, own_connections};
use crate::{
    database::{
        Inspection, OtherClients,
        inspect::{Limits, count},
    },
    model::Dialect,
};

const RECORDED: [&str; 10] = [
    "max_connections",
    "innodb_buffer_pool_size",
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "sync_binlog",
    "log_bin",
    "thread_handling",
    "transaction_isolation",
    "have_ssl",
    "wait_timeout",
];

const FACTS: &str = "
    select cast(version() as char) as version, cast(@@version_comment as char) as comment,
           cast(@@global.max_connections as signed) as max_connections,
           cast(@@max_user_connections as signed) as user_limit,
           cast(@@global.read_only as signed) as read_only,
           cast(substring_index(user(), '@', 1) as char) as user";

// A client without a request has the command Sleep; what the server does for itself, replicas included, is no client, but
// replicas count among the connections.
const CLIENTS: &str = "
    select cast(id as unsigned) as id, cast(user as char) as user, cast(coalesce(db, '') as char) as db,
           cast(substring_index(host, ':', 1) as char) as host, command = 'Sleep' as idle,
           command like 'Binlog Dump%' as replica
    from information_schema.processlist
    where command <> 'Daemon' and user not in ('system user', 'event_scheduler')";

/// Looks at a server's limits and clients.
///
/// Who lacks the right `PROCESS` sees only the connections of its own user; the server tells everybody how many there are.
pub(in crate::database) async fn inspect(
    way: &Way,
    connection: &mut MySqlConnection,
) -> Result<Inspection, sqlx::Error> {
    /// How long a connection that was closed may go on being counted.
    const SETTLING: [u64; 4] = [0, 20, 50, 100];
    let facts = sqlx::query(FACTS).fetch_one(&mut *connection).await?;
    let mut clients = Vec::new();
    for wait in SETTLING {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        clients = others(way, connection).await?;
        if clients.is_empty() {
            break;
        }
    }
    let user: String = facts.try_get("user")?;
    let user_limit: i64 = facts.try_get("user_limit")?;
    let in_use = |wanted: &dyn Fn(&OtherClients) -> bool| {
        clients.iter().filter(|client| wanted(client)).map(|client| client.count).sum::<u32>()
    };
    let limits = Limits {
        server: count(facts.try_get("max_connections")?),
        reserved: 0,
        in_use: in_use(&|_| true),
        role: (user_limit > 0).then(|| (count(user_limit), in_use(&|client| client.user == user))),
        database: None,
    };
    let (free, bound) = limits.free(user, String::new());
    let (version, comment): (String, String) = (facts.try_get("version")?, facts.try_get("comment")?);
    let name = if version.contains("MariaDB") || comment.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    Ok(Inspection {
        dialect: Dialect::MySql,
        version: format!("{name} {}", version.split('-').next().unwrap_or(&version)),
        max_connections: limits.server,
        reserved: limits.reserved,
        in_use: limits.in_use,
        free,
        bound,
        other_clients: clients,
        is_replica: facts.try_get::<i64, _>("read_only")? != 0,
        // The grants of a user may come from roles and patterns: making the database tells.
        may_create_schema: true,
        settings: settings(connection).await?,
    })
}

/// Connections of others than this process.
async fn others(way: &Way, connection: &mut MySqlConnection) -> Result<Vec<OtherClients>, sqlx::Error> {
    let rows = sqlx::query(CLIENTS).fetch_all(&mut *connection).await?;
    let shown = way.to_string();
    let is_own = |id: u64| own_connections(|own| own.contains(&(shown.clone(), id)));
    let mut groups: BTreeMap<(String, String, String, bool), u32> = BTreeMap::new();
    let seen = count(i64::try_from(rows.len()).unwrap_or(i64::MAX));
    for row in rows {
        if !is_own(row.try_get("id")?) && row.try_get::<i64, _>("replica")? == 0 {
            let key =
                (row.try_get("host")?, row.try_get("user")?, row.try_get("db")?, row.try_get::<i64, _>("idle")? != 0);
            *groups.entry(key).or_default() += 1;
        }
    }
    let mut clients: Vec<OtherClients> = groups
        .into_iter()
        .map(|((host, user, database, idle), count)| OtherClients {
            // Clients have no names here; where they come from tells something.
            application: host,
            user,
            database,
            state: Some(if idle { "idle" } else { "active" }.to_owned()),
            count,
        })
        .collect();
    let connected: MySqlRow =
        sqlx::query("show global status like 'Threads_connected'").fetch_one(&mut *connection).await?;
    let connected: u32 = connected.try_get::<String, _>(1)?.parse().unwrap_or(0);
    if connected > seen {
        clients.push(OtherClients {
            application: "others that the URL's user may not see".to_owned(),
            user: String::new(),
            database: String::new(),
            state: None,
            count: connected - seen,
        });
    }
    clients.sort_by_key(|client| std::cmp::Reverse(client.count));
    Ok(clients)
}

async fn settings(connection: &mut MySqlConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query("show global variables").fetch_all(connection).await?;
    let all = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<BTreeMap<String, String>, sqlx::Error>>()?;
    let recorded = RECORDED.iter().filter_map(|name| Some(((*name).to_owned(), all.get(*name)?.clone())));
    Ok(recorded.collect())
}
