//! Rules about what stands behind and in front of the pool.

use super::{Facts, Found, percent, rate, sizes::better_than, time};
use crate::model::{ErrorClass, Severity, is_conflict};

/// The load generator, and not the database, was the limit.
pub(super) fn load_generator_saturated(facts: &Facts<'_>) -> Option<Found> {
    let cpu = facts.measurement.cpu;
    cpu.generator_limited.then(|| Found {
        severity: Severity::Serious,
        title: "The load generator is the limit".to_owned(),
        evidence: vec![format!(
            "it took {} of the processors, the database {}",
            percent(cpu.own),
            if cpu.database > 0.0 { percent(cpu.database) } else { "an unknown share".to_owned() }
        )],
        remedy:
            "drive the load from another machine, or lower it: these figures say more of this machine than of the pool"
                .to_owned(),
    })
}

/// More was offered than could be begun.
pub(super) fn overload(facts: &Facts<'_>) -> Option<Found> {
    /// The share of requests above which the end of a test is no explanation.
    const SHARE: f64 = 0.01;
    let offered = facts.measurement.offered?;
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let share = offered.not_started as f64 / offered.requests.max(1) as f64;
    (share > SHARE).then(|| Found {
        severity: Severity::Serious,
        title: "More is offered than can be served".to_owned(),
        evidence: vec![
            format!("{} of {} requests due were not begun by the end", offered.not_started, offered.requests),
            format!("the oldest had been due for {}", time(offered.longest_wait)),
            format!("{} a second offered, {} served", rate(offered.rate), rate(facts.measurement.throughput)),
        ],
        remedy:
            "capacity has to grow (a faster database, fewer or cheaper statements, more connections if they wait for \
                 one), or the load has to be shed: beyond capacity every time grows with the length of the test"
                .to_owned(),
    })
}

/// The database's processors are full: more connections only share them out.
pub(super) fn server_saturated(facts: &Facts<'_>) -> Option<Found> {
    let cpu = facts.measurement.cpu;
    (facts.busy() > 0.95 && cpu.database > cpu.own && cpu.database > 0.4).then(|| Found {
        severity: Severity::Warning,
        title: "The database's processors are full".to_owned(),
        evidence: vec![format!("the database took {}, all together {}", percent(cpu.database), percent(facts.busy()))],
        remedy: "no pool size makes it faster: look at the statements that cost most, or give it more processors; a smaller \
                 pool often serves as much with shorter times"
            .to_owned(),
    })
}

/// Statements wait for each other's locks: the server says so, or more connections made them slower while processors
/// were free.
pub(super) fn lock_contention(facts: &Facts<'_>) -> Option<Found> {
    /// PostgreSQL's lock not available, MySQL's the same (`NOWAIT`).
    const NO_LOCK: [&str; 2] = ["55P03", "3572"];
    let conflicts: u64 = facts
        .measurement
        .errors
        .iter()
        .filter(|error| error.class == ErrorClass::Query)
        .filter(|error| error.code.as_deref().is_some_and(|code| is_conflict(code) || NO_LOCK.contains(&code)))
        .map(|error| error.count)
        .sum();
    let smallest = facts.sizes.iter().min_by_key(|size| size.connections);
    let largest = facts.sizes.iter().max_by_key(|size| size.connections);
    let slower = smallest.zip(largest).filter(|(smallest, largest)| {
        largest.connections > smallest.connections
            && largest.query_p99 > 4.0 * smallest.query_p99
            && facts.busy() < 0.9
            && better_than(facts, largest, |_| true).is_some()
    });
    if conflicts == 0 && slower.is_none() {
        return None;
    }
    let mut evidence = Vec::new();
    if conflicts > 0 {
        evidence.push(format!(
            "{conflicts} statements lost against others (deadlocks, serialization failures, lock timeouts)"
        ));
    }
    if let Some((smallest, largest)) = slower {
        evidence.push(format!(
            "p99 of query time {} at {} connections, {} at {}, with processors {} busy",
            time(smallest.query_p99),
            smallest.connections,
            time(largest.query_p99),
            largest.connections,
            percent(facts.busy())
        ));
    }
    Some(Found {
        severity: Severity::Warning,
        title: "Statements wait for each other's locks".to_owned(),
        evidence,
        remedy:
            "shorten transactions and touch hot rows last in them, or spread them; fewer connections queue in the pool \
                 instead of at the lock"
                .to_owned(),
    })
}
