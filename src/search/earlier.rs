//! What earlier searches of the same space knew: rows with more noise, of which the newest count most.

use super::{
    cube::Cube,
    surrogate::{Past, Row},
    types::{Earlier, Outcome},
};
use crate::{model::Settings, stats::real};

/// Most rows of earlier nights. What the surrogate costs grows with the cube of their number, and the newest say most.
const MOST: usize = 28;
/// What the variance of a row's noise is multiplied by when it is new: settings act a little otherwise each night.
const INFLATION: f64 = 2.0;
/// Days by which that grows as much again.
const DAYS: f64 = 10.0;

/// The rows, newest night first: one for each settings that were tried in a night, relative to that night's settings in use.
/// A night without these says nothing.
pub(super) fn rows(cube: &Cube, earlier: &[Earlier]) -> Vec<Row> {
    let baseline = cube.baseline();
    let mut rows: Vec<Row> = Vec::new();
    for (night, of) in (1..).zip(earlier) {
        let mut tried: Vec<(&Settings, Vec<Outcome>)> = Vec::new();
        for (settings, outcome) in &of.trials {
            match tried.iter_mut().find(|(known, _)| *known == settings) {
                Some((_, outcomes)) => outcomes.push(*outcome),
                None => tried.push((settings, vec![*outcome])),
            }
        }
        let in_use = tried.iter().find(|(settings, _)| **settings == baseline.settings);
        let Some(level) = in_use.map(|(_, outcomes)| together(outcomes).throughput).filter(|level| *level > 0.0) else {
            continue;
        };
        let inflation = INFLATION * (1.0 + of.days.max(0.0) / DAYS);
        rows.extend(tried.into_iter().map(|(settings, outcomes)| Row {
            point: cube.point(settings.clone()),
            outcome: together(&outcomes),
            past: Some(Past { night, level, trials: real(outcomes.len()), inflation }),
        }));
        if rows.len() >= MOST {
            rows.truncate(MOST);
            break;
        }
    }
    rows
}

/// Several outcomes of the same settings as one: the geometric mean of their throughputs, and all of their requests.
fn together(outcomes: &[Outcome]) -> Outcome {
    let n = real(outcomes.len());
    let mean = |figure: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(figure).sum::<f64>() / n;
    let margins: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.latency_margin).collect();
    Outcome {
        // A trial without any success makes it 0, as it is for one.
        throughput: mean(&|outcome| outcome.throughput.ln()).exp(),
        throughput_error: outcomes.iter().filter_map(|outcome| outcome.throughput_error).reduce(f64::max),
        succeeded: outcomes.iter().map(|outcome| outcome.succeeded).sum(),
        failed: outcomes.iter().map(|outcome| outcome.failed).sum(),
        latency_margin: (margins.len() == outcomes.len()).then(|| margins.iter().sum::<f64>() / n),
    }
}
