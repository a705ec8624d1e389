//! What a simulation is made of: a run that is stored, a file, or the sample that comes with the program.

use std::{fs, path::Path};

use super::JobError;
use crate::{
    model::{OperatingDay, Settings},
    simulate::Sample,
    store::{RunStatus, Store, StoreAt},
    trial::SimulationTarget,
    tune::{self, Choice},
};

/// The name of the target, and what stands before a run or a file that it is to be made of.
const NAME: &str = "simulation";

/// Whether a target has no database, and so no secret: it is stored as it was given.
#[must_use]
pub fn is_without_database(target: &str) -> bool {
    let is_external = ["command:", "http://", "https://"].iter().any(|start| target.starts_with(start));
    target == "simulated" || is_external || named(target).is_some()
}

/// Whether what was measured on a target says nothing of a real one.
#[must_use]
pub fn is_simulated(target: &str) -> bool {
    target == "simulated" || named(target).is_some()
}

/// What a target of this kind is to be made of; an empty name is what comes with the program.
pub(super) fn named(target: &str) -> Option<&str> {
    let rest = target.strip_prefix(NAME)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(':') }
}

/// The target that is made of a run, of a file, or of what comes with the program.
pub(super) async fn choice(name: &str, store: &StoreAt) -> Result<Choice, JobError> {
    let failed = |problem: String| JobError::Input(format!("failed to use the target `{NAME}:{name}`: {problem}"));
    let (shown, sample) = match name {
        "" => (NAME.to_owned(), Sample::shipped()),
        file if is_file(file) => (format!("{NAME}:{file}"), of_file(Path::new(file)).map_err(failed)?),
        run => {
            let (run, sample) = of_run(run, store).await.map_err(failed)?;
            (format!("{NAME}:{run}"), sample)
        }
    };
    let target = SimulationTarget::new(&sample).map_err(|error| failed(error.to_string()))?;
    Ok(Choice::Simulation { shown, source: sample.source, target })
}

/// A run's id is one folder's name; what looks like a path is none.
fn is_file(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "json")
}

/// A file that holds a sample.
///
/// # Errors
/// What is wrong with it, as a fragment that fits after "failed to".
pub fn of_file(path: &Path) -> Result<Sample, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("read `{shown}`: {error}"))?;
    serde_json::from_str(&text).map_err(|error| {
        format!("read `{shown}`: {error}; expected the `calibration.json` of a run, as it was written")
    })
}

/// A run of a store: its id and what it has measured.
async fn of_run(run: &str, at: &StoreAt) -> Result<(String, Sample), String> {
    let remedy = "`pool-tune runs` lists runs, and `--target simulation` needs none";
    let store = Store::connect_to_read(at).await.map_err(|error| error.to_string())?;
    let Some(store) = store else { return Err(format!("there are no runs in `{at}` yet; {remedy}")) };
    let run = match run {
        "latest" => {
            latest(&store).await?.ok_or_else(|| format!("no run on a database has finished in `{at}`; {remedy}"))?
        }
        run => run.to_owned(),
    };
    let found = sample(&store, &run).await.map(|found| (found.0, found.1));
    store.close().await;
    found.map_err(|error| format!("{error}; {remedy}"))
}

/// The newest run that has finished and has measured a database: a simulation of a simulation says nothing more.
///
/// # Errors
/// What is wrong with the store.
pub async fn latest(store: &Store) -> Result<Option<String>, String> {
    let runs = store.runs().await.map_err(|error| error.to_string())?;
    let measured = runs.into_iter().find(|run| run.status == RunStatus::Finished && !is_without_database(&run.target));
    Ok(measured.map(|run| run.id))
}

/// A run's id, what it has measured, the settings in use when it began, and the day of its profile.
///
/// # Errors
/// [`JobError`] when there is no such run, or it cannot be read.
pub async fn sample(store: &Store, run: &str) -> Result<(String, Sample, Settings, Option<OperatingDay>), JobError> {
    let run = store.run(run).await?.intent;
    let trials = store.trials(&run.id).await?;
    let profile = crate::profile::parse_stored(&run.profile_name, &run.profile_source).map_err(JobError::input)?;
    let settings = trials.first().map_or_else(|| profile.space.baseline.clone(), |trial| trial.settings.clone());
    let sample = tune::sample(&run.id, &run.server_version, &profile, &trials);
    Ok((run.id, sample, settings, profile.day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_urls_and_files_from_runs() {
        assert_eq!(named("simulation"), Some(""));
        assert_eq!(named("simulation:latest"), Some("latest"));
        assert_eq!((named("simulated"), named("simulations"), named("postgres://simulation")), (None, None, None));
        assert!(is_file("calibration.json") && is_file("./there") && !is_file("20261125-101112-heavy"));
        assert!(
            is_without_database("simulated") && is_without_database("simulation:x") && !is_without_database("private")
        );
    }
}
