//! Tests against the real thing. A test that needs a server starts its own.

mod database;
