use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seconds;

/// A disturbance on the time line of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// When it begins, counted from the start of the measured part.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub at: Duration,
    /// How long it lasts; a moment (a reset, a restart) has no length.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub lasts: Duration,
    /// The share of connections that it hits, above 0 to 1; those that hit the whole server ignore it.
    pub share: f64,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// When it is over, counted from the start of the measured part.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.at + self.lasts
    }
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The network delays what it carries, each way, by `delay` give or take `jitter`.
    Latency {
        /// The mean delay.
        #[serde(with = "seconds")]
        #[schemars(with = "f64")]
        delay: Duration,
        /// The largest deviation from it.
        #[serde(with = "seconds")]
        #[schemars(with = "f64")]
        jitter: Duration,
    },
    /// The network carries no more than this, each connection and each way.
    Bandwidth {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// Open connections are reset (TCP RST), once.
    Reset,
    /// Open connections stay open but carry nothing; what was sent arrives afterwards.
    Stall,
    /// Open connections carry nothing any more, for ever, and neither end is told: what a firewall does to connections
    /// that were idle for too long. New ones work.
    DropSilently,
    /// New connections are refused.
    Refuse,
    /// A connection is reset once it has carried this much from the server.
    DropAfter {
        /// Bytes from the server, counted from the fault's start.
        bytes: u64,
    },
    /// The server ends the sessions of the pool (`pg_terminate_backend`, `KILL`), once.
    Terminate,
    /// The server's processes are stopped (SIGSTOP) and go on afterwards.
    Pause,
    /// The server is stopped, and started again when the fault is over.
    Restart,
    /// A client of the pool takes connections and gives them back only when the fault is over: a leak while it lasts.
    Hold {
        /// How many connections.
        connections: u32,
        /// Whether each is inside a transaction meanwhile.
        in_transaction: bool,
    },
}

/// What the trials of a run measure beside their steady load: an open loop while faults happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultPart {
    /// The share of operating time that is under faults, above 0 and below 1: what this part counts for.
    pub weight: f64,
    /// A request is served in time within so long from when it was meant to start.
    #[serde(with = "seconds")]
    pub deadline: Duration,
    /// The part's length, its warm-up not counted.
    #[serde(with = "seconds")]
    pub measure: Duration,
    /// What goes wrong meanwhile.
    pub timeline: Vec<Fault>,
}

impl FaultKind {
    /// Its name in scenarios and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Reset => "reset",
            Self::Stall => "stall",
            Self::DropSilently => "drop_silently",
            Self::Refuse => "refuse",
            Self::DropAfter { .. } => "drop_after",
            Self::Terminate => "terminate",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Hold { .. } => "hold",
        }
    }

    /// Whether it is over as soon as it has begun.
    #[must_use]
    pub fn is_moment(&self) -> bool {
        matches!(self, Self::Reset | Self::DropSilently | Self::Terminate)
    }

    /// Whether it can hit a share of the connections; the others hit all, or say themselves how many.
    #[must_use]
    pub fn takes_share(&self) -> bool {
        !matches!(self, Self::Refuse | Self::Pause | Self::Restart | Self::Hold { .. })
    }

    /// Who has to do it.
    #[must_use]
    pub fn place(&self) -> FaultPlace {
        match self {
            Self::Latency { .. }
            | Self::Bandwidth { .. }
            | Self::Reset
            | Self::Stall
            | Self::DropSilently
            | Self::Refuse
            | Self::DropAfter { .. } => FaultPlace::Network,
            Self::Terminate | Self::Pause | Self::Restart => FaultPlace::Server,
            Self::Hold { .. } => FaultPlace::Client,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a fault happens, and so whom it can hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// In the proxy between pool and server: it touches the program's own connections only.
    Network,
    /// In the server: only one that the program has started itself may be touched.
    Server,
    /// In a client of the pool.
    Client,
}
