//! What is asked of the pool: requests, their attempts and their ends.

use std::time::Duration;

use rand::RngExt as _;
use rand_distr::{Distribution as _, Exp1};

use super::{
    Arrivals, Beyond, End, Kind, LONGEST_BACKLOG, NOBODY, PAUSE_AFTER_FAILURE, Request, Simulation, seconds, time,
};
use crate::{
    model::ErrorClass,
    policy::{is_infrastructure, is_retryable, retry_delay},
    simulate::agenda::{Event, Time},
};

impl Simulation<'_> {
    pub(super) fn arrive(&mut self) {
        if self.level <= 0.0 || self.draining {
            return;
        }
        if let Some(observer) = &mut self.observer {
            observer.due(Duration::from_nanos(self.next_due));
        }
        if self.plan.load.beyond == Beyond::Lost && self.under_way >= self.plan.load.workers {
            self.tally.failed += 1;
            self.plan_arrival();
            return;
        }
        self.backlog.push_back(self.next_due);
        if self.backlog.len() > LONGEST_BACKLOG {
            self.overloaded = true;
        }
        self.plan_arrival();
    }

    pub(super) fn plan_arrival(&mut self) {
        let draw: f64 = match self.plan.load.arrivals {
            Arrivals::Poisson => Exp1.sample(&mut self.coming),
            Arrivals::Constant | Arrivals::Closed { .. } | Arrivals::Listed(_) => 1.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and cut to a year")]
        let distance = (draw / self.level * 1e9).min(3e16) as Time;
        self.next_due += distance;
        self.agenda.plan(self.next_due, Event::Arrival(self.arrivals));
    }

    pub(super) fn begin_due(&mut self) {
        while self.under_way < self.plan.load.workers
            && let Some(intended) = self.backlog.pop_front()
        {
            self.begin(intended, NOBODY, 0);
        }
    }

    pub(super) fn worker_begins(&mut self, worker: u32) {
        if self.draining {
            return;
        }
        if let Arrivals::Listed(_) = self.plan.load.arrivals {
            self.begin(self.now, worker, 0);
        } else if f64::from(worker) < self.level {
            self.resting[worker as usize] = false;
            self.begin(self.now, worker, 0);
        } else {
            self.resting[worker as usize] = true;
        }
    }

    pub(super) fn begin(&mut self, intended: Time, worker: u32, keeps: Time) {
        let fresh = Request {
            intended,
            asked: 0,
            ready: 0,
            waited: 0,
            opening: None,
            validating: None,
            attempts: 0,
            worker,
            probe: false,
            keeps,
        };
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

    pub(super) fn end_request(&mut self, request: u32, failed: Option<ErrorClass>) {
        let served = failed.is_none();
        let of = self.requests[request as usize];
        self.unused.push(request);
        if of.keeps > 0 {
            return;
        }
        self.under_way -= 1;
        if served {
            self.tally.served += 1;
            self.record(Kind::Response, self.now - of.intended);
            self.tally.sums.1 += seconds(self.now - of.intended);
        } else {
            self.tally.failed += 1;
        }
        if let Some(observer) = &mut self.observer {
            observer.ended(Duration::from_nanos(self.now), Duration::from_nanos(of.intended), served, of.attempts);
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

    pub(super) fn attempt(&mut self, request: u32) {
        let probe = if self.circuit.is_calm() { Some(false) } else { self.circuit.admit(self.clock()) };
        self.tally.attempts += 1;
        self.requests[request as usize].attempts += 1;
        match probe {
            None => {
                self.tally.error(ErrorClass::CircuitOpen);
                self.tell_attempt(request, None, Some(ErrorClass::CircuitOpen));
                self.end_request(request, Some(ErrorClass::CircuitOpen));
            }
            Some(probe) => {
                self.requests[request as usize].probe = probe;
                self.acquire(request);
            }
        }
    }

    /// An attempt has failed.
    pub(super) fn fail(&mut self, request: u32, class: ErrorClass) {
        self.fail_on(request, None, class);
    }

    /// An attempt has failed; its connection was set aside for it `since` then, if it had one.
    pub(super) fn fail_on(&mut self, request: u32, since: Option<Time>, class: ErrorClass) {
        let of = self.requests[request as usize];
        if of.keeps > 0 {
            self.end_request(request, Some(class));
            return;
        }
        let waits_for_second = self.nested && self.firsts.get(request as usize).is_some_and(Option::is_some);
        let class = match class {
            ErrorClass::AcquireTimeoutWaiting if waits_for_second => ErrorClass::AcquireTimeoutNested,
            class => class,
        };
        self.tell_attempt(request, since, Some(class));
        self.release_first(request);
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

    pub(super) fn succeed(&mut self, request: u32, since: Time) {
        let of = self.requests[request as usize];
        if of.keeps == 0 {
            self.tell_attempt(request, Some(since), None);
            self.release_first(request);
            self.record(Kind::Query, self.now - of.ready);
            if !self.circuit.is_calm() {
                self.circuit.succeeded(of.probe, self.clock());
            }
        }
        self.end_request(request, None);
    }
}
