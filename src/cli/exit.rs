use crate::cli::out;
use std::process::ExitCode;

use crate::{
    database::DatabaseError, job::JobError, rollout::RolloutError, store::StoreError, stress::StressError,
    tune::TuneError,
};

/// Exit codes, as `pool-tune --help` lists them. 0 means that the run has an answer, "keep what you have" included.
pub(super) mod code {
    /// Something failed that has no code of its own.
    pub(in crate::cli) const FAILED: u8 = 1;
    /// The command line, a profile or an environment variable is wrong (clap uses 2 too).
    pub(in crate::cli) const BAD_INPUT: u8 = 2;
    /// The database could not be reached or used, or failed and did not come back.
    pub(in crate::cli) const DATABASE: u8 = 3;
    /// The target must not be loaded as planned.
    pub(in crate::cli) const REFUSED: u8 = 4;
    /// No settings in the range keep the limits.
    pub(in crate::cli) const INFEASIBLE: u8 = 5;
    /// Results could not be written or read.
    pub(in crate::cli) const STORE: u8 = 6;
    /// Another run is under way.
    pub(in crate::cli) const BUSY: u8 = 7;
    /// A stress test missed a threshold.
    pub(in crate::cli) const THRESHOLD: u8 = 8;
    /// `export --check`: the file does not hold the run's settings.
    pub(in crate::cli) const DIFFERS: u8 = 9;
    /// `lint`, `monitor`: there are findings at or above `--fail-on`.
    pub(in crate::cli) const FINDINGS: u8 = 10;
    /// An experiment's window is closed; its next start goes on.
    pub(in crate::cli) const WINDOW: u8 = 11;
    /// A rollout went back, or did not begin: the settings that were in use are.
    pub(in crate::cli) const WENT_BACK: u8 = 12;
    /// Interrupted; the run can be resumed.
    pub(in crate::cli) const INTERRUPTED: u8 = 130;
}

/// An error with an exit code of its own.
#[derive(Debug)]
pub(super) struct WithCode {
    pub(super) code: u8,
    pub(super) message: String,
}

impl std::fmt::Display for WithCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithCode {}

/// An error in what the user gave.
pub(super) fn bad_input(message: impl std::fmt::Display) -> anyhow::Error {
    anyhow::Error::new(WithCode { code: code::BAD_INPUT, message: message.to_string() })
}

/// A job's error with its exit code.
pub(super) fn job_error(error: JobError) -> anyhow::Error {
    let code = match error {
        JobError::Tune(error) => return error.into(),
        JobError::Store(error) => return error.into(),
        JobError::Stress(error) => return error.into(),
        JobError::Input(_) => code::BAD_INPUT,
        JobError::Busy(_) => code::BUSY,
        JobError::Folder { .. } => code::STORE,
        JobError::State(_) => code::DATABASE,
        JobError::Answer(_) => code::FAILED,
    };
    anyhow::Error::new(WithCode { code, message: error.to_string() })
}

/// A rollout's error with its exit code.
pub(super) fn rollout_error(error: RolloutError) -> anyhow::Error {
    let code = match error {
        RolloutError::Job(error) => return job_error(error),
        RolloutError::Store(error) => return error.into(),
        RolloutError::Input(_) => code::BAD_INPUT,
        RolloutError::Infeasible(_) => code::INFEASIBLE,
        RolloutError::Differs(_) => code::DIFFERS,
        RolloutError::Unnoted { .. } => code::STORE,
    };
    anyhow::Error::new(WithCode { code, message: error.to_string() })
}

/// Tells an error on standard error, causes included, and gives its exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code_of(error);
    let mut text = match error.downcast_ref::<StoreError>() {
        Some(error) => format!("failed to {error}"),
        None => error.to_string(),
    };
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some causes repeat what their error has said already.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    out::fail(&format!("pool-tune: {text}"));
    ExitCode::from(code)
}

fn code_of(error: &anyhow::Error) -> u8 {
    if let Some(with_code) = error.downcast_ref::<WithCode>() {
        return with_code.code;
    }
    if let Some(error) = error.downcast_ref::<TuneError>() {
        return match error {
            TuneError::Interrupted => code::INTERRUPTED,
            TuneError::Refused(_) | TuneError::Faults(_) => code::REFUSED,
            TuneError::Workload(_)
            | TuneError::Profile(_)
            | TuneError::Mix(_)
            | TuneError::External(_)
            | TuneError::Database(DatabaseError::Check { .. } | DatabaseError::Prepare { .. }) => code::BAD_INPUT,
            TuneError::Database(_)
            | TuneError::Private(_)
            | TuneError::Infrastructure { .. }
            | TuneError::Program { .. } => code::DATABASE,
            TuneError::Store(_) => code::STORE,
            TuneError::Diverged { .. } | TuneError::Proxy(_) => code::FAILED,
        };
    }
    if let Some(error) = error.downcast_ref::<StressError>() {
        return match error {
            StressError::Interrupted => code::INTERRUPTED,
            StressError::Plan { .. } | StressError::Profile(_) => code::BAD_INPUT,
            StressError::Trial { .. } => code::DATABASE,
        };
    }
    if error.downcast_ref::<DatabaseError>().is_some() {
        code::DATABASE
    } else if error.downcast_ref::<StoreError>().is_some() {
        code::STORE
    } else {
        code::FAILED
    }
}
