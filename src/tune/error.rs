use crate::{
    database::{DatabaseError, PrivateError, Refusal},
    profile::ProfileError,
    store::StoreError,
    trial::{FaultError, WorkloadError},
};

/// Why a run gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The run was asked to stop; what it has measured is stored.
    #[error("the run was interrupted")]
    Interrupted,
    /// The database could not be used.
    #[error("failed to {0}")]
    Database(#[from] DatabaseError),
    /// The profile has nothing for this kind of database.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A private server could not be started.
    #[error("failed to {0}")]
    Private(#[from] PrivateError),
    /// The target must not, or cannot, be loaded as planned.
    #[error("failed to {0}")]
    Refused(#[from] Refusal),
    /// The database failed and did not come back.
    #[error("gave up on the database: {cause}; waited {waited_seconds} s for it")]
    Infrastructure {
        /// What failed, last.
        cause: String,
        /// How long was waited.
        waited_seconds: u64,
        /// The run to resume.
        run: String,
    },
    /// The program or the service in place of a database failed each time that a trial was begun.
    #[error("gave up on the target after {attempts} attempts: {cause}")]
    Program {
        /// What failed, last.
        cause: String,
        /// How often the trial was begun.
        attempts: u32,
        /// The run to resume.
        run: String,
    },
    /// A program or a service cannot be used as a target.
    #[error("failed to {0}")]
    External(String),
    /// The workload cannot run on this database.
    #[error("failed to run the workload: {0}")]
    Workload(String),
    /// The workload cannot be drawn from.
    #[error("failed to read the workload: {0}")]
    Mix(#[from] WorkloadError),
    /// Faults cannot be made on this target.
    #[error("failed to {0}")]
    Faults(#[from] FaultError),
    /// No proxy could be put in front of the server.
    #[error("failed to put a proxy in front of the server: {0}; see that a port of loopback is free")]
    Proxy(std::io::Error),
    /// Results could not be stored.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
    /// The stored trials are not those that this program would run.
    #[error(
        "failed to resume: stored trial {sequence} tried other settings than this version asks for; start a new run"
    )]
    Diverged {
        /// The trial.
        sequence: u32,
    },
}
