use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{PrivateError, process};

/// The folder in which private clusters live, each beside a lock file that its owner holds.
///
/// The kernel lets go of a lock when its holder dies, however it dies. So a cluster whose lock is free is a leftover.
#[derive(Clone, Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Whether it lies where anyone may make a folder of that name first.
    in_public: bool,
}

/// A cluster that a dead run left, and that is gone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Where it was.
    pub folder: PathBuf,
    /// The server that was still running on it.
    pub stopped: Option<u32>,
}

const PREFIX: &str = "cluster-";
const LOCK: &str = "lock";

impl StateFolder {
    /// `$POOL_TUNE_STATE`, else `pool-tune-<uid>` in the folder for temporary files.
    #[must_use]
    pub fn from_env() -> Self {
        match env::var_os("POOL_TUNE_STATE").filter(|path| !path.is_empty()) {
            Some(path) => Self::at(path),
            None => Self {
                path: env::temp_dir().join(format!("pool-tune-{}", rustix::process::geteuid().as_raw())),
                in_public: true,
            },
        }
    }

    /// A folder beside a person's file, where others may be able to make one of that name first.
    pub(in crate::database) fn beside(path: PathBuf) -> Self {
        Self { path, in_public: true }
    }

    /// A folder of one's choice; it need not exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), in_public: false }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is not there, and gives its whole path.
    ///
    /// # Errors
    /// [`PrivateError`] when it cannot be made, or belongs to somebody else.
    pub fn make(&self) -> Result<PathBuf, PrivateError> {
        let failed = |cause| PrivateError::State { folder: self.path.clone(), cause };
        // Others may pass through (the server may run as another user), but not look around.
        DirBuilder::new().recursive(true).mode(0o711).create(&self.path).map_err(failed)?;
        let folder = fs::canonicalize(&self.path).map_err(failed)?;
        self.check_owner()?;
        Ok(folder)
    }

    /// Makes a folder for a cluster, and holds its lock.
    pub(in crate::database) fn claim(&self) -> Result<ClusterFolder, PrivateError> {
        let failed = |cause| PrivateError::State { folder: self.path.clone(), cause };
        let folder = self.make()?;
        loop {
            let path = folder.join(format!("{PREFIX}{:08x}", rand::random::<u32>()));
            let lock_path = path.with_extension(LOCK);
            let created = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&lock_path);
            let lock = match created {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(failed)?,
            };
            // A start that cleans up at this very moment may have been faster, and removes the file: take another name.
            if !locked(&lock, &lock_path).map_err(failed)? {
                continue;
            }
            let claimed = ClusterFolder { path, lock_path, _lock: lock };
            DirBuilder::new().mode(0o700).create(&claimed.path).map_err(failed)?;
            return Ok(claimed);
        }
    }

    /// In a folder that all may write to, someone else may have made this one, or a link of its name, to look at what
    /// is put there.
    fn check_owner(&self) -> Result<(), PrivateError> {
        if !self.in_public {
            return Ok(());
        }
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() => Ok(()),
            Ok(_) => Err(PrivateError::ForeignState { folder: self.path.clone() }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(PrivateError::State { folder: self.path.clone(), cause }),
        }
    }

    /// Removes the clusters that dead runs left: stops their servers, if still running, and deletes their files.
    ///
    /// # Errors
    /// [`PrivateError::State`] when the folder cannot be read, [`PrivateError::Remove`] when a cluster stays.
    pub async fn clean_leftovers(&self) -> Result<Vec<Removed>, PrivateError> {
        self.check_owner()?;
        let folder = self.path.clone();
        let work = tokio::task::spawn_blocking(move || clean(&folder));
        work.await.unwrap_or_else(|error| {
            Err(PrivateError::State { folder: self.path.clone(), cause: io::Error::other(error) })
        })
    }
}

fn clean(folder: &Path) -> Result<Vec<Removed>, PrivateError> {
    let failed = |cause| PrivateError::State { folder: folder.to_owned(), cause };
    let folder = match fs::canonicalize(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut removed = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let lock_path = entry.map_err(failed)?.path();
        let ours = lock_path.extension().is_some_and(|extension| extension == LOCK)
            && lock_path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        if !ours {
            continue;
        }
        // A lock file of another user, or one that has just gone, is not ours to judge.
        let Ok(lock) = OpenOptions::new().read(true).write(true).open(&lock_path) else { continue };
        if !locked(&lock, &lock_path).map_err(failed)? {
            continue;
        }
        let cluster = ClusterFolder { path: lock_path.with_extension(""), lock_path, _lock: lock };
        let existed = cluster.path.exists();
        let stopped = process::stop_servers_on(&cluster.data());
        cluster.remove()?;
        if existed {
            removed.push(Removed { folder: cluster.path.clone(), stopped });
        }
    }
    removed.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(removed)
}

/// Whether the lock is now ours, on the file that still bears the name.
fn locked(lock: &File, path: &Path) -> io::Result<bool> {
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let (held, named) = (lock.metadata()?, fs::metadata(path));
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())))
}

/// A cluster's folder, whose lock is held; deleted when dropped.
#[derive(Debug)]
pub(in crate::database) struct ClusterFolder {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl ClusterFolder {
    pub(in crate::database) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with a server's files, which PostgreSQL calls its data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Where the server's messages go.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Deletes the files, then the lock file, so that no cluster is ever without one.
    pub(super) fn remove(&self) -> Result<(), PrivateError> {
        const TRIES: u32 = 40;
        let mut tries = 0;
        loop {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                // The last processes of a server that was killed may still be writing.
                Err(_) if tries < TRIES => std::thread::sleep(Duration::from_millis(50)),
                Err(cause) => return Err(PrivateError::Remove { folder: self.path.clone(), cause }),
                Ok(()) => break,
            }
            tries += 1;
        }
        match fs::remove_file(&self.lock_path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(PrivateError::Remove { folder: self.lock_path.clone(), cause })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for ClusterFolder {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!("failed to {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_a_public_place_is_not_followed() {
        let public = tempfile::tempdir().unwrap();
        let path = public.path().join("pool-tune-0");
        std::os::unix::fs::symlink(public.path(), &path).unwrap();
        let state = StateFolder { path, in_public: true };
        let message = state.claim().unwrap_err().to_string();
        assert!(message.contains("another user") && message.contains("POOL_TUNE_STATE"), "{message}");
    }

    #[test]
    fn a_claimed_folder_is_no_leftover_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let claimed = StateFolder::at(folder.path()).claim().unwrap();
        assert_eq!(clean(folder.path()).unwrap(), []);
        assert!(claimed.path().exists());
        let kept = claimed.path().to_owned();
        drop(claimed);
        assert!(!kept.exists());

        // What a start that died half-way left.
        fs::create_dir_all(folder.path().join("cluster-1/data")).unwrap();
        fs::write(folder.path().join("cluster-1.lock"), "").unwrap();
        fs::write(folder.path().join("of-a-person.lock"), "").unwrap();
        let removed = clean(folder.path()).unwrap();
        assert_eq!((removed.len(), removed[0].stopped), (1, None));
        assert!(!folder.path().join("cluster-1").exists() && folder.path().join("of-a-person.lock").exists());
    }
}
