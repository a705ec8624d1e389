use rand::{Rng, RngExt};
use statrs::function::{
    beta::{beta_reg, inv_beta_reg},
    erf::{erfc, erfc_inv},
    gamma::gamma_ur,
};
use std::f64::consts::{PI, SQRT_2};

/// Distribution function of the standard normal law.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// Density of the standard normal law.
#[must_use]
pub fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// Quantile of the standard normal law; `share` from 0 to 1.
#[must_use]
pub fn normal_quantile(share: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * share.clamp(0.0, 1.0))
}

/// Quantile of Student's law with `freedom` > 0 degrees of freedom; `share` strictly between 0 and 1.
#[must_use]
pub fn student_quantile(share: f64, freedom: f64) -> f64 {
    let tail = share.min(1.0 - share).clamp(1e-300, 0.5);
    let y = inv_beta_reg(0.5 * freedom, 0.5, 2.0 * tail);
    let reach = (freedom * (1.0 - y) / y).sqrt();
    if share >= 0.5 { reach } else { -reach }
}

/// Two-sided p-value of a t statistic with `freedom` > 0 degrees of freedom.
#[must_use]
pub fn student_two_sided(statistic: f64, freedom: f64) -> f64 {
    if statistic.is_infinite() {
        return 0.0;
    }
    beta_reg(0.5 * freedom, 0.5, freedom / (freedom + statistic * statistic))
}

/// Probability that a χ² variable of `freedom` > 0 degrees of freedom is above `value`.
#[must_use]
pub fn chi_squared_above(value: f64, freedom: f64) -> f64 {
    if value > 0.0 { gamma_ur(0.5 * freedom, 0.5 * value) } else { 1.0 }
}

/// A draw from the standard normal law (Box and Muller 1958).
pub fn standard_normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (2.0 * PI * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_met() {
        assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-5);
        assert!((normal_cdf(1.959_964) - 0.975).abs() < 1e-6);
        assert!((student_quantile(0.975, 4.0) - 2.776_445).abs() < 1e-4);
        assert!((student_quantile(0.025, 4.0) + 2.776_445).abs() < 1e-4);
        assert!((chi_squared_above(15.507_3, 8.0) - 0.05).abs() < 1e-5 && chi_squared_above(0.0, 8.0) >= 1.0);
        assert!((student_two_sided(2.776_445, 4.0) - 0.05).abs() < 1e-6);
    }
}
