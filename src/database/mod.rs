//! The database under load: how to reach it, what it allows, and the connections that the pool keeps.
//!
//! In: a URL or the binaries of a database on this machine. Out: a [`Server`] that connects. This room knows nothing
//! of searches, and what is specific to one kind of database stays inside it.

mod connection;
mod error;
mod server;

pub use connection::{Argument, Connection};
pub use error::{ConnectError, QueryError, UrlError};
pub use server::Server;
