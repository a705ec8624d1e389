use crate::{job::JobError, store::StoreError};

/// Why a rollout cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// What was given is wrong: a plan, a run, a name. The text says what to do.
    #[error("{0}")]
    Input(String),
    /// The run found no settings that keep its limits.
    #[error("{0}")]
    Infeasible(String),
    /// The file has other values than the run was made with.
    #[error("{0}")]
    Differs(String),
    /// A secret, or the lock.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The store.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
    /// The store failed while something was applied.
    #[error("failed to {error}; since no step could be noted any more, {outcome}")]
    Unnoted {
        /// What the store says.
        error: Box<StoreError>,
        /// What became of what was applied, and what to do.
        outcome: String,
    },
}

impl RolloutError {
    /// An error in what was given.
    pub(super) fn input(message: impl std::fmt::Display) -> Self {
        Self::Input(message.to_string())
    }
}
