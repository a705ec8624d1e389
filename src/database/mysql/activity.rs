use std::collections::HashMap;

use sqlx::{MySqlConnection, Row as _};

use crate::{
    database::{inspect::count, observe::LOOK},
    model::{Activity, Counters, SessionState},
};

// A session of the server's own, replicas included, is no client's.
const SESSIONS: &str = "
    select cast(id as unsigned) as id, cast(user as char) as user, cast(substring_index(host, ':', 1) as char) as host,
           command = 'Sleep' as idle, cast(coalesce(time, 0) as signed) as in_state, cast(coalesce(state, '') as char) as state
    from information_schema.processlist
    where command not in ('Daemon', 'Binlog Dump', 'Binlog Dump GTID') and user not in ('system user', 'event_scheduler')
      and id <> connection_id()";

const TRANSACTIONS: &str = "
    select cast(trx_mysql_thread_id as unsigned) as id, trx_state = 'LOCK WAIT' as waits,
           cast(timestampdiff(second, trx_started, now()) as signed) as age,
           cast(coalesce(timestampdiff(second, trx_wait_started, now()), 0) as signed) as waiting
    from information_schema.innodb_trx where trx_mysql_thread_id <> connection_id()";

const STATUS: &str = "show global status where variable_name in
    ('Com_commit', 'Com_rollback', 'Innodb_deadlocks', 'Threads_connected')";

/// An open transaction of a session.
struct Transaction {
    waits: bool,
    age: f64,
    waiting: f64,
}

/// From now on the connection takes no writes and no long statements.
pub(in crate::database) async fn take_only_looks(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    // MariaDB knows the one time, MySQL the other.
    for setting in [
        "set session transaction read only".to_owned(),
        format!("set session max_statement_time = {}", LOOK.as_secs()),
        format!("set session max_execution_time = {}", LOOK.as_millis()),
    ] {
        match sqlx::raw_sql(sqlx::AssertSqlSafe(setting)).execute(&mut *connection).await {
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the server is doing.
///
/// Who lacks the right `PROCESS` sees only sessions of its own user, and no transactions; the server tells everybody how many
/// sessions there are.
pub(in crate::database) async fn activity(connection: &mut MySqlConnection) -> Result<Activity, sqlx::Error> {
    let limit: i64 = sqlx::query_scalar("select cast(@@global.max_connections as signed)")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    let status = status(connection).await?;
    let counter = |name: &str| status.get(name).copied().unwrap_or(0);
    let mut activity = Activity {
        limit: count(limit),
        counters: Counters {
            commits: counter("com_commit"),
            rollbacks: counter("com_rollback"),
            deadlocks: counter("innodb_deadlocks"),
            conflicts: 0,
        },
        ..Activity::default()
    };
    let transactions = transactions(connection).await?;
    for row in sqlx::query(SESSIONS).persistent(false).fetch_all(&mut *connection).await? {
        let transaction = transactions.get(&row.try_get::<u64, _>("id")?);
        let idle = row.try_get::<i64, _>("idle")? != 0;
        let state: String = row.try_get("state")?;
        let in_state = seconds_of(row.try_get("in_state")?);
        let kind = match (transaction, state.contains("lock")) {
            (Some(Transaction { waits: true, .. }), _) => Activity::LOCK,
            (_, true) if !idle => Activity::LOCK,
            _ => "",
        };
        if !kind.is_empty() {
            let waited = transaction.filter(|of| of.waits).map_or(in_state, |of| of.waiting);
            activity.longest_lock_wait = Some(waited.max(activity.longest_lock_wait.unwrap_or(0.0)));
        }
        if let Some(Transaction { age, .. }) = transaction {
            activity.oldest_transaction = Some(age.max(activity.oldest_transaction.unwrap_or(0.0)));
        }
        let of = match (idle, transaction.is_some()) {
            (false, _) => SessionState::Active,
            (true, false) => SessionState::Idle,
            (true, true) => {
                let oldest = activity.oldest_idle_in_transaction.unwrap_or(0.0);
                activity.oldest_idle_in_transaction = Some(in_state.max(oldest));
                SessionState::IdleInTransaction
            }
        };
        // Clients have no names here; whose they are and where they come from tells something.
        let (user, host): (String, String) = (row.try_get("user")?, row.try_get("host")?);
        activity.add(format!("{user}@{host}"), of, (kind.to_owned(), state), 1);
    }
    let connected = count(i64::try_from(counter("threads_connected")).unwrap_or(i64::MAX)).saturating_sub(1);
    if connected > activity.connected {
        let unseen = connected - activity.connected;
        activity.add(String::new(), SessionState::Hidden, (String::new(), String::new()), unseen);
    }
    activity.sort();
    Ok(activity)
}

async fn status(connection: &mut MySqlConnection) -> Result<HashMap<String, u64>, sqlx::Error> {
    let rows = sqlx::query(STATUS).persistent(false).fetch_all(connection).await?;
    let read = |row: &sqlx::mysql::MySqlRow| {
        let (name, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok((name.to_lowercase(), value.parse().unwrap_or(0)))
    };
    rows.iter().map(read).collect()
}

/// The open transactions by session; none where the user may not see them.
async fn transactions(connection: &mut MySqlConnection) -> Result<HashMap<u64, Transaction>, sqlx::Error> {
    let rows = match sqlx::query(TRANSACTIONS).persistent(false).fetch_all(connection).await {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(_)) => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let read = |row: &sqlx::mysql::MySqlRow| {
        let transaction = Transaction {
            waits: row.try_get::<i64, _>("waits")? != 0,
            age: seconds_of(row.try_get("age")?),
            waiting: seconds_of(row.try_get("waiting")?),
        };
        Ok((row.try_get("id")?, transaction))
    };
    rows.iter().map(read).collect()
}

fn seconds_of(seconds: i64) -> f64 {
    f64::from(count(seconds))
}
