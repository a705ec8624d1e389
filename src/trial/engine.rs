//! One trial on an open pool, from its first request to its measurement.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Control, Details, Load, TrialError, Watch,
    conductor::{Conductor, Measured},
    pacer::Pacer,
    processors::Usage,
    recorder::Recorder,
    recovery,
    served::Served,
    worker::{self, Phase, Shared},
};
use crate::{
    fault::{self, Happened, Reach},
    model::{
        BreakerCounts, ConnectionCounts, Cpu, ErrorClass, ErrorCount, Interval, Measurement, OpenLoop, Requests,
        Utilisation,
    },
    stats,
};

/// How long requests may go on after the measured part; what has not ended by then is cut off.
pub(super) const GRACE: Duration = Duration::from_millis(1500);

/// Runs one trial on open pools: warm-up until steady, measuring while the load's faults happen, draining.
pub(super) async fn run(
    load: &Load,
    served: Served,
    seed: u64,
    database_cpu: impl Fn() -> Option<f64>,
    control: &mut Control<'_>,
    reach: &Reach,
) -> Result<Details, TrialError> {
    let mut workers = JoinSet::new();
    let mut threads = JoinSet::new();
    let (pacer, dispatch) = Pacer::new(load.pacing.clone(), seed);
    if let Some(dispatch) = dispatch {
        threads.spawn_blocking(dispatch);
    }
    let shared = Arc::new(Shared::new(served, pacer, load, seed));
    let mut cuts = Vec::with_capacity(load.workers as usize);
    for index in 0..load.workers {
        let (cut, cut_off) = oneshot::channel();
        cuts.push(cut);
        workers.spawn(worker::worker(Arc::clone(&shared), index, cut_off));
    }
    let mut conductor = Conductor::new(&shared);

    control.tell(Watch::WarmUp);
    let warm_up = conductor.warm_up(load, control).await?;
    control.tell(Watch::Measuring);
    let usage = Usage::read(database_cpu());
    let (connections, breaker) = shared.served.counts();
    shared.served.reset_peaks();
    let start = Instant::now();
    shared.enter(Phase::Measure);
    shared.pacer.measure_from(start);
    let (measured, happened) = measure(&mut conductor, load, start, control, reach, &shared.served).await?;
    let (end, backlog) = shared.pacer.stop();
    let seconds = end.saturating_duration_since(start).as_secs_f64();
    shared.enter(Phase::Drain);
    let later = Usage::read(database_cpu());
    let status = shared.served.status();
    let (connections_after, breaker_after) = shared.served.counts();
    control.tell(Watch::Draining);

    let unfinished = drain(workers, cuts).await;
    let recorder = shared.shards.merged();
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let cpu = usage.zip(later).map_or_else(Cpu::default, |(from, to)| from.until(&to, seconds, threads));
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
    let a_second = |count: u64| count as f64 / seconds;
    let measurement = Measurement {
        seconds,
        warm_up,
        throughput: a_second(recorder.succeeded),
        slices: measured.slices,
        requests: requests(&recorder),
        response: recorder.response.latency(),
        offered: backlog.map(|backlog| OpenLoop {
            requests: backlog.requests,
            rate: a_second(backlog.requests),
            not_started: backlog.not_started,
            longest_wait: backlog.longest_wait.as_secs_f64(),
        }),
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
        faults: recovery::records(load, happened, &measured.beats),
        under_faults: None,
        ended: measured.ended,
    };
    Ok(Details {
        measurement,
        series: measured.series,
        response: recorder.response.into_histogram(),
        ended_by: measured.ended_by,
    })
}

/// Measures while the load's faults happen; what they are in the middle of is ended with the measured part.
async fn measure(
    conductor: &mut Conductor<'_>,
    load: &Load,
    start: Instant,
    control: &mut Control<'_>,
    reach: &Reach,
    served: &Served,
) -> Result<(Measured, Vec<Happened>), TrialError> {
    let over = CancellationToken::new();
    let so_far = Mutex::new(vec![Happened::default(); load.faults.len()]);
    let told = |index: usize, of: &Happened| {
        so_far.lock().unwrap_or_else(PoisonError::into_inner)[index] = of.clone();
    };
    let faults = fault::make(&load.faults, reach, served.leaking(), start, &over, told);
    let measuring = async {
        let measured = conductor.measure(load, start, control, &so_far).await;
        over.cancel();
        measured
    };
    let (measured, happened) = tokio::join!(measuring, faults);
    Ok((measured?, happened))
}

pub(super) fn requests(recorder: &Recorder) -> Requests {
    counted(recorder.succeeded, recorder.failed, recorder.retries)
}

/// Requests by outcome, with their success rate.
pub(super) fn counted(succeeded: u64, failed: u64, retries: u64) -> Requests {
    let n = succeeded + failed;
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
    let success_rate = if n == 0 { 0.0 } else { succeeded as f64 / n as f64 };
    Requests {
        succeeded,
        failed,
        retries,
        success_rate,
        success_interval: stats::clopper_pearson(succeeded, failed, 0.95).unwrap_or(Interval { low: 0.0, high: 1.0 }),
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

pub(super) fn breaker_between(from: BreakerCounts, to: BreakerCounts) -> BreakerCounts {
    BreakerCounts {
        opened: to.opened - from.opened,
        half_opened: to.half_opened - from.half_opened,
        closed: to.closed - from.closed,
        open_seconds: to.open_seconds - from.open_seconds,
    }
}

/// Lets the workers end the requests under way, and cuts off those that take too long. Gives how many were cut off.
async fn drain(mut workers: JoinSet<bool>, cuts: Vec<oneshot::Sender<()>>) -> u64 {
    let deadline = tokio::time::Instant::now() + GRACE;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, workers.join_next()).await {}
    drop(cuts);
    let mut unfinished = 0;
    while let Some(joined) = workers.join_next().await {
        unfinished += u64::from(joined.unwrap_or(false));
    }
    unfinished
}
