use std::path::Path;

use jiff::Timestamp;
use rand::RngExt as _;

use super::JobError;
use crate::{
    export::Prefix,
    profile::{ExperimentBudget, Profile},
    store::{RunRecord, RunStatus, Store, TrialRecord},
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
    pub(super) resumed: bool,
}

/// What is asked of a run beside its profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Settings held at a value: `max_connections=20`.
    pub pins: Vec<String>,
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
        results: &Path,
        now: Timestamp,
    ) -> Result<Self, JobError> {
        let flags = wishes.change(&mut profile)?;
        let id = match &wishes.id {
            Some(name) => checked_id(name)?,
            None => free_id(&profile.name, results, now),
        };
        let seed = wishes.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
        Ok(Self { id, profile, profile_file, wishes, flags, seed, stored: Vec::new(), resumed: false })
    }

    /// What a stored run was about to do.
    ///
    /// # Errors
    /// [`JobError::Input`] when it has finished or was made on another target, [`JobError::Store`] when it cannot be read.
    pub async fn resumed(store: &Store, run: &str, choice: &Choice) -> Result<Self, JobError> {
        let RunRecord { intent: run, status, .. } = store.run(run).await?;
        if status == RunStatus::Finished {
            return Err(JobError::Input(format!(
                "run {} has finished: there is nothing to go on with; `pool-tune show {}` tells it",
                run.id, run.id
            )));
        }
        if choice.shown() != run.target {
            return Err(JobError::Input(format!(
                "run {} was made on {}, not on {}: give the same --target (URLs are not stored, for their passwords)",
                run.id,
                run.target,
                choice.shown()
            )));
        }
        if run.program_version != env!("CARGO_PKG_VERSION") {
            tracing::warn!(stored = run.program_version, "the run was begun by another version of pool-tune");
        }
        let mut profile = crate::profile::parse(&run.profile_name, &run.profile_source).map_err(JobError::input)?;
        let time = run.seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        let wishes = Wishes {
            pins: run.pins,
            ranges: run.ranges,
            budget: ExperimentBudget { trials: run.trials, pairs: run.pairs, time },
            seed: Some(run.seed),
            id: Some(run.id.clone()),
            prefix: Prefix::parse(&run.prefix).map_err(JobError::input)?,
            of: run.experiment.zip(run.round),
        };
        let flags = wishes.change(&mut profile)?;
        let stored = store.trials(&run.id).await?;
        let (profile_file, seed) = (run.profile_file, run.seed);
        Ok(Self { id: run.id, profile, profile_file, wishes, flags, seed, stored, resumed: true })
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

/// An id of the time and the profile, with a number where two runs begin within a second.
fn free_id(profile: &str, results: &Path, now: Timestamp) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let id = format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), profile.chars().map(plain).collect::<String>());
    let further = (2..).map(|number| format!("{id}-{number}"));
    std::iter::once(id.clone()).chain(further).find(|id| !results.join(id).exists()).unwrap_or(id)
}
