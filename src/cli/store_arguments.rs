use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};

use super::arguments::Results;

#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    #[command(subcommand)]
    pub(super) action: StoreAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreAction {
    /// Tell where the store is, its version, how many runs and trials it holds, and its size
    Info(InfoArguments),
    /// Copy the store into a new file, while others use it
    ///
    /// Of a PostgreSQL too the copy is a file of SQLite's: `--store sqlite:FILE` reads it, and as pool-tune.db in a results folder it
    /// is a store. It gets its name only when it is whole, was opened and counted; a file that is there is not written over.
    Backup(BackupArguments),
    /// Remove old runs with their trials, and give their room back
    ///
    /// A run that is under way is never removed. Result files stay unless --files is given.
    Prune(PruneArguments),
}

#[derive(Debug, Args)]
pub(super) struct InfoArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The new file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["keep", "keep_runs"]).required(true)))]
pub(super) struct PruneArguments {
    /// Keep the runs of this time, and remove those that began before: 90d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) keep: Option<Duration>,
    /// Keep so many of the newest runs, and remove the others
    #[arg(long, value_name = "N")]
    pub(super) keep_runs: Option<u32>,
    /// Remove the folders of these runs in the results folder, too
    #[arg(long)]
    pub(super) files: bool,
    /// Only tell what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}
