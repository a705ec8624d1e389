//! The readings that findings rest on.

use super::{Reading, judge};
use crate::model::Finding;

/// Readings that are kept: half an hour of them at the usual pace, and enough for a trend at any.
const KEPT: usize = 360;

/// The last readings of a monitor, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Readings(Vec<Reading>);

impl Readings {
    /// Adds a reading, and lets go of the oldest where there are many; gives what they point to.
    pub fn take(&mut self, reading: Reading) -> Vec<Finding> {
        if self.0.len() >= KEPT {
            self.0.remove(0);
        }
        self.0.push(reading);
        self.findings()
    }

    /// What they point to.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        judge(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut readings = Readings::default();
        for at in 0..=u32::try_from(KEPT).unwrap() {
            readings.take(Reading { at: f64::from(at), ..Reading::default() });
        }
        assert_eq!((readings.0.len(), readings.0[0].at.to_bits()), (KEPT, 1.0_f64.to_bits()));
    }
}
