//! What a setting that acts on failures does to the share that is served under faults, over all trials of a search.
//!
//! Each is looked at by itself, by the means of trials near a value (Nadaraya and Watson), and what it does is taken out before
//! the next. It picks what is verified, and no more.

use super::session::WORTH;
use crate::{
    model::{Axis, Estimate, Interval, Scale, Settings, Value},
    search::{Decision, Effect},
    stats,
    store::TrialRecord,
};

/// How near trials have to be to count for a value, as a share of the range.
const NEAR: f64 = 0.12;
/// Values that could have been picked by chance, about: how many times the range is as wide as what is near.
const PLACES: f64 = 5.0;
/// Trials, in weight, that a value needs to be looked at.
const FEWEST: f64 = 1.5;

/// Trials around a value.
#[derive(Clone, Copy)]
struct Around {
    mean: f64,
    /// The variance of the mean over that of one trial.
    spread: f64,
}

/// The effects of settings on what faults leave of throughput, each trial's share counted by `weight`: none for a setting of
/// which too few trials say anything.
///
/// What one setting is found to do is taken out before the next one is looked at: trials that look good are made of settings
/// that were moved together, and one of them would have the other's merit.
pub(super) fn effects(axes: &[&Axis], baseline: &Settings, weight: f64, trials: &[TrialRecord]) -> Vec<Effect> {
    let shares = trials.iter().map(|trial| trial.measurement.under_faults.as_ref().map_or(1.0, |part| part.share));
    let mut shares: Vec<f64> = shares.collect();
    let mut left: Vec<&Axis> = axes.to_vec();
    let mut found = Vec::new();
    while !left.is_empty() {
        let looks = left.iter().map(|axis| look(axis, baseline, weight, trials, &shares));
        let (looked, silent): (Vec<_>, Vec<_>) = looks.zip(left.iter().copied()).partition(|(look, _)| look.is_some());
        left.retain(|axis| !silent.iter().any(|(_, known)| known.setting == axis.setting));
        let sure = |look: &Look| look.gain - look.reach;
        let looked: Vec<Look> = looked.into_iter().filter_map(|(look, _)| look).collect();
        let Some(best) = looked.iter().filter(|look| look.is_changed()).max_by(|a, b| sure(a).total_cmp(&sure(b)))
        else {
            found.extend(looked.into_iter().map(|look| look.effect));
            break;
        };
        left.retain(|axis| axis.setting != best.effect.setting);
        shares.clone_from(&best.without);
        found.push(best.effect.clone());
    }
    found
}

/// What trials say of one setting.
struct Look {
    effect: Effect,
    gain: f64,
    reach: f64,
    /// The shares less what the setting does to them.
    without: Vec<f64>,
}

impl Look {
    fn is_changed(&self) -> bool {
        self.effect.decision == Decision::Changed
    }
}

fn look(axis: &Axis, baseline: &Settings, weight: f64, trials: &[TrialRecord], shares: &[f64]) -> Option<Look> {
    let place = |value: &Value| place(axis, value);
    let places: Vec<f64> = trials.iter().map(|trial| place(trial.settings.get(axis.setting))).collect::<Option<_>>()?;
    let points: Vec<(f64, f64)> = places.iter().copied().zip(shares.iter().copied()).collect();
    let was = baseline.get(axis.setting).clone();
    let in_use = around(place(&was)?, &points)?;
    let mut values: Vec<(f64, Value)> = trials
        .iter()
        .zip(&places)
        .map(|(trial, place)| (*place, trial.settings.get(axis.setting).clone()))
        .filter(|(_, value)| *value != was)
        .collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|a, b| a.1 == b.1);
    let known = values.into_iter().filter_map(|(at, value)| Some((around(at, &points)?, value)));
    let (best, other) = known.max_by(|a, b| a.0.mean.total_cmp(&b.0.mean))?;

    // What trials differ by that are near each other, and how many such differences there are.
    let fitted: Vec<f64> =
        places.iter().map(|at| around(*at, &points).map_or(in_use.mean, |around| around.mean)).collect();
    let freedom = stats::real(points.len()) - PLACES;
    if freedom < 2.0 {
        return None;
    }
    let squares: f64 = shares.iter().zip(&fitted).map(|(share, fitted)| (share - fitted).powi(2)).sum();
    let variance = squares / freedom;
    let reach =
        stats::student_quantile(1.0 - 0.025 / PLACES, freedom) * (variance * (best.spread + in_use.spread)).sqrt();
    let gain = best.mean - in_use.mean;
    let left = |share: f64| 1.0 - weight * (1.0 - share.clamp(0.0, 1.0));
    let ratio = |gain: f64| left(in_use.mean + gain) / left(in_use.mean);
    let interval = Interval { low: ratio(gain - reach), high: ratio(gain + reach) };
    let is_worth_it = interval.low > 1.0 + WORTH;
    let (decision, now, alternative) =
        if is_worth_it { (Decision::Changed, other, was.clone()) } else { (Decision::Kept, was.clone(), other) };
    let effect = Effect {
        setting: axis.setting,
        decision,
        was,
        now,
        alternative,
        ratio: Estimate { value: ratio(gain), interval },
        distinguishable: is_worth_it || gain + reach < 0.0,
    };
    let without = shares.iter().zip(&fitted).map(|(share, fitted)| share - (fitted - in_use.mean)).collect();
    Some(Look { effect, gain, reach, without })
}

/// Where a value lies in the range, from 0 to 1 on the setting's scale.
fn place(axis: &Axis, value: &Value) -> Option<f64> {
    let number = value.number()?;
    let (low, high) = (axis.low, axis.high);
    let place = if axis.setting.spec().scale == Scale::Log && low > 0.0 {
        (number.max(low * 1e-3) / low).ln() / (high / low).ln()
    } else {
        (number - low) / (high - low)
    };
    Some(place).filter(|place| place.is_finite())
}

fn around(at: f64, shares: &[(f64, f64)]) -> Option<Around> {
    let near = |place: f64| (-0.5 * ((place - at) / NEAR).powi(2)).exp();
    let weights: Vec<f64> = shares.iter().map(|(place, _)| near(*place)).collect();
    let (sum, squares) = (weights.iter().sum::<f64>(), weights.iter().map(|weight| weight * weight).sum::<f64>());
    let effective = sum * sum / squares.max(1e-300);
    if sum < 1e-6 || effective < FEWEST {
        return None;
    }
    let mean = weights.iter().zip(shares).map(|(weight, (_, share))| weight * share).sum::<f64>() / sum;
    Some(Around { mean, spread: 1.0 / effective })
}
