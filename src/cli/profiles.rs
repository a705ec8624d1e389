use crate::cli::out::{errln, out, outln};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};

use super::{
    arguments::{ProfilesAction, ProfilesArguments},
    exit::{bad_input, code, job_error},
    from_database, from_script,
};
use crate::{
    job::load_profile,
    profile::{self, Profile},
};

/// Lists, checks, prints or writes profiles.
pub(super) async fn profiles(arguments: &ProfilesArguments) -> Result<ExitCode> {
    match &arguments.action {
        None | Some(ProfilesAction::List) => list(),
        Some(ProfilesAction::Check { files }) => Ok(check(files)),
        Some(ProfilesAction::Show { profile }) => {
            out!("{}", load(profile)?.source);
            Ok(ExitCode::SUCCESS)
        }
        Some(ProfilesAction::FromScript(arguments)) => from_script::from_script(arguments),
        Some(ProfilesAction::FromDatabase(arguments)) => from_database::from_database(arguments).await,
    }
}

fn list() -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["profile", "workers", "settings in use", "about"]);
    for (name, source) in profile::built_in() {
        let profile = profile::parse(name, source).map_err(bad_input)?;
        let settings = &profile.space.baseline;
        table.add_row([
            profile.name.clone(),
            profile.workers.to_string(),
            format!("{}–{} connections", settings.min_connections(), settings.max_connections()),
            profile.about.clone(),
        ]);
    }
    outln!("{table}");
    outln!("Start your own from one of these: pool-tune profiles show medium > my.yaml");
    Ok(ExitCode::SUCCESS)
}

/// Checks each file, all of them, and tells what is wrong with each.
fn check(files: &[std::path::PathBuf]) -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for file in files {
        match load(&file.to_string_lossy()) {
            Ok(profile) => {
                outln!(
                    "{}: good ({} workers, {} operation{})",
                    file.display(),
                    profile.workers,
                    profile.workload.operations.len(),
                    if profile.workload.operations.len() == 1 { "" } else { "s" }
                );
                for warning in profile.warnings() {
                    outln!("{}: note: {warning}", file.display());
                }
            }
            Err(error) => {
                errln!("pool-tune: {error}");
                exit = ExitCode::from(code::BAD_INPUT);
            }
        }
    }
    exit
}

/// Reads a profile: a file where there is one of that name, or else a built-in.
pub(super) fn load(name: &str) -> Result<Profile> {
    load_profile(name).map_err(job_error)
}
