//! What is going to happen, in the order of time.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Virtual time: nanoseconds since the simulation began.
pub(super) type Time = u64;

/// A second of virtual time.
pub(super) const SECOND: Time = 1_000_000_000;

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The next request of an open loop is due; the number tells one that was planned before the load changed.
    Arrival(u32),
    /// A worker of a closed loop begins its next request.
    Worker(u32),
    /// What a slot is busy with is over; the number tells an old event from the present one.
    Slot { slot: u32, turn: u32 },
    /// The request that has waited for a place longest may have waited too long.
    Deadline,
    /// A request tries again.
    Retry(u32),
    /// The keeper's turn.
    Keeper,
    /// The load or the world changes: the place in its time line.
    Change(u32),
}

impl Event {
    fn pack(self) -> u64 {
        match self {
            Self::Arrival(turn) => u64::from(turn) << 3,
            Self::Worker(worker) => 1 | u64::from(worker) << 3,
            // Slots are few: a turn of 32 bits is kept whole.
            Self::Slot { slot, turn } => 2 | u64::from(slot & 0x1fff_ffff) << 3 | u64::from(turn) << 32,
            Self::Deadline => 3,
            Self::Retry(request) => 4 | u64::from(request) << 3,
            Self::Keeper => 5,
            Self::Change(place) => 6 | u64::from(place) << 3,
        }
    }

    fn unpack(packed: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "packed from 32 bits")]
        let number = (packed >> 3) as u32;
        match packed & 7 {
            0 => Self::Arrival(number),
            1 => Self::Worker(number),
            2 => Self::Slot { slot: number & 0x1fff_ffff, turn: (packed >> 32) as u32 },
            3 => Self::Deadline,
            4 => Self::Retry(number),
            5 => Self::Keeper,
            _ => Self::Change(number),
        }
    }
}

/// Events to come. Those of the same time come in the order in which they were planned.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, u64)>>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event.pack())));
    }

    /// Takes the next event that is due by `until`.
    pub(super) fn next(&mut self, until: Time) -> Option<(Time, Event)> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at > until {
            return None;
        }
        let Reverse((at, _, packed)) = self.heap.pop()?;
        Some((at, Event::unpack(packed)))
    }

    /// Lets time pass without anything happening: what goes on in requests moves along, what is planned by the clock (the
    /// keeper, changes) stays where it is.
    pub(super) fn shift(&mut self, by: Time) {
        let events = std::mem::take(&mut self.heap);
        self.heap = events
            .into_iter()
            .map(|Reverse((at, order, packed))| match Event::unpack(packed) {
                Event::Keeper | Event::Change(_) => Reverse((at, order, packed)),
                _ => Reverse((at + by, order, packed)),
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_planned() {
        let mut agenda = Agenda::default();
        let all = [
            (5, Event::Worker(7)),
            (3, Event::Slot { slot: 9, turn: u32::MAX }),
            (5, Event::Arrival(3)),
            (4, Event::Retry(u32::MAX)),
            (4, Event::Change(3)),
            (9, Event::Keeper),
        ];
        for (at, event) in all {
            agenda.plan(at, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| agenda.next(8)).collect();
        assert_eq!(order, [all[1], all[3], all[4], all[0], all[2]]);
        assert_eq!(agenda.next(9), Some(all[5]));
    }

    #[test]
    fn what_goes_by_the_clock_stays_when_time_is_skipped() {
        let mut agenda = Agenda::default();
        agenda.plan(1, Event::Worker(0));
        agenda.plan(2, Event::Keeper);
        agenda.shift(10);
        assert_eq!(agenda.next(20), Some((2, Event::Keeper)));
        assert_eq!(agenda.next(20), Some((11, Event::Worker(0))));
    }
}
