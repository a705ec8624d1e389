use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::optimum;
use crate::{
    curve::Scalability,
    model::{Axis, Setting, Settings, Space, Value},
    stats::standard_normal,
};

/// What one simulated trial measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Successful requests a second.
    pub throughput: f64,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// A pool and database whose true throughput and success rate are known formulas of six settings.
///
/// Throughput follows the Universal Scalability Law in `max_connections`, less what a poor share of idle connections,
/// retries, retry delays, a circuit breaker and missing jitter cost, with interactions; failures grow with the load and
/// shrink with retries. Trials differ by 4.5 % (measured on two shared cores: trials of 2 and of 10 s alike), drift slowly by
/// up to 3 %, and fail in bursts. Every parameter, and so the place of the optimum, depends on the seed.
#[derive(Clone, Debug)]
pub struct Response {
    truth: Truth,
    baseline: Settings,
    noise: f64,
    drift: Drift,
    trial: u32,
    rng: ChaCha8Rng,
}

#[derive(Clone, Copy, Debug)]
struct Drift {
    amplitude: f64,
    period: f64,
    phase: f64,
}

/// The parameters behind a response; shares of throughput lost unless said otherwise.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    law: Scalability,
    idle_share: f64,
    idle_loss: f64,
    keeping_loss: f64,
    retry_loss: f64,
    retry_overload: f64,
    best_delay: f64,
    delay_loss: f64,
    best_threshold: f64,
    threshold_loss: f64,
    jitter_loss: f64,
    twist: f64,
    /// Log-odds of failure at the reference point, and its slopes.
    failure: f64,
    failure_load: f64,
    failure_retry: f64,
    failure_delay: f64,
    failure_threshold: f64,
}

/// Seconds that a simulated trial counts requests for.
const SECONDS: f64 = 2.0;
/// Mean number of requests that fail together.
const BURST: f64 = 8.0;
/// The success rate that a recommendation must exceed.
pub(super) const LIMIT: f64 = 0.99;

impl Response {
    /// A response of the heavy profile: 64 workers, baseline 10 to 20 % below the best and within the success limit of 0.99.
    #[must_use]
    pub fn heavy(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        loop {
            let truth = Truth::draw(&mut rng);
            let axes = Self::axes();
            let best = optimum::best(&axes, |settings| truth.throughput(settings), |settings| truth.success(settings));
            let Some((_, best)) = best else { continue };
            for _ in 0..200 {
                let baseline = optimum::place(&axes, &std::array::from_fn::<f64, 6, _>(|_| rng.random::<f64>()));
                let share = truth.throughput(&baseline) / best;
                if (0.8..=0.9).contains(&share) && truth.success(&baseline) > 0.992 {
                    let drift = Drift { amplitude: 0.03, period: uniform(&mut rng, 40.0, 80.0), phase: rng.random() };
                    return Self { truth, baseline, noise: 0.045, drift, trial: 0, rng };
                }
            }
        }
    }

    /// The same response with other chance: noise, bursts and drift depend on `seed`, the truth does not.
    #[must_use]
    pub fn reseeded(mut self, seed: u64) -> Self {
        self.rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        self.drift.phase = self.rng.random();
        self.drift.period = uniform(&mut self.rng, 40.0, 80.0);
        self.trial = 0;
        self
    }

    /// The same pool on a database whose best settings are elsewhere: with the settings in use all is as it was, and what was best
    /// before serves at least 12 % less than what is best now.
    #[must_use]
    pub fn moved(&self, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x3077_0000);
        let axes = Self::axes();
        let best = |truth: &Truth| {
            optimum::best(&axes, |settings| truth.throughput(settings), |settings| truth.success(settings))
        };
        let Some((before, _)) = best(&self.truth) else { return self.clone() };
        let present = self.truth.throughput(&self.baseline);
        loop {
            let mut truth = Truth::draw(&mut rng);
            truth.law.lambda *= present / truth.throughput(&self.baseline);
            // What is quickly seen first: the best is looked for on a grid.
            if truth.success(&self.baseline) <= 0.992 || truth.throughput(&before) > 1.1 * present {
                continue;
            }
            let Some((_, now)) = best(&truth) else { continue };
            if (0.75..=0.9).contains(&(present / now)) && truth.throughput(&before) < 0.88 * now {
                return Self { truth, ..self.clone() };
            }
        }
    }

    /// The settings in use before a search.
    #[must_use]
    pub fn baseline(&self) -> &Settings {
        &self.baseline
    }

    /// The six settings that act, with their ranges, from the baseline.
    #[must_use]
    pub fn space(&self) -> Space {
        Space { baseline: self.baseline.clone(), axes: Self::axes().to_vec() }
    }

    /// The space with only some of the axes.
    #[must_use]
    pub fn space_of(&self, settings: &[Setting]) -> Space {
        let axes = Self::axes().into_iter().filter(|axis| settings.contains(&axis.setting)).collect();
        Space { baseline: self.baseline.clone(), axes }
    }

    /// Makes a trial; time passes by one trial.
    pub fn measure(&mut self, settings: &Settings) -> Reading {
        let drift = self.drift_now();
        self.trial += 1;
        let level = (self.noise * standard_normal(&mut self.rng) + drift).exp();
        let attempted = self.truth.throughput(settings) * level;
        let requests = (attempted * SECONDS).round();
        let failed = self.bursts(requests * (1.0 - self.truth.success(settings))).min(requests);
        let succeeded = requests - failed;
        Reading { throughput: succeeded / SECONDS, succeeded: whole(succeeded), failed: whole(failed) }
    }

    /// Mean throughput of successful requests at `settings`, without noise and drift, requests a second.
    #[must_use]
    pub fn true_throughput(&self, settings: &Settings) -> f64 {
        self.truth.throughput(settings) * self.truth.success(settings)
    }

    /// Success rate at `settings`, 0 to 1.
    #[must_use]
    pub fn true_success(&self, settings: &Settings) -> f64 {
        self.truth.success(settings)
    }

    /// The best settings within `space` that keep the success limit of 0.99, with their true throughput; by a search over a
    /// grid, so good to about 0.1 %. `None` when no settings keep it.
    #[must_use]
    pub fn optimum(&self, space: &Space) -> Option<(Settings, f64)> {
        let complete = |settings: &Settings| {
            space
                .axes
                .iter()
                .fold(self.baseline.clone(), |all, axis| all.with(axis.setting, settings.get(axis.setting).clone()))
        };
        optimum::best(
            &space.axes,
            |settings| self.true_throughput(&complete(settings)),
            |settings| self.true_success(&complete(settings)),
        )
        .map(|(settings, best)| (complete(&settings), best))
    }

    fn axes() -> [Axis; 6] {
        let axis = |setting, low, high| Axis { setting, low, high };
        [
            axis(Setting::MinConnections, 0.0, 20.0),
            axis(Setting::MaxConnections, 5.0, 60.0),
            axis(Setting::RetryAttempts, 0.0, 8.0),
            axis(Setting::InitialRetryDelay, 0.02, 1.0),
            axis(Setting::RetryJitterFactor, 0.0, 0.5),
            axis(Setting::CircuitBreakerThreshold, 2.0, 20.0),
        ]
    }

    fn drift_now(&self) -> f64 {
        let turn = f64::from(self.trial) / self.drift.period + self.drift.phase;
        self.drift.amplitude * (std::f64::consts::TAU * turn).sin()
    }

    /// Failed requests: a Poisson number of bursts of geometric length.
    fn bursts(&mut self, mean: f64) -> f64 {
        let mut failed = 0.0;
        let mut time = -(1.0 - self.rng.random::<f64>()).ln();
        while time < mean / BURST {
            let length = ((1.0 - self.rng.random::<f64>()).ln() / (1.0 - 1.0 / BURST).ln()).ceil();
            failed += length.max(1.0);
            time -= (1.0 - self.rng.random::<f64>()).ln();
        }
        failed
    }
}

impl Truth {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut pick = |low: f64, high: f64| uniform(rng, low, high);
        let peak = pick(10_f64.ln(), 40_f64.ln()).exp();
        let sigma = pick(0.01, 0.1);
        Self {
            law: Scalability { lambda: pick(900.0, 2500.0), sigma, kappa: (1.0 - sigma) / (peak * peak) },
            idle_share: pick(0.2, 0.8),
            idle_loss: sparse(0.12, pick(0.0, 1.0)),
            keeping_loss: sparse(0.02, pick(0.0, 1.0)),
            retry_loss: sparse(0.1, pick(0.0, 1.0)),
            retry_overload: sparse(0.1, pick(0.0, 1.0)),
            best_delay: pick(0.04_f64.ln(), 0.5_f64.ln()).exp(),
            delay_loss: sparse(0.12, pick(0.0, 1.0)),
            best_threshold: pick(3_f64.ln(), 14_f64.ln()).exp(),
            threshold_loss: sparse(0.1, pick(0.0, 1.0)),
            jitter_loss: sparse(0.03, pick(0.0, 1.0)),
            twist: pick(-0.01, 0.01),
            failure: pick(-5.8, -4.6),
            failure_load: pick(0.2, 1.2),
            failure_retry: pick(0.3, 1.0),
            failure_delay: pick(0.0, 0.4),
            failure_threshold: pick(0.1, 0.6),
        }
    }

    fn throughput(&self, settings: &Settings) -> f64 {
        let connections = f64::from(settings.max_connections());
        let share = f64::from(settings.min_connections()) / connections;
        let retries = f64::from(settings.retry_attempts()) / 8.0;
        let delay = (seconds(settings.initial_retry_delay()) / self.best_delay).ln() / 10_f64.ln();
        let threshold = (f64::from(settings.circuit_breaker_threshold()) / self.best_threshold).ln() / 3_f64.ln();
        let lost = self.idle_loss * ((self.idle_share - share) / self.idle_share).max(0.0).powf(1.5)
            + self.keeping_loss * share * share
            + self.retry_loss * retries.powf(1.2)
            + self.retry_overload * retries * (connections / self.law.peak() - 1.0).max(0.0)
            + self.delay_loss * delay * delay / (1.0 + delay * delay / 4.0)
            + self.threshold_loss * threshold * threshold / (1.0 + threshold * threshold / 2.0)
            + self.jitter_loss * (1.0 - 4.0 * settings.retry_jitter_factor()).max(0.0).powi(2)
            + self.twist * (delay * threshold).tanh();
        self.law.throughput(connections) * (-lost).exp()
    }

    fn success(&self, settings: &Settings) -> f64 {
        let connections = f64::from(settings.max_connections());
        let odds = self.failure + self.failure_load * (connections / self.law.peak()).ln()
            - self.failure_retry * (f64::from(1 + settings.retry_attempts()) / 4.0).ln()
            - self.failure_delay * (seconds(settings.initial_retry_delay()) / 0.1).ln()
            - self.failure_threshold * (f64::from(settings.circuit_breaker_threshold()) / 5.0).ln();
        1.0 / (1.0 + odds.exp())
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// A loss of at most `most`: a few settings matter much, most matter little, as on real pools.
fn sparse(most: f64, share: f64) -> f64 {
    most * share.powi(3)
}

fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests, rounded above")]
fn whole(count: f64) -> u64 {
    count as u64
}

/// A legal value near `number`: whole for counts, within what is legal.
pub(super) fn value(setting: Setting, number: f64) -> Option<Value> {
    let whole = matches!(setting.spec().unit, crate::model::Unit::Count);
    Value::from_number(setting, if whole { number.round() } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{mean, sample_sd};

    #[test]
    fn the_baseline_is_ten_to_twenty_per_cent_below_the_best_and_feasible() {
        for seed in 0..3 {
            let response = Response::heavy(seed);
            let (best, throughput) = response.optimum(&response.space()).unwrap();
            let share = response.true_throughput(response.baseline()) / throughput;
            assert!((0.79..=0.91).contains(&share), "seed {seed}: {share}");
            assert!(response.true_success(response.baseline()) > LIMIT);
            assert!(response.true_success(&best) > LIMIT);
            assert_eq!(best.check(), Ok(()));
        }
    }

    #[test]
    fn trials_spread_around_the_truth() {
        let mut response = Response::heavy(1);
        let settings = response.baseline().clone();
        let truth = response.true_throughput(&settings);
        let logs: Vec<f64> = (0..400).map(|_| (response.measure(&settings).throughput / truth).ln()).collect();
        assert!(mean(&logs).abs() < 0.02, "{}", mean(&logs));
        let spread = sample_sd(&logs);
        assert!((0.04..0.06).contains(&spread), "{spread}");
        let rates: Vec<f64> = (0..400)
            .map(|_| response.measure(&settings))
            .map(|reading| {
                f64::from(u32::try_from(reading.failed).unwrap_or(u32::MAX)) / (SECONDS * reading.throughput)
            })
            .collect();
        let failing = 1.0 - response.true_success(&settings);
        assert!((mean(&rates) / failing - 1.0).abs() < 0.1, "{} {failing}", mean(&rates));
    }

    #[test]
    fn the_same_seed_gives_the_same_trials() {
        let run = || {
            let mut response = Response::heavy(9);
            let settings = response.baseline().clone();
            [response.measure(&settings), response.measure(&settings)]
        };
        assert_eq!(run(), run());
    }
}
