//! What the live display shows; fed by events.

use std::{collections::VecDeque, time::Instant};

use hdrhistogram::Histogram;

use crate::{
    model::{ErrorClass, Fault, Point},
    report,
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

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) title: String,
    pub(super) number: String,
    pub(super) phase: Phase,
    /// Since when the measured part goes on.
    pub(super) measuring_since: Option<Instant>,
    /// The test's length, in seconds.
    pub(super) length: f64,
    pub(super) most_connections: u32,
    pub(super) open_loop: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) points: VecDeque<Point>,
    /// Failed attempts by class, the most frequent first.
    pub(super) errors: Vec<(ErrorClass, u64)>,
    pub(super) buckets: [u64; BUCKETS],
    pub(super) finishing: bool,
}

impl State {
    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { test, index, of } => *self = Self::of(test, *index, *of, self.finishing),
            Event::Trial(Watch::WarmUp) => self.phase = Phase::WarmUp,
            Event::Trial(Watch::Measuring) => {
                self.phase = Phase::Measuring;
                self.measuring_since = Some(Instant::now());
            }
            Event::Trial(Watch::Point { point, response }) => self.point(point, response),
            Event::Trial(Watch::Draining) => self.phase = Phase::Draining,
            Event::Ended(_) => self.phase = Phase::Ended,
        }
    }

    fn of(test: &Test, index: usize, of: usize, finishing: bool) -> Self {
        Self {
            title: format!("{}: {}", test.name, test.about),
            number: if of > 1 { format!("{index} of {of} · ") } else { String::new() },
            length: test.load.measure.as_secs_f64(),
            most_connections: test.settings.max_connections(),
            open_loop: test.load.pacing.is_open(),
            faults: test.load.faults.clone(),
            finishing,
            ..Self::default()
        }
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

    /// Seconds of the measured part that have passed.
    pub(super) fn elapsed(&self) -> f64 {
        let passed = self.measuring_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        passed.min(self.length)
    }

    /// The faults under way, and the next one, in words.
    pub(super) fn faults_now(&self) -> String {
        let now = self.elapsed();
        let under_way = |fault: &&Fault| {
            let (at, end) = (fault.at.as_secs_f64(), fault.end().as_secs_f64());
            // A moment is shown for a second, or nobody would see it.
            at <= now && now <= end.max(at + 1.0)
        };
        let mut words: Vec<String> = self.faults.iter().filter(under_way).map(report::fault_in_words).collect();
        if let Some(next) = self.faults.iter().find(|fault| fault.at.as_secs_f64() > now) {
            words.push(format!("next: {} in {:.0} s", report::fault_in_words(next), next.at.as_secs_f64() - now));
        }
        if words.is_empty() { "none".to_owned() } else { words.join("; ") }
    }
}

/// The bucket of a time; those beyond the ends are counted at the ends.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn bucket(seconds: f64) -> usize {
    let place = (seconds.max(FIRST_BUCKET) / FIRST_BUCKET).log10() * BUCKETS_A_DECADE;
    (place as usize).min(BUCKETS - 1)
}
