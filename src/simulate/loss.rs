//! What a day of operation loses under some settings: requests that are not served in time, connections opened and held.

use std::{num::NonZero, thread, time::Duration};

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Arrivals, Beyond, Calibration, Day, Load, Plan, Step, day::length_of, simulate};
use crate::{
    model::{IncidentKind, IncidentLoss, Incidents, Loss, OperatingDay, Settings, Shape},
    stats,
};

/// An incident is simulated from a little before it until long after it: until the longest circuit breaker's and retries' times
/// are over. Where nothing is wrong any more that costs next to nothing.
const BEFORE: Duration = Duration::from_secs(15);
const AFTER: Duration = Duration::from_secs(180);
/// Of quiet times so many requests are simulated each time, at the highest rate.
const REQUESTS_A_WINDOW: f64 = 400.0;
/// Requests under way at once: then a request waits for the pool and not for somebody to ask it.
const FEWEST_WORKERS: u32 = 64;
const MOST_WORKERS: u32 = 2_000;
/// Requests that a point of the time line has at least, on average, so that no chance looks like half of them; its least length.
const REQUESTS_A_POINT: f64 = 50.0;
const SHORTEST_POINT: f64 = 0.25;

/// Days of operation on a database that was measured.
#[derive(Clone, Debug)]
pub struct Operated<'a> {
    calibration: &'a Calibration,
    day: &'a OperatingDay,
    /// Requests a second at the highest.
    peak: f64,
    /// Hours of quiet operation that are simulated.
    hours: f64,
}

impl<'a> Operated<'a> {
    /// Days on a database; `capacity` is the best throughput that was measured of it.
    #[must_use]
    pub fn new(calibration: &'a Calibration, day: &'a OperatingDay, capacity: f64) -> Self {
        // A week's end belongs to a business's hours.
        let hours = if day.shape == Shape::Business { 168.0 } else { 24.0 };
        Self { calibration, day, peak: (capacity * day.peak).max(0.001), hours }
    }

    /// The same with less of quiet operation, where a test has no time for more.
    #[cfg(test)]
    pub(super) fn hours(self, hours: f64) -> Self {
        Self { hours, ..self }
    }

    /// What one day loses; the same seed has the same requests and the same incidents for all settings.
    #[must_use]
    pub fn loss(&self, settings: &Settings, seed: u64) -> Loss {
        let quiet_day = self.stretch(seed);
        let mut plan = quiet_day.plan(settings, &self.calibration.world);
        plan.thinning = Some(self.window());
        let quiet = simulate(&plan);
        let due = quiet_day.requests().max(1.0) * 24.0 / quiet_day.hours;
        let mut late = quiet.not_in_time(self.day.deadline) / quiet.requests().max(1.0);
        let mut opened = count(quiet.total.connections.opened) * 24.0 / quiet_day.hours;
        let incidents = self.incidents(settings, seed);
        for of in &incidents {
            let a_day = self.day.incidents.get(of.kind).a_day;
            late += a_day * of.requests / due;
            opened += a_day * of.opened;
        }
        let open = quiet.total.open / quiet.total.seconds.max(1e-9);
        let (reconnects, held) = (opened * self.reconnect() / due, open * self.day.costs.connection);
        Loss { total: late + reconnects + held, late, reconnects, held, opened_an_hour: opened / 24.0, open, incidents }
    }

    /// What one incident of each kind does that ever happens.
    #[must_use]
    pub fn incidents(&self, settings: &Settings, seed: u64) -> Vec<IncidentLoss> {
        let happen = self.day.incidents.iter().filter(|(_, incident)| incident.a_day > 0.0);
        happen.map(|(kind, incident)| self.incident(kind, incident.lasts, settings, seed)).collect()
    }

    /// The losses of some settings with some seeds each, in their order, made by all processors.
    #[must_use]
    pub fn losses(&self, asked: &[(Settings, u64)]) -> Vec<Loss> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(asked.len().max(1));
        thread::scope(|scope| {
            let part = |first: usize| {
                let own = asked.iter().enumerate().skip(first).step_by(threads);
                own.map(|(place, (settings, seed))| (place, self.loss(settings, *seed))).collect::<Vec<_>>()
            };
            let others: Vec<_> = (1..threads).map(|first| scope.spawn(move || part(first))).collect();
            let mut found = part(0);
            for other in others {
                found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            found.sort_by_key(|(place, _)| *place);
            found.into_iter().map(|(_, loss)| loss).collect()
        })
    }

    fn window(&self) -> Duration {
        Duration::from_secs_f64((REQUESTS_A_WINDOW / self.peak).clamp(0.02, 5.0))
    }

    /// A stretch of operation without incidents.
    fn stretch(&self, seed: u64) -> Day {
        let mut incidents = Incidents::none();
        incidents.idle_limit = self.day.incidents.idle_limit;
        Day {
            hours: self.hours,
            shape: self.day.shape.clone(),
            peak: self.peak,
            workers: self.workers(),
            incidents,
            seed,
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
    fn workers(&self) -> u32 {
        ((self.peak * self.day.deadline.as_secs_f64()).ceil() as u32).clamp(FEWEST_WORKERS, MOST_WORKERS)
    }

    /// Requests that opening a connection counts for.
    #[must_use]
    pub fn reconnect(&self) -> f64 {
        self.day.costs.reconnect.unwrap_or_else(|| {
            let world = &self.calibration.world;
            world.connect.at(1).mean() / world.service.at(1).mean().max(1e-9)
        })
    }

    fn incident(&self, kind: IncidentKind, lasts: Duration, settings: &Settings, seed: u64) -> IncidentLoss {
        // At any hour, the same for all settings.
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (0x1c1d + kind as u64));
        let stretch = self.stretch(seed);
        let level = stretch.level(Duration::from_secs_f64(stretch.hours * 3600.0 * rng.random::<f64>())).max(1e-3);
        let fault = kind.fault(BEFORE, length_of(lasts, &mut rng));
        let (end, interval) = (fault.end(), Duration::from_secs_f64((REQUESTS_A_POINT / level).max(SHORTEST_POINT)));
        let mut world = self.calibration.world.clone();
        world.idle_limit = self.day.incidents.idle_limit.map(Duration::from_secs_f64);
        let load = Load {
            workers: self.workers(),
            beyond: Beyond::Wait,
            arrivals: Arrivals::Poisson,
            steps: vec![Step { at: Duration::ZERO, level }],
        };
        let length = end + AFTER;
        let plan = |faults| Plan {
            settings: settings.clone(),
            world,
            load,
            faults,
            length,
            interval,
            thinning: Some(self.window()),
            seed: rng.random(),
        };
        let outcome = simulate(&plan(vec![fault]));
        let half = 0.5 * level * interval.as_secs_f64();
        let times = (1_u32..).map(|points| interval * points);
        let back = times.zip(&outcome.line).find(|(until, point)| *until > end && point.served >= half);
        let back = back.map_or(length, |(until, _)| until.saturating_sub(interval));
        IncidentLoss {
            kind,
            requests: outcome.not_in_time(self.day.deadline),
            recovery: back.saturating_sub(end).as_secs_f64(),
            // What the pool begins with is no incident's doing.
            opened: (count(outcome.total.connections.opened) - f64::from(settings.min_connections())).max(0.0),
        }
    }
}

/// The mean, kind by kind, of what incidents do on some days.
#[must_use]
pub fn mean_incidents(days: &[Vec<IncidentLoss>]) -> Vec<IncidentLoss> {
    let mean = |place: usize, pick: fn(&IncidentLoss) -> f64| {
        stats::mean(&days.iter().filter_map(|day| day.get(place)).map(pick).collect::<Vec<_>>())
    };
    let kinds = days.first().into_iter().flatten().enumerate().map(|(place, incident)| IncidentLoss {
        kind: incident.kind,
        requests: mean(place, |of| of.requests),
        recovery: mean(place, |of| of.recovery),
        opened: mean(place, |of| of.opened),
    });
    kinds.collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(of: u64) -> f64 {
    of as f64
}
