//! The database under load: how to reach it, what it allows, and the connections that the pool keeps.
//!
//! In: a URL or the programs of a database on this machine. Out: a [`Server`] that connects, an [`Inspection`] of it, a
//! [`Schema`] with the workload's tables, a [`PrivateServer`]. This room knows nothing of searches, and what is specific
//! to one kind of database stays inside it, in a room of that kind where it is more than a line.

mod account;
mod check;
mod connection;
mod error;
mod excerpt;
mod failure;
mod guard;
mod inspect;
mod mysql;
mod observe;
mod postgres;
mod private;
mod schema;
mod server;
mod sqlite;
mod url;
mod words;

pub use connection::{Argument, Connection};
pub use error::{ConnectError, QueryError, UrlError};
pub use failure::DatabaseError;
pub use guard::{Allowance, Demand, Refusal, guard};
pub use inspect::{Bound, Inspection, OtherClients};
pub use observe::Observer;
pub use postgres::{StatementsError, Top};
pub use private::{Binaries, PrivateError, PrivateFile, PrivateOptions, PrivateServer, Programs, Removed, StateFolder};
pub use schema::Schema;
pub use server::Server;
