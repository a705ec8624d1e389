use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Event, Phase, Progress, TrialEnded, TuneError, faults};
use crate::{
    model::{Ended, FaultPart, Limits, Measurement, Setting, Settings, UnderFaults, Value, figures::time},
    store::{Store, TrialRecord},
    trial::{Control, Details, Load, Target, TrialError},
};

/// How often a disturbed trial is repeated, and how often in a run: on a machine that is never quiet a run must end.
const REPEATS_A_TRIAL: u32 = 2;
const REPEATS_A_RUN: u32 = 10;
/// How long a database that has failed is waited for, and how often a trial is begun again because of it.
const WAIT_FOR_DATABASE: Duration = Duration::from_secs(30);
const ATTEMPTS_A_TRIAL: u32 = 3;
/// A program that measures for less than this share of the time that it was asked to does not heed it.
const SHORT: f64 = 0.5;

/// Runs the trials of a run, one after the other, each stored before the next begins.
///
/// The trials of a run depend on its seed and on what earlier trials measured, and on nothing else. So an interrupted
/// run goes on by asking for the same trials again: those that are stored are answered from the store.
pub(super) struct Trials<'a> {
    pub(super) run: &'a str,
    pub(super) store: &'a Store,
    pub(super) target: &'a mut Target,
    pub(super) load: Load,
    /// What each trial measures beside that load, if anything.
    pub(super) faults: Option<FaultPart>,
    pub(super) limits: Limits,
    pub(super) seed: u64,
    pub(super) cancel: &'a CancellationToken,
    pub(super) events: &'a mut dyn FnMut(Event),
    pub(super) stored: VecDeque<TrialRecord>,
    /// How many trials there will be at most; shown only.
    pub(super) planned: u32,
    sequence: u32,
    /// Every trial so far.
    records: Vec<TrialRecord>,
    repeats: u32,
    pace: Pace,
    /// The rate of the fault parts, once the run's first trial has shown what can be served.
    rate: Option<f64>,
    best: Option<Best>,
    /// Whether it was told that trials are short.
    told_short: bool,
}

/// What a trial measures.
enum Kind {
    /// The run's load, with its fault part.
    Usual,
    /// What opening so many connections at once takes.
    Connecting(u32),
    /// An open loop under faults.
    Compressed(FaultPart),
}

/// The best trial so far.
#[derive(Clone)]
struct Best {
    settings: Settings,
    /// What it is the best by.
    weighted: f64,
    throughput: f64,
}

/// How long trials take.
struct Pace {
    seconds: f64,
    trials: u32,
}

/// What the trials of a run left to be told.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    /// Trials that stand although other programs (or the hypervisor) took the processors.
    pub(super) disturbed: u32,
    /// Trials that the load generator limited.
    pub(super) generator_limited: u32,
    /// Trials whose warm-up ended by its cap.
    pub(super) unsteady: u32,
    /// Trials in which a program measured for far less than it was asked to.
    pub(super) short: u32,
    /// All trials.
    pub(super) all: u32,
}

impl<'a> Trials<'a> {
    #[expect(clippy::too_many_arguments, reason = "the parts of a run, put together in one place only")]
    pub(super) fn new(
        run: &'a str,
        store: &'a Store,
        target: &'a mut Target,
        load: Load,
        faults: Option<FaultPart>,
        limits: Limits,
        seed: u64,
        cancel: &'a CancellationToken,
        events: &'a mut dyn FnMut(Event),
        stored: Vec<TrialRecord>,
        planned: u32,
    ) -> Self {
        Self {
            run,
            store,
            target,
            load,
            faults,
            limits,
            seed,
            cancel,
            events,
            stored: stored.into(),
            planned,
            sequence: 0,
            records: Vec::new(),
            repeats: 0,
            pace: Pace { seconds: 0.0, trials: 0 },
            rate: None,
            best: None,
            told_short: false,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        (self.events)(event);
    }

    /// Every trial so far, in order.
    pub(super) fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    /// How long a trial takes, as far as is known.
    pub(super) fn seconds_a_trial(&self) -> Option<f64> {
        (self.pace.trials > 0).then(|| self.pace.seconds / f64::from(self.pace.trials))
    }

    /// What a reader of the results must know of the trials.
    pub(super) fn disturbances(&self) -> Disturbances {
        let of_load = self.records.iter().filter(|record| !Phase::has_other_load(&record.phase));
        let of_load: Vec<&Measurement> = of_load.map(|record| &record.measurement).collect();
        let count = |test: fn(&Measurement) -> bool| {
            u32::try_from(of_load.iter().filter(|measurement| test(measurement)).count()).unwrap_or(u32::MAX)
        };
        Disturbances {
            disturbed: count(|measurement| measurement.cpu.disturbed),
            generator_limited: count(|measurement| measurement.cpu.generator_limited),
            unsteady: count(|measurement| !measurement.warm_up.steady),
            short: u32::try_from(of_load.iter().filter(|measurement| self.is_short(measurement)).count())
                .unwrap_or(u32::MAX),
            all: count(|_| true),
        }
    }

    /// Whether a program measured for far less than it was asked to.
    fn is_short(&self, measurement: &Measurement) -> bool {
        self.target.measures_itself() && measurement.seconds < SHORT * self.load.measure.as_secs_f64()
    }

    /// Runs the next trial, or takes it from the store.
    pub(super) async fn run(&mut self, phase: Phase, why: &str, settings: &Settings) -> Result<Measurement, TuneError> {
        self.run_as(&Kind::Usual, phase, why, settings).await
    }

    /// Measures what opening connections takes when so many are opened at once.
    pub(super) async fn probe(&mut self, at_once: u32) -> Result<(), TuneError> {
        let connections = Value::Count(at_once);
        let settings = Settings::default()
            .with(Setting::MinConnections, connections.clone())
            .with(Setting::MaxConnections, connections);
        self.run_as(&Kind::Connecting(at_once), Phase::Probe, "connecting", &settings).await?;
        Ok(())
    }

    /// Runs a trial under faults and nothing else, of settings whose times are compressed.
    pub(super) async fn compressed(
        &mut self,
        why: &str,
        settings: &Settings,
        part: &FaultPart,
    ) -> Result<UnderFaults, TuneError> {
        let kind = Kind::Compressed(part.clone());
        let measurement = self.run_as(&kind, Phase::Compressed, why, settings).await?;
        measurement.under_faults.ok_or(TuneError::Diverged { sequence: self.sequence })
    }

    /// The rate of the fault parts, once a trial has shown what can be served.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    async fn run_as(
        &mut self,
        kind: &Kind,
        phase: Phase,
        why: &str,
        settings: &Settings,
    ) -> Result<Measurement, TuneError> {
        self.sequence += 1;
        let progress = Progress {
            phase,
            trial: self.sequence,
            of: self.planned.max(self.sequence),
            left: self.seconds_a_trial().map(|seconds| {
                Duration::from_secs_f64(seconds * f64::from(self.planned.saturating_sub(self.sequence) + 1))
            }),
        };
        let (record, resumed) = if let Some(record) = self.stored.pop_front() {
            let with_faults = match kind {
                Kind::Usual => self.faults.is_some(),
                Kind::Connecting(_) => false,
                Kind::Compressed(_) => true,
            };
            let alike = record.measurement.under_faults.is_some() == with_faults;
            if record.settings != *settings || record.phase != phase.name() || !alike {
                return Err(TuneError::Diverged { sequence: self.sequence });
            }
            self.target.skip(&self.load, settings);
            (record, true)
        } else {
            self.tell(Event::TrialStarted(progress));
            (self.fresh(kind, phase, why, settings).await?, false)
        };
        let measurement = record.measurement.clone();
        self.rate.get_or_insert_with(|| faults::rate(&measurement));
        if self.is_short(&measurement) && !self.told_short {
            self.told_short = true;
            self.tell(Event::Notice(format!(
                "the program measured for {} in trial {}, and is asked for {}: have it heed {{seconds}} or POOL_TUNE_SECONDS, for short \
                 trials vary more",
                time(measurement.seconds),
                self.sequence,
                time(self.load.measure.as_secs_f64())
            )));
        }
        // Side questions are asked of settings that nobody proposes.
        if Phase::is_of_settings(phase.name()) {
            self.note_best(settings, &measurement);
        }
        self.records.push(record);
        let best = self.best.clone().map(|best| (best.settings, best.throughput));
        self.tell(Event::TrialEnded(Box::new(TrialEnded {
            progress,
            why: why.to_owned(),
            settings: settings.clone(),
            measurement: measurement.clone(),
            best,
            resumed,
        })));
        Ok(measurement)
    }

    /// Runs a trial and stores it.
    async fn fresh(
        &mut self,
        kind: &Kind,
        phase: Phase,
        why: &str,
        settings: &Settings,
    ) -> Result<TrialRecord, TuneError> {
        let started_at = unix_seconds();
        let seed = self.seed.wrapping_add(u64::from(self.sequence));
        let mut repeats = 0;
        // A target that takes no time does not look itself.
        if self.cancel.is_cancelled() {
            return Err(TuneError::Interrupted);
        }
        let measurement = loop {
            let started = Instant::now();
            let measurement = self.measure(kind, settings, seed).await?;
            // A repeat is bad luck, not the pace: each time through counts as one trial.
            self.pace.seconds += started.elapsed().as_secs_f64();
            self.pace.trials += 1;
            let parts = [Some(measurement.cpu), measurement.under_faults.as_ref().map(|part| part.cpu)];
            let disturbed = parts.iter().flatten().filter(|cpu| cpu.disturbed).map(|cpu| cpu.other).reduce(f64::max);
            if disturbed.is_none() || repeats == REPEATS_A_TRIAL || self.repeats == REPEATS_A_RUN {
                break measurement;
            }
            repeats += 1;
            self.repeats += 1;
            self.tell(Event::Notice(format!(
                "trial {} is repeated: other programs (or the hypervisor) took {:.0} % of the processors",
                self.sequence,
                disturbed.unwrap_or_default() * 100.0
            )));
        };
        let record = TrialRecord {
            sequence: self.sequence,
            phase: phase.name().to_owned(),
            why: why.to_owned(),
            settings: settings.clone(),
            measurement,
            repeats,
            started_at,
        };
        self.store.record_trial(self.run, &record).await?;
        let measured = &record.measurement;
        tracing::info!(
            run = self.run,
            trial = record.sequence,
            phase = record.phase,
            why,
            throughput = measured.throughput,
            success_rate = measured.requests.success_rate,
            share_under_faults = measured.under_faults.as_ref().map(|part| part.share),
            warm_up_seconds = measured.warm_up.seconds,
            opened = measured.connections.opened,
            generator_cpu = measured.cpu.own,
            database_cpu = measured.cpu.database,
            other_cpu = measured.cpu.other,
            "trial stored"
        );
        tracing::debug!(run = self.run, trial = record.sequence, settings = ?record.settings, "settings of the trial");
        Ok(record)
    }

    /// Runs a trial; waits for a database that fails, and begins again.
    async fn measure(&mut self, kind: &Kind, settings: &Settings, seed: u64) -> Result<Measurement, TuneError> {
        let mut attempt = 1;
        loop {
            let span = tracing::error_span!("trial", number = self.sequence);
            let cause = match self.attempt(kind, settings, seed).instrument(span).await {
                Ok(measurement) => return Ok(measurement),
                Err(TrialError::Cancelled) => return Err(TuneError::Interrupted),
                Err(TrialError::Workload(message)) => return Err(TuneError::Workload(message)),
                Err(TrialError::Infrastructure(cause)) => cause,
                Err(TrialError::Program(cause)) if attempt < ATTEMPTS_A_TRIAL => {
                    self.tell(Event::Notice(format!("trial {} is void and begun again: {cause}", self.sequence)));
                    attempt += 1;
                    continue;
                }
                Err(TrialError::Program(cause)) => {
                    return Err(TuneError::Program { cause, attempts: attempt, run: self.run.to_owned() });
                }
            };
            self.tell(Event::Notice(format!("trial {} is void: {cause}; waiting for the database", self.sequence)));
            if attempt == ATTEMPTS_A_TRIAL {
                return Err(self.given_up(cause, Duration::ZERO));
            }
            attempt += 1;
            self.wait_for_database().await?;
        }
    }

    async fn attempt(&mut self, kind: &Kind, settings: &Settings, seed: u64) -> Result<Measurement, TrialError> {
        let mut control = Control { trial: self.sequence, ..Control::unwatched(self.cancel) };
        match kind {
            Kind::Usual => {}
            Kind::Connecting(at_once) => {
                return self.target.connecting(*at_once, &control).await.map(Measurement::of_connecting);
            }
            Kind::Compressed(part) => {
                let rate = self.rate.unwrap_or(1.0);
                let load = faults::load(part, rate);
                let details = self.target.run(&load, settings, seed, &mut control).await?;
                self.target.reachable().await.map_err(TrialError::Infrastructure)?;
                let measurement = details.measurement.clone();
                return Ok(Measurement { under_faults: Some(faults::told(part, rate, details)), ..measurement });
            }
        }
        let Details { mut measurement, .. } = self.target.run(&self.load, settings, seed, &mut control).await?;
        self.target.check(&measurement).await?;
        if self.limits.p95_query.is_some() && measurement.query.count == 0 && measurement.requests.succeeded > 0 {
            let cause =
                "it tells no times, and the limit on the 95th percentile of query time cannot be judged without them";
            return Err(TrialError::Program(cause.to_owned()));
        }
        measurement.under_faults = self.fault_part(settings, seed, &measurement).await?;
        Ok(measurement)
    }

    /// Measures under faults. Errors are what it is about; only a server that is not there afterwards makes it void.
    async fn fault_part(
        &mut self,
        settings: &Settings,
        seed: u64,
        steady: &Measurement,
    ) -> Result<Option<UnderFaults>, TrialError> {
        let Some(part) = &self.faults else { return Ok(None) };
        let rate = self.rate.unwrap_or_else(|| faults::rate(steady));
        let mut control = Control::unwatched(self.cancel);
        let (load, settings) = (faults::load(part, rate), faults::settings(settings));
        let details = self.target.run(&load, &settings, seed, &mut control).await?;
        self.target.reachable().await.map_err(TrialError::Infrastructure)?;
        Ok(Some(faults::told(part, rate, details)))
    }

    async fn wait_for_database(&mut self) -> Result<(), TuneError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return Err(TuneError::Interrupted),
                () = tokio::time::sleep(pause) => {}
            }
            let reached = tokio::select! {
                () = self.cancel.cancelled() => return Err(TuneError::Interrupted),
                reached = self.target.reachable() => reached,
            };
            match reached {
                Ok(()) => return Ok(()),
                Err(cause) if started.elapsed() >= WAIT_FOR_DATABASE => {
                    return Err(self.given_up(cause, started.elapsed()));
                }
                Err(_) => pause = (pause * 2).min(Duration::from_secs(5)),
            }
        }
    }

    fn given_up(&self, cause: String, waited: Duration) -> TuneError {
        TuneError::Infrastructure { cause, waited_seconds: waited.as_secs(), run: self.run.to_owned() }
    }

    /// Keeps the best observed trial for the display.
    fn note_best(&mut self, settings: &Settings, measurement: &Measurement) {
        let weighted = measurement.weighted_throughput();
        let better = self.best.as_ref().is_none_or(|best| weighted > best.weighted);
        if better && keeps_limits(measurement, self.limits) {
            self.best = Some(Best { settings: settings.clone(), weighted, throughput: measurement.throughput });
        }
    }
}

/// Whether a trial, taken by itself, kept the limits.
pub(super) fn keeps_limits(measurement: &Measurement, limits: Limits) -> bool {
    measurement.ended == Ended::Completed
        && measurement.requests.success_rate > limits.success_rate
        && limits.p95_query.is_none_or(|longest| measurement.query.p95 <= longest)
}

/// The wall clock; kept with each trial, used for nothing else.
pub(super) fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
