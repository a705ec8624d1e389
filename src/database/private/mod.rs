//! A database of the program's own: a server made from the machine's programs, or a file; thrown away at the end.
//!
//! In: where the programs are and where databases may live. Out: a running [`PrivateServer`], or a [`PrivateFile`]. No
//! other user can get in (a random password, loopback only), nothing of it outlives its owner for longer than until the
//! next start, and it never touches a database that it did not make.

mod binaries;
mod error;
mod file;
mod mariadb;
mod postgres;
mod process;
mod programs;
mod server;
mod state;

pub use binaries::Binaries;
pub use error::PrivateError;
pub use file::PrivateFile;
pub use programs::Programs;
pub use server::{PrivateOptions, PrivateServer};
pub(super) use state::ClusterFolder;
pub use state::{Removed, StateFolder};
