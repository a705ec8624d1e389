#![expect(clippy::doc_markdown, reason = "these comments are the help text, shown as they stand")]

use std::path::PathBuf;

use clap::Args;

use super::arguments::Results;

/// How an experiment is run.
#[derive(Debug, Args)]
pub(super) struct ExperimentArguments {
    /// Run an experiment: its profiles on its target, within its window; the name of one in ./experiments, or a file
    ///
    /// Flags of the command line come before what the experiment says; DATABASE_URL does not, unless it is the experiment's
    /// target. A round that was interrupted on the same target, by the window's end or otherwise, is gone on with.
    #[arg(short = 'e', long = "experiment", id = "experiment", value_name = "NAME|FILE", conflicts_with_all = ["profile", "resume", "baseline", "name"])]
    pub(super) name_or_file: Option<String>,
    /// With --experiment: begin anew, even if its last round was interrupted
    #[arg(long, requires = "experiment")]
    pub(super) fresh: bool,
    /// With --experiment: start as its schedule does: not at all (code 11) while its window is closed
    ///
    /// Without it, an experiment that is started by hand outside its window says so and runs, up to the window's next end.
    #[arg(long, requires = "experiment")]
    pub(super) scheduled: bool,
}

#[derive(Debug, Args)]
pub(super) struct ScheduleArguments {
    /// Names of experiments in ./experiments, or files [default: all of ./experiments]
    #[arg(value_name = "EXPERIMENT")]
    pub(super) experiments: Vec<String>,
    /// Write a systemd service and timer of each into this folder, such as /etc/systemd/system
    ///
    /// The timer says what the cron expression says; `missed: run_once` is Persistent=true, jitter RandomizedDelaySec=, and the
    /// window RuntimeMaxSec=. Files that are there are written over.
    #[arg(long, value_name = "FOLDER", requires = "experiments", conflicts_with_all = ["crontab", "json"])]
    pub(super) systemd: Option<PathBuf>,
    /// Print crontab lines instead
    #[arg(long, requires = "experiments", conflicts_with = "json")]
    pub(super) crontab: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}
