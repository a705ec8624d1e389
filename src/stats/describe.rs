use crate::model::{Estimate, Interval};

use super::{StatsError, student_quantile};

/// A count as a real number; exact up to 2⁵³.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub fn real(count: usize) -> f64 {
    count as f64
}

/// Arithmetic mean; `NaN` for no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / real(values.len())
}

/// Sample standard deviation, with n − 1; `NaN` for fewer than two values.
#[must_use]
pub fn sample_sd(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (real(values.len()) - 1.0)).sqrt()
}

/// The quantile at `share` (0 to 1) by linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
///
/// `None` when there are no values. The values need not be sorted.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * real(last);
    // The largest whole index not above `place`; a search, so that no float is cast to an index.
    let below = (0..=last).rev().find(|index| real(*index) <= place).unwrap_or(0);
    let above = (below + 1).min(last);
    Some(sorted[below] + (place - real(below)) * (sorted[above] - sorted[below]))
}

/// The mean with its Student t interval at `confidence` (0.95 for 95 %).
///
/// # Errors
/// [`StatsError::TooFew`] for fewer than two values.
pub fn mean_estimate(values: &[f64], confidence: f64) -> Result<Estimate, StatsError> {
    if values.len() < 2 {
        return Err(StatsError::TooFew { found: values.len(), needed: 2 });
    }
    let value = mean(values);
    let error = sample_sd(values) / real(values.len()).sqrt();
    let reach = student_quantile(0.5 + confidence / 2.0, real(values.len() - 1)) * error;
    Ok(Estimate { value, interval: Interval { low: value - reach, high: value + reach } })
}

/// By how much the values of one sample are larger than those of another (0.12 is 12 % more), with its interval at
/// `confidence`: the ratio of geometric means, by Welch's t interval (Biometrika 34 (1947) 28–35) of their logarithms.
///
/// # Errors
/// [`StatsError::TooFew`] for fewer than three positive values in one of them; two hardly say how much they spread.
pub fn ratio_estimate(of: &[f64], over: &[f64], confidence: f64) -> Result<Estimate, StatsError> {
    const FEWEST: usize = 3;
    let logs = |values: &[f64]| {
        let logs: Vec<f64> = values.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
        let found = logs.len();
        // A value without a logarithm must not vanish from its sample.
        if found < FEWEST || found < values.len() {
            Err(StatsError::TooFew { found, needed: FEWEST })
        } else {
            Ok(logs)
        }
    };
    let (of, over) = (logs(of)?, logs(over)?);
    let part = |logs: &[f64]| (sample_sd(logs).powi(2) / real(logs.len()), real(logs.len() - 1));
    let ((one, one_free), (other, other_free)) = (part(&of), part(&over));
    let value = mean(&of) - mean(&over);
    let variance = one + other;
    let free = variance.powi(2) / (one.powi(2) / one_free + other.powi(2) / other_free);
    let reach =
        if variance > 0.0 { student_quantile(0.5 + confidence / 2.0, free.max(1.0)) * variance.sqrt() } else { 0.0 };
    let interval = Interval { low: (value - reach).exp_m1(), high: (value + reach).exp_m1() };
    Ok(Estimate { value: value.exp_m1(), interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_interval_of_a_ratio_is_welchs() {
        // Of the logarithms: difference −0.031902, standard error 0.087327, 4.2563 degrees of freedom, t(0.975) = 2.71175.
        let (of, over) = ([27.5, 21.0, 19.0, 23.6], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]);
        let found = ratio_estimate(&of, &over, 0.95).unwrap().interval;
        assert!((found.low.ln_1p() + 0.268_710).abs() < 1e-5, "{found:?}");
        assert!((found.high.ln_1p() - 0.204_907).abs() < 1e-5, "{found:?}");
        assert_eq!(ratio_estimate(&[1.0, 2.0, 0.0], &over, 0.95), Err(StatsError::TooFew { found: 2, needed: 3 }));
    }

    #[test]
    fn the_interval_of_a_mean_is_students() {
        let estimate = mean_estimate(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        assert!((estimate.value - 3.0).abs() < 1e-12);
        // t(0.975, 4) = 2.776; sd = 1.5811.
        assert!((estimate.interval.high - (3.0 + 2.776 * 1.5811 / 5.0_f64.sqrt())).abs() < 1e-3);
        assert_eq!(mean_estimate(&[1.0], 0.95), Err(StatsError::TooFew { found: 1, needed: 2 }));
    }
}
