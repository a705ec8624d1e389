use std::{path::Path, process::ExitCode};

use anyhow::Result;

use super::{arguments::ImportArguments, exit::bad_input, into::failed, out::out};
use crate::{
    export::{Format, Imported, Prefix, import},
    report::words,
    store::OwnFile,
};

/// Prints the settings of a configuration as the part `settings` of a profile.
pub(super) fn import_settings(arguments: &ImportArguments) -> Result<ExitCode> {
    let shown = arguments.file.display();
    let prefix = arguments.prefix.as_deref().map(Prefix::parse).transpose().map_err(bad_input)?;
    let (format, imported) = read(&arguments.file, arguments.format.as_deref(), prefix.as_ref())?;
    out!(
        "# Read from {} as {}; times are seconds\n{}",
        words::one_line(&shown.to_string()),
        format.title,
        imported.yaml()
    );
    Ok(ExitCode::SUCCESS)
}

/// What a configuration says, in the format given or in the one that its name tells.
pub(super) fn read(path: &Path, format: Option<&str>, prefix: Option<&Prefix>) -> Result<(&'static Format, Imported)> {
    let shown = path.display();
    let format = match format {
        Some(name) => Format::named(name).map_err(bad_input)?,
        None => by_name(path).ok_or_else(|| {
            bad_input(format!(
                "failed to tell what `{shown}` is by its name: `pool-tune import {shown} --format NAME` reads it, such as hikaricp"
            ))
        })?,
    };
    let file = OwnFile::read(path).map_err(|error| failed(&error))?;
    let imported = import(format, &file.text, prefix)
        .map_err(|error| bad_input(format!("failed to read the settings in `{shown}`: {error}")))?;
    Ok((format, imported))
}

/// The format that files of a name are most often in.
pub(super) fn by_name(path: &Path) -> Option<&'static Format> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let format = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "py" => "config.py",
        "json" if name.starts_with("appsettings") => "npgsql",
        "json" => "json",
        "yaml" | "yml" if name.starts_with("database.") => "rails",
        "yaml" | "yml" if name.starts_with("application") => "spring-boot",
        "yaml" | "yml" => "yaml",
        "toml" => "toml",
        "properties" => "hikaricp",
        "ini" => "pgbouncer",
        "cs" => "npgsql",
        "js" | "mjs" | "cjs" if name.starts_with("knexfile") => "knex",
        "js" | "mjs" | "cjs" => "node-postgres",
        "go" => "database-sql",
        "rs" => "sqlx",
        _ if name.split('.').skip(1).any(|part| part == "env") => "env",
        _ => return None,
    };
    Format::named(format).ok()
}
