//! What the tests stand on: throw-away PostgreSQL servers, and a browser.

pub(crate) mod browser;
#[expect(dead_code, reason = "the bench uses more of it")]
pub(crate) mod cluster;
