//! Drives the phases of a trial and watches its time line.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Control, Load, TrialError, Watch,
    abort::Judge,
    recorder::{Count, Tally},
    recovery::Beat,
    steady,
    worker::Shared,
};
use crate::{
    fault::Happened,
    model::{Ended, Point, WarmUp},
};

/// Length of a slice of throughput.
const SLICE: Duration = Duration::from_millis(100);
/// How often the pool's state is sampled and the stages are followed.
const SAMPLE: Duration = Duration::from_millis(10);

pub(super) struct Conductor<'a> {
    shared: &'a Shared,
    ticks: tokio::time::Interval,
}

/// What the conductor saw of the measured part.
pub(super) struct Measured {
    pub(super) slices: Vec<f64>,
    pub(super) active: f64,
    pub(super) total: f64,
    pub(super) ended: Ended,
    pub(super) ended_by: Option<String>,
    pub(super) series: Vec<Point>,
    pub(super) beats: Vec<Beat>,
}

impl<'a> Conductor<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        let mut ticks = tokio::time::interval(SAMPLE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { shared, ticks }
    }

    /// Waits until `until`, calling `sample` now and then.
    async fn wait(
        &mut self,
        until: Instant,
        cancel: &CancellationToken,
        mut sample: impl FnMut(),
    ) -> Result<(), TrialError> {
        while Instant::now() < until {
            tokio::select! {
                () = cancel.cancelled() => return Err(TrialError::Cancelled),
                _ = self.ticks.tick() => sample(),
            }
        }
        Ok(())
    }

    /// Waits until throughput is steady, or as long as the cap says. A load that begins with a pause has no warm-up.
    pub(super) async fn warm_up(&mut self, load: &Load, control: &Control<'_>) -> Result<WarmUp, TrialError> {
        let start = Instant::now();
        let cap = if load.pacing.first() > 0.0 { load.warm_up_cap } else { Duration::ZERO };
        let mut slices = Slices::new(self.shared, start);
        let mut steady = cap.is_zero();
        while !steady && start.elapsed() < cap && !control.finish.is_cancelled() {
            self.wait(slices.next_end(), &control.cancel, || ()).await?;
            slices.close(self.shared);
            steady = steady::is_steady(&slices.rates);
        }
        Ok(WarmUp { seconds: start.elapsed().as_secs_f64(), steady })
    }

    /// Measures from `start` for the load's length, or until it is asked to finish. `happened` is what became of the faults
    /// so far.
    pub(super) async fn measure(
        &mut self,
        load: &Load,
        start: Instant,
        control: &mut Control<'_>,
        happened: &Mutex<Vec<Happened>>,
    ) -> Result<Measured, TrialError> {
        let shared = self.shared;
        let mut slices = Slices::new(shared, start);
        let mut line = TimeLine::new(shared, load, start);
        let (mut active, mut total, mut samples) = (0.0, 0.0, 0.0);
        let mut judge = Judge::new(load);
        let (mut ended, mut ended_by) = (Ended::Completed, None);
        while start.elapsed() < load.measure {
            let end = slices.next_end().min(start.checked_add(load.measure).unwrap_or_else(|| slices.next_end()));
            self.wait(end, &control.cancel, || {
                let status = shared.served.status();
                active += f64::from(status.active);
                total += f64::from(status.total);
                samples += 1.0;
                shared.pacer.follow(start.elapsed());
            })
            .await?;
            slices.close(shared);
            line.beat();
            let lost = {
                let happened = happened.lock().unwrap_or_else(PoisonError::into_inner);
                judge.look(&line.beats, &happened, &shared.shards)
            };
            if control.finish.is_cancelled() {
                ended = Ended::Stopped;
            } else if let Some(lost) = lost {
                (ended, ended_by) = (lost.ended, lost.by);
            }
            let over = ended != Ended::Completed || start.elapsed() >= load.measure;
            line.point(control, over);
            if over {
                break;
            }
        }
        let samples = f64::max(samples, 1.0);
        Ok(Measured {
            slices: slices.rates,
            active: active / samples,
            total: total / samples,
            ended,
            ended_by,
            series: line.series,
            beats: line.beats,
        })
    }
}

/// The time line of the measured part: running totals each slice, a point each interval.
struct TimeLine<'a> {
    shared: &'a Shared,
    start: Instant,
    /// Totals when it began.
    before: Count,
    opened_before: u64,
    open_before: f64,
    beats: Vec<Beat>,
    /// Whether the beats are wanted: only faults are judged by them, and a long test has many.
    keeps_beats: bool,
    interval: Option<Duration>,
    /// When the present interval is to end, in seconds from the start.
    next_point: f64,
    /// Where the present interval began.
    last: Beat,
    series: Vec<Point>,
}

impl<'a> TimeLine<'a> {
    fn new(shared: &'a Shared, load: &Load, start: Instant) -> Self {
        let (connections, breaker) = shared.served.counts();
        Self {
            shared,
            start,
            before: Tally::total(&shared.tallies),
            opened_before: connections.opened,
            open_before: breaker.open_seconds,
            beats: vec![Beat::default()],
            keeps_beats: !load.faults.is_empty(),
            interval: load.interval,
            next_point: load.interval.map_or(f64::INFINITY, |interval| interval.as_secs_f64()),
            last: Beat::default(),
            series: Vec::new(),
        }
    }

    /// Notes the totals of this moment.
    fn beat(&mut self) {
        let count = Tally::total(&self.shared.tallies);
        let (connections, breaker) = self.shared.served.counts();
        let beat = Beat {
            at: self.start.elapsed().as_secs_f64(),
            succeeded: count.succeeded - self.before.succeeded,
            failed: count.failed - self.before.failed,
            attempts: count.attempts - self.before.attempts,
            opened: connections.opened - self.opened_before,
            open_seconds: breaker.open_seconds - self.open_before,
        };
        if !self.keeps_beats {
            self.beats.clear();
        }
        self.beats.push(beat);
    }

    /// Ends the interval, if it is time to, or if it is the last.
    fn point(&mut self, control: &mut Control<'_>, last: bool) {
        let (Some(interval), Some(&now)) = (self.interval, self.beats.last()) else { return };
        if now.at < self.next_point && !last {
            return;
        }
        let seconds = now.at - self.last.at;
        while self.next_point <= now.at {
            self.next_point += interval.as_secs_f64();
        }
        let recent = self.shared.shards.look();
        let status = self.shared.served.status();
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
        let rate = |from: u64, until: u64| (until - from) as f64 / seconds;
        let point = Point {
            at: now.at,
            seconds,
            level: self.shared.pacer.follow(self.start.elapsed()),
            throughput: rate(self.last.succeeded, now.succeeded),
            failures: rate(self.last.failed, now.failed),
            errors: recent.errors(),
            response: recent.response.latency(),
            active: status.active,
            held: Some(recent.held.as_secs_f64() / seconds),
            idle: status.total.saturating_sub(status.active),
            waiting: status.waiting,
            backlog: self.shared.pacer.queued() as u64,
            opened: now.opened - self.last.opened,
            breaker: self.shared.served.breaker(),
        };
        control.tell(Watch::Point { point: &point, response: recent.response.histogram() });
        self.series.push(point);
        self.last = now;
    }
}

/// Successes a second in consecutive slices.
struct Slices {
    rates: Vec<f64>,
    opened_at: Instant,
    next_end: Instant,
    succeeded: u64,
}

impl Slices {
    fn new(shared: &Shared, start: Instant) -> Self {
        let succeeded = Tally::total(&shared.tallies).succeeded;
        Self { rates: Vec::new(), opened_at: start, next_end: start + SLICE, succeeded }
    }

    fn next_end(&self) -> Instant {
        self.next_end
    }

    /// Ends the slice now; its rate is over the time that it really took.
    fn close(&mut self, shared: &Shared) {
        let (now, succeeded) = (Instant::now(), Tally::total(&shared.tallies).succeeded);
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
        let rate = (succeeded - self.succeeded) as f64 / (now - self.opened_at).as_secs_f64().max(1e-6);
        self.rates.push(rate);
        (self.opened_at, self.succeeded) = (now, succeeded);
        // Ends lie on a grid, so that being late once does not move all that follow; one that was missed is left out.
        while self.next_end <= now {
            self.next_end += SLICE;
        }
    }
}
