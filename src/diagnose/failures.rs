//! Rules about requests that fail. A pool's timeout hides its cause, so each cause has a rule of its own.

use super::{Facts, Found, percent, time};
use crate::model::{ErrorClass, Severity};

/// Requests that hold a connection wait for a second one: with enough of them all wait for each other.
pub(super) fn nested_acquire(facts: &Facts<'_>) -> Option<Found> {
    let count = facts.errors(ErrorClass::AcquireTimeoutNested);
    (count > 0).then(|| Found {
        severity: Severity::Serious,
        title: "Requests that hold a connection wait for a second one".to_owned(),
        evidence: vec![
            format!("{count} timeouts while waiting for a second connection"),
            format!("{} workers, {} connections", facts.workers, facts.settings.max_connections()),
        ],
        remedy: format!(
            "let a request use one connection for all that it does; until then max_connections has to be above {} (the \
             workers), or they block each other",
            facts.workers
        ),
    })
}

/// The server cannot be reached, or refuses, and not because a fault of the test made it so.
pub(super) fn server_refuses(facts: &Facts<'_>) -> Option<Found> {
    let count = facts.errors(ErrorClass::Connect);
    (count > 0 && facts.measurement.faults.is_empty()).then(|| Found {
        severity: Severity::Serious,
        title: "The server could not be reached".to_owned(),
        evidence: [
            Some(format!("{count} connections could not be opened")),
            facts.example(ErrorClass::Connect).map(|example| format!("the first: {example}")),
        ]
        .into_iter()
        .flatten()
        .collect(),
        remedy:
            "see that the server runs and that the network lets the pool through; no setting of the pool mends this"
                .to_owned(),
    })
}

/// The server has fewer connections than the pool wants.
pub(super) fn pool_beyond_server(facts: &Facts<'_>) -> Option<Found> {
    let count = facts.errors(ErrorClass::TooManyConnections);
    (count > 0).then(|| Found {
        severity: Severity::Serious,
        title: "The pool is larger than the server allows".to_owned(),
        evidence: vec![
            format!("{count} connections refused because the server has too many"),
            // A service may not tell how many are open.
            match facts.measurement.utilisation.peak_total {
                0 => format!("max_connections {}", facts.settings.max_connections()),
                most => {
                    format!("{most} connections open at most, max_connections {}", facts.settings.max_connections())
                }
            },
        ],
        remedy:
            "lower max_connections: all pools together (instances × max_connections) have to stay below the server's \
                 limit; or raise the server's"
                .to_owned(),
    })
}

/// Failures that feed on themselves: the circuit breaker turns requests away long after, or retries multiply the load.
pub(super) fn cascading_failures(facts: &Facts<'_>) -> Option<Found> {
    /// Retries a request above which the load is multiplied rather than mended.
    const AMPLIFICATION: f64 = 0.5;
    let of = facts.measurement;
    let turned_away = facts.errors(ErrorClass::CircuitOpen);
    let requests = of.requests.succeeded + of.requests.failed;
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let a_request = |count: u64| if requests > 0 { count as f64 / requests as f64 } else { 0.0 };
    let amplified = a_request(of.requests.retries) > AMPLIFICATION;
    if turned_away == 0 && !amplified {
        return None;
    }
    let cause = of
        .errors
        .iter()
        .filter(|error| !matches!(error.class, ErrorClass::CircuitOpen | ErrorClass::Unfinished | ErrorClass::Query))
        .max_by_key(|error| error.count);
    let mut evidence = Vec::new();
    if turned_away > 0 {
        evidence.push(format!(
            "{turned_away} requests turned away by the circuit breaker ({} of all), which was not closed for {}",
            percent(a_request(turned_away)),
            time(of.breaker.open_seconds)
        ));
    }
    if amplified {
        evidence.push(format!("{:.2} attempts a request", 1.0 + a_request(of.requests.retries)));
    }
    if let Some(cause) = cause {
        evidence.push(format!("behind it: {} × {}", cause.count, cause.example));
    }
    let exhausted = cause.is_some_and(|cause| cause.class == ErrorClass::AcquireTimeoutWaiting);
    let remedy = if exhausted {
        "the circuit opens because the pool is exhausted, not because the database is down: give the pool more \
         connections or a longer connection_timeout; the breaker makes this worse"
            .to_owned()
    } else if turned_away > 0 {
        format!(
            "mend the cause first; then raise circuit_breaker_threshold above {} so that one moment's failures do not open \
             it, or lower circuit_breaker_timeout below {} s so that it closes sooner",
            facts.settings.circuit_breaker_threshold(),
            facts.settings.circuit_breaker_timeout().as_secs_f64()
        )
    } else {
        format!(
            "lower retry_attempts below {}, or raise initial_retry_delay above {} s: retries come faster than the cause goes \
             away",
            facts.settings.retry_attempts(),
            facts.settings.initial_retry_delay().as_secs_f64()
        )
    };
    Some(Found { severity: Severity::Serious, title: "Failures cascade".to_owned(), evidence, remedy })
}
