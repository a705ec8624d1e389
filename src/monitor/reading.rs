use schemars::JsonSchema;
use serde::Serialize;

use crate::{model::Activity, scrape::PoolFigures};

/// What was seen at one moment. What could not be read is `None`, and its source says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Seconds since the monitor began.
    pub at: f64,
    /// What the database does.
    pub database: Option<Activity>,
    /// What the application's pool does.
    pub pool: Option<PoolReading>,
    /// Each source that is watched, and whether it answers.
    pub sources: Vec<SourceState>,
}

/// A source, and what keeps it from being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceState {
    /// Its address, without passwords.
    pub source: String,
    /// Why it cannot be read; `None` while it can.
    pub problem: Option<String>,
}

/// What an application tells of its pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct PoolReading {
    /// Connections in use.
    pub active: Option<f64>,
    /// Connections open and not in use.
    pub idle: Option<f64>,
    /// Requests that wait for a connection.
    pub pending: Option<f64>,
    /// Most connections.
    pub max: Option<f64>,
    /// Acquisitions that gave up since the reading before.
    pub timeouts: Option<f64>,
    /// Acquisitions since the reading before.
    pub acquired: Option<Acquired>,
}

/// Acquisitions between two readings. Times are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Acquired {
    /// How many a second.
    pub rate: f64,
    /// Their mean time; `None` when there were none.
    pub mean: Option<f64>,
    /// The 95th percentile, where the application has buckets.
    pub p95: Option<f64>,
}

impl PoolReading {
    /// Of two scrapes so many seconds apart; without an earlier one nothing can be said of what came since.
    pub(super) fn of(now: &PoolFigures, earlier: Option<(&PoolFigures, f64)>) -> Self {
        let since = earlier.filter(|(_, seconds)| *seconds > 0.0);
        let timeouts = since.and_then(|(earlier, _)| {
            let (now, before) = (now.timeouts?, earlier.timeouts?);
            // A counter that has fallen was begun anew.
            Some(if now < before { now } else { now - before })
        });
        let acquired =
            since.filter(|(earlier, _)| now.acquire.count + earlier.acquire.count > 0.0).map(|(earlier, seconds)| {
                let came = now.acquire.since(&earlier.acquire);
                let mean = (came.count > 0.0).then(|| came.sum / came.count);
                Acquired { rate: came.count / seconds, mean, p95: came.quantile(0.95) }
            });
        Self { active: now.active, idle: now.idle, pending: now.pending, max: now.max, timeouts, acquired }
    }
}
