use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, FaultKind, seconds};

/// What a day of operation looks like: how much is asked for over the hours, what goes wrong and how often, and what it costs.
/// Settings that act too slowly or too rarely for trials are judged by a simulation of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperatingDay {
    /// How requests are spread over the hours.
    pub shape: Shape,
    /// The share of the best throughput measured that the highest hour asks for.
    pub peak: f64,
    /// A request is served in time within so long from when it was meant to start.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub deadline: Duration,
    /// What goes wrong.
    pub incidents: Incidents,
    /// What else is counted as a loss.
    pub costs: Costs,
}

/// The default deadline: a person has turned away by then.
const DEADLINE: Duration = Duration::from_secs(1);
/// The default peak: where operation is planned with room for twice as much.
const PEAK: f64 = 0.5;

impl Default for OperatingDay {
    fn default() -> Self {
        Self {
            shape: Shape::Diurnal,
            peak: PEAK,
            deadline: DEADLINE,
            incidents: Incidents::default(),
            costs: Costs::default(),
        }
    }
}

/// How requests are spread over the hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// As many all the time.
    Flat,
    /// Fewest at five in the morning, most at five in the afternoon.
    Diurnal,
    /// From eight to six, with a burst of a minute every hour, on five days of seven; a tenth otherwise.
    Business,
    /// Requests a minute, one after the other, begun anew when the last one is over.
    Minutes(Vec<f64>),
}

/// How often something goes wrong, and for how long each time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Times a day.
    pub a_day: f64,
    /// How long it lasts; nothing for what happens in a moment.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub lasts: Duration,
}

/// The kinds of what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// The server is restarted, for a configuration or a minor version.
    Restarts,
    /// Another server takes over.
    Failovers,
    /// The network or the server is slow: 50 ms more each way.
    BrownOuts,
    /// One round trip in fifty is late by 200 ms, the shortest retransmission time-out of Linux (`TCP_RTO_MIN`).
    PacketLoss,
    /// Three in ten connections are reset at once: a proxy or a balancer is deployed.
    Resets,
    /// A client keeps three connections.
    Leaks,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Restarts, Self::Failovers, Self::BrownOuts, Self::PacketLoss, Self::Resets, Self::Leaks];

    /// The name in files and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Restarts => "restarts",
            Self::Failovers => "failovers",
            Self::BrownOuts => "brown_outs",
            Self::PacketLoss => "packet_loss",
            Self::Resets => "resets",
            Self::Leaks => "leaks",
        }
    }

    /// One of them, in words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Restarts => "restart of the server",
            Self::Failovers => "take-over by another server",
            Self::BrownOuts => "brown-out",
            Self::PacketLoss => "stretch of packet loss",
            Self::Resets => "reset of connections",
            Self::Leaks => "leak",
        }
    }

    /// Whether it happens in a moment.
    #[must_use]
    pub fn is_moment(self) -> bool {
        self == Self::Resets
    }

    /// It as a fault that begins `at`.
    #[must_use]
    pub fn fault(self, at: Duration, lasts: Duration) -> Fault {
        let latency = |delay| FaultKind::Latency { delay: Duration::from_millis(delay), jitter: Duration::ZERO };
        let (kind, share) = match self {
            Self::Restarts | Self::Failovers => (FaultKind::Restart, 1.0),
            Self::BrownOuts => (latency(50), 1.0),
            Self::PacketLoss => (latency(100), 0.02),
            Self::Resets => (FaultKind::Reset, 0.3),
            Self::Leaks => (FaultKind::Hold { connections: 3, in_transaction: false }, 1.0),
        };
        Fault { at, lasts: if self.is_moment() { Duration::ZERO } else { lasts }, share, kind }
    }
}

/// What goes wrong, in the order of [`IncidentKind::ALL`], and what comes without a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incidents {
    rates: [Incident; 6],
    /// How long a connection may carry nothing before it is dropped silently (AWS NAT gateways and network balancers: 350 s;
    /// Azure's balancer: 240 s).
    #[serde(default)]
    pub idle_limit: Option<f64>,
}

impl Default for Incidents {
    /// A restart of 5 s a week, a take-over of 90 s a month (RDS Multi-AZ: typically 60 to 120 s), a brown-out and a stretch of
    /// packet loss of 30 s and two resets a day, no leak and no limit: an assumption, which whoever knows better replaces.
    fn default() -> Self {
        let incident = |a_day, lasts| Incident { a_day, lasts: Duration::from_secs(lasts) };
        let rates = IncidentKind::ALL.map(|kind| match kind {
            IncidentKind::Restarts => incident(1.0 / 7.0, 5),
            IncidentKind::Failovers => incident(1.0 / 30.0, 90),
            IncidentKind::BrownOuts | IncidentKind::PacketLoss => incident(1.0, 30),
            IncidentKind::Resets => incident(2.0, 0),
            IncidentKind::Leaks => incident(0.0, 600),
        });
        Self { rates, idle_limit: None }
    }
}

impl Incidents {
    /// Nothing ever goes wrong.
    #[must_use]
    pub fn none() -> Self {
        let mut none = Self::default();
        for incident in &mut none.rates {
            incident.a_day = 0.0;
        }
        none
    }

    /// How often one kind happens, and for how long.
    #[must_use]
    pub fn get(&self, kind: IncidentKind) -> Incident {
        self.rates[kind as usize]
    }

    /// Sets how often one kind happens, and for how long.
    pub fn set(&mut self, kind: IncidentKind, incident: Incident) {
        self.rates[kind as usize] = incident;
    }

    /// The kinds with how often each happens.
    pub fn iter(&self) -> impl Iterator<Item = (IncidentKind, Incident)> + '_ {
        IncidentKind::ALL.into_iter().zip(self.rates)
    }
}

/// What is counted as a loss beside requests that are not served in time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// Requests that opening a connection counts for; without a word, as many as the database serves on a connection in the time
    /// that opening one takes.
    pub reconnect: Option<f64>,
    /// The share of all requests that a connection counts for which is held all the time. An idle connection costs memory and a
    /// little of everybody's throughput (a hundredth of a per mille each is an assumption).
    pub connection: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { reconnect: None, connection: 1e-5 }
    }
}
