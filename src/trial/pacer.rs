//! When a worker begins its next request.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1};
use tokio::sync::{Semaphore, watch};

use crate::model::{Offered, Pacing};

/// Most requests that may be due and not begun; beyond that they are only counted, so that an overload of hours does not
/// fill the memory.
const LONGEST_QUEUE: usize = 1_000_000;
/// The longest sleep of the thread that makes requests due, and so the time after which it sees that it has to end.
const NAP: Duration = Duration::from_millis(1);
/// The stream of the random generator for arrivals; the workers' streams are counted from 0.
const STREAM: u64 = u64::MAX;

/// Tells workers when to begin their requests.
#[derive(Debug)]
pub(super) enum Pacer {
    /// A worker begins as soon as it is asked to, if it is one of those at work.
    Closed(Closed),
    /// Requests become due by the clock, and whichever worker is free takes the one that is due for longest.
    Open(Arc<Open>),
}

/// The right to begin a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// When the request was meant to begin; times are counted from here.
    pub(super) intended: Instant,
    /// In an open loop: whether it was due in the measured part.
    pub(super) due_in_measure: bool,
}

/// The gate of a closed loop.
#[derive(Debug)]
pub(super) struct Closed {
    pacing: Pacing,
    at_work: watch::Sender<u32>,
    /// The same number, for a glance without a lock.
    quick: AtomicU32,
    stopped: AtomicBool,
}

/// The queue of an open loop.
#[derive(Debug)]
pub(super) struct Open {
    pacing: Pacing,
    due: Mutex<VecDeque<Instant>>,
    ready: Semaphore,
    measured_from: OnceLock<Instant>,
    arrivals: Mutex<Arrivals>,
}

/// Where the arrivals of an open loop have come to.
#[derive(Debug)]
struct Arrivals {
    random: ChaCha8Rng,
    /// The first level for ever: what is offered before the measured part.
    warm_up: Pacing,
    /// Since when `next` is counted.
    origin: Instant,
    measured: bool,
    next: Option<Duration>,
    stopped: bool,
    /// Requests due in the measured part.
    requests: u64,
    /// Of those, requests for which the queue had no room.
    overflow: u64,
}

/// What was due, and what of it could not be begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Backlog {
    pub(super) requests: u64,
    pub(super) not_started: u64,
    pub(super) longest_wait: Duration,
}

impl Pacer {
    /// A pacer, and for an open loop the work of the thread that makes its requests due; the thread ends after
    /// [`Self::stop`].
    pub(super) fn new(pacing: Pacing, seed: u64) -> (Self, Option<impl FnOnce() + Send + 'static>) {
        if pacing.is_open() {
            let arrivals = Mutex::new(Arrivals::new(&pacing, seed));
            let (due, ready, measured_from) = (Mutex::default(), Semaphore::new(0), OnceLock::new());
            let open = Arc::new(Open { pacing, due, ready, measured_from, arrivals });
            let thread = Arc::clone(&open);
            return (Self::Open(open), Some(move || thread.dispatch()));
        }
        let first = workers(pacing.first());
        let (at_work, quick, stopped) = (watch::Sender::new(first), AtomicU32::new(first), AtomicBool::new(false));
        (Self::Closed(Closed { pacing, at_work, quick, stopped }), None)
    }

    /// Waits for the turn of a worker; `None` when the trial is over.
    pub(super) async fn turn(&self, worker: u32) -> Option<Turn> {
        match self {
            Self::Closed(gate) => {
                if worker >= gate.quick.load(Ordering::Relaxed) {
                    gate.at_work.subscribe().wait_for(|at_work| worker < *at_work).await.ok()?;
                }
                let turn = || Turn { intended: Instant::now(), due_in_measure: false };
                (!gate.stopped.load(Ordering::Relaxed)).then(turn)
            }
            Self::Open(queue) => {
                loop {
                    queue.ready.acquire().await.ok()?.forget();
                    let intended = queue.lock().pop_front()?;
                    let due_in_measure = queue.is_measured(intended);
                    // What the warm-up has left in the queue would only hold up what counts.
                    if due_in_measure || queue.measured_from.get().is_none() {
                        return Some(Turn { intended, due_in_measure });
                    }
                }
            }
        }
    }

    /// The measured part begins: the stages are counted from here.
    pub(super) fn measure_from(&self, start: Instant) {
        if let Self::Open(queue) = self {
            queue.measured_from.get_or_init(|| start);
        }
    }

    /// Follows the stages; gives the level.
    pub(super) fn follow(&self, at: Duration) -> f64 {
        match self {
            Self::Closed(gate) => {
                let level = gate.pacing.level_at(at);
                gate.set(workers(level));
                level
            }
            Self::Open(queue) => queue.pacing.level_at(at),
        }
    }

    /// Requests due that no worker has begun.
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Closed(_) => 0,
            Self::Open(queue) => queue.lock().len(),
        }
    }

    /// No further request begins. Tells when that was, and what an open loop leaves behind.
    pub(super) fn stop(&self) -> (Instant, Option<Backlog>) {
        match self {
            Self::Closed(gate) => {
                gate.stopped.store(true, Ordering::Relaxed);
                gate.set(u32::MAX);
                (Instant::now(), None)
            }
            Self::Open(queue) => {
                let mut arrivals = queue.arrivals();
                let now = Instant::now();
                // What is due by now counts, even if the thread that makes it due is late.
                queue.advance(&mut arrivals, now);
                arrivals.stopped = true;
                queue.ready.close();
                let mut due = std::mem::take(&mut *queue.lock());
                due.retain(|intended| queue.is_measured(*intended));
                let longest_wait = due.front().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(*oldest));
                let not_started = due.len() as u64 + arrivals.overflow;
                (now, Some(Backlog { requests: arrivals.requests, not_started, longest_wait }))
            }
        }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        // The thread must not outlive a trial that was given up.
        if let Self::Open(queue) = self {
            queue.arrivals().stopped = true;
        }
    }
}

/// A level as a number of workers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn workers(level: f64) -> u32 {
    level.round() as u32
}

impl Closed {
    fn set(&self, at_work: u32) {
        if self.quick.swap(at_work, Ordering::Relaxed) != at_work {
            self.at_work.send_replace(at_work);
        }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_measured(&self, intended: Instant) -> bool {
        self.measured_from.get().is_some_and(|start| intended >= *start)
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes requests due, each at its time. A thread of its own, because the runtime's timers tick only once a
    /// millisecond.
    fn dispatch(&self) {
        loop {
            let pause = {
                let mut arrivals = self.arrivals();
                if arrivals.stopped {
                    return;
                }
                self.advance(&mut arrivals, Instant::now());
                arrivals.next.map_or(NAP, |at| at.saturating_sub(arrivals.origin.elapsed()).min(NAP))
            };
            thread::sleep(pause);
        }
    }

    /// Makes due what is due by `now`.
    fn advance(&self, arrivals: &mut Arrivals, now: Instant) {
        if let (false, Some(&start)) = (arrivals.measured, self.measured_from.get()) {
            (arrivals.origin, arrivals.measured) = (start, true);
            arrivals.step(&self.pacing, Duration::ZERO);
        }
        let elapsed = now.saturating_duration_since(arrivals.origin);
        let mut made = 0;
        while let Some(at) = arrivals.next.filter(|at| *at <= elapsed) {
            let room = {
                let mut due = self.lock();
                let room = due.len() < LONGEST_QUEUE;
                if room {
                    due.push_back(arrivals.origin + at);
                }
                room
            };
            made += usize::from(room);
            if arrivals.measured {
                arrivals.requests += 1;
                arrivals.overflow += u64::from(!room);
            }
            arrivals.step(&self.pacing, at);
        }
        if made > 0 {
            self.ready.add_permits(made);
        }
    }
}

impl Arrivals {
    fn new(pacing: &Pacing, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(STREAM);
        let warm_up = Pacing::steady(pacing.offered, pacing.first());
        let origin = Instant::now();
        let (next, requests, overflow) = (None, 0, 0);
        let mut arrivals = Self { random, warm_up, origin, measured: false, next, stopped: false, requests, overflow };
        arrivals.step(pacing, Duration::ZERO);
        arrivals
    }

    /// Draws the arrival after the one at `from`.
    fn step(&mut self, pacing: &Pacing, from: Duration) {
        let area = match pacing.offered {
            Offered::PoissonRate => Exp1.sample(&mut self.random),
            Offered::ConstantRate | Offered::Workers => 1.0,
        };
        let stages = if self.measured { pacing } else { &self.warm_up };
        self.next = stages.next_arrival(from, area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stage;

    #[tokio::test]
    async fn a_closed_loop_lets_only_those_at_work_begin() {
        let stage = |level, seconds| Stage { level, lasts: Duration::from_secs(seconds), ramp: false };
        let pacing = Pacing { offered: Offered::Workers, stages: vec![stage(1.0, 1), stage(2.0, 1)] };
        let (pacer, thread) = Pacer::new(pacing, 1);
        assert!(thread.is_none() && pacer.turn(0).await.is_some());
        let mut second = std::pin::pin!(pacer.turn(1));
        let blocked = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
        assert!(blocked.is_err(), "one worker is at work, not two");
        pacer.follow(Duration::from_millis(1500));
        assert!(second.await.is_some());
        let _stopped = pacer.stop();
        assert!(pacer.turn(0).await.is_none() && pacer.turn(7).await.is_none());
    }

    #[tokio::test]
    async fn an_open_loop_counts_all_that_was_due_and_what_nobody_began() {
        let (pacer, thread) = Pacer::new(Pacing::steady(Offered::PoissonRate, 5000.0), 1);
        let mut threads = tokio::task::JoinSet::new();
        threads.spawn_blocking(thread.unwrap());
        pacer.measure_from(Instant::now());
        let mut begun = 0;
        while begun < 200 {
            begun += u64::from(pacer.turn(0).await.unwrap().due_in_measure);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        let backlog = pacer.stop().1.unwrap();
        assert_eq!(backlog.requests, begun + backlog.not_started, "{backlog:?}");
        assert!(backlog.not_started > 0 && backlog.longest_wait >= Duration::from_millis(20), "{backlog:?}");
        assert!(pacer.turn(0).await.is_none());
        threads.join_all().await;
    }
}
