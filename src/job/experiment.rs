use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{JobError, is_file, load_profile, read_target, suite};
use crate::{
    export::Format,
    profile::{AnswerFile, Experiment, Profile, ProfileError, Scenario, StressTests, did_you_mean},
};

/// An experiment that was read with its profiles, so that nothing wrong in them is found out at night.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The experiment's file.
    pub path: PathBuf,
    /// What it says.
    pub experiment: Experiment,
    /// Its profiles in their order, with the file of each that came from one.
    pub profiles: Vec<(Profile, Option<String>)>,
    /// The scenarios with which what its runs decide is stressed.
    pub scenarios: Vec<Scenario>,
    /// The formats of its answer's files.
    pub(super) exports: Vec<(&'static Format, AnswerFile)>,
}

/// Reads an experiment: a file, or the one of that name in `./experiments`.
///
/// # Errors
/// [`JobError::Input`] naming file, line and remedy, also of a profile that it names.
pub fn load_experiment(name: &str) -> Result<Loaded, JobError> {
    let path = if is_file(name) { PathBuf::from(name) } else { Path::new("experiments").join(format!("{name}.yaml")) };
    let shown = path.display().to_string();
    let text = fs::read_to_string(&path)
        .map_err(|error| JobError::Input(format!("failed to read experiment `{shown}`: {error}; {}", remedy(name))))?;
    let experiment = Experiment::parse(&shown, &text).map_err(JobError::input)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut profiles = Vec::new();
    for name in &experiment.profiles {
        let file = is_file(name).then(|| folder.join(name).to_string_lossy().into_owned());
        let profile = load_profile(file.as_deref().unwrap_or(name))
            .map_err(|error| JobError::Input(format!("failed to read experiment `{shown}`: {error}")))?;
        profiles.push((profile, file));
    }
    let scenarios = scenarios(&experiment, folder)
        .map_err(|error| JobError::Input(format!("failed to read experiment `{shown}`: {error}")))?;
    // What does not go together is found out before the night.
    for (profile, _) in &profiles {
        let mut names = BTreeSet::new();
        // Their reports are kept by their names.
        if let Some(twice) =
            suite::tests(&scenarios, profile)?.into_iter().find(|test| !names.insert(test.name.clone()))
        {
            return Err(JobError::Input(format!(
                "failed to read experiment `{shown}`: `stress` has two tests that are called `{}`: give one of the scenarios another \
                 `name`",
                twice.name
            )));
        }
    }
    let exports = experiment.answer.exports.iter().map(|export| match Format::named(&export.format) {
        Ok(format) => Ok((format, export.clone())),
        Err(problem) => {
            let (origin, problem) = (format!("experiment `{shown}`"), problem.to_string());
            Err(JobError::input(ProfileError { origin, line: Some(export.line), problem }))
        }
    });
    let exports = exports.collect::<Result<_, _>>()?;
    Ok(Loaded { path, experiment, profiles, scenarios, exports })
}

/// The scenarios of its stress tests: built-in ones by their names, others by their paths relative to its file.
fn scenarios(experiment: &Experiment, folder: &Path) -> Result<Vec<Scenario>, JobError> {
    let names = match &experiment.stress {
        StressTests::None => return Ok(Vec::new()),
        StressTests::FullSuite => Scenario::built_in().map(|(name, _)| name.to_owned()).to_vec(),
        StressTests::Of(names) => names.clone(),
    };
    names.iter().map(|name| scenario(name, folder)).collect()
}

/// A scenario: a file, or the built-in one of that name.
///
/// # Errors
/// [`JobError::Input`] naming file, line and remedy.
pub fn scenario(name: &str, folder: &Path) -> Result<Scenario, JobError> {
    let path = folder.join(name);
    if !(name.contains(['/', '\\', '.']) || path.is_file()) {
        return Scenario::parse(name, Scenario::find(name).map_err(JobError::input)?).map_err(JobError::input);
    }
    let shown = path.display().to_string();
    let text = fs::read_to_string(&path).map_err(|error| {
        JobError::Input(format!(
            "failed to read scenario `{shown}`: {error}; `pool-tune stress --scenario list` lists those that are built in"
        ))
    })?;
    Scenario::parse(&shown, &text).map_err(JobError::input)
}

/// What to do where there is no experiment of a name: the nearest one, or all that there are.
fn remedy(name: &str) -> String {
    let found = if is_file(name) { Vec::new() } else { find_experiments(Path::new("experiments")).unwrap_or_default() };
    let names: Vec<_> = found.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let usual = "name a file, or one of ./experiments by its name without .yaml";
    if names.is_empty() { usual.to_owned() } else { format!("{}; {usual}", did_you_mean(name, names)) }
}

/// The experiments' files of a folder, in the order of their names; none where there is no such folder.
///
/// # Errors
/// [`JobError::Input`] when the folder cannot be read.
pub fn find_experiments(folder: &Path) -> Result<Vec<PathBuf>, JobError> {
    let failed = |error: std::io::Error| {
        JobError::Input(format!("failed to look for experiments in `{}`: {error}; make it readable", folder.display()))
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    paths.sort();
    Ok(paths)
}

impl Loaded {
    /// Whether its target is where the experiment says, so that a missing variable is told before anything else.
    ///
    /// # Errors
    /// [`JobError::Input`] when there is nothing there.
    pub fn check_target(&self) -> Result<(), JobError> {
        read_target(&self.experiment.target, &self.experiment.name, self.folder()).map(drop)
    }

    /// The folder that relative paths in it are seen from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }
}
