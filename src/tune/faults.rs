//! The fault part of a trial: an open loop while faults happen, with a pool of its own.

use std::time::Duration;

use crate::{
    model::{FaultPart, Measurement, Offered, Pacing, Setting, Settings, UnderFaults, Value},
    trial::{Details, Load, UNIT},
};

/// The share of what the run's first trial served that is offered: room for a pool to catch up after a fault.
const SHARE_OF_THROUGHPUT: f64 = 0.5;
/// Requests a second that can be offered.
const LEAST_RATE: f64 = 1.0;
const HIGHEST_RATE: f64 = 100_000.0;
/// Requests that may be under way at once; each takes some kilobytes, and more than these would wait in the pool's queue as
/// they now wait for a worker.
const FEWEST_WORKERS: u32 = 64;
const MOST_WORKERS: u32 = 2_000;
/// The longest warm-up: it opens the connections that the rate needs, which takes no more.
const WARM_UP: Duration = Duration::from_millis(300);
/// How long the circuit breaker stays open: the same for all settings, for it is not decided here, and with its usual half
/// minute the first opening would be all that the part shows.
const CIRCUIT_OPEN: Duration = Duration::from_millis(200);

/// The rate of every fault part of a run, of its first trial. Whole, so that what is read back from the store gives the same.
pub(super) fn rate(first: &Measurement) -> f64 {
    (first.throughput * SHARE_OF_THROUGHPUT).round().clamp(LEAST_RATE, HIGHEST_RATE)
}

/// The load of the fault part.
pub(super) fn load(part: &FaultPart, rate: f64) -> Load {
    Load {
        workers: workers(rate * part.deadline.as_secs_f64()),
        pacing: Pacing::steady(Offered::PoissonRate, rate),
        nested: false,
        think_time: None,
        measure: part.measure,
        warm_up_cap: WARM_UP,
        success_limit: None,
        abort_on: Vec::new(),
        interval: None,
        faults: part.timeline.clone(),
    }
}

/// As many as are under way at most while each has still time: then a request waits for the pool and not for a worker.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn workers(under_way: f64) -> u32 {
    (under_way.ceil() as u32).clamp(FEWEST_WORKERS, MOST_WORKERS)
}

/// The settings of the fault part: those of the trial, with the circuit breaker's time compressed.
pub(super) fn settings(settings: &Settings) -> Settings {
    let open = settings.circuit_breaker_timeout().min(CIRCUIT_OPEN);
    settings.clone().with(Setting::CircuitBreakerTimeout, Value::Time(open))
}

/// What the fault part tells.
pub(super) fn told(part: &FaultPart, rate: f64, details: Details) -> UnderFaults {
    let Details { measurement, response, .. } = details;
    let due = measurement.offered.map_or(0, |offered| offered.requests);
    let in_time = response.count_between(0, units(part.deadline)).min(due);
    let requests = measurement.requests;
    let all = requests.succeeded + requests.failed;
    UnderFaults {
        weight: part.weight,
        deadline: part.deadline.as_secs_f64(),
        rate,
        due,
        in_time,
        // Where nothing came, nothing was lost.
        share: if due == 0 { 1.0 } else { share(in_time, due) },
        attempts: if all == 0 { 1.0 } else { 1.0 + share(requests.retries, all) },
        open: measurement.acquire.open,
        errors: measurement.errors,
        breaker: measurement.breaker,
        faults: measurement.faults,
        cpu: measurement.cpu,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn share(some: u64, all: u64) -> f64 {
    some as f64 / all as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of at most minutes")]
fn units(time: Duration) -> u64 {
    (time.as_secs_f64() / UNIT).round() as u64
}
