//! What each library calls the figures of its pool.

/// Whose metrics an application has.
#[derive(Debug)]
pub struct Library {
    /// The name on the command line.
    pub name: &'static str,
    /// Who exports such metrics.
    pub about: &'static str,
    /// The label that tells pools apart.
    pub(super) pool: &'static str,
    /// Connections in use.
    pub(super) used: Metric,
    /// Connections open and not in use.
    pub(super) idle: Metric,
    /// Most connections; where it is not told, the run's value stands in its place.
    pub(super) max: Option<Metric>,
    /// Requests that wait for a connection.
    pub(super) pending: Metric,
    /// Acquisitions, a counter.
    pub(super) acquisitions: Metric,
    /// Whether those that gave up are among them.
    pub(super) counts_timeouts: bool,
    /// Acquisitions that gave up, a counter.
    pub(super) timeouts: Option<Metric>,
    /// Statements that failed, a counter.
    pub(super) errors: Option<Metric>,
    /// The time to get a connection.
    pub(super) acquire: Times,
    /// The figure that nears `connection_timeout` first.
    pub(super) longest: Times,
    /// The time in the database.
    pub(super) query: Times,
    /// 1 while the circuit is open.
    pub(super) breaker: Metric,
    /// What is missing or to be known, in sentences.
    pub notes: &'static [&'static str],
}

/// A metric, with what its labels have to match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    /// A matcher, or nothing.
    pub(super) matcher: &'static str,
    /// A label that it matches, for tests.
    pub(super) example: &'static str,
}

/// How times are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    /// A histogram, whose name has `_bucket` after it: the 95th percentile can be told.
    Histogram(&'static str),
    /// The sum of seconds and how many: the mean can be told.
    Mean { sum: &'static str, count: &'static str },
    /// A figure as it is now.
    Now(&'static str),
}

impl Times {
    /// What of the times is told, in words.
    pub(super) fn statistic(self) -> &'static str {
        match self {
            Self::Histogram(_) => "95th percentile",
            Self::Mean { .. } => "mean",
            Self::Now(_) => "longest now",
        }
    }
}

const fn plain(name: &'static str) -> Metric {
    Metric { name, matcher: "", example: "" }
}

const fn with(name: &'static str, label: &'static str) -> Metric {
    Metric { name, matcher: label, example: label }
}

/// No convention names a circuit breaker; resilience4j's metric is the most widespread.
const BREAKER: Metric = with("resilience4j_circuitbreaker_state", "state=\"open\"");

/// A name that no row has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no library whose metrics are known: expected one of otel, hikaricp, pgbouncer")]
pub struct UnknownLibrary(pub String);

/// Every library whose names are known.
pub static LIBRARIES: [Library; 3] = [
    Library {
        name: "otel",
        about: "OpenTelemetry's conventions for database client pools, as Prometheus has them",
        pool: "db_client_connection_pool_name",
        used: with("db_client_connection_count", "db_client_connection_state=\"used\""),
        idle: with("db_client_connection_count", "db_client_connection_state=\"idle\""),
        max: Some(plain("db_client_connection_max")),
        pending: plain("db_client_connection_pending_requests"),
        acquisitions: plain("db_client_connection_wait_time_seconds_count"),
        counts_timeouts: false,
        timeouts: Some(plain("db_client_connection_timeouts_total")),
        errors: Some(Metric {
            name: "db_client_operation_duration_seconds_count",
            matcher: "error_type!=\"\"",
            example: "error_type=\"53300\"",
        }),
        acquire: Times::Histogram("db_client_connection_wait_time_seconds"),
        longest: Times::Histogram("db_client_connection_wait_time_seconds"),
        query: Times::Histogram("db_client_operation_duration_seconds"),
        breaker: BREAKER,
        notes: &[
            "The conventions have no metric of a circuit breaker: expected is resilience4j's form, \
             `resilience4j_circuitbreaker_state{name, state=\"open\"}`, 1 while it is open; export a gauge of that name, or change \
             the one recording rule.",
            "`db_client_operation_duration_seconds` is the time of one operation; the run's query time is that of a whole request.",
        ],
    },
    Library {
        name: "hikaricp",
        about: "HikariCP by Micrometer, its circuit breaker by resilience4j",
        pool: "pool",
        used: plain("hikaricp_connections_active"),
        idle: plain("hikaricp_connections_idle"),
        max: Some(plain("hikaricp_connections_max")),
        pending: plain("hikaricp_connections_pending"),
        acquisitions: plain("hikaricp_connections_acquire_seconds_count"),
        counts_timeouts: true,
        timeouts: Some(plain("hikaricp_connections_timeout_total")),
        errors: None,
        acquire: Times::Histogram("hikaricp_connections_acquire_seconds"),
        longest: Times::Histogram("hikaricp_connections_acquire_seconds"),
        query: Times::Histogram("hikaricp_connections_usage_seconds"),
        breaker: BREAKER,
        notes: &[
            "Micrometer writes buckets only when asked: \
             `management.metrics.distribution.percentiles-histogram.hikaricp.connections.acquire=true`, and likewise for `usage`.",
            "HikariCP counts no statements that fail: the error rate is that of acquisitions that gave up.",
            "Query time is the time for which a connection is in use.",
        ],
    },
    Library {
        name: "pgbouncer",
        about: "PgBouncer by prometheus-community's exporter",
        pool: "database",
        used: plain("pgbouncer_pools_server_active_connections"),
        idle: plain("pgbouncer_pools_server_idle_connections"),
        max: None,
        pending: plain("pgbouncer_pools_client_waiting_connections"),
        acquisitions: plain("pgbouncer_stats_sql_transactions_pooled_total"),
        counts_timeouts: false,
        timeouts: None,
        errors: None,
        acquire: Times::Mean {
            sum: "pgbouncer_stats_client_wait_seconds_total",
            count: "pgbouncer_stats_sql_transactions_pooled_total",
        },
        longest: Times::Now("pgbouncer_pools_client_maxwait_seconds"),
        query: Times::Mean {
            sum: "pgbouncer_stats_queries_duration_seconds_total",
            count: "pgbouncer_stats_queries_pooled_total",
        },
        breaker: BREAKER,
        notes: &[
            "PgBouncer counts neither failed statements nor clients that gave up: there are no alerts on the error budget.",
            "Its times have no percentiles: means are watched, and the client that waits longest.",
            "A pool is one user's on one database: where several users share a database, they share the run's max_connections here.",
            "The circuit breaker is the application's, in resilience4j's form.",
        ],
    },
];

impl Library {
    /// The row of a name.
    ///
    /// # Errors
    /// [`UnknownLibrary`] when there is none.
    pub fn named(name: &str) -> Result<&'static Self, UnknownLibrary> {
        LIBRARIES.iter().find(|library| library.name == name).ok_or_else(|| UnknownLibrary(name.to_owned()))
    }
}
