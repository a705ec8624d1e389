//! Points worth looking at: everything where the space is small, else a low-discrepancy sequence and neighbours.

use rand::{Rng, RngExt};
use sobol::{Sobol, params::JoeKuoD6};

use super::cube::{Cube, Point};
use crate::stats::standard_normal;

/// Spaces of at most so many points are looked at as a whole.
const SMALL: usize = 400;

/// Points of a Sobol sequence (Joe and Kuo 2008), shifted at random as a whole (Cranley and Patterson 1976), that the
/// rules between settings allow; fewer than `n` when the rules forbid most of the space.
pub(super) fn spread(cube: &Cube, n: usize, rng: &mut impl Rng) -> Vec<Point> {
    let shift: Vec<f64> = (0..cube.n_axes()).map(|_| rng.random()).collect();
    Sobol::<f64>::new(cube.n_axes().max(1), &JoeKuoD6::minimal())
        .take(4 * n)
        .filter_map(|at| {
            let at: Vec<f64> = at.iter().zip(&shift).map(|(share, shift)| (share + shift).fract()).collect();
            cube.place(&at)
        })
        .take(n)
        .collect()
}

/// The points among which a choice is made: `known` ones first, then the whole space or a spread of `n`.
pub(super) fn pool(cube: &Cube, known: impl IntoIterator<Item = Point>, n: usize, rng: &mut impl Rng) -> Vec<Point> {
    let mut points = vec![];
    for point in known.into_iter().chain(cube.all(SMALL).unwrap_or_else(|| spread(cube, n, rng))) {
        push_new(&mut points, point);
    }
    points
}

/// Adds points near `centre` to `points`: `n` in all directions, in some of the coordinates.
pub(super) fn add_neighbours(points: &mut Vec<Point>, cube: &Cube, centre: &Point, n: usize, rng: &mut impl Rng) {
    for _ in 0..n {
        let reach = 0.25 * rng.random::<f64>();
        let chance = 1.5 / f64::from(u32::try_from(cube.n_axes().max(2)).unwrap_or(u32::MAX));
        let sure = rng.random_range(0..cube.n_axes());
        let at: Vec<f64> = centre
            .at
            .iter()
            .enumerate()
            .map(|(axis, share)| {
                if axis == sure || rng.random::<f64>() < chance { share + reach * standard_normal(rng) } else { *share }
            })
            .collect();
        if let Some(point) = cube.place(&at) {
            push_new(points, point);
        }
    }
}

pub(super) fn push_new(points: &mut Vec<Point>, point: Point) {
    if !points.iter().any(|other| other.at == point.at) {
        points.push(point);
    }
}
