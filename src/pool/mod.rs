//! The pool under test: connections kept in [`deadpool`], with validation, health check, retry and circuit breaker.
//!
//! In: a [`Server`](crate::database::Server) and the fifteen [`Settings`](crate::model::Settings). Out: a [`Pool`] that
//! hands out connections ([`Pool::acquire`]) and runs whole requests ([`Pool::request`]), telling each part's time and
//! each failure's cause. All settings act as the settings table says, and only they: nothing is validated, retried or
//! closed silently. This room keeps no statistics but counts; whoever asks for a request observes it.
//!
//! How a request goes:
//! ```text
//! request ─► breaker: closed? ─► acquire: wait for a slot ─► open, if none is idle ─► validate ─► work ─► return
//!    ▲            │ open: turned away                 (all three within connection_timeout)        │
//!    └── delay ◄──┴────────────────────────── a failure that may pass ◄────────────────────────────┘
//! ```
//! Slots are handed out in the order of asking. Among idle connections the one used last is handed out first, so that
//! the ones not needed grow old and `idle_timeout` can close them.

mod acquire;
mod backoff;
mod breaker;
mod failure;
mod gauges;
mod keeper;
mod lease;
mod request;
mod shared;
mod slot;

pub use acquire::{Acquired, Pool};
pub use failure::{AcquireError, Failure, WorkError};
pub use gauges::Status;
pub use lease::Lease;
pub use request::{Attempt, Observer, Second, Work};
