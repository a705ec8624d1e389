//! The simulation of a pool, in virtual time.
//!
//! It does what the pool under test does (`pool/`), step for step: waiters are served in order, the connection used last is
//! handed out first, validation and opening happen while the place is held, a keeper works through idle connections. Retries
//! and the circuit breaker are the very code of the pool (`policy`).

mod changes;
mod keeper;
mod load;
mod observer;
mod places;
mod quiet;

use std::{collections::VecDeque, time::Duration};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use observer::{Acquired, Attempt, Left, Moment, Observer, Watched, simulate_watched};

use super::{
    Times, World,
    agenda::{Agenda, Event, SECOND, Time},
    tally::{Kind, Tally},
};
use crate::{
    model::{BreakerCounts, ErrorClass, Fault, Settings},
    policy::Circuit,
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
    /// every request. What happens often is told as truly; which connections a crowd would have used or opened in time that is
    /// skipped is drawn, as if the number at work were Poisson distributed.
    pub thinning: Option<Duration>,
    /// Of everything random.
    pub seed: u64,
}

/// Requests over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Most requests at once.
    pub workers: u32,
    /// What becomes of those that come while so many are under way.
    pub beyond: Beyond,
    /// When they come.
    pub arrivals: Arrivals,
    /// What is offered from when on: workers of a closed loop, or requests a second of an open one.
    pub steps: Vec<Step>,
}

/// What becomes of requests of an open loop that come while all workers have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beyond {
    /// They wait, and their time counts from when they came.
    #[default]
    Wait,
    /// They are turned away, and count as failed.
    Lost,
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
    /// Why it ended early, if it did.
    pub overloaded: bool,
    /// Requests that were due by the end and had not begun.
    pub not_begun: u64,
    /// The share of the time that was not simulated request by request.
    pub skipped: f64,
    /// What became of the requests that were listed, in the order of their ends.
    pub ends: Vec<End>,
}

impl Outcome {
    /// Requests that came, but for those that were under way at the end.
    #[must_use]
    pub fn requests(&self) -> f64 {
        real(self.total.served + self.total.failed + self.not_begun)
    }

    /// Requests that were not served within so long from when they were due.
    #[must_use]
    pub fn not_in_time(&self, deadline: Duration) -> f64 {
        self.requests() - real(self.total.response.count_between(0, time(deadline)))
    }
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
    /// Held by a request that waits for a second one.
    Kept,
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
    /// When it had its connection; 0 until then.
    ready: Time,
    /// What it waited for a place, and what opening and validating its connection took.
    waited: Time,
    opening: Option<Time>,
    validating: Option<Time>,
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

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// Times to open a connection by the number being opened.
    connect: Vec<Times>,
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
    /// Whether the present window may be counted for more than itself, and the times in it, which then count as often.
    weighs: bool,
    unweighed: Vec<(Kind, Time)>,
    line: Vec<Point>,
    interval: Time,
    counted: Time,
    held_for: quiet::HeldFor,
    skipped: Time,
    overloaded: bool,
    ends: Vec<End>,
    // Who listens, and what only a listener asks for.
    observer: Option<&'a mut dyn Observer>,
    nested: bool,
    firsts: Vec<Option<observer::First>>,
    /// Whether nothing begins any more.
    draining: bool,
    /// Most connections in use and open in this interval.
    peaks: (u32, u32),
}

fn time(duration: Duration) -> Time {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
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
            connect: (0..=max).map(|opening| plan.world.connect.at(opening)).collect(),
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
            weighs: false,
            unweighed: Vec::new(),
            line: Vec::new(),
            interval: time(plan.interval).max(1),
            counted: 0,
            held_for: quiet::HeldFor::default(),
            skipped: 0,
            overloaded: false,
            ends: Vec::new(),
            observer: None,
            nested: false,
            firsts: Vec::new(),
            draining: false,
            peaks: (0, 0),
        }
    }

    fn run(mut self) -> Outcome {
        self.play();
        self.outcome()
    }

    fn play(&mut self) {
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
            self.weighs = may_skip;
            self.advance(until);
            let goes_on = self.tell_interval();
            let mut times = 1;
            if may_skip && quiet_until > self.now && self.is_calm() && self.next_change_at() >= quiet_until {
                // Up to when something is to be closed or a little beyond, so that the keeper finds it; never beyond a change.
                let most = (end.min(self.next_change_at()) - self.now) / window;
                times += (quiet_until - self.now).div_ceil(window).min(most);
            }
            self.count(times);
            settled = times == 1 && self.is_calm();
            if times > 1 {
                self.skip((times - 1) * window);
                self.use_meanwhile((times - 1) * window);
            }
            if !goes_on {
                break;
            }
        }
    }

    fn outcome(self) -> Outcome {
        let not_begun = u64::try_from(self.backlog.len()).unwrap_or(u64::MAX);
        let length = self.now.max(1);
        Outcome {
            breaker: self.circuit.counts(self.clock()),
            total: self.total,
            line: self.line,
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

    /// Records a time; in a window that may stand for more than itself, once it is known for how much.
    fn record(&mut self, kind: Kind, time: Time) {
        if self.weighs {
            self.unweighed.push((kind, time));
        } else {
            self.total.distribution(kind).saturating_record(time);
        }
    }

    /// Counts what happened since the last time, `times` times.
    fn count(&mut self, times: u64) {
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
            if from == self.counted {
                point.opened += real(self.tally.connections.opened);
            }
            point.active += self.tally.active * part;
            point.open += self.tally.open * part;
            from = to;
        }
        self.held_for.note(&self.tally);
        for (kind, time) in self.unweighed.drain(..) {
            self.total.distribution(kind).saturating_record_n(time, times);
        }
        self.total.add_counts(&self.tally, times);
        self.tally.clear();
        self.counted += all;
    }
}
