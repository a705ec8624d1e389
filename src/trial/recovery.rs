//! How a pool got over a fault, read off the trial's time line.

use std::time::Duration;

use super::Load;
use crate::{
    fault::Happened,
    model::{FaultRecord, Recovery},
};

/// Longest time before a fault from which the prior throughput is taken.
const PRIOR: f64 = 3.0;
/// Shortest such time that says anything.
const SHORTEST_PRIOR: f64 = 0.4;
/// Throughput counts as back when its mean over this many seconds is.
const WINDOW: f64 = 0.5;
/// The share of the prior throughput that counts as back.
const BACK: f64 = 0.95;
/// The share that counts as serving again.
const HALF: f64 = 0.5;

/// Running totals at one moment of the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Beat {
    /// Seconds from its start.
    pub(super) at: f64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) attempts: u64,
    pub(super) opened: u64,
    pub(super) open_seconds: f64,
}

/// The record of each fault of a load; `beats` in order of time, `happened` as many as there are faults.
pub(super) fn records(load: &Load, happened: Vec<Happened>, beats: &[Beat]) -> Vec<FaultRecord> {
    let recoveries: Vec<_> = (0..happened.len())
        .map(|index| of_fault(load, index, &happened, beats).map(|(recovery, _)| recovery))
        .collect();
    let parts = load.faults.iter().zip(happened).zip(recoveries);
    parts
        .map(|((fault, Happened { began, ended, problem }), recovery)| FaultRecord {
            fault: fault.clone(),
            began,
            ended,
            problem,
            recovery,
        })
        .collect()
}

/// Seconds that the slowest recovery, and the slowest return to half, will at least have taken, by what is known while the
/// trial goes on: `happened` tells of the faults that are over.
pub(super) fn at_least(load: &Load, happened: &[Happened], beats: &[Beat]) -> (f64, f64) {
    let now = beats.last().map_or(0.0, |beat| beat.at);
    let over = (0..happened.len()).filter_map(|index| of_fault(load, index, happened, beats));
    over.fold((0.0, 0.0), |(full, half), (recovery, again)| {
        // What is not back yet can be so only in a window that has not been seen whole.
        let not_before = (now - WINDOW - again).max(0.0);
        (
            f64::max(full, recovery.seconds.unwrap_or(not_before)),
            f64::max(half, recovery.half_seconds.unwrap_or(not_before)),
        )
    })
}

/// How the pool got over a fault, and since when the load was again as it had been before.
fn of_fault(load: &Load, index: usize, happened: &[Happened], beats: &[Beat]) -> Option<(Recovery, f64)> {
    let (began, ended) = (happened[index].began?, happened[index].ended?);
    // What an earlier fault did to throughput is no measure of what it was before this one.
    let undisturbed_since = happened
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .filter_map(|(_, of)| of.ended)
        .filter(|ended| *ended <= began)
        .fold(0.0, f64::max);
    recovery(load, began, ended, undisturbed_since, beats)
}

/// What is offered at a time.
fn level(load: &Load, at: f64) -> f64 {
    load.pacing.level_at(Duration::try_from_secs_f64(at.max(0.0)).unwrap_or_default())
}

/// Throughput before and after is compared under the same level of load only: a pause of the load is neither an outage nor
/// a recovery. In a fault that begins in a pause, what was before the pause is compared with what comes after it.
fn recovery(load: &Load, began: f64, ended: f64, undisturbed_since: f64, beats: &[Beat]) -> Option<(Recovery, f64)> {
    let busy_until = beats.iter().rev().map(|beat| beat.at).find(|at| *at <= began && level(load, *at) > 0.0)?;
    let offered = level(load, busy_until);
    let alike = |at: f64| (level(load, at) - offered).abs() < 1e-9;
    let earliest = (busy_until - PRIOR).max(undisturbed_since);
    let since = beats.iter().rev().map(|beat| beat.at).take_while(|at| *at >= earliest - 1e-6 || *at > busy_until);
    let since = since.filter(|at| *at <= busy_until).take_while(|at| alike(*at)).last()?;
    let prior = throughput(at(beats, since)?, at(beats, busy_until)?, SHORTEST_PRIOR)?;
    let again = beats.iter().map(|beat| beat.at).find(|at| *at >= ended && alike(*at))?;
    let back_at = |share: f64| {
        beats.iter().enumerate().filter(|(_, beat)| beat.at >= again && alike(beat.at)).find_map(|(index, from)| {
            let until = beats[index..].iter().find(|until| until.at >= from.at + WINDOW - 1e-6)?;
            throughput(from, until, WINDOW / 2.0).filter(|rate| *rate >= share * prior).map(|_| from)
        })
    };
    let back = back_at(BACK);
    let (before, until) = (at(beats, began)?, back.or_else(|| beats.last())?);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let (requests, attempts) = (
        ((until.succeeded + until.failed) - (before.succeeded + before.failed)) as f64,
        (until.attempts - before.attempts) as f64,
    );
    let recovery = Recovery {
        prior_throughput: prior,
        seconds: back.map(|beat| (beat.at - again).max(0.0)),
        half_seconds: back_at(HALF).map(|beat| (beat.at - again).max(0.0)),
        failed: until.failed - before.failed,
        attempts: if requests > 0.0 { attempts / requests } else { 1.0 },
        opened: until.opened - before.opened,
        circuit_open: until.open_seconds - before.open_seconds,
    };
    Some((recovery, again))
}

/// The last beat at or before a time.
fn at(beats: &[Beat], time: f64) -> Option<&Beat> {
    beats.iter().take_while(|beat| beat.at <= time + 1e-6).last().or_else(|| beats.first())
}

/// Successes a second between two beats that are far enough apart; `None` when there were none.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn throughput(from: &Beat, until: &Beat, shortest: f64) -> Option<f64> {
    let seconds = until.at - from.at;
    (seconds >= shortest && until.succeeded > from.succeeded)
        .then(|| (until.succeeded - from.succeeded) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, FaultKind, Offered, Pacing, Stage};

    /// A beat each tenth of a second: 100 requests a second but for an outage, which ends `slow` after the fault.
    fn beats(outage: std::ops::Range<f64>) -> Vec<Beat> {
        let mut all = vec![Beat::default()];
        for tenth in 1..=100_u32 {
            let last = *all.last().unwrap();
            let at = f64::from(tenth) / 10.0;
            let out = outage.contains(&(at - 0.05));
            all.push(Beat {
                at,
                succeeded: last.succeeded + if out { 0 } else { 10 },
                failed: last.failed + if out { 4 } else { 0 },
                attempts: last.attempts + if out { 12 } else { 10 },
                opened: last.opened + u64::from(out),
                open_seconds: last.open_seconds + if out { 0.1 } else { 0.0 },
            });
        }
        all
    }

    fn record(began: f64, ended: f64, outage: std::ops::Range<f64>) -> FaultRecord {
        let kind = FaultKind::Refuse;
        let fault = Fault { at: Duration::from_secs(4), lasts: Duration::from_secs(1), share: 1.0, kind };
        let happened = Happened { began: Some(began), ended: Some(ended), problem: None };
        records(&load(Pacing::closed(4), fault), vec![happened], &beats(outage)).remove(0)
    }

    fn load(pacing: Pacing, fault: Fault) -> Load {
        Load { pacing, faults: vec![fault], ..Load::closed(4, None, Duration::from_secs(10), 0.99) }
    }

    #[test]
    fn a_pause_of_the_load_is_no_outage() {
        let stage = |level, seconds| Stage { level, lasts: Duration::from_secs(seconds), ramp: false };
        let stages = vec![stage(4.0, 3), stage(0.0, 2), stage(4.0, 5)];
        let kind = FaultKind::DropSilently;
        let fault = Fault { at: Duration::from_secs(4), lasts: Duration::ZERO, share: 1.0, kind };
        let happened = Happened { began: Some(4.0), ended: Some(4.0), problem: None };
        let load = load(Pacing { offered: Offered::Workers, stages }, fault);
        // Nothing in the pause, and the pool is at once as it was.
        let record = records(&load, vec![happened], &beats(3.0..5.0)).remove(0);
        let recovery = record.recovery.unwrap();
        assert!((recovery.prior_throughput - 100.0).abs() < 4.0, "{recovery:?}");
        assert!(recovery.seconds.unwrap() < 0.2, "{recovery:?}");
    }

    #[test]
    fn recovery_is_counted_from_the_end_of_the_fault() {
        let recovery = record(4.0, 5.0, 4.0..5.6).recovery.unwrap();
        assert!((recovery.prior_throughput - 100.0).abs() < 1e-6, "{recovery:?}");
        assert!((recovery.seconds.unwrap() - 0.6).abs() < 0.01, "{recovery:?}");
        // Its window of half a second reaches beyond the outage.
        assert!((recovery.half_seconds.unwrap() - 0.4).abs() < 0.11, "{recovery:?}");
        assert_eq!((recovery.failed, recovery.opened), (64, 16));
        assert!((recovery.attempts - 3.0).abs() < 1e-9 && (recovery.circuit_open - 1.6).abs() < 1e-9, "{recovery:?}");
    }

    #[test]
    fn while_it_goes_on_a_recovery_takes_at_least_what_has_passed() {
        let fault =
            Fault { at: Duration::from_secs(4), lasts: Duration::from_secs(1), share: 1.0, kind: FaultKind::Refuse };
        let load = load(Pacing::closed(4), fault);
        let happened = [Happened { began: Some(4.0), ended: Some(5.0), problem: None }];
        let beats = beats(4.0..8.0);
        let whole = of_fault(&load, 0, &happened, &beats).unwrap().0;
        let (mut full_before, mut half_before) = (0.0, 0.0);
        for n in 1..=beats.len() {
            let (full, half) = at_least(&load, &happened, &beats[..n]);
            // Never more than it turns out to be, and never less than it was.
            assert!(full >= full_before && full <= whole.seconds.unwrap() + 1e-9, "{full} of {whole:?} after {n}");
            assert!(half >= half_before && half <= whole.half_seconds.unwrap() + 1e-9, "{half} of {whole:?} after {n}");
            (full_before, half_before) = (full, half);
        }
        assert!((half_before - whole.half_seconds.unwrap()).abs() < 1e-9);
        let going_on = [Happened { began: Some(4.0), ..Happened::default() }];
        assert_eq!(at_least(&load, &going_on, &beats), (0.0, 0.0));
    }

    #[test]
    fn what_does_not_hurt_takes_no_time() {
        let recovery = record(4.0, 5.0, 0.0..0.0).recovery.unwrap();
        assert_eq!((recovery.seconds, recovery.failed), (Some(0.0), 0));
    }

    #[test]
    fn what_never_comes_back_has_no_time() {
        assert_eq!(record(4.0, 5.0, 4.0..20.0).recovery.unwrap().seconds, None);
    }

    #[test]
    fn a_fault_at_the_very_start_has_nothing_before_it() {
        assert_eq!(record(0.0, 1.0, 0.0..1.0).recovery, None);
    }
}
