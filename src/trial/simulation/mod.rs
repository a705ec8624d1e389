//! Trials in virtual time: the pool and its database simulated, as a sample has measured them.

mod listener;
mod steps;

use std::time::Duration;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use self::{
    listener::{Listener, Listening, Warming},
    steps::steps,
};
use super::{
    Control, Details, Load, TrialError, Watch,
    engine::{self, GRACE},
    recovery,
};
use crate::{
    fault::OutOfReach,
    model::{
        Cpu, Ended, ErrorClass, ErrorCount, Fault, FaultKind, Latency, Measurement, Offered, OpenLoop, Settings,
        Utilisation, WarmUp,
    },
    simulate::{
        self, Arrivals, Beyond, Calibration, CalibrationError, Left, Plan, Sample, Step, Watched, World,
        simulate_watched,
    },
};

/// Length of a slice of throughput, as on a real database.
const SLICE: Duration = Duration::from_millis(100);
/// What the pool has to open its minimum before the load begins, as it does on a real database.
const LEAD: Duration = Duration::from_secs(1);
/// How far trials of the same settings lie apart, as the standard deviation of the logarithm of service times: a machine is not
/// the same from one trial to the next, and a search or a verification that met none of that would be too sure of itself.
const NOISE: f64 = 0.03;
/// Connections that a server takes that nobody has told another number: PostgreSQL's and many others' default.
const USUAL_LIMIT: u32 = 100;

/// A discrete-event simulation in place of a pool and a database: whole trials, with distributions, faults and time lines,
/// without waiting. The same seed gives the same trial.
#[derive(Clone, Debug)]
pub struct SimulationTarget {
    world: World,
}

impl SimulationTarget {
    /// A simulation of what a sample has measured. Its server takes a hundred connections, or as many as the sample had.
    ///
    /// # Errors
    /// [`CalibrationError`] for a sample of too few trials.
    pub fn new(sample: &Sample) -> Result<Self, CalibrationError> {
        let world = Calibration::of(sample)?.world;
        let largest = sample.trials.iter().map(|of| of.settings.max_connections()).max().unwrap_or(0);
        Ok(Self { world: World { server_limit: USUAL_LIMIT.max(largest), ..world } })
    }

    /// What opening so many connections at once takes.
    pub(super) fn connecting(&self, at_once: u32) -> Latency {
        let times = self.world.connect.at(at_once);
        Latency {
            count: u64::from(at_once),
            mean: times.mean(),
            p50: times.quantile(0.5),
            p90: times.quantile(0.9),
            p95: times.quantile(0.95),
            p99: times.quantile(0.99),
            p999: times.quantile(0.999),
            max: times.quantile(1.0),
        }
    }

    /// Connections that the simulated server takes.
    #[must_use]
    pub fn server_limit(&self) -> u32 {
        self.world.server_limit
    }

    /// Whether faults can be simulated.
    ///
    /// # Errors
    /// [`OutOfReach`] for the first that cannot.
    pub fn can_make(faults: &[Fault]) -> Result<(), OutOfReach> {
        let is_left_out =
            |fault: &&Fault| matches!(fault.kind, FaultKind::Bandwidth { .. } | FaultKind::DropAfter { .. });
        faults.iter().find(is_left_out).map_or(Ok(()), |fault| Err(OutOfReach::NotSimulated(fault.kind.name())))
    }

    /// Runs one trial in virtual time.
    ///
    /// # Errors
    /// [`TrialError::Cancelled`] when it was given up.
    pub(super) fn run(
        &self,
        load: &Load,
        settings: &Settings,
        seed: u64,
        control: &mut Control<'_>,
    ) -> Result<Details, TrialError> {
        // Its own, so that it says nothing of what else is drawn from the seed.
        let normal: f64 = StandardNormal.sample(&mut ChaCha8Rng::seed_from_u64(seed ^ 0x006e_6f69_7365));
        let world = World { service: self.world.service.scaled((NOISE * normal).exp()), ..self.world.clone() };
        control.tell(Watch::WarmUp);
        let plan = |steps: Vec<Step>, faults: Vec<Fault>, length: Duration| Plan {
            settings: settings.clone(),
            world: world.clone(),
            load: simulate::Load { workers: load.workers, beyond: Beyond::Wait, arrivals: arrivals(load), steps },
            faults,
            length,
            interval: SLICE,
            thinning: None,
            seed,
        };
        let (warm_up, slices) =
            warm_up(load, |length| plan(steps(load, LEAD, Duration::MAX), Vec::new(), length), control);
        let from = LEAD + SLICE * slices;
        let faults = load.faults.iter().map(|fault| Fault { at: from + fault.at, ..fault.clone() }).collect();
        let plan = plan(steps(load, LEAD, from), faults, from + load.measure);
        let mut listener = Listener::new(load, from, control);
        let watched = Watched { observer: &mut listener, nested: load.nested, grace: GRACE };
        let left = simulate_watched(&plan, watched);
        let heard = listener.heard();
        if control.cancel.is_cancelled() {
            return Err(TrialError::Cancelled);
        }
        control.tell(Watch::Draining);
        Ok(details(load, warm_up, from, heard, &left))
    }
}

fn arrivals(load: &Load) -> Arrivals {
    match load.pacing.offered {
        Offered::Workers => Arrivals::Closed { think_time: load.think_time.unwrap_or_default() },
        Offered::ConstantRate => Arrivals::Constant,
        Offered::PoissonRate => Arrivals::Poisson,
    }
}

/// Simulates the warm-up by itself, to see when throughput is steady; the trial then goes through the very same again. Gives how
/// it was, and its length in slices. A load that begins with a pause has none.
fn warm_up(load: &Load, plan: impl FnOnce(Duration) -> Plan, control: &Control<'_>) -> (WarmUp, u32) {
    let cap = if load.pacing.first() > 0.0 { load.warm_up_cap } else { Duration::ZERO };
    if cap.is_zero() {
        return (WarmUp { seconds: 0.0, steady: true }, 0);
    }
    let mut warming = Warming { from: LEAD, slices: Vec::new(), steady: false, cancel: &control.cancel };
    let most = u32::try_from(cap.as_nanos().div_ceil(SLICE.as_nanos())).unwrap_or(u32::MAX);
    let watched = Watched { observer: &mut warming, nested: load.nested, grace: Duration::ZERO };
    drop(simulate_watched(&plan(LEAD + SLICE * most), watched));
    let slices = u32::try_from(warming.slices.len()).unwrap_or(u32::MAX);
    (WarmUp { seconds: (SLICE * slices).as_secs_f64(), steady: warming.steady }, slices)
}

/// What a trial measured.
fn details(load: &Load, warm_up: WarmUp, from: Duration, heard: Listening, left: &Left) -> Details {
    let seconds = heard.at.as_secs_f64().max(1e-9);
    let recorder = heard.shards.merged();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
    let a_second = |count: u64| count as f64 / seconds;
    let mut errors = recorder.errors();
    if left.unfinished > 0 {
        errors.push(ErrorCount {
            class: ErrorClass::Unfinished,
            code: None,
            example: format!(
                "simulated: still under way {} s after the end; neither success nor failure",
                GRACE.as_secs_f64()
            ),
            count: left.unfinished,
        });
    }
    let waiting: Vec<_> = left.not_begun.iter().filter(|due| **due > from).collect();
    let offered = load.pacing.is_open().then(|| OpenLoop {
        requests: heard.due,
        rate: a_second(heard.due),
        not_started: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
        longest_wait: waiting.first().map_or(0.0, |due| left.at.saturating_sub(**due).as_secs_f64()),
    });
    let measurement = Measurement {
        seconds,
        warm_up,
        throughput: a_second(recorder.succeeded),
        slices: heard.slices,
        requests: engine::requests(&recorder),
        response: recorder.response.latency(),
        offered,
        query: recorder.query.latency(),
        acquire: recorder.acquisition(),
        hold: recorder.hold.latency(),
        utilisation: Utilisation {
            mean: if heard.open > 0.0 { heard.active / heard.open } else { 0.0 },
            active: heard.active / seconds,
            total: heard.open / seconds,
            peak_active: heard.peaks.0,
            peak_total: heard.peaks.1,
        },
        errors,
        connections: heard.connections,
        breaker: engine::breaker_between(heard.breaker.0, heard.breaker.1),
        cpu: Cpu::default(),
        faults: recovery::records(load, listener::happened(&load.faults, heard.at, true), &heard.beats),
        under_faults: None,
        // A backlog without end stops the simulation as a person would.
        ended: if left.outcome.overloaded && heard.ended == Ended::Completed { Ended::Stopped } else { heard.ended },
    };
    Details {
        measurement,
        series: heard.series,
        response: recorder.response.into_histogram(),
        ended_by: heard.ended_by,
    }
}

#[cfg(test)]
mod tests;
