use crate::{
    database::{ConnectError, QueryError},
    model::ErrorClass,
    policy::is_retryable,
};

/// Why no connection was handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AcquireError {
    /// What went wrong; a timeout names what it waited for.
    pub class: ErrorClass,
    /// The server's own code (SQLSTATE) or the operating system's, if there was one.
    pub code: Option<String>,
    /// What was said.
    pub message: String,
}

impl AcquireError {
    pub(super) fn timeout(class: ErrorClass) -> Self {
        let message = match class {
            ErrorClass::AcquireTimeoutOpening => "no connection within connection_timeout: one was being opened",
            ErrorClass::AcquireTimeoutValidating => "no connection within connection_timeout: one was being validated",
            _ => "no connection within connection_timeout: all were in use",
        };
        Self { class, code: None, message: message.to_owned() }
    }

    pub(super) fn closed() -> Self {
        Self { class: ErrorClass::Connect, code: None, message: "the pool is closed".to_owned() }
    }

    pub(super) fn invalid(error: Option<QueryError>) -> Self {
        let (code, message) = match error {
            Some(error) => (error.code, error.message),
            None => (None, "no answer within validation_timeout".to_owned()),
        };
        Self { class: ErrorClass::Validation, code, message }
    }
}

/// Why the work of a request could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// A statement failed, or the connection did.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A statement failed on the second connection that the work asked for; the first is as it was.
    #[error(transparent)]
    Second(QueryError),
    /// The work asked for a further connection while it held one, and got none.
    #[error("a second connection, asked for while holding one: {0}")]
    Acquire(#[from] AcquireError),
}

impl WorkError {
    /// Whether the connection that the work ran on was lost.
    #[must_use]
    pub fn connection_lost(&self) -> bool {
        matches!(self, Self::Query(error) if error.connection_lost)
    }
}

impl From<ConnectError> for AcquireError {
    fn from(error: ConnectError) -> Self {
        let class = if error.is_too_many_connections() { ErrorClass::TooManyConnections } else { ErrorClass::Connect };
        Self { class, code: error.code, message: error.message }
    }
}

/// Why an attempt, or in the end a request, failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong.
    pub class: ErrorClass,
    /// The server's own code (SQLSTATE) or the operating system's, if there was one.
    pub code: Option<String>,
    /// What was said.
    pub message: String,
    /// The attempt that failed, counted from 1: for a request's last failure the number of attempts it took.
    pub attempt: u32,
}

impl Failure {
    pub(super) fn acquiring(error: AcquireError, attempt: u32) -> Self {
        Self { class: error.class, code: error.code, message: error.message, attempt }
    }

    pub(super) fn running(error: WorkError, attempt: u32) -> Self {
        let message = error.to_string();
        match error {
            WorkError::Query(error) | WorkError::Second(error) => {
                let class = if error.connection_lost { ErrorClass::ConnectionLost } else { ErrorClass::Query };
                Self { class, code: error.code, message, attempt }
            }
            WorkError::Acquire(error) => {
                let class = match error.class {
                    ErrorClass::AcquireTimeoutWaiting => ErrorClass::AcquireTimeoutNested,
                    class => class,
                };
                Self { class, message, ..Self::acquiring(error, attempt) }
            }
        }
    }

    pub(super) fn circuit_open(attempt: u32) -> Self {
        let message = "turned away: the circuit is open".to_owned();
        Self { class: ErrorClass::CircuitOpen, code: None, message, attempt }
    }

    /// Whether trying again may help ([`is_retryable`]).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        is_retryable(self.class, self.code.as_deref())
    }
}
