//! What the tests stand on: throw-away PostgreSQL servers, and a browser.

pub(crate) mod browser;
pub(crate) mod cluster;
