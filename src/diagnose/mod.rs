//! What figures point to: the tuning guide's common performance issues, and those that users of pools hit most, as rules.
//!
//! In: [`Facts`] of a stress test or of a run. Out: findings, each with the figures that it rests on and what to change.
//! A rule fires only where its evidence is clear; where one test cannot tell, the remedy says how to find out. This room
//! does no I/O.

mod database;
mod failures;
mod pool;
mod sizes;
pub(crate) mod trend;

use crate::model::{
    ErrorClass, Finding, Measurement, Point, Settings, Severity, StressReport,
    figures::{percent, rate, time},
};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The settings under which it was measured.
    pub settings: &'a Settings,
    /// What was measured.
    pub measurement: &'a Measurement,
    /// The time line; empty where there is none.
    pub series: &'a [Point],
    /// Most requests at once.
    pub workers: u32,
    /// Whether the load was the same all the time, so that a trend is the pool's own.
    pub steady_load: bool,
    /// What other sizes of the pool did under the same load; empty where none were tried.
    pub sizes: &'a [SizeFacts],
}

/// What one size of the pool did.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeFacts {
    /// `max_connections`.
    pub connections: u32,
    /// The throughput of each trial, requests a second.
    pub throughput: Vec<f64>,
    /// Mean 99th percentile of query time, in seconds.
    pub query_p99: f64,
}

impl<'a> Facts<'a> {
    /// Of a stress test.
    #[must_use]
    pub fn of_stress(report: &'a StressReport) -> Self {
        Self {
            settings: &report.settings,
            measurement: &report.measurement,
            series: &report.series,
            workers: report.load.workers,
            steady_load: report.load.pacing.stages.len() <= 1
                && !report.load.pacing.stages.iter().any(|stage| stage.ramp)
                && report.measurement.faults.is_empty(),
            sizes: &[],
        }
    }

    /// Failed attempts of a class.
    fn errors(&self, class: ErrorClass) -> u64 {
        self.measurement.errors.iter().filter(|error| error.class == class).map(|error| error.count).sum()
    }

    /// The first message of a class.
    fn example(&self, class: ErrorClass) -> Option<&str> {
        self.measurement.errors.iter().find(|error| error.class == class).map(|error| error.example.as_str())
    }

    /// The share of all processors that somebody uses.
    fn busy(&self) -> f64 {
        let cpu = &self.measurement.cpu;
        cpu.own + cpu.database + cpu.other
    }
}

/// A rule: what it is called, and how it looks.
type Rule = (&'static str, fn(&Facts<'_>) -> Option<Found>);

/// What a rule found.
struct Found {
    severity: Severity,
    title: String,
    evidence: Vec<String>,
    remedy: String,
}

const RULES: [Rule; 14] = [
    ("load_generator_saturated", database::load_generator_saturated),
    ("nested_acquire", failures::nested_acquire),
    ("server_refuses", failures::server_refuses),
    ("pool_beyond_server", failures::pool_beyond_server),
    ("cascading_failures", failures::cascading_failures),
    ("connection_leak", pool::leak),
    ("overload", database::overload),
    ("pool_too_small", pool::too_small),
    ("pool_too_large", pool::too_large),
    ("frequent_reconnects", pool::frequent_reconnects),
    ("slow_opening", pool::slow_opening),
    ("server_saturated", database::server_saturated),
    ("lock_contention", database::lock_contention),
    ("validation_cost", pool::validation_cost),
];

/// The names of all rules, in the order in which they look.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// What the facts point to, the most serious first.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let found = RULES.iter().filter_map(|(rule, look)| {
        let Found { severity, title, evidence, remedy } = look(facts)?;
        Some(Finding { rule: (*rule).to_owned(), title, evidence, remedy, severity })
    });
    let mut findings: Vec<Finding> = found.collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests;
