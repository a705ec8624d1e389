//! Pools without a database: a discrete-event simulation in virtual time, and targets with a known truth for tests.
//!
//! In: settings, a [`World`] and a load, or a seed. Out: what a trial would measure, or what is true behind one.
//! This room does no I/O and reads no clock.

mod agenda;
mod calibrate;
mod choose;
mod day;
mod engine;
mod loss;
mod optimum;
mod response;
mod shipped;
mod tally;
mod times;
mod world;

pub use calibrate::{Calibration, CalibrationError, Connecting, Measured, Sample};
pub use choose::{Chosen, LossDecision, LossEffect, choose};
pub use day::{Day, MOST_HOURS, MinutesError, minutes};
pub use engine::{
    Acquired, Arrivals, Ask, Attempt, Beyond, End, Left, Load, Moment, Observer, Outcome, Plan, Point, Step, Watched,
    simulate, simulate_watched,
};
pub use loss::{Operated, mean_incidents};
pub use response::{Reading, Response};
pub use tally::Tally;
pub use times::Times;
pub use world::{At, ByActive, World};

#[cfg(test)]
mod tests;
