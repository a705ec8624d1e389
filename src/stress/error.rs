use crate::{profile::ProfileError, trial::TrialError};

/// Why a stress test could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// A person gave it up.
    #[error("the stress test was interrupted")]
    Interrupted,
    /// What was asked for cannot be done.
    #[error("failed to plan the test `{test}`: {problem}")]
    Plan {
        /// The scenario.
        test: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// The scenario's settings do not go together.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The trial gave no measurement.
    #[error("failed to run the test `{test}`: {cause}")]
    Trial {
        /// The scenario.
        test: String,
        /// What happened.
        cause: TrialError,
    },
}
