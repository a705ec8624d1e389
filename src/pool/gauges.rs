use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::model::ConnectionCounts;

/// The state of a pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Connections held by requests, those being validated for one included.
    pub active: u32,
    /// Connections open, active or idle.
    pub total: u32,
    /// Requests waiting for a slot.
    pub waiting: u32,
    /// Most connections active at once since [`Pool::reset_peaks`](super::Pool::reset_peaks).
    pub peak_active: u32,
    /// Most connections open at once since then.
    pub peak_total: u32,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Lifetime,
    Idle,
    Broken,
    /// By closing the pool; not counted.
    Pool,
}

/// Live numbers and counts. They are independent of one another, so relaxed order is enough.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    active: Peaked,
    total: Peaked,
    waiting: AtomicU32,
    opened: AtomicU64,
    closed_lifetime: AtomicU64,
    closed_idle: AtomicU64,
    closed_broken: AtomicU64,
}

/// A number with the most it has been.
#[derive(Debug, Default)]
struct Peaked {
    now: AtomicU32,
    peak: AtomicU32,
}

impl Peaked {
    fn raise(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        if now > self.peak.load(Relaxed) {
            self.peak.fetch_max(now, Relaxed);
        }
    }

    fn lower(&self) {
        self.now.fetch_sub(1, Relaxed);
    }
}

impl Gauges {
    pub(super) fn held(&self) {
        self.active.raise();
    }

    pub(super) fn returned(&self) {
        self.active.lower();
    }

    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
        self.total.raise();
    }

    pub(super) fn closed(&self, why: Closed) {
        self.total.lower();
        let count = match why {
            Closed::Lifetime => &self.closed_lifetime,
            Closed::Idle => &self.closed_idle,
            Closed::Broken => &self.closed_broken,
            Closed::Pool => return,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn total(&self) -> u32 {
        self.total.now.load(Relaxed)
    }

    /// Counts one more waiting, until the guard is dropped.
    pub(super) fn wait(&self) -> impl Drop {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(&self.waiting)
    }

    pub(super) fn status(&self) -> Status {
        Status {
            active: self.active.now.load(Relaxed),
            total: self.total.now.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            peak_active: self.active.peak.load(Relaxed),
            peak_total: self.total.peak.load(Relaxed),
        }
    }

    pub(super) fn reset_peaks(&self) {
        for gauge in [&self.active, &self.total] {
            gauge.peak.store(gauge.now.load(Relaxed), Relaxed);
        }
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            opened: self.opened.load(Relaxed),
            closed_lifetime: self.closed_lifetime.load(Relaxed),
            closed_idle: self.closed_idle.load(Relaxed),
            closed_broken: self.closed_broken.load(Relaxed),
        }
    }
}

struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
