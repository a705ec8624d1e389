//! What outlives a run: every run with its trials in one SQLite file, and the folder of result files.
//!
//! In: runs, trials, recommendations as they come. Out: the same, also after a crash: what a call has stored is on the
//! disk when the call returns. This room decides nothing and runs no trials.

mod error;
mod files;
mod in_place;
mod record;
mod rollouts;
mod rounds;
mod sqlite;

pub use error::StoreError;
pub use files::{check_writable, write_results};
pub use in_place::{FileError, OwnFile};
pub use record::{NewRun, RunRecord, RunStatus, RunSummary, TrialRecord};
pub use rollouts::{RolloutRecord, RolloutStatus, RolloutStep};
pub use rounds::RoundRecord;
pub use sqlite::Store;
