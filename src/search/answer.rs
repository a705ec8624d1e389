//! What all trials together say.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    acquire::{SURE, best},
    candidates::{add_neighbours, pool, push_new},
    cube::{Cube, Point},
    surrogate::{Row, Surrogate},
    types::{Answer, Config, Decision, Effect, Infeasible, Recommendation},
};
use crate::model::Setting;

/// A loss of throughput (on the logarithm) so small that fewer connections are worth it.
const TIE: f64 = 0.001;
/// A gain (on the logarithm) below which a setting whose effect is uncertain stays as it is.
const WORTH: f64 = 0.001;

pub(super) fn answer(surrogate: &Surrogate, cube: &Cube, rows: &[Row], config: &Config) -> Answer {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (0xa500_0000 + rows.len() as u64));
    let baseline = cube.baseline();
    let known = std::iter::once(baseline.clone()).chain(rows.iter().map(|row| row.point.clone()));
    let mut points = pool(cube, known, 512, &mut rng);
    for n in [96, 64, 64] {
        if cube.n_axes() == 0 {
            break;
        }
        let centre = points[best(&surrogate.view(&points))].clone();
        add_neighbours(&mut points, cube, &centre, n, &mut rng);
    }
    let view = surrogate.view(&points);
    let winner = best(&view);
    if view.feasible[winner] < SURE {
        return Answer::Infeasible(infeasible(surrogate, &points[winner], view.feasible[winner]));
    }
    let mut chosen = fewest(surrogate, &points, winner, &view.feasible, &baseline);
    put_back(surrogate, cube, &mut chosen, &baseline);
    Answer::Feasible(Box::new(recommend(surrogate, cube, &chosen, &baseline, &points)))
}

/// Among the points that cannot be told from the winner and lose next to nothing: the fewest connections, then the fewest
/// idle ones, then the nearest to the baseline.
fn fewest(surrogate: &Surrogate, points: &[Point], winner: usize, feasible: &[f64], baseline: &Point) -> Point {
    let mut order = points.to_vec();
    order.swap(0, winner);
    let against = surrogate.against_first(&order);
    let rank = |point: &Point| {
        let distance: f64 = point.at.iter().zip(&baseline.at).map(|(a, b)| (a - b).powi(2)).sum();
        (point.settings.max_connections(), point.settings.min_connections(), distance)
    };
    let mut chosen = &order[0];
    for (index, point) in order.iter().enumerate() {
        let place = if index == 0 {
            winner
        } else if index == winner {
            0
        } else {
            index
        };
        let tied = feasible[place] >= SURE && against[index].mean() <= TIE;
        let (a, b) = (rank(point), rank(chosen));
        if tied && (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).is_lt() {
            chosen = point;
        }
    }
    chosen.clone()
}

/// Puts settings back to the baseline, one by one, the least useful change first, while that costs nothing measurable.
fn put_back(surrogate: &Surrogate, cube: &Cube, chosen: &mut Point, baseline: &Point) {
    loop {
        let changed = changed(cube, chosen, baseline);
        let mut points = vec![chosen.clone()];
        points.extend(changed.iter().filter_map(|axis| cube.with_axis(chosen, *axis, &baseline.settings)));
        if points.len() == 1 {
            return;
        }
        let feasible = surrogate.view(&points).feasible;
        let laws = surrogate.against_first(&points);
        let least = (1..points.len())
            .filter(|index| feasible[*index] >= SURE && points[*index] != *chosen)
            .min_by(|a, b| laws[*a].mean().total_cmp(&laws[*b].mean()));
        match least {
            Some(index) if laws[index].mean() < WORTH && laws[index].estimate(|log| log).interval.low <= 0.0 => {
                *chosen = points[index].clone();
            }
            _ => return,
        }
    }
}

fn changed(cube: &Cube, chosen: &Point, baseline: &Point) -> Vec<usize> {
    (0..cube.n_axes())
        .filter(|axis| {
            let setting = cube.setting(*axis);
            chosen.settings.get(setting) != baseline.settings.get(setting)
        })
        .collect()
}

fn recommend(surrogate: &Surrogate, cube: &Cube, chosen: &Point, baseline: &Point, points: &[Point]) -> Recommendation {
    let pair = [chosen.clone(), baseline.clone()];
    let effects = (0..cube.n_axes()).map(|axis| effect(surrogate, cube, chosen, baseline, axis, points)).collect();
    Recommendation {
        settings: chosen.settings.clone(),
        throughput: surrogate.fresh(chosen).estimate(f64::exp),
        ratio: surrogate.against_first(&pair)[1].estimate(f64::exp),
        probability_feasible: surrogate.view(&pair[..1]).feasible[0],
        effects,
    }
}

/// What is to be said of settings that are not the search's choice.
pub(super) fn assess(
    surrogate: &Surrogate,
    cube: &Cube,
    rows: &[Row],
    config: &Config,
    chosen: &Point,
) -> Recommendation {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (0xa55e_0000 + rows.len() as u64));
    let baseline = cube.baseline();
    let known = [baseline.clone(), chosen.clone()].into_iter().chain(rows.iter().map(|row| row.point.clone()));
    let points = pool(cube, known, 512, &mut rng);
    recommend(surrogate, cube, chosen, &baseline, &points)
}

fn effect(
    surrogate: &Surrogate,
    cube: &Cube,
    chosen: &Point,
    baseline: &Point,
    axis: usize,
    points: &[Point],
) -> Effect {
    let setting = cube.setting(axis);
    let (was, now) = (baseline.settings.get(setting).clone(), chosen.settings.get(setting).clone());
    let decision = if was == now { Decision::Kept } else { Decision::Changed };
    let (alternative, ratio) = if decision == Decision::Changed {
        let before = cube.with_axis(chosen, axis, &baseline.settings).unwrap_or_else(|| baseline.clone());
        let law = &surrogate.against_first(&[chosen.clone(), before])[1];
        (was.clone(), law.estimate(f64::exp))
    } else {
        let others = others(cube, chosen, axis, points);
        if others.is_empty() {
            let same = crate::model::Interval { low: 1.0, high: 1.0 };
            (now.clone(), crate::model::Estimate { value: 1.0, interval: same })
        } else {
            let view = surrogate.view(&others);
            let other = others[best(&view)].clone();
            let alternative = other.settings.get(setting).clone();
            let law = &surrogate.against_first(&[other, chosen.clone()])[1];
            (alternative, law.estimate(f64::exp))
        }
    };
    let distinguishable = !ratio.interval.contains(1.0);
    Effect { setting, decision, was, now, alternative, ratio, distinguishable }
}

/// The chosen settings with other values of one setting, at most forty.
fn others(cube: &Cube, chosen: &Point, axis: usize, points: &[Point]) -> Vec<Point> {
    let mut others: Vec<Point> = vec![];
    for point in points {
        if others.len() == 40 {
            break;
        }
        if let Some(other) = cube.with_axis(chosen, axis, &point.settings)
            && other.settings.get(cube.setting(axis)) != chosen.settings.get(cube.setting(axis))
            && (cube.setting(axis) == Setting::MinConnections
                || other.settings.min_connections() == chosen.settings.min_connections())
        {
            push_new(&mut others, other);
        }
    }
    others
}

fn infeasible(surrogate: &Surrogate, point: &Point, probability_feasible: f64) -> Infeasible {
    let laws = surrogate.limited(point);
    Infeasible {
        settings: point.settings.clone(),
        probability_feasible,
        success_rate: laws[0].estimate(|odds| 1.0 / (1.0 + (-odds).exp())),
        latency_margin: laws.get(1).map(|law| law.estimate(|margin| margin)),
    }
}
