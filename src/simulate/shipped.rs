//! The sample that comes with the program, for whoever has no database at hand.

use super::Sample;

/// What a run of `profiles/heavy.yaml` has measured on a private PostgreSQL: trials of fifteen sizes of the pool from 3 to 80, and
/// what opening so many connections at once took where all had been reset.
const SHIPPED: &str = include_str!("shipped.json");

impl Sample {
    /// The sample that comes with the program.
    #[must_use]
    pub fn shipped() -> Self {
        serde_json::from_str(SHIPPED).unwrap_or_else(|error| unreachable!("a test reads it: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Calibration;

    #[test]
    fn it_is_small_and_calibrates() {
        assert!(SHIPPED.len() < 60_000, "{} bytes", SHIPPED.len());
        let sample = Sample::shipped();
        assert!((12..=20).contains(&sample.trials.len()));
        let calibration = Calibration::of(&sample).unwrap();
        assert_eq!((calibration.workers, calibration.trials), (64, sample.trials.len()));
        assert!(calibration.connect_measured);
        // More connections at once take longer, whether they work or are opened.
        let (few, many) = (calibration.world.service.at(5).mean(), calibration.world.service.at(60).mean());
        assert!(few > 0.0 && many > 2.0 * few, "{few} {many}");
        assert!(calibration.world.connect.at(50).mean() > calibration.world.connect.at(3).mean());
    }

    #[test]
    fn what_was_measured_comes_out_of_it_again() {
        let errors: Vec<f64> = Calibration::check(&Sample::shipped(), 1).iter().map(|of| of.errors()[0]).collect();
        let median = crate::stats::quantile(&errors, 0.5).unwrap();
        assert!(errors.len() > 5 && median < 0.1, "{median} {errors:?}");
    }
}
