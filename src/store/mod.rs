//! What outlives a run: every run with its trials in one SQLite file, or on a PostgreSQL for a team, and the folder of result files.
//!
//! In: runs, trials, recommendations as they come. Out: the same, also after a crash: what a call has stored is on the
//! disk when the call returns. Where several use a store, who holds what. This room decides nothing and runs no trials.

mod at;
mod backup;
mod error;
mod files;
mod hold;
mod in_place;
mod leadership;
mod migrations;
mod postgres;
mod prune;
mod query;
mod record;
mod rollouts;
mod rounds;
mod runs;
mod sqlite;
mod standing;
#[expect(clippy::module_inception, reason = "the room's main type")]
mod store;
mod suites;

pub use at::{StoreAt, StoreAtError};
pub use error::StoreError;
pub use files::{check_writable, write_results};
pub use hold::{Hold, Task, stable_hash};
pub use in_place::{FileError, OwnFile};
pub use leadership::Leadership;
pub use prune::{Keep, Pruned, StoreInfo};
pub use record::{NewRun, Recalled, RecalledRun, RunAnswer, RunRecord, RunStatus, RunSummary, TrialRecord};
pub use rollouts::{RolloutRecord, RolloutStatus, RolloutStep};
pub use rounds::RoundRecord;
pub use standing::{EarlierRun, Standing, StandingFor};
pub use store::Store;
pub use suites::{StressOutcome, StressRecord};
