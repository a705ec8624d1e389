use std::{collections::BTreeMap, fs, process::ExitCode};

use anyhow::Result;

use super::{arguments::FromScriptArguments, exit::bad_input, written};
use crate::profile::{Script, ScriptOptions, from_scripts, split_weight};

/// Writes a profile from pgbench's scripts.
///
/// # Errors
/// Where a script cannot be read, or holds what a profile cannot say.
pub(super) fn from_script(arguments: &FromScriptArguments) -> Result<ExitCode> {
    let mut scripts = Vec::new();
    for file in &arguments.files {
        scripts.push(file_script(file)?);
    }
    for name in &arguments.builtin {
        let (name, weight) = split_weight(name).map_err(bad_input)?;
        scripts.push(Script::built_in(name, weight).map_err(bad_input)?);
    }
    let options = ScriptOptions {
        variables: variables(&arguments.define)?,
        scale: arguments.scale,
        workers: arguments.written.workers,
        tables: arguments.pgbench_tables || !arguments.builtin.is_empty(),
    };
    let profile = from_scripts(&scripts, &options).map_err(bad_input)?;
    written::write(&profile, &arguments.written)
}

/// Reads `FILE[@WEIGHT]`.
pub(super) fn file_script(argument: &str) -> Result<Script> {
    let (name, weight) = split_weight(argument).map_err(bad_input)?;
    let text =
        fs::read_to_string(name).map_err(|error| bad_input(format!("failed to read script `{name}`: {error}")))?;
    Ok(Script { name: name.to_owned(), text, weight })
}

/// Reads each `NAME=VALUE`.
pub(super) fn variables(arguments: &[String]) -> Result<BTreeMap<String, String>> {
    let variable = |argument: &String| match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(bad_input(format!("failed to read -D {argument}: expected NAME=VALUE, such as -D rows=1000"))),
    };
    arguments.iter().map(variable).collect()
}
