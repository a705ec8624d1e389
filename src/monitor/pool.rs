//! Rules about what an application tells of its pool.

use super::{
    PoolReading,
    judge::{Found, Seen, last},
};
use crate::{
    diagnose::trend,
    model::{
        SessionState, Severity,
        figures::{percent, time},
    },
};

/// The share of the pool that counts as all of it.
const FULL: f64 = 0.95;
/// Readings in a row, so that a moment's burst is none.
const ROW: usize = 2;
/// How far back what was counted is looked at, in seconds.
const WINDOW: f64 = 60.0;

fn share(pool: &PoolReading) -> Option<f64> {
    let max = pool.max.filter(|max| *max > 0.0)?;
    Some(pool.active? / max)
}

fn waits(pool: &PoolReading) -> bool {
    pool.pending.is_some_and(|pending| pending > 0.0)
}

fn now<'a>(seen: &Seen<'a>) -> Option<&'a PoolReading> {
    seen.pool.last().map(|(_, pool)| *pool)
}

fn figures(pool: &PoolReading) -> String {
    let told = |figure: Option<f64>| figure.map_or("?".to_owned(), |figure| format!("{figure:.0}"));
    format!("{} of {} connections in use, {} requests wait", told(pool.active), told(pool.max), told(pool.pending))
}

/// How long it takes to get a connection, where that is told.
fn acquired(pool: &PoolReading) -> Option<String> {
    let acquired = pool.acquired?;
    match (acquired.p95, acquired.mean) {
        (Some(p95), _) => Some(format!("95 % got one within {}", time(p95))),
        (None, Some(mean)) => Some(format!("to get one takes {} on average", time(mean))),
        (None, None) => None,
    }
}

/// All in use and somebody waits. What the database does at the same time tells why.
pub(super) fn exhausted(seen: &Seen<'_>) -> Option<Found> {
    let full = |pool: &PoolReading| waits(pool) && share(pool).is_some_and(|share| share >= FULL);
    let all = last(&seen.pool, ROW)?.iter().all(|(_, pool)| full(pool));
    let pool = now(seen).filter(|_| all)?;
    let mut evidence = vec![figures(pool)];
    evidence.extend(acquired(pool));
    let database = seen.database.last().map(|(_, activity)| *activity);
    let blocked =
        database.map(|activity| (activity.waiting_for_locks(), activity.in_state(SessionState::IdleInTransaction)));
    let remedy = match blocked {
        Some((locks, idle)) if locks + idle > 0 => {
            evidence.push(format!("on the database {locks} sessions wait for locks, {idle} are idle in a transaction"));
            "connections are held by sessions that wait: mend those first, a larger pool would only add more of them"
        }
        Some(_) => {
            "if the database's processors have room, raise max_connections and verify it with `pool-tune run`; else look at the \
             statements that take longest"
        }
        None => {
            "see what holds connections (`--target URL` shows what the database does): slow statements and locks need other \
             remedies than a larger max_connections"
        }
    };
    Some(Found { severity: Severity::Serious, title: "The pool is exhausted", evidence, remedy: remedy.to_owned() })
}

pub(super) fn timeouts(seen: &Seen<'_>) -> Option<Found> {
    let (at, pool) = seen.pool.last()?;
    // Each reading tells what came since the one before it.
    let recent = seen.pool.iter().filter(|(then, _)| *then > at - WINDOW);
    let count: f64 = recent.filter_map(|(_, pool)| pool.timeouts).sum();
    if count <= 0.0 {
        return None;
    }
    Some(Found {
        severity: Severity::Serious,
        title: "Requests give up waiting for a connection",
        evidence: vec![format!("{count:.0} in the last minute"), figures(pool)],
        remedy: "a timeout hides its cause: all in use is a pool that is too small or held up, free ones are connections that \
                 cannot be opened"
            .to_owned(),
    })
}

/// Requests wait although connections are free: they are being opened or validated, or cannot be.
pub(super) fn waiting_without_use(seen: &Seen<'_>) -> Option<Found> {
    const FREE: f64 = 0.8;
    let idle_wait = |pool: &PoolReading| waits(pool) && share(pool).is_some_and(|share| share < FREE);
    let all = last(&seen.pool, ROW)?.iter().all(|(_, pool)| idle_wait(pool));
    let pool = now(seen).filter(|_| all)?;
    let mut evidence = vec![figures(pool)];
    evidence.extend(acquired(pool));
    Some(Found {
        severity: Severity::Warning,
        title: "Requests wait while connections are free",
        evidence,
        remedy: "connections are being opened or validated, or the server refuses them: look at the server's log and limit, TLS, \
                 DNS; raise min_connections so that they are open before they are needed"
            .to_owned(),
    })
}

/// Use grows and its low points grow, while no more is asked for.
pub(super) fn leak(seen: &Seen<'_>) -> Option<Found> {
    /// By how much more may be asked for.
    const LEVEL: f64 = 1.1;
    let active: Vec<f64> = seen.pool.iter().filter_map(|(_, pool)| pool.active).collect();
    let pool = now(seen)?;
    let least = f64::max(2.0, 0.2 * pool.max.unwrap_or(0.0));
    let grown = trend::rise(&active).filter(|grown| *grown >= least)?;
    let third = (active.len() / 3).max(1);
    let high = |part: &[f64]| part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = |part: &[f64]| part.iter().copied().fold(f64::INFINITY, f64::min);
    // What comes and goes falls below what it has been.
    if low(&active[active.len() - third..]) <= high(&active[..third]) {
        return None;
    }
    let rates: Vec<f64> = seen.pool.iter().filter_map(|(_, pool)| Some(pool.acquired?.rate)).collect();
    if rates.len() >= 2 {
        let half = rates.len() / 2;
        let mean = |part: &[f64]| crate::stats::mean(part);
        if mean(&rates[half..]) > LEVEL * mean(&rates[..half]) {
            return None;
        }
    }
    let span = seen.pool.last()?.0 - seen.pool.first()?.0;
    Some(Found {
        severity: Severity::Warning,
        title: "Connections in use grow and do not fall",
        evidence: vec![
            format!("{grown:.0} more than {} ago (Mann–Kendall, 0.1 %)", time(span)),
            figures(pool),
            if rates.is_empty() { "the application does not tell how many are asked for" } else { "no more are asked for" }
                .to_owned(),
        ],
        remedy: "find the code that keeps connections (a missing close, a transaction left open); connection_lifetime does not close \
                 what is in use"
            .to_owned(),
    })
}

pub(super) fn many_idle(seen: &Seen<'_>) -> Option<Found> {
    /// As many readings as tell a quiet pool from a quiet moment.
    const READINGS: usize = 12;
    const USED: f64 = 0.25;
    const SMALLEST: f64 = 10.0;
    let readings = last(&seen.pool, READINGS)?;
    let pool = now(seen)?;
    let open = pool.active? + pool.idle?;
    let most = readings.iter().filter_map(|(_, pool)| pool.active).fold(0.0, f64::max);
    (open >= SMALLEST && most <= USED * open).then(|| Found {
        severity: Severity::Note,
        title: "Most of the pool's connections are idle",
        evidence: vec![format!("at most {most:.0} of {open:.0} open connections in use ({})", percent(most / open))],
        remedy: "a lower min_connections or max_connections, or a shorter idle_timeout, would do at this load"
            .to_owned(),
    })
}
