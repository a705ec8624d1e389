//! Rollouts: a run's settings brought into use by stages, each applied by what the person names, watched by gates, and taken back
//! when one fails.
//!
//! In: a plan, a run's recommendation, answers of Prometheus and readings of the monitor, a signal to stop. Out: calls of the person's
//! program or changes of the person's file, and each step, which the store holds before it is taken. `state` decides and does no I/O;
//! `carry` does what it says. This is the only room that applies settings to anything of a person's, and only when asked.

mod apply;
mod carry;
mod course;
mod error;
mod gates;
mod outline;
mod prometheus;
mod sources;
mod state;
mod step;

pub use carry::{Ended, Folders, Intent, Listener, Rollout, Standing};
pub use course::{Change, Course, Stage};
pub use error::RolloutError;
pub use gates::{Before, Figure, Reading, judge, medians};
pub use prometheus::{Prometheus, Unanswered};
pub use state::{Event, Phase, State, Task};
pub use step::{Place, Step, Watched};
