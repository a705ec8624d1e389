//! A stretch of operation: how much is asked for over the hours, and what goes wrong meanwhile.

use std::time::Duration;

use rand::{Rng, RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Arrivals, Beyond, Load, Plan, Step, World};
use crate::model::{Fault, Incidents, Settings, Shape};

/// The longest stretch, in hours: a year.
pub const MOST_HOURS: f64 = 8_760.0;
/// The length of a step of the load.
const STEP: Duration = Duration::from_secs(300);
/// Points of the time line.
const POINTS: u32 = 1_440;

/// A stretch of operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// Its length in hours.
    pub hours: f64,
    /// How requests are spread over it.
    pub shape: Shape,
    /// Requests a second at the highest; not asked for where the shape says so itself.
    pub peak: f64,
    /// Most requests at once.
    pub workers: u32,
    /// What goes wrong.
    pub incidents: Incidents,
    /// When it goes wrong, and everything else that is random.
    pub seed: u64,
}

impl Day {
    /// What is to be simulated with some settings. What goes wrong, and when requests come, does not depend on them.
    #[must_use]
    pub fn plan(&self, settings: &Settings, world: &World) -> Plan {
        let length = Duration::from_secs_f64(self.hours * 3600.0);
        let world = World { idle_limit: self.incidents.idle_limit.map(Duration::from_secs_f64), ..world.clone() };
        Plan {
            settings: settings.clone(),
            world,
            load: Load {
                workers: self.workers,
                beyond: Beyond::Wait,
                arrivals: Arrivals::Poisson,
                steps: self.steps(length),
            },
            faults: self.faults(length),
            length,
            interval: (length / POINTS).max(Duration::from_secs(1)),
            thinning: None,
            seed: self.seed,
        }
    }

    /// Requests that it will see, about.
    #[must_use]
    pub fn requests(&self) -> f64 {
        let length = Duration::from_secs_f64(self.hours * 3600.0);
        let steps = self.steps(length);
        let ends = steps.iter().skip(1).map(|step| step.at).chain([length]);
        steps.iter().zip(ends).map(|(step, end)| step.level * end.saturating_sub(step.at).as_secs_f64()).sum()
    }

    /// Requests a second that come at a time from the beginning.
    #[must_use]
    pub fn level(&self, at: Duration) -> f64 {
        self.level_and_step(at).0
    }

    /// Requests a second from a time on, and for how long about.
    fn level_and_step(&self, at: Duration) -> (f64, Duration) {
        let hours = at.as_secs_f64() / 3600.0;
        match &self.shape {
            Shape::Flat => (self.peak, Duration::MAX),
            Shape::Diurnal => {
                // From a fifth at five in the morning to all at five in the afternoon.
                let phase = (hours % 24.0 - 5.0) / 24.0 * std::f64::consts::TAU;
                (self.peak * (0.6 - 0.4 * phase.cos()), STEP)
            }
            Shape::Business => {
                let (day, hour) = ((hours / 24.0) % 7.0, hours % 24.0);
                let open = day < 5.0 && (8.0..18.0).contains(&hour);
                let burst = (hour * 60.0).round() % 60.0 == 0.0;
                let level = match (open, burst) {
                    (true, true) => 1.0,
                    (true, false) => 0.6,
                    (false, _) => 0.06,
                };
                (self.peak * level, Duration::from_secs(60))
            }
            Shape::Minutes(minutes) => {
                let place = usize::try_from(at.as_secs() / 60).unwrap_or(0) % minutes.len().max(1);
                (minutes.get(place).copied().unwrap_or(0.0) / 60.0, Duration::from_secs(60))
            }
        }
    }

    fn steps(&self, length: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = Duration::ZERO;
        while at < length {
            let (level, lasts) = self.level_and_step(at);
            if steps.last().is_none_or(|last: &Step| (last.level - level).abs() > f64::EPSILON) {
                steps.push(Step { at, level });
            }
            at = at.saturating_add(lasts);
        }
        steps
    }

    /// Faults at random times, one kind after the other, as many as their rate says; a broken number is a chance.
    fn faults(&self, length: Duration) -> Vec<Fault> {
        // Times of their own, so that they stay the same whatever else is drawn.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0xfa17);
        let mut faults: Vec<Fault> = Vec::new();
        for (kind, incident) in self.incidents.iter() {
            let expected = (incident.a_day * self.hours / 24.0).max(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a year's worth")]
            let whole = expected.floor().min(100_000.0) as u32;
            let more = u32::from(rng.random_bool((expected - expected.floor()).clamp(0.0, 1.0)));
            for _ in 0..whole + more {
                let lasts = length_of(incident.lasts, &mut rng);
                let room = length.saturating_sub(lasts);
                let at = room.mul_f64(rng.random::<f64>());
                faults.push(kind.fault(at, lasts));
            }
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }
}

/// How long an incident lasts that lasts so long on average: a fifth more or less. Of exactly a minute and a half each time, it would
/// end just when a circuit breaker of half a minute looks for the third time.
pub(super) fn length_of(lasts: Duration, rng: &mut impl Rng) -> Duration {
    lasts.mul_f64(rng.random_range(0.8..1.2))
}

/// Why a file does not tell requests a minute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct MinutesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and how to mend it.
    pub problem: String,
}

/// Reads requests a minute from lines `minute,requests`: minutes whole and counted up by one from wherever they begin. A
/// first line of names is passed over.
///
/// # Errors
/// [`MinutesError`] for a gap, a time that goes back, something that is no number, or nothing at all.
pub fn minutes(text: &str) -> Result<Vec<f64>, MinutesError> {
    let mut found: Vec<f64> = Vec::new();
    let mut last: Option<i64> = None;
    for (place, row) in text.lines().enumerate() {
        let line = place + 1;
        let wrong = |problem: String| MinutesError { line, problem };
        if row.trim().is_empty() {
            continue;
        }
        let Some((minute, requests)) = row.split_once(',') else {
            return Err(wrong(format!("\"{}\" is not `minute,requests`", row.trim())));
        };
        let (minute, requests) = (minute.trim(), requests.trim());
        let Ok(minute) = minute.parse::<i64>() else {
            if place == 0 && requests.parse::<f64>().is_err() {
                continue;
            }
            return Err(wrong(format!("the minute \"{minute}\" is no whole number")));
        };
        let requests: f64 = requests
            .parse()
            .ok()
            .filter(|requests: &f64| requests.is_finite() && *requests >= 0.0)
            .ok_or_else(|| wrong(format!("\"{requests}\" is no number of requests")))?;
        match last {
            Some(last) if minute <= last => {
                return Err(wrong(format!("minute {minute} comes after {last}: sort the lines by time")));
            }
            Some(last) if minute != last + 1 => {
                let gap = minute - last - 1;
                return Err(wrong(format!(
                    "{gap} minutes are missing before {minute}: write them, with 0 where nothing came"
                )));
            }
            _ => {}
        }
        last = Some(minute);
        found.push(requests);
    }
    if found.is_empty() {
        return Err(MinutesError { line: 1, problem: "there is no line `minute,requests`".to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::FaultKind, simulate::Times};

    fn day(shape: Shape) -> Day {
        Day { hours: 24.0, shape, peak: 100.0, workers: 64, incidents: Incidents::default(), seed: 3 }
    }

    #[test]
    fn shapes_stay_below_their_peak_and_reach_it() {
        for shape in [Shape::Flat, Shape::Diurnal, Shape::Business] {
            let day = day(shape);
            let highest = day.steps(Duration::from_secs(86_400)).iter().map(|step| step.level).fold(0.0, f64::max);
            assert!((highest - 100.0).abs() < 1.0, "{:?}: {highest}", day.shape);
            assert!(day.requests() <= 100.0 * 86_400.0 + 1.0 && day.requests() > 0.0);
        }
        let minutes = day(Shape::Minutes(vec![60.0, 120.0]));
        assert!((minutes.requests() - 90.0 * 24.0 * 60.0).abs() < 1.0, "{}", minutes.requests());
    }

    #[test]
    fn the_same_seed_has_the_same_faults_whatever_the_settings() {
        let (day, world) = (day(Shape::Flat), World::plain(Times::constant(0.001)));
        let (one, other) = (day.plan(&Settings::default(), &world), day.plan(&Settings::default(), &world));
        assert_eq!(one.faults, other.faults);
        assert!(one.faults.iter().filter(|fault| fault.kind == FaultKind::Reset).count() == 2);
    }

    #[test]
    fn files_with_gaps_backward_times_or_no_numbers_are_told_by_line() {
        assert_eq!(minutes("minute,requests\n1,60\n2,0\n3,5.5\n").unwrap(), [60.0, 0.0, 5.5]);
        for (text, line, part) in [
            ("1,60\n4,60\n", 2, "2 minutes are missing"),
            ("2,60\n1,60\n", 2, "sort"),
            ("1,NaN\n", 1, "no number of requests"),
            ("1,-3\n", 1, "no number of requests"),
            ("1,inf\n", 1, "no number of requests"),
            ("1,60\nx,60\n", 2, "no whole number"),
            ("60\n", 1, "minute,requests"),
            ("", 1, "no line"),
        ] {
            let error = minutes(text).unwrap_err();
            assert!(error.line == line && error.problem.contains(part), "{text:?}: {error}");
        }
    }
}
