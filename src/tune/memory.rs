//! What a run knows of earlier ones on the same target and profile, and what it leaves to later ones.

use jiff::{SignedDuration, Timestamp};

use crate::{
    model::{Drift, Drifting, Measurement, Recommendation, Settings, StandingOutcome},
    profile::Profile,
    stats,
    store::{NewRun, Recalled, RecalledRun, Standing, StandingFor, Store, StoreError, TrialRecord},
};

use super::{Phase, of_this_machine};

/// Runs whose trials a search is told, and the days they may lie back.
const SEARCHED: usize = 5;
const SEARCHED_DAYS: f64 = 30.0;
/// Runs whose settings in use are the history of tonight's, and the days they may lie back.
const HISTORY: usize = 30;
const HISTORY_DAYS: i64 = 60;
/// The level at which a figure of the settings in use is told to have left its history. There are two figures, so that an unchanged
/// system gives at most 4 false alarms in a thousand nights.
const LEVEL: f64 = 0.002;
const DAY: f64 = 86_400.0;

/// What a run knows of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When the run itself began, RFC 3339 in UTC.
    pub began: String,
    /// What stands recommended.
    pub standing: Option<Standing>,
    /// The earlier runs, newest first.
    pub nights: Vec<Night>,
}

/// An earlier run with its trials.
#[derive(Clone, Debug)]
pub struct Night {
    /// What is known of it.
    pub run: RecalledRun,
    /// Its trials.
    pub trials: Vec<TrialRecord>,
}

/// Whether a target is this machine's own: on another one the same words name another database.
fn is_at_home(target: &str) -> bool {
    let own = ["private", "mariadb:private", "sqlite:", "command:"].iter().any(|start| target.starts_with(start));
    own || ["//localhost", "@localhost", "127.0.0.1", "[::1]"].iter().any(|host| target.contains(host))
}

/// A target's name in a store: with the machine's where several share the store and it is this one's own.
fn place(store: &Store, target: &str) -> String {
    if !store.at().is_shared() || !is_at_home(target) {
        return target.to_owned();
    }
    of_this_machine(target)
}

/// What a run that begins is to know of earlier ones; stored with it, so that it knows the same when it is gone on with.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub async fn recall(store: &Store, run: &NewRun, instances: u32) -> Result<Recalled, StoreError> {
    let target = place(store, &run.target);
    let of = StandingFor { target: &target, profile: &run.profile_name, instances };
    let standing = store.standing(of).await?;
    let Ok(now) = run.started_at.parse::<Timestamp>() else { return Ok(Recalled { standing, runs: Vec::new() }) };
    let since = now.checked_sub(SignedDuration::from_hours(24 * HISTORY_DAYS)).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut runs = Vec::new();
    let mut searched = true;
    for earlier in store.earlier_runs(run, &since, HISTORY).await? {
        if store.at().is_shared() && is_at_home(&run.target) && earlier.intent.machine != run.machine {
            continue;
        }
        let Ok(began) = earlier.intent.started_at.parse::<Timestamp>() else { continue };
        let days = now.duration_since(began).as_secs_f64() / DAY;
        searched &= runs.len() < SEARCHED && days <= SEARCHED_DAYS;
        let dropped = earlier.recommendation.memory.is_some_and(|memory| memory.dropped);
        runs.push(RecalledRun { run: earlier.intent.id, days, searched, dropped });
        // What that run knew of the runs before did not hold any more; so much the less tonight.
        searched &= !dropped;
    }
    Ok(Recalled { standing, runs })
}

impl Memory {
    /// Reads the trials of what was recalled.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn read(store: &Store, began: &str, recalled: &Recalled) -> Result<Self, StoreError> {
        let mut nights = Vec::with_capacity(recalled.runs.len());
        for run in &recalled.runs {
            let trials = store.trials(&run.run).await?;
            if trials.is_empty() {
                // Going on without them would ask other questions than those that are answered already.
                let hint = "this run began with what that one had measured, and it was removed since: begin a new one"
                    .to_owned();
                return Err(StoreError::NoRun { run: run.run.clone(), place: store.at().to_string(), hint });
            }
            nights.push(Night { run: run.clone(), trials });
        }
        Ok(Self { began: began.to_owned(), standing: recalled.standing.clone(), nights })
    }

    /// The settings that stand, where they can be had with the profile as it is.
    pub(super) fn fitting(&self, profile: &Profile) -> Option<Settings> {
        let settings = self.standing.as_ref()?.settings.clone()?;
        let baseline = &profile.space.baseline;
        let fits = settings.iter().all(|(setting, value)| {
            let axis = profile.space.axes.iter().find(|axis| axis.setting == setting);
            let number = value.number();
            let within = axis.is_some_and(|axis| number.is_some_and(|n| (axis.low..=axis.high).contains(&n)));
            value == baseline.get(setting) || within
        });
        (fits && settings.check().is_ok()).then_some(settings)
    }

    /// In what the settings in use differ from their history by more than chance: the medians of the trials of each search.
    pub(super) fn drift(&self, profile: &Profile, tonight: &[TrialRecord]) -> Vec<Drift> {
        let of = |of: Drifting, figure: fn(&Measurement) -> Option<f64>| {
            let night = |trials: &[TrialRecord]| {
                let in_use = trials.iter().filter(|trial| {
                    is_of_search(trial) && trial.settings == profile.space.baseline && is_alike(profile, trial)
                });
                let figures: Vec<f64> = in_use.filter_map(|trial| figure(&trial.measurement)).collect();
                stats::quantile(&figures, 0.5)
            };
            let before: Vec<f64> = self.nights.iter().filter_map(|earlier| night(&earlier.trials)).collect();
            let found = stats::departure(&before, night(tonight)?, LEVEL).ok()?;
            let runs = u32::try_from(before.len()).unwrap_or(u32::MAX);
            found.outside.then_some(Drift { of, change: found.change, runs })
        };
        let throughput = of(Drifting::Throughput, |measured| Some(measured.throughput).filter(|rate| *rate > 0.0));
        let p95 = of(Drifting::P95Query, |measured| Some(measured.query.p95).filter(|_| measured.query.count > 0));
        throughput.into_iter().chain(p95).collect()
    }

    /// Whether what was known held no more in the run before: what stands since then is as new as a first recommendation.
    pub(super) fn began_anew(&self) -> bool {
        self.nights.first().is_some_and(|night| night.run.dropped)
    }

    /// The runs whose trials the search is told.
    pub(super) fn searched(&self) -> impl Iterator<Item = &Night> {
        self.nights.iter().filter(|night| night.run.searched)
    }
}

/// Whether a trial is one of the search, the settings in use included.
fn is_of_search(trial: &TrialRecord) -> bool {
    [Phase::Baseline, Phase::Search].iter().any(|phase| phase.name() == trial.phase)
}

/// Whether a trial measured what those of the profile do.
pub(super) fn is_alike(profile: &Profile, trial: &TrialRecord) -> bool {
    trial.measurement.under_faults.is_some() == profile.faults.is_some()
}

/// Stores what a run has made of what stands recommended, for the runs to come.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub async fn keep(store: &Store, began: &str, recommendation: &Recommendation) -> Result<(), StoreError> {
    let Some(judged) = recommendation.memory.as_ref().and_then(|memory| memory.standing.as_ref()) else {
        return Ok(());
    };
    let provenance = &recommendation.provenance;
    let settings = match judged.outcome {
        StandingOutcome::Stands => return Ok(()),
        StandingOutcome::Withdrawn => None,
        StandingOutcome::First => Some(judged.settings.clone()),
        StandingOutcome::Replaced => {
            let verified = recommendation.verification.as_ref().map(|found| &found.candidate);
            verified.or_else(|| judged.challenger.as_ref().map(|challenger| &challenger.settings)).cloned()
        }
    };
    let effect = recommendation.verification.as_ref().map(|found| found.ratio).filter(|_| settings.is_some());
    let standing = Standing { run: provenance.run.clone(), settings, since: began.to_owned(), effect };
    let target = place(store, &provenance.target);
    let of = StandingFor { target: &target, profile: &provenance.profile, instances: provenance.instances };
    store.set_standing(of, &standing).await
}

#[cfg(test)]
mod tests;
