//! Distributions of times by how many connections are at work, fitted to what trials of several sizes measured.
//!
//! A trial of two seconds is noisy, its 95th percentile most of all, so that a curve through all sizes says more of each than
//! its own trials do: every figure is a straight line or a parabola on logarithmic scales. Which of them is decided by how
//! well each foretells a size from the others.

use super::{At, ByActive, Times};
use crate::{model::Latency, stats};

/// What is known of a distribution: the share below, and where it is measured.
const KNOWN: [(f64, fn(&Latency) -> f64); 6] = [
    (0.5, |of| of.p50),
    (0.9, |of| of.p90),
    (0.95, |of| of.p95),
    (0.99, |of| of.p99),
    (0.999, |of| of.p999),
    (1.0, |of| of.max),
];
/// Those percentiles and the mean.
const FIGURES: usize = KNOWN.len() + 1;
/// The shortest time as a share of the median: what nobody has measured, and what matters least.
const LOWEST: f64 = 0.4;
/// Below this many sizes a parabola has nothing left to be judged by.
const SIZES_FOR_A_PARABOLA: usize = 4;
/// No time is measured as shorter: what is written as nothing still has a logarithm.
const SHORTEST: f64 = 1e-8;

/// What trials of one size measured.
pub(super) struct Group<'a> {
    /// Connections at work on average.
    pub(super) active: f64,
    /// Times, one distribution a trial.
    pub(super) latencies: Vec<&'a Latency>,
    /// By what they have to be multiplied.
    pub(super) factor: f64,
}

/// A size, as the curves see it.
#[derive(Clone, Copy)]
struct Place {
    /// Logarithm of the number at work.
    at: f64,
    /// Trials.
    weight: f64,
    /// Logarithms of the figures.
    figures: [f64; FIGURES],
}

/// The times at each size, smoothed over all of them.
pub(super) fn by_active(groups: &[Group<'_>]) -> ByActive {
    let places: Vec<Place> = groups.iter().map(place).collect();
    let degree = degree(&places);
    let at =
        |of: &Place| At { active: of.at.exp(), times: distribution(&foretold(&places, degree, of.at).map(f64::exp)) };
    ByActive::new(places.iter().map(at).collect())
}

/// The distribution that has the mean and the percentiles of measured ones, over all of them.
pub(super) fn over_all(latencies: &[&Latency]) -> Times {
    distribution(&figures(latencies).map(f64::exp))
}

fn place(group: &Group<'_>) -> Place {
    let factor = group.factor.ln();
    Place {
        at: group.active.max(1.0).ln(),
        weight: stats::real(group.latencies.len()),
        figures: figures(&group.latencies).map(|figure| figure + factor),
    }
}

/// The mean over trials of each figure's logarithm, which one bad trial moves less.
fn figures(latencies: &[&Latency]) -> [f64; FIGURES] {
    let over = |pick: &dyn Fn(&Latency) -> f64| {
        stats::mean(&latencies.iter().map(|of| pick(of).max(SHORTEST).ln()).collect::<Vec<_>>())
    };
    std::array::from_fn(|figure| match KNOWN.get(figure) {
        Some((_, pick)) => over(pick),
        None => over(&|of| of.mean),
    })
}

/// The degree of the curves: that which foretells each size best from the others.
fn degree(places: &[Place]) -> usize {
    let most = if places.len() < SIZES_FOR_A_PARABOLA { 1 } else { 2 };
    let missed_by = |degree: usize| -> f64 {
        let missed = |left_out: usize| -> f64 {
            let others: Vec<Place> =
                places.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, of)| *of).collect();
            let of = &places[left_out];
            let foretold = foretold(&others, degree, of.at);
            foretold.iter().zip(&of.figures).map(|(said, measured)| (said - measured).powi(2) * of.weight).sum()
        };
        (0..places.len()).map(missed).sum()
    };
    if most == 2 && missed_by(2) < missed_by(1) { 2 } else { 1 }
}

fn foretold(places: &[Place], degree: usize, at: f64) -> [f64; FIGURES] {
    std::array::from_fn(|figure| {
        let points: Vec<_> = places.iter().map(|of| (of.at, of.weight, of.figures[figure])).collect();
        polynomial(&points, degree, at)
    })
}

/// The value at `x` of the polynomial of least squares through points of place, weight and value, by polynomials that are
/// orthogonal on them (Forsythe 1957), of a lower degree where the places are too few for it.
fn polynomial(points: &[(f64, f64, f64)], degree: usize, x: f64) -> f64 {
    /// Square of the distance, on the logarithmic scale, below which places are one.
    const ALONE: f64 = 1e-6;
    let sum = |of: &dyn Fn(usize) -> f64| (0..points.len()).map(|index| points[index].1 * of(index)).sum::<f64>();
    let (mut last, mut last_at_x) = (vec![0.0; points.len()], 0.0);
    let (mut basis, mut basis_at_x) = (vec![1.0; points.len()], 1.0);
    let mut last_norm = f64::INFINITY;
    let mut value = 0.0;
    for step in 0..=degree {
        let norm = sum(&|index| basis[index] * basis[index]);
        if step > 0 && norm < ALONE {
            break;
        }
        value += basis_at_x * sum(&|index| basis[index] * points[index].2) / norm;
        let centre = sum(&|index| points[index].0 * basis[index] * basis[index]) / norm;
        let back = norm / last_norm;
        let next: Vec<f64> =
            (0..points.len()).map(|index| (points[index].0 - centre) * basis[index] - back * last[index]).collect();
        let next_at_x = (x - centre) * basis_at_x - back * last_at_x;
        (last, basis) = (basis, next);
        (last_at_x, basis_at_x) = (basis_at_x, next_at_x);
        last_norm = norm;
    }
    value
}

/// The distribution with these percentiles and this mean.
fn distribution(figures: &[f64; FIGURES]) -> Times {
    let mut known = vec![(0.0, figures[0] * LOWEST)];
    known.extend(KNOWN.iter().zip(figures).map(|((share, _), figure)| (*share, *figure)));
    between(&known, figures[FIGURES - 1])
}

/// A distribution through known quantiles; how it goes between them is bent, everywhere alike, until it has the mean.
fn between(known: &[(f64, f64)], mean: f64) -> Times {
    let bent = |bend: f64| {
        Times::new(|share| {
            let above = known.iter().position(|(at, _)| *at >= share).unwrap_or(known.len() - 1).max(1);
            let ((from, low), (to, high)) = (known[above - 1], known[above]);
            let part = ((share - from) / (to - from)).clamp(0.0, 1.0);
            low + (high - low).max(0.0) * part.powf(bend)
        })
    };
    // The more it is bent, the later it rises and the smaller the mean.
    let (mut low, mut high) = (0.02_f64, 50.0_f64);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if bent(middle).mean() > mean { low = middle } else { high = middle }
    }
    bent((low * high).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_keeps_its_percentiles_and_its_mean() {
        let truth = Times::new(|share| if share > 0.97 { 0.0205 } else { 0.0001 * (share * 4.0).exp() });
        let known: Vec<_> = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(|at| (at, truth.quantile(at))).into();
        let found = between(&known, truth.mean());
        assert!((found.mean() / truth.mean() - 1.0).abs() < 0.01, "{} {}", found.mean(), truth.mean());
        for share in [0.5, 0.9, 0.95, 0.99] {
            let (found, truth) = (found.quantile(share), truth.quantile(share));
            assert!((found / truth - 1.0).abs() < 0.05, "{share}: {found} for {truth}");
        }
    }

    #[test]
    fn a_parabola_is_found_again_and_a_line_where_there_are_but_two_places() {
        let parabola = |x: f64| 3.0 - 2.0 * x + 0.5 * x * x;
        let points: Vec<_> = [1.0, 2.0, 2.5, 4.0].map(|x| (x, 1.0 + x, parabola(x))).into();
        for x in [0.5, 2.2, 5.0] {
            assert!((polynomial(&points, 2, x) - parabola(x)).abs() < 1e-9, "{x}");
        }
        assert!((polynomial(&[(1.0, 3.0, 5.0), (2.0, 1.0, 7.0)], 2, 3.0) - 9.0).abs() < 1e-9);
        assert!((polynomial(&[(1.0, 3.0, 5.0)], 2, 3.0) - 5.0).abs() < 1e-9);
    }
}
