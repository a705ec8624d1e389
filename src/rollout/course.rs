use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Recommendation, Setting, Settings, Unit, Value},
    profile::{RolloutPlan, RolloutStages},
};

/// The stages of a rollout, and when it goes back.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The settings in use, to which it goes back.
    pub from: Settings,
    /// From there to the recommended settings; at least one.
    pub stages: Vec<Stage>,
    /// The time between two readings; no reading counts for more.
    pub every: Duration,
    /// Readings in a row that fail before it goes back.
    pub failures: u32,
    /// How long a source may be down.
    pub patience: Duration,
}

/// A stage: who has which settings, and for how long that is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The share of instances.
    pub share: f64,
    /// Their settings.
    pub settings: Settings,
    /// How long all gates must hold.
    pub watch: Duration,
}

/// The settings that a rollout starts from and leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// In use.
    pub from: Settings,
    /// Recommended.
    pub to: Settings,
}

impl Change {
    /// What a run recommends.
    #[must_use]
    pub fn of(run: &Recommendation) -> Self {
        let from = run.rows.iter().fold(Settings::default(), |all, row| all.with(row.setting, row.was.clone()));
        Self { from, to: run.settings() }
    }

    /// The settings that differ.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        Setting::all().filter(|setting| self.from.get(*setting) != self.to.get(*setting)).collect()
    }

    /// A part of the way, the last step being all of it.
    fn step(&self, step: u32, steps: u32) -> Settings {
        if step == steps {
            return self.to.clone();
        }
        let part = f64::from(step) / f64::from(steps);
        let by = |round: fn(f64) -> f64| {
            Setting::all().fold(self.from.clone(), |settings, setting| {
                // What is no number changes with the last step.
                let ends = (self.from.get(setting).number(), self.to.get(setting).number());
                let (Some(from), Some(to)) = ends else { return settings };
                let exact = from + (to - from) * part;
                let value = if setting.spec().unit == Unit::Count { exact.round() } else { round(exact) };
                match Value::from_number(setting, value) {
                    Ok(value) if from.to_bits() != to.to_bits() => settings.with(setting, value),
                    _ => settings,
                }
            })
        };
        // Between two settings that keep the rules all do, but rounding may make two times equal.
        let rounded = by(|value| (value * 1e3).round() / 1e3);
        if rounded.check().is_ok() { rounded } else { by(|value| value) }
    }
}

impl Course {
    /// The stages by which a plan makes a change.
    #[must_use]
    pub fn new(plan: &RolloutPlan, change: &Change) -> Self {
        let mut stages: Vec<Stage> = Vec::new();
        match &plan.stages {
            RolloutStages::Shares(shares) => {
                let stage = |(share, watch): &(f64, Duration)| Stage {
                    share: *share,
                    settings: change.to.clone(),
                    watch: *watch,
                };
                stages.extend(shares.iter().map(stage));
            }
            RolloutStages::Steps(steps, watch) => {
                for step in 1..=*steps {
                    let settings = change.step(step, *steps);
                    // A step of less than one connection changes nothing.
                    let before = stages.last().map_or(&change.from, |stage| &stage.settings);
                    if settings != *before {
                        stages.push(Stage { share: 1.0, settings, watch: *watch });
                    }
                }
            }
        }
        let gates = &plan.gates;
        Self {
            from: change.from.clone(),
            stages,
            every: gates.every,
            failures: gates.failures,
            patience: gates.patience,
        }
    }

    /// What of some settings differs from those in use: `max_connections 10 -> 24`.
    pub fn shown(&self, settings: &Settings) -> Vec<String> {
        let values = Setting::all().map(|setting| (setting, self.from.get(setting), settings.get(setting)));
        let differing = values.filter(|(_, from, to)| from != to);
        differing.map(|(setting, from, to)| format!("{setting} {from} -> {to}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> impl Strategy<Value = Settings> {
        let counts = (0_u32..40, 1_u32..40);
        let times = (0.001_f64..2.0, 0.001_f64..2.0, 0.05_f64..20.0, 0.1_f64..20.0);
        (counts, times)
            .prop_map(|((min, max), (first, most, idle, lifetime))| {
                let time = |seconds| Value::Time(Duration::from_secs_f64(seconds));
                Settings::default()
                    .with(Setting::MinConnections, Value::Count(min))
                    .with(Setting::MaxConnections, Value::Count(max))
                    .with(Setting::InitialRetryDelay, time(first))
                    .with(Setting::MaxRetryDelay, time(most))
                    .with(Setting::IdleTimeout, time(idle))
                    .with(Setting::ConnectionLifetime, time(lifetime))
            })
            .prop_filter("rules", |settings| settings.check().is_ok())
    }

    proptest! {
        #[test]
        fn every_step_keeps_the_rules_and_moves_towards_the_end(from in settings(), to in settings(), steps in 1_u32..10) {
            let change = Change { from: from.clone(), to: to.clone() };
            let mut before = from.max_connections();
            for step in 1..=steps {
                let settings = change.step(step, steps);
                prop_assert_eq!(settings.check(), Ok(()));
                let now = settings.max_connections();
                prop_assert!(now.abs_diff(to.max_connections()) <= before.abs_diff(to.max_connections()));
                before = now;
            }
            prop_assert_eq!(change.step(steps, steps), to);
        }
    }
}
