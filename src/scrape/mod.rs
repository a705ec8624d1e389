//! An application's own pool metrics, as its Prometheus endpoint tells them.
//!
//! In: a scrape in Prometheus' text format. Out: the figures of its pool, whichever library they are of. Names are those of
//! `OpenTelemetry`'s semantic conventions for database client pools (development, and the deprecated plural), of HikariCP by
//! Micrometer, of Go's `DBStatsCollector` and of PgBouncer's exporter.

use prometheus_parse::{HistogramCount, Labels, Sample, Scrape, Value};

/// What a pool's metrics tell at one moment; all pools of the application together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolFigures {
    /// Connections in use.
    pub active: Option<f64>,
    /// Connections open and not in use.
    pub idle: Option<f64>,
    /// Requests that wait for a connection.
    pub pending: Option<f64>,
    /// Most connections.
    pub max: Option<f64>,
    /// Acquisitions that gave up, since the application's start.
    pub timeouts: Option<f64>,
    /// Times to get a connection, since the application's start.
    pub acquire: Times,
}

/// Times counted since an application's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// How many.
    pub count: f64,
    /// Their sum, in seconds.
    pub sum: f64,
    /// Upper bounds, in seconds, with how many were not above each.
    pub buckets: Vec<(f64, f64)>,
}

/// Text that is no scrape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not Prometheus' text format: {0}")]
pub struct ScrapeError(String);

/// What a metric tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Active,
    Idle,
    Pending,
    Max,
    Timeouts,
    /// Connections, told apart by a label that holds their state.
    ByState,
    /// A histogram of times to get a connection; the sum of its seconds has `_sum` after its name, their number `_count`.
    Acquire,
}

/// The names that are known, without `_total`.
const NAMES: &[(&str, Figure)] = &[
    ("db_client_connection_count", Figure::ByState),
    ("db_client_connections_usage", Figure::ByState),
    ("db_client_connection_pending_requests", Figure::Pending),
    ("db_client_connections_pending_requests", Figure::Pending),
    ("db_client_connection_max", Figure::Max),
    ("db_client_connections_max", Figure::Max),
    ("db_client_connection_timeouts", Figure::Timeouts),
    ("db_client_connections_timeouts", Figure::Timeouts),
    ("db_client_connection_wait_time_seconds", Figure::Acquire),
    ("db_client_connections_wait_time_seconds", Figure::Acquire),
    ("hikaricp_connections_active", Figure::Active),
    ("hikaricp_connections_idle", Figure::Idle),
    ("hikaricp_connections_pending", Figure::Pending),
    ("hikaricp_connections_max", Figure::Max),
    ("hikaricp_connections_timeout", Figure::Timeouts),
    ("hikaricp_connections_acquire_seconds", Figure::Acquire),
    ("go_sql_in_use_connections", Figure::Active),
    ("go_sql_idle_connections", Figure::Idle),
    ("go_sql_max_open_connections", Figure::Max),
    ("pgbouncer_pools_server_active_connections", Figure::Active),
    ("pgbouncer_pools_server_idle_connections", Figure::Idle),
    ("pgbouncer_pools_client_waiting_connections", Figure::Pending),
];

impl PoolFigures {
    /// Reads a scrape; `None` when it has no metric of a pool.
    ///
    /// # Errors
    /// [`ScrapeError`] when the text is no scrape at all.
    pub fn read(text: &str) -> Result<Option<Self>, ScrapeError> {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).map_err(|error| ScrapeError(error.to_string()))?;
        let mut figures = Self::default();
        let mut found = false;
        for sample in &scrape.samples {
            found |= figures.take(sample);
        }
        Ok(found.then_some(figures))
    }

    fn take(&mut self, sample: &Sample) -> bool {
        let name = sample.metric.strip_suffix("_total").unwrap_or(&sample.metric);
        let plain = match &sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(*value),
            Value::Histogram(_) | Value::Summary(_) => None,
        };
        for (ending, into) in [("_sum", &mut self.acquire.sum), ("_count", &mut self.acquire.count)] {
            let of = name.strip_suffix(ending).filter(|of| NAMES.contains(&(*of, Figure::Acquire)));
            if let (Some(_), Some(value)) = (of, plain) {
                *into += value;
                return true;
            }
        }
        let Some((_, figure)) = NAMES.iter().find(|(known, _)| *known == name) else { return false };
        if let (Figure::Acquire, Value::Histogram(buckets)) = (figure, &sample.value) {
            self.acquire.add(buckets);
            return true;
        }
        let Some(value) = plain else { return false };
        let into = match figure {
            Figure::Active => &mut self.active,
            Figure::Idle => &mut self.idle,
            Figure::Pending => &mut self.pending,
            Figure::Max => &mut self.max,
            Figure::Timeouts => &mut self.timeouts,
            Figure::ByState => match state(&sample.labels) {
                Some("used") => &mut self.active,
                Some("idle") => &mut self.idle,
                _ => return false,
            },
            Figure::Acquire => return false,
        };
        *into = Some(into.unwrap_or_default() + value);
        true
    }
}

fn state(labels: &Labels) -> Option<&str> {
    labels.get("db_client_connection_state").or_else(|| labels.get("state"))
}

impl Times {
    fn add(&mut self, buckets: &[HistogramCount]) {
        for bucket in buckets {
            match self.buckets.iter_mut().find(|(bound, _)| bound.total_cmp(&bucket.less_than).is_eq()) {
                Some((_, count)) => *count += bucket.count,
                None => self.buckets.push((bucket.less_than, bucket.count)),
            }
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }

    /// What came since an earlier moment. A counter that has fallen was begun anew: then all of it came since.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.count < earlier.count {
            return self.clone();
        }
        let before = |bound: f64| earlier.buckets.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
        let buckets =
            self.buckets.iter().map(|(bound, count)| (*bound, count - before(*bound).map_or(0.0, |(_, was)| *was)));
        Self { count: self.count - earlier.count, sum: self.sum - earlier.sum, buckets: buckets.collect() }
    }

    /// The time that a share of them does not exceed, straight within a bucket as Prometheus' `histogram_quantile` has it;
    /// `None` without buckets or times.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let wanted = share * all;
        let mut below = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            if count >= wanted && count > below.1 {
                let within = (wanted - below.1) / (count - below.1);
                return Some(if bound.is_finite() { below.0 + (bound - below.0) * within } else { below.0 });
            }
            below = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opentelemetrys_names_are_read_over_all_pools() {
        let text = "# TYPE db_client_connection_count gauge\n\
                    db_client_connection_count{db_client_connection_pool_name=\"a\",db_client_connection_state=\"used\"} 3\n\
                    db_client_connection_count{db_client_connection_pool_name=\"b\",db_client_connection_state=\"used\"} 4\n\
                    db_client_connection_count{db_client_connection_pool_name=\"a\",db_client_connection_state=\"idle\"} 2\n\
                    # TYPE db_client_connection_timeouts counter\ndb_client_connection_timeouts_total 9\n\
                    # TYPE db_client_connection_wait_time_seconds histogram\n\
                    db_client_connection_wait_time_seconds_bucket{le=\"0.01\"} 50\n\
                    db_client_connection_wait_time_seconds_bucket{le=\"0.1\"} 90\n\
                    db_client_connection_wait_time_seconds_bucket{le=\"+Inf\"} 100\n\
                    db_client_connection_wait_time_seconds_sum 5\ndb_client_connection_wait_time_seconds_count 100\n";
        let figures = PoolFigures::read(text).unwrap().unwrap();
        assert_eq!((figures.active, figures.idle, figures.pending), (Some(7.0), Some(2.0), None));
        assert_eq!((figures.timeouts, figures.acquire.count, figures.acquire.sum), (Some(9.0), 100.0, 5.0));
        assert_eq!(figures.acquire.quantile(0.5), Some(0.01));
        assert!((figures.acquire.quantile(0.7).unwrap() - 0.055).abs() < 1e-12);
        assert_eq!(figures.acquire.quantile(0.99), Some(0.1), "above the last bound nothing is known");
    }

    #[test]
    fn hikaricps_names_are_read_and_others_passed_over() {
        let text = "hikaricp_connections_active{pool=\"main\"} 5.0\nhikaricp_connections_pending{pool=\"main\"} 1.0\n\
                    jvm_threads 12\n";
        let figures = PoolFigures::read(text).unwrap().unwrap();
        assert_eq!((figures.active, figures.pending, figures.idle), (Some(5.0), Some(1.0), None));
        assert_eq!(PoolFigures::read("jvm_threads 12\n"), Ok(None));
        assert_eq!(PoolFigures::read(""), Ok(None));
    }

    #[test]
    fn what_came_since_a_restart_is_all_there_is() {
        let times = |count, sum| Times { count, sum, buckets: vec![(1.0, count)] };
        assert_eq!(times(10.0, 3.0).since(&times(4.0, 1.0)), times(6.0, 2.0));
        assert_eq!(times(3.0, 1.0).since(&times(4.0, 1.0)), times(3.0, 1.0));
    }
}
