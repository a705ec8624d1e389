//! The simulation of a pool, in virtual time.
//!
//! It does what the pool under test does (`pool/`), step for step: waiters are served in order, the connection used last is
//! handed out first, validation and opening happen while the place is held, a keeper works through idle connections. Retries
//! and the circuit breaker are the very code of the pool (`policy`).

use std::{collections::VecDeque, time::Duration};

use rand::{Rng as _, RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1};

use super::{
    Times, World,
    agenda::{Agenda, Event, SECOND, Time},
    tally::Tally,
};
use crate::{
    model::{BreakerCounts, ErrorClass, Fault, FaultKind, Settings},
    policy::{Circuit, is_infrastructure, is_retryable, retry_delay},
};

/// What it takes to notice that a connection was closed, or that nobody listens.
const NOTICE: Time = 100_000;
/// As in a trial: a worker of a closed loop pauses after a request that failed.
const PAUSE_AFTER_FAILURE: Time = 5_000_000;
/// More requests than this that are due and not begun are a load that cannot be served.
const LONGEST_BACKLOG: usize = 1_000_000;
const NOBODY: u32 = u32::MAX;

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The settings of the pool.
    pub settings: Settings,
    /// What stands behind it.
    pub world: World,
    /// What is asked of it.
    pub load: Load,
    /// What goes wrong, by the time from the start.
    pub faults: Vec<Fault>,
    /// For how long.
    pub length: Duration,
    /// The length of a point of the time line.
    pub interval: Duration,
    /// While nothing changes, only this much is simulated, and counted for all of the time until something does; `None` for
    /// every request. What happens often is told as truly; of what happens seldom (a crowd for which connections are opened)
    /// too much is seen, since a crowd in time that is skipped keeps no connection warm.
    pub thinning: Option<Duration>,
    /// Of everything random.
    pub seed: u64,
}

/// Requests over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Most requests at once.
    pub workers: u32,
    /// When they come.
    pub arrivals: Arrivals,
    /// What is offered from when on: workers of a closed loop, or requests a second of an open one.
    pub steps: Vec<Step>,
}

/// When requests come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// A worker's next request begins when its last one has ended, after a pause.
    Closed {
        /// The pause.
        think_time: Duration,
    },
    /// Requests come at even distances, whether or not earlier ones were served.
    Constant,
    /// The same, at random (a Poisson process).
    Poisson,
    /// Each by itself, whatever the steps say; what became of each is told in [`Outcome::ends`].
    Listed(Vec<Ask>),
}

/// A request by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When it comes.
    pub at: Duration,
    /// How long its statements take.
    pub takes: Duration,
}

/// What became of a request that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its place in the list.
    pub ask: usize,
    /// When it ended.
    pub at: Duration,
    /// What its last attempt failed of; `None` when it was served.
    pub failed: Option<ErrorClass>,
    /// Attempts that it took.
    pub attempts: u32,
}

/// What is offered from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From when on.
    pub at: Duration,
    /// Workers, or requests a second.
    pub level: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything together.
    pub total: Tally,
    /// The time line.
    pub line: Vec<Point>,
    /// Transitions of the circuit breaker.
    pub breaker: BreakerCounts,
    /// Most connections at work, and open, at once.
    pub peaks: (u32, u32),
    /// Why it ended early, if it did.
    pub overloaded: bool,
    /// Requests that were due by the end and had not begun.
    pub not_begun: u64,
    /// The share of the time that was not simulated request by request.
    pub skipped: f64,
    /// What became of the requests that were listed, in the order of their ends.
    pub ends: Vec<End>,
}

/// An interval of the time line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Requests served.
    pub served: f64,
    /// Requests that failed in the end.
    pub failed: f64,
    /// Connections opened.
    pub opened: f64,
    /// Connections at work on average, times seconds.
    pub active: f64,
    /// Connections open on average, times seconds.
    pub open: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Idle,
    /// Being validated in the background; the request that waits for it, if any.
    Checking(u32),
    Opening(u32),
    Validating(u32),
    Busy(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Alive,
    /// The other end has closed it.
    Dead,
    /// Nothing comes through any more, and nobody was told.
    Silent,
}

/// How what a slot does will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    Broken,
    TimedOut,
    TooMany,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: State,
    health: Health,
    ending: Ending,
    fresh: bool,
    turn: u32,
    opened: Time,
    idle_since: Time,
    /// When it last carried something.
    heard: Time,
    /// When the connection was set aside for its request.
    since: Time,
    until: Time,
    /// When what it does is given up.
    limit: Time,
    stalled_until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    intended: Time,
    asked: Time,
    ready: Time,
    attempts: u32,
    worker: u32,
    probe: bool,
    /// Until when it keeps its connection: a client that leaks, and no request that counts.
    keeps: Time,
}

/// A change of load or world.
#[derive(Clone, Copy, Debug)]
enum Change {
    Level(f64),
    Begin(usize),
    End(usize),
}

/// Runs a plan to its end.
#[must_use]
pub fn simulate(plan: &Plan) -> Outcome {
    Simulation::new(plan).run()
}

struct Simulation<'a> {
    plan: &'a Plan,
    now: Time,
    agenda: Agenda,
    rng: ChaCha8Rng,
    /// Of when requests come: the same whatever the settings, so that two can be set side by side.
    coming: ChaCha8Rng,
    /// Service and validation times by the number of connections at work.
    service: Vec<Times>,
    validation: Vec<Times>,
    // The pool.
    slots: Vec<Slot>,
    free: Vec<u32>,
    idle: VecDeque<u32>,
    waiting: VecDeque<u32>,
    /// Whether it is planned to look who has waited too long.
    watched: bool,
    places: u32,
    open: u32,
    busy: u32,
    circuit: Circuit,
    // Settings, as numbers.
    max: u32,
    min: u32,
    connection_timeout: Time,
    lifetime: Time,
    idle_timeout: Time,
    check_interval: Time,
    validates: bool,
    validation_timeout: Time,
    tick: Time,
    checked: Time,
    checking: u32,
    // The load.
    requests: Vec<Request>,
    unused: Vec<u32>,
    under_way: u32,
    backlog: VecDeque<Time>,
    level: f64,
    /// Which arrival is the one that is planned; one from before the load changed is none.
    arrivals: u32,
    next_due: Time,
    resting: Vec<bool>,
    changes: Vec<(Time, Change)>,
    next_change: usize,
    // The world.
    faults: u32,
    refusing: u32,
    paused_until: Time,
    /// Share of round trips that are late, by how much, and how many faults make them so.
    latency: (f64, Time, u32),
    // What is counted.
    tally: Tally,
    total: Tally,
    line: Vec<Point>,
    interval: Time,
    counted: Time,
    peaks: (u32, u32),
    skipped: Time,
    overloaded: bool,
    ends: Vec<End>,
}

fn time(duration: Duration) -> Time {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

fn seconds(time: Time) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "104 days fit without rounding, and more need no nanoseconds")]
    let nanoseconds = time as f64;
    nanoseconds / 1e9
}

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan) -> Self {
        let settings = &plan.settings;
        let mut changes: Vec<(Time, Change)> = Vec::new();
        changes.extend(plan.load.steps.iter().map(|step| (time(step.at), Change::Level(step.level))));
        for (place, fault) in plan.faults.iter().enumerate() {
            changes.push((time(fault.at), Change::Begin(place)));
            if !fault.kind.is_moment() {
                changes.push((time(fault.end()), Change::End(place)));
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        let max = settings.max_connections().max(1);
        let lifetime = time(settings.connection_lifetime());
        let idle_timeout = time(settings.idle_timeout());
        let check_interval = time(settings.health_check_interval());
        let shortest = idle_timeout.min(lifetime).min(check_interval);
        let workers = plan.load.workers as usize;
        Self {
            plan,
            now: 0,
            agenda: Agenda::default(),
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            coming: ChaCha8Rng::seed_from_u64(plan.seed ^ 0xc0),
            service: (0..=max).map(|active| plan.world.service.at(active)).collect(),
            validation: (0..=max).map(|active| plan.world.validate.at(active)).collect(),
            slots: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            watched: false,
            places: 0,
            open: 0,
            busy: 0,
            circuit: Circuit::new(settings),
            max,
            min: settings.min_connections(),
            connection_timeout: time(settings.connection_timeout()),
            lifetime,
            idle_timeout,
            check_interval,
            validates: settings.validation_query().is_some(),
            validation_timeout: time(settings.validation_timeout()),
            // As the keeper's: often enough for the shortest of its times.
            tick: (shortest / 4).clamp(SECOND / 100, SECOND),
            checked: 0,
            checking: 0,
            requests: Vec::with_capacity(workers),
            unused: Vec::new(),
            under_way: 0,
            backlog: VecDeque::new(),
            level: 0.0,
            arrivals: 0,
            next_due: 0,
            resting: vec![true; workers],
            changes,
            next_change: 0,
            faults: 0,
            refusing: 0,
            paused_until: 0,
            latency: (0.0, 0, 0),
            tally: Tally::default(),
            total: Tally::default(),
            line: Vec::new(),
            interval: time(plan.interval).max(1),
            counted: 0,
            peaks: (0, 0),
            skipped: 0,
            overloaded: false,
            ends: Vec::new(),
        }
    }

    fn run(mut self) -> Outcome {
        let end = time(self.plan.length);
        self.refill();
        self.agenda.plan(self.tick, Event::Keeper);
        for place in 0..self.changes.len() {
            let at = self.changes[place].0;
            self.agenda.plan(at, Event::Change(u32::try_from(place).unwrap_or(u32::MAX)));
        }
        if let Arrivals::Listed(asks) = &self.plan.load.arrivals {
            for (place, ask) in asks.iter().enumerate() {
                self.agenda.plan(time(ask.at), Event::Worker(u32::try_from(place).unwrap_or(NOBODY)));
            }
        }
        let window = self.plan.thinning.map_or(Time::MAX, time).max(1);
        // What a change sets off (connections opened anew, say) must not be counted for all the quiet time that follows.
        let mut settled = false;
        while self.now < end && !self.overloaded {
            let until = (self.now.saturating_add(window)).min(self.stretch_end(end));
            // A window that is counted for more has to be whole and calm from its beginning to its end.
            let may_skip = window < Time::MAX && until - self.now == window && settled && self.is_calm();
            let quiet_until = if may_skip { self.quiet_until(end) } else { 0 };
            self.advance(until);
            let mut times = 1;
            if may_skip && quiet_until > self.now && self.is_calm() && self.next_change_at() >= quiet_until {
                times += (quiet_until - self.now) / window;
            }
            self.count(times);
            settled = times == 1 && self.is_calm();
            if times > 1 {
                self.skip((times - 1) * window);
            }
        }
        let not_begun = u64::try_from(self.backlog.len()).unwrap_or(u64::MAX);
        let length = self.now.max(1);
        Outcome {
            breaker: self.circuit.counts(self.clock()),
            total: self.total,
            line: self.line,
            peaks: self.peaks,
            overloaded: self.overloaded,
            not_begun,
            skipped: seconds(self.skipped) / seconds(length),
            ends: self.ends,
        }
    }

    /// The end of the present interval of the time line, so that no stretch that is counted at once lies in two.
    fn stretch_end(&self, end: Time) -> Time {
        ((self.now / self.interval + 1) * self.interval).min(end)
    }

    /// Lets everything happen that is due by `until`.
    fn advance(&mut self, until: Time) {
        while let Some((at, event)) = self.agenda.next(until) {
            self.pass(at.max(self.now));
            self.tally.events += 1;
            self.happen(event);
            if self.overloaded {
                return;
            }
        }
        self.pass(until);
    }

    fn pass(&mut self, to: Time) {
        let passed = seconds(to - self.now);
        self.tally.seconds += passed;
        self.tally.active += passed * f64::from(self.busy);
        self.tally.open += passed * f64::from(self.open);
        self.now = to;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival(turn) if turn == self.arrivals => self.arrive(),
            Event::Arrival(_) => {}
            Event::Worker(worker) => self.worker_begins(worker),
            Event::Slot { slot, turn } => {
                if self.slots[slot as usize].turn == turn {
                    self.slot_ends(slot);
                }
            }
            Event::Deadline => self.deadline(),
            Event::Retry(request) => self.attempt(request),
            Event::Keeper => self.keep(),
            Event::Change(place) => self.change(place as usize),
        }
        // Not where a request ends: one that is turned away ends at once, and the next one would begin inside it.
        self.begin_due();
    }

    fn clock(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    // ---- counting ----

    /// Counts what happened since the last time, `times` times.
    fn count(&mut self, times: u64) {
        #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
        let real = |count: u64| count as f64;
        let stretch = self.now - self.counted;
        let all = stretch * times;
        // What is counted for more than itself is spread over the intervals that it stands for.
        let mut from = self.counted;
        while from < self.counted + all {
            let place = usize::try_from(from / self.interval).unwrap_or(usize::MAX);
            let to = ((from / self.interval + 1) * self.interval).min(self.counted + all);
            if self.line.len() <= place {
                self.line.resize(place + 1, Point::default());
            }
            let part = seconds(to - from) / seconds(stretch.max(1));
            let point = &mut self.line[place];
            point.served += real(self.tally.served) * part;
            point.failed += real(self.tally.failed) * part;
            point.opened += real(self.tally.connections.opened) * part;
            point.active += self.tally.active * part;
            point.open += self.tally.open * part;
            from = to;
        }
        self.total.add(&self.tally, times);
        self.tally.clear();
        self.counted += all;
    }

    // ---- skipping time in which nothing changes ----

    /// Whether nothing is going on but requests being served.
    fn is_calm(&self) -> bool {
        self.faults == 0
            && self.checking == 0
            && self.circuit.is_calm()
            && self.backlog.is_empty()
            && self.paused_until <= self.now
            && self.slots.iter().all(|slot| slot.state == State::Free || slot.health == Health::Alive)
    }

    fn next_change_at(&self) -> Time {
        self.changes.get(self.next_change).map_or(Time::MAX, |(at, _)| *at)
    }

    /// Until when nothing is bound to change.
    fn quiet_until(&self, end: Time) -> Time {
        let mut until = end.min(self.next_change_at());
        for slot in self.slots.iter().filter(|slot| slot.state != State::Free) {
            until = until.min(slot.opened.saturating_add(self.lifetime));
        }
        if self.open > self.min
            && let Some(coldest) = self.idle.front()
        {
            until = until.min(self.slots[*coldest as usize].idle_since.saturating_add(self.idle_timeout));
        }
        if let Some(limit) = self.plan.world.idle_limit {
            until = until.min(self.checked + self.check_interval);
            for slot in &self.idle {
                until = until.min(self.slots[*slot as usize].heard.saturating_add(time(limit)));
            }
        }
        until
    }

    fn skip(&mut self, by: Time) {
        self.agenda.shift(by);
        self.now += by;
        self.skipped += by;
        self.next_due += by;
        for slot in &mut self.slots {
            if !matches!(slot.state, State::Free | State::Idle) {
                (slot.until, slot.limit, slot.since) =
                    (slot.until + by, slot.limit.saturating_add(by), slot.since + by);
            }
        }
        for request in &mut self.requests {
            (request.intended, request.asked, request.ready) =
                (request.intended + by, request.asked + by, request.ready + by);
        }
    }

    // ---- the load ----

    fn arrive(&mut self) {
        if self.level <= 0.0 {
            return;
        }
        self.backlog.push_back(self.next_due);
        if self.backlog.len() > LONGEST_BACKLOG {
            self.overloaded = true;
        }
        self.plan_arrival();
    }

    fn plan_arrival(&mut self) {
        let draw: f64 = match self.plan.load.arrivals {
            Arrivals::Poisson => Exp1.sample(&mut self.coming),
            Arrivals::Constant | Arrivals::Closed { .. } | Arrivals::Listed(_) => 1.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and cut to a year")]
        let distance = (draw / self.level * 1e9).min(3e16) as Time;
        self.next_due += distance;
        self.agenda.plan(self.next_due, Event::Arrival(self.arrivals));
    }

    fn begin_due(&mut self) {
        while self.under_way < self.plan.load.workers
            && let Some(intended) = self.backlog.pop_front()
        {
            self.begin(intended, NOBODY, 0);
        }
    }

    fn worker_begins(&mut self, worker: u32) {
        if let Arrivals::Listed(_) = self.plan.load.arrivals {
            self.begin(self.now, worker, 0);
        } else if f64::from(worker) < self.level {
            self.resting[worker as usize] = false;
            self.begin(self.now, worker, 0);
        } else {
            self.resting[worker as usize] = true;
        }
    }

    fn begin(&mut self, intended: Time, worker: u32, keeps: Time) {
        let fresh = Request { intended, asked: 0, ready: 0, attempts: 0, worker, probe: false, keeps };
        let request = if let Some(unused) = self.unused.pop() {
            self.requests[unused as usize] = fresh;
            unused
        } else {
            self.requests.push(fresh);
            u32::try_from(self.requests.len() - 1).unwrap_or(u32::MAX)
        };
        if keeps == 0 {
            self.under_way += 1;
            self.attempt(request);
        } else {
            self.acquire(request);
        }
    }

    fn end_request(&mut self, request: u32, failed: Option<ErrorClass>) {
        let served = failed.is_none();
        let of = self.requests[request as usize];
        self.unused.push(request);
        if of.keeps > 0 {
            return;
        }
        self.under_way -= 1;
        if served {
            self.tally.served += 1;
            self.tally.response.saturating_record(self.now - of.intended);
            self.tally.sums.1 += seconds(self.now - of.intended);
        } else {
            self.tally.failed += 1;
        }
        match self.plan.load.arrivals {
            Arrivals::Constant | Arrivals::Poisson => {}
            Arrivals::Closed { think_time } => {
                let pause = if served { 0 } else { PAUSE_AFTER_FAILURE };
                self.agenda.plan(self.now + time(think_time) + pause, Event::Worker(of.worker));
            }
            Arrivals::Listed(_) => {
                let (ask, attempts) = (of.worker as usize, of.attempts);
                self.ends.push(End { ask, at: self.clock(), failed, attempts });
            }
        }
    }

    // ---- attempts ----

    fn attempt(&mut self, request: u32) {
        let probe = if self.circuit.is_calm() { Some(false) } else { self.circuit.admit(self.clock()) };
        self.tally.attempts += 1;
        self.requests[request as usize].attempts += 1;
        match probe {
            None => {
                self.tally.error(ErrorClass::CircuitOpen);
                self.end_request(request, Some(ErrorClass::CircuitOpen));
            }
            Some(probe) => {
                self.requests[request as usize].probe = probe;
                self.acquire(request);
            }
        }
    }

    /// An attempt has failed.
    fn fail(&mut self, request: u32, class: ErrorClass) {
        let of = self.requests[request as usize];
        if of.keeps > 0 {
            self.end_request(request, Some(class));
            return;
        }
        self.tally.error(class);
        if is_infrastructure(class) {
            self.circuit.failed(of.probe, self.clock());
        } else if !self.circuit.is_calm() {
            self.circuit.succeeded(of.probe, self.clock());
        }
        if of.attempts > self.plan.settings.retry_attempts() || !is_retryable(class, None) {
            self.end_request(request, Some(class));
            return;
        }
        let random = self.rng.random_range(-1.0..=1.0);
        let delay = time(retry_delay(&self.plan.settings, of.attempts, random));
        self.agenda.plan(self.now + delay, Event::Retry(request));
    }

    fn succeed(&mut self, request: u32) {
        let of = self.requests[request as usize];
        if of.keeps == 0 {
            self.tally.query.saturating_record(self.now - of.ready);
            if !self.circuit.is_calm() {
                self.circuit.succeeded(of.probe, self.clock());
            }
        }
        self.end_request(request, None);
    }

    // ---- places ----

    fn acquire(&mut self, request: u32) {
        self.requests[request as usize].asked = self.now;
        if self.places < self.max {
            self.places += 1;
            self.take_place(request);
            return;
        }
        if !self.watched {
            self.watched = true;
            self.agenda.plan(self.now + self.connection_timeout, Event::Deadline);
        }
        self.waiting.push_back(request);
    }

    /// Whoever has waited too long gives up; the others' turn to be looked at comes when it comes.
    fn deadline(&mut self) {
        self.watched = false;
        while let Some(&first) = self.waiting.front() {
            let due = self.requests[first as usize].asked + self.connection_timeout;
            if due > self.now {
                self.watched = true;
                self.agenda.plan(due, Event::Deadline);
                return;
            }
            self.waiting.pop_front();
            self.fail(first, ErrorClass::AcquireTimeoutWaiting);
        }
    }

    /// A request has a place: the connection used last, or none yet.
    fn take_place(&mut self, request: u32) {
        match self.idle.pop_back() {
            Some(slot) => self.take(slot, request),
            None => self.open_for(request),
        }
    }

    fn take(&mut self, slot: u32, request: u32) {
        let of = &mut self.slots[slot as usize];
        if let State::Checking(_) = of.state {
            // It waits for the verdict, which comes in time: no check takes longer than a request may wait.
            of.state = State::Checking(request);
            return;
        }
        if self.is_expired(slot) {
            self.close(slot);
            self.tally.connections.closed_lifetime += 1;
            self.exchange(request);
            return;
        }
        self.hand_out(slot, request, false);
    }

    /// Another place in exchange for one whose connection is gone.
    fn exchange(&mut self, request: u32) {
        match if self.places < self.max { self.idle.pop_back() } else { None } {
            Some(slot) => self.take(slot, request),
            None => self.open_for(request),
        }
    }

    /// Gives a place back: the next in line has it.
    fn give_back(&mut self) {
        if let Some(next) = self.waiting.pop_front() {
            self.take_place(next);
        } else {
            self.places -= 1;
        }
    }

    fn is_expired(&self, slot: u32) -> bool {
        self.now - self.slots[slot as usize].opened > self.lifetime
    }

    // ---- connections ----

    fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                state: State::Free,
                health: Health::Alive,
                ending: Ending::Done,
                fresh: false,
                turn: 0,
                opened: 0,
                idle_since: 0,
                heard: 0,
                since: 0,
                until: 0,
                limit: 0,
                stalled_until: 0,
            });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// The connection is gone, whatever it was.
    fn close(&mut self, slot: u32) {
        let of = &mut self.slots[slot as usize];
        of.state = State::Free;
        of.turn = of.turn.wrapping_add(1);
        self.open -= 1;
        self.free.push(slot);
    }

    fn open_for(&mut self, request: u32) {
        let deadline = match request {
            NOBODY => self.now + self.connection_timeout,
            _ => self.requests[request as usize].asked + self.connection_timeout,
        };
        let slot = self.slot();
        let took = self.plan.world.connect.draw(&mut self.rng);
        let (took, ending) = if self.refusing > 0 {
            (NOTICE, Ending::Broken)
        } else if self.open + self.opening() >= self.plan.world.server_limit {
            (self.delayed(slot, took), Ending::TooMany)
        } else {
            (self.delayed(slot, took), Ending::Done)
        };
        let of = &mut self.slots[slot as usize];
        (of.state, of.health, of.fresh, of.stalled_until) = (State::Opening(request), Health::Alive, true, 0);
        self.busy_until(slot, took, ending, deadline);
    }

    fn opening(&self) -> u32 {
        let opening = self.slots.iter().filter(|slot| matches!(slot.state, State::Opening(_))).count();
        u32::try_from(opening).unwrap_or(u32::MAX)
    }

    /// How long the database takes for what takes it this long when nothing is wrong.
    fn delayed(&mut self, slot: u32, took: Time) -> Time {
        let still = self.paused_until.max(self.slots[slot as usize].stalled_until).saturating_sub(self.now);
        let (share, delay, faults) = self.latency;
        let late = if faults > 0 && self.rng.random_bool(share) { 2 * delay } else { 0 };
        still + took + late
    }

    /// Plans the end of what a slot begins to do now.
    fn busy_until(&mut self, slot: u32, took: Time, ending: Ending, limit: Time) {
        let of = &mut self.slots[slot as usize];
        of.limit = limit;
        (of.until, of.ending) = (self.now.saturating_add(took), ending);
        if of.until > limit {
            (of.until, of.ending) = (limit, Ending::TimedOut);
        }
        self.replan(slot);
    }

    fn replan(&mut self, slot: u32) {
        let of = &mut self.slots[slot as usize];
        of.turn = of.turn.wrapping_add(1);
        self.agenda.plan(of.until.max(self.now), Event::Slot { slot, turn: of.turn });
    }

    /// How a use of a connection goes: what it takes, and how it ends.
    fn use_of(&mut self, slot: u32, took: Time) -> (Time, Ending) {
        let idle_limit = self.plan.world.idle_limit.map_or(Time::MAX, time);
        let of = &mut self.slots[slot as usize];
        if of.health == Health::Alive && self.now - of.heard > idle_limit {
            of.health = Health::Silent;
        }
        match of.health {
            Health::Alive => (self.delayed(slot, took), Ending::Done),
            Health::Dead => (NOTICE, Ending::Broken),
            Health::Silent => (time(self.plan.world.silence), Ending::Broken),
        }
    }

    fn hand_out(&mut self, slot: u32, request: u32, fresh: bool) {
        self.busy += 1;
        self.peaks.0 = self.peaks.0.max(self.busy);
        let of = &mut self.slots[slot as usize];
        (of.since, of.fresh) = (self.now, fresh);
        if !self.validates {
            self.serve(slot, request);
            return;
        }
        of.state = State::Validating(request);
        let took = self.validation[self.busy.min(self.max) as usize].draw(&mut self.rng);
        let (took, ending) = self.use_of(slot, took);
        let deadline = self.requests[request as usize].asked + self.connection_timeout;
        self.busy_until(slot, took, ending, deadline.min(self.now + self.validation_timeout));
    }

    fn serve(&mut self, slot: u32, request: u32) {
        let of = self.requests[request as usize];
        if of.keeps == 0 {
            self.tally.acquire.saturating_record(self.now - of.asked);
            self.tally.sums.0 += seconds(self.now - of.asked);
        }
        self.requests[request as usize].ready = self.now;
        self.slots[slot as usize].state = State::Busy(request);
        if of.keeps > 0 {
            self.busy_until(slot, of.keeps.saturating_sub(self.now), Ending::Done, Time::MAX);
            return;
        }
        let took = match &self.plan.load.arrivals {
            Arrivals::Listed(asks) => time(asks[of.worker as usize].takes),
            _ => self.service[self.busy.min(self.max) as usize].draw(&mut self.rng),
        };
        let (took, ending) = self.use_of(slot, took);
        self.busy_until(slot, took, ending, Time::MAX);
    }

    /// What a slot was doing is over.
    fn slot_ends(&mut self, slot: u32) {
        let of = self.slots[slot as usize];
        match of.state {
            State::Free | State::Idle => {}
            State::Opening(request) => self.opened(slot, request, of.ending),
            State::Checking(request) => self.checked(slot, request, of.ending),
            State::Validating(request) => self.validated(slot, request, of.ending),
            State::Busy(request) => self.served(slot, request, of.ending),
        }
    }

    fn opened(&mut self, slot: u32, request: u32, ending: Ending) {
        if ending == Ending::Done {
            self.open += 1;
            self.peaks.1 = self.peaks.1.max(self.open);
            self.tally.connections.opened += 1;
            let of = &mut self.slots[slot as usize];
            (of.opened, of.heard, of.idle_since) = (self.now, self.now, self.now);
            if request == NOBODY {
                self.put_back(slot);
            } else {
                self.hand_out(slot, request, true);
            }
            return;
        }
        let of = &mut self.slots[slot as usize];
        of.state = State::Free;
        self.free.push(slot);
        self.give_back();
        if request != NOBODY {
            self.fail(
                request,
                match ending {
                    Ending::TimedOut => ErrorClass::AcquireTimeoutOpening,
                    Ending::TooMany => ErrorClass::TooManyConnections,
                    Ending::Done | Ending::Broken => ErrorClass::Connect,
                },
            );
        }
    }

    fn validated(&mut self, slot: u32, request: u32, ending: Ending) {
        if ending == Ending::Done {
            self.slots[slot as usize].heard = self.now;
            self.serve(slot, request);
            return;
        }
        self.busy -= 1;
        let fresh = self.slots[slot as usize].fresh;
        self.close(slot);
        self.tally.connections.closed_broken += 1;
        let deadline = self.requests[request as usize].asked + self.connection_timeout;
        if ending == Ending::TimedOut && self.now >= deadline {
            self.give_back();
            self.fail(request, ErrorClass::AcquireTimeoutValidating);
        } else if fresh {
            self.give_back();
            self.fail(request, ErrorClass::Validation);
        } else {
            self.exchange(request);
        }
    }

    fn served(&mut self, slot: u32, request: u32, ending: Ending) {
        self.busy -= 1;
        let of = &mut self.slots[slot as usize];
        if ending == Ending::Done {
            of.heard = self.now;
            self.tally.hold.saturating_record(self.now - of.since);
            if self.is_expired(slot) {
                self.close(slot);
                self.tally.connections.closed_lifetime += 1;
                self.give_back();
            } else {
                self.slots[slot as usize].idle_since = self.now;
                self.put_back(slot);
            }
            self.succeed(request);
        } else {
            self.close(slot);
            self.tally.connections.closed_broken += 1;
            self.give_back();
            self.fail(request, ErrorClass::ConnectionLost);
        }
    }

    /// An idle connection goes back, and to the next in line at once, if there is one.
    fn put_back(&mut self, slot: u32) {
        self.slots[slot as usize].state = State::Idle;
        self.idle.push_back(slot);
        self.give_back();
    }

    // ---- the keeper ----

    fn keep(&mut self) {
        // A round of checks holds the keeper up until it is over.
        if self.checking == 0 {
            self.reap();
            if self.now - self.checked >= self.check_interval {
                self.check_idle();
            }
            if self.checking == 0 {
                self.refill();
            }
        }
        self.agenda.plan(self.now + self.tick, Event::Keeper);
    }

    fn reap(&mut self) {
        let mut above = self.open.saturating_sub(self.min);
        let coldest_first: Vec<u32> = self.idle.iter().copied().collect();
        for slot in coldest_first {
            let of = self.slots[slot as usize];
            if of.state != State::Idle {
                continue;
            }
            if self.is_expired(slot) {
                self.tally.connections.closed_lifetime += 1;
            } else if above > 0 && self.now - of.idle_since >= self.idle_timeout {
                self.tally.connections.closed_idle += 1;
            } else {
                continue;
            }
            above = above.saturating_sub(1);
            self.idle.retain(|idle| *idle != slot);
            self.close(slot);
        }
    }

    fn check_idle(&mut self) {
        self.checked = self.now;
        for place in 0..self.idle.len() {
            let slot = self.idle[place];
            self.slots[slot as usize].state = State::Checking(NOBODY);
            let took = self.validation[self.busy.min(self.max) as usize].draw(&mut self.rng);
            let (took, ending) = self.use_of(slot, took);
            self.checking += 1;
            self.busy_until(slot, took, ending, self.now + self.validation_timeout);
        }
    }

    fn checked(&mut self, slot: u32, request: u32, ending: Ending) {
        self.checking -= 1;
        if self.checking == 0 {
            self.checked = self.now;
        }
        if ending == Ending::Done {
            let of = &mut self.slots[slot as usize];
            (of.heard, of.state) = (self.now, State::Idle);
            if request != NOBODY {
                self.take(slot, request);
            }
        } else {
            self.idle.retain(|idle| *idle != slot);
            self.close(slot);
            self.tally.connections.closed_broken += 1;
            if request != NOBODY {
                self.exchange(request);
            }
        }
        if self.checking == 0 {
            self.refill();
        }
    }

    fn refill(&mut self) {
        let missing = self.min.saturating_sub(self.open + self.opening());
        for _ in 0..missing.min(self.max - self.places.min(self.max)) {
            self.places += 1;
            self.open_for(NOBODY);
        }
    }

    // ---- what changes ----

    fn change(&mut self, place: usize) {
        self.next_change = place + 1;
        match self.changes[place].1 {
            Change::Level(level) => self.set_level(level),
            Change::Begin(fault) => self.begin_fault(&self.plan.faults[fault].clone()),
            Change::End(fault) => self.end_fault(&self.plan.faults[fault].clone()),
        }
    }

    fn set_level(&mut self, level: f64) {
        self.level = level;
        if let Arrivals::Closed { .. } = self.plan.load.arrivals {
            for worker in 0..self.plan.load.workers {
                if self.resting[worker as usize] && f64::from(worker) < level {
                    self.resting[worker as usize] = false;
                    self.agenda.plan(self.now, Event::Worker(worker));
                }
            }
            return;
        }
        // What was planned at the old rate is drawn anew at the new one, which a Poisson process does not feel.
        self.arrivals = self.arrivals.wrapping_add(1);
        if level > 0.0 {
            self.next_due = self.now;
            self.plan_arrival();
        }
    }

    fn begin_fault(&mut self, fault: &Fault) {
        let end = time(fault.end());
        if !fault.kind.is_moment() {
            self.faults += 1;
        }
        match fault.kind {
            FaultKind::Latency { delay, .. } => self.latency = (fault.share, time(delay), self.latency.2 + 1),
            FaultKind::Reset | FaultKind::Terminate => self.hit(fault.share, |of, now| {
                of.health = Health::Dead;
                (now + NOTICE, Ending::Broken)
            }),
            FaultKind::DropSilently => {
                let silence = time(self.plan.world.silence);
                self.hit(fault.share, |of, now| {
                    of.health = Health::Silent;
                    (now + silence, Ending::Broken)
                });
            }
            FaultKind::Stall => self.hit(fault.share, |of, now| {
                of.stalled_until = end;
                (of.until + end.saturating_sub(now), of.ending)
            }),
            FaultKind::Pause => {
                self.paused_until = end;
                self.hit(1.0, |of, now| (of.until + end.saturating_sub(now), of.ending));
            }
            FaultKind::Restart => {
                self.refusing += 1;
                self.hit(1.0, |of, now| {
                    of.health = Health::Dead;
                    (now + NOTICE, Ending::Broken)
                });
            }
            FaultKind::Refuse => self.refusing += 1,
            FaultKind::Hold { connections, .. } => {
                for _ in 0..connections {
                    self.begin(self.now, NOBODY, end.max(1));
                }
            }
            // A pool feels a narrow network as a slow one, which the caller says as such.
            FaultKind::Bandwidth { .. } | FaultKind::DropAfter { .. } => {}
        }
    }

    fn end_fault(&mut self, fault: &Fault) {
        self.faults -= 1;
        match fault.kind {
            FaultKind::Latency { .. } => self.latency.2 -= 1,
            FaultKind::Restart | FaultKind::Refuse => self.refusing -= 1,
            _ => {}
        }
    }

    /// Does something to a share of the connections; `how` gives when and how what they are doing ends now.
    fn hit(&mut self, share: f64, how: impl Fn(&mut Slot, Time) -> (Time, Ending)) {
        let mut open: Vec<u32> = (0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
            .filter(|slot| !matches!(self.slots[*slot as usize].state, State::Free))
            .collect();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let chosen = (open.len() as f64 * share).ceil() as usize;
        while open.len() > chosen {
            let place = usize::try_from(self.rng.next_u64()).unwrap_or(0) % open.len();
            open.swap_remove(place);
        }
        for slot in open {
            let now = self.now;
            let of = &mut self.slots[slot as usize];
            let (until, ending) = how(of, now);
            if of.state == State::Idle {
                continue;
            }
            (of.until, of.ending) = if until > of.limit { (of.limit, Ending::TimedOut) } else { (until, ending) };
            self.replan(slot);
        }
    }
}
