use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BreakerState, ErrorClass, Latency};

/// One interval of a trial's time line. Times are seconds, rates are per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// When it ended, from the start of the measured part.
    pub at: f64,
    /// Its length.
    pub seconds: f64,
    /// What was offered at its end: workers, or requests a second.
    pub level: f64,
    /// Successful requests a second.
    pub throughput: f64,
    /// Failed requests a second.
    pub failures: f64,
    /// Attempts that failed, by class.
    pub errors: Vec<(ErrorClass, u64)>,
    /// Time of the successful requests that ended in it, from when they were meant to start.
    pub response: Latency,
    /// Connections in use at its end.
    pub active: u32,
    /// Connections that requests had in use, on average: the hold times that ended in it over its length. What is in use
    /// beyond that, somebody else keeps.
    #[serde(default)]
    pub held: Option<f64>,
    /// Connections open and not in use at its end.
    pub idle: u32,
    /// Requests waiting for a connection at its end.
    pub waiting: u32,
    /// Requests due that no worker had begun by its end; an open loop only.
    pub backlog: u64,
    /// Connections opened in it.
    pub opened: u64,
    /// What the circuit breaker did at its end.
    pub breaker: BreakerState,
}
