//! What a trial writes down of its simulation, as the workers and the conductor do on a real database.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Control, Load, Watch};
use crate::{
    fault::Happened,
    model::{BreakerCounts, ConnectionCounts, Ended, ErrorClass, Fault, Point},
    simulate::{Attempt, Moment, Observer},
    trial::{abort::Judge, recorder::Shards, recovery::Beat, steady},
};

/// Looks for when throughput is steady.
pub(super) struct Warming<'a> {
    /// When the load begins.
    pub(super) from: Duration,
    pub(super) slices: Vec<f64>,
    pub(super) steady: bool,
    pub(super) cancel: &'a CancellationToken,
}

impl Observer for Warming<'_> {
    fn due(&mut self, _: Duration) {}

    fn attempted(&mut self, _: Duration, _: &Attempt) {}

    fn ended(&mut self, _: Duration, _: Duration, _: bool, _: u32) {}

    fn interval(&mut self, moment: &Moment<'_>) -> bool {
        if moment.at > self.from {
            self.slices.push(moment.tally.throughput());
            self.steady = steady::is_steady(&self.slices);
        }
        !self.steady && !self.cancel.is_cancelled()
    }
}

/// What was written down of a trial. Times are counted from the start of the measured part.
pub(super) struct Listening {
    pub(super) shards: Shards,
    /// How far it is.
    pub(super) at: Duration,
    pub(super) slices: Vec<f64>,
    pub(super) beats: Vec<Beat>,
    pub(super) series: Vec<Point>,
    /// Requests of an open loop that were due.
    pub(super) due: u64,
    /// Connections in use and open, added up over time.
    pub(super) active: f64,
    pub(super) open: f64,
    /// Most of them at once.
    pub(super) peaks: (u32, u32),
    pub(super) connections: ConnectionCounts,
    /// The circuit's transitions until the start, and until now.
    pub(super) breaker: (BreakerCounts, BreakerCounts),
    pub(super) ended: Ended,
    pub(super) ended_by: Option<String>,
}

/// Listens to a trial.
pub(super) struct Listener<'a, 'b> {
    load: &'a Load,
    control: &'a mut Control<'b>,
    judge: Judge<'a>,
    from: Duration,
    part: Part,
    /// Where the present interval of the time line began, and when it is to end.
    last: Beat,
    next_point: f64,
    of: Listening,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    WarmUp,
    Measured,
    Grace,
}

impl<'a, 'b> Listener<'a, 'b> {
    /// The measured part begins at `from`.
    pub(super) fn new(load: &'a Load, from: Duration, control: &'a mut Control<'b>) -> Self {
        Self {
            load,
            control,
            judge: Judge::new(load),
            from,
            part: Part::WarmUp,
            last: Beat::default(),
            next_point: load.interval.map_or(f64::INFINITY, |interval| interval.as_secs_f64()),
            of: Listening {
                shards: Shards::new(1, load.interval.is_some()),
                at: Duration::ZERO,
                slices: Vec::new(),
                beats: vec![Beat::default()],
                series: Vec::new(),
                due: 0,
                active: 0.0,
                open: 0.0,
                peaks: (0, 0),
                connections: ConnectionCounts::default(),
                breaker: (BreakerCounts::default(), BreakerCounts::default()),
                ended: Ended::Completed,
                ended_by: None,
            },
        }
    }

    /// What it has written down.
    pub(super) fn heard(self) -> Listening {
        self.of
    }

    /// Whether what happens to a request now counts: in an open loop where it was due in the measured part, in a closed one
    /// where that goes on.
    fn counts(&self, intended: Duration) -> bool {
        if self.load.pacing.is_open() {
            intended > self.from && self.part != Part::WarmUp
        } else {
            self.part == Part::Measured
        }
    }

    /// The totals at the end of a slice.
    fn beat(&mut self, moment: &Moment<'_>) {
        let of = &mut self.of;
        of.at = moment.at.saturating_sub(self.from);
        of.slices.push(moment.tally.throughput());
        of.active += moment.tally.active;
        of.open += moment.tally.open;
        of.peaks = (of.peaks.0.max(moment.peak_active), of.peaks.1.max(moment.peak_open));
        let (sum, part) = (&mut of.connections, &moment.tally.connections);
        sum.opened += part.opened;
        sum.closed_lifetime += part.closed_lifetime;
        sum.closed_idle += part.closed_idle;
        sum.closed_broken += part.closed_broken;
        of.breaker.1 = moment.transitions;
        let before = of.beats.last().copied().unwrap_or_default();
        let beat = Beat {
            at: of.at.as_secs_f64(),
            opened: of.connections.opened,
            open_seconds: of.breaker.1.open_seconds - of.breaker.0.open_seconds,
            ..before
        };
        // Totals are counted in the last beat as they come; the next one goes on from it. Only faults need the older ones.
        if self.load.faults.is_empty() {
            of.beats.clear();
        }
        of.beats.push(beat);
    }

    /// Ends the interval of the time line, if it is time to, or if it is the last.
    fn point(&mut self, moment: &Moment<'_>, now: Beat, last: bool) {
        let Some(interval) = self.load.interval else { return };
        if now.at < self.next_point - 1e-9 && !last {
            return;
        }
        while self.next_point <= now.at + 1e-9 {
            self.next_point += interval.as_secs_f64();
        }
        let seconds = (now.at - self.last.at).max(1e-9);
        let recent = self.of.shards.look();
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
        let rate = |from: u64, until: u64| (until - from) as f64 / seconds;
        let point = Point {
            at: now.at,
            seconds,
            level: self.load.pacing.level_at(self.of.at),
            throughput: rate(self.last.succeeded, now.succeeded),
            failures: rate(self.last.failed, now.failed),
            errors: recent.errors(),
            response: recent.response.latency(),
            active: moment.active,
            held: Some(recent.held.as_secs_f64() / seconds),
            idle: moment.open.saturating_sub(moment.active),
            waiting: u32::try_from(moment.waiting).unwrap_or(u32::MAX),
            backlog: u64::try_from(moment.backlog).unwrap_or(u64::MAX),
            opened: now.opened - self.last.opened,
            breaker: moment.breaker,
        };
        self.control.tell(Watch::Point { point: &point, response: recent.response.histogram() });
        self.of.series.push(point);
        self.last = now;
    }
}

impl Observer for Listener<'_, '_> {
    fn due(&mut self, _: Duration) {
        self.of.due += u64::from(self.part == Part::Measured);
    }

    fn attempted(&mut self, _: Duration, attempt: &Attempt) {
        if !self.counts(attempt.intended) {
            return;
        }
        let recorder = &mut *self.of.shards.of(0);
        for acquired in attempt.acquired.iter().chain(&attempt.second) {
            recorder.acquire.record(acquired.total);
            recorder.wait.record(acquired.wait);
            if let Some(open) = acquired.open {
                recorder.open.record(open);
            }
            if let Some(validate) = acquired.validate {
                recorder.validate.record(validate);
            }
        }
        for hold in attempt.holds.into_iter().flatten() {
            recorder.held(hold);
        }
        match attempt.failed {
            None => recorder.query.record(attempt.query.unwrap_or_default()),
            Some(class) => recorder.error(class, None, example(class)),
        }
    }

    fn ended(&mut self, at: Duration, intended: Duration, served: bool, attempts: u32) {
        if self.part == Part::Measured
            && let Some(beat) = self.of.beats.last_mut()
        {
            *(if served { &mut beat.succeeded } else { &mut beat.failed }) += 1;
            beat.attempts += u64::from(attempts);
        }
        if self.counts(intended) {
            self.of.shards.of(0).request(at.saturating_sub(intended), served, attempts);
        }
    }

    fn interval(&mut self, moment: &Moment<'_>) -> bool {
        if self.control.cancel.is_cancelled() {
            return false;
        }
        if self.part == Part::WarmUp {
            if moment.at >= self.from {
                self.part = Part::Measured;
                self.of.breaker = (moment.transitions, moment.transitions);
                self.of.peaks = (moment.active, moment.open);
                self.control.tell(Watch::Measuring);
            }
            return true;
        }
        self.beat(moment);
        let Some(&now) = self.of.beats.last() else { return false };
        let happened = happened(&self.load.faults, self.of.at, false);
        let lost = self.judge.look(&self.of.beats, &happened, &self.of.shards);
        if self.control.finish.is_cancelled() {
            self.of.ended = Ended::Stopped;
        } else if let Some(lost) = lost {
            (self.of.ended, self.of.ended_by) = (lost.ended, lost.by);
        }
        let over = self.of.ended != Ended::Completed || self.of.at >= self.load.measure;
        self.point(moment, now, over);
        if over {
            self.part = Part::Grace;
        }
        !over
    }
}

/// What has become of faults by a time of the measured part; those under way end with it, if it is over.
pub(super) fn happened(faults: &[Fault], at: Duration, is_over: bool) -> Vec<Happened> {
    let one = |fault: &Fault| {
        let (began, ended) = (fault.at <= at, fault.end() <= at);
        Happened {
            began: began.then_some(fault.at.as_secs_f64()),
            ended: (ended || (began && is_over)).then(|| fault.end().min(at).as_secs_f64()),
            problem: None,
        }
    };
    faults.iter().map(one).collect()
}

/// What a failed attempt would have said.
fn example(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::AcquireTimeoutWaiting => "simulated: no connection within connection_timeout: all were in use",
        ErrorClass::AcquireTimeoutOpening => "simulated: no connection within connection_timeout: one was being opened",
        ErrorClass::AcquireTimeoutValidating => {
            "simulated: no connection within connection_timeout: one was being validated"
        }
        ErrorClass::AcquireTimeoutNested => {
            "simulated: a second connection, asked for while holding one: no connection within connection_timeout: all \
             were in use"
        }
        ErrorClass::TooManyConnections => "simulated: the server has too many connections already",
        ErrorClass::Connect => "simulated: the connection was refused",
        ErrorClass::Validation => "simulated: a fresh connection did not pass its validation",
        ErrorClass::ConnectionLost => "simulated: the connection was lost while in use",
        ErrorClass::Query => "simulated: a statement failed",
        ErrorClass::CircuitOpen => "simulated: turned away: the circuit is open",
        ErrorClass::Unfinished => "simulated: still under way",
    }
}
