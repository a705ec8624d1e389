//! Whether a series goes up.

use crate::stats;

/// The least length of a series that is judged; for fewer the normal approximation is poor.
const SHORTEST: usize = 8;
/// Most points that are compared with each other.
const LONGEST: usize = 300;
/// One-sided 0.1 % of the normal distribution: a rule that looks at every test must hardly ever be wrong.
const CRITICAL: f64 = 3.09;

/// By how much a series has risen from its start to its end, if a Mann–Kendall test (Mann 1945, Kendall 1975) finds that
/// it has; the rise is Sen's slope (1968) times the length. Ties count as no change, which only makes it more careful.
pub(crate) fn rise(series: &[f64]) -> Option<f64> {
    // A long series is thinned: the work grows with the square of its length, and the trend stays what it is.
    let step = series.len().div_ceil(LONGEST).max(1);
    let series: Vec<f64> = series.iter().copied().step_by(step).collect();
    let n = series.len();
    if n < SHORTEST {
        return None;
    }
    let (mut s, mut slopes) = (0.0, Vec::with_capacity(n * (n - 1) / 2));
    for (i, earlier) in series.iter().enumerate() {
        for (j, later) in series.iter().enumerate().skip(i + 1) {
            let change = later - earlier;
            s += if change == 0.0 { 0.0 } else { change.signum() };
            slopes.push(change / stats::real(j - i));
        }
    }
    let count = stats::real(n);
    let sd = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    if (s - 1.0) / sd < CRITICAL {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    Some(slopes[slopes.len() / 2] * (count - 1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::rise;

    #[test]
    fn a_rise_is_seen_and_measured_and_a_fall_is_none() {
        let up: Vec<f64> = (0..30_u32).map(|i| f64::from(i) * 0.5 + f64::from(i % 3)).collect();
        let rise_of_up = rise(&up).unwrap();
        assert!((rise_of_up - 14.5).abs() < 1.0, "{rise_of_up}");
        let down: Vec<f64> = up.iter().rev().copied().collect();
        assert_eq!(rise(&down), None);
        assert_eq!(rise(&[1.0; 50]), None);
        assert_eq!(rise(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn noise_alone_is_a_rise_in_less_than_one_of_a_hundred() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let claims = (0..2000)
            .filter(|_| {
                let noise: Vec<f64> = (0..30).map(|_| random.random_range(8.0..12.0)).collect();
                rise(&noise).is_some()
            })
            .count();
        assert!(claims <= 20, "{claims} of 2000");
    }
}
