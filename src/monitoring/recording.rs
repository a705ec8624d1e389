//! Recording rules: every figure of every library under one name, one series a pool.

use super::{
    library::{Library, Metric, Times},
    thresholds::Thresholds,
};

/// The windows over which the share of failures is recorded, shortest first.
pub(super) const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

pub(super) const USED: &str = "db_pool:connections_used:sum";
pub(super) const IDLE: &str = "db_pool:connections_idle:sum";
pub(super) const MAX: &str = "db_pool:connections_max:sum";
pub(super) const UTILISATION: &str = "db_pool:utilisation:ratio";
pub(super) const PENDING: &str = "db_pool:requests_pending:sum";
pub(super) const ACQUISITIONS: &str = "db_pool:acquisitions:rate5m";
pub(super) const TIMEOUTS: &str = "db_pool:timeouts:rate5m";
pub(super) const ACQUIRE: &str = "db_pool:acquire_seconds:rate5m";
pub(super) const LONGEST: &str = "db_pool:acquire_longest_seconds:rate5m";
pub(super) const QUERY: &str = "db_pool:query_seconds:rate5m";
pub(super) const BREAKER: &str = "db_pool:circuit_open:max";

/// The share of failures over a window.
pub(super) fn failures(window: &str) -> String {
    format!("db_pool_job:failures:ratio_rate{window}")
}

/// A recording rule: its name and its expression.
pub(super) type Recording = (String, String);

/// All recordings, in the order in which they need each other.
pub(super) fn recordings(library: &Library, thresholds: &Thresholds) -> Vec<Recording> {
    let gauge = |metric: Metric| by_pool(library, &metric.selector());
    let rate = |metric: Metric| by_pool(library, &format!("rate({}[5m])", metric.selector()));
    let max = match library.max {
        Some(metric) => gauge(metric),
        None => format!("{USED} * 0 + {}", thresholds.max_connections),
    };
    let mut recordings = vec![
        (USED.to_owned(), gauge(library.used)),
        (IDLE.to_owned(), gauge(library.idle)),
        (MAX.to_owned(), max),
        (UTILISATION.to_owned(), format!("{USED} / {MAX}")),
        (PENDING.to_owned(), gauge(library.pending)),
        (ACQUISITIONS.to_owned(), rate(library.acquisitions)),
    ];
    recordings.extend(library.timeouts.map(|metric| (TIMEOUTS.to_owned(), rate(metric))));
    recordings.push((ACQUIRE.to_owned(), times(library, library.acquire)));
    recordings.push((LONGEST.to_owned(), times(library, library.longest)));
    recordings.push((QUERY.to_owned(), times(library, library.query)));
    recordings.push((BREAKER.to_owned(), format!("max by (job, instance, name) ({})", library.breaker.selector())));
    if has_failures(library) {
        recordings.extend(WINDOWS.iter().map(|window| (failures(window), share_of_failures(library, window))));
    }
    recordings
}

/// Whether the library counts anything that fails.
pub(super) fn has_failures(library: &Library) -> bool {
    library.timeouts.is_some() || library.errors.is_some()
}

impl Metric {
    /// The metric with its matcher.
    pub(super) fn selector(&self) -> String {
        if self.matcher.is_empty() { self.name.to_owned() } else { format!("{}{{{}}}", self.name, self.matcher) }
    }
}

/// Sums over everything but who exports it and which pool it is of.
fn by_pool(library: &Library, vector: &str) -> String {
    format!("sum by (job, instance, pool) ({})", named(library, vector))
}

/// A vector whose pools are told apart by the label `pool`.
fn named(library: &Library, vector: &str) -> String {
    match library.pool {
        "pool" => vector.to_owned(),
        label => format!("label_replace({vector}, \"pool\", \"$1\", \"{label}\", \"(.*)\")"),
    }
}

fn times(library: &Library, times: Times) -> String {
    match times {
        Times::Histogram(name) => {
            let buckets = named(library, &format!("rate({name}_bucket[5m])"));
            format!("histogram_quantile(0.95, sum by (job, instance, pool, le) ({buckets}))")
        }
        Times::Mean { sum, count } => {
            let rate = |name: &str| by_pool(library, &format!("rate({name}[5m])"));
            format!("{} / {}", rate(sum), rate(count))
        }
        Times::Now(name) => format!("max by (job, instance, pool) ({})", named(library, name)),
    }
}

fn share_of_failures(library: &Library, window: &str) -> String {
    let failed = [library.timeouts, library.errors];
    let gave_up = library.timeouts.filter(|_| !library.counts_timeouts);
    let tried = [Some(library.acquisitions), gave_up];
    format!("{} / {}", total(failed, window), total(tried, window))
}

/// The sum of what there is of two counters. Each gets a label of its own, so that neither hides the other.
fn total(metrics: [Option<Metric>; 2], window: &str) -> String {
    let parts = metrics.iter().flatten().enumerate().map(|(part, metric)| {
        format!("label_replace(rate({}[{window}]), \"part\", \"{part}\", \"\", \"\")", metric.selector())
    });
    format!("sum by (job) ({})", parts.collect::<Vec<_>>().join(" or "))
}
