//! From pacing to the steps of a simulated load.

use std::time::Duration;

use super::{Load, SLICE};
use crate::simulate::Step;

/// Warm-up from `lead` on at the load's first level, and its stages from `from` on. A ramp is steps of a slice's length, each
/// with the level in its middle. A stage without an end is one step.
pub(super) fn steps(load: &Load, lead: Duration, from: Duration) -> Vec<Step> {
    let pacing = &load.pacing;
    let mut steps = vec![Step { at: Duration::ZERO, level: 0.0 }];
    let mut add = |at: Duration, level: f64| {
        // What does not change is no step: a Poisson process would be drawn anew.
        if steps.last().is_none_or(|last| (last.level - level).abs() > 1e-12) {
            steps.push(Step { at, level });
        }
    };
    add(lead, pacing.first());
    let mut start = Duration::ZERO;
    for stage in &pacing.stages {
        let Some(at) = from.checked_add(start) else { break };
        if start >= load.measure {
            break;
        }
        if stage.ramp {
            let mut passed = Duration::ZERO;
            while passed < stage.lasts && start + passed < load.measure {
                let middle = start + passed + SLICE.min(stage.lasts.saturating_sub(passed)) / 2;
                add(at.saturating_add(passed), pacing.level_at(middle));
                passed += SLICE;
            }
        } else {
            add(at, stage.level);
        }
        start = start.saturating_add(stage.lasts);
    }
    // The last level holds on.
    if let (Some(last), Some(at)) = (pacing.stages.last(), from.checked_add(start)) {
        add(at, last.level);
    }
    steps
}
