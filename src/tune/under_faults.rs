//! What a setting that acts on failures does to the share that is served under faults, over all trials of a search.
//!
//! Its trials differ in other settings as well, which the design of the search spreads evenly; so it is looked at by itself, by
//! the means of trials near a value (Nadaraya and Watson). It picks what is verified, and no more.

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

/// The effect of a setting on what faults leave of throughput, each trial's share counted by `weight`. `None` where too few
/// trials say anything.
pub(super) fn effect(axis: &Axis, baseline: &Settings, weight: f64, trials: &[TrialRecord]) -> Option<Effect> {
    let place = |value: &Value| place(axis, value);
    let shares: Vec<(f64, f64)> = trials
        .iter()
        .filter_map(|trial| {
            Some((place(trial.settings.get(axis.setting))?, trial.measurement.under_faults.as_ref()?.share))
        })
        .collect();
    let was = baseline.get(axis.setting).clone();
    let in_use = around(place(&was)?, &shares)?;
    let mut values: Vec<(f64, Value)> = trials
        .iter()
        .map(|trial| trial.settings.get(axis.setting).clone())
        .filter(|value| *value != was)
        .filter_map(|value| Some((place(&value)?, value)))
        .collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|a, b| a.1 == b.1);
    let known = values.into_iter().filter_map(|(at, value)| Some((around(at, &shares)?, value)));
    let (best, other) = known.max_by(|a, b| a.0.mean.total_cmp(&b.0.mean))?;

    // What trials differ by that are near each other, and how many such differences there are.
    let residuals: Vec<f64> =
        shares.iter().filter_map(|(at, share)| Some(share - around(*at, &shares)?.mean)).collect();
    let freedom = stats::real(shares.len()) - PLACES;
    if freedom < 2.0 {
        return None;
    }
    let variance = residuals.iter().map(|residual| residual * residual).sum::<f64>() / freedom;
    let reach =
        stats::student_quantile(1.0 - 0.025 / PLACES, freedom) * (variance * (best.spread + in_use.spread)).sqrt();
    let gain = best.mean - in_use.mean;
    let left = |share: f64| 1.0 - weight * (1.0 - share.clamp(0.0, 1.0));
    let ratio = |gain: f64| left(in_use.mean + gain) / left(in_use.mean);
    let ratio =
        Estimate { value: ratio(gain), interval: Interval { low: ratio(gain - reach), high: ratio(gain + reach) } };
    let distinguishable = gain - reach > 0.0;
    let effect = |decision, now, alternative| Effect {
        setting: axis.setting,
        decision,
        was: was.clone(),
        now,
        alternative,
        ratio,
        distinguishable: distinguishable || gain + reach < 0.0,
    };
    Some(if distinguishable {
        effect(Decision::Changed, other, was.clone())
    } else {
        effect(Decision::Kept, was.clone(), other)
    })
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
