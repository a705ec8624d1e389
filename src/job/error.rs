use std::path::PathBuf;

use crate::{database::PrivateError, store::StoreError, stress::StressError, tune::TuneError};

/// Why a job cannot begin, or ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// What was given is wrong: a profile, an experiment, a name. The text says what to do.
    #[error("{0}")]
    Input(String),
    /// The results folder cannot be written.
    #[error("failed to write to the results folder `{folder}`: {problem}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Somebody else is at work.
    #[error("{0}")]
    Busy(String),
    /// The state folder, in which locks lie, cannot be used.
    #[error("failed to {0}")]
    State(#[from] PrivateError),
    /// The run gave no answer.
    #[error(transparent)]
    Tune(#[from] TuneError),
    /// A stress test could not be made.
    #[error(transparent)]
    Stress(#[from] StressError),
    /// Results could not be stored.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
    /// What is to be written cannot be put into words.
    #[error("failed to write the answer: {0}")]
    Answer(String),
}

impl JobError {
    /// An error in what was given.
    pub fn input(message: impl std::fmt::Display) -> Self {
        Self::Input(message.to_string())
    }

    /// An error in what is to be written.
    pub(super) fn answer(error: impl std::fmt::Display) -> Self {
        Self::Answer(error.to_string())
    }

    /// Whether it was asked to stop, or its store went away, and it can go on.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Tune(TuneError::Interrupted)) || self.is_lost_store()
    }

    /// Whether the server with the store went away and did not come back in time.
    #[must_use]
    pub fn is_lost_store(&self) -> bool {
        matches!(self, Self::Store(error) | Self::Tune(TuneError::Store(error)) if error.is_lost())
    }
}
