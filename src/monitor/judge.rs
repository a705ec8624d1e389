//! What readings point to.

use super::{PoolReading, Reading, pool, server};
use crate::model::{Activity, Finding, Severity};

/// A rule: what it is called, and how it looks.
type Rule = (&'static str, fn(&Seen<'_>) -> Option<Found>);

/// What a rule found.
pub(super) struct Found {
    pub(super) severity: Severity,
    pub(super) title: &'static str,
    pub(super) evidence: Vec<String>,
    pub(super) remedy: String,
}

/// The readings of each source, oldest first, without those in which it could not be read; each with when it was.
pub(super) struct Seen<'a> {
    pub(super) database: Vec<(f64, &'a Activity)>,
    pub(super) pool: Vec<(f64, &'a PoolReading)>,
}

const RULES: [Rule; 14] = [
    ("near_server_limit", server::near_limit),
    ("idle_in_transaction", server::idle_in_transaction),
    ("lock_waits", server::lock_waits),
    ("long_transaction", server::long_transaction),
    ("deadlocks", server::deadlocks),
    ("many_rollbacks", server::many_rollbacks),
    ("recovery_conflicts", server::conflicts),
    ("many_idle_sessions", server::many_idle),
    ("sessions_hidden", server::hidden),
    ("pool_exhausted", pool::exhausted),
    ("acquisition_timeouts", pool::timeouts),
    ("waiting_without_use", pool::waiting_without_use),
    ("leak_trend", pool::leak),
    ("many_idle_connections", pool::many_idle),
];

/// The names of all rules, in the order in which they look.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// What the last readings point to, oldest reading first; the most serious finding comes first. Rules about a source that is
/// down go by what was read last.
#[must_use]
pub fn judge(readings: &[Reading]) -> Vec<Finding> {
    let seen = Seen {
        database: readings.iter().filter_map(|reading| Some((reading.at, reading.database.as_ref()?))).collect(),
        pool: readings.iter().filter_map(|reading| Some((reading.at, reading.pool.as_ref()?))).collect(),
    };
    let found = RULES.iter().filter_map(|(rule, look)| {
        let Found { severity, title, evidence, remedy } = look(&seen)?;
        Some(Finding { rule: (*rule).to_owned(), severity, title: title.to_owned(), evidence, remedy })
    });
    let mut findings: Vec<Finding> = found.collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The readings of the last so many seconds, one before them to count from included.
pub(super) fn recent<T>(readings: &[(f64, T)], seconds: f64) -> &[(f64, T)] {
    let Some((last, _)) = readings.last() else { return readings };
    let first = readings.partition_point(|(at, _)| *at < last - seconds);
    &readings[first.saturating_sub(1)..]
}

/// The last few readings, if there are as many.
pub(super) fn last<T>(readings: &[(f64, T)], n: usize) -> Option<&[(f64, T)]> {
    readings.len().checked_sub(n).map(|first| &readings[first..])
}
