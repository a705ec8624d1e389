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
            "- {} requests a second with {} of the pool in use ({} trials)\n- time to get a connection: mean {}, 95th percentile {}\n- \
             query time: mean {}, 95th percentile {}\n",
            rate(of.throughput),
            percent(of.utilisation),
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
    format!("{}\n", text.trim_end())
}

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
