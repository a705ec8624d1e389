//! pgbench's scripts as profiles: SQL with `\set`, `\sleep` and `:variables`.
//!
//! In: the scripts' text with their weights, and what pgbench takes by `-D` and `-s`. Out: a profile that loads the
//! database as pgbench would, or an error that names script, line and remedy. What a profile cannot say is refused,
//! never approximated.

mod built_in;
mod expression;
mod lines;
mod operation;
mod statement;
mod variables;

use std::collections::BTreeMap;

use super::{
    Profile, ProfileError,
    draft::Draft,
    error::{self, did_you_mean},
};

/// One script, and how often it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its file, or the name of one that is built into pgbench; for messages and as the operation's name.
    pub name: String,
    /// The script itself.
    pub text: String,
    /// Its share of requests is the weight over the sum of weights.
    pub weight: u32,
}

/// What holds for all scripts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Values of variables, as pgbench's `-D name=value`.
    pub variables: BTreeMap<String, String>,
    /// The value of `:scale`, and the size of the tables; at least 1.
    pub scale: u32,
    /// Concurrent workers.
    pub workers: u32,
    /// Whether the profile makes pgbench's tables; without, those in the database are used.
    pub tables: bool,
}

impl Script {
    /// One of the scripts that are built into pgbench, by its name or the beginning of it.
    ///
    /// # Errors
    /// [`ProfileError`], which lists those there are, when there is none or more than one of that name.
    pub fn built_in(name: &str, weight: u32) -> Result<Self, ProfileError> {
        let mut found = built_in::SCRIPTS.iter().filter(|(known, _)| !name.is_empty() && known.starts_with(name));
        match (found.next(), found.next()) {
            (Some((known, text)), None) => Ok(Self { name: (*known).to_owned(), text: (*text).to_owned(), weight }),
            (several, _) => {
                let known = built_in::SCRIPTS.map(|(known, _)| known);
                let hint = if several.is_some() {
                    format!("it may be any of {}", error::list(&known))
                } else {
                    did_you_mean(name, known)
                };
                Err(ProfileError {
                    origin: format!("built-in script `{name}`"),
                    line: None,
                    problem: format!("there is no such script: {hint}"),
                })
            }
        }
    }
}

/// Splits `FILE@WEIGHT` as pgbench does; without a weight it is 1.
///
/// # Errors
/// [`ProfileError`] when what follows the last `@` is no whole number.
pub fn split_weight(text: &str) -> Result<(&str, u32), ProfileError> {
    let Some((name, weight)) = text.rsplit_once('@') else { return Ok((text, 1)) };
    let weight = weight.parse().ok().filter(|_| !name.is_empty());
    weight.map(|weight| (name, weight)).ok_or_else(|| ProfileError {
        origin: format!("script `{text}`"),
        line: None,
        problem: "what follows `@` is no weight: expected a whole number, such as `read.sql@3`; a name that holds an \
                  `@` needs a weight as well, such as `a@b.sql@1`"
            .to_owned(),
    })
}

/// The profile that loads a database as pgbench would with these scripts.
///
/// # Errors
/// [`ProfileError`] naming the script, the line and the remedy.
pub fn from_scripts(scripts: &[Script], options: &ScriptOptions) -> Result<Profile, ProfileError> {
    let mut operations = Vec::with_capacity(scripts.len());
    let mut pauses = Vec::with_capacity(scripts.len());
    for script in scripts {
        let read = operation::read(script, options).map_err(|problem| ProfileError {
            origin: format!("script `{}`", script.name),
            line: problem.line,
            problem: problem.text,
        })?;
        pauses.push((script, read.pause));
        operations.push(read.operation);
    }
    let of_all =
        |problem: &str| ProfileError { origin: "the scripts".to_owned(), line: None, problem: problem.to_owned() };
    let think_time = pauses.first().and_then(|(_, pause)| *pause);
    if pauses.iter().any(|(_, pause)| *pause != think_time) {
        return Err(of_all(
            "they do not end with the same `\\sleep`: it becomes the profile's `think_time`, which all operations \
             share; make it the same in all, or run the scripts one at a time",
        ));
    }
    if !scripts.iter().any(|script| script.weight > 0) {
        return Err(of_all("none has a weight above 0: give at least one, such as `read.sql@1`"));
    }
    let names: Vec<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
    let draft = Draft {
        name: "from-script".to_owned(),
        about: format!("what pgbench does with {}", names.join(", ")),
        workers: options.workers,
        header: vec!["Made by `pool-tune profiles from-script`. Add `settings:` with what is in use today.".to_owned()],
        think_time,
        prepare: if options.tables { built_in::tables(options.scale) } else { Vec::new() },
        operations,
        footer: Vec::new(),
    };
    draft.write()
}

#[cfg(test)]
mod tests;
