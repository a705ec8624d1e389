use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, Interval};

/// What one trial measured. Times are seconds, rates are per second, shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// Length of the measured part.
    pub seconds: f64,
    /// What came before it.
    pub warm_up: WarmUp,
    /// Successful requests a second (QPS).
    pub throughput: f64,
    /// Successful requests a second in consecutive slices of equal length, for judging steadiness.
    pub slices: Vec<f64>,
    /// Requests by outcome.
    pub requests: Requests,
    /// Time of a request from when it was meant to start to its end, waiting, retries and all; successful ones only.
    #[serde(default)]
    pub response: Latency,
    /// What was offered, in an open loop.
    #[serde(default)]
    pub offered: Option<OpenLoop>,
    /// Time in the database of a successful request, all its statements together.
    pub query: Latency,
    /// Time to get a connection, whole and in its parts.
    pub acquire: Acquisition,
    /// Time that a connection was held by a request.
    pub hold: Latency,
    /// How much of the pool was in use.
    pub utilisation: Utilisation,
    /// Failed attempts by class and code, most frequent first.
    pub errors: Vec<ErrorCount>,
    /// Connections opened and closed while measuring.
    pub connections: ConnectionCounts,
    /// Transitions of the circuit breaker.
    pub breaker: BreakerCounts,
    /// Who used the machine's processors.
    pub cpu: Cpu,
    /// The faults of the trial, with what they did.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
    /// What its fault part measured, where the trial had one. All else here is of its steady part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_faults: Option<UnderFaults>,
    /// How the trial ended.
    pub ended: Ended,
}

impl Measurement {
    /// Of nothing: what whoever sees only a part fills in.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seconds: 0.0,
            warm_up: WarmUp { seconds: 0.0, steady: true },
            throughput: 0.0,
            slices: Vec::new(),
            requests: Requests {
                succeeded: 0,
                failed: 0,
                retries: 0,
                success_rate: 0.0,
                success_interval: Interval { low: 0.0, high: 1.0 },
            },
            response: Latency::default(),
            offered: None,
            query: Latency::default(),
            acquire: Acquisition::default(),
            hold: Latency::default(),
            utilisation: Utilisation::default(),
            errors: Vec::new(),
            connections: ConnectionCounts::default(),
            breaker: BreakerCounts::default(),
            cpu: Cpu::default(),
            faults: Vec::new(),
            under_faults: None,
            ended: Ended::Completed,
        }
    }

    /// Of a probe that opened connections and did nothing else.
    #[must_use]
    pub fn of_connecting(open: Latency) -> Self {
        Self {
            acquire: Acquisition { open, ..Acquisition::default() },
            connections: ConnectionCounts { opened: open.count, ..ConnectionCounts::default() },
            ..Self::empty()
        }
    }

    /// What settings are judged by: throughput, faults counted by their weight. Where a share `w` of the time is under
    /// faults, in which a share `s` of what comes is served in time, that is `throughput × (1 − w + w × s)`; plain
    /// throughput for a trial without a fault part.
    #[must_use]
    pub fn weighted_throughput(&self) -> f64 {
        self.throughput * self.fault_factor()
    }

    /// What faults leave of throughput: `1 − w + w × s`, as in [`Self::weighted_throughput`]; 1 without a fault part.
    #[must_use]
    pub fn fault_factor(&self) -> f64 {
        1.0 - self.under_faults.as_ref().map_or(0.0, |part| part.weight * (1.0 - part.share))
    }

    /// Whether no attempt failed in the steady part, so that nothing can have acted in it that acts on failures.
    #[must_use]
    pub fn is_without_failures(&self) -> bool {
        self.requests.failed == 0 && self.requests.retries == 0
    }
}

/// What the fault part of a trial measured: an open loop at the same rate for all settings, while faults happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnderFaults {
    /// The share of operating time that is under faults, 0 to 1, as the profile has it.
    pub weight: f64,
    /// A request was served in time within so many seconds from when it was meant to start.
    pub deadline: f64,
    /// Requests a second that were offered.
    pub rate: f64,
    /// Requests that were due.
    pub due: u64,
    /// Of those, requests that were served in time; one that was not begun, failed or was not finished was not.
    pub in_time: u64,
    /// Their share of those due.
    pub share: f64,
    /// Attempts a request, on average over the part; 1 without retries.
    pub attempts: f64,
    /// What opening the connections took that were lost.
    #[serde(default)]
    pub open: Latency,
    /// Failed attempts by class and code, most frequent first.
    pub errors: Vec<ErrorCount>,
    /// Transitions of the circuit breaker.
    pub breaker: BreakerCounts,
    /// The faults, with what they did.
    pub faults: Vec<FaultRecord>,
    /// Who used the machine's processors meanwhile.
    pub cpu: Cpu,
}

/// What an open loop offered, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenLoop {
    /// Requests that were due while measuring.
    pub requests: u64,
    /// Those a second.
    pub rate: f64,
    /// Requests that were due, but could not be begun before the end: the backlog.
    pub not_started: u64,
    /// How long the oldest of them had been due by then, in seconds.
    pub longest_wait: f64,
}

/// A fault as it happened, and how the pool got over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// The fault as planned.
    pub fault: Fault,
    /// When it began, seconds from the start of the measured part; `None` when it could not be made.
    pub began: Option<f64>,
    /// When it ended.
    pub ended: Option<f64>,
    /// What went wrong in making or ending it.
    pub problem: Option<String>,
    /// What it did; `None` when it could not be made, or nothing was served before it.
    pub recovery: Option<Recovery>,
}

/// How a pool got over a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// Successful requests a second before the fault.
    pub prior_throughput: f64,
    /// Seconds from the fault's end until throughput was back at 95 % of that; `None` when it was not before the
    /// trial's end. A machine that drifts by more than 5 % meanwhile shows here as well.
    pub seconds: Option<f64>,
    /// Seconds from the fault's end until throughput was back at half of that, which no drift hides; `None` when it was not.
    pub half_seconds: Option<f64>,
    /// Requests that failed from the fault's begin until then.
    pub failed: u64,
    /// Attempts a request from the fault's begin until then (retry amplification); 1 without retries.
    pub attempts: f64,
    /// Connections opened from the fault's begin until then.
    pub opened: u64,
    /// Seconds that the circuit was not closed from the fault's begin until then.
    pub circuit_open: f64,
}

/// The time between the first request and the measured part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUp {
    /// Its length.
    pub seconds: f64,
    /// Whether throughput was found steady; false when the cap ended it.
    pub steady: bool,
}

/// Requests by outcome. A request is one operation of the workload with all its retries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Requests {
    /// Requests that succeeded, whatever number of attempts they took.
    pub succeeded: u64,
    /// Requests that failed for good.
    pub failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Share of requests that succeeded; 0 when there were none.
    pub success_rate: f64,
    /// 95 % Clopper–Pearson interval of the success rate.
    pub success_interval: Interval,
}

/// A distribution of times, in seconds; all zero when `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many times were recorded.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    #[serde(default)]
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    #[serde(default)]
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// Time to get a connection, and its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Acquisition {
    /// From asking to having, of successful acquisitions.
    pub total: Latency,
    /// Waiting for a free slot of the pool.
    pub wait: Latency,
    /// Opening a connection, where one was opened.
    pub open: Latency,
    /// Validating a connection, where one was validated.
    pub validate: Latency,
}

/// How much of the pool was in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Utilisation {
    /// Time average of connections in use over connections open.
    pub mean: f64,
    /// Time average of connections in use.
    pub active: f64,
    /// Time average of connections open.
    pub total: f64,
    /// Most connections in use at once.
    pub peak_active: u32,
    /// Most connections open at once.
    pub peak_total: u32,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No connection within `connection_timeout`; every connection was in use.
    AcquireTimeoutWaiting,
    /// No connection within `connection_timeout`; one was being opened.
    AcquireTimeoutOpening,
    /// No connection within `connection_timeout`; one was being validated.
    AcquireTimeoutValidating,
    /// No second connection within `connection_timeout`, asked for while holding one; every connection was in use.
    AcquireTimeoutNested,
    /// The server refused: it has too many connections (PostgreSQL 53300).
    TooManyConnections,
    /// A connection could not be opened for another reason.
    Connect,
    /// Every connection tried was found dead by validation.
    Validation,
    /// A connection was lost while in use.
    ConnectionLost,
    /// The server answered a statement with an error.
    Query,
    /// The circuit was open: the request was turned away at once.
    CircuitOpen,
    /// The request was not finished when the trial ended, grace time included.
    Unfinished,
}

impl ErrorClass {
    /// Every class, in the order of the enum.
    pub const ALL: [Self; 11] = [
        Self::AcquireTimeoutWaiting,
        Self::AcquireTimeoutOpening,
        Self::AcquireTimeoutValidating,
        Self::AcquireTimeoutNested,
        Self::TooManyConnections,
        Self::Connect,
        Self::Validation,
        Self::ConnectionLost,
        Self::Query,
        Self::CircuitOpen,
        Self::Unfinished,
    ];
}

/// How often attempts failed for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorCount {
    /// The class.
    pub class: ErrorClass,
    /// The server's own code (SQLSTATE) or the operating system's, if there was one.
    pub code: Option<String>,
    /// The message of the first.
    pub example: String,
    /// How many.
    pub count: u64,
}

/// Connections opened and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionCounts {
    /// Opened.
    pub opened: u64,
    /// Closed because older than `connection_lifetime`.
    pub closed_lifetime: u64,
    /// Closed because idle for longer than `idle_timeout`.
    pub closed_idle: u64,
    /// Closed because validation or the health check found them dead, or they were lost in use.
    pub closed_broken: u64,
}

/// Transitions of the circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerCounts {
    /// To open.
    pub opened: u64,
    /// From open to half-open.
    pub half_opened: u64,
    /// From half-open to closed.
    pub closed: u64,
    /// Seconds that it was not closed.
    #[serde(default)]
    pub open_seconds: f64,
}

/// What a circuit breaker does with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// It lets them through.
    #[default]
    Closed,
    /// It turns them away.
    Open,
    /// It lets one probe through at a time.
    HalfOpen,
}

/// Who used the machine's processors while measuring; shares of all processors together, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The load generator: this process.
    pub own: f64,
    /// The database server, where it runs on this machine and is ours; 0 otherwise.
    pub database: f64,
    /// Everything else. On a machine that also hosts a database not started by us, that is part of it.
    pub other: f64,
    /// Whether the load generator, and not the database, was the limit.
    pub generator_limited: bool,
    /// Whether other programs took so much that the trial should be repeated.
    pub disturbed: bool,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It ran its length.
    Completed,
    /// Stopped early, because the success limit could not be met any more.
    SuccessLimitMissed,
    /// Stopped early, because another threshold could not be met any more.
    ThresholdMissed,
    /// Stopped early on request; what was measured until then counts.
    Stopped,
}
