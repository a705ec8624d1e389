//! The choice of the next trial.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    candidates::{add_neighbours, pool},
    cube::{Cube, Point},
    surrogate::{Row, Surrogate, View},
    types::Config,
};
use crate::stats::{normal_quantile, real};

/// Probability of keeping the limits that settings need to be recommended.
pub(super) const SURE: f64 = 0.95;
/// Settings that may turn out to be the recommendation, for judging what a trial is worth.
const CONTENDERS: usize = 32;
/// Equally likely outcomes of a trial that are looked at.
const OUTCOMES: usize = 9;

/// The most valuable next trial, and the highest expected improvement on ln throughput of today's best settings.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) point: Point,
    pub(super) improvement: f64,
}

pub(super) fn choose(surrogate: &Surrogate, cube: &Cube, rows: &[Row], config: &Config) -> Choice {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (0xac00_0000 + rows.len() as u64));
    let known = std::iter::once(cube.baseline()).chain(rows.iter().map(|row| row.point.clone()));
    let mut points = pool(cube, known, 192, &mut rng);
    let view = surrogate.view(&points);
    let best = best(&view);
    let improvement = improvement(surrogate, &points, best, &view.feasible);
    let centre = points[best].clone();
    add_neighbours(&mut points, cube, &centre, 64, &mut rng);
    let first = judge(surrogate, &points);
    // A second look around the most valuable trial and the best settings.
    let leader = points[first.0].clone();
    let mut near = vec![leader.clone(), centre];
    add_neighbours(&mut near, cube, &leader, 48, &mut rng);
    let view = surrogate.view(&points);
    for contender in contenders(&view).into_iter().take(CONTENDERS) {
        super::candidates::push_new(&mut near, points[contender].clone());
    }
    let second = judge(surrogate, &near);
    Choice { point: if second.1 >= first.1 { near[second.0].clone() } else { leader }, improvement }
}

/// The highest expected improvement (Jones, Schonlau and Welch, Journal of Global Optimization 13 (1998) 455–492) of any
/// point on the point `best`, times the probability that it keeps the limits.
///
/// It is what there may still be to find, and so says when to stop; what a single noisy trial can be expected to find of it
/// is far less.
fn improvement(surrogate: &Surrogate, points: &[Point], best: usize, feasible: &[f64]) -> f64 {
    let mut order = vec![points[best].clone()];
    order.extend_from_slice(points);
    let against = surrogate.against_first(&order);
    let expected = against[1..].iter().zip(feasible).map(|(law, feasible)| law.shortfall() * feasible);
    expected.fold(0.0, f64::max)
}

/// The best of the points by expected throughput among those that surely keep the limits; else the surest.
pub(super) fn best(view: &View) -> usize {
    contenders(view)[0]
}

/// Points from the best downwards: those that surely keep the limits by expected throughput, then the others by probability.
fn contenders(view: &View) -> Vec<usize> {
    let mut order: Vec<usize> = (0..view.means.len()).collect();
    let key = |&point: &usize| -> (f64, f64) {
        let feasible = view.feasible[point];
        if feasible >= SURE { (1.0, view.means[point]) } else { (0.0, feasible) }
    };
    order.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    order
}

/// The most valuable of `points` to try, with its expected gain.
///
/// The knowledge gradient for correlated beliefs (Frazier, Powell and Dayanik, INFORMS Journal on Computing 21 (2009)
/// 599–613): by how much the expected throughput of the best contender is expected to rise through the trial's outcome,
/// noise and drift considered; times the probability that the settings keep the limits.
fn judge(surrogate: &Surrogate, points: &[Point]) -> (usize, f64) {
    let view = surrogate.view(points);
    let contenders: Vec<usize> =
        contenders(&view).into_iter().filter(|point| view.feasible[*point] > 0.5).take(CONTENDERS).collect();
    if contenders.is_empty() {
        return (best(&view), 1.0);
    }
    let rivals: Vec<Point> = contenders.iter().map(|point| points[*point].clone()).collect();
    let bases = surrogate.speed.bases_between(&rivals, points);
    let outcomes: Vec<f64> = (0..OUTCOMES).map(|k| normal_quantile((real(k) + 0.5) / real(OUTCOMES))).collect();
    let mut gains = vec![0.0; points.len()];
    for (draw, belief) in view.beliefs.iter().enumerate() {
        let prior = surrogate.speed.prior(draw, &bases);
        let (_, drift, drift_variance) = surrogate.speed.drift(draw, surrogate.now());
        let noise = surrogate.speed.noise(draw);
        let means: Vec<f64> = contenders.iter().map(|point| belief.means[*point]).collect();
        let top = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (point, gain) in gains.iter_mut().enumerate() {
            let seen = belief.whitened.column(point) + &drift;
            let spread = (belief.prior + drift_variance + noise - seen.norm_squared()).max(1e-12).sqrt();
            let slopes: Vec<f64> = contenders
                .iter()
                .enumerate()
                .map(|(row, rival)| (prior[(row, point)] - belief.whitened.column(*rival).dot(&seen)) / spread)
                .collect();
            let after = |z: &f64| {
                means.iter().zip(&slopes).map(|(mean, slope)| mean + slope * z).fold(f64::NEG_INFINITY, f64::max)
            };
            // The level is common to all, so its part of the slopes cancels in the mean over symmetric outcomes.
            *gain += outcomes.iter().map(after).sum::<f64>() / real(OUTCOMES) - top;
        }
    }
    let draws = real(view.beliefs.len());
    let value = |point: usize| gains[point] / draws * view.feasible[point];
    let winner = (0..points.len()).max_by(|a, b| value(*a).total_cmp(&value(*b))).unwrap_or(0);
    (winner, value(winner))
}
