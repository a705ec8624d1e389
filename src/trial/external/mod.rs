//! Trials on what is a person's own: a program that measures by itself, or a service that is driven over HTTP.

mod client;
mod command;
mod scraped;
mod service;
mod summary;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

pub(super) use client::{Client, Unanswered};
pub use command::CommandTarget;
pub use service::{ServiceError, ServiceTarget};

use super::TrialError;
use crate::{
    export::{Format, Prefix, UnknownFormat},
    model::{Apply, Call, External, Service, Setting, settings_named},
    program::{Names, Occasion, ProgramError, variable},
};

/// What a program may take beyond its trial where nothing is said: to start, and to fill its tables.
const BESIDE: Duration = Duration::from_secs(60);

/// What a program of a person's is told beside the settings, and where its output is kept.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What the names of the settings begin with in its environment.
    pub prefix: Prefix,
    /// The folder that keeps what it prints, a file a trial; nowhere without one.
    pub kept: Option<PathBuf>,
    /// Concurrent workers of the profile's load.
    pub workers: u32,
    /// Pools that share the server.
    pub instances: u32,
    /// The length of a trial.
    pub measure: Duration,
    /// The longest warm-up.
    pub warm_up_cap: Duration,
}

impl Surroundings {
    /// What a program is told of a trial, and what is kept of it.
    fn occasion(&self, trial: u32, seed: u64) -> Occasion {
        let seconds = |time: Duration| time.as_secs_f64().to_string();
        let names = Names::default()
            .with("trial", trial.to_string())
            .with("seed", seed.to_string())
            .with("workers", self.workers.to_string())
            .with("instances", self.instances.to_string())
            .with("seconds", seconds(self.measure))
            .with("warm_up", seconds(self.warm_up_cap));
        Occasion { names, log: log(trial), limit: self.measure + self.warm_up_cap + BESIDE, marks: Vec::new() }
    }
}

/// The file that keeps what a program prints in a trial.
fn log(trial: u32) -> String {
    format!("{trial:03}.log")
}

impl From<ProgramError> for TrialError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Cancelled => Self::Cancelled,
            ProgramError::Failed(problem) => Self::Program(problem),
        }
    }
}

/// The settings that a target heeds: those that it says, or else those that its words and its file name; `None` where nothing
/// is named, for then all of them are in its environment and none is known to be passed over.
///
/// # Errors
/// [`UnknownFormat`] when its file is of a format that there is not.
pub fn taken(external: &External) -> Result<Option<BTreeSet<Setting>>, UnknownFormat> {
    let named = named(external)?;
    if let Some(takes) = external.takes() {
        return Ok(Some(takes.clone()));
    }
    Ok(Some(named).filter(|named| !named.is_empty()))
}

/// The program that a target is, or by which a service is given its settings.
#[must_use]
pub fn call(external: &External) -> Option<&Call> {
    match external {
        External::Command(command) => Some(&command.call),
        External::Http(Service { apply: Apply::Call(call), .. }) => Some(call),
        External::Http(Service { apply: Apply::Request(_), .. }) => None,
    }
}

/// The settings that its words, its file or its request name.
fn named(external: &External) -> Result<BTreeSet<Setting>, UnknownFormat> {
    let call = call(external);
    let body = match external {
        External::Http(Service { apply: Apply::Request(request), .. }) => Some(request),
        External::Http(_) | External::Command(_) => None,
    };
    let format = call.and_then(|call| call.file.as_deref()).map(Format::named).transpose()?;
    let words = call.into_iter().flat_map(|call| call.words.iter().map(String::as_str));
    let body = body.into_iter().flat_map(|request| [request.path.as_str(), request.body.as_str()]);
    let mut named = settings_named(words.chain(body));
    named.extend(
        format.into_iter().flat_map(|format| Setting::all().filter(|setting| format.of(*setting).next().is_some())),
    );
    Ok(named)
}

/// What of a target is legal, but hardly meant: settings that are passed and not taken, or taken and not passed; words that wait
/// for a shell.
///
/// # Errors
/// [`UnknownFormat`] when its file is of a format that there is not.
pub fn contradictions(external: &External, prefix: &Prefix) -> Result<Vec<String>, UnknownFormat> {
    let named = named(external)?;
    let mut told = Vec::new();
    let call = call(external);
    if let Some(takes) = external.takes().filter(|_| !named.is_empty()) {
        let what = if call.is_some() { "command" } else { "request" };
        let list = |names: Vec<String>| names.join(", ");
        let unused = list(named.difference(takes).map(ToString::to_string).collect());
        if !unused.is_empty() {
            told.push(format!(
                "the {what} names {unused}, not among `takes` and so kept at the value in use: add it there to have it tuned"
            ));
        }
        let lacking: Vec<&Setting> = takes.difference(&named).collect();
        let names = list(lacking.iter().map(ToString::to_string).collect());
        let variables = list(lacking.iter().map(|setting| variable(prefix, setting.spec().name)).collect());
        match (lacking.is_empty(), call.is_some()) {
            (true, _) => {}
            (false, true) => told.push(format!(
                "`takes` has {names}, told to the command in its environment alone ({variables}): see that it reads that"
            )),
            (false, false) => told.push(format!(
                "`takes` has {names}, not passed by the request: write {{…}} with the name into it, or nothing will change"
            )),
        }
    }
    let for_a_shell: Vec<String> = call
        .iter()
        .flat_map(|call| call.words.iter().skip(1))
        .filter(|word| waits_for_a_shell(word))
        .map(|word| format!("`{word}`"))
        .collect();
    if !for_a_shell.is_empty() {
        told.push(format!(
            "no shell reads the command, and the program is given {} as it stands: write sh -c '…' around it",
            for_a_shell.join(", ")
        ));
    }
    Ok(told)
}

/// Whether a word by itself means something to a shell alone: a pipe, a redirection, the end of a command, a variable.
fn waits_for_a_shell(word: &str) -> bool {
    let of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let variable = word.strip_prefix('$').map(|name| name.trim_start_matches('{').trim_end_matches('}'));
    matches!(word, "|" | "||" | "&" | "&&" | ";" | ">" | ">>" | "<" | "2>" | "2>&1" | "&>")
        || variable.is_some_and(|name| {
            name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && name.chars().all(of_a_name)
        })
}
