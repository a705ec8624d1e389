//! What a simulation counts.

use hdrhistogram::Histogram;

use super::agenda::{SECOND, Time};
use crate::model::{ConnectionCounts, ErrorClass};

/// Three digits, up to some hours.
const LONGEST: Time = 36_000 * SECOND;

/// Counts of a stretch of virtual time.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The length of the stretch, in seconds.
    pub seconds: f64,
    /// Requests served.
    pub served: u64,
    /// Attempts made, and what failed ones failed of.
    pub attempts: u64,
    /// Requests that failed in the end.
    pub failed: u64,
    /// Failed attempts by class, in the order of [`ErrorClass::ALL`].
    pub errors: Vec<u64>,
    /// Connections opened and closed.
    pub connections: ConnectionCounts,
    /// Connections at work, added up over time, in seconds.
    pub active: f64,
    /// Connections open, the same.
    pub open: f64,
    /// From when a request was due to its end, of those served; in nanoseconds, as all histograms here.
    pub response: Histogram<u64>,
    /// From asking for a connection to having it.
    pub acquire: Histogram<u64>,
    /// What the statements of successful attempts took.
    pub query: Histogram<u64>,
    /// Connections held.
    pub hold: Histogram<u64>,
    /// The sums of all acquisitions and of all response times, exactly, in seconds.
    pub sums: (f64, f64),
    /// What the simulation did, in events.
    pub events: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            seconds: 0.0,
            served: 0,
            attempts: 0,
            failed: 0,
            errors: vec![0; ErrorClass::ALL.len()],
            connections: ConnectionCounts::default(),
            active: 0.0,
            open: 0.0,
            response: histogram(),
            acquire: histogram(),
            query: histogram(),
            hold: histogram(),
            sums: (0.0, 0.0),
            events: 0,
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, LONGEST, 2)
        .unwrap_or_else(|error| unreachable!("the bounds are constants: {error}"))
}

/// What a time is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Response,
    Acquire,
    Query,
    Hold,
}

impl Tally {
    pub(super) fn error(&mut self, class: ErrorClass) {
        if let Some(place) = ErrorClass::ALL.iter().position(|known| *known == class) {
            self.errors[place] += 1;
        }
    }

    /// Failed attempts of a class.
    #[must_use]
    pub fn errors_of(&self, class: ErrorClass) -> u64 {
        let counts = ErrorClass::ALL.iter().zip(&self.errors);
        counts.filter(|(known, _)| **known == class).map(|(_, count)| *count).sum()
    }

    pub(super) fn distribution(&mut self, kind: Kind) -> &mut Histogram<u64> {
        match kind {
            Kind::Response => &mut self.response,
            Kind::Acquire => &mut self.acquire,
            Kind::Query => &mut self.query,
            Kind::Hold => &mut self.hold,
        }
    }

    /// Adds the counts of another stretch `times` times, as if it had happened so often. Its distributions are none: times are
    /// recorded in the whole at once.
    pub(super) fn add_counts(&mut self, other: &Self, times: u64) {
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        let factor = times as f64;
        self.seconds += other.seconds * factor;
        self.served += other.served * times;
        self.attempts += other.attempts * times;
        self.failed += other.failed * times;
        for (sum, count) in self.errors.iter_mut().zip(&other.errors) {
            *sum += count * times;
        }
        // What is opened and closed in the time that a stretch stands for is found otherwise.
        self.connections.opened += other.connections.opened;
        self.connections.closed_lifetime += other.connections.closed_lifetime;
        self.connections.closed_idle += other.connections.closed_idle;
        self.connections.closed_broken += other.connections.closed_broken;
        self.active += other.active * factor;
        self.open += other.open * factor;
        self.sums.0 += other.sums.0 * factor;
        self.sums.1 += other.sums.1 * factor;
        self.events += other.events;
    }

    /// Begins anew, in the same memory.
    pub(super) fn clear(&mut self) {
        // Named one by one, so that a field that is added is not forgotten.
        let Self {
            seconds,
            served,
            attempts,
            failed,
            errors,
            connections,
            active,
            open,
            response,
            acquire,
            query,
            hold,
            sums,
            events,
        } = self;
        debug_assert!([response, acquire, query, hold].iter().all(|times| times.is_empty()), "recorded in the whole");
        errors.fill(0);
        (*served, *attempts, *failed, *events) = (0, 0, 0, 0);
        (*seconds, *active, *open, *sums) = (0.0, 0.0, 0.0, (0.0, 0.0));
        *connections = ConnectionCounts::default();
    }

    /// Requests served a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let served = self.served as f64;
        served / self.seconds.max(1e-9)
    }

    /// The share of requests that were served; 1 where there were none.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        let all = self.served + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let share = if all == 0 { 1.0 } else { self.served as f64 / all as f64 };
        share
    }
}
