//! Simulated targets with a known truth, for tests, benches and demonstrations.
//!
//! In: settings and a seed; out: what a trial would measure, and what is true behind it.
//! This room does no I/O and reads no clock; time passes by one step a trial.

mod optimum;
mod response;

pub use response::{Reading, Response};
