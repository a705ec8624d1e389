//! Locks that the kernel lets go of when their holder dies, however it dies: whoever is alive keeps others out, nobody else does.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{JobError, run::busy, stored_time};
use crate::{
    database::StateFolder,
    store::{Hold, Store, Task, stable_hash},
    tune::{Choice, of_this_machine},
};

/// A results folder that is held: nobody else runs in it.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// The file that whoever runs in a folder holds.
    #[must_use]
    pub fn path(results: &Path) -> PathBuf {
        results.join(".lock")
    }

    /// Holds a results folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`JobError::Busy`] when another process holds it, [`JobError::Folder`] when it cannot be written.
    pub fn hold(results: &Path) -> Result<Self, JobError> {
        Self::hold_as(results, &Self::path(results), |pid| {
            format!(
                "another run is under way in `{}` (process {pid}): two runs would disturb each other's measurements; wait for it, or \
                 stop it with Ctrl-C",
                results.display()
            )
        })
    }

    /// Holds a results folder as a service does, for as long as it lives: between its runs others may run in it.
    ///
    /// # Errors
    /// [`JobError::Busy`] when another service holds it, [`JobError::Folder`] when it cannot be written.
    pub fn hold_for_service(results: &Path) -> Result<Self, JobError> {
        Self::hold_as(results, &results.join(".service.lock"), |pid| {
            format!(
                "another service is at work in `{}` (process {pid}): stop it first, or choose another folder with --results",
                results.display()
            )
        })
    }

    /// Holds a rollout by its name: nobody else applies what it applies.
    ///
    /// # Errors
    /// [`JobError::Busy`] when another process carries it out, [`JobError::Folder`] when the folder cannot be written.
    pub fn hold_for_rollout(results: &Path, name: &str) -> Result<Self, JobError> {
        Self::hold_as(results, &results.join(format!(".rollout-{name}.lock")), |pid| {
            format!(
                "rollout `{name}` is under way (process {pid}): wait for it, or stop it with `kill -INT {pid}`, after which \
                 `pool-tune rollout --resume {name}` goes on with it and `--back {name}` takes it back"
            )
        })
    }

    fn hold_as(results: &Path, path: &Path, busy: impl Fn(&str) -> String) -> Result<Self, JobError> {
        let failed = |error: io::Error| JobError::Folder {
            folder: results.to_owned(),
            problem: if results.is_file() {
                "it is a file; choose another with --results".to_owned()
            } else {
                format!("{error}; make it writable, or choose another with --results")
            },
        };
        fs::create_dir_all(results).map_err(failed)?;
        let mut options = OpenOptions::new();
        match held(options.mode(0o666), path, &std::process::id().to_string()).map_err(failed)? {
            Ok(file) => Ok(Self { _file: file }),
            Err(pid) => Err(JobError::Busy(busy(pid.trim()))),
        }
    }
}

/// A target that is held on this machine, whatever the results folder: nobody else loads it.
///
/// Other machines know of it only by a store that they share (`shared_key`); without one the guard there sees the connections of
/// the other run, and refuses.
#[derive(Debug)]
pub struct TargetLock {
    _file: File,
}

/// Who holds a target, or what a rollout changes, for whoever has to wait.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    run: String,
    since: String,
    target: String,
}

impl TargetLock {
    /// Holds a target for a run, a test or whatever `run` names. A throw-away one and one without a database need no lock.
    ///
    /// # Errors
    /// [`JobError::Busy`] with who holds it, [`JobError::State`] or [`JobError::Input`] when there is no place for locks.
    pub fn hold(choice: &Choice, run: &str) -> Result<Option<Self>, JobError> {
        Self::hold_in(&StateFolder::from_env(), choice, run)
    }

    fn hold_in(state: &StateFolder, choice: &Choice, run: &str) -> Result<Option<Self>, JobError> {
        let Some(key) = choice.lock_key() else { return Ok(None) };
        Ok(match held_here(state, ("target", &key), run, choice.shown())? {
            Ok(file) => Some(Self { _file: file }),
            Err(Some(Holder { pid, run, since, target })) => {
                return Err(JobError::Busy(format!(
                    "{target} is being loaded by {run} (process {pid}, since {since}): two runs on a server would disturb each \
                     other's measurements; wait for it, or stop it with `kill -INT {pid}`, after which it can be resumed"
                )));
            }
            Err(None) => {
                return Err(JobError::Busy(format!(
                    "{} is being loaded by another process: wait for it",
                    choice.shown()
                )));
            }
        })
    }
}

/// What a rollout changes, held on this machine, whatever the results folder and the rollout's name: of two that change it at once
/// each would take the other's settings for its own.
#[derive(Debug)]
pub struct ChangeLock {
    _file: File,
}

impl ChangeLock {
    /// Holds what has a key, and is told as `shown`, for a rollout.
    ///
    /// # Errors
    /// [`JobError::Busy`] with the rollout that holds it, [`JobError::State`] or [`JobError::Input`] when there is no place for locks.
    pub fn hold(key: &str, shown: &str, rollout: &str) -> Result<Self, JobError> {
        Self::hold_in(&StateFolder::from_env(), key, shown, rollout)
    }

    fn hold_in(state: &StateFolder, key: &str, shown: &str, rollout: &str) -> Result<Self, JobError> {
        match held_here(state, ("rollout", key), rollout, shown.to_owned())? {
            Ok(file) => Ok(Self { _file: file }),
            Err(Some(Holder { pid, run, since, .. })) => Err(JobError::Busy(format!(
                "rollout `{run}` (process {pid}, since {since}) is under way with {shown}: two at once would undo each other's settings; \
                 wait for it, or stop it with `kill -INT {pid}`"
            ))),
            Err(None) => {
                Err(JobError::Busy(format!("another process has a rollout under way with {shown}: wait for it")))
            }
        }
    }
}

/// Holds what has a key on this machine; gives who holds it, as far as that is known, where that is somebody else.
fn held_here(
    state: &StateFolder,
    (kind, key): (&str, &str),
    run: &str,
    target: String,
) -> Result<Result<File, Option<Holder>>, JobError> {
    let folder = state.make()?;
    // A file's name can hold neither every path nor every name of a host: it is a hash, and the file tells the rest.
    let path = folder.join(format!("{kind}-{:016x}.lock", stable_hash(key)));
    let since = stored_time(jiff::Timestamp::now());
    let holder = Holder { pid: std::process::id(), run: run.to_owned(), since, target };
    let text = serde_json::to_string(&holder).map_err(JobError::answer)?;
    let mut options = OpenOptions::new();
    let held = held(options.mode(0o600), &path, &text).map_err(|error| {
        JobError::Input(format!(
            "failed to lock the {kind} in `{}`: {error}; make it writable, or set POOL_TUNE_STATE to another folder",
            path.display()
        ))
    })?;
    Ok(held.map_err(|text| serde_json::from_str(&text).ok()))
}

/// A target that is held for a run or a round, on this machine and in a store that several machines share.
#[derive(Debug)]
pub struct TargetHold {
    _lock: Option<TargetLock>,
    shared: Option<Hold>,
}

impl TargetHold {
    /// Holds a target for whatever `what` names.
    ///
    /// # Errors
    /// [`JobError::Busy`] with who holds it, [`JobError::Store`] when the store cannot be asked.
    pub async fn take(store: &Store, choice: &Choice, what: &str) -> Result<Self, JobError> {
        let lock = TargetLock::hold(choice, what)?;
        let Some(key) = shared_key(choice) else { return Ok(Self { _lock: lock, shared: None }) };
        let task = Task::Target(&key);
        match store.hold(task).await? {
            Some(hold) => Ok(Self { _lock: lock, shared: Some(hold) }),
            None => Err(busy(store, task, &choice.shown()).await),
        }
    }

    /// Whether somebody else took it while the store was away.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.shared.as_ref().is_some_and(Hold::is_taken)
    }

    /// Lets go, so that whoever is next need not wait for a connection to be missed.
    pub async fn let_go(self) {
        if let Some(hold) = self.shared {
            hold.let_go().await;
        }
    }
}

/// What names a target in a store that several machines share, where it needs a lock: a server that is this machine's own bears
/// the machine's name, since every machine has a `localhost`.
fn shared_key(choice: &Choice) -> Option<String> {
    let key = choice.lock_key()?;
    let at_home = ["sqlite ", "command:"].iter().any(|start| key.starts_with(start))
        || ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| key.contains(host));
    if !at_home {
        return Some(key);
    }
    Some(of_this_machine(&key))
}

/// Locks a file and writes into it who holds it; gives what the holder has written where that is somebody else.
fn held(options: &mut OpenOptions, path: &Path, text: &str) -> io::Result<Result<File, String>> {
    let mut file = options.create(true).truncate(false).read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            return Ok(Err(holder));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    Ok(Ok(file))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::database::Server;

    fn choice(url: &str) -> Choice {
        Choice::Server(Server::from_url(&SecretString::from(url)).unwrap())
    }

    #[test]
    fn a_server_is_held_by_one_at_a_time_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::at(folder.path());
        let hold = |url: &str, run: &str| TargetLock::hold_in(&state, &choice(url), &format!("run {run}"));
        let held = hold("postgres://me:hunter2@LOCALHOST:5432/app", "one").unwrap();
        // The same server by another user, password, name and spelling.
        for url in ["postgres://you:hunter3@127.0.0.1/other?sslmode=disable", "postgresql://me@[::1]:5432/app"] {
            let error = hold(url, "two").unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, JobError::Busy(_)), "{text}");
            assert!(text.contains("run one") && text.contains(&format!("process {}", std::process::id())), "{text}");
            assert!(text.contains("since 20") && !text.contains("hunter"), "{text}");
        }
        // Other servers are free.
        let others = ["postgres://me@localhost:5433/app", "postgres://me@db.test/app", "mysql://me@localhost:5432/app"];
        let others: Vec<_> = others.iter().map(|url| hold(url, "three").unwrap().unwrap()).collect();
        drop(held);
        assert!(hold("postgres://me@localhost/app", "two").unwrap().is_some());
        drop(others);
    }

    #[test]
    fn in_a_shared_store_every_machine_has_its_own_localhost_and_the_same_servers() {
        let key = |url: &str| shared_key(&choice(url)).unwrap();
        assert_eq!(key("postgres://me:hunter2@DB.test/app"), "postgres db.test:5432");
        let own = key("postgres://me:hunter2@127.0.0.1/app");
        assert!(own.starts_with("postgres localhost:5432 of ") && !own.contains("hunter2"), "{own}");
        assert_eq!(shared_key(&Choice::Simulated), None);
    }

    #[test]
    fn what_a_run_makes_for_itself_needs_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::at(folder.path().join("none"));
        assert!(TargetLock::hold_in(&state, &Choice::Simulated, "one").unwrap().is_none());
        assert!(!folder.path().join("none").exists());
    }
}
