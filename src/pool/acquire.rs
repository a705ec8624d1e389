use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::timeout_at};

use super::{
    AcquireError, Lease, Status,
    gauges::Closed,
    keeper::Keeper,
    shared::Shared,
    slot::{Content, Kept, Place},
};
use crate::{
    database::Server,
    model::{BreakerCounts, BreakerState, ConnectionCounts, ErrorClass, Settings},
};

/// A pool of connections to one server. Clones share it; when the last one is dropped everything is closed, also
/// without [`Pool::close`].
#[derive(Clone, Debug)]
pub struct Pool {
    pub(super) shared: Arc<Shared>,
    keeper: Arc<Keeper>,
}

/// How long it took to be handed a connection, in parts; what is left of the total went into the pool's own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// From asking to having: all parts together.
    pub total: Duration,
    /// Waiting for a slot.
    pub wait: Duration,
    /// Opening a connection, if one was opened.
    pub open: Option<Duration>,
    /// Validating, if that was done; dead connections that were tried first included.
    pub validate: Option<Duration>,
}

impl Acquired {
    fn add_validation(&mut self, time: Duration) {
        self.validate = Some(self.validate.unwrap_or_default() + time);
    }
}

impl Pool {
    /// A pool with nothing in it yet. `seed` is for the jitter of retry delays.
    #[must_use]
    pub fn new(server: Server, settings: &Settings, seed: u64) -> Self {
        let (retired, to_close) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(server, settings.clone(), seed, retired));
        Self { shared, keeper: Arc::new(Keeper::new(to_close)) }
    }

    /// Opens `min_connections`, all at once, and starts what works in the background: closing by age and idleness,
    /// health checks, refilling. When it has failed it can be called again.
    ///
    /// # Errors
    /// The first [`AcquireError`]; what could be opened stays open.
    pub async fn open(&self) -> Result<(), AcquireError> {
        self.keeper.fill(&self.shared).await?;
        self.keeper.start(&self.shared);
        Ok(())
    }

    /// A connection, after all who asked before; within `connection_timeout`. One attempt: nothing is retried, and the
    /// circuit breaker is not asked (see [`Pool::request`]).
    ///
    /// # Errors
    /// [`AcquireError`], which names what a timeout was waiting for.
    pub async fn acquire(&self) -> Result<Lease<'_>, AcquireError> {
        self.shared.acquire().await
    }

    /// The state at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.gauges.status()
    }

    /// Lets the peaks of [`Pool::status`] begin anew from the present state.
    pub fn reset_peaks(&self) {
        self.shared.gauges.reset_peaks();
    }

    /// Connections opened and closed, and transitions of the circuit breaker, since the pool was made.
    #[must_use]
    pub fn counts(&self) -> (ConnectionCounts, BreakerCounts) {
        (self.shared.gauges.counts(), self.shared.breaker.counts())
    }

    /// What the circuit breaker does with requests at this moment.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.shared.breaker.state()
    }

    /// Stops what works in the background and closes all idle connections; whoever waits is turned away, and what is
    /// still in use is closed on return. It takes a second at most.
    pub async fn close(&self) {
        self.keeper.close(&self.shared).await;
    }
}

impl Shared {
    async fn acquire(&self) -> Result<Lease<'_>, AcquireError> {
        let started = Instant::now();
        let deadline = self.deadline(started);
        let mut place = self.place(deadline).await?;
        let mut now = Instant::now();
        let mut acquired = Acquired { wait: now.saturating_duration_since(started), ..Acquired::default() };
        loop {
            let (kept, fresh) = match place.take() {
                Content::Idle(kept) => (kept, false),
                Content::Checking(mut back) => {
                    let asked = now;
                    let answer = timeout_at(deadline.into(), &mut back).await;
                    now = Instant::now();
                    acquired.add_validation(now.saturating_duration_since(asked));
                    match answer {
                        Ok(Ok(kept)) => (kept, false),
                        Ok(Err(_)) => {
                            place = self.exchange(place).await;
                            continue;
                        }
                        Err(_) => {
                            place.give_back(Content::Checking(back));
                            return Err(AcquireError::timeout(ErrorClass::AcquireTimeoutValidating));
                        }
                    }
                }
                Content::Vacant => {
                    let asked = now;
                    let kept = self.open(deadline).await?;
                    now = kept.opened;
                    acquired.open = Some(now.saturating_duration_since(asked));
                    (kept, true)
                }
            };
            if self.is_expired(&kept, now) && !fresh {
                self.retire(kept, Closed::Lifetime);
                place = self.exchange(place).await;
                continue;
            }
            match self.hand_out(place, kept, fresh, &mut now, deadline, &mut acquired).await {
                Ok(mut lease) => {
                    acquired.total = now.saturating_duration_since(started);
                    lease.hand_out(acquired, now);
                    return Ok(lease);
                }
                Err(Rejected::Dead(dead)) => place = self.exchange(dead).await,
                Err(Rejected::Failed(error)) => return Err(error),
            }
        }
    }

    /// Validates a connection, if that is to be done, and makes a lease of it.
    async fn hand_out(
        &self,
        place: Place,
        kept: Kept,
        fresh: bool,
        now: &mut Instant,
        deadline: Instant,
        acquired: &mut Acquired,
    ) -> Result<Lease<'_>, Rejected> {
        let mut lease = Lease::new(self, place, kept, *now);
        if !self.validates() {
            return Ok(lease);
        }
        let asked = *now;
        let verdict = lease.validate(deadline).await;
        *now = Instant::now();
        acquired.add_validation(now.saturating_duration_since(asked));
        let Err(error) = verdict else { return Ok(lease) };
        let place = lease.bury();
        if error.is_none() && *now >= deadline {
            return Err(Rejected::Failed(AcquireError::timeout(ErrorClass::AcquireTimeoutValidating)));
        }
        match place {
            Some(place) if !fresh => Err(Rejected::Dead(place)),
            _ => Err(Rejected::Failed(AcquireError::invalid(error))),
        }
    }
}

/// Why a connection is not handed out.
enum Rejected {
    /// It was dead; another can be tried in its place.
    Dead(Place),
    /// There is no point in trying another.
    Failed(AcquireError),
}
