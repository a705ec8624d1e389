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
    fn the_interval_of_a_mean_is_students() {
        let estimate = mean_estimate(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        assert!((estimate.value - 3.0).abs() < 1e-12);
        // t(0.975, 4) = 2.776; sd = 1.5811.
        assert!((estimate.interval.high - (3.0 + 2.776 * 1.5811 / 5.0_f64.sqrt())).abs() < 1e-3);
        assert_eq!(mean_estimate(&[1.0], 0.95), Err(StatsError::TooFew { found: 1, needed: 2 }));
    }
}
