use super::{ClusterFolder, PrivateError, StateFolder};
use crate::database::{Server, server::Way, sqlite};

/// A SQLite file that belongs to this process, and is removed with it.
#[derive(Debug)]
pub struct PrivateFile {
    folder: ClusterFolder,
}

impl PrivateFile {
    /// Makes a folder for the file; SQLite makes the file when it is first opened.
    ///
    /// # Errors
    /// [`PrivateError`] when the folder for private databases cannot be used.
    pub fn claim(state: &StateFolder) -> Result<Self, PrivateError> {
        Ok(Self { folder: state.claim()? })
    }

    /// How the workload reaches it.
    #[must_use]
    pub fn server(&self) -> Server {
        let path = self.folder.path().join("private.db");
        let shown = format!("a private SQLite ({})", path.display());
        Server::of_our_own(Way::Sqlite(sqlite::Way::of_our_own(&path)), shown)
    }
}
