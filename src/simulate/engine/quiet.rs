//! Quiet times: when there is one, and what is passed over in it.

use rand_distr::{Distribution as _, Exp1};

use super::{Health, Simulation, Slot, State, seconds, time};
use crate::simulate::{agenda::Time, tally::Tally};

/// How long a request holds a connection, over the stretches simulated lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldFor {
    active: f64,
    served: f64,
}

/// What an earlier stretch counts beside the next one.
const FADING: f64 = 0.9;

impl HeldFor {
    pub(super) fn note(&mut self, tally: &Tally) {
        #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
        let served = tally.served as f64;
        (self.active, self.served) = (self.active * FADING + tally.active, self.served * FADING + served);
    }

    fn seconds(&self) -> f64 {
        if self.served > 0.0 { self.active / self.served } else { 0.0 }
    }
}

impl Simulation<'_> {
    /// Whether nothing is going on but requests being served.
    pub(super) fn is_calm(&self) -> bool {
        self.faults == 0
            && self.checking == 0
            && self.circuit.is_calm()
            && self.backlog.is_empty()
            && self.paused_until <= self.now
            && self.slots.iter().all(|slot| match slot.health {
                Health::Alive => true,
                // Nobody has met it yet.
                Health::Dead => matches!(slot.state, State::Free | State::Idle),
                Health::Silent => slot.state == State::Free,
            })
    }

    pub(super) fn next_change_at(&self) -> Time {
        self.changes.get(self.next_change).map_or(Time::MAX, |(at, _)| *at)
    }

    /// Until when nothing is bound to change.
    pub(super) fn quiet_until(&self, end: Time) -> Time {
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

    pub(super) fn skip(&mut self, by: Time) {
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

    /// What a time that was passed over did to idle connections: a crowd uses those that lie deep, and opens new ones where
    /// there are too few.
    ///
    /// While nothing is wrong, the number of connections at work is about Poisson distributed (M/G/∞, whatever the distribution of
    /// service times), so that it rises to `k` at the rate λ·P(k − 1); rises that come together count once, which takes
    /// off the share a/k (Aldous, Probability Approximations via the Poisson Clumping Heuristic, B).
    pub(super) fn use_meanwhile(&mut self, by: Time) {
        let passed = seconds(by);
        let rate = match self.plan.load.arrivals {
            super::Arrivals::Constant | super::Arrivals::Poisson => self.level,
            // In a closed loop as many are at work as ever will be.
            super::Arrivals::Closed { .. } | super::Arrivals::Listed(_) => return,
        };
        let at_work = rate * self.held_for.seconds();
        if at_work <= 0.0 {
            return;
        }
        // The logarithm of P(k − 1) for the highest level, but for e^−a; from level to level one factor less.
        let factor = |level: u32| (at_work / f64::from(level)).ln();
        let mut below: f64 = (1..self.max).map(factor).sum();
        let mut last = f64::INFINITY;
        // From the deepest level: whoever reaches it has passed all others. Beyond the pool's size nobody gets.
        for level in (self.busy + 1..=self.max).rev() {
            let draw: f64 = Exp1.sample(&mut self.rng);
            let rises = rate * (below - at_work).exp() * (1.0 - at_work / f64::from(level)).max(0.05);
            below -= if level > 1 { factor(level - 1) } else { 0.0 };
            last = last.min(draw / rises.max(1e-300));
            if last >= passed {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the time passed")]
            let at = self.now - (last * 1e9) as Time;
            // The idle one that is used at this level: the last used lies at the back.
            let depth = (level - self.busy) as usize;
            if depth <= self.idle.len() {
                let slot = self.idle[self.idle.len() - depth];
                let of = &mut self.slots[slot as usize];
                (of.idle_since, of.heard) = (of.idle_since.max(at), of.heard.max(at));
                if of.health == Health::Dead {
                    // Whoever took it found that out at once, and had another one opened.
                    (of.health, of.opened) = (Health::Alive, at);
                    self.tally.connections.closed_broken += 1;
                    self.tally.connections.opened += 1;
                }
            } else if self.open + self.opening() < self.max.min(self.plan.world.server_limit) {
                let slot = self.slot();
                self.slots[slot as usize] = Slot {
                    state: State::Idle,
                    opened: at,
                    idle_since: at,
                    heard: at,
                    health: Health::Alive,
                    ..self.slots[slot as usize]
                };
                self.open += 1;
                self.tally.connections.opened += 1;
                self.idle.push_front(slot);
            }
        }
    }
}
