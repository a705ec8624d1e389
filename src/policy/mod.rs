//! What a pool does with failures, without a clock: which are tried again, after how long, and when the circuit opens.
//!
//! In: settings, failures and the time since some beginning. Out: decisions. The pool under test and its simulation both
//! ask here, so that they cannot differ. This room does no I/O and reads no clock.

mod backoff;
mod circuit;
mod failure;

pub use backoff::retry_delay;
pub use circuit::Circuit;
pub use failure::{is_infrastructure, is_retryable};
