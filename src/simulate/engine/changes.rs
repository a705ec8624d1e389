//! What changes by the clock: the load's level, and faults.

use std::time::Duration;

use rand::Rng as _;

use super::{Arrivals, Change, Ending, Health, NOBODY, NOTICE, Simulation, Slot, State, seconds, time};
use crate::{
    model::{Fault, FaultKind},
    simulate::agenda::{Event, Time},
};

impl Simulation<'_> {
    pub(super) fn change(&mut self, place: usize) {
        self.next_change = place + 1;
        match self.changes[place].1 {
            Change::Level(level) => self.set_level(level),
            Change::Begin(fault) => self.begin_fault(&self.plan.faults[fault].clone()),
            Change::End(fault) => self.end_fault(&self.plan.faults[fault].clone()),
        }
    }

    pub(super) fn set_level(&mut self, level: f64) {
        let before = std::mem::replace(&mut self.level, level);
        if let Arrivals::Closed { .. } = self.plan.load.arrivals {
            for worker in 0..self.plan.load.workers {
                if self.resting[worker as usize] && f64::from(worker) < level {
                    self.resting[worker as usize] = false;
                    self.agenda.plan(self.now, Event::Worker(worker));
                }
            }
            return;
        }
        self.arrivals = self.arrivals.wrapping_add(1);
        if level <= 0.0 {
            return;
        }
        if self.plan.load.arrivals == Arrivals::Constant && before > 0.0 && self.next_due > self.now {
            // What is left of the distance to the next one shrinks and grows with the rate: on a ramp of short steps a rate of
            // a few a second would otherwise never come to its first request.
            let left = seconds(self.next_due - self.now) * before / level;
            self.next_due = self.now + time(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX));
            self.agenda.plan(self.next_due, Event::Arrival(self.arrivals));
            return;
        }
        // What was planned at the old rate is drawn anew at the new one, which a Poisson process does not feel.
        self.next_due = self.now;
        self.plan_arrival();
    }

    pub(super) fn begin_fault(&mut self, fault: &Fault) {
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

    pub(super) fn end_fault(&mut self, fault: &Fault) {
        self.faults -= 1;
        match fault.kind {
            FaultKind::Latency { .. } => self.latency.2 -= 1,
            FaultKind::Restart | FaultKind::Refuse => self.refusing -= 1,
            _ => {}
        }
    }

    /// Does something to a share of the connections; `how` gives when and how what they are doing ends now.
    pub(super) fn hit(&mut self, share: f64, how: impl Fn(&mut Slot, Time) -> (Time, Ending)) {
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
