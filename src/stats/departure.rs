use crate::model::{Estimate, Interval};

use super::{StatsError, mean, real, sample_sd, student_quantile};

/// How a figure stands to its own history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Departure {
    /// By how much it is larger than the history's geometric mean (0.12 is 12 % more). The interval is of what may be chance: from
    /// it to the nearer and to the farther end of what another figure of the same kind would have been.
    pub change: Estimate,
    /// Whether it lies outside of what another figure of the same kind would have been.
    pub outside: bool,
}

/// Fewest figures of the past: fewer hardly say how much they spread.
const FEWEST: usize = 4;

/// Sets `now` against the figures `before` it: outside where it is not in the prediction interval of their logarithms (Student's t
/// with their own spread, which holds whatever differs from one to the next: noise within and between nights). On a system that
/// does not change, a share `level` of figures is outside.
///
/// # Errors
/// [`StatsError::TooFew`] for fewer than four positive figures before, or none now.
pub fn departure(before: &[f64], now: f64, level: f64) -> Result<Departure, StatsError> {
    let good = |figure: &f64| *figure > 0.0 && figure.is_finite();
    let logs: Vec<f64> = before.iter().filter(|figure| good(figure)).map(|figure| figure.ln()).collect();
    if logs.len() < FEWEST || !good(&now) {
        return Err(StatsError::TooFew { found: if good(&now) { logs.len() } else { 0 }, needed: FEWEST });
    }
    let n = real(logs.len());
    let reach = student_quantile(1.0 - level / 2.0, n - 1.0) * sample_sd(&logs) * (1.0 + 1.0 / n).sqrt();
    let distance = now.ln() - mean(&logs);
    let interval = Interval { low: (distance - reach).exp_m1(), high: (distance + reach).exp_m1() };
    let change = Estimate { value: distance.exp_m1(), interval };
    Ok(Departure { change, outside: !interval.contains(0.0) })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::standard_normal;

    #[test]
    fn on_an_unchanged_system_as_many_are_outside_as_the_level_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // Nights differ by 2 %, and what a night tells of itself by another 2 %.
        let mut night = || 1e4 * (0.02 * standard_normal(&mut rng) + 0.02 * standard_normal(&mut rng)).exp();
        for n in [4, 9, 30] {
            let outside = (0..4000)
                .filter(|_| {
                    let before: Vec<f64> = (0..n).map(|_| night()).collect();
                    departure(&before, night(), 0.01).unwrap().outside
                })
                .count();
            // 1 % of 4000 is 40; five standard errors are 31.
            assert!((9..=71).contains(&outside), "{n} nights: {outside} of 4000");
        }
    }

    #[test]
    fn a_fall_is_told_by_how_much_and_a_figure_like_the_others_is_not() {
        let before = [100.0, 102.0, 98.0, 101.0, 99.0, 100.0, 103.0, 97.0, 100.0];
        let fallen = departure(&before, 77.0, 0.002).unwrap();
        assert!(fallen.outside && (fallen.change.value + 0.23).abs() < 0.005, "{fallen:?}");
        assert!(fallen.change.interval.high < 0.0);
        assert!(!departure(&before, 104.0, 0.002).unwrap().outside);
        assert_eq!(departure(&before[..3], 77.0, 0.002), Err(StatsError::TooFew { found: 3, needed: 4 }));
        assert!(departure(&before, 0.0, 0.002).is_err());
    }
}
