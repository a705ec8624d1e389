//! What is true now: the one place where the engine, the scheduler, the monitors and the API meet.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    alerts::Past,
    bus::{Bus, Told},
    experiments::{self, Known},
    live::Live,
    metrics::Metrics,
    page::Made,
    watcher::Seen,
};
use crate::{alert::Sender, profile::ServiceConfig, store::Store};

/// Who starts an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// Its schedule.
    Schedule,
    /// Somebody who asked for it.
    Request,
    /// The service itself: a round was cut off when the one before it died.
    Restart,
}

/// An experiment that is to be run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) experiment: String,
    pub(super) by: By,
    /// The due time that it uses up.
    pub(super) due: Option<Timestamp>,
    /// Whether a round that was interrupted is given up.
    pub(super) fresh: bool,
}

/// Why an order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is under way.
    UnderWay,
    /// It waits already.
    Waits,
}

pub(super) struct Hub {
    pub(super) config: ServiceConfig,
    pub(super) token: Option<SecretString>,
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) metrics: Metrics,
    pub(super) started: Timestamp,
    /// Ends everything.
    pub(super) cancel: CancellationToken,
    /// Streams of events that are open.
    pub(super) streams: AtomicUsize,
    /// Who sends alerts, once it has begun.
    alerts: Mutex<Option<Sender>>,
    past: Past,
    /// Whether this service runs what is due, and no other that shares its store.
    leads: AtomicBool,
    engine: CancellationToken,
    work: Mutex<Work>,
    wake: Condvar,
    experiments: Mutex<Experiments>,
    seen: Mutex<Vec<Seen>>,
    /// The page as it was made last.
    pub(super) page: tokio::sync::Mutex<Option<Made>>,
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Order>,
    live: Option<Live>,
}

#[derive(Default)]
struct Experiments {
    known: Arc<Vec<Known>>,
    files: Vec<(std::path::PathBuf, Option<SystemTime>, u64)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole at every moment: whoever panicked has not left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn new(config: ServiceConfig, token: Option<SecretString>, store: Store, now: Timestamp) -> Self {
        let seen = config.monitors.iter().map(Seen::new).collect();
        let past = Past::of(&config.results);
        Self {
            config,
            token,
            store,
            bus: Bus::new(now),
            metrics: Metrics::default(),
            started: now,
            cancel: CancellationToken::new(),
            streams: AtomicUsize::new(0),
            alerts: Mutex::default(),
            past,
            leads: AtomicBool::new(false),
            engine: CancellationToken::new(),
            work: Mutex::default(),
            wake: Condvar::new(),
            experiments: Mutex::default(),
            seen: Mutex::new(seen),
            page: tokio::sync::Mutex::default(),
        }
    }

    /// Tells everybody, and counts it.
    pub(super) fn tell(&self, told: &Told) {
        self.metrics.count(told);
        // Also where nobody sends them: what was told before somebody did is no news.
        let alerts = self.past.alerts(told, Timestamp::now());
        if let Some(sender) = &*lock(&self.alerts) {
            for alert in &alerts {
                sender.send(alert);
            }
        }
        self.bus.tell(told);
    }

    /// Takes what has been told before this service began, so that it is no news.
    pub(super) fn know(&self, told: &Told, at: Timestamp) {
        self.past.alerts(told, at);
    }

    /// Sends alerts from now on.
    pub(super) fn alert_by(&self, sender: Sender) {
        *lock(&self.alerts) = Some(sender);
    }

    /// Who sent alerts, which is not asked any more.
    pub(super) fn take_sender(&self) -> Option<Sender> {
        lock(&self.alerts).take()
    }

    /// The experiments as their files say now.
    pub(super) fn experiments(&self) -> Arc<Vec<Known>> {
        Arc::clone(&lock(&self.experiments).known)
    }

    /// Reads the experiments again if their files have changed; gives whether they have.
    pub(super) fn reload(&self) -> bool {
        let files = experiments::files(&self.config.experiments);
        if lock(&self.experiments).files == files {
            return false;
        }
        let known = Arc::new(experiments::read(&self.config.experiments));
        *lock(&self.experiments) = Experiments { known, files };
        true
    }

    /// Puts an order at the end of the queue.
    pub(super) fn order(&self, order: Order) -> Result<(), Refused> {
        let mut work = lock(&self.work);
        if work.live.as_ref().is_some_and(|live| live.experiment == order.experiment) {
            return Err(Refused::UnderWay);
        }
        if work.queue.iter().any(|waiting| waiting.experiment == order.experiment) {
            return Err(Refused::Waits);
        }
        let told = Told::Queued { experiment: order.experiment.clone() };
        work.queue.push_back(order);
        self.wake.notify_all();
        drop(work);
        self.tell(&told);
        Ok(())
    }

    /// The names of the experiments that wait.
    pub(super) fn waiting(&self) -> Vec<String> {
        lock(&self.work).queue.iter().map(|order| order.experiment.clone()).collect()
    }

    /// Takes an experiment back: out of the queue, or it is stopped; gives whether there was anything to take back.
    pub(super) fn take_back(&self, experiment: &str) -> bool {
        let mut work = lock(&self.work);
        let waiting = work.queue.len();
        work.queue.retain(|order| order.experiment != experiment);
        let was_waiting = work.queue.len() < waiting;
        let live = work.live.as_mut().filter(|live| live.experiment == experiment);
        let is_live = live.is_some();
        if let Some(live) = live {
            live.stopping = true;
            live.cancel.cancel();
        }
        drop(work);
        if was_waiting {
            let error = Some("it was taken back before it began".to_owned());
            self.bus.tell(&Told::RoundEnded { experiment: experiment.to_owned(), error });
        }
        was_waiting || is_live
    }

    /// Waits for the next order, and makes it the one under way; none when the service ends.
    pub(super) fn next(&self) -> Option<(Order, CancellationToken)> {
        let mut work = lock(&self.work);
        loop {
            if self.cancel.is_cancelled() {
                return None;
            }
            if let Some(order) = work.queue.pop_front() {
                let cancel = self.cancel.child_token();
                work.live = Some(Live::new(order.experiment.clone(), order.by, Timestamp::now(), cancel.clone()));
                return Some((order, cancel));
            }
            work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Looks at the round that is under way, or changes it.
    pub(super) fn live<T>(&self, look: impl FnOnce(&mut Live) -> T) -> Option<T> {
        lock(&self.work).live.as_mut().map(look)
    }

    /// Takes the last trial in for the metrics.
    pub(super) fn measured(&self) {
        self.live(|live| self.metrics.measured(live));
    }

    /// No round is under way any more.
    pub(super) fn idle(&self) {
        lock(&self.work).live = None;
    }

    /// What monitors have seen last.
    pub(super) fn seen<T>(&self, look: impl FnOnce(&mut Vec<Seen>) -> T) -> T {
        look(&mut lock(&self.seen))
    }

    /// Everything is to end.
    pub(super) fn end(&self) {
        self.cancel.cancel();
        // Whoever has just looked must be asleep before it is woken.
        drop(lock(&self.work));
        self.wake.notify_all();
    }

    pub(super) fn note_lead(&self, leads: bool) {
        if self.leads.swap(leads, Ordering::Relaxed) != leads {
            tracing::info!(leads, "whether this service runs what is due");
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    pub(super) fn note_engine_end(&self) {
        self.engine.cancel();
    }

    pub(super) fn engine_is_alive(&self) -> bool {
        !self.engine.is_cancelled()
    }

    /// Waits until the thread that runs experiments ends.
    pub(super) async fn engine_ended(&self) {
        self.engine.cancelled().await;
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}
