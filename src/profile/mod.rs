//! Profiles: what to tune, in YAML; and experiments: which of them to run when, and on what.
//!
//! In: the text of a profile, an experiment, of pgbench's scripts, or the statements that a server has counted. Out: a checked
//! [`Profile`] or [`Experiment`], or an error that names file, line, key and remedy. This room reads no files; the built-in profiles are
//! part of the program.

mod baseline;
mod day;
mod draft;
mod error;
mod experiment;
mod external;
mod faults;
mod observed;
mod pgbench;
mod placeholders;
mod rollout;
mod scenario;
mod service;
mod space;
mod tree;
mod workload;

use std::{collections::BTreeSet, time::Duration};

pub use day::MOST_INCIDENTS;
use error::Problem;
pub use error::ProfileError;
pub(crate) use error::did_you_mean;
pub use experiment::{AnswerFile, AnswerFiles, Experiment, ExperimentBudget, StressTests, TargetSource};
pub use external::command_target;
pub use observed::from_observed;
pub use pgbench::{Script, ScriptOptions, from_scripts, split_weight};
pub use rollout::{RolloutApply, RolloutBound, RolloutGates, RolloutPlan, RolloutQuery, RolloutStages};
pub use scenario::{HIGHEST_RATE, Level, LevelStage, MOST_WORKERS, Scenario};
pub use service::{AlertTo, Otlp, ServiceConfig, Watched};
use space::Searched;
use tree::{Entry, Node};
use workload::Workloads;

use crate::model::{Axis, Dialect, External, FaultPart, Limits, OperatingDay, Setting, Settings, Space, Workload};

/// What a run tunes: a load, the settings in use, what to search, and within which limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for, in a line.
    pub about: String,
    /// The text that it was read from.
    pub source: String,
    /// Concurrent workers.
    pub workers: u32,
    /// Pools that share the database, as many as instances of the application run; the settings are each one's.
    pub instances: u32,
    /// The program or the service that is tuned in place of a database, if there is one.
    pub target: Option<External>,
    /// What each of them does, in the dialect chosen by [`Profile::speak`]; the first that it has at the beginning.
    pub workload: Workload,
    /// The settings in use today, and what to search.
    pub space: Space,
    /// What a recommendation must keep.
    pub limits: Limits,
    /// The length of a trial.
    pub trial: TrialLength,
    /// The part of a trial that is under faults, if it has one.
    pub faults: Option<FaultPart>,
    /// The days of operation by which settings are judged in simulation, if they are.
    pub day: Option<OperatingDay>,
    /// Settings that only a simulation can decide, with their ranges.
    pub slow: Vec<Axis>,
    /// How much a run may cost.
    pub budget: Budget,
    faults_out_of_reach: bool,
    pinned: BTreeSet<Setting>,
    not_taken: BTreeSet<Setting>,
    size_kept: Option<String>,
    /// What a service is left with: the settings in use as they were found, whatever is pinned for the run.
    in_use: Settings,
    /// What a service of the profile's is asked.
    asked: Option<Workload>,
    warnings: Vec<String>,
    workloads: Workloads,
}

/// The length of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLength {
    /// Of the measured part.
    pub measure: Duration,
    /// Of the longest warm-up.
    pub warm_up_cap: Duration,
}

/// How much a run may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most trials of the search, those of the settings in use included.
    pub search_trials: u32,
    /// Most pairs of trials of the verification.
    pub verification_pairs: u32,
    /// Longest that a run should take.
    pub time: Option<Duration>,
}

/// The profiles that are part of the program: name and text.
#[must_use]
pub fn built_in() -> [(&'static str, &'static str); 3] {
    [
        ("light", include_str!("../../profiles/light.yaml")),
        ("medium", include_str!("../../profiles/medium.yaml")),
        ("heavy", include_str!("../../profiles/heavy.yaml")),
    ]
}

/// The text of the built-in profile `name`.
///
/// # Errors
/// [`ProfileError`], which lists those there are, when there is none of that name.
pub fn find(name: &str) -> Result<&'static str, ProfileError> {
    built_in().into_iter().find(|(known, _)| *known == name).map(|(_, text)| text).ok_or_else(|| {
        let known = built_in().map(|(known, _)| known);
        ProfileError {
            origin: format!("profile `{name}`"),
            line: None,
            problem: format!("there is no such profile: {}", error::none_built_in(name, &known)),
        }
    })
}

/// Reads a profile; `origin` is its file or name, for messages.
///
/// # Errors
/// [`ProfileError`] naming the line, the key and the remedy.
pub fn parse(origin: &str, text: &str) -> Result<Profile, ProfileError> {
    let profile = tree::read(text).and_then(|root| profile(root, text, false));
    profile.map_err(|problem| problem.of_profile(origin))
}

/// The same for one that is stored: a slip that older builds did not refuse makes it no less what its run was made with.
///
/// # Errors
/// As [`parse`].
pub fn parse_stored(origin: &str, text: &str) -> Result<Profile, ProfileError> {
    let profile = tree::read(text).and_then(|root| profile(root, text, true));
    profile.map_err(|problem| problem.of_profile(origin))
}

fn profile(root: Node, text: &str, is_stored: bool) -> Result<Profile, Problem> {
    let mut map = root.map("profile")?;
    let name = map.need("name", "mine")?.text()?;
    let about = map.take("about").map_or(Ok(String::new()), Entry::text)?;
    let workers = map.need("workers", "25")?.whole(1, 10_000)?;
    let instances = map.take("instances").map_or(Ok(1), |entry| entry.whole(1, MOST_INSTANCES))?;
    let (target, asked) = map.take("target").map(|entry| external::external(entry, is_stored)).transpose()?.unzip();
    let asked = asked.flatten();
    let baseline = space::settings(map.take("settings"))?;
    let in_use = baseline.clone();
    let faults = map.take("faults").map(faults::fault_part).transpose()?;
    let day = day::day(map.take("day"))?;
    let Searched { space, slow, pinned, warnings, .. } =
        Searched::new(baseline, space::wishes(map.take("search"))?, faults.is_some(), day.is_some())?;
    let limits = limits(map.take("limits"))?;
    let trial = trial(map.take("trial"))?;
    let budget = budget(map.take("budget"))?;
    let workloads = match (map.take("workload"), &target) {
        (Some(entry), _) => workload::workload(entry)?,
        (None, Some(_)) => Workloads::none(),
        (None, None) => workload::workload(map.need("workload", "{operations: [{name: read, sql: select 1}]}")?)?,
    };
    map.end()?;
    let (source, workload) = (
        text.to_owned(),
        match (&target, &asked) {
            (None, _) => workloads.first()?.clone(),
            (Some(_), asked) => asked.clone().unwrap_or(NO_SQL),
        },
    );
    Ok(Profile {
        name,
        about,
        source,
        workers,
        instances,
        target,
        workload,
        space,
        limits,
        trial,
        faults,
        day,
        slow,
        budget,
        faults_out_of_reach: false,
        pinned,
        not_taken: BTreeSet::new(),
        size_kept: None,
        in_use,
        asked,
        warnings,
        workloads,
    })
}

/// What a target without SQL does.
const NO_SQL: Workload = Workload { prepare: Vec::new(), operations: Vec::new(), think_time: None };
/// Instances that a profile may have.
const MOST_INSTANCES: u32 = 10_000;

fn limits(entry: Option<Entry>) -> Result<Limits, Problem> {
    let mut limits = Limits::default();
    let Some(entry) = entry else { return Ok(limits) };
    let mut map = entry.node.map("limits")?;
    if let Some(entry) = map.take("success_rate") {
        limits.success_rate = entry
            .real()
            .filter(|rate| (0.5..1.0).contains(rate))
            .ok_or_else(|| entry.wrong("a share from 0.5 to below 1, such as 0.99"))?;
    }
    if let Some(entry) = map.take("p95_query") {
        let time = entry.time(Duration::from_micros(1), Duration::from_secs(3600))?;
        limits.p95_query = Some(time.as_secs_f64());
    }
    map.end()?;
    Ok(limits)
}

fn trial(entry: Option<Entry>) -> Result<TrialLength, Problem> {
    let mut trial = TrialLength { measure: Duration::from_secs(2), warm_up_cap: Duration::from_secs(2) };
    let Some(entry) = entry else { return Ok(trial) };
    let mut map = entry.node.map("trial")?;
    if let Some(entry) = map.take("measure") {
        trial.measure = entry.time(Duration::from_millis(200), Duration::from_secs(600))?;
    }
    if let Some(entry) = map.take("warm_up_cap") {
        trial.warm_up_cap = entry.time(Duration::from_millis(100), Duration::from_secs(600))?;
    }
    map.end()?;
    Ok(trial)
}

fn budget(entry: Option<Entry>) -> Result<Budget, Problem> {
    let mut budget = Budget { search_trials: 30, verification_pairs: 12, time: None };
    let Some(entry) = entry else { return Ok(budget) };
    let mut map = entry.node.map("budget")?;
    if let Some(entry) = map.take("search_trials") {
        budget.search_trials = entry.whole(10, 500)?;
    }
    if let Some(entry) = map.take("verification_pairs") {
        budget.verification_pairs = entry.whole(6, 200)?;
    }
    if let Some(entry) = map.take("time") {
        budget.time = Some(entry.time(Duration::from_secs(30), Duration::from_secs(86_400))?);
    }
    map.end()?;
    Ok(budget)
}

impl Profile {
    /// Holds a setting at a value, in the settings in use as well: `max_connections=20`.
    ///
    /// # Errors
    /// [`ProfileError`] naming the flag.
    pub fn pin(&mut self, flag: &str) -> Result<(), ProfileError> {
        self.searched(|searched| searched.pin_flag(flag))
    }

    /// Searches a setting in another range: `max_connections=10..60`.
    ///
    /// # Errors
    /// [`ProfileError`] naming the flag.
    pub fn range(&mut self, flag: &str) -> Result<(), ProfileError> {
        self.searched(|searched| searched.range_flag(flag))
    }

    fn searched(&mut self, change: impl FnOnce(&mut Searched) -> Result<(), ProfileError>) -> Result<(), ProfileError> {
        let mut searched = Searched {
            space: self.space.clone(),
            slow: self.slow.clone(),
            pinned: self.pinned.clone(),
            warnings: self.warnings.clone(),
            with_faults: self.faults.is_some(),
            with_day: self.day.is_some(),
        };
        change(&mut searched)?;
        Searched { space: self.space, slow: self.slow, pinned: self.pinned, warnings: self.warnings, .. } = searched;
        Ok(())
    }

    /// Takes the fault part out, for a target on which its faults cannot be made. Settings that act only under faults are
    /// not searched then.
    pub fn leave_faults_out(&mut self) {
        self.faults_out_of_reach = self.faults.take().is_some();
        self.space.axes.retain(|axis| Axis::decidable(axis.setting, false));
    }

    /// Takes the simulation of days out, for a target whose figures no simulation can be made of.
    pub fn leave_day_out(&mut self) {
        self.day = None;
        self.slow.clear();
    }

    /// The most connections of one pool that the steady part of a trial has in use at once: a worker holds one, or two where an
    /// operation asks for a second. A larger pool is the same there, for connections are opened when they are needed.
    #[must_use]
    pub fn most_in_use(&self) -> u32 {
        let each = if self.workload.operations.iter().any(|operation| operation.nested) { 2 } else { 1 };
        self.workers.div_ceil(self.instances.max(1)).saturating_mul(each)
    }

    /// Takes sizes of the pool out of the search that are the same by construction, and gives what a person must know of it. Under
    /// faults, where requests come whether or not others are done and faults hold connections, any size may matter: none is taken
    /// out then.
    pub fn cut_sizes(&mut self) -> Option<String> {
        let of = |setting| self.space.axes.iter().position(move |axis| axis.setting == setting);
        let index = of(Setting::MaxConnections)?;
        let Axis { low, high, .. } = self.space.axes[index];
        let least = of(Setting::MinConnections).map_or(0.0, |index| self.space.axes[index].low);
        let used = f64::from(self.most_in_use());
        if high <= used {
            return None;
        }
        let pools = if self.instances > 1 { format!(" on {} pools", self.instances) } else { String::new() };
        let workers = match self.workers {
            1 => format!("1 worker{pools} has"),
            workers => format!("{workers} workers{pools} have"),
        };
        let each = if self.instances > 1 { " of each" } else { "" };
        let why = format!("{workers} at most {used} connections{each} in use at once");
        if self.faults.is_some() {
            return (low >= used).then(|| {
                format!(
                    "{why}: pools of {low}..{high} connections differ only in the part of a trial that is under faults, where requests \
                     do not wait for a worker"
                )
            });
        }
        let in_use = f64::from(self.space.baseline.max_connections());
        if low >= used && in_use >= used {
            let why = format!("{why}, so that sizes of {low}..{high} are the same");
            self.space.axes.remove(index);
            let notice = format!("`max_connections` is not searched: {why}");
            self.size_kept = Some(why);
            return Some(notice);
        }
        let most = used.max(low).max(least);
        self.space.axes[index].high = most.min(high);
        (most < high).then(|| {
            format!("the range of `max_connections`, {low}..{high}, is cut to {low}..{most}: {why}, so that larger pools are the same")
        })
    }

    /// Why the size of the pool is not searched, where no size in its range differs from the one in use.
    #[must_use]
    pub fn why_size_kept(&self) -> Option<&str> {
        self.size_kept.as_deref()
    }

    /// Whether the fault part was taken out because of the target.
    #[must_use]
    pub fn faults_out_of_reach(&self) -> bool {
        self.faults_out_of_reach
    }

    /// Takes the workload in the dialect of the database that is to be loaded.
    ///
    /// # Errors
    /// [`ProfileError`] naming what the profile lacks for it.
    pub fn speak(&mut self, dialect: Dialect) -> Result<(), ProfileError> {
        let workload = self.workloads.of(dialect).cloned().map_err(|problem| problem.clone().of_profile(&self.name))?;
        self.workload = workload;
        Ok(())
    }

    /// Makes ready for a program or a service in place of a database: `takes` are the settings that it heeds, all where that is
    /// not known. The others are kept; nothing of it can be disturbed or simulated.
    pub fn tune_external(&mut self, takes: Option<&BTreeSet<Setting>>) {
        self.workload = self.asked.clone().unwrap_or(NO_SQL);
        self.leave_faults_out();
        self.leave_day_out();
        let heeds = |setting: Setting| match takes {
            Some(takes) => takes.contains(&setting),
            // Its cost is measured in trials of its own, which are not spent on a guess.
            None => setting != Setting::ValidationQuery,
        };
        self.not_taken = Setting::all().filter(|setting| !heeds(*setting)).collect();
        self.space.axes.retain(|axis| heeds(axis.setting));
    }

    /// The settings in use as they were found, whatever is pinned for the run.
    #[must_use]
    pub fn found_in_use(&self) -> &Settings {
        &self.in_use
    }

    /// Whether the target does not heed the setting, as it says.
    #[must_use]
    pub fn is_not_taken(&self, setting: Setting) -> bool {
        self.not_taken.contains(&setting)
    }

    /// Has so many pools share the server.
    ///
    /// # Errors
    /// [`ProfileError`] naming the flag.
    pub fn share(&mut self, instances: u32) -> Result<(), ProfileError> {
        if !(1..=MOST_INSTANCES).contains(&instances) {
            let problem = format!("expected a whole number from 1 to {MOST_INSTANCES}");
            return Err(ProfileError { origin: format!("`--instances {instances}`"), line: None, problem });
        }
        self.instances = instances;
        Ok(())
    }

    /// Does what another profile does, with all else as it is.
    pub fn do_as(&mut self, other: Self) {
        (self.workload, self.workloads) = (other.workload, other.workloads);
    }

    /// Whether a person has pinned the setting.
    #[must_use]
    pub fn is_pinned(&self, setting: Setting) -> bool {
        self.pinned.contains(&setting)
    }

    /// What a person should know of the profile: legal, but perhaps not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let outside = self.space.baseline.outside_recommended().map(|(setting, value)| {
            let (low, high) = setting.spec().recommended;
            format!("`{setting}` is {value}, outside the recommended range {low}..{high}")
        });
        outside.chain(self.warnings.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
