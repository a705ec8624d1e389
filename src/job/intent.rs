use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use rand::RngExt as _;

use super::{JobError, stored_time};
use crate::{
    export::Prefix,
    profile::{ExperimentBudget, Profile},
    store::{Hold, Recalled, RunRecord, RunStatus, Store, Task, TrialRecord},
    tune::Choice,
};

/// What a run needs to know before it touches a database, new or resumed.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The run's id, the name of its folder.
    pub id: String,
    pub(super) profile: Profile,
    pub(super) profile_file: Option<String>,
    pub(super) wishes: Wishes,
    pub(super) flags: Vec<String>,
    pub(super) seed: u64,
    pub(super) stored: Vec<TrialRecord>,
    /// The target of an interrupted run, as it is stored; `None` for a new one.
    pub(super) target: Option<String>,
    /// The run's name, held in a store that several share.
    pub(super) claim: Option<Arc<Hold>>,
    /// When it began, RFC 3339 in UTC.
    pub(super) began: String,
    /// What an interrupted run knew of earlier ones.
    pub(super) recalled: Option<Recalled>,
}

/// What is asked of a run beside its profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Settings held at a value: `max_connections=20`.
    pub pins: Vec<String>,
    /// Pools that share the server.
    pub instances: Option<u32>,
    /// Settings searched in another range: `max_connections=10..60`.
    pub ranges: Vec<String>,
    /// What it may cost, where the profile is not to say so.
    pub budget: ExperimentBudget,
    /// The seed of everything random; drawn where there is none.
    pub seed: Option<u64>,
    /// The run's id; made of the time and the profile where there is none.
    pub id: Option<String>,
    /// What the names in config.py begin with.
    pub prefix: Prefix,
    /// The experiment that it belongs to, and its round.
    pub of: Option<(String, i64)>,
    /// Whether it is to know of earlier runs on the same target and profile, and to leave what it recommends to later ones.
    pub memory: bool,
}

impl Intent {
    /// A new run of a profile, which came from `profile_file` if from a file.
    ///
    /// # Errors
    /// [`JobError::Input`] when a wish cannot be had.
    pub fn new(
        mut profile: Profile,
        profile_file: Option<String>,
        wishes: Wishes,
        now: Timestamp,
    ) -> Result<Self, JobError> {
        let flags = wishes.change(&mut profile)?;
        let id = match &wishes.id {
            Some(name) => checked_id(name)?,
            None => usual_id(&profile.name, now),
        };
        let seed = wishes.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
        let began = stored_time(now);
        let (stored, target, recalled) = (Vec::new(), None, None);
        Ok(Self { id, profile, profile_file, wishes, flags, seed, stored, target, claim: None, began, recalled })
    }

    /// The profile, as the wishes have changed it.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the names of settings begin with.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.wishes.prefix
    }

    /// The target that an interrupted run was made on, without a password.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Whether an interrupted run was made on this target; and that a program was named on the command line is among the words
    /// that repeat the run.
    ///
    /// # Errors
    /// [`JobError::Input`] when it was made on another one.
    pub fn is_made_on(&self, choice: &Choice) -> Result<(), JobError> {
        match &self.target {
            Some(target) if *target != choice.shown() => Err(JobError::Input(format!(
                "run {} was made on {target}, not on {}: give the same --target (URLs are not stored, for their passwords)",
                self.id,
                choice.shown()
            ))),
            _ => Ok(()),
        }
    }

    /// Notes in the words that repeat the run a program or a service that does not stand in the profile.
    pub fn note_target(&mut self, choice: &Choice) {
        if let Choice::External { target, .. } = choice
            && self.profile.target.as_ref() != Some(target)
        {
            self.flags.extend(["--target".to_owned(), target.to_string()]);
        }
    }

    /// Gives the run another id where there is one of that name and no person has chosen it: two may begin within a second.
    pub async fn make_free(&mut self, store: &Store, results: &Path) {
        if self.wishes.id.is_some() {
            return;
        }
        let id = self.id.clone();
        let mut number = 1;
        loop {
            if !results.join(&self.id).exists() && store.run(&self.id).await.is_err() {
                // Two machines may begin within a second, too. A store that does not answer is told when the run begins.
                match store.hold(Task::Run(&self.id)).await {
                    Ok(None) => {}
                    Ok(held) => return self.claim = held.map(Arc::new),
                    Err(_) => return,
                }
            }
            number += 1;
            self.id = format!("{id}-{number}");
        }
    }

    /// What a stored run was about to do.
    ///
    /// # Errors
    /// [`JobError::Input`] when it has finished, [`JobError::Store`] when it cannot be read.
    pub async fn resumed(store: &Store, run: &str) -> Result<Self, JobError> {
        let RunRecord { intent: run, status, .. } = store.run(run).await?;
        if status == RunStatus::Finished {
            return Err(JobError::Input(format!(
                "run {} has finished: there is nothing to go on with; `pool-tune show {}` tells it",
                run.id, run.id
            )));
        }
        if run.program_version != env!("CARGO_PKG_VERSION") {
            tracing::warn!(stored = run.program_version, "the run was begun by another version of pool-tune");
        }
        let mut profile =
            crate::profile::parse_stored(&run.profile_name, &run.profile_source).map_err(JobError::input)?;
        let time = run.seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        let wishes = Wishes {
            pins: run.pins,
            instances: run.instances,
            ranges: run.ranges,
            budget: ExperimentBudget { trials: run.trials, pairs: run.pairs, time },
            seed: Some(run.seed),
            id: Some(run.id.clone()),
            prefix: Prefix::parse(&run.prefix).map_err(JobError::input)?,
            of: run.experiment.zip(run.round),
            memory: run.recalled.is_some(),
        };
        let flags = wishes.change(&mut profile)?;
        let stored = store.trials(&run.id).await?;
        let (profile_file, seed) = (run.profile_file, run.seed);
        let (target, began, recalled) = (Some(run.target), run.started_at, run.recalled);
        Ok(Self {
            id: run.id,
            profile,
            profile_file,
            wishes,
            flags,
            seed,
            stored,
            target,
            claim: None,
            began,
            recalled,
        })
    }
}

impl Wishes {
    /// Changes the profile; gives the words that say it on a command line.
    fn change(&self, profile: &mut Profile) -> Result<Vec<String>, JobError> {
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: &dyn std::fmt::Display| flags.extend([name.to_owned(), value.to_string()]);
        for pin in &self.pins {
            profile.pin(pin).map_err(JobError::input)?;
            flag("--pin", pin);
        }
        for range in &self.ranges {
            profile.range(range).map_err(JobError::input)?;
            flag("--range", range);
        }
        if let Some(trials) = self.budget.trials {
            profile.budget.search_trials = trials;
            flag("--trials", &trials);
        }
        if let Some(pairs) = self.budget.pairs {
            profile.budget.verification_pairs = pairs;
            flag("--pairs", &pairs);
        }
        if let Some(instances) = self.instances {
            profile.share(instances).map_err(JobError::input)?;
            flag("--instances", &instances);
        }
        if self.prefix != Prefix::default() {
            flag("--prefix", &self.prefix);
        }
        // No flag says this; the experiment does.
        if self.budget.time.is_some() {
            profile.budget.time = self.budget.time;
        }
        Ok(flags)
    }
}

/// A name that is one folder's name.
fn checked_id(name: &str) -> Result<String, JobError> {
    let good = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if name.is_empty() || name == "latest" || name.starts_with('.') || !name.chars().all(good) {
        return Err(JobError::Input(format!(
            "--name is \"{name}\": expected letters, digits, `-`, `_` and `.`, and not `latest`"
        )));
    }
    Ok(name.to_owned())
}

/// An id of the time and the profile.
fn usual_id(profile: &str, now: Timestamp) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), profile.chars().map(plain).collect::<String>())
}
