use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{CurveError, Scalability, fit::fit};
use crate::{
    model::{Estimate, Interval},
    stats::{quantile, real},
};

/// What was measured at one pool size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The number of connections, at least 1.
    pub connections: f64,
    /// What was measured, above 0: requests a second, or seconds.
    pub value: f64,
    /// Weight of the squared relative error, above 0; 1 for a plain trial.
    pub weight: f64,
}

/// Where the throughput is highest, seen from the sizes that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peak {
    /// Between the smallest and the largest size measured, with its 95 % interval, which lies inside too.
    Inside(Estimate),
    /// No peak inside the range: throughput still rises at the largest size.
    Rising,
    /// No peak inside the range: throughput falls from the smallest size on.
    Falling,
    /// The data cannot tell: the 95 % interval of the peak, cut to the sizes measured, reaches an end of them.
    Unclear(Estimate),
}

/// A Universal Scalability Law fitted to throughput, with bootstrap 95 % intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalabilityFit {
    /// The best fit.
    pub law: Scalability,
    /// λ with its interval.
    pub lambda: Estimate,
    /// σ with its interval.
    pub sigma: Estimate,
    /// κ with its interval.
    pub kappa: Estimate,
    /// The best number of connections.
    pub peak: Peak,
    /// The smallest and the largest size measured.
    pub sizes: Interval,
    /// Relative spread of a sample of weight 1 around the curve, shrunk towards the usual 4.5 %.
    pub spread: f64,
    /// The bootstrap replicates, from which bands are made.
    pub draws: Vec<Scalability>,
}

impl ScalabilityFit {
    /// Throughput at `connections` with the 95 % interval of the curve there, requests a second.
    #[must_use]
    pub fn throughput(&self, connections: f64) -> Estimate {
        estimate(self.law.throughput(connections), self.draws.iter().map(|law| law.throughput(connections)))
    }
}

/// Fits the law to throughput at different sizes by weighted least squares on logarithms.
///
/// # Errors
/// [`CurveError`] for fewer than three different sizes, or a sample that is not positive and finite.
pub fn fit_scalability(samples: &[Sample], rng: &mut impl Rng) -> Result<ScalabilityFit, CurveError> {
    let fitted = fit(samples, rng)?;
    let (law, draws) = (fitted.law, fitted.draws);
    let sizes = samples.iter().fold(Interval { low: f64::INFINITY, high: 0.0 }, |range, sample| Interval {
        low: range.low.min(sample.connections),
        high: range.high.max(sample.connections),
    });
    Ok(ScalabilityFit {
        law,
        lambda: estimate(law.lambda, draws.iter().map(|law| law.lambda)),
        sigma: estimate(law.sigma, draws.iter().map(|law| law.sigma)),
        kappa: estimate(law.kappa, draws.iter().map(|law| law.kappa)),
        peak: peak(law, &draws, sizes),
        sizes,
        spread: fitted.spread,
        draws,
    })
}

fn peak(law: Scalability, draws: &[Scalability], sizes: Interval) -> Peak {
    let share =
        |holds: &dyn Fn(f64) -> bool| real(draws.iter().filter(|law| holds(law.peak())).count()) / real(draws.len());
    let cut = |size: f64| size.clamp(sizes.low, sizes.high);
    let within = estimate(cut(law.peak()), draws.iter().map(|law| cut(law.peak())));
    if share(&|size| size >= sizes.high) > 0.5 && law.peak() >= sizes.high {
        Peak::Rising
    } else if share(&|size| size <= sizes.low) > 0.5 && law.peak() <= sizes.low {
        Peak::Falling
    } else if sizes.low < within.interval.low && within.interval.high < sizes.high {
        Peak::Inside(within)
    } else {
        Peak::Unclear(within)
    }
}

/// A value with the central 95 % of `draws`, stretched to hold the value.
pub(super) fn estimate(value: f64, draws: impl Iterator<Item = f64>) -> Estimate {
    let draws: Vec<f64> = draws.collect();
    let low = quantile(&draws, 0.025).unwrap_or(value).min(value);
    let high = quantile(&draws, 0.975).unwrap_or(value).max(value);
    Estimate { value, interval: Interval { low, high } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::standard_normal;

    fn samples(law: Scalability, sizes: &[f64], noise: f64, rng: &mut ChaCha8Rng) -> Vec<Sample> {
        let sample = |&connections: &f64| Sample {
            connections,
            value: law.throughput(connections) * (noise * standard_normal(rng)).exp(),
            weight: 1.0,
        };
        sizes.iter().map(sample).collect()
    }

    fn law(sigma: f64, peak: f64) -> Scalability {
        Scalability { lambda: 800.0, sigma, kappa: (1.0 - sigma) / (peak * peak) }
    }

    const SIZES: [f64; 7] = [2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn known_parameters_are_recovered(sigma in 0.005_f64..0.3, peak in 8.0_f64..40.0, seed in 0_u64..100) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let truth = law(sigma, peak);
            let fit = fit_scalability(&samples(truth, &SIZES, 0.0, &mut rng), &mut rng).unwrap();
            prop_assert!((fit.law.sigma / sigma - 1.0).abs() < 0.02, "{:?}", fit.law);
            prop_assert!((fit.law.peak() / peak - 1.0).abs() < 0.02, "{:?}", fit.law);
            prop_assert!((fit.law.lambda / 800.0 - 1.0).abs() < 0.01, "{:?}", fit.law);
        }

        #[test]
        fn no_input_gives_nan(values in prop::collection::vec((1.0_f64..100.0, 1e-3_f64..1e9, 1e-3_f64..1e3), 0..8)) {
            let samples: Vec<Sample> =
                values.iter().map(|&(connections, value, weight)| Sample { connections, value, weight }).collect();
            if let Ok(fit) = fit_scalability(&samples, &mut ChaCha8Rng::seed_from_u64(1)) {
                let band = fit.throughput(10.0);
                prop_assert!(band.value.is_finite() && band.interval.low.is_finite() && band.interval.high.is_finite());
            }
        }
    }

    #[test]
    fn the_interval_of_the_peak_holds_the_truth_most_of_the_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let truth = law(0.03, 18.0);
        let held = (0..60)
            .filter(|_| match fit_scalability(&samples(truth, &SIZES, 0.045, &mut rng), &mut rng).unwrap().peak {
                Peak::Inside(estimate) | Peak::Unclear(estimate) => estimate.interval.contains(18.0),
                Peak::Rising | Peak::Falling => false,
            })
            .count();
        assert!(held >= 53, "{held} of 60");
    }

    #[test]
    fn no_peak_inside_the_range_is_said() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rising = fit_scalability(&samples(law(0.01, 300.0), &SIZES, 0.01, &mut rng), &mut rng).unwrap();
        assert_eq!(rising.peak, Peak::Rising);
        let falling = fit_scalability(&samples(law(0.1, 1.5), &SIZES, 0.01, &mut rng), &mut rng).unwrap();
        assert_eq!(falling.peak, Peak::Falling);
    }

    #[test]
    fn degenerate_samples_are_errors() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let sample = |connections, value| Sample { connections, value, weight: 1.0 };
        assert_eq!(fit_scalability(&[], rng), Err(CurveError::TooFewSizes { found: 0, needed: 3 }));
        let same = [sample(5.0, 10.0); 6];
        assert_eq!(fit_scalability(&same, rng), Err(CurveError::TooFewSizes { found: 1, needed: 3 }));
        let zero = [sample(1.0, 10.0), sample(2.0, 0.0), sample(3.0, 10.0)];
        assert!(matches!(fit_scalability(&zero, rng), Err(CurveError::BadSample { .. })));
    }
}
