//! pool-tune measures a database connection pool under load and recommends its settings, with evidence.
//!
//! The rooms and which of them may use which are described in `ARCHITECTURE.md`; `tests/it/layering.rs` keeps it so.

pub mod alert;
pub mod cli;
pub mod curve;
pub mod database;
pub mod diagnose;
pub mod export;
pub mod fault;
pub mod http;
pub mod job;
pub mod lint;
pub mod model;
pub mod monitor;
pub mod monitoring;
pub mod policy;
pub mod pool;
pub mod profile;
pub mod program;
pub mod report;
pub mod rollout;
pub mod schedule;
pub mod scrape;
pub mod search;
pub mod service;
pub mod simulate;
pub mod stats;
pub mod store;
pub mod stress;
pub mod trial;
pub mod tune;
