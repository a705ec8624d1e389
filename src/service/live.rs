//! The round that is under way, as it is shown.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{bus::Told, hub::By};
use crate::{
    job::{Done, RoundEvent, Stopped},
    model::{Drift, Drifting, Estimate, Measurement, Recommendation, Settings, StandingOutcome},
    report::{self, ReportedTrial},
    tune::{Event, Plan},
};

/// A round that is under way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Live {
    /// The experiment.
    pub(super) experiment: String,
    /// Who started it.
    pub(super) by: By,
    /// When, RFC 3339 in UTC.
    pub(super) started_at: String,
    /// The run that is under way.
    pub(super) run: Option<String>,
    /// Its place among the experiment's profiles, from 1.
    pub(super) number: usize,
    /// How many profiles the experiment has.
    pub(super) of: usize,
    /// The profile.
    pub(super) profile: Option<String>,
    /// The target, without its password.
    pub(super) target: Option<String>,
    /// The part of the run that is under way.
    pub(super) phase: Option<String>,
    /// The trial that is under way, or the last one, from 1.
    pub(super) trial: u32,
    /// How many there will be at most.
    pub(super) trials: u32,
    /// How long the rest of the run will take at most, in seconds, as told when the last trial began.
    pub(super) seconds_left: Option<f64>,
    /// The best settings so far, as observed: not yet verified.
    pub(super) best: Option<Best>,
    /// The stress test that is under way, from 1, and how many there are.
    pub(super) tests: Option<(usize, usize)>,
    /// Simulated days that are over, and of how many at most.
    pub(super) simulated_days: Option<(u32, u32)>,
    /// What a person should know.
    pub(super) notices: Vec<String>,
    /// Whether it was asked to stop.
    pub(super) stopping: bool,
    #[serde(skip)]
    pub(super) tried: Vec<Tried>,
    #[serde(skip)]
    pub(super) cancel: CancellationToken,
}

/// Settings that look best so far.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Best {
    /// The settings.
    pub(super) settings: Settings,
    /// Successful requests a second.
    pub(super) throughput: f64,
}

/// A trial that is over.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    phase: &'static str,
    why: String,
    settings: Settings,
    measurement: Measurement,
}

/// What is told of a run that has its answer.
pub(super) fn finished(experiment: String, of: &Recommendation) -> Told {
    let changes = of.rows.iter().filter(|row| row.now != row.was);
    let changes: Vec<String> =
        changes.map(|row| format!("{} {} instead of {}", row.setting.name(), row.now, row.was)).collect();
    let memory = of.memory.as_ref();
    let outcome = memory.and_then(|memory| memory.standing.as_ref()).map(|judged| judged.outcome);
    Told::RunFinished {
        run: of.provenance.run.clone(),
        experiment,
        profile: of.provenance.profile.clone(),
        recommends: (!changes.is_empty()).then(|| changes.join(", ")),
        withdrawn: outcome == Some(StandingOutcome::Withdrawn),
        drift: memory.map(|memory| memory.drift.iter().map(drift).collect()).unwrap_or_default(),
        verdict: report::verdict_sentence(of),
        success_in_use: of.verification.as_ref().map(|verified| verified.success_was.value),
    }
}

fn drift(of: &Drift) -> String {
    let what = match of.of {
        Drifting::Throughput => "throughput",
        Drifting::P95Query => "95th percentile of query time",
    };
    let percent = |ratio: f64| ratio * 100.0;
    let Estimate { value, interval } = of.change;
    format!(
        "{what} with the settings in use is {:+.0} % [{:+.0}, {:+.0}] against the {} runs before",
        percent(value),
        percent(interval.low),
        percent(interval.high),
        of.runs
    )
}

impl Live {
    pub(super) fn new(experiment: String, by: By, now: Timestamp, cancel: CancellationToken) -> Self {
        Self {
            experiment,
            by,
            started_at: crate::job::stored_time(now),
            run: None,
            number: 0,
            of: 0,
            profile: None,
            target: None,
            phase: None,
            trial: 0,
            trials: 0,
            seconds_left: None,
            best: None,
            tests: None,
            simulated_days: None,
            notices: Vec::new(),
            stopping: false,
            tried: Vec::new(),
            cancel,
        }
    }

    /// What is told of it: without the trials, which are many.
    pub(super) fn shown(&self) -> Self {
        Self { tried: Vec::new(), ..self.clone() }
    }

    /// The trials so far, as a report takes them.
    pub(super) fn reported(&self) -> Vec<ReportedTrial<'_>> {
        self.tried
            .iter()
            .map(|tried| ReportedTrial {
                phase: tried.phase,
                why: &tried.why,
                settings: &tried.settings,
                measurement: &tried.measurement,
            })
            .collect()
    }

    /// The last trial's measurement and settings.
    pub(super) fn last(&self) -> Option<(&Settings, &Measurement)> {
        self.tried.last().map(|tried| (&tried.settings, &tried.measurement))
    }

    /// Takes in what happened; gives what is to be told of it.
    pub(super) fn take(&mut self, event: RoundEvent<'_>) -> Option<Told> {
        let experiment = self.experiment.clone();
        match event {
            RoundEvent::Notice(text) => Some(self.notice(text)),
            RoundEvent::Run { run, number, of } => {
                self.of_another(run, number, of);
                Some(Told::RunStarted { run: run.to_owned(), experiment, number, of })
            }
            RoundEvent::Of(event) => self.of_run(event),
            RoundEvent::Done(Done { recommendation, .. }) => Some(finished(experiment, recommendation)),
            RoundEvent::Stressing { run, profile, number, of } => {
                self.of_another(run, number, of);
                self.profile = Some(profile.to_owned());
                Some(self.phase(run.to_owned(), "stress tests".to_owned()))
            }
            RoundEvent::Test { run, name, number, of } => {
                self.phase = Some(format!("stress test {name}"));
                self.tests = Some((number, of));
                Some(Told::Test { run: run.to_owned(), experiment, name: name.to_owned(), number, of })
            }
            RoundEvent::Stressed { stressed, .. } => Some(Told::Stressed {
                run: stressed.run.clone(),
                experiment,
                passed: stressed.missed().is_empty(),
                text: stressed.headline(),
            }),
            RoundEvent::NotStressed { run, error } => {
                Some(Told::NotStressed { run: run.map(str::to_owned), experiment, error: error.to_string() })
            }
            RoundEvent::Stopped(Stopped { run, error }) => Some(Told::RunStopped {
                run: run.clone(),
                experiment,
                interrupted: error.is_interruption(),
                error: error.to_string(),
            }),
        }
    }

    /// What comes is of another run, or of its stress tests: of its trials nothing is known.
    fn of_another(&mut self, run: &str, number: usize, of: usize) {
        (self.run, self.number, self.of) = (Some(run.to_owned()), number, of);
        (self.phase, self.trial, self.trials, self.seconds_left) = (None, 0, 0, None);
        (self.best, self.tests, self.simulated_days) = (None, None, None);
        self.tried.clear();
    }

    fn notice(&mut self, text: String) -> Told {
        if !self.notices.contains(&text) {
            self.notices.push(text.clone());
        }
        Told::Notice { experiment: self.experiment.clone(), text }
    }

    fn of_run(&mut self, event: Event) -> Option<Told> {
        let run = self.run.clone().unwrap_or_default();
        match event {
            Event::Planned(plan) => {
                let Plan { profile, target, search_trials, insight_trials, verification_pairs, .. } = *plan;
                (self.profile, self.target) = (Some(profile), Some(target));
                self.trials = search_trials + insight_trials + 2 * verification_pairs;
                None
            }
            Event::Notice(text) => Some(self.notice(text)),
            Event::Phase(phase) => Some(self.phase(run, phase.name().to_owned())),
            Event::TrialStarted(progress) => {
                (self.trial, self.trials) = (progress.trial, progress.of);
                self.seconds_left = progress.left.map(|left| left.as_secs_f64());
                None
            }
            Event::TrialEnded(ended) => {
                let progress = ended.progress;
                (self.trial, self.trials) = (progress.trial, progress.of);
                self.best = ended.best.map(|(settings, throughput)| Best { settings, throughput });
                let measurement = &ended.measurement;
                let told = Told::Trial {
                    run,
                    experiment: self.experiment.clone(),
                    phase: progress.phase.name().to_owned(),
                    trial: progress.trial,
                    of: progress.of,
                    throughput: measurement.throughput,
                    success_rate: measurement.requests.success_rate,
                    breaker_opened: measurement.breaker.opened,
                };
                let resumed = ended.resumed;
                self.tried.push(Tried {
                    phase: progress.phase.name(),
                    why: ended.why,
                    settings: ended.settings,
                    measurement: ended.measurement,
                });
                // What was told before it was interrupted is not told again.
                (!resumed).then_some(told)
            }
            Event::Simulating { done, of } => {
                self.simulated_days = Some((done, of));
                None
            }
            Event::Finished(_) => None,
        }
    }

    fn phase(&mut self, run: String, phase: String) -> Told {
        self.phase = Some(phase.clone());
        Told::Phase { run, phase }
    }
}
