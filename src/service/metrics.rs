//! What the service tells Prometheus and OpenTelemetry.
//!
//! Names are OpenTelemetry's for database client pools where it has one (semantic conventions 1.3x, "Development"); the others begin
//! with `pool_tune_`. Labels are names of profiles, experiments and monitors of the configuration, phases and error classes, so that
//! there are never more series than those.

use std::{
    collections::BTreeMap,
    fmt::Error,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, prometheus_text, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use super::{bus::Told, hub::Hub, live::Live, watcher::Seen};
use crate::{
    alert::Outcome,
    model::{ErrorClass, Latency, Severity},
    stats,
};

/// Names and values, in one order for each family.
pub(super) type Labels = Vec<(&'static str, String)>;

/// OpenTelemetry's label of a pool's name.
const POOL: &str = "db_client_connection_pool_name";
/// Acquisitions that gave up, whatever they waited for.
const TIMEOUTS: [ErrorClass; 4] = [
    ErrorClass::AcquireTimeoutWaiting,
    ErrorClass::AcquireTimeoutOpening,
    ErrorClass::AcquireTimeoutValidating,
    ErrorClass::AcquireTimeoutNested,
];

/// The two text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The one that whoever asks prefers: `OpenMetrics` where it is named.
    pub(super) fn of(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is so at a moment.
    Gauge,
    /// The same, where the values of a family add up: OpenTelemetry's `UpDownCounter`.
    Amount,
    /// What only grows.
    Counter,
}

/// What a family's values are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    Seconds,
    Bytes,
    /// A share between 0 and 1.
    Ratio,
    /// Things of a kind, in the braces of UCUM's annotations.
    Things(&'static str),
}

impl Measured {
    /// The unit that Prometheus has at the end of a name.
    fn unit(self) -> Option<Unit> {
        match self {
            Self::Seconds => Some(Unit::Seconds),
            Self::Bytes => Some(Unit::Bytes),
            Self::Ratio => Some(Unit::Other("ratio".to_owned())),
            Self::Things(_) => None,
        }
    }

    /// The same in UCUM's words, which are OpenTelemetry's.
    pub(super) fn ucum(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Bytes => "By",
            Self::Ratio => "1",
            Self::Things(things) => things,
        }
    }
}

/// All families, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Connections,
    ConnectionsMax,
    Timeouts,
    Utilisation,
    Acquisition,
    Query,
    Errors,
    BreakerOpened,
    BreakerOpen,
    Throughput,
    Success,
    Trials,
    Runs,
    Running,
    Planned,
    Done,
    Due,
    Up,
    Findings,
    Requests,
    Alerts,
    Exports,
    Streams,
    Memory,
    Started,
    Processor,
}

impl Family {
    /// Its name without the unit, what it tells, the unit, and what its values are.
    fn says(self) -> (&'static str, &'static str, Measured, Kind) {
        use Kind::{Amount, Counter, Gauge};
        use Measured::{Bytes, Ratio, Seconds, Things};
        match self {
            Self::Connections => (
                "db_client_connection_count",
                "Connections of the pool under test, mean of its last trial",
                Things("{connection}"),
                Amount,
            ),
            Self::ConnectionsMax => (
                "db_client_connection_max",
                "Most connections of the pool under test in its last trial",
                Things("{connection}"),
                Amount,
            ),
            Self::Timeouts => (
                "db_client_connection_timeouts",
                "Acquisitions of the pool under test that gave up",
                Things("{timeout}"),
                Counter,
            ),
            Self::Utilisation => {
                ("pool_tune_pool_utilisation", "Share of connections in use, mean of the last trial", Ratio, Gauge)
            }
            Self::Acquisition => {
                ("pool_tune_acquisition", "Time to get a connection in the last trial, by percentile", Seconds, Gauge)
            }
            Self::Query => {
                ("pool_tune_query", "Time of a request's queries in the last trial, by percentile", Seconds, Gauge)
            }
            Self::Errors => ("pool_tune_errors", "Failed attempts in trials, by class", Things("{attempt}"), Counter),
            Self::BreakerOpened => (
                "pool_tune_circuit_breaker_opened",
                "How often the circuit breaker opened in trials",
                Things("{opening}"),
                Counter,
            ),
            Self::BreakerOpen => (
                "pool_tune_circuit_breaker_open",
                "Share of the last trial in which the circuit breaker was not closed",
                Ratio,
                Gauge,
            ),
            Self::Throughput => (
                "pool_tune_trial_requests_per_second",
                "Successful requests a second in the last trial",
                Things("{request}/s"),
                Gauge,
            ),
            Self::Success => {
                ("pool_tune_trial_success", "Share of requests that succeeded in the last trial", Ratio, Gauge)
            }
            Self::Trials => ("pool_tune_trials", "Trials, by phase", Things("{trial}"), Counter),
            Self::Runs => ("pool_tune_runs", "Runs, by experiment and how they ended", Things("{run}"), Counter),
            Self::Running => {
                ("pool_tune_run_in_progress", "Whether a run of an experiment is under way", Things("{run}"), Gauge)
            }
            Self::Planned => {
                ("pool_tune_run_trials_planned", "Most trials of the run that is under way", Things("{trial}"), Gauge)
            }
            Self::Done => (
                "pool_tune_run_trial",
                "The number of the last trial of the run that is under way",
                Things("{trial}"),
                Gauge,
            ),
            Self::Due => (
                "pool_tune_experiment_next_due_timestamp",
                "When an experiment is next due, without jitter",
                Seconds,
                Gauge,
            ),
            Self::Up => {
                ("pool_tune_monitor_up", "Whether all that a monitor watches can be read", Things("{monitor}"), Gauge)
            }
            Self::Findings => {
                ("pool_tune_monitor_findings", "What a monitor shows now, by severity", Things("{finding}"), Amount)
            }
            Self::Requests => {
                ("pool_tune_http_requests", "Requests to the service, by status code", Things("{request}"), Counter)
            }
            Self::Alerts => {
                ("pool_tune_alerts", "Alerts, by webhook and what became of them", Things("{alert}"), Counter)
            }
            Self::Exports => (
                "pool_tune_otlp_exports",
                "Exports of these metrics by OTLP, by what became of them",
                Things("{export}"),
                Counter,
            ),
            Self::Streams => ("pool_tune_event_streams", "Streams of events that are open", Things("{stream}"), Amount),
            Self::Memory => ("process_resident_memory", "Resident memory of the service", Bytes, Amount),
            Self::Started => ("process_start_time", "When the service began, since 1970", Seconds, Gauge),
            Self::Processor => ("process_cpu", "Processor time of the service, load included", Seconds, Counter),
        }
    }

    pub(super) fn help(self) -> &'static str {
        self.says().1
    }

    pub(super) fn measured(self) -> Measured {
        self.says().2
    }

    pub(super) fn kind(self) -> Kind {
        self.says().3
    }

    /// Its name in OpenTelemetry, with dots and without units.
    pub(super) fn dotted(self) -> String {
        match self {
            Self::Memory => "process.memory.usage".to_owned(),
            Self::Processor => "process.cpu.time".to_owned(),
            _ => {
                let name = self.says().0;
                let conventional = name.strip_prefix("db_client_connection_");
                conventional.map_or_else(
                    || name.replacen("pool_tune_", "pool_tune.", 1),
                    |of| format!("db.client.connection.{of}"),
                )
            }
        }
    }
}

/// The values of all families.
pub(super) type Values = BTreeMap<Family, BTreeMap<Labels, f64>>;

/// What has been counted and seen.
#[derive(Default)]
pub(super) struct Metrics {
    values: Mutex<Values>,
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// A count as a value: what is counted here is far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// Values on their way into a text.
#[derive(Debug)]
struct Snapshot(Values);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for (family, values) in &self.0 {
            let (name, help, measured, kind) = family.says();
            let unit = measured.unit();
            let typed = if kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge };
            let mut descriptor = encoder.encode_descriptor(name, help, unit.as_ref(), typed)?;
            for (labels, value) in values {
                let series = descriptor.encode_family(labels)?;
                if kind == Kind::Counter {
                    ConstCounter::new(*value).encode(series)?;
                } else {
                    ConstGauge::new(*value).encode(series)?;
                }
            }
        }
        Ok(())
    }
}

impl Metrics {
    fn values(&self) -> MutexGuard<'_, Values> {
        // Each change is of one value.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, family: Family, labels: Labels, value: f64) {
        self.values().entry(family).or_default().insert(labels, value);
    }

    fn add(&self, family: Family, labels: Labels, value: f64) {
        *self.values().entry(family).or_default().entry(labels).or_default() += value;
    }

    /// Counts what happened.
    pub(super) fn count(&self, told: &Told) {
        match told {
            Told::Trial { phase, .. } => self.add(Family::Trials, labels([("phase", phase)]), 1.0),
            Told::RunFinished { experiment, recommends, .. } => {
                let outcome = if recommends.is_some() { "change" } else { "keep" };
                self.add(Family::Runs, labels([("experiment", experiment), ("outcome", outcome)]), 1.0);
            }
            Told::RunStopped { experiment, interrupted, .. } => {
                let outcome = if *interrupted { "interrupted" } else { "failed" };
                self.add(Family::Runs, labels([("experiment", experiment), ("outcome", outcome)]), 1.0);
            }
            _ => {}
        }
    }

    pub(super) fn count_request(&self, status: u16) {
        self.add(Family::Requests, labels([("code", &status.to_string())]), 1.0);
    }

    pub(super) fn count_alert(&self, webhook: &str, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Sent => "sent",
            Outcome::Dead => "dead",
        };
        self.add(Family::Alerts, labels([("webhook", webhook), ("outcome", outcome)]), 1.0);
    }

    pub(super) fn count_export(&self, taken: bool) {
        self.add(Family::Exports, labels([("outcome", if taken { "taken" } else { "failed" })]), 1.0);
    }

    /// Takes in the last trial of the round that is under way.
    pub(super) fn measured(&self, live: &Live) {
        let (Some((settings, of)), Some(profile)) = (live.last(), &live.profile) else { return };
        let pool = || labels([(POOL, profile)]);
        let state = |state: &str| labels([(POOL, profile), ("db_client_connection_state", state)]);
        self.set(Family::Connections, state("used"), of.utilisation.active);
        self.set(Family::Connections, state("idle"), (of.utilisation.total - of.utilisation.active).max(0.0));
        self.set(Family::ConnectionsMax, pool(), f64::from(settings.max_connections()));
        self.set(Family::Utilisation, pool(), of.utilisation.mean);
        for (family, latency) in [(Family::Acquisition, &of.acquire.total), (Family::Query, &of.query)] {
            for (percentile, value) in percentiles(latency) {
                self.set(family, labels([(POOL, profile), ("percentile", percentile)]), value);
            }
        }
        for error in &of.errors {
            let class = serde_json::to_value(error.class).ok();
            let class = class.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            self.add(Family::Errors, labels([(POOL, profile), ("error_type", class)]), real(error.count));
            if TIMEOUTS.contains(&error.class) {
                self.add(Family::Timeouts, pool(), real(error.count));
            }
        }
        self.add(Family::BreakerOpened, pool(), real(of.breaker.opened));
        let open = if of.seconds > 0.0 { (of.breaker.open_seconds / of.seconds).min(1.0) } else { 0.0 };
        self.set(Family::BreakerOpen, pool(), open);
        self.set(Family::Throughput, pool(), of.throughput);
        self.set(Family::Success, pool(), of.requests.success_rate);
    }

    /// All series as they are now, as text.
    pub(super) fn text(&self, hub: &Hub, format: Format) -> Result<String, Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot(self.now(hub))));
        let build = Info::new(labels([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("pool_tune_build", "The program's version", build);
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
            Format::OpenMetrics => text::encode(&mut text, &registry)?,
        }
        Ok(text)
    }

    /// All values as they are now, with what is not counted when it happens.
    pub(super) fn now(&self, hub: &Hub) -> Values {
        let (running, trial, planned) =
            hub.live(|live| (1.0, f64::from(live.trial), f64::from(live.trials))).unwrap_or((0.0, 0.0, 0.0));
        for (family, value) in [(Family::Running, running), (Family::Done, trial), (Family::Planned, planned)] {
            self.set(family, Labels::new(), value);
        }
        let now = Timestamp::now();
        let experiments = hub.experiments();
        let due = experiments.iter().filter_map(|known| {
            let schedule = known.loaded.as_ref().ok()?.experiment.schedule.as_ref()?;
            Some((labels([("experiment", &known.name)]), schedule.next_after(now)?.as_duration().as_secs_f64()))
        });
        let due: BTreeMap<Labels, f64> = due.collect();
        // Of experiments that there are no more nothing is told.
        self.values().insert(Family::Due, due);
        hub.seen(|seen| seen.iter().for_each(|seen| self.seen(seen)));
        self.set(Family::Streams, Labels::new(), stats::real(hub.streams()));
        self.set(Family::Started, Labels::new(), hub.started.as_duration().as_secs_f64());
        self.process();
        let mut values = self.values().clone();
        values.retain(|_, values| !values.is_empty());
        values
    }

    fn seen(&self, seen: &Seen) {
        let up = seen.problem.is_none() && seen.sources.iter().all(|source| source.problem.is_none());
        self.set(Family::Up, labels([("monitor", &seen.name)]), f64::from(u8::from(up)));
        for (severity, name) in
            [(Severity::Serious, "serious"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        {
            let count = seen.findings.iter().filter(|finding| finding.severity == severity).count();
            self.set(Family::Findings, labels([("monitor", &seen.name), ("severity", name)]), stats::real(count));
        }
    }

    fn process(&self) {
        let Ok(stat) = procfs::process::Process::myself().and_then(|me| me.stat()) else { return };
        self.set(Family::Memory, Labels::new(), real(stat.rss * procfs::page_size()));
        let seconds = real(stat.utime + stat.stime) / real(procfs::ticks_per_second());
        self.set(Family::Processor, Labels::new(), seconds);
    }
}

/// A label of a name of its own: `quantile` is for summaries, whose sums these have not.
fn percentiles(latency: &Latency) -> [(&'static str, f64); 3] {
    [("50", latency.p50), ("95", latency.p95), ("99", latency.p99)]
}
