use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Estimate, IncidentKind, OperatingDay};

/// What a day loses. Shares are of the requests that come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Everything together.
    pub total: f64,
    /// Requests that were not served in time.
    pub late: f64,
    /// What opening connections is counted for.
    pub reconnects: f64,
    /// What holding connections is counted for.
    pub held: f64,
    /// Connections opened an hour.
    pub opened_an_hour: f64,
    /// Connections open on average.
    pub open: f64,
    /// What each kind of incident does, those that never happen left out.
    pub incidents: Vec<IncidentLoss>,
}

/// What an incident does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentLoss {
    /// What happened.
    pub kind: IncidentKind,
    /// Requests not served in time because of one.
    pub requests: f64,
    /// Seconds from its end until half of what comes is served again.
    pub recovery: f64,
    /// Connections opened because of one.
    pub opened: f64,
}

/// What a simulation says of settings that were measured but not used for its calibration, beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The size of the pool.
    pub connections: u32,
    /// Trials of it.
    pub trials: usize,
    /// Requests a second: said and measured.
    pub throughput: (f64, f64),
    /// The 95th percentile of query time, in seconds.
    pub query_p95: (f64, f64),
    /// The 95th percentile of the time to acquire a connection, in seconds.
    pub acquire_p95: (f64, f64),
}

impl Prediction {
    /// Relative errors, without their signs: throughput, query time, acquisition time.
    #[must_use]
    pub fn errors(&self) -> [f64; 3] {
        let error = |(said, measured): (f64, f64)| (said / measured.max(1e-12) - 1.0).abs();
        [error(self.throughput), error(self.query_p95), error(self.acquire_p95)]
    }
}

/// What a simulation of operation says of the settings that act too slowly or too rarely for trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulationEvidence {
    /// The day that was simulated.
    pub day: OperatingDay,
    /// Requests a second at its highest.
    pub peak: f64,
    /// Requests that opening a connection counts for.
    pub reconnect: f64,
    /// Days that settings were judged by.
    pub days: u32,
    /// What a day loses under the settings in use, with what trials decided; the mean of all days. None where nothing was
    /// simulated because the simulation is too far from the trials.
    pub was: Option<Loss>,
    /// And under those that the simulation recommends.
    pub now: Option<Loss>,
    /// The loss of the settings that the simulation recommends over that of those in use, with the 95 % interval over days; none where the
    /// settings are the same.
    pub ratio: Option<Estimate>,
    /// How far the simulation is from trials: each size of the pool predicted from the others.
    pub predictions: Vec<Prediction>,
    /// How far it is from trials in which hours are compressed into seconds; none where their faults cannot be made.
    pub compressed: Option<Compressed>,
    /// Why it decides nothing, where it is too far from what was measured.
    pub refused: Option<String>,
}

impl SimulationEvidence {
    /// The median relative errors of the predictions: throughput, query time, acquisition time; none without predictions.
    #[must_use]
    pub fn median_errors(&self) -> Option<[f64; 3]> {
        median_errors(&self.predictions)
    }
}

/// The median relative errors of predictions: throughput, query time, acquisition time; none without predictions.
#[must_use]
pub fn median_errors(predictions: &[Prediction]) -> Option<[f64; 3]> {
    let median = |place: usize| {
        let mut errors: Vec<f64> = predictions.iter().map(|of| of.errors()[place]).collect();
        errors.sort_by(f64::total_cmp);
        let upper = errors.get(errors.len() / 2)?;
        let lower = errors.get((errors.len().max(1) - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    };
    Some([median(0)?, median(1)?, median(2)?])
}

/// Trials in which all slow times and outages are divided by a factor, and the simulation of the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compressed {
    /// The factor.
    pub factor: f64,
    /// Seconds of a trial.
    pub seconds: f64,
    /// Requests a second that were offered.
    pub rate: f64,
    /// A request was served in time within so many seconds.
    pub deadline: f64,
    /// The settings in use, with what trials decided.
    pub was: CompressedShare,
    /// With what the simulation recommends; none where that is the same.
    pub now: Option<CompressedShare>,
}

/// The share of requests that was not served in time in compressed trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompressedShare {
    /// As measured, with the 95 % interval of the mean.
    pub measured: Estimate,
    /// As simulated.
    pub simulated: f64,
}
