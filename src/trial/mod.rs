//! One trial: load on a target under given settings, and what was measured.
//!
//! In: a [`Load`] and, for each trial, settings and a seed. Out: a [`Measurement`], or why
//! there is none. A [`Target`] is a real database or a simulated response; whoever asks for trials does not see which.
//! This room knows nothing of searches, and stores nothing.

mod database;
mod engine;
mod processors;
mod recorder;
mod sampler;
mod simulated;
mod steady;

use std::time::Duration;

pub use database::DatabaseTarget;
pub use sampler::{Mix, WorkloadError};
pub use simulated::SimulatedTarget;
use tokio_util::sync::CancellationToken;

use crate::model::{Measurement, Settings};

/// The load of a trial, the same for every trial of a run.
#[derive(Clone, Debug)]
pub struct Load {
    /// Concurrent workers, each with one request at a time (a closed loop).
    pub workers: u32,
    /// Pause between a worker's requests.
    pub think_time: Option<Duration>,
    /// Length of the measured part.
    pub measure: Duration,
    /// Longest warm-up.
    pub warm_up_cap: Duration,
    /// The success rate below which a trial has failed and is stopped early.
    pub success_limit: f64,
}

/// Why a trial gave no measurement. None of these says anything about the settings that were tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The run was asked to stop.
    #[error("the trial was cancelled")]
    Cancelled,
    /// The database could not be reached, was restarted, or served nothing at all.
    #[error("the database failed during the trial: {0}")]
    Infrastructure(String),
    /// Every request failed because of a statement of the workload.
    #[error("every request of the workload fails: {0}; mend the profile's SQL or the data it expects")]
    Workload(String),
}

/// Something that trials run against.
#[derive(Debug)]
pub enum Target {
    /// A pool on a real database.
    Database(DatabaseTarget),
    /// A response computed from the settings, with noise; no database and no clock.
    Simulated(SimulatedTarget),
}

impl Target {
    /// Runs one trial. The same seed draws the same requests.
    ///
    /// # Errors
    /// [`TrialError`] when there is no measurement.
    pub async fn run(
        &mut self,
        settings: &Settings,
        seed: u64,
        cancel: &CancellationToken,
    ) -> Result<Measurement, TrialError> {
        match self {
            Self::Database(target) => target.run(settings, seed, cancel).await,
            Self::Simulated(target) => Ok(target.run(settings)),
        }
    }

    /// Whether the target can be reached now; used to wait for one that has failed.
    ///
    /// # Errors
    /// What stands in the way, as text.
    pub async fn reachable(&self) -> Result<(), String> {
        match self {
            Self::Database(target) => target.reachable().await,
            Self::Simulated(_) => Ok(()),
        }
    }

    /// Lets a trial pass that an interrupted run has made already, so that the next one is as it would have been.
    pub fn skip(&mut self, settings: &Settings) {
        if let Self::Simulated(target) = self {
            target.run(settings);
        }
    }
}
