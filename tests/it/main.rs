//! What a user would notice, against real servers that the tests start themselves.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod cli;
mod database;
mod exports;
mod fault;
mod job;
mod layering;
mod pool;
mod store;
mod support;
mod trial;
