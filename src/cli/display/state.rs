//! What the live display shows; fed by events, read at a time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::palette::Palette;
use crate::{
    model::{ErrorClass, Fault, Point},
    stress::{Event, Test},
    trial::{UNIT, Watch},
};

/// Points kept for the charts.
const POINTS: usize = 600;
/// Buckets of the histogram: four a decade, from 0.1 ms to 100 s.
pub(super) const BUCKETS: usize = 24;
const FIRST_BUCKET: f64 = 1e-4;
const BUCKETS_A_DECADE: f64 = 4.0;

/// The part of a test that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Preparing,
    WarmUp,
    Measuring,
    Draining,
    Ended,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::WarmUp => "warming up",
            Self::Measuring => "measuring",
            Self::Draining => "letting requests end",
            Self::Ended => "ended",
        }
    }
}

/// What the person at the keys wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wish {
    #[default]
    GoOn,
    EndEarly,
    GiveUp,
}

/// Where a fault stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FaultState {
    /// It begins in so many seconds.
    Due(f64),
    /// It ends in so many seconds. What is shorter than a second is shown for one, or nobody would see it.
    UnderWay(f64),
    Over,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) title: String,
    pub(super) number: String,
    pub(super) phase: Phase,
    /// Since when it is in this phase.
    since: Option<Instant>,
    /// How long was measured, once that is over.
    measured: Option<Duration>,
    /// The test's length, in seconds.
    pub(super) length: f64,
    /// The longest warm-up, in seconds.
    pub(super) warm_up: f64,
    pub(super) most_connections: u32,
    pub(super) open_loop: bool,
    /// In order of time.
    pub(super) faults: Vec<Fault>,
    pub(super) points: VecDeque<Point>,
    /// Failed attempts by class, the most frequent first.
    pub(super) errors: Vec<(ErrorClass, u64)>,
    pub(super) buckets: [u64; BUCKETS],
    pub(super) wish: Wish,
    /// Whether the page of help is open.
    pub(super) help: bool,
    pub(super) palette: Palette,
}

impl State {
    pub(super) fn new(palette: Palette) -> Self {
        Self { palette, ..Self::default() }
    }

    pub(super) fn take(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::Began { test, index, of } => {
                *self = self.of(test, *index, *of);
                self.enter(Phase::Preparing, now);
            }
            Event::Trial(Watch::WarmUp) => self.enter(Phase::WarmUp, now),
            Event::Trial(Watch::Measuring) => self.enter(Phase::Measuring, now),
            Event::Trial(Watch::Point { point, response }) => self.point(point, response),
            Event::Trial(Watch::Draining) => {
                self.measured = Some(self.in_phase(now));
                self.enter(Phase::Draining, now);
            }
            Event::Ended(_) => self.enter(Phase::Ended, now),
        }
    }

    /// Ready for the next test; what a person has chosen stays.
    fn of(&self, test: &Test, index: usize, of: usize) -> Self {
        let mut faults = test.load.faults.clone();
        faults.sort_by_key(|fault| fault.at);
        Self {
            title: format!("{}: {}", test.name, test.about),
            number: if of > 1 { format!("{index} of {of} · ") } else { String::new() },
            length: test.load.measure.as_secs_f64(),
            warm_up: test.load.warm_up_cap.as_secs_f64(),
            most_connections: test.settings.max_connections(),
            open_loop: test.load.pacing.is_open(),
            faults,
            wish: self.wish,
            help: self.help,
            palette: self.palette,
            ..Self::default()
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since) = (phase, Some(now));
    }

    fn point(&mut self, point: &Point, response: &Histogram<u32>) {
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point.clone());
        for (class, count) in &point.errors {
            match self.errors.iter_mut().find(|(of, _)| of == class) {
                Some((_, sum)) => *sum += count,
                None => self.errors.push((*class, *count)),
            }
        }
        self.errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for step in response.iter_recorded() {
            #[expect(clippy::cast_precision_loss, reason = "units of an hour are far below 2^53")]
            let seconds = step.value_iterated_to() as f64 * UNIT;
            self.buckets[bucket(seconds)] += u64::from(step.count_at_value());
        }
    }

    /// How long it has been in its phase.
    pub(super) fn in_phase(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Seconds of the measured part that have passed.
    pub(super) fn elapsed(&self, now: Instant) -> f64 {
        let passed = match self.phase {
            Phase::Measuring => self.in_phase(now),
            _ => self.measured.unwrap_or_default(),
        };
        passed.as_secs_f64().min(self.length)
    }

    /// Where a fault stands, by its plan.
    pub(super) fn of_fault(&self, fault: &Fault, now: Instant) -> FaultState {
        let begun = self.phase == Phase::Measuring || self.measured.is_some();
        let (at, elapsed) = (fault.at.as_secs_f64(), self.elapsed(now));
        let end = fault.end().as_secs_f64().max(at + 1.0);
        if !begun || elapsed < at {
            FaultState::Due(at - elapsed)
        } else if elapsed < end {
            FaultState::UnderWay(end - elapsed)
        } else {
            FaultState::Over
        }
    }
}

/// The bucket of a time; those beyond the ends are counted at the ends.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn bucket(seconds: f64) -> usize {
    let place = (seconds.max(FIRST_BUCKET) / FIRST_BUCKET).log10() * BUCKETS_A_DECADE;
    (place as usize).min(BUCKETS - 1)
}
