use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The probability that at least `more` of `more + less` differences are in one direction, where each is as likely in either: the
/// one-sided sign test. Without differences it is 1.
///
/// Dixon and Mood, Journal of the American Statistical Association 41 (1946) 557–566.
#[must_use]
pub fn sign_test(more: usize, less: usize) -> f64 {
    let (more, all) = (more as u64, (more + less) as u64);
    match (more.checked_sub(1), Binomial::new(0.5, all)) {
        (Some(below), Ok(chance)) => chance.sf(below),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_coins() {
        assert_eq!(sign_test(0, 0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(sign_test(0, 5).to_bits(), 1.0_f64.to_bits());
        assert!((sign_test(8, 0) - 1.0 / 256.0).abs() < 1e-12);
        assert!((sign_test(7, 1) - 9.0 / 256.0).abs() < 1e-12);
    }
}
