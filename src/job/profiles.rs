use std::{fs, path::Path};

use super::JobError;
use crate::profile::{self, Profile};

/// Whether a profile's name is that of a file.
#[must_use]
pub fn is_file(name: &str) -> bool {
    name.contains(['/', '\\', '.']) || Path::new(name).is_file()
}

/// Reads a profile: a file where there is one of that name, or else a built-in.
///
/// # Errors
/// [`JobError::Input`] naming file, line and remedy.
pub fn load_profile(name: &str) -> Result<Profile, JobError> {
    if is_file(name) {
        return load_file(Path::new(name));
    }
    let source = profile::find(name).map_err(JobError::input)?;
    profile::parse(name, source).map_err(JobError::input)
}

fn load_file(path: &Path) -> Result<Profile, JobError> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        JobError::Input(format!(
            "failed to read profile `{shown}`: {error}; `pool-tune profiles` lists those that are built in"
        ))
    })?;
    profile::parse(&shown.to_string(), &text).map_err(JobError::input)
}
