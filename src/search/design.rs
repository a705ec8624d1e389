//! The trials that a search begins with, before the surrogate has anything to go by.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    candidates::spread,
    cube::Cube,
    types::{Config, Proposal, Reason},
};
use crate::{model::Settings, stats::real};

/// Trials from one repeat of the baseline to the next.
pub(super) const BASELINE_EVERY: usize = 7;

/// Different pool sizes for the curve.
const SIZES: usize = 5;

/// The baseline twice, pool sizes from the smallest to the largest in a shuffled order, and a few spread points; at most
/// half of the budget, where that leaves room for the baseline.
///
/// With more than two axes the sizes are tried at different places of the other axes: the surrogate tells the effects
/// apart, and each trial counts for all of them.
pub(super) fn start(cube: &Cube, config: &Config) -> Vec<Proposal> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0xde51_6e00);
    let baseline = cube.baseline();
    let repeat = || Proposal { settings: baseline.settings.clone(), reason: Reason::Baseline };
    let mut proposals = vec![repeat()];
    if cube.n_axes() == 0 {
        proposals.push(repeat());
        return proposals;
    }
    let n_spread = if cube.n_axes() > 2 { cube.n_axes() / 2 } else { cube.n_axes() - 1 };
    let mut points = spread(cube, SIZES + n_spread, &mut rng).into_iter();
    if let Some(axis) = cube.connections_axis() {
        // Far apart first, so that a short budget still spans the range.
        for step in [4, 0, 2, 1, 3] {
            let mut at = baseline.at.clone();
            if cube.n_axes() > 2
                && let Some(point) = points.next()
            {
                at = point.at;
            }
            at[axis] = real(step) / real(SIZES - 1);
            if let Some(point) = cube.place(&at) {
                proposals.push(Proposal { settings: point.settings, reason: Reason::Curve });
            }
        }
    }
    proposals.insert(proposals.len().min(2), repeat());
    let spread = points.take(n_spread).map(|point| Proposal { settings: point.settings, reason: Reason::Sobol });
    proposals.extend(spread);
    proposals.truncate((config.max_trials / 2).max(2));
    proposals
}

/// How many trials of [`start`] a search makes that knows earlier ones: the baseline twice, and three sizes that span the range.
const ENOUGH: usize = 5;

/// [`start`] with settings that were recommended before behind the first trial; only the beginning of it where `knows`.
pub(super) fn start_with(cube: &Cube, config: &Config, standing: Option<&Settings>, knows: bool) -> Vec<Proposal> {
    let mut proposals = start(cube, config);
    if knows {
        proposals.truncate(ENOUGH);
    }
    if let Some(settings) = standing.filter(|settings| **settings != cube.baseline().settings) {
        proposals.insert(1, Proposal { settings: settings.clone(), reason: Reason::Standing });
    }
    proposals
}
