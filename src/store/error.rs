use std::path::PathBuf;

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("open the runs in `{path}`: {problem}; make the folder writable, or choose another with --results")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The file is not ours, or was made by a newer version.
    #[error("read the runs in `{path}`: {problem}; move the file away, or choose another folder with --results")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk is full.
    #[error(
        "{operation} in `{path}`: the disk is full; make room, then start again, or go on with --resume if `pool-tune runs` lists the run"
    )]
    Full {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{operation} in `{path}`: {problem}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// There is no such run.
    #[error("find run `{run}` in `{path}`: {hint}")]
    NoRun {
        /// What was asked for.
        run: String,
        /// The file.
        path: PathBuf,
        /// What there is.
        hint: String,
    },
    /// A run of that id is there already.
    #[error("begin run `{run}`: there is one of that name already; choose another with --name")]
    Exists {
        /// The id.
        run: String,
    },
}
