//! What a trial's workers send their requests to.

use std::sync::Arc;

use super::{external::Client, sampler::Mix};
use crate::{
    model::{BreakerCounts, BreakerState, ConnectionCounts},
    pool::{Pool, Status},
};

/// What serves the requests of a trial.
pub(super) enum Served {
    /// Pools that share one server, as many as instances of an application have; at least one.
    Pools {
        /// The pools. A worker always uses the same one.
        pools: Vec<Pool>,
        /// What the requests are drawn from.
        mix: Arc<Mix>,
    },
    /// A service.
    Service {
        /// Who asks it.
        client: Arc<Client>,
        /// What the requests are drawn from.
        mix: Arc<Mix>,
    },
}

impl Served {
    fn pools(&self) -> &[Pool] {
        match self {
            Self::Pools { pools, .. } => pools,
            Self::Service { .. } => &[],
        }
    }

    pub(super) fn mix(&self) -> &Mix {
        match self {
            Self::Pools { mix, .. } | Self::Service { mix, .. } => mix,
        }
    }

    /// The pool whose connections a fault holds: a client that leaks is one instance of several.
    pub(super) fn leaking(&self) -> Option<&Pool> {
        self.pools().first()
    }

    /// The state at this moment, over all pools.
    pub(super) fn status(&self) -> Status {
        if let Self::Service { client, .. } = self {
            return client.pool.status();
        }
        self.pools().iter().map(Pool::status).fold(Status::default(), |sum, of| Status {
            active: sum.active + of.active,
            total: sum.total + of.total,
            waiting: sum.waiting + of.waiting,
            peak_active: sum.peak_active + of.peak_active,
            peak_total: sum.peak_total + of.peak_total,
        })
    }

    /// Lets the peaks of [`Self::status`] begin anew.
    pub(super) fn reset_peaks(&self) {
        if let Self::Service { client, .. } = self {
            client.pool.begin();
        }
        self.pools().iter().for_each(Pool::reset_peaks);
    }

    /// Connections opened and closed, and transitions of the circuit breakers, over all pools. The time that circuits were open
    /// is the mean of the pools': a second in which one of four turned its requests away is a quarter of one.
    pub(super) fn counts(&self) -> (ConnectionCounts, BreakerCounts) {
        let pools = self.pools();
        let (connections, breaker) = pools.iter().map(Pool::counts).fold(Default::default(), add);
        #[expect(clippy::cast_precision_loss, reason = "a number of pools")]
        let open_seconds = breaker.open_seconds / pools.len().max(1) as f64;
        (connections, BreakerCounts { open_seconds, ..breaker })
    }

    /// What the circuit breakers do with requests: the state that serves least of them.
    pub(super) fn breaker(&self) -> BreakerState {
        let rank = |state: &BreakerState| match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.pools().iter().map(Pool::breaker).max_by_key(rank).unwrap_or_default()
    }
}

fn add(
    (connections, breaker): (ConnectionCounts, BreakerCounts),
    (more, again): (ConnectionCounts, BreakerCounts),
) -> (ConnectionCounts, BreakerCounts) {
    let connections = ConnectionCounts {
        opened: connections.opened + more.opened,
        closed_lifetime: connections.closed_lifetime + more.closed_lifetime,
        closed_idle: connections.closed_idle + more.closed_idle,
        closed_broken: connections.closed_broken + more.closed_broken,
    };
    let breaker = BreakerCounts {
        opened: breaker.opened + again.opened,
        half_opened: breaker.half_opened + again.half_opened,
        closed: breaker.closed + again.closed,
        open_seconds: breaker.open_seconds + again.open_seconds,
    };
    (connections, breaker)
}
