//! Runs what is ordered, one after the other, on a thread of its own.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::{
    ServiceError,
    bus::Told,
    hub::{By, Hub, Order},
    scheduler,
};
use crate::{
    job::{self, FolderLock, JobError, Loaded, RoundEvent, Rounds, Start},
    store::Store,
};

/// Why a round was interrupted, where the service ended: the next one goes on with it.
pub(super) const ENDED: &str = "the service ended";
/// How often a folder or a target that somebody else holds is tried.
const AGAIN: Duration = Duration::from_secs(10);

/// Tells that the thread ended, also when it panics.
struct Alive(Arc<Hub>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.note_engine_end();
    }
}

pub(super) fn start(hub: Arc<Hub>) -> Result<JoinHandle<()>, ServiceError> {
    let run = move || {
        let alive = Alive(hub);
        let hub = &alive.0;
        while let Some((order, cancel)) = hub.next() {
            let experiment = order.experiment.clone();
            let result = round(hub, &order, &cancel);
            hub.idle();
            let error = result.err().map(|error| error.to_string());
            if let Some(error) = &error {
                tracing::error!(experiment, error, "an experiment could not be run");
            }
            hub.tell(&Told::RoundEnded { experiment, error });
        }
    };
    let failed = |error: io::Error| ServiceError::Serve(format!("start a thread: {error}"));
    thread::Builder::new().name("engine".to_owned()).spawn(run).map_err(failed)
}

fn round(hub: &Hub, order: &Order, cancel: &CancellationToken) -> Result<(), JobError> {
    let experiments = hub.experiments();
    let known = experiments.iter().find(|known| known.name == order.experiment);
    let loaded = match known.map(|known| &known.loaded) {
        Some(Ok(loaded)) => Arc::clone(loaded),
        Some(Err(error)) => return Err(JobError::Input(error.clone())),
        None => return Err(JobError::Input(format!("there is no experiment `{}` any more", order.experiment))),
    };
    // Its profiles' files may have changed since.
    let loaded = job::load_experiment(&loaded.path.to_string_lossy())?;
    // One for each round: a service that waits needs no threads for load.
    let runtime =
        runtime::Builder::new_multi_thread().thread_name("load").enable_all().build().map_err(JobError::input)?;
    runtime.block_on(held(hub, order, &loaded, cancel))
}

/// Runs a round when the folder and the target are free.
async fn held(hub: &Hub, order: &Order, loaded: &Loaded, cancel: &CancellationToken) -> Result<(), JobError> {
    let results = &hub.config.results;
    let mut told = false;
    loop {
        let now = Timestamp::now();
        // It may have waited for its turn.
        let closed = loaded.experiment.schedule.as_ref().is_some_and(|schedule| !schedule.is_open(now));
        if closed && order.by != By::Request {
            return Err(JobError::Input("its window closed before it could begin: this time is left out".to_owned()));
        }
        let result = match FolderLock::hold(results) {
            Ok(_lock) => once(hub, order, loaded, cancel).await,
            Err(error) => Err(error),
        };
        match result {
            Err(JobError::Busy(who)) if order.by != By::Request => {
                if !told {
                    told = true;
                    take(hub, RoundEvent::Notice(format!("it waits: {who}")));
                }
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
            result => return result,
        }
    }
}

async fn once(hub: &Hub, order: &Order, loaded: &Loaded, cancel: &CancellationToken) -> Result<(), JobError> {
    let results = &hub.config.results;
    let store = Store::connect(hub.store.at()).await?;
    // The folder is ours: whoever was at work in it before has died.
    store.bury_the_dead().await?;
    // It may have been run while it waited: by somebody else who shares the store, or by whoever held the folder.
    let is_over = match order.by {
        By::Restart => !scheduler::cut_off(&store, &order.experiment).await?,
        By::Schedule => store.last_due(&order.experiment).await? >= order.due.map(job::stored_time),
        By::Request => false,
    };
    if is_over {
        tracing::info!(experiment = order.experiment, "it has been run meanwhile");
        store.close().await;
        return Ok(());
    }
    // Whoever is told of the end that came between would not go on by itself.
    let why = || if hub.cancel.is_cancelled() { ENDED } else { job::ASKED_TO_STOP };
    let rounds = Rounds { store: &store, results, clock: &Timestamp::now, cancel, why: &why };
    let start = Start { due: order.due, fresh: order.fresh, ..Start::default() };
    let result = rounds.run(loaded, &start, &mut |event| take(hub, event)).await;
    store.close().await;
    let end = result?;
    // A target that somebody else holds is waited for like a folder; it has cost nothing.
    match end.stopped.map(|stopped| stopped.error) {
        Some(error @ JobError::Busy(_)) => Err(error),
        _ => Ok(()),
    }
}

fn take(hub: &Hub, event: RoundEvent<'_>) {
    if let Some(told) = hub.live(|live| live.take(event)).flatten() {
        match &told {
            Told::RunStarted { run, experiment, .. } => tracing::info!(run, experiment, "a run begins"),
            Told::Trial { run, trial, throughput, success_rate, .. } => {
                tracing::debug!(run, trial, throughput, success_rate, "a trial ended");
            }
            Told::RunFinished { run, verdict, .. } => tracing::info!(run, verdict, "a run has its answer"),
            Told::RunStopped { run, error, .. } => tracing::warn!(run, error, "a run ended without an answer"),
            Told::Stressed { run, passed, text, .. } => tracing::info!(run, passed, "{text}"),
            Told::NotStressed { run, experiment, error } => {
                tracing::warn!(run, experiment, error, "there were no stress tests");
            }
            Told::Notice { experiment, text } => tracing::warn!(experiment, "{text}"),
            _ => {}
        }
        if matches!(told, Told::Trial { .. }) {
            hub.measured();
        }
        hub.tell(&told);
    }
}
