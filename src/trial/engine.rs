use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Load, TrialError,
    processors::Usage,
    recorder::{Recorder, Tally},
    sampler::{Mix, Operation, Sampler},
    steady,
};
use crate::{
    database::{Argument, Connection, QueryError},
    model::{
        BreakerCounts, ConnectionCounts, Cpu, Ended, ErrorClass, ErrorCount, Interval, Measurement, Requests,
        Utilisation, WarmUp,
    },
    pool::{Attempt, Failure, Observer, Pool, Work},
    stats,
};

/// Length of a slice of throughput.
const SLICE: Duration = Duration::from_millis(100);
/// How often the pool's state is sampled.
const SAMPLE: Duration = Duration::from_millis(10);
/// How long requests may go on after the measured part; what has not ended by then is cut off.
const GRACE: Duration = Duration::from_millis(1500);
/// Pause of a worker after a request that failed for good. A circuit that is open fails at once; without a pause
/// the workers would take the processors from the database just to fail.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(5);
/// Confidence with which the success limit must be missed to stop a trial early; high, for it is looked at often.
const EARLY_STOP_CONFIDENCE: f64 = 0.999;

/// The part of a trial that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    WarmUp,
    Measure,
    Drain,
}

/// What the workers of a trial share.
struct Shared {
    pool: Pool,
    mix: Arc<Mix>,
    phase: AtomicU8,
    tallies: Vec<Tally>,
    think_time: Option<Duration>,
    seed: u64,
}

impl Shared {
    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// Runs one trial on an open pool: warm-up until steady, measuring, draining.
pub(super) async fn run(
    load: &Load,
    pool: Pool,
    mix: Arc<Mix>,
    seed: u64,
    database_cpu: impl Fn() -> Option<f64>,
    cancel: &CancellationToken,
) -> Result<Measurement, TrialError> {
    let tallies = std::iter::repeat_with(Tally::default).take(load.workers as usize).collect();
    let phase = AtomicU8::new(Phase::WarmUp as u8);
    let shared = Arc::new(Shared { pool, mix, phase, tallies, think_time: load.think_time, seed });
    let mut workers = JoinSet::new();
    let mut cuts = Vec::with_capacity(load.workers as usize);
    for index in 0..load.workers as usize {
        let (cut, cut_off) = oneshot::channel();
        cuts.push(cut);
        workers.spawn(worker(Arc::clone(&shared), index, cut_off));
    }
    let mut conductor = Conductor::new(&shared);

    let warm_up = conductor.warm_up(load.warm_up_cap, cancel).await?;
    let usage = Usage::read(database_cpu());
    let (connections, breaker) = shared.pool.counts();
    shared.pool.reset_peaks();
    shared.enter(Phase::Measure);
    let measured = conductor.measure(load.measure, load.success_limit, cancel).await?;
    shared.enter(Phase::Drain);
    let later = Usage::read(database_cpu());
    let status = shared.pool.status();
    let (connections_after, breaker_after) = shared.pool.counts();

    let (recorder, unfinished) = drain(workers, cuts, load.workers).await;
    let seconds = measured.seconds;
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let cpu = usage.zip(later).map_or_else(Cpu::default, |(from, to)| from.until(&to, seconds, threads));
    let requests = requests(&recorder);
    let mut errors = recorder.errors();
    if unfinished > 0 {
        errors.push(ErrorCount {
            class: ErrorClass::Unfinished,
            code: None,
            example: format!("still under way {} s after the end; neither success nor failure", GRACE.as_secs_f64()),
            count: unfinished,
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
    let throughput = recorder.succeeded as f64 / seconds;
    Ok(Measurement {
        seconds,
        warm_up,
        throughput,
        slices: measured.slices,
        requests,
        query: recorder.query.latency(),
        acquire: recorder.acquisition(),
        hold: recorder.hold.latency(),
        utilisation: Utilisation {
            mean: if measured.total > 0.0 { measured.active / measured.total } else { 0.0 },
            active: measured.active,
            total: measured.total,
            peak_active: status.peak_active,
            peak_total: status.peak_total,
        },
        errors,
        connections: connections_between(connections, connections_after),
        breaker: breaker_between(breaker, breaker_after),
        cpu,
        ended: measured.ended,
    })
}

fn requests(recorder: &Recorder) -> Requests {
    let n = recorder.succeeded + recorder.failed;
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
    let success_rate = if n == 0 { 0.0 } else { recorder.succeeded as f64 / n as f64 };
    Requests {
        succeeded: recorder.succeeded,
        failed: recorder.failed,
        retries: recorder.retries,
        success_rate,
        success_interval: stats::clopper_pearson(recorder.succeeded, recorder.failed, 0.95)
            .unwrap_or(Interval { low: 0.0, high: 1.0 }),
    }
}

fn connections_between(from: ConnectionCounts, to: ConnectionCounts) -> ConnectionCounts {
    ConnectionCounts {
        opened: to.opened - from.opened,
        closed_lifetime: to.closed_lifetime - from.closed_lifetime,
        closed_idle: to.closed_idle - from.closed_idle,
        closed_broken: to.closed_broken - from.closed_broken,
    }
}

fn breaker_between(from: BreakerCounts, to: BreakerCounts) -> BreakerCounts {
    BreakerCounts {
        opened: to.opened - from.opened,
        half_opened: to.half_opened - from.half_opened,
        closed: to.closed - from.closed,
    }
}

/// Lets the workers end the requests under way, and cuts off those that take too long.
/// Gives what they recorded and the number cut off.
async fn drain(mut workers: JoinSet<Recorder>, cuts: Vec<oneshot::Sender<()>>, n: u32) -> (Recorder, u64) {
    let mut merged = Recorder::new();
    let mut ended = 0;
    let deadline = tokio::time::Instant::now() + GRACE;
    while let Ok(Some(joined)) = tokio::time::timeout_at(deadline, workers.join_next()).await {
        if let Ok(recorder) = joined {
            merged.add(&recorder);
            ended += 1;
        }
    }
    drop(cuts);
    while let Some(joined) = workers.join_next().await {
        if let Ok(recorder) = joined {
            merged.add(&recorder);
        }
    }
    (merged, u64::from(n) - ended)
}

/// Drives the phases of a trial and counts its throughput in slices.
struct Conductor<'a> {
    shared: &'a Shared,
    ticks: tokio::time::Interval,
}

/// What the conductor saw of the measured part.
struct Measured {
    seconds: f64,
    slices: Vec<f64>,
    active: f64,
    total: f64,
    ended: Ended,
}

impl<'a> Conductor<'a> {
    fn new(shared: &'a Shared) -> Self {
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

    async fn warm_up(&mut self, cap: Duration, cancel: &CancellationToken) -> Result<WarmUp, TrialError> {
        let start = Instant::now();
        let mut slices = Slices::new(self.shared, start);
        let mut steady = false;
        while !steady && start.elapsed() < cap {
            self.wait(slices.next_end(), cancel, || ()).await?;
            slices.close(self.shared);
            steady = steady::is_steady(&slices.rates);
        }
        Ok(WarmUp { seconds: start.elapsed().as_secs_f64(), steady })
    }

    async fn measure(
        &mut self,
        length: Duration,
        success_limit: f64,
        cancel: &CancellationToken,
    ) -> Result<Measured, TrialError> {
        let start = Instant::now();
        let mut slices = Slices::new(self.shared, start);
        let (succeeded_before, failed_before) = Tally::total(&self.shared.tallies);
        let (mut active, mut total, mut samples) = (0.0, 0.0, 0.0);
        let mut ended = Ended::Completed;
        let shared = self.shared;
        while start.elapsed() < length {
            let end = slices.next_end().min(start + length);
            self.wait(end, cancel, || {
                let status = shared.pool.status();
                active += f64::from(status.active);
                total += f64::from(status.total);
                samples += 1.0;
            })
            .await?;
            slices.close(self.shared);
            let (succeeded, failed) = Tally::total(&self.shared.tallies);
            let (succeeded, failed) = (succeeded - succeeded_before, failed - failed_before);
            if failed > 0
                && stats::clopper_pearson_upper(succeeded, failed, EARLY_STOP_CONFIDENCE)
                    .is_ok_and(|highest| highest < success_limit)
            {
                ended = Ended::SuccessLimitMissed;
                break;
            }
        }
        let samples = f64::max(samples, 1.0);
        Ok(Measured {
            seconds: start.elapsed().as_secs_f64(),
            slices: slices.rates,
            active: active / samples,
            total: total / samples,
            ended,
        })
    }
}

/// Successes a second in consecutive slices.
struct Slices {
    rates: Vec<f64>,
    opened_at: Instant,
    succeeded: u64,
}

impl Slices {
    fn new(shared: &Shared, start: Instant) -> Self {
        Self { rates: Vec::new(), opened_at: start, succeeded: Tally::total(&shared.tallies).0 }
    }

    fn next_end(&self) -> Instant {
        self.opened_at + SLICE
    }

    /// Ends the slice now; its rate is over the time that it really took.
    fn close(&mut self, shared: &Shared) {
        let (now, (succeeded, _)) = (Instant::now(), Tally::total(&shared.tallies));
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
        let rate = (succeeded - self.succeeded) as f64 / (now - self.opened_at).as_secs_f64().max(1e-6);
        self.rates.push(rate);
        (self.opened_at, self.succeeded) = (now, succeeded);
    }
}

/// One worker: draws requests and runs them until the trial ends or it is cut off.
async fn worker(shared: Arc<Shared>, index: usize, cut_off: oneshot::Receiver<()>) -> Recorder {
    let mut recorder = Recorder::new();
    tokio::select! {
        biased;
        () = work(&shared, index, &mut recorder) => {}
        // The sender is dropped, never used: either way the worker is cut off.
        _ = cut_off => {}
    }
    recorder
}

async fn work(shared: &Shared, index: usize, recorder: &mut Recorder) {
    let mut sampler = Sampler::new(&shared.mix, shared.seed, index as u64);
    let mut drawn = Vec::new();
    while !shared.is(Phase::Drain) {
        let operation = sampler.next(&mut drawn);
        let mut request = Request { operation, drawn: &drawn };
        let mut observer = Recording { shared, recorder };
        let result = shared.pool.request(&mut request, &mut observer);
        let (success, attempts) = match result.await {
            Ok(attempts) => (true, attempts),
            Err(failure) => (false, failure.attempt),
        };
        shared.tallies[index].count(success);
        if shared.is(Phase::Measure) {
            recorder.retries += u64::from(attempts - 1);
            if success {
                recorder.succeeded += 1;
            } else {
                recorder.failed += 1;
            }
        }
        if !success {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
        if let Some(think_time) = shared.think_time {
            tokio::time::sleep(think_time).await;
        }
    }
}

/// One request, drawn and ready to run.
struct Request<'a> {
    operation: &'a Operation,
    drawn: &'a [Argument<'a>],
}

impl Work for Request<'_> {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), QueryError> {
        if !self.operation.transaction {
            return self.statements(connection).await;
        }
        connection.execute_raw("BEGIN").await?;
        let result = self.statements(connection).await;
        match &result {
            Ok(()) => connection.execute_raw("COMMIT").await?,
            Err(error) if error.connection_lost => {}
            Err(_) => connection.execute_raw("ROLLBACK").await?,
        }
        result
    }
}

impl Request<'_> {
    async fn statements(&self, connection: &mut Connection) -> Result<(), QueryError> {
        for (sql, arguments) in &self.operation.statements {
            match arguments.as_slice() {
                [] => connection.execute(sql.clone(), &[]).await?,
                // The common case needs no list of its own.
                &[only] => connection.execute(sql.clone(), &self.drawn[only..=only]).await?,
                several => {
                    let bound: Vec<_> = several.iter().map(|&position| self.drawn[position]).collect();
                    connection.execute(sql.clone(), &bound).await?;
                }
            }
        }
        Ok(())
    }
}

/// Records attempts that end while measuring.
struct Recording<'a> {
    shared: &'a Shared,
    recorder: &'a mut Recorder,
}

impl Observer for Recording<'_> {
    fn attempted(&mut self, attempt: &Attempt, failure: Option<&Failure>) {
        if !self.shared.is(Phase::Measure) {
            return;
        }
        let recorder = &mut *self.recorder;
        if let Some(acquired) = &attempt.acquired {
            recorder.acquire.record(acquired.total);
            recorder.wait.record(acquired.wait);
            if let Some(open) = acquired.open {
                recorder.open.record(open);
            }
            if let Some(validate) = acquired.validate {
                recorder.validate.record(validate);
            }
        }
        if let Some(hold) = attempt.hold {
            recorder.hold.record(hold);
        }
        match failure {
            None => recorder.query.record(attempt.query.unwrap_or_default()),
            Some(failure) => recorder.error(failure.class, failure.code.as_deref(), &failure.message),
        }
    }
}
