//! What the tests stand on: throw-away PostgreSQL servers.

#[expect(dead_code, reason = "the bench uses more of it")]
pub(crate) mod cluster;
