use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::model::{Acquisition, ErrorClass, ErrorCount, Grown, Latency};

/// The unit of the histograms, in seconds: a tenth of a microsecond.
pub const UNIT: f64 = 1e-7;
/// The longest time told apart, in [`UNIT`]s: an hour.
const LONGEST: u64 = 36_000_000_000;
/// Significant decimal digits kept of each time.
const DIGITS: u8 = 3;

/// A distribution of times. Memory is touched only where times fall.
#[derive(Clone, Debug)]
pub(super) struct Times {
    histogram: Histogram<u32>,
    sum: Duration,
}

impl Times {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        #[expect(clippy::expect_used, reason = "constant bounds, proved good by every test")]
        Self { histogram: histogram.expect("the bounds are constants"), sum: Duration::ZERO }
    }

    #[inline]
    pub(super) fn record(&mut self, time: Duration) {
        let units = u64::try_from(time.as_nanos() / 100).unwrap_or(LONGEST);
        self.histogram.saturating_record(units.max(1));
        self.sum += time;
    }

    fn clear(&mut self) {
        if !self.histogram.is_empty() {
            self.histogram.reset();
            self.sum = Duration::ZERO;
        }
    }

    fn add(&mut self, other: &Self) {
        if !other.histogram.is_empty() && self.histogram.add(&other.histogram).is_ok() {
            self.sum += other.sum;
        }
    }

    /// The longest so far, in seconds.
    fn max(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "units of an hour are far below 2^53")]
        let units = self.histogram.max() as f64;
        units * UNIT
    }

    pub(super) fn histogram(&self) -> &Histogram<u32> {
        &self.histogram
    }

    pub(super) fn into_histogram(self) -> Histogram<u32> {
        self.histogram
    }

    pub(super) fn latency(&self) -> Latency {
        let count = self.histogram.len();
        if count == 0 {
            return Latency::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "counts and units are far below 2^53")]
        let seconds = |units: u64| units as f64 * UNIT;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let mean = self.sum.as_secs_f64() / count as f64;
        Latency {
            count,
            mean,
            p50: seconds(self.histogram.value_at_quantile(0.5)),
            p90: seconds(self.histogram.value_at_quantile(0.9)),
            p95: seconds(self.histogram.value_at_quantile(0.95)),
            p99: seconds(self.histogram.value_at_quantile(0.99)),
            p999: seconds(self.histogram.value_at_quantile(0.999)),
            max: seconds(self.histogram.max()),
        }
    }
}

/// A histogram without any time in it.
pub(super) fn empty() -> Histogram<u32> {
    Times::new().histogram
}

/// Classes of failed attempts, as many as there are.
const CLASSES: usize = ErrorClass::ALL.len();

/// What some workers saw while measuring. Shards of it are merged at the end.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) retries: u64,
    pub(super) response: Times,
    pub(super) query: Times,
    pub(super) acquire: Times,
    pub(super) wait: Times,
    pub(super) open: Times,
    pub(super) validate: Times,
    pub(super) hold: Times,
    errors: HashMap<(ErrorClass, Option<String>), (u64, String)>,
    /// What came since the last look, where anybody looks.
    recent: Option<Recent>,
}

/// What was seen since the last look.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) response: Times,
    /// How long connections were held, all together.
    pub(super) held: Duration,
    classes: [u64; CLASSES],
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { response: Times::new(), held: Duration::ZERO, classes: [0; CLASSES] }
    }

    /// Failed attempts by class, those that there were.
    pub(super) fn errors(&self) -> Vec<(ErrorClass, u64)> {
        ErrorClass::ALL.into_iter().zip(self.classes).filter(|(_, count)| *count > 0).collect()
    }
}

impl Recorder {
    pub(super) fn new(watched: bool) -> Self {
        Self {
            succeeded: 0,
            failed: 0,
            retries: 0,
            response: Times::new(),
            query: Times::new(),
            acquire: Times::new(),
            wait: Times::new(),
            open: Times::new(),
            validate: Times::new(),
            hold: Times::new(),
            errors: HashMap::new(),
            recent: watched.then(Recent::new),
        }
    }

    /// A request has ended, `response` after it was meant to start.
    pub(super) fn request(&mut self, response: Duration, success: bool, attempts: u32) {
        self.retries += u64::from(attempts - 1);
        if success {
            self.succeeded += 1;
            self.response.record(response);
            if let Some(recent) = &mut self.recent {
                recent.response.record(response);
            }
        } else {
            self.failed += 1;
        }
    }

    /// A connection was given back.
    pub(super) fn held(&mut self, hold: Duration) {
        self.hold.record(hold);
        if let Some(recent) = &mut self.recent {
            recent.held += hold;
        }
    }

    pub(super) fn error(&mut self, class: ErrorClass, code: Option<&str>, message: &str) {
        let entry = self.errors.entry((class, code.map(str::to_owned)));
        entry.or_insert_with(|| (0, message.to_owned())).0 += 1;
        if let Some(recent) = &mut self.recent {
            recent.classes[class as usize] += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.retries += other.retries;
        self.response.add(&other.response);
        self.query.add(&other.query);
        self.acquire.add(&other.acquire);
        self.wait.add(&other.wait);
        self.open.add(&other.open);
        self.validate.add(&other.validate);
        self.hold.add(&other.hold);
        for (key, (count, example)) in &other.errors {
            self.errors.entry(key.clone()).or_insert_with(|| (0, example.clone())).0 += count;
        }
    }

    pub(super) fn acquisition(&self) -> Acquisition {
        Acquisition {
            total: self.acquire.latency(),
            wait: self.wait.latency(),
            open: self.open.latency(),
            validate: self.validate.latency(),
        }
    }

    /// Failed attempts, the most frequent first.
    pub(super) fn errors(&self) -> Vec<ErrorCount> {
        let mut errors: Vec<_> = self
            .errors
            .iter()
            .map(|((class, code), (count, example))| ErrorCount {
                class: *class,
                code: code.clone(),
                example: example.clone(),
                count: *count,
            })
            .collect();
        errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (a.class, &a.code).cmp(&(b.class, &b.code))));
        errors
    }
}

/// The recorders of a trial. A worker always writes to the same one, which it shares with few others, so that thousands
/// of workers need no memory each and the lock is nearly always free.
#[derive(Debug)]
pub(super) struct Shards(Vec<Shard>);

#[derive(Debug)]
#[repr(align(128))]
struct Shard(Mutex<Recorder>);

/// Most recorders of a trial.
const MOST_SHARDS: usize = 16;

impl Shards {
    /// Recorders for `workers`; `watched` when somebody will [look](Self::look) while the trial runs.
    pub(super) fn new(workers: usize, watched: bool) -> Self {
        let shard = || Shard(Mutex::new(Recorder::new(watched)));
        Self(std::iter::repeat_with(shard).take(workers.clamp(1, MOST_SHARDS)).collect())
    }

    pub(super) fn of(&self, worker: usize) -> MutexGuard<'_, Recorder> {
        self.0[worker % self.0.len()].lock()
    }

    /// What was seen since the last look.
    pub(super) fn look(&self) -> Recent {
        let mut all = Recent::new();
        for shard in &self.0 {
            if let Some(recent) = &mut shard.lock().recent {
                all.response.add(&recent.response);
                recent.response.clear();
                all.held += std::mem::take(&mut recent.held);
                for (sum, count) in all.classes.iter_mut().zip(&mut recent.classes) {
                    *sum += std::mem::take(count);
                }
            }
        }
        all
    }

    /// What has grown so far; of connections and circuit the recorders know nothing.
    pub(super) fn grown(&self) -> Grown {
        self.0.iter().fold(Grown::default(), |sum, shard| {
            let of = shard.lock();
            Grown {
                failed: sum.failed + of.failed,
                errors: sum.errors + of.errors.values().map(|(count, _)| count).sum::<u64>(),
                response: sum.response.max(of.response.max()),
                query: sum.query.max(of.query.max()),
                acquire: sum.acquire.max(of.acquire.max()),
                wait: sum.wait.max(of.wait.max()),
                open: sum.open.max(of.open.max()),
                hold: sum.hold.max(of.hold.max()),
                ..sum
            }
        })
    }

    pub(super) fn merged(&self) -> Recorder {
        let mut merged = Recorder::new(false);
        for shard in &self.0 {
            merged.add(&shard.lock());
        }
        merged
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's running totals, for the conductor to read while the trial runs. On a cache line of its own, so that
/// workers do not slow each other down by counting.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    succeeded: AtomicU64,
    failed: AtomicU64,
    attempts: AtomicU64,
}

/// The sum of all workers' tallies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) attempts: u64,
}

impl Tally {
    pub(super) fn count(&self, success: bool, attempts: u32) {
        // Only the owning worker writes, so a load and a store do.
        let add = |counter: &AtomicU64, more| counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        add(if success { &self.succeeded } else { &self.failed }, 1);
        add(&self.attempts, u64::from(attempts));
    }

    /// All so far, over all `tallies`.
    pub(super) fn total(tallies: &[Self]) -> Count {
        tallies.iter().fold(Count::default(), |sum, tally| Count {
            succeeded: sum.succeeded + tally.succeeded.load(Ordering::Relaxed),
            failed: sum.failed + tally.failed.load(Ordering::Relaxed),
            attempts: sum.attempts + tally.attempts.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits() {
        let mut times = Times::new();
        for milliseconds in 1..=100 {
            times.record(Duration::from_millis(milliseconds));
        }
        let latency = times.latency();
        assert_eq!(latency.count, 100);
        assert!((latency.mean - 0.0505).abs() < 1e-9, "{latency:?}");
        assert!((latency.p95 - 0.095).abs() < 1e-4, "{latency:?}");
        assert!((latency.max - 0.1).abs() < 1e-4, "{latency:?}");
    }

    #[test]
    fn merging_adds_up() {
        let (mut one, mut other) = (Recorder::new(false), Recorder::new(false));
        one.query.record(Duration::from_millis(1));
        one.error(ErrorClass::Query, Some("23505"), "duplicate key");
        other.query.record(Duration::from_millis(3));
        other.error(ErrorClass::Query, Some("23505"), "duplicate key");
        other.error(ErrorClass::CircuitOpen, None, "circuit open");
        one.add(&other);
        assert_eq!(one.query.latency().count, 2);
        let errors = one.errors();
        assert_eq!((errors[0].class, errors[0].count), (ErrorClass::Query, 2));
        assert_eq!((errors[1].class, errors[1].count), (ErrorClass::CircuitOpen, 1));
    }
}
