//! Watching a live database and an application's pool, without loading them.
//!
//! In: a database's URL, the address of an application's metrics, or both. Out: a [`Reading`] whenever one is asked for, and
//! the findings that a series of them gives ([`judge()`], which does no I/O); [`Watch`] tells when one begins and ends. This room
//! prints nothing, keeps no time of its own, and never gives up: a source that is down is asked again, ever more seldom.

mod endpoint;
mod judge;
mod pool;
mod reading;
mod readings;
mod server;
mod source;
mod watch;

pub use endpoint::{Endpoint, EndpointError};
pub use judge::{judge, rules};
pub use reading::{Acquired, PoolReading, Reading, SourceState};
pub use readings::Readings;
pub use source::{Monitor, MonitorError};
pub use watch::{Change, Watch};

#[cfg(test)]
mod tests;
