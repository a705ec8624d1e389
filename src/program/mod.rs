//! Programs of a person's own, started with settings: each in a process group that ends with it, within a time, its output kept.
//!
//! In: a [`Call`](crate::model::Call), settings, what else it is told. Out: how it ended and what it printed. What is called when, and
//! what comes of it, is for others to say.

mod call;
mod mark;
mod names;

pub use call::startable;
pub(crate) use call::{Caller, Leaves, Occasion, ProgramError, path_of};
pub(crate) use mark::left_over;
pub(crate) use names::{Names, variable};
