use statrs::function::beta::inv_beta_reg;

use crate::model::{Estimate, Interval};

use super::{StatsError, mean, normal_quantile, real};

/// Exact interval of a success rate at `confidence` (0.95 for 95 %), never too narrow.
///
/// Clopper and Pearson, Biometrika 26 (1934) 404–413.
///
/// # Errors
/// [`StatsError::NoRequests`] when both counts are zero.
pub fn clopper_pearson(succeeded: u64, failed: u64, confidence: f64) -> Result<Interval, StatsError> {
    let tail = (1.0 - confidence) / 2.0;
    interval(share(succeeded), share(failed), tail)
}

/// Exact one-sided lower bound of a success rate: the rate is above it with `confidence`.
///
/// # Errors
/// [`StatsError::NoRequests`] when both counts are zero.
pub fn clopper_pearson_lower(succeeded: u64, failed: u64, confidence: f64) -> Result<f64, StatsError> {
    Ok(interval(share(succeeded), share(failed), 1.0 - confidence)?.low)
}

/// Exact one-sided upper bound of a success rate: the rate is below it with `confidence`.
///
/// # Errors
/// [`StatsError::NoRequests`] when both counts are zero.
pub fn clopper_pearson_upper(succeeded: u64, failed: u64, confidence: f64) -> Result<f64, StatsError> {
    Ok(interval(share(succeeded), share(failed), 1.0 - confidence)?.high)
}

/// Success rate over several trials, given as (succeeded, failed), with its interval at `confidence`.
///
/// Failures come in bursts, so that requests of a trial are not independent. The counts are therefore divided by the
/// design effect, the variance between trials over the binomial one (never below 1), before the exact interval is taken:
/// Korn and Graubard, Survey Methodology 24 (1998) 193–201, without their degrees-of-freedom correction.
///
/// # Errors
/// [`StatsError::NoRequests`] when there were none.
pub fn clustered_success(trials: &[(u64, u64)], confidence: f64) -> Result<Estimate, StatsError> {
    let succeeded: f64 = trials.iter().map(|trial| share(trial.0)).sum();
    let failed: f64 = trials.iter().map(|trial| share(trial.1)).sum();
    let total = succeeded + failed;
    if total <= 0.0 {
        return Err(StatsError::NoRequests);
    }
    let rate = succeeded / total;
    let effect = design_effect(trials);
    let interval = interval(succeeded / effect, failed / effect, (1.0 - confidence) / 2.0)?;
    Ok(Estimate { value: rate, interval })
}

/// Variance of the success rate between parts (trials, or intervals of one) that are given as (succeeded, failed), over
/// what independent requests would show: a ratio estimator, never below 1.
#[must_use]
pub fn design_effect(parts: &[(u64, u64)]) -> f64 {
    let of = |part: &(u64, u64)| (share(part.0), share(part.0) + share(part.1));
    let (succeeded, total) = parts.iter().map(of).fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let rate = succeeded / total;
    let variance = rate * (1.0 - rate);
    if total <= 0.0 || variance <= 0.0 {
        return 1.0;
    }
    let chi: Vec<f64> = parts
        .iter()
        .map(of)
        .filter(|(_, total)| *total > 0.0)
        .map(|(succeeded, total)| (succeeded - total * rate).powi(2) / (total * variance))
        .collect();
    let n = real(chi.len());
    if n < 2.0 { 1.0 } else { (mean(&chi) * n / (n - 1.0)).max(1.0) }
}

/// A success rate of a sample: (succeeded, failed), and its [design effect](design_effect).
pub type Sampled = ((u64, u64), f64);

/// How much higher the success rate of one sample is than that of another, with its interval at `confidence`.
///
/// The interval is made of Wilson's of each rate: Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10. Counts
/// are divided by their design effect first, since failures come in bursts.
///
/// # Errors
/// [`StatsError::NoRequests`] when one of them has none.
pub fn success_difference(of: Sampled, over: Sampled, confidence: f64) -> Result<Estimate, StatsError> {
    let z = normal_quantile(0.5 + confidence / 2.0);
    let wilson = |((succeeded, failed), effect): Sampled| {
        let n = (share(succeeded) + share(failed)) / effect;
        if n <= 0.0 {
            return Err(StatsError::NoRequests);
        }
        let rate = share(succeeded) / (share(succeeded) + share(failed));
        let centre = 2.0 * n * rate + z * z;
        let reach = z * (z * z + 4.0 * n * rate * (1.0 - rate)).sqrt();
        let scale = 2.0 * (n + z * z);
        Ok((rate, Interval { low: (centre - reach) / scale, high: (centre + reach) / scale }))
    };
    let ((rate, wide), (other, other_wide)) = (wilson(of)?, wilson(over)?);
    let value = rate - other;
    let low = value - (rate - wide.low).hypot(other_wide.high - other);
    let high = value + (wide.high - rate).hypot(other - other_wide.low);
    Ok(Estimate { value, interval: Interval { low, high } })
}

fn interval(succeeded: f64, failed: f64, tail: f64) -> Result<Interval, StatsError> {
    if succeeded + failed <= 0.0 {
        return Err(StatsError::NoRequests);
    }
    let low = if succeeded <= 0.0 { 0.0 } else { inv_beta_reg(succeeded, failed + 1.0, tail) };
    let high = if failed <= 0.0 { 1.0 } else { inv_beta_reg(succeeded + 1.0, failed, 1.0 - tail) };
    Ok(Interval { low, high })
}

#[expect(clippy::cast_precision_loss, reason = "requests of a trial are far below 2^53")]
fn share(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::function::beta::beta_reg;

    use super::*;

    #[test]
    fn the_textbook_interval_is_met() {
        // R: binom.test(81, 263)$conf.int
        let interval = clopper_pearson(81, 182, 0.95).unwrap();
        assert!((interval.low - 0.252_7).abs() < 1e-4 && (interval.high - 0.367_6).abs() < 1e-4, "{interval:?}");
    }

    #[test]
    fn no_failures_give_the_rule_of_three() {
        let low = clopper_pearson_lower(1000, 0, 0.95).unwrap();
        assert!((low - 0.05_f64.powf(1.0 / 1000.0)).abs() < 1e-9, "{low}");
        assert!((clopper_pearson(1000, 0, 0.95).unwrap().high - 1.0).abs() < f64::EPSILON);
        assert!(clopper_pearson(0, 1000, 0.95).unwrap().low <= 0.0);
    }

    #[test]
    fn no_requests_are_an_error() {
        assert_eq!(clopper_pearson(0, 0, 0.95), Err(StatsError::NoRequests));
        assert_eq!(clustered_success(&[], 0.95), Err(StatsError::NoRequests));
    }

    #[test]
    fn bursts_widen_the_interval() {
        let even = clustered_success(&[(990, 10); 6], 0.95).unwrap();
        let bursts =
            clustered_success(&[(1000, 0), (940, 60), (1000, 0), (1000, 0), (1000, 0), (1000, 0)], 0.95).unwrap();
        assert!((even.value - bursts.value).abs() < 1e-12);
        assert!(bursts.interval.low < even.interval.low - 0.01, "{bursts:?} {even:?}");
    }

    #[test]
    fn the_difference_of_two_rates_is_as_published() {
        // Newcombe 1998, table II, method 10.
        for (one, other, low, high) in [
            ((56, 14), (48, 32), 0.0524, 0.3339),
            ((9, 1), (3, 7), 0.1705, 0.8090),
            ((6, 1), (2, 5), 0.0582, 0.8062),
            ((5, 51), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((0, 10), (0, 10), -0.2775, 0.2775),
            ((10, 0), (0, 20), 0.6791, 1.0),
            ((10, 0), (0, 10), 0.6075, 1.0),
        ] {
            let found = success_difference((one, 1.0), (other, 1.0), 0.95).unwrap();
            let Interval { low: found_low, high: found_high } = found.interval;
            assert!((found_low - low).abs() < 6e-5 && (found_high - high).abs() < 6e-5, "{one:?} {other:?}: {found:?}");
        }
        let bursts = success_difference(((560, 140), 10.0), ((480, 320), 10.0), 0.95).unwrap();
        assert!((bursts.interval.low - 0.0524).abs() < 6e-5, "a tenth of the requests says as much: {bursts:?}");
        assert_eq!(success_difference(((0, 0), 1.0), ((1, 1), 1.0), 0.95), Err(StatsError::NoRequests));
    }

    proptest! {
        #[test]
        fn bounds_invert_the_binomial_tail(succeeded in 1_u64..100_000, failed in 1_u64..5000) {
            let interval = clopper_pearson(succeeded, failed, 0.95).unwrap();
            let low_tail = beta_reg(share(succeeded), share(failed) + 1.0, interval.low);
            let high_tail = beta_reg(share(succeeded) + 1.0, share(failed), interval.high);
            prop_assert!((low_tail - 0.025).abs() < 1e-6, "{low_tail}");
            prop_assert!((high_tail - 0.975).abs() < 1e-6, "{high_tail}");
        }
    }
}
