//! What a run has verified, made into thresholds.

use crate::{
    model::{Measurement, Recommendation, Settings, Verdict},
    report::{ReportedTrial, measured},
    stats,
};

/// Use of the pool above which it is short of connections, whatever was measured.
const FULL: f64 = 0.9;
/// By how much a verified time may be exceeded: production has other machines and other moments than a trial.
const MARGIN: f64 = 2.0;
/// The shortest time that a threshold can be: histograms seldom have finer buckets.
const FINEST: f64 = 0.005;

/// What alerts and dashboard compare with. Times are seconds, shares 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// The recommended `max_connections`.
    pub max_connections: u32,
    /// The recommended `connection_timeout`.
    pub connection_timeout: f64,
    /// The share of requests that may fail.
    pub budget: f64,
    /// The share of the pool in use above which it is told.
    pub utilisation: f64,
    /// What the trials of the recommended settings measured; `None` where no trial recorded times.
    pub verified: Option<Verified>,
    /// The longest 95th percentile of query time that the run was allowed, if it was limited.
    pub query_limit: Option<f64>,
}

/// What was measured under the recommended settings, on average over trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verified {
    /// The trials.
    pub trials: usize,
    /// Requests a second.
    pub throughput: f64,
    /// Connections in use over `max_connections`.
    pub utilisation: f64,
    /// 95th percentile of the time to get a connection.
    pub acquire_p95: f64,
    /// Its mean.
    pub acquire_mean: f64,
    /// 95th percentile of query time.
    pub query_p95: f64,
    /// Its mean.
    pub query_mean: f64,
}

/// A run without settings that anything could be held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no settings that keep the run's limits, and so nothing to hold a pool against")]
pub struct NothingToWatch;

impl Thresholds {
    /// Of a run.
    ///
    /// # Errors
    /// [`NothingToWatch`] when no settings keep the limits.
    pub fn of(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Result<Self, NothingToWatch> {
        if matches!(recommendation.verdict, Verdict::Infeasible { .. }) {
            return Err(NothingToWatch);
        }
        let settings = recommendation.settings();
        let limits = recommendation.provenance.limits;
        let verified = Verified::of(recommendation, &settings, trials);
        Ok(Self {
            max_connections: settings.max_connections(),
            connection_timeout: settings.connection_timeout().as_secs_f64(),
            budget: rounded((1.0 - limits.success_rate).max(1e-4)),
            // A load that filled the pool says only that a full pool is full; a lighter one says what is more than was tried.
            utilisation: verified.map_or(FULL, |of| rounded((1.25 * of.utilisation).clamp(0.6, FULL))),
            verified,
            query_limit: limits.p95_query,
        })
    }

    /// The time to get a connection that is told, never later than that of [`Self::acquire_near_timeout`].
    pub(super) fn acquire(&self, mean: bool) -> Option<f64> {
        let of = self.verified?;
        let verified = if mean { of.acquire_mean } else { of.acquire_p95 };
        Some(rounded((MARGIN * verified).max(FINEST).min(self.acquire_near_timeout())))
    }

    /// The time to get a connection from which it is not far to requests that give up.
    pub(super) fn acquire_near_timeout(&self) -> f64 {
        rounded(0.5 * self.connection_timeout)
    }

    /// The query time that is told: the run's limit where it has one.
    pub(super) fn query(&self, mean: bool) -> Option<f64> {
        let verified = self.verified.map(|of| if mean { of.query_mean } else { of.query_p95 });
        let margin = verified.map(|time| rounded((MARGIN * time).max(FINEST)));
        if mean { margin } else { self.query_limit.map(rounded).or(margin) }
    }

    /// The share of failures that uses the budget up `factor` times as fast as it may be.
    pub(super) fn burn(&self, factor: f64) -> f64 {
        // A share near 1 would never be exceeded.
        rounded((factor * self.budget).min(0.9))
    }
}

impl Verified {
    fn of(recommendation: &Recommendation, settings: &Settings, trials: &[ReportedTrial<'_>]) -> Option<Self> {
        let in_use =
            recommendation.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()));
        let candidate = match recommendation.verdict {
            Verdict::Better => recommendation.verification.as_ref().map(|of| &of.candidate),
            _ => None,
        };
        // What simulated days have changed no trial had; the trials of the rest of the settings are the nearest.
        let of = [Some(settings), candidate, Some(&in_use)]
            .into_iter()
            .flatten()
            .map(|settings| measured(trials, settings))
            .find(|of| !of.is_empty())?;
        let timed: Vec<&Measurement> =
            of.into_iter().filter(|one| one.acquire.total.count > 0 && one.query.count > 0).collect();
        if timed.is_empty() {
            return None;
        }
        let mean =
            |figure: fn(&Measurement) -> f64| stats::mean(&timed.iter().map(|one| figure(one)).collect::<Vec<_>>());
        Some(Self {
            trials: timed.len(),
            throughput: mean(|one| one.throughput),
            utilisation: mean(|one| one.utilisation.active) / f64::from(settings.max_connections()),
            acquire_p95: mean(|one| one.acquire.total.p95),
            acquire_mean: mean(|one| one.acquire.total.mean),
            query_p95: mean(|one| one.query.p95),
            query_mean: mean(|one| one.query.mean),
        })
    }
}

/// Three digits: more would be no more exact, and harder to read.
fn rounded(figure: f64) -> f64 {
    format!("{figure:.2e}").parse().unwrap_or(figure)
}
