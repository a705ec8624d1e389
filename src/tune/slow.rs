//! The settings that act too slowly or too rarely for trials: probes, a simulation made of what was measured, and trials in which
//! hours are compressed into seconds, to see how far the one is from the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{Event, Phase, TuneError, faults, sample, trials::Trials};
use crate::{
    model::{
        Compressed, CompressedShare, Fault, FaultKind, FaultPart, Loss, OperatingDay, Prediction, Setting, Settings,
        SimulationEvidence, Value, median_errors,
    },
    profile::Profile,
    simulate::{
        Arrivals, Beyond, Calibration, Chosen, Load, LossDecision, LossEffect, Operated, Plan, Step, choose,
        mean_incidents, simulate,
    },
    stats,
};

/// Connections that are opened at once in the probes, where the pool may be so large.
const AT_ONCE: [u32; 3] = [1, 10, 30];
/// Compressed trials of each side.
const COMPRESSED_PAIRS: u32 = 3;
/// What times are divided by there: a minute becomes a second.
const FACTOR: f64 = 60.0;
/// The outages of a compressed trial, when and for how long: all connections break, and none can be opened. A restart of 5 s, after
/// which the circuit breaker goes on for longer, and a take-over of 85 s.
const OUTAGES: [(Duration, Duration); 2] = [
    (Duration::from_millis(500), Duration::from_millis(83)),
    (Duration::from_millis(1700), Duration::from_millis(1420)),
];
const COMPRESSED: Duration = Duration::from_millis(4500);
/// What is served later than this counts as lost there. Not compressed, for statements take as long as ever.
const DEADLINE: Duration = Duration::from_millis(250);
/// Median errors of the predictions above which the simulation is not trusted: throughput, query time, acquisition time.
const MOST_ERRORS: [f64; 3] = [0.15, 0.5, 0.5];
/// The same for what compressed trials lose.
const MOST_COMPRESSED_ERROR: f64 = 0.35;
/// How long the simulations take, about; so much of a run's time is left for them.
pub(super) const SECONDS: f64 = 45.0;

/// What was found out of the slow settings.
#[derive(Default)]
pub(super) struct Slow {
    pub(super) effects: Vec<LossEffect>,
    pub(super) evidence: Option<SimulationEvidence>,
    /// Why the simulation decides nothing.
    pub(super) refused: Option<String>,
}

impl Slow {
    /// What the simulation changes.
    pub(super) fn changes(&self) -> impl Iterator<Item = &LossEffect> {
        let decides = self.refused.is_none();
        self.effects.iter().filter(move |effect| decides && effect.decision == LossDecision::Changed)
    }
}

/// Trials beside those of the search and the verification.
pub(super) fn trials(profile: &Profile) -> u32 {
    match (&profile.day, &profile.faults) {
        (None, _) => 0,
        (Some(_), None) => probes(profile).len().try_into().unwrap_or(u32::MAX),
        (Some(_), Some(_)) => 2 * COMPRESSED_PAIRS + u32::try_from(probes(profile).len()).unwrap_or(u32::MAX),
    }
}

fn probes(profile: &Profile) -> Vec<u32> {
    let in_use = profile.space.baseline.max_connections();
    let axis = profile.space.axes.iter().find(|axis| axis.setting == Setting::MaxConnections);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an axis of a count has whole, legal ends"
    )]
    let largest = axis.map_or(in_use, |axis| in_use.max(axis.high as u32));
    let mut at_once: Vec<u32> = AT_ONCE.iter().map(|n| (*n).min(largest)).collect();
    at_once.dedup();
    at_once
}

/// Decides the slow settings beside `fast`, which trials have decided.
pub(super) async fn decide(trials: &mut Trials<'_>, profile: &Profile, fast: &Settings) -> Result<Slow, TuneError> {
    let Some(day) = &profile.day else { return Ok(Slow::default()) };
    trials.tell(Event::Phase(Phase::Probe));
    for at_once in probes(profile) {
        trials.probe(at_once).await?;
    }
    let refused = |reason: String| Slow { refused: Some(reason), ..Slow::default() };
    let sample = sample::sample(trials.run, "", profile, trials.records());
    let calibration = match Calibration::of(&sample) {
        Ok(calibration) => calibration,
        Err(error) => return Ok(refused(format!("failed to {}", error.in_short()))),
    };
    let predictions = Calibration::check(&sample, trials.seed);
    let served: Vec<f64> =
        sample.trials.iter().filter(|of| of.settings == *fast).map(|of| of.measurement.throughput).collect();
    let capacity = if served.is_empty() {
        sample.trials.iter().map(|of| of.measurement.throughput).fold(0.0, f64::max)
    } else {
        stats::mean(&served)
    };
    let reconnect = Operated::new(&calibration, day, capacity).reconnect();
    let mut evidence = SimulationEvidence {
        day: day.clone(),
        peak: capacity * day.peak,
        reconnect,
        days: 0,
        was: None,
        now: None,
        ratio: None,
        predictions,
        compressed: None,
        refused: None,
    };
    if let Some(reason) = too_far(&evidence.predictions) {
        evidence.refused = Some(reason.clone());
        return Ok(Slow { evidence: Some(evidence), ..refused(reason) });
    }
    trials.tell(Event::Phase(Phase::Simulation));
    let chosen = chosen(trials, profile, day, &calibration, fast, capacity).await?;
    let Some(chosen) = chosen else {
        return Ok(Slow {
            evidence: Some(evidence),
            ..refused("the simulated days have no figures to compare".to_owned())
        });
    };
    evidence.days = u32::try_from(chosen.was.len()).unwrap_or(u32::MAX);
    (evidence.was, evidence.now) = (mean(&chosen.was), mean(&chosen.now));
    evidence.ratio = (chosen.settings != *fast).then_some(chosen.ratio);
    if profile.faults.is_some() {
        trials.tell(Event::Phase(Phase::Compressed));
        evidence.compressed = compressed(trials, &calibration, fast, &chosen.settings).await?;
        evidence.refused = evidence.compressed.as_ref().and_then(far_from_compressed);
    }
    let refused = evidence.refused.clone();
    Ok(Slow { effects: chosen.effects, evidence: Some(evidence), refused })
}

/// Why predictions are too far from what was measured, if they are.
fn too_far(predictions: &[Prediction]) -> Option<String> {
    let Some(errors) = median_errors(predictions) else {
        return Some(
            "too few sizes of the pool were measured to see how far the simulation is from reality".to_owned(),
        );
    };
    let names = ["throughput", "query time", "acquisition time"];
    let worst = names.iter().zip(errors).zip(MOST_ERRORS).find(|((_, error), most)| error > most);
    worst.map(|((name, error), most)| {
        format!(
            "the simulation is too far from the trials: its {name} is wrong by {:.0} % in the median, and {:.0} % is the most that \
             is trusted",
            error * 100.0,
            most * 100.0
        )
    })
}

/// Simulates, beside whatever else happens; stops when the run is cancelled.
async fn chosen(
    trials: &mut Trials<'_>,
    profile: &Profile,
    day: &OperatingDay,
    calibration: &Calibration,
    fast: &Settings,
    capacity: f64,
) -> Result<Option<Chosen>, TuneError> {
    let (sender, mut told) = mpsc::unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    let work = {
        let (stop, day, calibration, fast) = (Arc::clone(&stop), day.clone(), calibration.clone(), fast.clone());
        let (axes, seed) = (profile.slow.clone(), trials.seed);
        tokio::task::spawn_blocking(move || {
            let operated = Operated::new(&calibration, &day, capacity);
            choose(&operated, &fast, &axes, seed, &mut |done, of| {
                sender.send((done, of)).is_ok() && !stop.load(Ordering::Relaxed)
            })
        })
    };
    loop {
        let step = tokio::select! {
            () = trials.cancel.cancelled() => None,
            step = told.recv() => step,
        };
        match step {
            Some((done, of)) => trials.tell(Event::Simulating { done, of }),
            None => break,
        }
    }
    stop.store(true, Ordering::Relaxed);
    let chosen = work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    if trials.cancel.is_cancelled() { Err(TuneError::Interrupted) } else { Ok(chosen) }
}

fn part() -> FaultPart {
    let outage = |(at, lasts)| {
        let fault = |kind, lasts| Fault { at, lasts, share: 1.0, kind };
        [fault(FaultKind::Refuse, lasts), fault(FaultKind::Reset, Duration::ZERO)]
    };
    FaultPart {
        weight: 1.0,
        deadline: DEADLINE,
        measure: COMPRESSED,
        timeline: OUTAGES.into_iter().flat_map(outage).collect(),
    }
}

/// The settings with all slow times divided.
fn compress(settings: &Settings) -> Settings {
    let times = [
        Setting::ConnectionTimeout,
        Setting::ConnectionLifetime,
        Setting::IdleTimeout,
        Setting::HealthCheckInterval,
        Setting::InitialRetryDelay,
        Setting::MaxRetryDelay,
        Setting::ValidationTimeout,
        Setting::CircuitBreakerTimeout,
    ];
    times.into_iter().fold(settings.clone(), |settings, setting| {
        let (least, _) = setting.spec().legal;
        let time = settings.get(setting).number().unwrap_or(least) / FACTOR;
        match Value::from_number(setting, time.max(least)) {
            Ok(value) => settings.with(setting, value),
            Err(_) => settings,
        }
    })
}

/// Compressed trials of the settings in use and of the chosen ones in turn, and the simulation of the same.
async fn compressed(
    trials: &mut Trials<'_>,
    calibration: &Calibration,
    fast: &Settings,
    chosen: &Settings,
) -> Result<Option<Compressed>, TuneError> {
    let part = part();
    let Some(rate) = trials.rate() else { return Ok(None) };
    let sides = if chosen == fast { vec![("in use", fast)] } else { vec![("in use", fast), ("simulated", chosen)] };
    let mut measured = vec![Vec::new(); sides.len()];
    for _ in 0..COMPRESSED_PAIRS {
        for ((name, settings), shares) in sides.iter().zip(&mut measured) {
            let found = trials.compressed(name, &compress(settings), &part).await?;
            shares.push(1.0 - found.share);
        }
    }
    let share = |place: usize| -> Option<CompressedShare> {
        let measured = stats::mean_estimate(measured.get(place)?, 0.95).ok()?;
        Some(CompressedShare { measured, simulated: simulated(calibration, sides.get(place)?.1, rate, trials.seed) })
    };
    let Some(was) = share(0) else { return Ok(None) };
    Ok(Some(Compressed {
        factor: FACTOR,
        seconds: COMPRESSED.as_secs_f64(),
        rate,
        deadline: DEADLINE.as_secs_f64(),
        was,
        now: share(1),
    }))
}

/// The share that the simulation of a compressed trial loses.
fn simulated(calibration: &Calibration, settings: &Settings, rate: f64, seed: u64) -> f64 {
    const WARM: Duration = Duration::from_millis(300);
    let part = part();
    let plan = |seed| Plan {
        settings: compress(settings),
        world: calibration.world.clone(),
        load: Load {
            workers: faults::load(&part, rate).workers,
            beyond: Beyond::Wait,
            arrivals: Arrivals::Poisson,
            steps: vec![Step { at: Duration::ZERO, level: rate }],
        },
        faults: part.timeline.iter().map(|fault| Fault { at: fault.at + WARM, ..fault.clone() }).collect(),
        length: WARM + COMPRESSED,
        interval: COMPRESSED,
        thinning: None,
        seed,
    };
    let lost: Vec<f64> = (0..5).map(|turn| simulate(&plan(seed.wrapping_add(turn))).not_in_time(DEADLINE)).collect();
    (stats::mean(&lost) / (rate * COMPRESSED.as_secs_f64()).max(1e-9)).clamp(0.0, 1.0)
}

/// Why compressed trials speak against the simulation, if they do.
fn far_from_compressed(found: &Compressed) -> Option<String> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for (name, side) in [("the settings in use", Some(found.was)), ("the settings that it recommends", found.now)] {
        let Some(CompressedShare { measured, simulated }) = side else { continue };
        let is_near = (simulated / measured.value.max(1e-9) - 1.0).abs() <= MOST_COMPRESSED_ERROR;
        if !is_near && !measured.interval.contains(simulated) {
            return Some(format!(
                "the simulation is too far from compressed trials: {name} lost {} of requests there, and {} in their simulation",
                percent(measured.value),
                percent(simulated)
            ));
        }
    }
    let (was, now) = (found.was, found.now?);
    // The simulation says less, and reality for sure more.
    let worse = now.measured.interval.low > was.measured.interval.high && now.simulated < was.simulated;
    worse.then(|| {
        format!(
            "compressed trials contradict the simulation: the settings that it recommends lost {} of requests there, and those in \
             use {}",
            percent(now.measured.value),
            percent(was.measured.value)
        )
    })
}

/// The mean of some days.
fn mean(days: &[Loss]) -> Option<Loss> {
    if days.is_empty() {
        return None;
    }
    let over = |pick: fn(&Loss) -> f64| stats::mean(&days.iter().map(pick).collect::<Vec<_>>());
    let incidents: Vec<_> = days.iter().map(|day| day.incidents.clone()).collect();
    Some(Loss {
        total: over(|of| of.total),
        late: over(|of| of.late),
        reconnects: over(|of| of.reconnects),
        held: over(|of| of.held),
        opened_an_hour: over(|of| of.opened_an_hour),
        open: over(|of| of.open),
        incidents: mean_incidents(&incidents),
    })
}
