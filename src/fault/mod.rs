//! Faults, for real: a proxy between pool and server, signals to a server of the program's own, and a client of the pool
//! that keeps connections.
//!
//! In: the faults of a load ([`Fault`](crate::model::Fault)) and what they may touch ([`Reach`]). Out: what became of
//! each ([`Happened`]). Whatever happens, everything is as before when [`make`] returns. This room never touches a server
//! that the program did not start but through its own connections.

mod director;
mod effects;
mod proxy;
mod pump;

pub use director::{Happened, OutOfReach, Reach, make, within};
pub use proxy::Proxy;
