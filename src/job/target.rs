use std::{env, fs, path::Path};

use secrecy::{ExposeSecret, SecretString};

use super::{JobError, Loaded, simulation};
use crate::{
    database::Server,
    export::Prefix,
    model::{Dialect, External},
    profile::{Profile, TargetSource, command_target},
    store::StoreAt,
    tune::{Choice, Private},
};

/// What is loaded: the target that was named, or else the profile's own. That of the environment (`DATABASE_URL`), which was not
/// asked for, is for profiles that have none of their own. A run that a simulation is made of is looked for in `store`.
///
/// # Errors
/// [`JobError::Input`], which never repeats a URL.
pub async fn choice_of(
    target: Option<&SecretString>,
    asked_for: bool,
    profile: &Profile,
    prefix: &Prefix,
    results: &Path,
    store: &StoreAt,
) -> Result<Choice, JobError> {
    let named = target.filter(|_| asked_for || profile.target.is_none());
    match (named, &profile.target) {
        (None, Some(target)) => Ok(external(target.clone(), prefix, results)),
        (named, _) => choice(named, prefix, results, store).await,
    }
}

/// A program or a service in place of a database.
fn external(target: External, prefix: &Prefix, results: &Path) -> Choice {
    Choice::External { target, prefix: prefix.clone(), results: Some(results.to_owned()) }
}

/// What a target's text stands for; without a word a private PostgreSQL, or SQLite where there is none.
///
/// # Errors
/// [`JobError::Input`], which never repeats a URL.
pub async fn choice(
    target: Option<&SecretString>,
    prefix: &Prefix,
    results: &Path,
    store: &StoreAt,
) -> Result<Choice, JobError> {
    Ok(match target.map(ExposeSecret::expose_secret) {
        None | Some("" | "private") => Choice::Private(Private::any()),
        Some("postgres:private" | "postgresql:private") => Choice::Private(Private::Server(Dialect::Postgres)),
        Some("mariadb:private" | "mysql:private") => Choice::Private(Private::Server(Dialect::MySql)),
        Some("sqlite:private") => Choice::Private(Private::File { instead: false }),
        Some("simulated") => Choice::Simulated,
        Some(name) if let Some(command) = name.strip_prefix("command:") => {
            external(command_target(command).map_err(JobError::input)?, prefix, results)
        }
        Some(name) if let Some(name) = simulation::named(name) => simulation::choice(name, store).await?,
        Some(_) => {
            Choice::Server(Server::from_url(target.unwrap_or(&SecretString::default())).map_err(JobError::input)?)
        }
    })
}

/// Reads an experiment's target from where it says; a relative path is seen from `folder`.
///
/// # Errors
/// [`JobError::Input`] when there is nothing there.
pub fn read_target(source: &TargetSource, experiment: &str, folder: &Path) -> Result<SecretString, JobError> {
    of_experiment(source, experiment, folder).map_err(|error| JobError::Input(format!("{error}, or give --target")))
}

/// Reads the target of an experiment that was read.
///
/// # Errors
/// As [`read_target`].
pub fn read_target_of(loaded: &Loaded) -> Result<SecretString, JobError> {
    let experiment = &loaded.experiment;
    of_experiment(&experiment.target, &experiment.name, loaded.folder())
}

fn of_experiment(source: &TargetSource, experiment: &str, folder: &Path) -> Result<SecretString, JobError> {
    let what = format!("the target of experiment `{experiment}`");
    match source {
        TargetSource::File(path) => read_secret(&TargetSource::File(folder.join(path)), &what),
        source => read_secret(source, &what),
    }
}

/// Reads a secret from where it is said to be; `what` is what it is, for messages.
///
/// # Errors
/// [`JobError::Input`] when there is nothing there.
pub fn read_secret(source: &TargetSource, what: &str) -> Result<SecretString, JobError> {
    let failed = |problem: String| JobError::Input(format!("failed to read {what}: {problem}"));
    match source {
        TargetSource::Plain(target) => Ok(target.clone().into()),
        TargetSource::Environment(name) => match env::var(name) {
            Ok(target) if !target.trim().is_empty() => Ok(target.into()),
            _ => Err(failed(format!("the environment variable `{name}` is not set, or empty: export it"))),
        },
        TargetSource::File(path) => {
            let shown = path.display();
            let text =
                fs::read_to_string(path).map_err(|error| failed(format!("read `{shown}`: {error}; put it there")))?;
            let target = text.trim();
            if target.is_empty() || target.contains('\n') {
                return Err(failed(format!("`{shown}` has to hold it in one line, and nothing else")));
            }
            Ok(target.into())
        }
    }
}
