//! When experiments are run: cron expressions in a time zone, windows, jitter, and what has been missed.
//!
//! In: the words of an experiment, and the time as the caller sees it. Out: times, and texts for systemd and cron. This room has no
//! clock, so that every rule can be tried on any day; it sleeps for nobody and starts nothing. The rules of a zone come from the
//! machine's database of zones, or else from the one in the program.
//!
//! - A time that does not exist (clocks go forward) is run at the first moment after the gap.
//! - A time that exists twice (clocks go back) is run once, the first time; intervals such as `*/30` go on evenly through both.
//! - A due time that has been run is not run again, whatever the clock does: see [`Schedule::due`].

mod crontab;
mod error;
mod systemd;
mod times;
mod window;

pub use crontab::crontab;
pub use error::ScheduleError;
pub use systemd::{Command, Units, systemd};
pub use times::{Due, Missed, Schedule};
pub use window::Window;

#[cfg(test)]
mod tests;
