//! Rounds: an experiment's profiles, one after the other, within its window, and gone on with where it closed before they were through.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{
    Done, Intent, Job, JobError, Loaded, Stopped, Stressed, TargetHold, Wishes, choice as choice_of_target,
    read_target,
    run::busy,
    stored_time,
    suite::{Stress, Suite},
};
use crate::{
    export,
    model::Verdict,
    store::{self, Hold, RunStatus, RunSummary, Store, Task},
    tune::{Choice, Event},
};

/// How often the clock is read while a window's end is waited for: clocks are set, and machines sleep.
const LOOK: Duration = Duration::from_secs(1);

/// Where the rounds of experiments are run.
pub struct Rounds<'a> {
    /// Where runs are kept.
    pub store: &'a Store,
    /// The results folder, which the caller holds.
    pub results: &'a Path,
    /// The time.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// Interrupts the round, to be gone on with.
    pub cancel: &'a CancellationToken,
    /// Why it was interrupted, for those who ask later.
    pub why: &'a (dyn Fn() -> &'static str + Sync),
}

/// Why a round was interrupted, where somebody asked for it.
pub const ASKED_TO_STOP: &str = "it was asked to stop";

/// How a round is started.
#[derive(Debug, Default)]
pub struct Start {
    /// The due time that this uses up; none when a person starts it.
    pub due: Option<Timestamp>,
    /// Whether a round that was interrupted is given up.
    pub fresh: bool,
    /// A target in the place of the experiment's.
    pub target: Option<SecretString>,
    /// What is wished in the place of what the experiment says; only for runs that begin.
    pub wishes: Wishes,
    /// Whether a database is loaded although other clients are using it.
    pub load_in_use: bool,
}

/// What happens in a round.
#[derive(Debug)]
pub enum RoundEvent<'a> {
    /// What a person should know.
    Notice(String),
    /// A run begins, or goes on.
    Run {
        /// Its id.
        run: &'a str,
        /// Its place among the experiment's profiles, from 1.
        number: usize,
        /// How many profiles the experiment has.
        of: usize,
    },
    /// An event of the run.
    Of(Event),
    /// A run has its answer.
    Done(&'a Done),
    /// A run ended without one; the next begins all the same, unless it was interrupted.
    Stopped(&'a Stopped),
    /// The stress tests of what a run decided begin, or go on.
    Stressing {
        /// The run's id.
        run: &'a str,
        /// Its profile.
        profile: &'a str,
        /// Its place among the experiment's profiles, from 1.
        number: usize,
        /// How many profiles the experiment has.
        of: usize,
    },
    /// A stress test of what a run decided begins.
    Test {
        /// The run's id.
        run: &'a str,
        /// The test's name.
        name: &'a str,
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// The stress tests of what a run decided have ended.
    Stressed {
        /// What they show.
        stressed: &'a Stressed,
        /// Where that was written, if it could be.
        file: Option<&'a Path>,
    },
    /// They could not be made.
    NotStressed {
        /// The run's id, where it is known.
        run: Option<&'a str>,
        /// Why.
        error: &'a JobError,
    },
}

/// How a round ended.
#[derive(Debug)]
pub struct RoundEnd {
    /// Its number in the store.
    pub round: i64,
    /// The target, without its password.
    pub target: String,
    /// The runs that have an answer, of this start alone.
    pub done: Vec<Done>,
    /// The runs of the round that had ended before this start.
    pub before: Vec<RunSummary>,
    /// The stress tests of what runs decided, those made before this start included.
    pub stressed: Vec<Stressed>,
    /// The first run that ended without one, or what ended the stress tests, of this start alone.
    pub stopped: Option<Stopped>,
    /// Whether it was the window's end that interrupted it.
    pub window_ended: bool,
}

impl RoundEnd {
    /// The id of a run of this round that had ended without an answer before this start.
    #[must_use]
    pub fn failed_before(&self) -> Option<&str> {
        Some(&self.before.iter().find(|run| run.status == RunStatus::Failed)?.id)
    }
}

impl Rounds<'_> {
    /// Runs an experiment's next round, or goes on with the one that was interrupted on the same target.
    ///
    /// # Errors
    /// [`JobError`] when nothing could be begun. What ends a run is in the [`RoundEnd`].
    pub async fn run(
        &self,
        loaded: &Loaded,
        start: &Start,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<RoundEnd, JobError> {
        let experiment = &loaded.experiment;
        let target = match &start.target {
            Some(target) => target.clone(),
            None => read_target(&experiment.target, &experiment.name, loaded.folder())?,
        };
        let mut choice = choice_of_target(Some(&target), &start.wishes.prefix, self.results, self.store.at()).await?;
        if !loaded.scenarios.is_empty() {
            Suite::check(&choice)?;
        }
        let due = start.due.map(stored_time);
        // Where somebody else loads the target nothing is begun, so that no due time is used up.
        let target_held = TargetHold::take(self.store, &choice, &format!("experiment {}", experiment.name)).await?;
        let held = self.held(&experiment.name).await?;
        let left = self.interrupted(loaded, start, &choice, listen).await?;
        let (round, runs) = if let Some((round, runs)) = left {
            self.store.resume_round(round, due.as_deref()).await?;
            (round, runs)
        } else {
            (self.store.begin_round(&experiment.name, due.as_deref(), &self.now()).await?, Vec::new())
        };
        let mut wishes = start.wishes.clone();
        // A program reads its settings under the names that the round began with.
        if let Some(run) = runs.first() {
            wishes.prefix =
                export::Prefix::parse(&self.store.run(&run.id).await?.intent.prefix).map_err(JobError::input)?;
            choice = choice_of_target(Some(&target), &wishes.prefix, self.results, self.store.at()).await?;
        }
        let mut end = RoundEnd {
            round,
            target: choice.shown(),
            done: Vec::new(),
            before: Vec::new(),
            stressed: Vec::new(),
            stopped: None,
            window_ended: false,
        };
        let closes = experiment.schedule.as_ref().and_then(|schedule| schedule.window_end((self.clock)()));
        let result =
            Box::pin(self.all(loaded, start, wishes, (&choice, &target_held), &runs, closes, &mut end, listen)).await;
        let (status, error) = match (&result, &end.stopped) {
            (Err(error), _) if error.is_interruption() => (RunStatus::Interrupted, Some(error.to_string())),
            (Err(error), _) => (RunStatus::Failed, Some(error.to_string())),
            (Ok(()), Some(stopped)) if stopped.error.is_interruption() => {
                let why = match &stopped.error {
                    _ if end.window_ended => "the window ended".to_owned(),
                    error if error.is_lost_store() => error.to_string(),
                    _ => (self.why)().to_owned(),
                };
                (RunStatus::Interrupted, Some(why))
            }
            (Ok(()), Some(stopped)) => (RunStatus::Failed, Some(stopped.error.to_string())),
            (Ok(()), None) => match end.failed_before() {
                Some(run) => {
                    (RunStatus::Failed, Some(format!("run {run} ended without an answer in an earlier start")))
                }
                None => (RunStatus::Finished, None),
            },
        };
        self.store.end_round(round, status, error.as_deref(), &self.now()).await?;
        held.let_go().await;
        target_held.let_go().await;
        result.map(|()| end)
    }

    /// Holds the experiment in a store that several machines share, so that it has one round at a time.
    async fn held(&self, experiment: &str) -> Result<Hold, JobError> {
        let task = Task::Round(experiment);
        match self.store.hold(task).await? {
            Some(held) => Ok(held),
            None => Err(busy(self.store, task, &format!("a round of experiment `{experiment}`")).await),
        }
    }

    fn now(&self) -> String {
        stored_time((self.clock)())
    }

    /// The round to go on with and its runs, if the last one was interrupted and still asks for the same.
    async fn interrupted(
        &self,
        loaded: &Loaded,
        start: &Start,
        choice: &Choice,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<Option<(i64, Vec<RunSummary>)>, JobError> {
        let name = &loaded.experiment.name;
        let Some(round) = self.store.last_round(name).await?.filter(|round| round.status == RunStatus::Interrupted)
        else {
            return Ok(None);
        };
        let runs = self.store.runs_of_round(round.id).await?;
        if start.fresh || runs.is_empty() {
            return Ok(None);
        }
        let mut anew = |why: String| {
            listen(RoundEvent::Notice(format!(
                "the round of {} is not gone on with, and a new one begins: {why}",
                round.started_at
            )));
            Ok(None)
        };
        for run in &runs {
            if run.target != choice.shown() {
                return anew(format!("run {} was made on {}", run.id, run.target));
            }
            let stored = self.store.run(&run.id).await?.intent;
            let Some((profile, _)) = loaded.profiles.iter().find(|(profile, _)| profile.name == run.profile) else {
                return anew(format!("`{}` is no profile of the experiment any more", run.profile));
            };
            if profile.source != stored.profile_source {
                return anew(format!("the profile `{}` has been changed since", run.profile));
            }
            if run.status == RunStatus::Interrupted && stored.program_version != env!("CARGO_PKG_VERSION") {
                return anew(format!("run {} was begun by another version of pool-tune", run.id));
            }
        }
        if start.wishes != Wishes::default() {
            return Err(JobError::Input(format!(
                "experiment `{name}` goes on with the round of {}, which was interrupted, and whose runs cannot be changed: leave \
                 --pin, --range, --seed, --trials, --pairs and --prefix out, or begin a new one with --fresh",
                round.started_at
            )));
        }
        listen(RoundEvent::Notice(format!(
            "goes on with the round of {}, which was interrupted; --fresh would begin a new one",
            round.started_at
        )));
        Ok(Some((round.id, runs)))
    }

    /// Runs what is left of the profiles.
    #[expect(clippy::too_many_arguments, reason = "the parts of a round, put together in one place only")]
    async fn all(
        &self,
        loaded: &Loaded,
        start: &Start,
        wishes: Wishes,
        (choice, target): (&Choice, &TargetHold),
        runs: &[RunSummary],
        closes: Option<Timestamp>,
        end: &mut RoundEnd,
        listen: &mut dyn FnMut(RoundEvent<'_>),
    ) -> Result<(), JobError> {
        let cancel = self.cancel.child_token();
        let (store, results, load_in_use) = (self.store, self.results, start.load_in_use);
        let job = Job { store, results, choice, load_in_use, cancel: &cancel, target: Some(target) };
        let of = loaded.profiles.len();
        let experiment = &loaded.experiment;
        let closed = AtomicBool::new(false);
        let close = || {
            closed.store(true, Ordering::Relaxed);
            cancel.cancel();
        };
        for (index, (profile, file)) in loaded.profiles.iter().enumerate() {
            let before = runs.iter().find(|run| run.profile == profile.name);
            let mut intent = match before {
                Some(run) if matches!(run.status, RunStatus::Finished | RunStatus::Failed) => {
                    end.before.push(run.clone());
                    continue;
                }
                Some(run) => {
                    let intent = Intent::resumed(self.store, &run.id).await?;
                    intent.is_made_on(choice)?;
                    intent
                }
                None => {
                    let wishes = wishes.clone().within(experiment, end.round);
                    let mut intent = Intent::new(profile.clone(), file.clone(), wishes, (self.clock)())?;
                    intent.make_free(self.store, self.results).await;
                    intent
                }
            };
            intent.note_target(choice);
            listen(RoundEvent::Run { run: &intent.id, number: index + 1, of });
            let prefix = intent.wishes.prefix.clone();
            let mut events = |event: Event| {
                listen(RoundEvent::Of(event));
                if target.is_taken() {
                    tracing::error!("somebody else took the target while the store was away: the run is interrupted");
                    cancel.cancel();
                }
                // A trial that is about to begin after the end would only be cut off.
                if closes.is_some_and(|end| (self.clock)() >= end) {
                    close();
                }
            };
            let result = {
                let running = Box::pin(job.run(intent, &mut events));
                until_closed(running, closes, self.clock, &close).await
            };
            end.window_ended |= closed.load(Ordering::Relaxed);
            match result {
                Ok(done) => {
                    listen(RoundEvent::Done(&done));
                    let written = write_answer(loaded, &done, &prefix, self.results);
                    end.done.push(done);
                    for file in written? {
                        listen(RoundEvent::Notice(format!("wrote {}", file.display())));
                    }
                }
                Err(stopped) => {
                    let interrupted = stopped.error.is_interruption();
                    listen(RoundEvent::Stopped(&stopped));
                    // What interrupts a round says more of it than what failed before.
                    if interrupted || end.stopped.is_none() {
                        end.stopped = Some(stopped);
                    }
                    if interrupted {
                        return Ok(());
                    }
                }
            }
        }
        if loaded.scenarios.is_empty() {
            return Ok(());
        }
        let stress = Stress { loaded, choice, target, load_in_use, cancel: &cancel };
        {
            let running = Box::pin(self.stress(stress, end, listen));
            until_closed(running, closes, self.clock, &close).await;
        }
        end.window_ended |= closed.load(Ordering::Relaxed);
        Ok(())
    }
}

/// Waits for a run, and calls `close` once when the clock comes to the window's end meanwhile.
async fn until_closed<T>(
    running: impl Future<Output = T>,
    closes: Option<Timestamp>,
    clock: &(dyn Fn() -> Timestamp + Sync),
    close: &(dyn Fn() + Sync),
) -> T {
    let Some(end) = closes else { return running.await };
    let mut running = std::pin::pin!(running);
    loop {
        let left = end.duration_since(clock());
        if left <= SignedDuration::ZERO {
            close();
            return running.await;
        }
        tokio::select! {
            done = &mut running => return done,
            () = tokio::time::sleep(LOOK.min(left.unsigned_abs())) => {}
        }
    }
}

impl Wishes {
    /// With what the experiment says where nothing else is wished.
    fn within(mut self, experiment: &crate::profile::Experiment, round: i64) -> Self {
        let budget = &experiment.budget;
        self.budget.trials = self.budget.trials.or(budget.trials);
        self.budget.pairs = self.budget.pairs.or(budget.pairs);
        self.budget.time = self.budget.time.or(budget.time);
        self.of = Some((experiment.name.clone(), round));
        self.memory = experiment.memory;
        self
    }
}

/// Writes the files that an experiment asks for, of a run that has settings to recommend.
fn write_answer(
    loaded: &Loaded,
    done: &Done,
    prefix: &export::Prefix,
    results: &Path,
) -> Result<Vec<PathBuf>, JobError> {
    let recommendation = &done.recommendation;
    if loaded.exports.is_empty() || matches!(recommendation.verdict, Verdict::Infeasible { .. }) {
        return Ok(Vec::new());
    }
    let own = || Path::new("answers").join(&loaded.experiment.name);
    let mut folder = results.join(loaded.experiment.answer.folder.clone().unwrap_or_else(own));
    if loaded.profiles.len() > 1 {
        folder.push(&recommendation.provenance.profile);
    }
    let files = loaded.exports.iter().map(|(format, file)| {
        let text = export::export(format, recommendation, prefix).map_err(|error| {
            let run = &recommendation.provenance.run;
            JobError::Input(format!("failed to export run {run} as {}: {error}", format.name))
        })?;
        Ok((file.file.as_str(), text))
    });
    let files: Vec<_> = files.collect::<Result<_, JobError>>()?;
    store::check_writable(&folder)?;
    Ok(store::write_results(&folder, &files)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    /// A run that ends only when it is interrupted, on a clock that goes on by a millisecond whenever it is read.
    async fn interrupted_after(closes: i64) -> i64 {
        let reads = AtomicI64::new(0);
        let clock = || Timestamp::from_millisecond(reads.fetch_add(1, Ordering::Relaxed)).unwrap();
        let cancel = CancellationToken::new();
        let end = Timestamp::from_millisecond(closes).unwrap();
        until_closed(cancel.cancelled(), Some(end), &clock, &|| cancel.cancel()).await;
        reads.into_inner()
    }

    #[tokio::test]
    async fn a_run_is_interrupted_in_the_middle_of_a_trial_when_the_clock_comes_to_the_end() {
        // The read that finds the end is the last.
        assert_eq!((interrupted_after(0).await, interrupted_after(3).await), (1, 4));
    }

    #[tokio::test]
    async fn a_run_that_ends_before_is_let_be() {
        let clock = || Timestamp::UNIX_EPOCH;
        let closes = Some(Timestamp::from_second(3600).unwrap());
        let never = || panic!("it was closed");
        assert_eq!(until_closed(std::future::ready(5), closes, &clock, &never).await, 5);
        assert_eq!(until_closed(std::future::ready(5), None, &clock, &never).await, 5);
    }
}
