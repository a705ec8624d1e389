//! What the service tells Prometheus.
//!
//! Names are OpenTelemetry's for database client pools where it has one (semantic conventions 1.3x, "Development"); the others begin
//! with `pool_tune_`. Labels are names of profiles, experiments and monitors of the configuration, phases and error classes, so that
//! there are never more series than those.

use std::{
    fmt::Error,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::{bus::Told, hub::Hub, live::Live, watcher::Seen};
use crate::{
    alert::Outcome,
    model::{ErrorClass, Latency, Severity},
};

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counters = Family<Labels, Counter>;

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

/// All series.
pub(super) struct Metrics {
    registry: Registry,
    connections: Gauges,
    connections_max: Gauges,
    timeouts: Counters,
    utilisation: Gauges,
    acquisition: Gauges,
    query: Gauges,
    errors: Counters,
    breaker_opened: Counters,
    breaker_open: Gauges,
    throughput: Gauges,
    success: Gauges,
    trials: Counters,
    runs: Counters,
    running: Gauges,
    planned: Gauges,
    done: Gauges,
    due: Gauges,
    up: Gauges,
    findings: Gauges,
    requests: Counters,
    alerts: Counters,
    streams: Gauges,
    memory: Gauges,
    started: Gauges,
    processor: Family<Labels, Counter<f64, AtomicU64>>,
    /// One look at a time: what is set anew must be whole.
    looking: Mutex<()>,
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let mut gauge = |name: &str, help: &str, unit: Option<Unit>| {
            let family = Gauges::default();
            match unit {
                Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
                None => registry.register(name, help, family.clone()),
            }
            family
        };
        let connections =
            gauge("db_client_connection_count", "Connections of the pool under test, mean of its last trial", None);
        let connections_max =
            gauge("db_client_connection_max", "Most connections of the pool under test in its last trial", None);
        let utilisation = gauge(
            "pool_tune_pool_utilisation",
            "Share of connections in use, mean of the last trial",
            Some(Unit::Other("ratio".to_owned())),
        );
        let acquisition = gauge(
            "pool_tune_acquisition",
            "Time to get a connection in the last trial, by percentile",
            Some(Unit::Seconds),
        );
        let query = gauge(
            "pool_tune_query",
            "Time of a request's queries in the last trial, by percentile",
            Some(Unit::Seconds),
        );
        let breaker_open = gauge(
            "pool_tune_circuit_breaker_open",
            "Share of the last trial in which the circuit breaker was not closed",
            Some(Unit::Other("ratio".to_owned())),
        );
        let throughput =
            gauge("pool_tune_trial_requests_per_second", "Successful requests a second in the last trial", None);
        let success = gauge(
            "pool_tune_trial_success",
            "Share of requests that succeeded in the last trial",
            Some(Unit::Other("ratio".to_owned())),
        );
        let running = gauge("pool_tune_run_in_progress", "Whether a run of an experiment is under way", None);
        let planned = gauge("pool_tune_run_trials_planned", "Most trials of the run that is under way", None);
        let done = gauge("pool_tune_run_trial", "The number of the last trial of the run that is under way", None);
        let due = gauge(
            "pool_tune_experiment_next_due_timestamp",
            "When an experiment is next due, without jitter",
            Some(Unit::Seconds),
        );
        let up = gauge("pool_tune_monitor_up", "Whether all that a monitor watches can be read", None);
        let findings = gauge("pool_tune_monitor_findings", "What a monitor shows now, by severity", None);
        let streams = gauge("pool_tune_event_streams", "Streams of events that are open", None);
        let memory = gauge("process_resident_memory", "Resident memory of the service", Some(Unit::Bytes));
        let started = gauge("process_start_time", "When the service began, since 1970", Some(Unit::Seconds));
        let mut counter = |name: &str, help: &str| {
            let family = Counters::default();
            registry.register(name, help, family.clone());
            family
        };
        let timeouts = counter("db_client_connection_timeouts", "Acquisitions of the pool under test that gave up");
        let errors = counter("pool_tune_errors", "Failed attempts in trials, by class");
        let breaker_opened =
            counter("pool_tune_circuit_breaker_opened", "How often the circuit breaker opened in trials");
        let trials = counter("pool_tune_trials", "Trials, by phase");
        let runs = counter("pool_tune_runs", "Runs, by experiment and how they ended");
        let requests = counter("pool_tune_http_requests", "Requests to the service, by status code");
        let alerts = counter("pool_tune_alerts", "Alerts, by webhook and what became of them");
        let processor = Family::<Labels, Counter<f64, AtomicU64>>::default();
        let help = "Processor time of the service, load included";
        registry.register_with_unit("process_cpu", help, Unit::Seconds, processor.clone());
        let build = Info::new(labels([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("pool_tune_build", "The program's version", build);
        Self {
            registry,
            connections,
            connections_max,
            timeouts,
            utilisation,
            acquisition,
            query,
            errors,
            breaker_opened,
            breaker_open,
            throughput,
            success,
            trials,
            runs,
            running,
            planned,
            done,
            due,
            up,
            findings,
            requests,
            alerts,
            streams,
            memory,
            started,
            processor,
            looking: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Counts what happened.
    pub(super) fn count(&self, told: &Told) {
        match told {
            Told::Trial { phase, .. } => {
                self.trials.get_or_create(&labels([("phase", phase)])).inc();
            }
            Told::RunFinished { experiment, recommends, .. } => {
                let outcome = if recommends.is_some() { "change" } else { "keep" };
                self.runs.get_or_create(&labels([("experiment", experiment), ("outcome", outcome)])).inc();
            }
            Told::RunStopped { experiment, interrupted, .. } => {
                let outcome = if *interrupted { "interrupted" } else { "failed" };
                self.runs.get_or_create(&labels([("experiment", experiment), ("outcome", outcome)])).inc();
            }
            _ => {}
        }
    }

    pub(super) fn count_request(&self, status: u16) {
        self.requests.get_or_create(&labels([("code", &status.to_string())])).inc();
    }

    pub(super) fn count_alert(&self, webhook: &str, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Sent => "sent",
            Outcome::Dead => "dead",
        };
        self.alerts.get_or_create(&labels([("webhook", webhook), ("outcome", outcome)])).inc();
    }

    /// Takes in the last trial of the round that is under way.
    pub(super) fn measured(&self, live: &Live) {
        let (Some((settings, of)), Some(profile)) = (live.last(), &live.profile) else { return };
        let pool = labels([(POOL, profile)]);
        let state = |state: &str| labels([(POOL, profile), ("db_client_connection_state", state)]);
        self.connections.get_or_create(&state("used")).set(of.utilisation.active);
        self.connections.get_or_create(&state("idle")).set((of.utilisation.total - of.utilisation.active).max(0.0));
        self.connections_max.get_or_create(&pool).set(f64::from(settings.max_connections()));
        self.utilisation.get_or_create(&pool).set(of.utilisation.mean);
        for (family, latency) in [(&self.acquisition, &of.acquire.total), (&self.query, &of.query)] {
            for (percentile, value) in percentiles(latency) {
                family.get_or_create(&labels([(POOL, profile), ("percentile", percentile)])).set(value);
            }
        }
        for error in &of.errors {
            let class = serde_json::to_value(error.class).ok();
            let class = class.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            self.errors.get_or_create(&labels([(POOL, profile), ("error_type", class)])).inc_by(error.count);
            if TIMEOUTS.contains(&error.class) {
                self.timeouts.get_or_create(&pool).inc_by(error.count);
            }
        }
        self.breaker_opened.get_or_create(&pool).inc_by(of.breaker.opened);
        let open = if of.seconds > 0.0 { (of.breaker.open_seconds / of.seconds).min(1.0) } else { 0.0 };
        self.breaker_open.get_or_create(&pool).set(open);
        self.throughput.get_or_create(&pool).set(of.throughput);
        self.success.get_or_create(&pool).set(of.requests.success_rate);
    }

    /// All series as they are now.
    pub(super) fn text(&self, hub: &Hub, format: Format) -> Result<String, Error> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(hub);
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry)?,
            Format::OpenMetrics => text::encode(&mut text, &self.registry)?,
        }
        Ok(text)
    }

    /// Looks at what is not counted when it happens.
    fn look(&self, hub: &Hub) {
        let none = Labels::new();
        let (running, trial, planned) =
            hub.live(|live| (1.0, f64::from(live.trial), f64::from(live.trials))).unwrap_or((0.0, 0.0, 0.0));
        for (family, value) in [(&self.running, running), (&self.done, trial), (&self.planned, planned)] {
            family.get_or_create(&none).set(value);
        }
        self.due.clear();
        let now = Timestamp::now();
        for known in hub.experiments().iter() {
            let Ok(loaded) = &known.loaded else { continue };
            if let Some(next) = loaded.experiment.schedule.as_ref().and_then(|schedule| schedule.next_after(now)) {
                self.due.get_or_create(&labels([("experiment", &known.name)])).set(next.as_duration().as_secs_f64());
            }
        }
        hub.seen(|seen| seen.iter().for_each(|seen| self.seen(seen)));
        self.streams.get_or_create(&none).set(f64::from(u32::try_from(hub.streams()).unwrap_or(u32::MAX)));
        self.started.get_or_create(&none).set(hub.started.as_duration().as_secs_f64());
        self.process();
    }

    fn seen(&self, seen: &Seen) {
        let up = seen.problem.is_none() && seen.sources.iter().all(|source| source.problem.is_none());
        self.up.get_or_create(&labels([("monitor", &seen.name)])).set(f64::from(u8::from(up)));
        for (severity, name) in
            [(Severity::Serious, "serious"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        {
            let count = seen.findings.iter().filter(|finding| finding.severity == severity).count();
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            self.findings.get_or_create(&labels([("monitor", &seen.name), ("severity", name)])).set(count);
        }
    }

    fn process(&self) {
        let none = Labels::new();
        let Ok(stat) = procfs::process::Process::myself().and_then(|me| me.stat()) else { return };
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        self.memory.get_or_create(&none).set((stat.rss * procfs::page_size()) as f64);
        #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^53")]
        let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        let counter = self.processor.get_or_create(&none);
        counter.inc_by((seconds - counter.get()).max(0.0));
    }
}

/// A label of a name of its own: `quantile` is for summaries, whose sums these have not.
fn percentiles(latency: &Latency) -> [(&'static str, f64); 3] {
    [("50", latency.p50), ("95", latency.p95), ("99", latency.p99)]
}
