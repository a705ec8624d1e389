use std::{
    ops::{Deref, DerefMut},
    time::Instant,
};

use super::{
    Acquired, Attempt, Second, Work, WorkError,
    gauges::Closed,
    shared::Shared,
    slot::{Content, Kept, Place},
};
use crate::database::{Connection, QueryError};

/// A connection handed out. Dropped, it goes back to the pool, or is closed when it is broken or has outlived
/// `connection_lifetime`.
#[derive(Debug)]
pub struct Lease<'a> {
    shared: &'a Shared,
    /// Both are there until it is given back.
    place: Option<Place>,
    kept: Option<Kept>,
    since: Instant,
    ready: Instant,
    acquired: Acquired,
    broken: bool,
}

impl<'a> Lease<'a> {
    pub(super) fn new(shared: &'a Shared, place: Place, kept: Kept, since: Instant) -> Self {
        shared.gauges.held();
        let acquired = Acquired::default();
        Self { shared, place: Some(place), kept: Some(kept), since, ready: since, acquired, broken: false }
    }

    /// How long it took to get it.
    #[must_use]
    pub fn acquired(&self) -> &Acquired {
        &self.acquired
    }

    pub(super) fn hand_out(&mut self, acquired: Acquired, now: Instant) {
        self.acquired = acquired;
        self.ready = now;
    }

    /// Since when the connection is set aside for this lease: its validation is part of the time it is held.
    #[must_use]
    pub fn held_since(&self) -> Instant {
        self.since
    }

    /// Runs `work` on the connection. When the connection is lost, or `work` is given up halfway, the connection will
    /// be closed instead of being handed to the next one with an answer still to come.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn run(&mut self, work: &mut impl Work) -> Result<(), WorkError> {
        self.broken = true;
        let result = work.run(self).await;
        self.broken = result.as_ref().is_err_and(WorkError::connection_lost);
        result
    }

    /// Validates the connection. Given up halfway, it is closed.
    pub(super) async fn validate(&mut self, deadline: Instant) -> Result<(), Option<QueryError>> {
        self.broken = true;
        let shared = self.shared;
        shared.validate(self, Some(deadline)).await?;
        self.broken = false;
        Ok(())
    }

    /// Closes the connection instead of giving it back.
    pub fn discard(mut self) {
        self.broken = true;
    }

    /// Gives it back at a time already read off the clock.
    pub(super) fn give_back(mut self, now: Instant) -> Attempt {
        self.release(now);
        Attempt {
            acquired: Some(self.acquired),
            query: Some(now.saturating_duration_since(self.ready)),
            hold: Some(now.saturating_duration_since(self.since)),
            second: None,
        }
    }

    /// Gives back a connection that a request had beside another.
    #[must_use]
    pub fn give_back_second(self) -> Second {
        let (acquired, now, since) = (self.acquired, Instant::now(), self.since);
        drop(self);
        Second { acquired, hold: now.saturating_duration_since(since) }
    }

    /// Closes the connection but keeps the place.
    pub(super) fn bury(mut self) -> Option<Place> {
        let place = self.place.take()?;
        self.shared.gauges.returned();
        if let Some(kept) = self.kept.take() {
            self.shared.bury(kept);
        }
        Some(place)
    }

    fn release(&mut self, now: Instant) {
        let (Some(place), Some(mut kept)) = (self.place.take(), self.kept.take()) else { return };
        // The numbers change before the place is free, so that they never show more than there can be.
        self.shared.gauges.returned();
        if self.broken {
            self.shared.bury(kept);
        } else if self.shared.slots.is_closed() {
            self.shared.retire(kept, Closed::Pool);
        } else if self.shared.is_expired(&kept, now) {
            self.shared.retire(kept, Closed::Lifetime);
        } else {
            kept.idle_since = now;
            place.give_back(Content::Idle(kept));
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.release(Instant::now());
        }
    }
}

impl Deref for Lease<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.kept {
            Some(kept) => &kept.connection,
            None => unreachable!("a lease has its connection until it is dropped"),
        }
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.kept {
            Some(kept) => &mut kept.connection,
            None => unreachable!("a lease has its connection until it is dropped"),
        }
    }
}
