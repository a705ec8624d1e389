//! Stress tests: a scenario on a profile's workload, judged by thresholds.
//!
//! In: a checked profile, scenarios, a target made ready. Out: [`Event`]s while a test goes, a
//! [`StressReport`](crate::model::StressReport) at its end. A test in which everything fails is a result as well: only a
//! test that could not be made is an error. This room prints nothing and stores nothing.

mod error;
mod event;
mod plan;
mod session;

pub use error::StressError;
pub use event::Event;
pub use plan::{Overrides, Test, tests};
pub use session::{About, FORMAT, Session};
