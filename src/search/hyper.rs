//! Sampling of parameters with a standard normal prior.

use rand::{Rng, RngExt};
use std::f64::consts::TAU;

use crate::stats::standard_normal;

/// Draws from the posterior of `n` parameters with independent standard normal priors by elliptical slice sampling
/// (Murray, Adams and `MacKay`, AISTATS 2010): no step size to tune, every draw is accepted.
///
/// `log_likelihood` may return −∞ or NaN, which is never accepted.
pub(super) fn sample(
    n: usize,
    draws: usize,
    thin: usize,
    burn_in: usize,
    mut log_likelihood: impl FnMut(&[f64]) -> f64,
    rng: &mut impl Rng,
) -> Vec<Vec<f64>> {
    let mut state = vec![0.0; n];
    let mut height = log_likelihood(&state);
    let mut kept = Vec::with_capacity(draws);
    for step in 0..burn_in + draws * thin {
        let other: Vec<f64> = (0..n).map(|_| standard_normal(rng)).collect();
        let level = height + (1.0 - rng.random::<f64>()).ln();
        let mut angle = rng.random::<f64>() * TAU;
        let (mut low, mut high) = (angle - TAU, angle);
        // Sixty halvings shrink the bracket below rounding; then the state stays as it was.
        for _ in 0..60 {
            let (sin, cos) = angle.sin_cos();
            let next: Vec<f64> = state.iter().zip(&other).map(|(a, b)| a * cos + b * sin).collect();
            let found = log_likelihood(&next);
            if found > level {
                (state, height) = (next, found);
                break;
            }
            if angle < 0.0 {
                low = angle;
            } else {
                high = angle;
            }
            angle = low + rng.random::<f64>() * (high - low);
        }
        if step >= burn_in && (step - burn_in) % thin == thin - 1 {
            kept.push(state.clone());
        }
    }
    kept
}

/// A log-normal prior: the logarithm is normal around ln `median` with standard deviation `spread`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogNormal {
    pub(super) median: f64,
    pub(super) spread: f64,
}

impl LogNormal {
    /// The value that a standard normal `z` stands for.
    pub(super) fn value(self, z: f64) -> f64 {
        self.median * (self.spread * z).exp()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::{mean, sample_sd};

    #[test]
    fn a_known_posterior_is_sampled() {
        // Prior N(0, 1), one observation 1.0 with variance 0.25: posterior N(0.8, 0.2).
        let log_likelihood = |z: &[f64]| -0.5 * (z[0] - 1.0).powi(2) / 0.25;
        let draws = sample(2, 4000, 3, 50, log_likelihood, &mut ChaCha8Rng::seed_from_u64(1));
        let first: Vec<f64> = draws.iter().map(|draw| draw[0]).collect();
        let second: Vec<f64> = draws.iter().map(|draw| draw[1]).collect();
        assert!((mean(&first) - 0.8).abs() < 0.03 && (sample_sd(&first) - 0.2_f64.sqrt()).abs() < 0.03);
        assert!(mean(&second).abs() < 0.05 && (sample_sd(&second) - 1.0).abs() < 0.05);
    }
}
