//! What stands behind the pool: a database, as far as a pool feels it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Times;

/// A database and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// How long a request's statements take, by how many connections are at work at once; at least one, ascending. Between
    /// and beyond, quantiles are interpolated over the logarithm of the number.
    pub service: Vec<ServiceAt>,
    /// How long opening a connection takes.
    pub connect: Times,
    /// How long validating one takes, when nothing else goes on.
    pub validate: Times,
    /// Connections that the server takes from this pool.
    pub server_limit: u32,
    /// How long a connection that was dropped silently hangs where nobody validates it: the system gives up then.
    pub silence: Duration,
    /// How long a connection may carry nothing before something between pool and server drops it silently.
    pub idle_limit: Option<Duration>,
}

/// Service times at a number of connections at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceAt {
    /// Connections at work on average when it was measured.
    pub active: f64,
    /// What requests took.
    pub times: Times,
}

impl World {
    /// A database whose requests take as long however many there are.
    #[must_use]
    pub fn plain(service: Times) -> Self {
        Self {
            service: vec![ServiceAt { active: 1.0, times: service }],
            connect: Times::constant(0.0),
            validate: Times::constant(0.0),
            server_limit: u32::MAX,
            silence: Duration::from_secs(900),
            idle_limit: None,
        }
    }

    /// Service times at `active` connections at work.
    #[must_use]
    pub fn service(&self, active: u32) -> Times {
        let place = f64::from(active.max(1)).ln();
        let at = |index: usize| self.service[index].active.max(1.0).ln();
        match self.service.as_slice() {
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
