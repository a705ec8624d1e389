//! Equal mixtures of normal laws, one for each draw of the parameters.

use crate::{
    model::{Estimate, Interval},
    stats::{normal_cdf, normal_density, real},
};

/// Means and variances of the parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Mixture {
    pub(super) parts: Vec<(f64, f64)>,
}

impl Mixture {
    pub(super) fn mean(&self) -> f64 {
        self.parts.iter().map(|part| part.0).sum::<f64>() / real(self.parts.len())
    }

    /// Probability of a value above `threshold`.
    pub(super) fn above(&self, threshold: f64) -> f64 {
        let sum: f64 = self.parts.iter().map(|(mean, variance)| normal_cdf((mean - threshold) / variance.sqrt())).sum();
        sum / real(self.parts.len())
    }

    /// The expected distance below 0, 0 above.
    pub(super) fn shortfall(&self) -> f64 {
        let part = |(mean, variance): &(f64, f64)| {
            let sd = variance.sqrt();
            sd * normal_density(mean / sd) - mean * normal_cdf(-mean / sd)
        };
        self.parts.iter().map(part).sum::<f64>() / real(self.parts.len())
    }

    /// The value that is exceeded with probability 1 − `share`, by bisection.
    fn quantile(&self, share: f64) -> f64 {
        let ends =
            self.parts.iter().map(|(mean, variance)| (mean - 8.0 * variance.sqrt(), mean + 8.0 * variance.sqrt()));
        let (mut low, mut high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |all, ends| (all.0.min(ends.0), all.1.max(ends.1)));
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if 1.0 - self.above(middle) < share { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }

    /// The mean with the central 95 %, each passed through `map`, which must not fall.
    pub(super) fn estimate(&self, map: impl Fn(f64) -> f64) -> Estimate {
        let interval = Interval { low: map(self.quantile(0.025)), high: map(self.quantile(0.975)) };
        let value = map(self.mean());
        Estimate { value, interval: Interval { low: interval.low.min(value), high: interval.high.max(value) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_a_normal_law() {
        let estimate = Mixture { parts: vec![(1.0, 4.0)] }.estimate(|value| value);
        assert!((estimate.interval.low - (1.0 - 3.92)).abs() < 1e-3 && (estimate.interval.high - 4.92).abs() < 1e-3);
    }

    #[test]
    fn the_shortfall_is_the_mean_of_what_lies_below_zero() {
        let standard = Mixture { parts: vec![(0.0, 1.0)] };
        assert!((standard.shortfall() - 0.398_942_280_401).abs() < 1e-9);
        let far = Mixture { parts: vec![(-7.0, 0.25), (9.0, 0.25)] };
        assert!((far.shortfall() - 3.5).abs() < 1e-9);
    }

    #[test]
    fn two_parts_are_wider_than_each() {
        let mixture = Mixture { parts: vec![(-1.0, 0.01), (1.0, 0.01)] };
        let estimate = mixture.estimate(f64::exp);
        assert!((mixture.above(0.0) - 0.5).abs() < 1e-9 && (estimate.value - 1.0).abs() < 1e-9);
        assert!(estimate.interval.low < (-1_f64).exp() && estimate.interval.high > 1_f64.exp());
    }
}
