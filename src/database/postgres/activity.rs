use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    database::{inspect::count, observe::LOOK},
    model::{Activity, Counters, SessionState},
};

const SERVER: &str = "
    select current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
               - coalesce(nullif(current_setting('reserved_connections', true), '')::bigint, 0) as \"limit\",
           xact_commit as commits, xact_rollback as rollbacks, deadlocks, conflicts
    from pg_stat_database where datname = current_database()";

// Where the user may not see more of a row, backend_type and state are null; background processes then have no database or
// no user. A session begins to wait for a lock no earlier than its statement began.
const SESSIONS: &str = "
    select coalesce(application_name, '') as application, state,
           case when state = 'active' and wait_event_type is not null then wait_event_type else '' end as kind,
           case when state = 'active' and wait_event_type is not null then coalesce(wait_event, '') else '' end as event,
           count(*) as count,
           extract(epoch from max(clock_timestamp() - xact_start))::float8 as transaction,
           extract(epoch from max(clock_timestamp() - state_change))::float8 as in_state
    from pg_stat_activity
    where (backend_type = 'client backend' or backend_type is null and datid is not null and usesysid is not null)
      and pid <> pg_backend_pid()
    group by 1, 2, 3, 4";

/// What the server is doing.
///
/// One transaction a look: its settings end with it, and a pooler in between keeps it on one connection.
pub(in crate::database) async fn activity(connection: &mut PgConnection) -> Result<Activity, sqlx::Error> {
    let begin = format!("begin read only; set local statement_timeout = {}", LOOK.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut *connection).await?;
    let server = sqlx::query(SERVER).persistent(false).fetch_one(&mut *connection).await?;
    let sessions = sqlx::query(SESSIONS).persistent(false).fetch_all(&mut *connection).await?;
    sqlx::raw_sql("commit").execute(&mut *connection).await?;
    read(&server, &sessions)
}

fn read(server: &PgRow, rows: &[PgRow]) -> Result<Activity, sqlx::Error> {
    let counter = |name| Ok::<_, sqlx::Error>(u64::try_from(server.try_get::<i64, _>(name)?).unwrap_or(0));
    let mut activity = Activity {
        limit: count(server.try_get("limit")?),
        counters: Counters {
            commits: counter("commits")?,
            rollbacks: counter("rollbacks")?,
            deadlocks: counter("deadlocks")?,
            conflicts: counter("conflicts")?,
        },
        ..Activity::default()
    };
    for row in rows {
        let (application, kind, event): (String, String, String) =
            (row.try_get("application")?, row.try_get("kind")?, row.try_get("event")?);
        let number = count(row.try_get("count")?);
        let state = match row.try_get::<Option<&str>, _>("state")? {
            None | Some("disabled") => SessionState::Hidden,
            Some("idle") => SessionState::Idle,
            Some(state) if state.starts_with("idle in transaction") => SessionState::IdleInTransaction,
            Some(_) => SessionState::Active,
        };
        let (transaction, in_state): (Option<f64>, Option<f64>) =
            (row.try_get("transaction")?, row.try_get("in_state")?);
        activity.oldest_transaction = longer(activity.oldest_transaction, transaction);
        if state == SessionState::IdleInTransaction {
            activity.oldest_idle_in_transaction = longer(activity.oldest_idle_in_transaction, in_state);
        }
        if kind == Activity::LOCK {
            activity.longest_lock_wait = longer(activity.longest_lock_wait, in_state);
        }
        activity.add(application, state, (kind, event), number);
    }
    activity.sort();
    Ok(activity)
}

/// The longer of two times; clocks that were set back give no negative ones.
fn longer(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    let other = other.map(|time| time.max(0.0));
    one.into_iter().chain(other).max_by(f64::total_cmp)
}
