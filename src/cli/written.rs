use crate::cli::out::{errln, out};
use std::{fs, io::Write as _, process::ExitCode};

use anyhow::Result;

use super::{
    arguments::WrittenArguments,
    exit::{WithCode, bad_input, code},
};
use crate::profile::Profile;

/// Writes a profile to where the user wants it.
///
/// # Errors
/// Where the file is there already (unless it may be written over), or cannot be written.
pub(super) fn write(profile: &Profile, arguments: &WrittenArguments) -> Result<ExitCode> {
    let Some(path) = &arguments.output else {
        out!("{}", profile.source);
        return Ok(ExitCode::SUCCESS);
    };
    let shown = path.display();
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if arguments.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(profile.source.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            bad_input(format!("failed to write `{shown}`: it is there already; name another file, or add --force"))
        }
        _ => anyhow::Error::new(WithCode { code: code::STORE, message: format!("failed to write `{shown}`: {error}") }),
    })?;
    errln!(
        "{shown}: {} operations; look through it, then: pool-tune run --profile {shown}",
        profile.workload.operations.len()
    );
    Ok(ExitCode::SUCCESS)
}
