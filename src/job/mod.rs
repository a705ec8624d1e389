//! Jobs: one run from its intent to its files, and the rounds of experiments, for whoever starts them: a person or a service.
//!
//! In: a profile or an experiment, a target, the store, a signal to stop, the time. Out: events while it goes, recommendations and
//! files at the end; in the store at any moment as much as is needed to go on. A target is held while it is loaded, so that two
//! runs never measure each other. This room prints nothing and knows no command line.

mod error;
mod experiment;
mod intent;
mod lock;
mod profiles;
mod round;
mod run;
pub mod simulation;
mod suite;
mod target;

use std::path::{Path, PathBuf};

pub use error::JobError;
pub use experiment::{Loaded, find_experiments, load_experiment, scenario};
pub use intent::{Intent, Wishes};
pub use lock::{ChangeLock, FolderLock, TargetHold, TargetLock};
pub use profiles::{is_file, load_profile};
pub use round::{ASKED_TO_STOP, RoundEnd, RoundEvent, Rounds, Start};
pub use run::{Done, Job, Stopped, reported};
pub use suite::{LeftOut, Stressed, Suite, SuiteOptions};
pub use target::{choice, choice_of, read_secret, read_target, read_target_of};

/// The file of a results folder that holds all runs.
#[must_use]
pub fn store_path(results: &Path) -> PathBuf {
    results.join("pool-tune.db")
}

/// The time as it is stored: RFC 3339 in UTC, to the second.
#[must_use]
pub fn stored_time(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
