//! A rollout carried out: what the state says is done, and what comes of it is noted before the next is.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    Change, Course, Event, Phase, Place, Reading, RolloutError, State, Step, Task,
    apply::{Applier, Direction, Hand},
    sources::Sources,
    state::ATTEMPTS,
};
use crate::{
    export::Prefix,
    job::{ChangeLock, simulation, stored_time},
    model::Verdict,
    profile::RolloutPlan,
    store::{NewRun, RolloutRecord, RolloutStatus, RolloutStep, RunRecord, RunStatus, Store},
};

/// What a rollout needs to begin, and to be gone on with from anywhere: it asks neither its plan's file nor its run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The run.
    pub run: String,
    /// The plan's text.
    pub plan: String,
    /// The plan's file, for messages.
    pub origin: String,
    /// The folder from which its paths are seen.
    pub folder: PathBuf,
    /// From which settings to which.
    pub change: Change,
    /// What the names of settings begin with.
    pub prefix: String,
}

/// Where a rollout keeps files: whole paths, since hooks are started elsewhere.
#[derive(Clone, Debug)]
pub struct Folders {
    /// What hooks print, and which is under way, for whoever carries it out next.
    pub results: PathBuf,
    /// Which hook is under way, for whoever changes the same next on this machine, beside the lock of that.
    pub state: PathBuf,
}

/// A rollout that can be carried out.
#[derive(Debug)]
pub struct Rollout {
    /// What it intends.
    pub intent: Intent,
    /// Its plan, with paths as they are on this machine.
    pub plan: RolloutPlan,
    /// Its stages.
    pub course: Course,
    applier: Applier,
}

/// A rollout as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its number in the store.
    pub id: i64,
    /// Where it stands.
    pub state: State,
}

/// How carrying a rollout out ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// At this phase, which is its last.
    At(Phase),
    /// It was stopped, and stands where it stood.
    Stopped,
}

/// Who is told of each step, with its time.
pub type Listener<'a> = &'a mut (dyn FnMut(&str, &Step) + Send);

impl Intent {
    /// What a run's recommendation and a plan make; `yes_old` takes a run of any age.
    ///
    /// # Errors
    /// [`RolloutError`] when the run recommends nothing, says nothing of a real database, or is too old.
    pub fn of(
        run: &RunRecord,
        (origin, text, folder): (&str, String, &Path),
        yes_old: bool,
        now: Timestamp,
    ) -> Result<Self, RolloutError> {
        let plan = RolloutPlan::parse(origin, &text).map_err(RolloutError::input)?;
        let NewRun { id, target, started_at, prefix, .. } = &run.intent;
        let Some(recommendation) = &run.recommendation else {
            let why = match run.status {
                RunStatus::Running => "has not ended",
                RunStatus::Interrupted => "was interrupted",
                RunStatus::Failed => "failed",
                RunStatus::Finished => "has lost it",
            };
            return Err(RolloutError::Input(format!(
                "run {id} has no recommendation, since it {why}: finish it with `pool-tune run --resume {id}`, or name another"
            )));
        };
        let nothing = |reason: &str| {
            RolloutError::Input(format!(
                "run {id} says to keep what is in use, so there is nothing to roll out: {reason}"
            ))
        };
        match &recommendation.verdict {
            Verdict::Infeasible { .. } => {
                return Err(RolloutError::Infeasible(format!(
                    "run {id} found no settings that keep its limits, so there is nothing to roll out; `pool-tune show {id}` says which \
                     limit fails"
                )));
            }
            Verdict::Keep { reason } => return Err(nothing(reason)),
            Verdict::Better | Verdict::Simulated { .. } => {}
        }
        if simulation::is_simulated(target) {
            return Err(RolloutError::Input(format!(
                "run {id} was made on `{target}`, which says nothing of your database: make one on a database with `pool-tune run \
                 --target URL`"
            )));
        }
        let began: Timestamp = started_at.parse().map_err(|error| {
            RolloutError::Input(format!(
                "run {id} has no time that is understood (`{started_at}`: {error}); make a new one"
            ))
        })?;
        let age = Duration::try_from(now.duration_since(began)).unwrap_or_default();
        if age > plan.max_age && !yes_old {
            let (age, most) = in_one_unit(age, plan.max_age);
            return Err(RolloutError::Input(format!(
                "run {id} is {age} old, and the plan takes runs of up to {most}: make a new one, or take it all the same with --yes-old"
            )));
        }
        let change = Change::of(recommendation);
        if change.settings().is_empty() {
            return Err(nothing("no setting differs"));
        }
        Ok(Self {
            run: id.clone(),
            plan: text,
            origin: origin.to_owned(),
            folder: folder.to_owned(),
            change,
            prefix: prefix.clone(),
        })
    }
}

impl Standing {
    /// As it is stored.
    ///
    /// # Errors
    /// [`RolloutError`] when a newer version has stored it.
    pub fn of(record: &RolloutRecord) -> Result<Self, RolloutError> {
        let state = serde_json::from_str(&record.state).map_err(|error| unread(record, &error))?;
        Ok(Self { id: record.id, state })
    }
}

impl Rollout {
    /// Makes ready.
    ///
    /// # Errors
    /// [`RolloutError`] when the plan is none.
    pub fn new(intent: Intent, folders: &Folders) -> Result<Self, RolloutError> {
        // Whoever writes one is told of slips by `Intent::of`; one that is stored has to be taken back as it was applied.
        let plan = RolloutPlan::parse_stored(&intent.origin, &intent.plan).map_err(RolloutError::input)?;
        let plan = plan.seen_from(&intent.folder);
        let prefix = Prefix::parse(&intent.prefix).map_err(RolloutError::input)?;
        let course = Course::new(&plan, &intent.change);
        let applier = Applier::new(&plan, prefix, &intent.change, folders)?;
        Ok(Self { intent, plan, course, applier })
    }

    /// Of what is stored.
    ///
    /// # Errors
    /// [`RolloutError`] as [`Rollout::new`], or when a newer version has stored it.
    pub fn stored(record: &RolloutRecord, folders: &Folders) -> Result<(Self, Standing), RolloutError> {
        let intent = serde_json::from_str(&record.intent).map_err(|error| unread(record, &error))?;
        Ok((Self::new(intent, folders)?, Standing::of(record)?))
    }

    /// Whether the file that the plan changes has the values that the run took to be in use.
    ///
    /// # Errors
    /// [`RolloutError::Differs`] with those that differ.
    pub fn check_in_use(&self) -> Result<(), RolloutError> {
        self.applier.check_in_use(&self.course)
    }

    /// Whether every stage can be applied and every gate be asked, as far as can be told without doing so.
    ///
    /// # Errors
    /// [`RolloutError`] naming what cannot.
    pub fn check(&self) -> Result<(), RolloutError> {
        self.applier.check(&self.course)?;
        Sources::open(&self.plan.gates).map(drop)
    }

    /// Holds what it changes, whatever it is called: two rollouts at once would undo each other's settings.
    ///
    /// # Errors
    /// [`RolloutError::Job`] with the other rollout.
    pub fn hold(&self) -> Result<Vec<ChangeLock>, RolloutError> {
        let (keys, shown) = self.applier.changes();
        Ok(keys.iter().map(|key| ChangeLock::hold(key, &shown, &self.plan.name)).collect::<Result<_, _>>()?)
    }

    /// Whether it starts a program, whose output is kept in `hooks.log`.
    #[must_use]
    pub fn has_hook(&self) -> bool {
        self.applier.starts()
    }

    /// What a person should know of it before it begins, though it can. `last` is the last rollout of its name that applied
    /// something.
    #[must_use]
    pub fn warnings(&self, last: Option<&RolloutRecord>) -> Vec<String> {
        let is_done = last.is_some_and(|last| last.status == RolloutStatus::Done && last.run == self.intent.run);
        let again =
            || format!("rollout `{}` of this run is done already and in force; it begins again", self.plan.name);
        is_done.then(again).into_iter().chain(self.applier.adds(&self.course)).collect()
    }

    /// Notes that it begins, and what was to be known before.
    ///
    /// # Errors
    /// [`RolloutError::Store`].
    pub async fn begin(
        &self,
        store: &Store,
        warnings: Vec<String>,
        listener: Listener<'_>,
    ) -> Result<Standing, RolloutError> {
        let state = State::default();
        let now = stored_time(Timestamp::now());
        let (intent, text) = (self.json(&self.intent)?, self.json(&state)?);
        let id = store.begin_rollout((&self.plan.name, &self.intent.run), &intent, &text, &now).await?;
        let mut standing = Standing { id, state };
        let begun = Step::Begun {
            rollout: self.plan.name.clone(),
            run: self.intent.run.clone(),
            stages: self.course.stages.len(),
        };
        let state = standing.state.clone();
        let warned = warnings.into_iter().map(|text| Step::Warned { text });
        let steps = std::iter::once(begun).chain(warned).collect();
        self.note(store, &mut standing, state, steps, listener).await?;
        Ok(standing)
    }

    /// Carries it out, from where it stands to its end, or until it is told to stop. `first` is what has happened meanwhile.
    ///
    /// # Errors
    /// [`RolloutError`] when a gate's address cannot be read, or a step cannot be noted: what is applied by then is taken back.
    pub async fn carry(
        &self,
        store: &Store,
        standing: &mut Standing,
        first: Option<Event>,
        cancel: &CancellationToken,
        listener: Listener<'_>,
    ) -> Result<Ended, RolloutError> {
        let mut sources = None;
        let result = self.steps(store, standing, first, &mut sources, cancel, listener).await;
        if let Some(sources) = &mut sources {
            sources.close().await;
        }
        match result {
            Err(RolloutError::Store(error)) if standing.state.reached.is_some() => {
                Err(RolloutError::Unnoted { error: Box::new(error), outcome: self.take_back_unnoted(standing).await })
            }
            result => result,
        }
    }

    async fn steps(
        &self,
        store: &Store,
        standing: &mut Standing,
        first: Option<Event>,
        sources: &mut Option<Sources>,
        cancel: &CancellationToken,
        listener: Listener<'_>,
    ) -> Result<Ended, RolloutError> {
        if let Some(event) = first {
            let (state, steps) = standing.state.clone().after(&self.course, event);
            self.note(store, standing, state, steps, listener).await?;
        }
        // When a stage was applied or the gates were read last.
        let mut last: Option<Instant> = None;
        loop {
            let event = match standing.state.task() {
                Task::Nothing => return Ok(Ended::At(standing.state.phase.clone())),
                Task::Read => {
                    let sources = match sources {
                        Some(sources) => sources,
                        None => sources.insert(Sources::open(&self.plan.gates)?),
                    };
                    let pause = last.map_or(Duration::ZERO, |last| self.course.every.saturating_sub(last.elapsed()));
                    let reading = tokio::select! {
                        () = cancel.cancelled() => None,
                        reading = self.read(sources, &standing.state, pause) => Some(reading),
                    };
                    let Some(reading) = reading else {
                        return self.stop(store, standing, listener).await;
                    };
                    let after = last.map_or(Duration::ZERO, |last| last.elapsed());
                    last = Some(Instant::now());
                    Event::Read(reading, after)
                }
                Task::Apply(stage) => {
                    let Some(of) = self.course.stages.get(stage) else {
                        return Err(RolloutError::Input(format!("the plan has no stage {}", stage + 1)));
                    };
                    let hand = Hand {
                        settings: &of.settings,
                        share: of.share,
                        stage: stage + 1,
                        direction: Direction::Forward,
                    };
                    let applied = self.applier.apply(hand).await;
                    last = Some(Instant::now());
                    applied.map_or_else(Event::Failed, |()| Event::Applied)
                }
                Task::Return => {
                    if matches!(standing.state.phase, Phase::Returning { failed: 1.., .. }) {
                        tokio::select! {
                            () = cancel.cancelled() => return self.stop(store, standing, listener).await,
                            () = tokio::time::sleep(self.course.every) => {}
                        }
                    }
                    self.go_back(&standing.state).await.map_or_else(Event::Failed, |()| Event::Applied)
                }
            };
            let (state, steps) = standing.state.clone().after(&self.course, event);
            self.note(store, standing, state, steps, listener).await?;
        }
    }

    async fn read(&self, sources: &mut Sources, state: &State, pause: Duration) -> Reading {
        tokio::time::sleep(pause).await;
        // Before the first stage there is nothing to hold against.
        sources.read(matches!(state.phase, Phase::Watching { .. }).then_some(&state.before)).await
    }

    async fn go_back(&self, state: &State) -> Result<(), String> {
        let hand = Hand {
            settings: &self.course.from,
            share: 1.0,
            stage: state.reached.map_or(0, |stage| stage + 1),
            direction: Direction::Back,
        };
        self.applier.apply(hand).await
    }

    /// Goes back although it cannot be noted: settings that nobody watches must not stay.
    async fn take_back_unnoted(&self, standing: &Standing) -> String {
        let name = &self.plan.name;
        let mut problem = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(self.course.every).await;
            }
            match self.go_back(&standing.state).await {
                Ok(()) => {
                    return format!(
                        "the settings that were in use were applied to 100 % again; once the store can be written, `pool-tune rollout --back \
                         {name}` notes that too"
                    );
                }
                Err(told) => problem = told,
            }
        }
        format!(
            "it was to go back, and COULD NOT: {problem}; see what is applied, then `pool-tune rollout --back {name}`"
        )
    }

    async fn stop(
        &self,
        store: &Store,
        standing: &mut Standing,
        listener: Listener<'_>,
    ) -> Result<Ended, RolloutError> {
        let of = self.course.stages.len();
        let reached = standing.state.reached.map(|stage| Place { stage: stage + 1, of });
        let state = standing.state.clone();
        self.note(store, standing, state, vec![Step::Stopped { reached }], listener).await?;
        Ok(Ended::Stopped)
    }

    /// Stores where it stands and how it came there, and then tells it.
    async fn note(
        &self,
        store: &Store,
        standing: &mut Standing,
        state: State,
        mut steps: Vec<Step>,
        listener: Listener<'_>,
    ) -> Result<(), RolloutError> {
        if let Task::Apply(stage) = state.task()
            && let Some(of) = self.course.stages.get(stage)
        {
            steps.push(Step::Applying {
                place: Place { stage: stage + 1, of: self.course.stages.len() },
                share: of.share,
                settings: self.course.shown(&of.settings),
            });
        }
        let now = stored_time(Timestamp::now());
        let noted: Vec<RolloutStep> = steps
            .iter()
            .map(|step| Ok(RolloutStep { at: now.clone(), step: self.json(step)? }))
            .collect::<Result<_, RolloutError>>()?;
        let text = self.json(&state)?;
        // What is under way is told by the state that was to be stored, should storing fail.
        standing.state = state;
        store.advance_rollout(standing.id, (status(&standing.state.phase), &text), &noted, &now).await?;
        for step in &steps {
            listener(&now, step);
        }
        Ok(())
    }

    fn json<T: Serialize>(&self, value: &T) -> Result<String, RolloutError> {
        serde_json::to_string(value).map_err(|error| {
            RolloutError::Input(format!("failed to write rollout `{}` as JSON: {error}", self.plan.name))
        })
    }
}

/// An age and the most that it may be, in the largest unit in which the latter is a whole number.
fn in_one_unit(age: Duration, most: Duration) -> (String, String) {
    let units = [("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let (unit, seconds) = units.into_iter().find(|(_, unit)| most.as_secs().is_multiple_of(*unit)).unwrap_or(("s", 1));
    let shown = |time: Duration| format!("{} {unit}", time.as_secs() / seconds);
    (shown(age), shown(most))
}

fn unread(record: &RolloutRecord, error: &serde_json::Error) -> RolloutError {
    RolloutError::Input(format!(
        "rollout `{}` is stored in a form that is not understood ({error}): a newer pool-tune may have begun it",
        record.name
    ))
}

fn status(phase: &Phase) -> RolloutStatus {
    match phase {
        Phase::Done => RolloutStatus::Done,
        Phase::Back { .. } | Phase::NotBegun { .. } => RolloutStatus::Back,
        Phase::Stuck { .. } => RolloutStatus::Stuck,
        Phase::Measuring { .. } | Phase::Applying { .. } | Phase::Watching { .. } | Phase::Returning { .. } => {
            RolloutStatus::Running
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_of_what_it_may_be() {
        let told = |age: u64, most: u64| {
            let (age, most) = in_one_unit(Duration::from_secs(age), Duration::from_secs(most));
            format!("{age} of {most}")
        };
        assert_eq!(told(47, 1), "47 s of 1 s");
        assert_eq!(told(8 * 3600, 90 * 60), "480 min of 90 min");
        assert_eq!(told(100 * 3600, 36 * 3600), "100 h of 36 h");
        assert_eq!(told(31 * 86_400 + 5, 30 * 86_400), "31 days of 30 days");
    }
}
