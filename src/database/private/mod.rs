//! A PostgreSQL of the program's own: made from the machine's programs, thrown away at the end.
//!
//! In: where the programs are and where clusters may live. Out: a running [`PrivateServer`]. No other user can get in
//! (a random password, loopback only), nothing of it outlives its owner for longer than until the next start, and it
//! never touches a cluster that it did not make.

mod binaries;
mod error;
mod process;
mod server;
mod state;

pub use binaries::Binaries;
pub use error::PrivateError;
pub use server::{PrivateOptions, PrivateServer};
pub use state::{Removed, StateFolder};
