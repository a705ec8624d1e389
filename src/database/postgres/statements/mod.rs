//! The statements that a PostgreSQL has counted (`pg_stat_statements`), and which of them only read.
//!
//! In: a [`Server`](crate::database::Server) and how many. Out: an [`Observed`](crate::model::Observed). Nothing of them is
//! executed: each is prepared and planned, in a session that takes no writes.

mod counted;
mod error;
mod nature;
mod plan;
mod values;

pub use counted::Top;
pub use error::StatementsError;
