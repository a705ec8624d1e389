//! Who listens to a simulation while it goes: a trial that is made in virtual time.

use std::time::Duration;

use super::{Outcome, Plan, Simulation, State, Tally, Time, time};
use crate::model::{BreakerCounts, BreakerState, ErrorClass};

/// Listens to a simulation. All times are counted from its beginning.
pub trait Observer {
    /// A request of an open loop is due.
    fn due(&mut self, at: Duration);
    /// An attempt has ended.
    fn attempted(&mut self, at: Duration, attempt: &Attempt);
    /// A request has ended; it was `intended` to begin then.
    fn ended(&mut self, at: Duration, intended: Duration, served: bool, attempts: u32);
    /// An interval of the time line is over. Gives whether the simulation goes on.
    fn interval(&mut self, moment: &Moment<'_>) -> bool;
}

/// What is wanted of a simulation that somebody listens to.
pub struct Watched<'a> {
    /// Who listens.
    pub observer: &'a mut dyn Observer,
    /// Whether every request asks for a second connection while it holds one.
    pub nested: bool,
    /// How long requests that are under way at the end may go on; nothing is counted meanwhile, but the observer hears of it.
    pub grace: Duration,
}

/// An attempt of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// When the request was to begin.
    pub intended: Duration,
    /// How its connection was got; `None` when none was.
    pub acquired: Option<Acquired>,
    /// The same of the second connection, where it asked for one.
    pub second: Option<Acquired>,
    /// What its statements took.
    pub query: Option<Duration>,
    /// How long the first connection was set aside for it, and the second one.
    pub holds: [Option<Duration>; 2],
    /// What it failed of; `None` when it succeeded.
    pub failed: Option<ErrorClass>,
}

/// How a connection was got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// From asking to having.
    pub total: Duration,
    /// Waiting for a place.
    pub wait: Duration,
    /// Opening it, where it was opened.
    pub open: Option<Duration>,
    /// Validating it, where it was validated.
    pub validate: Option<Duration>,
}

/// The end of an interval.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// When it is.
    pub at: Duration,
    /// What was counted in the interval.
    pub tally: &'a Tally,
    /// Connections in use.
    pub active: u32,
    /// The most at once in the interval.
    pub peak_active: u32,
    /// Connections open.
    pub open: u32,
    /// The most at once in the interval.
    pub peak_open: u32,
    /// Requests waiting for a connection.
    pub waiting: usize,
    /// Requests that are due and not begun.
    pub backlog: usize,
    /// What the circuit breaker does.
    pub breaker: BreakerState,
    /// Its transitions since the beginning.
    pub transitions: BreakerCounts,
}

/// What is left when a simulation that somebody listened to is over.
#[derive(Clone, Debug)]
pub struct Left {
    /// What it counted.
    pub outcome: Outcome,
    /// When it was over, the grace not counted.
    pub at: Duration,
    /// When the requests were due that had not begun by then, the oldest first.
    pub not_begun: Vec<Duration>,
    /// Requests still under way after the grace.
    pub unfinished: u64,
}

/// The first of a request's two connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    slot: u32,
    acquired: Acquired,
}

/// Runs a plan while somebody listens. Thinned plans have no intervals to listen to: what is skipped is not told.
#[must_use]
pub fn simulate_watched(plan: &Plan, watched: Watched<'_>) -> Left {
    let Watched { observer, nested, grace } = watched;
    let grace = time(grace);
    let mut simulation = Simulation::new(plan);
    simulation.observer = Some(observer);
    simulation.nested = nested;
    simulation.play();
    let ended = simulation.now;
    let waiting = std::mem::take(&mut simulation.backlog);
    if grace > 0 && !simulation.overloaded {
        simulation.draining = true;
        simulation.advance(ended + grace);
    }
    Left {
        at: Duration::from_nanos(ended),
        not_begun: waiting.into_iter().map(Duration::from_nanos).collect(),
        unfinished: u64::from(simulation.under_way),
        outcome: simulation.outcome(),
    }
}

impl Simulation<'_> {
    /// Tells of the interval that ends now, and whether to go on.
    pub(super) fn tell_interval(&mut self) -> bool {
        let clock = Duration::from_nanos(self.now);
        let Some(observer) = &mut self.observer else { return true };
        let moment = Moment {
            at: clock,
            tally: &self.tally,
            active: self.busy,
            peak_active: self.peaks.0,
            open: self.open,
            peak_open: self.peaks.1,
            waiting: self.waiting.len(),
            backlog: self.backlog.len(),
            breaker: self.circuit.state(clock),
            transitions: self.circuit.counts(clock),
        };
        let goes_on = observer.interval(&moment);
        self.peaks = (self.busy, self.open);
        goes_on
    }

    /// Notes how many connections there are, if that is more than there were.
    pub(super) fn note_peaks(&mut self) {
        if self.observer.is_some() {
            self.peaks = (self.peaks.0.max(self.busy), self.peaks.1.max(self.open));
        }
    }

    /// Tells of an attempt that has ended; its connection was set aside for it `since` then, if it had one.
    pub(super) fn tell_attempt(&mut self, request: u32, since: Option<Time>, failed: Option<ErrorClass>) {
        if self.observer.is_none() {
            return;
        }
        let (now, clock) = (self.now, self.clock());
        let of = self.requests[request as usize];
        let first = self.firsts.get(request as usize).copied().flatten();
        let got = since.map(|_| self.acquired(request));
        let held = |since: Time| Duration::from_nanos(now - since);
        let (held_first, held_last) = (first.map(|first| held(self.slots[first.slot as usize].since)), since.map(held));
        let attempt = Attempt {
            intended: Duration::from_nanos(of.intended),
            acquired: first.map(|first| first.acquired).or(got),
            second: first.and(got),
            query: since.map(|_| Duration::from_nanos(now - of.ready)),
            holds: [held_first.or(held_last), held_first.and(held_last)],
            failed,
        };
        if let Some(observer) = &mut self.observer {
            observer.attempted(clock, &attempt);
        }
    }

    /// How the connection was got that a request has had since it was ready.
    fn acquired(&self, request: u32) -> Acquired {
        let of = &self.requests[request as usize];
        Acquired {
            total: Duration::from_nanos(of.ready - of.asked),
            wait: Duration::from_nanos(of.waited),
            open: of.opening.map(Duration::from_nanos),
            validate: of.validating.map(Duration::from_nanos),
        }
    }

    /// Whether the connection that a request has got is the first of two. Then it is kept, and the second one asked for.
    pub(super) fn asks_for_second(&mut self, slot: u32, request: u32) -> bool {
        let place = request as usize;
        if !self.nested || self.requests[place].keeps > 0 {
            return false;
        }
        if self.firsts.len() <= place {
            self.firsts.resize(place + 1, None);
        }
        if self.firsts[place].is_some() {
            return false;
        }
        let acquired = self.acquired(request);
        self.firsts[place] = Some(First { slot, acquired });
        let of = &mut self.slots[slot as usize];
        (of.state, of.limit) = (State::Kept, Time::MAX);
        self.acquire(request);
        true
    }

    /// The end of an attempt gives the first of two connections back, where there is one.
    pub(super) fn release_first(&mut self, request: u32) {
        if let Some(first) = self.firsts.get_mut(request as usize).and_then(Option::take) {
            self.busy -= 1;
            self.retire(first.slot);
        }
    }
}
