//! Rules about what the database does.

use super::judge::{Found, Seen, last, recent};
use crate::model::{
    Activity, Counters, SessionState, Severity,
    figures::{percent, time},
};

/// The share of the server's connections that leaves too little room for a deploy.
const NEAR: f64 = 0.9;
/// How long a session may be idle in a transaction: applications that compute meanwhile are done by then.
const IDLE_IN_TRANSACTION: f64 = 5.0;
/// How long a wait for a lock is a part of ordinary work.
const LOCK_WAIT: f64 = 1.0;
/// How old a transaction may become before it keeps others' garbage.
const LONG_TRANSACTION: f64 = 300.0;
/// How far back counters are looked at, in seconds.
const WINDOW: f64 = 60.0;

fn now<'a>(seen: &Seen<'a>) -> Option<&'a Activity> {
    seen.database.last().map(|(_, activity)| *activity)
}

/// What was counted in the last minute.
fn counted(seen: &Seen<'_>) -> Option<Counters> {
    match recent(&seen.database, WINDOW) {
        [(_, first), .., (_, last)] => Some(last.counters.since(&first.counters)),
        _ => None,
    }
}

/// Whose sessions are in a state, most first.
fn whose(activity: &Activity, state: SessionState) -> String {
    let of = activity.sessions.iter().filter(|sessions| sessions.state == state).take(3);
    let named = of.map(|sessions| match sessions.application.as_str() {
        "" => format!("{} without a name", sessions.count),
        name => format!("{} of {name}", sessions.count),
    });
    named.collect::<Vec<_>>().join(", ")
}

pub(super) fn near_limit(seen: &Seen<'_>) -> Option<Found> {
    let activity = now(seen)?;
    let share = f64::from(activity.connected) / f64::from(activity.limit.max(1));
    (share >= NEAR).then(|| Found {
        severity: if activity.connected >= activity.limit { Severity::Serious } else { Severity::Warning },
        title: "The server has hardly a connection left",
        evidence: vec![
            format!("{} of {} connections ({})", activity.connected, activity.limit, percent(share)),
            format!("idle: {}", whose(activity, SessionState::Idle)),
        ],
        remedy: "let all pools together (instances × max_connections) stay below the server's limit: `pool-tune run --instances N` \
                 finds the value for N; or put a pooler in between"
            .to_owned(),
    })
}

pub(super) fn idle_in_transaction(seen: &Seen<'_>) -> Option<Found> {
    let activity = now(seen)?;
    let oldest = activity.oldest_idle_in_transaction.filter(|oldest| *oldest >= IDLE_IN_TRANSACTION)?;
    let waiting = activity.waiting_for_locks();
    let mut evidence =
        vec![format!("the oldest for {}", time(oldest)), whose(activity, SessionState::IdleInTransaction)];
    if waiting > 0 {
        evidence.push(format!("{waiting} sessions wait for locks meanwhile"));
    }
    Some(Found {
        severity: if waiting > 0 { Severity::Serious } else { Severity::Warning },
        title: "Sessions are idle inside a transaction",
        evidence,
        remedy: "end transactions before anything slow (calls, rendering), in every path; the server's \
                 idle_in_transaction_session_timeout bounds the damage"
            .to_owned(),
    })
}

pub(super) fn lock_waits(seen: &Seen<'_>) -> Option<Found> {
    let activity = now(seen)?;
    let longest = activity.longest_lock_wait.filter(|longest| *longest >= LOCK_WAIT)?;
    let waiting = activity.waiting_for_locks();
    let events = activity.waits.iter().filter(|waits| waits.kind == Activity::LOCK).take(3);
    let events: Vec<_> = events.map(|waits| format!("{} × {}", waits.count, waits.event)).collect();
    Some(Found {
        severity: Severity::Warning,
        title: "Sessions wait for each other's locks",
        evidence: vec![
            format!("{waiting} wait, for up to {}", time(longest)),
            events.join(", "),
            format!("oldest transaction {}", time(activity.oldest_transaction.unwrap_or(0.0))),
        ],
        remedy: "see who blocks (`select pid, pg_blocking_pids(pid), query from pg_stat_activity where wait_event_type = 'Lock'`); \
                 shorten transactions, touch hot rows last"
            .to_owned(),
    })
}

pub(super) fn long_transaction(seen: &Seen<'_>) -> Option<Found> {
    let oldest = now(seen)?.oldest_transaction.filter(|oldest| *oldest >= LONG_TRANSACTION)?;
    Some(Found {
        severity: Severity::Warning,
        title: "A transaction has been open for long",
        evidence: vec![format!("for {}", time(oldest))],
        remedy: "what it has locked stays locked, and nothing that was deleted since can be cleaned up: end it, or split the work"
            .to_owned(),
    })
}

pub(super) fn deadlocks(seen: &Seen<'_>) -> Option<Found> {
    let count = counted(seen)?.deadlocks;
    (count > 0).then(|| Found {
        severity: Severity::Warning,
        title: "Transactions deadlock",
        evidence: vec![format!("{count} in the last minute")],
        remedy: "take locks in one order everywhere; retry what was chosen as the victim".to_owned(),
    })
}

pub(super) fn many_rollbacks(seen: &Seen<'_>) -> Option<Found> {
    /// Fewer are no pattern.
    const FEWEST: u64 = 10;
    const SHARE: f64 = 0.05;
    let counted = counted(seen)?;
    #[expect(clippy::cast_precision_loss, reason = "transactions of a minute are far below 2^53")]
    let share = counted.rollbacks as f64 / (counted.commits + counted.rollbacks).max(1) as f64;
    (counted.rollbacks >= FEWEST && share > SHARE).then(|| Found {
        severity: Severity::Note,
        title: "Many transactions are rolled back",
        evidence: vec![format!("{} in the last minute, {} of all", counted.rollbacks, percent(share))],
        remedy:
            "look at the application's errors; a pool that rolls back whatever is returned to it does this by itself"
                .to_owned(),
    })
}

pub(super) fn conflicts(seen: &Seen<'_>) -> Option<Found> {
    let count = counted(seen)?.conflicts;
    (count > 0).then(|| Found {
        severity: Severity::Warning,
        title: "The standby cancels statements that are in its way",
        evidence: vec![format!("{count} in the last minute")],
        remedy: "shorter statements there, hot_standby_feedback, or a longer max_standby_streaming_delay".to_owned(),
    })
}

pub(super) fn many_idle(seen: &Seen<'_>) -> Option<Found> {
    /// A few readings, so that a lull is none.
    const READINGS: usize = 3;
    const IDLE: f64 = 0.8;
    const USED: f64 = 0.5;
    let readings = last(&seen.database, READINGS)?;
    let idle = |activity: &Activity| f64::from(activity.in_state(SessionState::Idle));
    let all = readings.iter().all(|(_, activity)| {
        let connected = f64::from(activity.connected);
        connected >= USED * f64::from(activity.limit) && idle(activity) >= IDLE * connected
    });
    let activity = now(seen).filter(|_| all)?;
    Some(Found {
        severity: Severity::Note,
        title: "Most of the server's connections are idle",
        evidence: vec![
            format!("{} of {} are idle, of {} that there can be", idle(activity), activity.connected, activity.limit),
            whose(activity, SessionState::Idle),
        ],
        remedy: "smaller pools (max_connections, min_connections) or a shorter idle_timeout leave room for others"
            .to_owned(),
    })
}

pub(super) fn hidden(seen: &Seen<'_>) -> Option<Found> {
    let hidden = now(seen)?.in_state(SessionState::Hidden);
    (hidden > 0).then(|| Found {
        severity: Severity::Note,
        title: "Some sessions cannot be seen",
        evidence: vec![format!("{hidden} sessions are others', and what they do is hidden")],
        remedy: "grant the URL's user pg_monitor (PostgreSQL) or PROCESS (MySQL); until then rules see a part only"
            .to_owned(),
    })
}
