use std::path::PathBuf;

use clap::Args;

use super::arguments::Results;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct RolloutArguments {
    /// The run whose recommended settings come into use: its id, or `latest`
    #[arg(required_unless_present_any = ["resume", "back", "log"], conflicts_with_all = ["resume", "back", "log"])]
    pub(super) run: Option<String>,
    /// The plan: how settings are applied, stages, gates (see README)
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["resume", "back", "log"],
        conflicts_with_all = ["resume", "back", "log"])]
    pub(super) plan: Option<PathBuf>,
    /// Print what would be done, and do nothing; of a start only
    // What takes the place of a plan takes away that one is required: without the conflicts `--back --dry-run` would go back.
    #[arg(long, requires = "plan", conflicts_with_all = ["json", "resume", "back", "log"])]
    pub(super) dry_run: bool,
    /// Go on with a rollout that was stopped or cut off; without a name with the only one there is. The stage that was under way
    /// is applied again and watched anew
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["back", "log"])]
    pub(super) resume: Option<String>,
    /// Take a rollout back that was begun, or is done: the settings that were in use are applied to all
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with = "log")]
    pub(super) back: Option<String>,
    /// Print what the rollouts of a name did, step by step, the newest last, and do nothing; without a name of the newest one's
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(super) log: Option<String>,
    /// Take a run that is older than the plan's `max_age`
    #[arg(long, requires = "plan", conflicts_with_all = ["resume", "back", "log"])]
    pub(super) yes_old: bool,
    /// Begin although the file has other values than the run was made with; going back writes the run's
    #[arg(long, requires = "plan", conflicts_with_all = ["resume", "back", "log"])]
    pub(super) force: bool,
    /// Print each step as one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}
