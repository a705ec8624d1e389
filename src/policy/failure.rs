use crate::model::{ErrorClass, is_conflict};

/// Whether trying again may help: no connection was had, or it was lost, or the transaction has lost against another one
/// ([`is_conflict`]). Any other answer of the server is final, and a circuit that is open says "not now".
#[must_use]
pub fn is_retryable(class: ErrorClass, code: Option<&str>) -> bool {
    match class {
        ErrorClass::Query => code.is_some_and(is_conflict),
        class => is_infrastructure(class),
    }
}

/// Whether the circuit breaker counts it: every failure to get a connection (pool exhausted, refused, too slow, dead)
/// and a connection lost in use. An error that the server answered a statement with shows that the server is there.
#[must_use]
pub fn is_infrastructure(class: ErrorClass) -> bool {
    match class {
        ErrorClass::AcquireTimeoutWaiting
        | ErrorClass::AcquireTimeoutOpening
        | ErrorClass::AcquireTimeoutValidating
        | ErrorClass::AcquireTimeoutNested
        | ErrorClass::TooManyConnections
        | ErrorClass::Connect
        | ErrorClass::Validation
        | ErrorClass::ConnectionLost => true,
        ErrorClass::Query | ErrorClass::CircuitOpen | ErrorClass::Unfinished => false,
    }
}
