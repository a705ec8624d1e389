//! From what trials measured to a world that a simulation can be made in, and how far the one is from the other.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Arrivals, At, Beyond, ByActive, Load, Plan, Step, Tally, Times, World, simulate};
use crate::{
    model::{Latency, Measurement, Prediction, Settings},
    stats,
};

/// Trials that a calibration needs, and sizes of the pool that they have to be of.
const FEWEST_TRIALS: usize = 4;
const FEWEST_SIZES: usize = 2;
/// What opening a connection takes where no trial opened one: a few round trips on a network and a process forked.
const USUAL_CONNECT: f64 = 0.004;
/// Virtual time that a prediction is made of: so long that opening the first connections is nothing of it.
const PREDICTED: Duration = Duration::from_secs(10);

/// A trial that was made in a closed loop, and what it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The settings of the pool.
    pub settings: Settings,
    /// What came of them.
    pub measurement: Measurement,
}

/// What opening connections took when so many were opened at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connecting {
    /// How many at once.
    pub at_once: u32,
    /// What each of them took.
    pub open: Latency,
}

/// What was measured of a database: all that a calibration is made of. Kept with each run as `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Where it was measured, as a person would say it.
    pub source: String,
    /// Workers of the trials.
    pub workers: u32,
    /// Their pause between requests, in seconds.
    pub think_time: f64,
    /// Trials in a closed loop.
    pub trials: Vec<Measured>,
    /// Probes of opening connections; none where nobody made them.
    pub connecting: Vec<Connecting>,
}

/// A world measured by trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Workers of the trials.
    pub workers: u32,
    /// Their pause between requests.
    pub think_time: Duration,
    /// What stands behind the pool.
    pub world: World,
    /// Trials that it was made of.
    pub trials: usize,
    /// Whether a trial has told what opening a connection takes.
    pub connect_measured: bool,
}

/// Why trials do not make a world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// There are too few.
    #[error(
        "calibrate the simulation: {trials} undisturbed trials of {sizes} pool sizes are too few, {FEWEST_TRIALS} of \
         {FEWEST_SIZES} sizes are needed; run `pool-tune run` to its end"
    )]
    TooFew {
        /// How many there are.
        trials: usize,
        /// Of how many sizes.
        sizes: usize,
    },
}

impl Prediction {
    /// What was simulated of settings beside what trials of them measured.
    #[must_use]
    pub fn beside(connections: u32, said: &Tally, measured: &[&Measurement]) -> Self {
        let p95 = |of: &Histogram<u64>| Duration::from_nanos(of.value_at_quantile(0.95)).as_secs_f64();
        Self {
            connections,
            trials: measured.len(),
            throughput: (said.throughput(), mean(measured, |of| of.throughput)),
            query_p95: (p95(&said.query), mean(measured, |of| of.query.p95)),
            acquire_p95: (p95(&said.acquire), mean(measured, |of| of.acquire.total.p95)),
        }
    }
}

impl CalibrationError {
    /// What is wrong, without a remedy.
    #[must_use]
    pub fn in_short(&self) -> String {
        let Self::TooFew { trials, sizes } = self;
        format!("calibrate the simulation: {trials} undisturbed trials of {sizes} pool sizes are too few")
    }
}

impl Calibration {
    /// Makes a world of what was measured: service and validation times by pool size, the time to open a connection by how
    /// many are opened at once.
    ///
    /// # Errors
    /// [`CalibrationError`] for too few trials.
    pub fn of(sample: &Sample) -> Result<Self, CalibrationError> {
        let trials: Vec<&Measured> = sample.trials.iter().collect();
        Self::of_trials(sample, &trials)
    }

    fn of_trials(sample: &Sample, trials: &[&Measured]) -> Result<Self, CalibrationError> {
        let sizes = by_size(trials);
        if trials.len() < FEWEST_TRIALS || sizes.len() < FEWEST_SIZES {
            return Err(CalibrationError::TooFew { trials: trials.len(), sizes: sizes.len() });
        }
        let mut service = Vec::new();
        let mut validate = Vec::new();
        for (_, group) in &sizes {
            let active = mean(group, |of| of.utilisation.active);
            // A connection is not at work all the time even where there is always somebody waiting: that time is part of
            // what a request costs.
            let crowded = group.iter().all(|of| of.acquire.wait.p50 > 0.0);
            let gap =
                if crowded { mean(group, |of| of.utilisation.total / of.utilisation.active.max(1e-9)) } else { 1.0 };
            let gap = gap.clamp(1.0, 1.5);
            service.push(At { active, times: times(group, |of| &of.query).scaled(gap) });
            let validated: Vec<_> = group.iter().filter(|of| of.acquire.validate.count > 0).copied().collect();
            if !validated.is_empty() {
                validate.push(At { active, times: times(&validated, |of| &of.acquire.validate) });
            }
        }
        let (connect, connect_measured) = connect(sample, trials);
        let world = World {
            service: ByActive::new(service),
            connect,
            validate: if validate.is_empty() {
                ByActive::same(Times::constant(0.0001))
            } else {
                ByActive::new(validate)
            },
            ..World::plain(Times::constant(0.0))
        };
        let think_time = Duration::try_from_secs_f64(sample.think_time).unwrap_or_default();
        Ok(Self { workers: sample.workers, think_time, world, trials: trials.len(), connect_measured })
    }

    /// A closed loop as the trials had it, for a time.
    #[must_use]
    pub fn trial(&self, settings: &Settings, length: Duration, seed: u64) -> Plan {
        Plan {
            settings: settings.clone(),
            world: self.world.clone(),
            load: Load {
                workers: self.workers,
                beyond: Beyond::Wait,
                arrivals: Arrivals::Closed { think_time: self.think_time },
                steps: vec![Step { at: Duration::ZERO, level: f64::from(self.workers) }],
            },
            faults: Vec::new(),
            length,
            interval: length,
            thinning: None,
            seed,
        }
    }

    /// How far simulations are from the trials: each size of the pool is predicted from the trials of the other sizes.
    /// Nothing for trials that are too few to leave one out.
    #[must_use]
    pub fn check(sample: &Sample, seed: u64) -> Vec<Prediction> {
        let trials: Vec<&Measured> = sample.trials.iter().collect();
        let predict = |(size, group): &(u32, Vec<&Measurement>)| {
            let others: Vec<_> = trials.iter().filter(|of| of.settings.max_connections() != *size).copied().collect();
            let calibration = Self::of_trials(sample, &others).ok()?;
            let settings = &trials.iter().find(|of| of.settings.max_connections() == *size)?.settings;
            let said = simulate(&calibration.trial(settings, PREDICTED, seed)).total;
            Some(Prediction::beside(*size, &said, group))
        };
        by_size(&trials).iter().filter_map(predict).collect()
    }
}

/// What opening a connection takes, by how many are opened at once, and whether that was measured.
fn connect(sample: &Sample, trials: &[&Measured]) -> (ByActive, bool) {
    if !sample.connecting.is_empty() {
        let at = |of: &Connecting| At { active: f64::from(of.at_once), times: of_latencies(&[&of.open]) };
        return (ByActive::new(sample.connecting.iter().map(at).collect()), true);
    }
    // Without probes: connections are opened where they are lost, in the fault parts of trials, or where none were warm.
    let opened: Vec<_> = trials.iter().map(|of| opening(&of.measurement)).filter(|of| of.count > 0).collect();
    if opened.is_empty() {
        return (ByActive::same(Times::new(|share| USUAL_CONNECT * (0.5 + share))), false);
    }
    (ByActive::same(of_latencies(&opened)), true)
}

/// What opening connections took in a trial.
fn opening(of: &Measurement) -> &Latency {
    match &of.under_faults {
        Some(part) if part.open.count > 0 => &part.open,
        _ => &of.acquire.open,
    }
}

/// Trials by the size of the pool, small ones first.
fn by_size<'a>(trials: &[&'a Measured]) -> Vec<(u32, Vec<&'a Measurement>)> {
    let mut sizes: Vec<(u32, Vec<&Measurement>)> = Vec::new();
    for trial in trials {
        let size = trial.settings.max_connections();
        match sizes.iter_mut().find(|(known, _)| *known == size) {
            Some((_, group)) => group.push(&trial.measurement),
            None => sizes.push((size, vec![&trial.measurement])),
        }
    }
    sizes.sort_by_key(|(size, _)| *size);
    sizes
}

/// The geometric mean, which one bad trial moves less; plain where one is nothing.
fn geometric(values: &[f64]) -> f64 {
    if values.iter().all(|value| *value > 0.0) {
        stats::mean(&values.iter().map(|value| value.ln()).collect::<Vec<_>>()).exp()
    } else {
        stats::mean(values)
    }
}

fn mean(trials: &[&Measurement], of: impl Fn(&Measurement) -> f64) -> f64 {
    geometric(&trials.iter().map(|trial| of(trial)).collect::<Vec<_>>())
}

fn times(trials: &[&Measurement], of: impl Fn(&Measurement) -> &Latency) -> Times {
    of_latencies(&trials.iter().map(|trial| of(trial)).collect::<Vec<_>>())
}

/// The distribution that has the mean and the percentiles of measured ones, over all of them.
fn of_latencies(of: &[&Latency]) -> Times {
    let point = |pick: fn(&Latency) -> f64| geometric(&of.iter().map(|latency| pick(latency)).collect::<Vec<_>>());
    let median = point(|of| of.p50);
    let known = [
        (0.0, median * LOWEST),
        (0.5, median),
        (0.9, point(|of| of.p90)),
        (0.95, point(|of| of.p95)),
        (0.99, point(|of| of.p99)),
        (0.999, point(|of| of.p999)),
        (1.0, point(|of| of.max)),
    ];
    between(&known, point(|of| of.mean))
}

/// The shortest time as a share of the median: what nobody has measured, and what matters least.
const LOWEST: f64 = 0.4;

/// A distribution through known quantiles; how it goes between them is bent, everywhere alike, until it has the mean.
fn between(known: &[(f64, f64)], mean: f64) -> Times {
    let bent = |bend: f64| {
        Times::new(|share| {
            let above = known.iter().position(|(at, _)| *at >= share).unwrap_or(known.len() - 1).max(1);
            let ((from, low), (to, high)) = (known[above - 1], known[above]);
            let part = ((share - from) / (to - from)).clamp(0.0, 1.0);
            low + (high - low).max(0.0) * part.powf(bend)
        })
    };
    // The more it is bent, the later it rises and the smaller the mean.
    let (mut low, mut high) = (0.02_f64, 50.0_f64);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if bent(middle).mean() > mean { low = middle } else { high = middle }
    }
    bent((low * high).sqrt())
}

#[cfg(test)]
mod tests;
