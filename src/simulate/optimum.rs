//! The best settings of a known response, by multi-start ascent over one and two settings at a time.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::response::{LIMIT, value};
use crate::model::{Axis, Scale, Setting, Settings};

/// Values tried along an axis that is not made of a few whole numbers.
const STEPS: u32 = 32;

/// The best settings that keep the success limit, and their throughput.
pub(super) fn best(
    axes: &[Axis],
    throughput: impl Fn(&Settings) -> f64,
    success: impl Fn(&Settings) -> f64,
) -> Option<(Settings, f64)> {
    let score = |at: &[f64]| {
        let settings = place(axes, at);
        let over = (LIMIT - success(&settings)).max(0.0);
        // Outside the limit, towards it first.
        if over > 0.0 { -over } else { throughput(&settings) }
    };
    let mut rng = ChaCha8Rng::seed_from_u64(42);
    let mut best: Option<(Vec<f64>, f64)> = None;
    for _ in 0..6 {
        let mut at: Vec<f64> = axes.iter().map(|_| rng.random()).collect();
        let mut height = score(&at);
        loop {
            let before = height;
            for first in 0..axes.len() {
                climb(&mut at, &mut height, &[first], STEPS * 2, &score);
            }
            for first in 0..axes.len() {
                for second in first + 1..axes.len() {
                    climb(&mut at, &mut height, &[first, second], STEPS / 2, &score);
                }
            }
            if height <= before + 1e-6 * before.abs() {
                break;
            }
        }
        if best.as_ref().is_none_or(|(_, highest)| height > *highest) {
            best = Some((at, height));
        }
    }
    best.filter(|(_, height)| *height > 0.0).map(|(at, height)| (place(axes, &at), height))
}

/// Moves along one or two axes to the best of an even grid.
fn climb(at: &mut Vec<f64>, height: &mut f64, axes: &[usize], steps: u32, score: &impl Fn(&[f64]) -> f64) {
    let inner = if axes.len() == 2 { steps } else { 0 };
    let mut trial = at.clone();
    for outer in 0..=steps {
        for second in 0..=inner {
            trial[axes[0]] = f64::from(outer) / f64::from(steps);
            if let Some(&axis) = axes.get(1) {
                trial[axis] = f64::from(second) / f64::from(inner);
            }
            let found = score(&trial);
            if found > *height {
                *height = found;
                at.clone_from(&trial);
            }
        }
    }
}

/// The settings at a point of the unit cube; the minimum is cut to the maximum.
pub(super) fn place(axes: &[Axis], at: &[f64]) -> Settings {
    let mut settings = Settings::default();
    for (axis, share) in axes.iter().zip(at) {
        let log = axis.setting.spec().scale == Scale::Log;
        let number = if log {
            (axis.low.ln() + share * (axis.high / axis.low).ln()).exp().clamp(axis.low, axis.high)
        } else {
            axis.low + share * (axis.high - axis.low)
        };
        if let Some(value) = value(axis.setting, number) {
            settings = settings.with(axis.setting, value);
        }
    }
    if settings.min_connections() > settings.max_connections() {
        let most = settings.get(Setting::MaxConnections).clone();
        settings = settings.with(Setting::MinConnections, most);
    }
    settings
}
