//! Distributions of times, as tables of quantiles.

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, Exp1};

use super::agenda::Time;

/// Points of a table, ends included.
const POINTS: usize = 513;

/// A distribution of times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    /// By its quantiles at even steps from the smallest to the largest; linear between them.
    Quantiles(Vec<f32>),
    /// Exponential, with this mean.
    Exponential(f64),
}

impl Times {
    /// A distribution by its quantile function, which takes shares from 0 to 1 and gives seconds.
    #[must_use]
    pub fn new(quantile: impl Fn(f64) -> f64) -> Self {
        let step = |place: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
            let share = place as f64 / (POINTS - 1) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "seconds need no more digits")]
            let seconds = quantile(share).clamp(0.0, 1e9) as f32;
            seconds
        };
        let mut points: Vec<f32> = (0..POINTS).map(step).collect();
        // Noise in what was measured must not make it turn back.
        let mut highest = 0.0_f32;
        for point in &mut points {
            highest = highest.max(*point);
            *point = highest;
        }
        Self::Quantiles(points)
    }

    /// Always the same time.
    #[must_use]
    pub fn constant(seconds: f64) -> Self {
        Self::new(|_| seconds)
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Quantiles(points) => {
                // Trapezia between the points.
                let inner: f64 = points.windows(2).map(|pair| f64::from(pair[0] + pair[1]) / 2.0).sum();
                #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
                let steps = (points.len().max(2) - 1) as f64;
                inner / steps
            }
            Self::Exponential(mean) => *mean,
        }
    }

    /// The quantile of a share from 0 to 1, in seconds; of an exponential one the last is that of all but one in a million.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let points = match self {
            Self::Quantiles(points) => points,
            Self::Exponential(mean) => return -mean * (1.0 - share.clamp(0.0, 0.999_999)).ln(),
        };
        let Some(last) = points.len().checked_sub(1).filter(|last| *last > 0) else { return 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
        let place = share.clamp(0.0, 1.0) * last as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the table")]
        let below = (place.floor() as usize).min(last - 1);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
        let part = place - below as f64;
        let (low, high) = (f64::from(points[below]), f64::from(points[below + 1]));
        low + (high - low) * part
    }

    /// The same, `factor` times as long.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self::new(|share| self.quantile(share) * factor)
    }

    /// Between this one and another, quantile by quantile on a logarithmic scale: `part` 0 is this one, 1 the other.
    #[must_use]
    pub fn towards(&self, other: &Self, part: f64) -> Self {
        const SMALLEST: f64 = 1e-9;
        Self::new(|share| {
            let (from, to) = (self.quantile(share).max(SMALLEST), other.quantile(share).max(SMALLEST));
            (from.ln() + (to.ln() - from.ln()) * part).exp()
        })
    }

    /// Draws a time.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Time {
        let seconds = match self {
            Self::Quantiles(points) if points.len() == POINTS => {
                // The fast way: nine bits for the place, the others for the part.
                let bits: u32 = rng.random();
                let below = (bits >> 23) as usize;
                #[expect(clippy::cast_precision_loss, reason = "23 bits fit")]
                let part = (bits & 0x7f_ffff) as f32 / 8_388_608.0;
                let (low, high) = (points[below], points[below + 1]);
                f64::from(low + (high - low) * part)
            }
            Self::Quantiles(_) => self.quantile(rng.random()),
            Self::Exponential(mean) => {
                let draw: f64 = Exp1.sample(rng);
                draw * mean
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time above 0 and below 30 years"
        )]
        let nanoseconds = (seconds * 1e9) as Time;
        nanoseconds
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_quantiles() {
        let times = Times::Exponential(0.004);
        let times = Times::new(|share| times.quantile(share));
        assert!((times.mean() / 0.004 - 1.0).abs() < 0.02, "{}", times.mean());
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draws: Vec<f64> =
            (0..20_000).map(|_| std::time::Duration::from_nanos(times.draw(&mut rng)).as_secs_f64()).collect();
        draws.sort_by(f64::total_cmp);
        for (place, share) in [(2_000, 0.1), (10_000, 0.5), (18_000, 0.9)] {
            let (drawn, meant) = (draws[place], times.quantile(share));
            assert!((drawn / meant - 1.0).abs() < 0.06, "{share}: {drawn} for {meant}");
        }
    }

    #[test]
    fn a_table_never_turns_back_and_lies_between_two_others() {
        let odd = Times::new(|share| if share < 0.5 { 2.0 } else { 1.0 });
        assert!((odd.quantile(1.0) - 2.0).abs() < 1e-6);
        let between = Times::constant(1.0).towards(&Times::constant(4.0), 0.5);
        assert!((between.quantile(0.3) - 2.0).abs() < 1e-6);
    }
}
