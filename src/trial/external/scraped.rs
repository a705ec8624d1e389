//! What a service tells of its pool while it is under load.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    model::{Latency, Utilisation},
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
    /// Whether a reading since the measured part began lacked the gauge.
    lacks_active: bool,
    lacks_idle: bool,
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
        (seen.lacks_active, seen.lacks_idle) = (false, false);
    }

    pub(super) fn read(&self, figures: PoolFigures) {
        let mut seen = self.seen();
        seen.lacks_active |= figures.active.is_none();
        seen.lacks_idle |= figures.idle.is_none();
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

    /// What is known of a utilisation that was made of these states: a gauge that is not there is not 0, so that without idle
    /// connections nobody knows how many are open, and without those in use nothing. What is not known is 0 in a measurement.
    pub(super) fn known(&self, of: Utilisation) -> Utilisation {
        let seen = self.seen();
        match (seen.lacks_active, seen.lacks_idle) {
            (false, false) => of,
            (false, true) => Utilisation { mean: 0.0, total: 0.0, peak_total: 0, ..of },
            (true, _) => Utilisation::default(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_that_is_not_there_is_not_known_and_not_none() {
        let scraped = Scraped::default();
        let figures = |active, idle| PoolFigures { active, idle, ..PoolFigures::default() };
        let of = Utilisation { mean: 0.5, active: 4.0, total: 8.0, peak_active: 6, peak_total: 10 };
        scraped.read(figures(None, None));
        scraped.begin();
        scraped.read(figures(Some(4.0), Some(4.0)));
        assert_eq!((scraped.known(of), scraped.status().total), (of, 8));
        // Once is enough: a mean over the other readings would be of other times than that of connections in use.
        scraped.read(figures(Some(4.0), None));
        scraped.read(figures(Some(4.0), Some(4.0)));
        assert_eq!(scraped.known(of), Utilisation { active: 4.0, peak_active: 6, ..Utilisation::default() });
        scraped.read(figures(None, Some(4.0)));
        assert_eq!(scraped.known(of), Utilisation::default());
    }
}
