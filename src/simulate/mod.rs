//! Pools without a database: a discrete-event simulation in virtual time, and targets with a known truth for tests.
//!
//! In: settings, a [`World`] and a load, or a seed. Out: what a trial would measure, or what is true behind one.
//! This room does no I/O and reads no clock.

mod agenda;
mod calibrate;
mod day;
mod engine;
mod optimum;
mod response;
mod tally;
mod times;
mod world;

pub use calibrate::{Calibration, CalibrationError, Connecting, Measured, Prediction, Sample};
pub use day::{Day, Incidents, MOST_HOURS, MinutesError, Shape, minutes};
pub use engine::{Arrivals, Ask, Beyond, End, Load, Outcome, Plan, Point, Step, simulate};
pub use response::{Reading, Response};
pub use tally::Tally;
pub use times::Times;
pub use world::{At, ByActive, World};

#[cfg(test)]
mod tests;
