//! One trial: load on a target under given settings, and what was measured.
//!
//! In: a [`Load`] and, for each trial, settings and a seed. Out: a [`Measurement`], or why
//! there is none. A [`Target`] is a real database, a
//! simulation of one, or a simulated response; whoever asks for trials does not see which.
//! This room knows nothing of searches, and stores nothing.

mod abort;
mod conductor;
mod database;
mod engine;
mod external;
mod pacer;
mod processors;
mod recorder;
mod recovery;
mod sampler;
mod served;
mod simulated;
mod simulation;
mod steady;
mod worker;

use std::time::Duration;

pub use database::DatabaseTarget;
pub use external::{CommandTarget, ServiceError, ServiceTarget, Surroundings, call, contradictions, taken};
use hdrhistogram::Histogram;
pub use recorder::UNIT;
pub use sampler::{Mix, WorkloadError};
pub use simulated::SimulatedTarget;
pub use simulation::SimulationTarget;
use tokio_util::sync::CancellationToken;

use crate::{
    database::UrlError,
    fault::{OutOfReach, Reach},
    model::{Fault, Latency, Measurement, Pacing, Point, Settings, Threshold},
};

/// The load of a trial; a run has the same for all of its trials.
#[derive(Clone, Debug)]
pub struct Load {
    /// Most requests at once: the workers of a closed loop, those that serve an open one.
    pub workers: u32,
    /// When requests begin.
    pub pacing: Pacing,
    /// Whether every request asks for a second connection while it holds one.
    pub nested: bool,
    /// Pause between a worker's requests, in a closed loop.
    pub think_time: Option<Duration>,
    /// Length of the measured part.
    pub measure: Duration,
    /// Longest warm-up; zero for none.
    pub warm_up_cap: Duration,
    /// The success rate below which a trial has failed and is stopped early; `None` to let it go on.
    pub success_limit: Option<f64>,
    /// Thresholds that stop the trial early as soon as one of them cannot be met any more.
    pub abort_on: Vec<Threshold>,
    /// The length of the intervals in which the time line is told; `None` where nobody wants it.
    pub interval: Option<Duration>,
    /// What goes wrong meanwhile.
    pub faults: Vec<Fault>,
}

impl Load {
    /// A closed loop for a time, stopped early when `success_limit` is missed.
    #[must_use]
    pub fn closed(workers: u32, think_time: Option<Duration>, measure: Duration, success_limit: f64) -> Self {
        Self {
            workers,
            pacing: Pacing::closed(workers),
            nested: false,
            think_time,
            measure,
            warm_up_cap: Duration::from_secs(2),
            success_limit: Some(success_limit),
            abort_on: Vec::new(),
            interval: None,
            faults: Vec::new(),
        }
    }
}

/// Who steers a trial and watches it.
#[derive(Default)]
pub struct Control<'a> {
    /// The trial's number in its run, under which a program's output is kept.
    pub trial: u32,
    /// Gives the trial up: there is no measurement.
    pub cancel: CancellationToken,
    /// Ends the measured part early; what was measured until then counts.
    pub finish: CancellationToken,
    /// Is told of the time line while it goes.
    pub watch: Option<&'a mut (dyn FnMut(Watch<'_>) + Send)>,
}

impl Control<'_> {
    /// Nobody watches; `cancel` gives the trial up.
    #[must_use]
    pub fn unwatched(cancel: &CancellationToken) -> Self {
        Self { cancel: cancel.clone(), ..Self::default() }
    }

    fn tell(&mut self, watch: Watch<'_>) {
        if let Some(watcher) = &mut self.watch {
            watcher(watch);
        }
    }
}

/// What a watcher is told.
#[derive(Debug)]
pub enum Watch<'a> {
    /// The load has begun; nothing counts yet.
    WarmUp,
    /// The measured part begins.
    Measuring,
    /// An interval has ended.
    Point {
        /// What happened in it.
        point: &'a Point,
        /// The response times of its successful requests, in [`UNIT`]s.
        response: &'a Histogram<u32>,
    },
    /// The measured part is over; requests under way may end.
    Draining,
}

/// A trial in full.
#[derive(Clone, Debug)]
pub struct Details {
    /// What it measured.
    pub measurement: Measurement,
    /// Its time line, where the load asks for one.
    pub series: Vec<Point>,
    /// The response times of all successful requests, in [`UNIT`]s.
    pub response: Histogram<u32>,
    /// The threshold that ended it early, as it was written.
    pub ended_by: Option<String>,
}

/// Why faults cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// Nothing at hand can make one of them.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// The server cannot be reached through a proxy.
    #[error(transparent)]
    Server(#[from] UrlError),
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
    /// The program or the service that stands for a database failed, or told nothing that can be read.
    #[error("the target failed during the trial: {0}")]
    Program(String),
    /// Every request failed because of a statement of the workload.
    #[error("every request of the workload fails: {0}; mend the profile's SQL or the data it expects")]
    Workload(String),
}

/// Something that trials run against.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a run")]
pub enum Target {
    /// A pool on a real database.
    Database(DatabaseTarget),
    /// A response computed from the settings, with noise; no database and no clock.
    Simulated(SimulatedTarget),
    /// A pool and its database in virtual time, as a sample has measured them.
    Simulation(SimulationTarget),
    /// A program that measures by itself.
    Command(CommandTarget),
    /// A service that is driven over HTTP.
    Service(ServiceTarget),
}

impl Target {
    /// Runs one trial. The same seed draws the same requests.
    ///
    /// # Errors
    /// [`TrialError`] when there is no measurement.
    pub async fn run(
        &mut self,
        load: &Load,
        settings: &Settings,
        seed: u64,
        control: &mut Control<'_>,
    ) -> Result<Details, TrialError> {
        match self {
            Self::Database(target) => target.run(load, settings, seed, control).await,
            Self::Simulated(target) => Ok(target.run(load, settings)),
            Self::Simulation(target) => without_waiting(|| target.run(load, settings, seed, control)),
            Self::Command(target) => target.run(settings, seed, control).await,
            Self::Service(target) => target.run(load, settings, seed, control).await,
        }
    }

    /// Opens so many connections at once, a few times, and closes them: what each of them took.
    ///
    /// # Errors
    /// [`TrialError`] when one cannot be opened.
    pub async fn connecting(&self, at_once: u32, control: &Control<'_>) -> Result<Latency, TrialError> {
        match self {
            Self::Database(target) => tokio::select! {
                () = control.cancel.cancelled() => Err(TrialError::Cancelled),
                open = target.connecting(at_once) => open,
            },
            Self::Simulation(target) => Ok(target.connecting(at_once)),
            Self::Simulated(_) | Self::Command(_) | Self::Service(_) => Ok(Latency::default()),
        }
    }

    /// Makes ready for loads with faults: `reach` is what they may touch.
    ///
    /// # Errors
    /// What stands in the way of putting a proxy in front of the server, or faults that nothing at hand can make.
    pub fn allow_faults(&mut self, reach: Reach, faults: &[Fault]) -> Result<(), FaultError> {
        match self {
            Self::Database(target) => {
                reach.check(faults)?;
                Ok(target.allow_faults(reach)?)
            }
            Self::Simulated(_) | Self::Command(_) | Self::Service(_) => Ok(reach.check(faults)?),
            Self::Simulation(_) => Ok(SimulationTarget::can_make(faults)?),
        }
    }

    /// The database's host and port, where there is a database.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        match self {
            Self::Database(target) => target.server().host_and_port(),
            Self::Simulated(_) | Self::Simulation(_) | Self::Command(_) | Self::Service(_) => None,
        }
    }

    /// Tells a failed database, or a workload that cannot run, from a measurement of the settings.
    ///
    /// # Errors
    /// [`TrialError`] when the measurement says nothing about the settings.
    pub async fn check(&self, measurement: &Measurement) -> Result<(), TrialError> {
        match self {
            Self::Database(target) => target.check(measurement).await,
            Self::Service(_) => ServiceTarget::check(measurement),
            Self::Simulated(_) | Self::Simulation(_) | Self::Command(_) => Ok(()),
        }
    }

    /// Whether the target can be reached now; used to wait for one that has failed.
    ///
    /// # Errors
    /// What stands in the way, as text.
    pub async fn reachable(&self) -> Result<(), String> {
        match self {
            Self::Database(target) => target.reachable().await,
            Self::Service(target) => target.reachable().await,
            Self::Simulated(_) | Self::Simulation(_) | Self::Command(_) => Ok(()),
        }
    }

    /// Whether it makes its own load, and need not keep to what a trial asks for.
    #[must_use]
    pub fn measures_itself(&self) -> bool {
        matches!(self, Self::Command(_))
    }

    /// Leaves the target as it was found: a service has the settings in use again.
    ///
    /// # Errors
    /// [`TrialError`] when they could not be put back.
    pub async fn leave(&self, in_use: &Settings) -> Result<(), TrialError> {
        match self {
            Self::Service(target) => target.leave(in_use).await,
            Self::Database(_) | Self::Simulated(_) | Self::Simulation(_) | Self::Command(_) => Ok(()),
        }
    }

    /// Lets a trial pass that an interrupted run has made already, so that the next one is as it would have been.
    pub fn skip(&mut self, load: &Load, settings: &Settings) {
        if let Self::Simulated(target) = self {
            target.run(load, settings);
        }
    }
}

/// Does what takes a processor's time and waits for nothing, so that signals are heard and pictures drawn meanwhile.
fn without_waiting<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread has nobody else to hand its tasks to.
        _ => work(),
    }
}
