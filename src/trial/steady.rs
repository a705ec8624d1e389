//! When throughput is steady.
//!
//! Throughput is counted in slices of equal length. It is called steady once the mean of the last [`WINDOW`] slices
//! differs from the mean of the [`WINDOW`] before them by less than the larger of [`TOLERANCE`] and twice the standard
//! error of that difference, so that a noisy but level throughput is not waited on for ever. A cold pool is near its plateau after
//! some 0.3 s, which the two windows of 0.3 s see; the slow drift after that is the pairing's business, not the
//! warm-up's.

/// Slices in each of the two windows compared.
pub(super) const WINDOW: usize = 3;
/// Largest relative difference of the two windows' means that counts as level.
const TOLERANCE: f64 = 0.05;

/// Whether the last slices (successes a second, in order) are level.
pub(super) fn is_steady(slices: &[f64]) -> bool {
    let Some(start) = slices.len().checked_sub(2 * WINDOW) else { return false };
    let (before, after) = slices[start..].split_at(WINDOW);
    let ((mean_before, variance_before), (mean_after, variance_after)) = (moments(before), moments(after));
    if mean_before <= 0.0 || mean_after <= 0.0 {
        return false;
    }
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let standard_error = ((variance_before + variance_after) / WINDOW as f64).sqrt();
    (mean_after - mean_before).abs() <= (TOLERANCE * mean_before).max(2.0 * standard_error)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of slices")]
fn moments(slices: &[f64]) -> (f64, f64) {
    let n = slices.len() as f64;
    let mean = slices.iter().sum::<f64>() / n;
    (mean, slices.iter().map(|slice| (slice - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

#[cfg(test)]
mod tests {
    use super::is_steady;

    #[test]
    fn a_ramp_is_not_steady_and_a_plateau_is() {
        let ramp = [10.0, 40.0, 70.0, 100.0, 130.0, 160.0];
        assert!(!is_steady(&ramp));
        let plateau = [10.0, 90.0, 100.0, 98.0, 103.0, 99.0, 101.0, 100.0];
        assert!(is_steady(&plateau));
    }

    #[test]
    fn noise_around_a_level_is_steady() {
        assert!(is_steady(&[80.0, 120.0, 100.0, 125.0, 78.0, 101.0]));
    }

    #[test]
    fn nothing_served_is_not_steady() {
        assert!(!is_steady(&[0.0; 20]));
        assert!(!is_steady(&[1.0]));
    }
}
