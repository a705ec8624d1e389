//! What a service tells of its pool while it is under load.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    model::Latency,
    pool::Status,
    scrape::{PoolFigures, Times},
};

/// How often a service's metrics are read: seldom enough to be no load of its own.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// The last that was read, and what has been seen since the measured part began.
#[derive(Debug, Default)]
pub(in crate::trial) struct Scraped(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    status: Status,
    /// Times to get a connection, as they were when the measured part began, and as they are.
    began: Times,
    acquire: Times,
}

impl Scraped {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at the last reading; all zero where nothing is read.
    pub(in crate::trial) fn status(&self) -> Status {
        self.seen().status
    }

    /// Another trial begins, whose pool may be a new one.
    pub(super) fn reset(&self) {
        *self.seen() = Seen::default();
    }

    /// The measured part begins.
    pub(in crate::trial) fn begin(&self) {
        let mut seen = self.seen();
        (seen.status.peak_active, seen.status.peak_total) = (seen.status.active, seen.status.total);
        seen.began = seen.acquire.clone();
    }

    pub(super) fn read(&self, figures: PoolFigures) {
        let mut seen = self.seen();
        let active = count(figures.active);
        let total = active + count(figures.idle);
        seen.status = Status {
            active,
            total,
            waiting: count(figures.pending),
            peak_active: active.max(seen.status.peak_active),
            peak_total: total.max(seen.status.peak_total),
        };
        seen.acquire = figures.acquire;
    }

    /// Times to get a connection since the measured part began, as far as they are told.
    pub(super) fn acquire(&self) -> Latency {
        let seen = self.seen();
        let since = seen.acquire.since(&seen.began);
        if since.count < 1.0 {
            return Latency::default();
        }
        let mean = since.sum / since.count;
        // Without buckets the mean is all there is.
        let at = |share| since.quantile(share).unwrap_or(mean);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter, at least 1")]
        let count = since.count as u64;
        Latency { count, mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a gauge of connections; it saturates")]
fn count(gauge: Option<f64>) -> u32 {
    gauge.unwrap_or_default().round() as u32
}
