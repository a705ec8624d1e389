use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{CurveError, Sample, Scalability, fit::fit, scalability::estimate};
use crate::model::Estimate;

/// Time of a request against the number of connections, R(N) = (1 + σ(N − 1) + κN(N − 1)) / λ, with bootstrap intervals.
///
/// This is Little's law N = X·R applied to the Universal Scalability Law, all connections being busy (B. Schwartz,
/// Practical Scalability Analysis with the Universal Scalability Law, 2015): latency rises with contention linearly and
/// with coherency quadratically. The parameters are fitted to the measured times and are the latency's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyFit {
    /// The best fit; [`Scalability::hold`] gives the time.
    pub law: Scalability,
    /// Relative spread of a sample of weight 1 around the curve.
    pub spread: f64,
    /// The bootstrap replicates, from which bands are made.
    pub draws: Vec<Scalability>,
}

impl LatencyFit {
    /// The time at `connections` with the 95 % interval of the curve there, in seconds.
    #[must_use]
    pub fn seconds(&self, connections: f64) -> Estimate {
        estimate(self.law.hold(connections), self.draws.iter().map(|law| law.hold(connections)))
    }
}

/// Fits the latency curve to times in seconds (a mean or a quantile, as long as all are the same) at different sizes.
///
/// # Errors
/// [`CurveError`] for fewer than three different sizes, or a sample that is not positive and finite.
pub fn fit_latency(samples: &[Sample], rng: &mut impl Rng) -> Result<LatencyFit, CurveError> {
    // R = N / X, so that X = N / R has the form of the throughput law, and equal relative errors.
    let rates: Vec<Sample> =
        samples.iter().map(|sample| Sample { value: sample.connections / sample.value, ..*sample }).collect();
    let fitted = fit(&rates, rng)?;
    Ok(LatencyFit { law: fitted.law, spread: fitted.spread, draws: fitted.draws })
}

/// Time from a worker's request to its answer, waiting for a connection included: R = W / X − Z.
///
/// The interactive response time law (Lazowska et al., Quantitative System Performance, 1984, section 3.4) for `workers`
/// in a closed loop at `throughput` requests a second with pauses of `think_time`. In seconds; 0 where the law would give less.
#[must_use]
pub fn response_time(workers: u32, throughput: f64, think_time: Duration) -> f64 {
    (f64::from(workers) / throughput - think_time.as_secs_f64()).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn known_latencies_are_recovered(sigma in 0.005_f64..0.3, kappa in 1e-4_f64..1e-2) {
            let truth = Scalability { lambda: 500.0, sigma, kappa };
            let samples: Vec<Sample> = [2.0, 5.0, 10.0, 20.0, 40.0]
                .iter()
                .map(|&connections| Sample { connections, value: truth.hold(connections), weight: 1.0 })
                .collect();
            let fit = fit_latency(&samples, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
            let at_thirty = fit.seconds(30.0);
            prop_assert!((at_thirty.value / truth.hold(30.0) - 1.0).abs() < 0.01, "{:?}", fit.law);
            prop_assert!(at_thirty.interval.contains(truth.hold(30.0)));
        }
    }

    #[test]
    fn a_zero_latency_is_an_error() {
        let sample = |connections, value| Sample { connections, value, weight: 1.0 };
        let zero = [sample(1.0, 0.1), sample(2.0, 0.0), sample(3.0, 0.1)];
        assert!(fit_latency(&zero, &mut ChaCha8Rng::seed_from_u64(1)).is_err());
    }

    #[test]
    fn littles_law_holds() {
        assert!((response_time(64, 6400.0, Duration::ZERO) - 0.01).abs() < 1e-12);
        assert!(response_time(64, 6400.0, Duration::from_secs(1)) <= 0.0);
    }
}
