//! The fit that throughput and latency share: weighted least squares on logarithms.

use argmin::{
    core::{CostFunction, Error, Executor, State},
    solver::neldermead::NelderMead,
};
use rand::Rng;

use super::{CurveError, Sample, Scalability, law::slowdown};
use crate::stats::{real, standard_normal, student_quantile};

/// Bounds of ln σ and ln κ. The lower ends are indistinguishable from 0 for pools of at most ten thousand connections.
const LN_SIGMA: (f64, f64) = (-13.8, -0.01);
const LN_KAPPA: (f64, f64) = (-18.4, 0.0);

/// Spread between trials assumed before there are residuals, and how many residuals that is worth.
///
/// 4.5 % is what identical trials of 2 to 10 s showed on two shared cores.
const PRIOR_SPREAD: f64 = 0.045;
const PRIOR_FREEDOM: f64 = 2.0;

/// How many times the fit is repeated on resampled data.
const REPLICATES: usize = 300;

/// A fit and its bootstrap replicates.
pub(super) struct Fitted {
    pub(super) law: Scalability,
    pub(super) draws: Vec<Scalability>,
    /// Estimated relative spread of a sample of weight 1.
    pub(super) spread: f64,
}

/// Fits ln X(N) by weighted least squares over ln σ and ln κ within bounds; λ follows in closed form.
///
/// Errors of a trial are proportional to its throughput, so that residuals are taken on the logarithm. The bootstrap is
/// parametric (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 6.5), with the residual spread
/// shrunk towards the usual one, as a handful of sizes leaves few degrees of freedom, and stretched to Student's law.
pub(super) fn fit(samples: &[Sample], rng: &mut impl Rng) -> Result<Fitted, CurveError> {
    check(samples)?;
    let logs: Vec<f64> = samples.iter().map(|sample| sample.value.ln()).collect();
    let start = grid(samples, &logs);
    let law = minimise(samples, &logs, start, 120);
    let fitted: Vec<f64> = samples.iter().map(|sample| law.throughput(sample.connections).ln()).collect();
    let squares: f64 =
        samples.iter().zip(logs.iter().zip(&fitted)).map(|(sample, (y, f))| sample.weight * (y - f).powi(2)).sum();
    let freedom = (real(samples.len()) - 3.0).max(0.0) + PRIOR_FREEDOM;
    let spread = ((squares + PRIOR_FREEDOM * PRIOR_SPREAD.powi(2)) / freedom).sqrt();
    let stretch = student_quantile(0.975, freedom.max(3.0)) / 1.96;
    let draws = (0..REPLICATES)
        .map(|_| {
            let noisy: Vec<f64> = samples
                .iter()
                .zip(&fitted)
                .map(|(sample, f)| f + stretch * spread * standard_normal(rng) / sample.weight.sqrt())
                .collect();
            minimise(samples, &noisy, [law.sigma.ln(), law.kappa.ln()], 50)
        })
        .collect();
    Ok(Fitted { law, draws, spread })
}

fn check(samples: &[Sample]) -> Result<(), CurveError> {
    for &Sample { connections, value, weight } in samples {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if !(positive(value) && positive(weight) && connections.is_finite() && connections >= 1.0) {
            return Err(CurveError::BadSample { connections, value, weight });
        }
    }
    let mut sizes: Vec<f64> = samples.iter().map(|sample| sample.connections).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < 3 { Err(CurveError::TooFewSizes { found: sizes.len(), needed: 3 }) } else { Ok(()) }
}

/// The best of a coarse grid, as a start that does not depend on chance.
fn grid(samples: &[Sample], logs: &[f64]) -> [f64; 2] {
    let cost = Cost { samples, logs };
    let steps = |(low, high): (f64, f64), n: u32| {
        (0..n).map(move |step| low + (high - low) * (f64::from(step) + 0.5) / f64::from(n))
    };
    let mut best = ([-4.0, -7.0], f64::INFINITY);
    for ln_sigma in steps(LN_SIGMA, 9) {
        for ln_kappa in steps(LN_KAPPA, 12) {
            let value = cost.at([ln_sigma, ln_kappa]).0;
            if value < best.1 {
                best = ([ln_sigma, ln_kappa], value);
            }
        }
    }
    best.0
}

fn minimise(samples: &[Sample], logs: &[f64], start: [f64; 2], steps: u64) -> Scalability {
    let simplex = vec![start.to_vec(), vec![start[0] + 0.8, start[1]], vec![start[0], start[1] + 0.8]];
    let cost = Cost { samples, logs };
    let best = NelderMead::new(simplex)
        .with_sd_tolerance(1e-12)
        .and_then(|solver| {
            Executor::new(cost, solver).configure(|state| state.max_iters(steps)).timer(false).ctrlc(false).run()
        })
        .ok()
        .and_then(|result| result.state().get_best_param().map(|best| [best[0], best[1]]))
        .unwrap_or(start);
    let [sigma, kappa] = inside(best).map(f64::exp);
    let ln_lambda = Cost { samples, logs }.at(best).1;
    Scalability { lambda: ln_lambda.exp(), sigma, kappa }
}

fn inside(at: [f64; 2]) -> [f64; 2] {
    [at[0].clamp(LN_SIGMA.0, LN_SIGMA.1), at[1].clamp(LN_KAPPA.0, LN_KAPPA.1)]
}

struct Cost<'a> {
    samples: &'a [Sample],
    logs: &'a [f64],
}

impl Cost<'_> {
    /// The weighted sum of squares, with a slope back into the bounds, and the best ln λ.
    fn at(&self, at: [f64; 2]) -> (f64, f64) {
        let bounded = inside(at);
        let outside = (at[0] - bounded[0]).powi(2) + (at[1] - bounded[1]).powi(2);
        let [sigma, kappa] = bounded.map(f64::exp);
        let (mut weights, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (sample, log) in self.samples.iter().zip(self.logs) {
            let n = sample.connections;
            let residual = log - n.ln() + slowdown(sigma, kappa, n).ln();
            weights += sample.weight;
            sum += sample.weight * residual;
            squares += sample.weight * residual * residual;
        }
        let ln_lambda = sum / weights;
        ((squares - sum * ln_lambda).max(0.0) + 1e-3 * outside, ln_lambda)
    }
}

impl CostFunction for Cost<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.at([at[0], at[1]]).0)
    }
}
