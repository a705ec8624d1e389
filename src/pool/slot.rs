use std::{
    convert::Infallible,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{Manager, Metrics, Object, RecycleResult};
use tokio::sync::oneshot;

use crate::database::Connection;

/// An open connection with its ages.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) connection: Connection,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
}

impl Kept {
    pub(super) fn new(connection: Connection, opened: Instant) -> Self {
        Self { connection, opened, idle_since: opened }
    }

    pub(super) fn is_older_than(&self, lifetime: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.opened) > lifetime
    }

    pub(super) fn is_idle_for(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.idle_since) >= time
    }
}

/// What a slot of the pool holds.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Nothing: a connection is to be opened.
    #[default]
    Vacant,
    /// A connection that nobody uses.
    Idle(Kept),
    /// A connection that the health check has taken out to validate it. It comes back through the channel; a channel
    /// closed without one says that the connection was dead. The slot keeps its place among the idle ones meanwhile,
    /// so that a health check makes no cold connection hot.
    Checking(oneshot::Receiver<Kept>),
}

/// A place for one connection, as deadpool keeps it.
///
/// The lock is for the keeper, which looks into idle slots where they lie; a request owns its slot and never locks it.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Content>);

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_mut(&mut self) -> &mut Content {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes slots for deadpool. Opening and validating are not done here but by the one who asks, because only they know
/// how much of `connection_timeout` is left, and want to know which part took how long.
#[derive(Debug)]
pub(super) struct Slots;

impl Manager for Slots {
    type Type = Slot;
    type Error = Infallible;

    async fn create(&self) -> Result<Slot, Infallible> {
        Ok(Slot::default())
    }

    async fn recycle(&self, _: &mut Slot, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

/// A slot taken out of the pool. Dropped, it leaves the pool, making room for another; so whoever is interrupted
/// halfway leaves nothing behind.
#[derive(Debug)]
pub(super) struct Place(Option<Object<Slots>>);

impl Place {
    pub(super) fn new(object: Object<Slots>) -> Self {
        Self(Some(object))
    }

    /// Takes out what the slot holds.
    pub(super) fn take(&mut self) -> Content {
        self.0.as_mut().map_or(Content::Vacant, |object| mem::take(object.get_mut()))
    }

    /// Puts the slot back into the pool with something in it.
    pub(super) fn give_back(mut self, content: Content) {
        if let Some(mut object) = self.0.take() {
            *object.get_mut() = content;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
