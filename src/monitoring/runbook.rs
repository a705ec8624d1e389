//! The runbook: a paragraph for each alert and each rule of the diagnosis.

use super::{
    Origin,
    alerts::{self, alerts},
    library::Library,
    thresholds::Thresholds,
};
use crate::model::figures::{percent, rate, time};

/// What an alert or a finding means, what to look at, and what to change.
pub(super) struct Paragraph {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
    pub(super) look: &'static str,
    pub(super) change: &'static str,
}

impl Paragraph {
    fn markdown(&self) -> String {
        let Self { name, means, look, change } = self;
        format!("### {name}\n\n{means}\n\n- **Look at:** {look}\n- **Change:** {change}\n\n")
    }
}

pub(super) fn markdown(library: &Library, thresholds: &Thresholds, origin: &Origin) -> String {
    let mut text = format!(
        "# Runbook of the connection pool\n\n{}. Metrics: {}.\n\n## What the run has verified\n\n- max_connections {}, \
         connection_timeout {}\n- at most {} of requests may fail\n",
        origin.sentence(),
        library.about,
        thresholds.max_connections,
        time(thresholds.connection_timeout),
        percent(thresholds.budget),
    );
    match thresholds.verified {
        Some(of) => text.push_str(&format!(
            "- {} requests a second{} ({} trials)\n- time to get a connection: mean {}, 95th percentile {}\n- \
             query time: mean {}, 95th percentile {}\n",
            rate(of.throughput),
            // A program that measures itself does not tell it.
            if of.utilisation > 0.0 {
                format!(" with {} of the pool in use", percent(of.utilisation))
            } else {
                String::new()
            },
            of.trials,
            time(of.acquire_mean),
            time(of.acquire_p95),
            time(of.query_mean),
            time(of.query_p95),
        )),
        None => text.push_str("- no times: the run's trials recorded none, so that no alert compares with them\n"),
    }
    if !library.notes.is_empty() {
        text.push_str("\n## What to know of these metrics\n\n");
        text.extend(library.notes.iter().map(|note| format!("- {note}\n")));
    }
    text.push_str("\n## Alerts\n\n");
    let alerts = alerts(library, thresholds);
    for alert in &alerts {
        text.extend(alerts::PARAGRAPHS.iter().filter(|of| of.name == alert.name).map(Paragraph::markdown));
    }
    text.push_str("## Findings of `pool-tune diagnose`\n\n");
    text.extend(DIAGNOSES.iter().map(Paragraph::markdown));
    text.push_str("## Findings of `pool-tune monitor`\n\n");
    text.extend(WATCHED.iter().map(Paragraph::markdown));
    format!("{}\n", text.trim_end())
}

/// What stands behind the rules of `pool-tune monitor`.
pub(super) const WATCHED: [Paragraph; 14] = [
    Paragraph {
        name: "near_server_limit",
        means: "Nine in ten of the connections that the server allows are taken. The next deploy, which runs old and new instances side \
                by side, is refused.",
        look: "Whose connections they are, and how many of them are idle.",
        change: "instances × max_connections below the limit (`pool-tune run --instances N`), a shorter idle_timeout, or a pooler.",
    },
    Paragraph {
        name: "idle_in_transaction",
        means: "Sessions have begun a transaction and wait for their client for five seconds or more. They keep a connection, their locks, and \
                rows that could be cleaned up.",
        look: "The application, and the last statement of the session (`pg_stat_activity.query`).",
        change: "End the transaction before slow work; idle_in_transaction_session_timeout as a net.",
    },
    Paragraph {
        name: "lock_waits",
        means: "Statements have waited for another session's lock for a second or more.",
        look: "`pg_blocking_pids(pid)`, and what the blocking session does.",
        change: "Shorter transactions; hot rows last; batches in small steps. No setting of the pool helps but fewer connections.",
    },
    Paragraph {
        name: "long_transaction",
        means: "A transaction has been open for five minutes.",
        look: "Is it a report, a backup, a migration, or a client that hangs?",
        change: "Split the work, or run it on a replica.",
    },
    Paragraph {
        name: "deadlocks",
        means: "Two transactions wanted each other's locks, and the server ended one.",
        look: "The server's log, which names both statements.",
        change: "One order of locking everywhere; a retry for the victim.",
    },
    Paragraph {
        name: "many_rollbacks",
        means: "More than one in twenty transactions is rolled back.",
        look: "The application's errors; whether its pool rolls back whatever is returned.",
        change: "Mend the errors. Rollbacks as a reset do no harm.",
    },
    Paragraph {
        name: "recovery_conflicts",
        means: "The standby has cancelled statements, because they were in the way of what it has to replay.",
        look: "Long reads on the standby, cleaning up on the primary.",
        change: "Shorter reads; hot_standby_feedback; max_standby_streaming_delay.",
    },
    Paragraph {
        name: "many_idle_sessions",
        means: "More than half of the server's connections are taken, and most of those do nothing.",
        look: "Whose they are; min_connections and idle_timeout of those pools.",
        change: "Smaller pools, a shorter idle_timeout.",
    },
    Paragraph {
        name: "sessions_hidden",
        means: "The URL's user may not see what others' sessions do, so that rules about them see a part only.",
        look: "The user's rights.",
        change: "`grant pg_monitor to …` (PostgreSQL), `grant process on *.* to …` (MySQL).",
    },
    Paragraph {
        name: "pool_exhausted",
        means: "All connections of the pool are in use, and requests wait for one, reading after reading.",
        look: "What the sessions do: wait for locks, idle in a transaction, or work. Query time.",
        change: "Mend what holds connections; only if the database has room, a larger max_connections.",
    },
    Paragraph {
        name: "acquisition_timeouts",
        means: "Requests have failed because they got no connection within connection_timeout.",
        look: "Were all in use? Then as for pool_exhausted. Were some free? Then as for waiting_without_use.",
        change: "The cause. A longer timeout moves the failure to the client.",
    },
    Paragraph {
        name: "waiting_without_use",
        means: "Requests wait although the pool is not full: connections are being opened or validated, or cannot be.",
        look: "The server's log and limit; how long opening takes; DNS and TLS.",
        change: "A higher min_connections; validation only after idleness.",
    },
    Paragraph {
        name: "leak_trend",
        means: "Connections in use grow, their low points too, and no more are asked for.",
        look: "Sessions idle in transaction; the pool's leak detection; the release that it began with.",
        change: "Give connections back in every path.",
    },
    Paragraph {
        name: "many_idle_connections",
        means: "A minute or more went by in which three quarters of the pool's connections were never in use.",
        look: "Is it the load of this hour only?",
        change: "A lower min_connections, a shorter idle_timeout.",
    },
];

/// What stands behind the rules of a diagnosis.
pub(super) const DIAGNOSES: [Paragraph; 14] = [
    Paragraph {
        name: "load_generator_saturated",
        means: "The machine that drove the load was full, so that the figures are its own and not the pool's.",
        look: "The share of the processors that the load generator took.",
        change: "Drive the load from another machine, or drive less of it.",
    },
    Paragraph {
        name: "nested_acquire",
        means: "Requests that hold a connection ask for a second one. When all do so at once, each waits for the others for ever.",
        look: "Code that opens a session inside another one: audit logs, caches, id generators.",
        change: "One connection a request. Until then max_connections has to be above the number of concurrent requests.",
    },
    Paragraph {
        name: "server_refuses",
        means: "Connections cannot be opened, and not because there are too many.",
        look: "Whether the server runs, its log, the network, DNS, certificates, the password's date.",
        change: "No setting of the pool. The circuit breaker keeps the application answering meanwhile.",
    },
    Paragraph {
        name: "pool_beyond_server",
        means: "All pools together want more connections than the server takes.",
        look: "instances × max_connections against the server's max_connections less its reserve; scale-outs and deploys, in which \
               old and new instances run side by side.",
        change: "Lower max_connections (`pool-tune run --instances N` finds the value for N pools), or put a pooler in between.",
    },
    Paragraph {
        name: "cascading_failures",
        means: "Failures make more failures: retries multiply the load, or the breaker turns requests away long after the cause.",
        look: "Attempts a request; how long the circuit was open; the first error.",
        change: "Fewer retries with a longer first delay; a higher circuit_breaker_threshold, a shorter circuit_breaker_timeout.",
    },
    Paragraph {
        name: "connection_leak",
        means: "Connections in use grow under a level load, and requests do not account for them.",
        look: "Sessions `idle in transaction`; which release it began with; the pool's own leak detection.",
        change: "Give connections back in every path. A connection in use is not closed by connection_lifetime.",
    },
    Paragraph {
        name: "overload",
        means: "More requests come than can be served. The queue grows for as long as that goes on.",
        look: "Offered against served requests; whether connections or the database are the limit.",
        change: "Shed load at the door, or add capacity.",
    },
    Paragraph {
        name: "pool_too_small",
        means: "All connections are in use, requests wait for longer than they hold one, and the database has room.",
        look: "Waiting against holding time; the database's processors.",
        change: "Raise max_connections, and verify it.",
    },
    Paragraph {
        name: "pool_too_large",
        means: "Most of the pool is never used, or a smaller one serves more: connections compete in the database.",
        look: "The most connections in use at once; throughput by size.",
        change: "Lower max_connections; what is left over serves other instances.",
    },
    Paragraph {
        name: "frequent_reconnects",
        means: "Connections are opened and closed all the time, and each opening costs a request its time.",
        look: "Why they are closed: lifetime, idle timeout, or broken.",
        change: "Raise connection_lifetime and idle_timeout; broken ones: see what drops them (a firewall, a load balancer).",
    },
    Paragraph {
        name: "slow_opening",
        means: "Opening a connection takes long, and requests wait for it.",
        look: "TLS, authentication, DNS, the distance to the server.",
        change: "Raise min_connections so that connections are open before they are needed.",
    },
    Paragraph {
        name: "server_saturated",
        means: "The database's processors are full. More connections only share them out.",
        look: "The statements that take most of its time.",
        change: "Statements, indexes, processors. A smaller pool serves as much with shorter times.",
    },
    Paragraph {
        name: "lock_contention",
        means: "Statements wait for each other's locks.",
        look: "Who blocks whom (`pg_blocking_pids`); hot rows; long transactions.",
        change: "Shorter transactions, hot rows last; fewer connections.",
    },
    Paragraph {
        name: "validation_cost",
        means: "Validating at each checkout takes a large part of a request's time.",
        look: "Validation time against query time.",
        change: "Validate connections only after they were idle, or not at all where the network drops none.",
    },
];
