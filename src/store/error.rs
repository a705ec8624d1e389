use std::path::PathBuf;

use crate::database::DatabaseError;

/// Why something could not be stored or read. A place is a file, or a server's URL without its password.
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
    /// The server of --store cannot be reached or used.
    #[error("open the store of runs: {0}")]
    Server(#[from] DatabaseError),
    /// The schema on the server is not ours, or was made by a newer version.
    #[error("read the runs in `{place}`: {problem}; choose another database with --store")]
    ForeignSchema {
        /// The server.
        place: String,
        /// What is wrong with the schema.
        problem: String,
    },
    /// The connection to the server was lost, and it did not come back in time.
    #[error(
        "{operation} in `{place}`: the connection was lost ({problem}), and the store did not come back within {waited} s; see that \
         the server of --store runs and can be reached"
    )]
    Lost {
        /// What was being done.
        operation: &'static str,
        /// The server.
        place: String,
        /// What was said last.
        problem: String,
        /// For how many seconds it was tried.
        waited: u64,
    },
    /// Another program keeps the file locked.
    #[error(
        "{operation} in `{place}`: another program keeps it locked, and did not let go within {waited} s; see who has the file open \
         (`fuser {place}`)"
    )]
    Locked {
        /// What was being done.
        operation: &'static str,
        /// The file.
        place: String,
        /// For how many seconds it was tried.
        waited: u64,
    },
    /// The disk is full.
    #[error(
        "{operation} in `{place}`: the disk is full; make room, then start again, or go on with --resume if `pool-tune runs` lists the run"
    )]
    Full {
        /// What was being done.
        operation: &'static str,
        /// The file or the server.
        place: String,
    },
    /// Reading or writing failed.
    #[error("{operation} in `{place}`: {problem}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The file or the server.
        place: String,
        /// What the system says.
        problem: String,
    },
    /// There is no such run.
    #[error("find run `{run}` in `{place}`: {hint}")]
    NoRun {
        /// What was asked for.
        run: String,
        /// The file or the server.
        place: String,
        /// What there is.
        hint: String,
    },
    /// A run of that id is there already.
    #[error("begin run `{run}`: there is one of that name already; choose another with --name")]
    Exists {
        /// The id.
        run: String,
    },
    /// A file that is not to be written over is there.
    #[error("write the backup `{path}`: there is a file of that name already; choose another name, or move it away")]
    Taken {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether the store went away or is locked, or cannot be reached now: what was stored before is there when it is back.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Locked { .. } => true,
            Self::Server(error) => error.is_temporary(),
            _ => false,
        }
    }
}
