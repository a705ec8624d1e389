//! What stands behind the pool: a database, as far as a pool feels it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Times;

/// A database and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// How long a request's statements take.
    pub service: ByActive,
    /// How long opening a connection takes.
    pub connect: Times,
    /// How long validating one takes.
    pub validate: ByActive,
    /// Connections that the server takes from this pool.
    pub server_limit: u32,
    /// How long a connection that was dropped silently hangs where nobody validates it: the system gives up then.
    pub silence: Duration,
    /// How long a connection may carry nothing before something between pool and server drops it silently.
    pub idle_limit: Option<Duration>,
}

/// Times by how many connections are at work at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByActive(Vec<At>);

/// Times at a number of connections at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// Connections at work on average when it was measured.
    pub active: f64,
    /// What was measured.
    pub times: Times,
}

impl ByActive {
    /// The same, however many are at work.
    #[must_use]
    pub fn same(times: Times) -> Self {
        Self(vec![At { active: 1.0, times }])
    }

    /// As measured at some numbers; between and beyond, quantiles are interpolated over the logarithm of the number.
    #[must_use]
    pub fn new(mut measured: Vec<At>) -> Self {
        measured.sort_by(|a, b| a.active.total_cmp(&b.active));
        measured.dedup_by(|b, a| (b.active - a.active).abs() < 0.5);
        Self(measured)
    }

    /// The times at `active` connections at work.
    #[must_use]
    pub fn at(&self, active: u32) -> Times {
        let place = f64::from(active.max(1)).ln();
        let at = |index: usize| self.0[index].active.max(1.0).ln();
        match self.0.as_slice() {
            [] => Times::constant(0.0),
            [only] => only.times.clone(),
            several => {
                let above = several.iter().position(|known| known.active.max(1.0).ln() >= place);
                // Beyond the ends, the nearest two go on as they are between them.
                let high = above.unwrap_or(several.len() - 1).max(1);
                let low = high - 1;
                let part = (place - at(low)) / (at(high) - at(low)).max(1e-9);
                several[low].times.towards(&several[high].times, part)
            }
        }
    }
}

impl World {
    /// A database whose requests take as long however many there are.
    #[must_use]
    pub fn plain(service: Times) -> Self {
        Self {
            service: ByActive::same(service),
            connect: Times::constant(0.0),
            validate: ByActive::same(Times::constant(0.0)),
            server_limit: u32::MAX,
            silence: Duration::from_secs(900),
            idle_limit: None,
        }
    }
}
