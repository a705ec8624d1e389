//! The search of settings that act too slowly for trials, by what days of operation lose under them.
//!
//! All settings are compared on the same requests and incidents. What looks best on some seeds is judged on others, so that
//! luck is no part of the answer.

use std::cell::RefCell;

use argmin::{
    core::{CostFunction, Error, Executor},
    solver::neldermead::NelderMead,
};

use super::Operated;
use crate::{
    model::{Axis, Estimate, Interval, Loss, Scale, Setting, Settings, Value, ValueError},
    stats,
};

/// The least reduction of the loss that is worth a change.
const WORTH: f64 = 0.02;
/// A loss below this share of all requests is not worth any.
const NOTHING: f64 = 1e-6;
/// A setting of which neither end changes the loss by so much is not searched.
const INACTIVE: f64 = 0.01;
/// Days that settings are compared by in the search, and in the judgement.
const SEARCHED_DAYS: u64 = 2;
const JUDGED_DAYS: u64 = 8;
/// Steps of the search.
const STEPS: u64 = 10;
/// How far the corners of the first simplex lie apart, as a share of the range.
const FIRST_STEP: f64 = 0.35;

/// What days of operation say of the settings.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The best settings: those given, less what was found better.
    pub settings: Settings,
    /// One for each setting that was searched.
    pub effects: Vec<LossEffect>,
    /// The loss under these settings over that under those given; on days that the search has not seen.
    pub ratio: Estimate,
    /// Losses of those days under the settings given.
    pub was: Vec<Loss>,
    /// And under the best ones; the same days.
    pub now: Vec<Loss>,
}

/// What one setting does to the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossEffect {
    /// The setting.
    pub setting: Setting,
    /// The value that is better, or the most promising other one.
    pub other: Value,
    /// The loss with that value over the loss with the one given.
    pub ratio: Estimate,
    /// What follows.
    pub decision: LossDecision,
}

/// What follows for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossDecision {
    /// It changes.
    Changed,
    /// Nothing depends on it.
    NoEffect,
    /// The other value may be better, by too little to be worth a change.
    TooSmall,
    /// Every other value is worse.
    OthersWorse,
}

/// Says how far the search is; gives whether it may go on.
type Progress<'a> = &'a mut dyn FnMut(u32, u32) -> bool;

struct Search<'a, 'b> {
    operated: &'a Operated<'a>,
    base: Settings,
    axes: &'a [Axis],
    seed: u64,
    done: u32,
    of: u32,
    progress: Progress<'b>,
    stopped: bool,
}

/// Finds the settings under which days lose least, among the ranges of `axes`; nothing when `progress` stops it.
#[must_use]
pub fn choose(
    operated: &Operated<'_>,
    base: &Settings,
    axes: &[Axis],
    seed: u64,
    progress: Progress<'_>,
) -> Option<Chosen> {
    let n = u32::try_from(axes.len()).unwrap_or(u32::MAX);
    let days = |of: u64| u32::try_from(of).unwrap_or(u32::MAX);
    let of = (1 + 2 * n) * days(SEARCHED_DAYS) + days(STEPS * 2 * SEARCHED_DAYS) + (2 + n) * days(JUDGED_DAYS);
    let mut search = Search { operated, base: base.clone(), axes, seed, done: 0, of, progress, stopped: false };
    let searched: Vec<u64> = (0..SEARCHED_DAYS).map(|day| seed.wrapping_add(day)).collect();
    let screened = search.screen(&searched)?;
    let active: Vec<Axis> = screened.iter().filter(|end| end.is_active).map(|end| end.axis.clone()).collect();
    let best = screened.iter().fold(base.clone(), |best, end| {
        let better = best.clone().with(end.axis.setting, end.value.clone());
        if end.is_active && end.ratio < 1.0 && better.check().is_ok() { better } else { best }
    });
    let candidate = if active.is_empty() { base.clone() } else { search.descend(&best, &active, &searched)? };
    search.judge(&candidate, &screened)
}

/// The better end of a setting's range.
struct End {
    axis: Axis,
    value: Value,
    /// The loss there over that under the base.
    ratio: f64,
    is_active: bool,
}

impl Search<'_, '_> {
    fn losses(&mut self, settings: &[Settings], seeds: &[u64]) -> Option<Vec<Vec<Loss>>> {
        if self.stopped || !(self.progress)(self.done, self.of) {
            self.stopped = true;
            return None;
        }
        let asked: Vec<_> =
            settings.iter().flat_map(|settings| seeds.iter().map(|seed| (settings.clone(), *seed))).collect();
        let losses = self.operated.losses(&asked);
        self.done = (self.done + u32::try_from(asked.len()).unwrap_or(u32::MAX)).min(self.of);
        Some(losses.chunks(seeds.len()).map(<[Loss]>::to_vec).collect())
    }

    /// What the ends of each range do.
    fn screen(&mut self, seeds: &[u64]) -> Option<Vec<End>> {
        let ends = |axis: &Axis| -> Vec<(Axis, Settings)> {
            let values = [axis.low, axis.high].into_iter().filter_map(|end| Value::from_number(axis.setting, end).ok());
            let others = values.filter(|value| value != self.base.get(axis.setting));
            let settings = others.map(|value| self.base.clone().with(axis.setting, value));
            settings.filter(|settings| settings.check().is_ok()).map(|settings| (axis.clone(), settings)).collect()
        };
        let tried: Vec<(Axis, Settings)> = self.axes.iter().flat_map(ends).collect();
        let mut settings = vec![self.base.clone()];
        settings.extend(tried.iter().map(|(_, settings)| settings.clone()));
        let losses = self.losses(&settings, seeds)?;
        let (was, others) = losses.split_first()?;
        let mut found: Vec<End> = Vec::new();
        for ((axis, settings), losses) in tried.iter().zip(others) {
            let ratio = ratio(losses, was).map_or(1.0, |ratio| ratio.value);
            let end = End {
                axis: axis.clone(),
                value: settings.get(axis.setting).clone(),
                ratio,
                is_active: (ratio - 1.0).abs() > INACTIVE,
            };
            match found.iter_mut().find(|known| known.axis.setting == axis.setting) {
                Some(known) => {
                    let is_active = known.is_active || end.is_active;
                    if end.ratio < known.ratio {
                        *known = end;
                    }
                    known.is_active = is_active;
                }
                None => found.push(end),
            }
        }
        Some(found)
    }

    /// Nelder and Mead's simplex from the best ends, on the same days for all settings.
    fn descend(&mut self, best: &Settings, axes: &[Axis], seeds: &[u64]) -> Option<Settings> {
        let start: Vec<f64> = axes.iter().map(|axis| place(axis, best.get(axis.setting))).collect();
        let mut simplex = vec![start.clone()];
        for index in 0..axes.len() {
            let mut corner = start.clone();
            corner[index] += if corner[index] > 0.5 { -FIRST_STEP } else { FIRST_STEP };
            simplex.push(corner);
        }
        let from = self.base.clone();
        let problem = Descent { search: RefCell::new(self), axes, from, seeds, best: RefCell::new(None) };
        let seen = {
            let solver = NelderMead::new(simplex).with_sd_tolerance(1e-9).ok()?;
            let run = Executor::new(&problem, solver).configure(|state| state.max_iters(STEPS)).run();
            // The best that it has seen is kept apart: its own best may be one of the corners it began with.
            run.ok().and_then(|_| problem.best.borrow().clone())
        };
        if self.stopped {
            return None;
        }
        seen.map(|(settings, _)| settings)
    }

    /// Judges the candidate, and each setting by itself, on days that nobody has seen.
    fn judge(&mut self, candidate: &Settings, screened: &[End]) -> Option<Chosen> {
        let first = self.seed.wrapping_add(1_000);
        let seeds: Vec<u64> = (0..JUDGED_DAYS).map(|day| first.wrapping_add(day)).collect();
        let base = self.base.clone();
        let differs = |setting: Setting| candidate.get(setting) != base.get(setting);
        // A changed setting is put back, a kept one is moved to its better end.
        let others: Vec<Settings> = screened
            .iter()
            .map(|end| {
                let setting = end.axis.setting;
                if differs(setting) {
                    candidate.clone().with(setting, base.get(setting).clone())
                } else {
                    candidate.clone().with(setting, end.value.clone())
                }
            })
            .collect();
        let mut settings = vec![base.clone(), candidate.clone()];
        settings.extend(others.iter().cloned());
        let losses = self.losses(&settings, &seeds)?;
        let (was, now) = (losses.first()?.clone(), losses.get(1)?.clone());
        let matters = stats::mean(&was.iter().map(|loss| loss.total).collect::<Vec<_>>()) > NOTHING;
        let mut effects = Vec::new();
        let mut kept = candidate.clone();
        for ((end, other), losses) in screened.iter().zip(&others).zip(losses.iter().skip(2)) {
            let setting = end.axis.setting;
            let (ratio, value) = if differs(setting) {
                (ratio(&now, losses)?, candidate.get(setting).clone())
            } else {
                (ratio(losses, &now)?, other.get(setting).clone())
            };
            let decision = decision(ratio, differs(setting) && matters);
            if differs(setting) && decision != LossDecision::Changed {
                kept = kept.with(setting, base.get(setting).clone());
            }
            effects.push(LossEffect { setting, other: value, ratio, decision });
        }
        let (kept, now) = if kept == *candidate { (kept, now) } else { self.alone(kept, &was, &seeds, &mut effects)? };
        let ratio = ratio(&now, &was)?;
        (self.progress)(self.of, self.of);
        Some(Chosen { settings: kept, effects, ratio, was, now })
    }

    /// Judges anew the changes that are left when others have been put back, for beside those they were judged: until each holds
    /// beside what is really recommended. Gives what is left and its losses.
    fn alone(
        &mut self,
        mut kept: Settings,
        was: &[Loss],
        seeds: &[u64],
        effects: &mut [LossEffect],
    ) -> Option<(Settings, Vec<Loss>)> {
        let base = self.base.clone();
        while kept != base && kept.check().is_ok() {
            let mut changed: Vec<&mut LossEffect> =
                effects.iter_mut().filter(|effect| effect.decision == LossDecision::Changed).collect();
            let without = changed.iter().map(|effect| {
                let setting = effect.setting;
                kept.clone().with(setting, base.get(setting).clone())
            });
            let settings: Vec<Settings> = std::iter::once(kept.clone()).chain(without).collect();
            let losses = self.losses(&settings, seeds)?;
            let now = losses.first()?;
            let mut left = kept.clone();
            for (effect, other) in changed.iter_mut().zip(losses.iter().skip(1)) {
                effect.ratio = ratio(now, other)?;
                effect.decision = decision(effect.ratio, true);
                if effect.decision != LossDecision::Changed {
                    left = left.with(effect.setting, base.get(effect.setting).clone());
                }
            }
            if left == kept {
                return Some((kept, now.clone()));
            }
            kept = left;
        }
        // A change that is possible only beside one that was put back goes with it.
        for effect in effects.iter_mut().filter(|effect| effect.decision == LossDecision::Changed) {
            effect.decision = LossDecision::TooSmall;
        }
        Some((base, was.to_vec()))
    }
}

fn decision(ratio: Estimate, may_change: bool) -> LossDecision {
    let Interval { low, high } = ratio.interval;
    if may_change && high < 1.0 - WORTH {
        LossDecision::Changed
    } else if low > 1.0 {
        LossDecision::OthersWorse
    } else if low > 1.0 - INACTIVE && high < 1.0 + INACTIVE {
        LossDecision::NoEffect
    } else {
        LossDecision::TooSmall
    }
}

/// The geometric mean of one loss over another, day by day, with its 95 % interval.
fn ratio(these: &[Loss], those: &[Loss]) -> Option<Estimate> {
    let logs: Vec<f64> =
        these.iter().zip(those).map(|(these, those)| (these.total.max(1e-12) / those.total.max(1e-12)).ln()).collect();
    let Estimate { value, interval } = stats::mean_estimate(&logs, 0.95).ok()?;
    Some(Estimate { value: value.exp(), interval: Interval { low: interval.low.exp(), high: interval.high.exp() } })
}

/// The loss as argmin sees it, over places in the ranges.
struct Descent<'a, 'b, 'c> {
    search: RefCell<&'a mut Search<'b, 'c>>,
    axes: &'a [Axis],
    from: Settings,
    seeds: &'a [u64],
    best: RefCell<Option<(Settings, f64)>>,
}

impl CostFunction for &Descent<'_, '_, '_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Self::Param) -> Result<f64, Error> {
        let settings =
            self.axes.iter().zip(at).fold(self.from.clone(), |settings, (axis, place)| match value(axis, *place) {
                Ok(value) => settings.with(axis.setting, value),
                Err(_) => settings,
            });
        // Beyond a range, and where a rule between settings is broken, it only gets worse.
        let beyond: f64 = at.iter().map(|place| (place - place.clamp(0.0, 1.0)).abs()).sum();
        if settings.check().is_err() {
            return Ok(1e3 + beyond);
        }
        let losses = self.search.borrow_mut().losses(std::slice::from_ref(&settings), self.seeds);
        let Some(losses) = losses.and_then(|losses| losses.into_iter().next()) else {
            // The solver takes no error; whoever has stopped the search is told by it, when the solver has run out of steps.
            return Ok(f64::MAX);
        };
        let loss = stats::mean(&losses.iter().map(|loss| loss.total.max(1e-12).ln()).collect::<Vec<_>>());
        let mut best = self.best.borrow_mut();
        if best.as_ref().is_none_or(|(_, least)| loss < *least) {
            *best = Some((settings, loss));
        }
        Ok(loss + beyond)
    }
}

/// Where a value lies in its range, from 0 to 1.
fn place(axis: &Axis, value: &Value) -> f64 {
    let number = value.number().unwrap_or(axis.low).clamp(axis.low, axis.high);
    let place = if axis.setting.spec().scale == Scale::Log && axis.low > 0.0 {
        (number / axis.low).ln() / (axis.high / axis.low).ln()
    } else {
        (number - axis.low) / (axis.high - axis.low)
    };
    if place.is_finite() { place } else { 0.0 }
}

/// The value at a place of its range, with as many digits as a person would write.
fn value(axis: &Axis, place: f64) -> Result<Value, ValueError> {
    let place = place.clamp(0.0, 1.0);
    let number = if axis.setting.spec().scale == Scale::Log && axis.low > 0.0 {
        axis.low * (axis.high / axis.low).powf(place)
    } else {
        axis.low + (axis.high - axis.low) * place
    };
    let rounded = match axis.setting.spec().scale {
        Scale::Integer => number.round(),
        Scale::Linear | Scale::Log | Scale::Choice => two_digits(number),
    };
    Value::from_number(axis.setting, rounded.clamp(axis.low, axis.high))
}

fn two_digits(number: f64) -> f64 {
    if number <= 0.0 {
        return number;
    }
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    // Divided and not multiplied where it can be, so that no bit of noise is left.
    if unit < 1.0 { (number / unit).round() / (1.0 / unit).round() } else { (number / unit).round() * unit }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{Costs, Incident, IncidentKind, Incidents, OperatingDay, Shape},
        simulate::{ByActive, Calibration, Times, World},
    };

    fn calibration() -> Calibration {
        let world = World {
            connect: ByActive::same(Times::constant(0.005)),
            ..World::plain(Times::new(|share| 0.005 + 0.01 * share))
        };
        Calibration { workers: 20, think_time: Duration::ZERO, world, trials: 8, connect_measured: true }
    }

    fn day(kind: IncidentKind, a_day: f64, costs: Costs) -> OperatingDay {
        let mut incidents = Incidents::none();
        incidents.set(kind, Incident { a_day, lasts: Duration::from_secs(5) });
        OperatingDay { shape: Shape::Flat, peak: 0.1, deadline: Duration::from_secs(1), incidents, costs }
    }

    fn axis(setting: Setting) -> Axis {
        Axis::recommended(setting).unwrap()
    }

    const FREE: Costs = Costs { reconnect: Some(0.0), connection: 0.0 };

    fn chosen(day: &OperatingDay, axes: &[Axis]) -> Chosen {
        let base = Settings::default().with(Setting::CircuitBreakerTimeout, Value::Time(Duration::from_secs(60)));
        let calibration = calibration();
        choose(&Operated::new(&calibration, day, 600.0).hours(2.0), &base, axes, 3, &mut |_, _| true).unwrap()
    }

    #[test]
    fn a_breaker_that_stays_open_long_after_a_restart_is_found_out_and_what_nothing_depends_on_is_kept() {
        let axes = [axis(Setting::MaxRetryDelay), axis(Setting::CircuitBreakerTimeout)];
        let found = chosen(&day(IncidentKind::Restarts, 2.0, FREE), &axes);
        let breaker = &found.effects[1];
        assert_eq!(breaker.decision, LossDecision::Changed, "{breaker:?}");
        assert!(breaker.ratio.interval.high < 0.5 && breaker.other.number().unwrap() < 15.0, "{breaker:?}");
        assert_eq!(found.settings.get(Setting::CircuitBreakerTimeout), &breaker.other);
        assert_eq!(found.effects[0].decision, LossDecision::NoEffect, "{:?}", found.effects[0]);
        let recovery = |losses: &[Loss]| losses[0].incidents[0].recovery;
        let (was, now) = (recovery(&found.was), recovery(&found.now));
        assert!(now < was / 2.0, "{now} s instead of {was} s");
        assert!(found.ratio.interval.high < 0.5, "{:?}", found.ratio);
    }

    #[test]
    fn a_change_is_judged_beside_what_is_recommended_with_it() {
        let base = Settings::default().with(Setting::CircuitBreakerTimeout, Value::Time(Duration::from_secs(60)));
        let (calibration, day) = (calibration(), day(IncidentKind::Restarts, 2.0, FREE));
        let operated = Operated::new(&calibration, &day, 600.0).hours(2.0);
        let seeds: Vec<u64> = (0..JUDGED_DAYS).collect();
        let mut search = Search {
            operated: &operated,
            base: base.clone(),
            axes: &[],
            seed: 1,
            done: 0,
            of: 1_000,
            progress: &mut |_, _| true,
            stopped: false,
        };
        let was = search.losses(std::slice::from_ref(&base), &seeds).unwrap().remove(0);
        // Both looked good beside a third that is not recommended.
        let looked = |setting, seconds| LossEffect {
            setting,
            other: Value::Time(Duration::from_secs(seconds)),
            ratio: Estimate { value: 0.5, interval: Interval { low: 0.4, high: 0.6 } },
            decision: LossDecision::Changed,
        };
        let mut effects = [looked(Setting::MaxRetryDelay, 11), looked(Setting::CircuitBreakerTimeout, 10)];
        let both =
            effects.iter().fold(base.clone(), |settings, effect| settings.with(effect.setting, effect.other.clone()));
        let (kept, now) = search.alone(both, &was, &seeds, &mut effects).unwrap();
        let [delay, breaker] = effects;
        assert_eq!((delay.decision, breaker.decision), (LossDecision::NoEffect, LossDecision::Changed));
        assert_eq!(kept, base.with(Setting::CircuitBreakerTimeout, breaker.other.clone()));
        // The one that is left is all that is recommended.
        assert_eq!(Some(breaker.ratio), ratio(&now, &was));
    }

    #[test]
    fn where_nothing_is_lost_nothing_changes() {
        let axes = [axis(Setting::IdleTimeout), axis(Setting::CircuitBreakerTimeout)];
        let found = chosen(&day(IncidentKind::Restarts, 0.0, FREE), &axes);
        assert!(found.effects.iter().all(|effect| effect.decision != LossDecision::Changed), "{:?}", found.effects);
        assert_eq!(found.settings.circuit_breaker_timeout(), Duration::from_secs(60));
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let day = day(IncidentKind::Resets, 4.0, Costs::default());
        let run = || format!("{:?}", chosen(&day, &[axis(Setting::IdleTimeout), axis(Setting::ConnectionLifetime)]));
        assert_eq!(run(), run());
    }

    #[test]
    fn whoever_stops_it_has_no_answer() {
        let (calibration, day) = (calibration(), day(IncidentKind::Restarts, 1.0, FREE));
        let operated = Operated::new(&calibration, &day, 600.0).hours(2.0);
        let axes = [axis(Setting::CircuitBreakerTimeout)];
        assert!(choose(&operated, &Settings::default(), &axes, 1, &mut |done, _| done == 0).is_none());
    }

    #[test]
    fn values_have_two_digits_and_stay_in_their_range() {
        let idle = axis(Setting::IdleTimeout);
        let numbers: Vec<f64> =
            (0_u8..=20).map(|step| value(&idle, f64::from(step) / 20.0).unwrap().number().unwrap()).collect();
        assert!(numbers.iter().all(|number| (180.0..=600.0).contains(number) && number % 10.0 == 0.0), "{numbers:?}");
        assert!((place(&idle, &value(&idle, 0.5).unwrap()) - 0.5).abs() < 0.02);
        let shown = [0.0834, 17.26, 3456.0].map(|number| two_digits(number).to_string());
        assert_eq!(shown, ["0.083", "17", "3500"]);
    }
}
