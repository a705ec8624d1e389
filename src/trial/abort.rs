//! Whether a trial that goes on can still show what it has to.

use std::time::Duration;

use super::{
    Load,
    recorder::Shards,
    recovery::{self, Beat},
};
use crate::{
    fault::Happened,
    model::{Ended, Grown},
    stats,
};

/// Confidence with which the success limit must be missed to stop a trial early; high, for it is looked at often.
const CONFIDENCE: f64 = 0.999;
/// How much more than in its best moment so far a pool may serve from now on, when a success rate is given up in a trial
/// with faults.
const GENEROUS: f64 = 2.0;

/// Seconds without a fault from which on what is served is taken for what can be served.
const SETTLED: f64 = 2.0;

/// Looks at a trial every now and then.
pub(super) struct Judge<'a> {
    load: &'a Load,
    last: Beat,
    /// Most successes a second between two looks.
    best: f64,
    /// The highest level that was offered so far.
    highest: f64,
}

/// A trial that need not go on.
pub(super) struct Lost {
    pub(super) ended: Ended,
    /// The threshold, if it was one.
    pub(super) by: Option<String>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(load: &'a Load) -> Self {
        Self { load, last: Beat::default(), best: 0.0, highest: 0.0 }
    }

    /// What cannot be met any more, if there is anything.
    pub(super) fn look(&mut self, beats: &[Beat], happened: &[Happened], shards: &Shards) -> Option<Lost> {
        let now = *beats.last()?;
        let seconds = now.at - self.last.at;
        if seconds > 0.0 {
            self.best = self.best.max(real(now.succeeded - self.last.succeeded) / seconds);
        }
        // The level of all the time between, so that what was served then was served under it.
        let level = |at: f64| self.load.pacing.level_at(Duration::try_from_secs_f64(at).unwrap_or_default());
        self.highest = self.highest.max(level(self.last.at).min(level(now.at)));
        self.last = now;
        if self.load.success_limit.is_some_and(|limit| is_below(now, limit)) {
            return Some(Lost { ended: Ended::SuccessLimitMissed, by: None });
        }
        if self.load.abort_on.is_empty() {
            return None;
        }
        let (recovery, restored) = recovery::at_least(self.load, happened, beats);
        let (opened, breaker_open) = (now.opened, now.open_seconds);
        let grown = Grown { opened, breaker_open, recovery, restored, ..shards.grown() };
        self.load.abort_on.iter().find_map(|threshold| {
            let ended = if threshold.is_lost(&grown) {
                Ended::ThresholdMissed
            } else if threshold.success_limit().is_some_and(|limit| self.is_out_of_reach(now, limit)) {
                Ended::SuccessLimitMissed
            } else {
                return None;
            };
            Some(Lost { ended, by: Some(threshold.to_string()) })
        })
    }

    /// Whether a success rate cannot be reached by the end.
    fn is_out_of_reach(&self, now: Beat, limit: f64) -> bool {
        if self.load.faults.is_empty() {
            return is_below(now, limit);
        }
        // A fault hurts for a while, so that the rate so far says little of the rate at the end: every request to come may
        // succeed. How many those are is known only once all faults are over, the load has been as high as it gets, and
        // something was served then.
        let over = self.load.faults.iter().map(|fault| fault.end().as_secs_f64()).fold(0.0, f64::max);
        if now.at < over + SETTLED || self.highest < self.load.pacing.highest() || self.best <= 0.0 {
            return false;
        }
        let to_come = GENEROUS * self.best * (self.load.measure.as_secs_f64() - now.at).max(0.0);
        let succeeded = real(now.succeeded) + to_come;
        succeeded < limit * (succeeded + real(now.failed))
    }
}

/// Whether the success rate is below a limit, with next to no doubt.
fn is_below(now: Beat, limit: f64) -> bool {
    now.failed > 0
        && stats::clopper_pearson_upper(now.succeeded, now.failed, CONFIDENCE).is_ok_and(|highest| highest < limit)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, FaultKind, Pacing, Stage, Threshold};

    fn load(faults: bool) -> Load {
        let kind = FaultKind::Refuse;
        let fault = Fault { at: Duration::from_secs(2), lasts: Duration::from_secs(1), share: 1.0, kind };
        Load {
            success_limit: None,
            abort_on: vec![Threshold::parse("success_rate>=0.9").unwrap()],
            faults: if faults { vec![fault] } else { Vec::new() },
            ..Load::closed(4, None, Duration::from_secs(10), 0.99)
        }
    }

    fn beat(at: f64, succeeded: u64, failed: u64) -> Beat {
        Beat { at, succeeded, failed, attempts: succeeded + failed, ..Beat::default() }
    }

    /// What ends a trial of 100 a second that fails from the third second on, and when.
    fn ends(load: &Load, failed_a_second: u64) -> Option<(u64, Ended, Option<String>)> {
        let (shards, mut judge) = (Shards::new(1, false), Judge::new(load));
        (1..=10_u64).find_map(|second| {
            let (good, bad) = (second.min(2) * 100, second.saturating_sub(2) * failed_a_second);
            #[expect(clippy::cast_precision_loss, reason = "ten at most")]
            let lost = judge.look(&[beat(second as f64, good, bad)], &[], &shards)?;
            Some((second, lost.ended, lost.by))
        })
    }

    #[test]
    fn a_success_rate_is_given_up_when_it_is_below_beyond_doubt() {
        let by = Some("success_rate>=0.9".to_owned());
        assert_eq!(ends(&load(false), 50), Some((3, Ended::SuccessLimitMissed, by)));
        assert_eq!(ends(&load(false), 1), None);
    }

    #[test]
    fn after_a_fault_it_is_given_up_only_when_no_success_to_come_can_mend_it() {
        // 200 have succeeded, and at twice the best rate 1000 more may in the five seconds left: with 150 failures, that is
        // less than 90 %. A second earlier, 1400 with 100 failures were enough.
        assert_eq!(ends(&load(true), 50).map(|(second, ..)| second), Some(5));
        assert_eq!(ends(&load(true), 1), None);
        let stage = |level| Stage { level, lasts: Duration::from_millis(9500), ramp: false };
        let stages = vec![stage(4.0), stage(400.0)];
        let growing = Load { pacing: Pacing { stages, ..Pacing::closed(4) }, ..load(true) };
        assert_eq!(ends(&growing, 20), None, "what comes under a higher load is not known yet");
    }

    #[test]
    fn a_limit_that_only_grows_is_lost_at_once() {
        let load = Load { abort_on: vec![Threshold::parse("errors<1").unwrap()], ..load(true) };
        let (shards, mut judge) = (Shards::new(2, false), Judge::new(&load));
        assert!(judge.look(&[beat(0.1, 10, 0)], &[], &shards).is_none());
        shards.of(1).error(crate::model::ErrorClass::ConnectionLost, None, "reset");
        let lost = judge.look(&[beat(0.2, 20, 0)], &[], &shards).unwrap();
        assert_eq!((lost.ended, lost.by.as_deref()), (Ended::ThresholdMissed, Some("errors<1")));
    }
}
