//! The pool's keeper: closes what is old or idle, checks what is idle, keeps the minimum open.

use super::{Ending, NOBODY, Simulation, State};
use crate::simulate::agenda::Event;

impl Simulation<'_> {
    pub(super) fn keep(&mut self) {
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

    pub(super) fn reap(&mut self) {
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

    pub(super) fn check_idle(&mut self) {
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

    pub(super) fn checked(&mut self, slot: u32, request: u32, ending: Ending) {
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

    pub(super) fn refill(&mut self) {
        let missing = self.min.saturating_sub(self.open + self.opening());
        for _ in 0..missing.min(self.max - self.places.min(self.max)) {
            self.places += 1;
            self.open_for(NOBODY);
        }
    }
}
