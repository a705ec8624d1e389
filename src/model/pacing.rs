use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seconds;

/// When requests are asked for: in a closed loop, where a worker asks again once it was served, or in an open one, where
/// requests come whether or not earlier ones were served.
///
/// Pacing is data: one worker serves all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pacing {
    /// What the levels of the stages count.
    pub offered: Offered,
    /// One after the other; the last one's level holds on for as long as the trial goes on.
    pub stages: Vec<Stage>,
}

/// What is offered to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    /// Closed loop: so many workers, each with one request at a time.
    Workers,
    /// Open loop: so many requests a second, at even distances.
    ConstantRate,
    /// Open loop: so many requests a second on average, each independent of the others (a Poisson process).
    PoissonRate,
}

/// A part of the load's time line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Workers, or requests a second, at its end; 0 is a pause.
    pub level: f64,
    /// Its length, in seconds in files.
    #[serde(with = "seconds")]
    #[schemars(with = "f64")]
    pub lasts: Duration,
    /// Whether the level moves evenly from the stage before to here, instead of changing at once.
    pub ramp: bool,
}

impl Pacing {
    /// A closed loop of `workers`, for ever.
    #[must_use]
    pub fn closed(workers: u32) -> Self {
        Self::steady(Offered::Workers, f64::from(workers))
    }

    /// One level for ever.
    #[must_use]
    pub fn steady(offered: Offered, level: f64) -> Self {
        Self { offered, stages: vec![Stage { level, lasts: Duration::MAX, ramp: false }] }
    }

    /// Whether requests come whether or not earlier ones were served.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.offered != Offered::Workers
    }

    /// The level at the very beginning.
    #[must_use]
    pub fn first(&self) -> f64 {
        self.level_at(Duration::ZERO)
    }

    /// The highest level of all.
    #[must_use]
    pub fn highest(&self) -> f64 {
        self.stages.iter().map(|stage| stage.level).fold(0.0, f64::max)
    }

    /// All stages together; [`Duration::MAX`] where one has no end.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stages.iter().fold(Duration::ZERO, |sum, stage| sum.saturating_add(stage.lasts))
    }

    /// The level at a time after the start.
    #[must_use]
    pub fn level_at(&self, at: Duration) -> f64 {
        let mut level = 0.0;
        for piece in self.pieces() {
            if at < piece.end() {
                return piece.level(at);
            }
            level = piece.to;
        }
        level
    }

    /// When the next request of an open loop is due after `from`: where the integral of the rate has grown by `area` (1
    /// for even distances, a draw from the exponential distribution for a Poisson process; Çinlar 1975, chapter 4).
    /// `None` when no further one comes.
    #[must_use]
    pub fn next_arrival(&self, from: Duration, mut area: f64) -> Option<Duration> {
        for piece in self.pieces() {
            let start = from.max(piece.start);
            if start >= piece.end() {
                continue;
            }
            let level = piece.level(start);
            let left = piece.end().saturating_sub(start).as_secs_f64();
            // rate × t + slope × t² / 2 = area
            let slope = piece.slope();
            let t = if slope.abs() < 1e-12 {
                area / level
            } else {
                let root = level.mul_add(level, 2.0 * slope * area);
                // In this form a falling rate needs no difference of nearly equal numbers.
                2.0 * area / (level + root.max(0.0).sqrt())
            };
            let reached = slope >= 0.0 || level.mul_add(level, 2.0 * slope * area) >= 0.0;
            if reached && t <= left {
                return Duration::try_from_secs_f64(t).ok().and_then(|t| start.checked_add(t));
            }
            area -= (slope * left / 2.0 + level) * left;
        }
        None
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let mut start = Duration::ZERO;
        let mut before = self.stages.first().map_or(0.0, |stage| if stage.ramp { 0.0 } else { stage.level });
        self.stages.iter().map(move |stage| {
            let piece = Piece {
                start,
                lasts: stage.lasts,
                from: if stage.ramp { before } else { stage.level },
                to: stage.level,
            };
            start = start.saturating_add(stage.lasts);
            before = stage.level;
            piece
        })
    }
}

/// A stage in its place.
struct Piece {
    start: Duration,
    lasts: Duration,
    from: f64,
    to: f64,
}

impl Piece {
    fn end(&self) -> Duration {
        self.start.saturating_add(self.lasts)
    }

    /// The change of level a second.
    fn slope(&self) -> f64 {
        let length = self.lasts.as_secs_f64();
        if length > 0.0 { (self.to - self.from) / length } else { 0.0 }
    }

    fn level(&self, at: Duration) -> f64 {
        self.slope().mul_add(at.saturating_sub(self.start).as_secs_f64(), self.from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stages(stages: &[(f64, f64, bool)]) -> Pacing {
        let stage =
            |&(level, seconds, ramp): &(f64, f64, bool)| Stage { level, lasts: Duration::from_secs_f64(seconds), ramp };
        Pacing { offered: Offered::ConstantRate, stages: stages.iter().map(stage).collect() }
    }

    fn arrivals(pacing: &Pacing) -> Vec<f64> {
        let mut at = Duration::ZERO;
        let mut all = Vec::new();
        while let Some(next) = pacing.next_arrival(at, 1.0) {
            all.push(next.as_secs_f64());
            at = next;
        }
        all
    }

    #[test]
    fn a_constant_rate_has_even_distances() {
        let all = arrivals(&stages(&[(10.0, 1.0, false)]));
        assert_eq!(all.len(), 10);
        assert!(all.iter().zip(1..).all(|(at, n)| (at - f64::from(n) / 10.0).abs() < 1e-6), "{all:?}");
    }

    #[test]
    fn a_pause_has_no_arrivals_and_a_ramp_half_as_many() {
        let pacing = stages(&[(10.0, 1.0, false), (0.0, 5.0, false), (100.0, 2.0, true)]);
        let all = arrivals(&pacing);
        assert_eq!(all.iter().filter(|at| **at > 1.001 && **at < 6.0).count(), 0);
        let ramped = all.iter().filter(|at| **at >= 6.0).count();
        assert!((99..=100).contains(&ramped), "{ramped}");
        assert!((pacing.level_at(Duration::from_secs(7)) - 50.0).abs() < 1e-9);
        assert!((pacing.level_at(Duration::from_secs(99)) - 100.0).abs() < 1e-9);
        assert_eq!(pacing.length(), Duration::from_secs(8));
    }

    #[test]
    fn without_an_end_it_goes_on() {
        let pacing = Pacing::steady(Offered::ConstantRate, 4.0);
        let day = Duration::from_secs(86_400);
        assert_eq!(pacing.next_arrival(day, 1.0), Some(day + Duration::from_millis(250)));
        assert_eq!(Pacing::steady(Offered::ConstantRate, 0.0).next_arrival(day, 1.0), None);
    }

    proptest! {
        #[test]
        fn as_many_arrivals_as_the_integral_of_the_rate(
            all in proptest::collection::vec((0.0..200.0_f64, 0.1..3.0_f64, any::<bool>()), 1..5),
        ) {
            let mut before = if all[0].2 { 0.0 } else { all[0].0 };
            let mut area = 0.0;
            for (level, seconds, ramp) in &all {
                area += seconds * if *ramp { f64::midpoint(before, *level) } else { *level };
                before = *level;
            }
            let found = arrivals(&stages(&all));
            #[expect(clippy::cast_precision_loss, reason = "some hundred")]
            let n = found.len() as f64;
            prop_assert!((n - area).abs() <= 1.001, "{n} {area}");
            prop_assert!(found.is_sorted());
        }
    }
}
