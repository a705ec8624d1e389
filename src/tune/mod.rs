//! The session of a run: preflight, baseline, search, verification, recommendation; cancelled and resumed.
//!
//! In: a checked profile, a target, a store. Out: [`Event`]s while it goes, a
//! [`Recommendation`](crate::model::Recommendation) at the end. This room prints nothing and writes nothing but to the
//! store; whoever shows, exports or publishes listens to the events.

mod challenge;
mod curve;
mod error;
mod event;
mod faults;
mod infeasible;
mod machine;
mod memory;
mod recommend;
mod sample;
mod session;
mod slow;
mod stage;
#[cfg(test)]
mod tests;
mod trials;
mod under_faults;

pub use error::TuneError;
pub use event::{Event, Finished, Phase, Plan, Progress, TrialEnded};
pub use machine::{machine, of_this_machine};
pub use memory::{Memory, Night, keep, recall};
pub use sample::sample;
pub use session::{Session, session_plan};
pub use stage::{Choice, Private, Stage};
