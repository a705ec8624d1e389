//! The pool's places and connections: waiting, opening, validating, serving.

use rand::RngExt as _;

use super::{Arrivals, Ending, Health, Kind, NOBODY, NOTICE, Simulation, Slot, State, seconds, time};
use crate::{
    model::ErrorClass,
    simulate::agenda::{Event, Time},
};

impl Simulation<'_> {
    pub(super) fn acquire(&mut self, request: u32) {
        let of = &mut self.requests[request as usize];
        (of.asked, of.ready, of.waited, of.opening, of.validating) = (self.now, 0, 0, None, None);
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
    pub(super) fn deadline(&mut self) {
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
    pub(super) fn take_place(&mut self, request: u32) {
        match self.idle.pop_back() {
            Some(slot) => self.take(slot, request),
            None => self.open_for(request),
        }
    }

    pub(super) fn take(&mut self, slot: u32, request: u32) {
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
    pub(super) fn exchange(&mut self, request: u32) {
        match if self.places < self.max { self.idle.pop_back() } else { None } {
            Some(slot) => self.take(slot, request),
            None => self.open_for(request),
        }
    }

    /// Gives a place back: the next in line has it.
    pub(super) fn give_back(&mut self) {
        if let Some(next) = self.waiting.pop_front() {
            let of = &mut self.requests[next as usize];
            of.waited = self.now - of.asked;
            self.take_place(next);
        } else {
            self.places -= 1;
        }
    }

    pub(super) fn is_expired(&self, slot: u32) -> bool {
        self.now - self.slots[slot as usize].opened > self.lifetime
    }

    pub(super) fn slot(&mut self) -> u32 {
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
    pub(super) fn close(&mut self, slot: u32) {
        let of = &mut self.slots[slot as usize];
        of.state = State::Free;
        of.turn = of.turn.wrapping_add(1);
        self.open -= 1;
        self.free.push(slot);
    }

    pub(super) fn open_for(&mut self, request: u32) {
        let deadline = match request {
            NOBODY => self.now + self.connection_timeout,
            _ => self.requests[request as usize].asked + self.connection_timeout,
        };
        let slot = self.slot();
        let opening = (self.opening() + 1).min(self.max);
        let took = self.connect[opening as usize].draw(&mut self.rng);
        let (took, ending) = if self.refusing > 0 {
            (NOTICE, Ending::Broken)
        } else if self.open + self.opening() >= self.plan.world.server_limit {
            (self.delayed(slot, took), Ending::TooMany)
        } else {
            (self.delayed(slot, took), Ending::Done)
        };
        let of = &mut self.slots[slot as usize];
        (of.state, of.health, of.fresh, of.stalled_until) = (State::Opening(request), Health::Alive, true, 0);
        of.since = self.now;
        self.busy_until(slot, took, ending, deadline);
    }

    pub(super) fn opening(&self) -> u32 {
        let opening = self.slots.iter().filter(|slot| matches!(slot.state, State::Opening(_))).count();
        u32::try_from(opening).unwrap_or(u32::MAX)
    }

    /// How long the database takes for what takes it this long when nothing is wrong.
    pub(super) fn delayed(&mut self, slot: u32, took: Time) -> Time {
        let still = self.paused_until.max(self.slots[slot as usize].stalled_until).saturating_sub(self.now);
        let (share, delay, faults) = self.latency;
        let late = if faults > 0 && self.rng.random_bool(share) { 2 * delay } else { 0 };
        still + took + late
    }

    /// Plans the end of what a slot begins to do now.
    pub(super) fn busy_until(&mut self, slot: u32, took: Time, ending: Ending, limit: Time) {
        let of = &mut self.slots[slot as usize];
        of.limit = limit;
        (of.until, of.ending) = (self.now.saturating_add(took), ending);
        if of.until > limit {
            (of.until, of.ending) = (limit, Ending::TimedOut);
        }
        self.replan(slot);
    }

    pub(super) fn replan(&mut self, slot: u32) {
        let of = &mut self.slots[slot as usize];
        of.turn = of.turn.wrapping_add(1);
        self.agenda.plan(of.until.max(self.now), Event::Slot { slot, turn: of.turn });
    }

    /// How a use of a connection goes: what it takes, and how it ends.
    pub(super) fn use_of(&mut self, slot: u32, took: Time) -> (Time, Ending) {
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

    pub(super) fn hand_out(&mut self, slot: u32, request: u32, fresh: bool) {
        self.busy += 1;
        self.note_peaks();
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

    pub(super) fn serve(&mut self, slot: u32, request: u32) {
        let of = self.requests[request as usize];
        if of.keeps == 0 {
            self.record(Kind::Acquire, self.now - of.asked);
            self.tally.sums.0 += seconds(self.now - of.asked);
        }
        self.requests[request as usize].ready = self.now;
        if self.asks_for_second(slot, request) {
            return;
        }
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
    pub(super) fn slot_ends(&mut self, slot: u32) {
        let of = self.slots[slot as usize];
        match of.state {
            State::Free | State::Idle | State::Kept => {}
            State::Opening(request) => self.opened(slot, request, of.ending),
            State::Checking(request) => self.checked(slot, request, of.ending),
            State::Validating(request) => self.validated(slot, request, of.ending),
            State::Busy(request) => self.served(slot, request, of.ending),
        }
    }

    pub(super) fn opened(&mut self, slot: u32, request: u32, ending: Ending) {
        if ending == Ending::Done {
            self.open += 1;
            self.note_peaks();
            self.tally.connections.opened += 1;
            let of = &mut self.slots[slot as usize];
            let took = self.now - of.since;
            (of.opened, of.heard, of.idle_since) = (self.now, self.now, self.now);
            if request == NOBODY {
                self.put_back(slot);
            } else {
                self.requests[request as usize].opening = Some(took);
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

    pub(super) fn validated(&mut self, slot: u32, request: u32, ending: Ending) {
        if ending == Ending::Done {
            let of = &mut self.slots[slot as usize];
            of.heard = self.now;
            self.requests[request as usize].validating = Some(self.now - of.since);
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

    pub(super) fn served(&mut self, slot: u32, request: u32, ending: Ending) {
        self.busy -= 1;
        let of = &mut self.slots[slot as usize];
        let since = of.since;
        if ending == Ending::Done {
            of.heard = self.now;
            let held = self.now - of.since;
            self.record(Kind::Hold, held);
            self.retire(slot);
            // The next in line may have it by now.
            self.succeed(request, since);
        } else {
            self.close(slot);
            self.tally.connections.closed_broken += 1;
            self.give_back();
            self.fail_on(request, Some(since), ErrorClass::ConnectionLost);
        }
    }

    /// A connection that was used goes back, unless it is too old.
    pub(super) fn retire(&mut self, slot: u32) {
        if self.is_expired(slot) {
            self.close(slot);
            self.tally.connections.closed_lifetime += 1;
            self.give_back();
        } else {
            self.slots[slot as usize].idle_since = self.now;
            self.put_back(slot);
        }
    }

    /// An idle connection goes back, and to the next in line at once, if there is one.
    pub(super) fn put_back(&mut self, slot: u32) {
        self.slots[slot as usize].state = State::Idle;
        self.idle.push_back(slot);
        self.give_back();
    }
}
