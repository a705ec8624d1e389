//! A file that says which program is under way, for whoever comes after this process was killed: the program lives on then.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use procfs::process::{Process, Stat};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// How often a program that was left over is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long one may take to end when it must.
const GRACE: Duration = Duration::from_secs(2);

/// A process, told from later ones of the same number.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    pid: i32,
    /// In ticks since the machine started.
    started: u64,
    boot: String,
    /// How long it may take; older builds did not say.
    limit: Option<Duration>,
}

impl Identity {
    fn of(pid: i32, limit: Option<Duration>) -> Option<Self> {
        let Stat { starttime, state, .. } = Process::new(pid).ok()?.stat().ok()?;
        // A zombie does nothing any more.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        (state != 'Z').then(|| Self { pid, started: starttime, boot: boot.trim().to_owned(), limit })
    }

    fn is_alive(&self) -> bool {
        Self::of(self.pid, None).is_some_and(|now| now.started == self.started && now.boot == self.boot)
    }
}

/// The file, for as long as the program is under way.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

impl Mark {
    /// Notes a program and how long it may take; that it cannot be noted must not keep it from running.
    pub(super) fn set(path: &Path, pid: Option<u32>, limit: Duration) -> Option<Self> {
        let identity = Identity::of(i32::try_from(pid?).ok()?, Some(limit))?;
        let text = serde_json::to_string(&identity).ok()?;
        let folder = path.parent()?;
        // Whoever looks sees all of it or nothing.
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(path)?;
            Ok::<_, io::Error>(())
        };
        match write() {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                tracing::warn!("which program is under way could not be noted in {}: {error}", path.display());
                None
            }
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // Whoever comes next sees that the program is there no more.
        fs::remove_file(&self.0).ok();
    }
}

/// Waits for the program that a process which was killed has left running, and ends it with its group where it takes longer than it may,
/// or than `limit` where it does not say.
pub(crate) async fn left_over(path: &Path, limit: Duration) {
    let Some(identity) = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<Identity>(&text).ok())
    else {
        return;
    };
    let limit = identity.limit.unwrap_or(limit);
    if identity.is_alive() {
        tracing::warn!("process {} was left over from before, and is waited for", identity.pid);
    }
    let ends_within = async |limit: Duration| {
        let began = Instant::now();
        while identity.is_alive() && began.elapsed() < limit {
            tokio::time::sleep(LOOK).await;
        }
        !identity.is_alive()
    };
    if !ends_within(limit).await
        && let Some(group) = Pid::from_raw(identity.pid)
    {
        tracing::warn!("process {} was left over from before, did not end in time, and is ended", identity.pid);
        // It may have ended just now, or be somebody else's, who has to see to it.
        kill_process_group(group, Signal::KILL).ok();
        if !ends_within(GRACE).await {
            tracing::warn!("process {} could not be ended: see to it yourself", identity.pid);
        }
    }
    fs::remove_file(path).ok();
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_left_over_is_ended_and_who_has_its_number_later_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hooks.pid");
        let mut child = std::process::Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        std::mem::forget(Mark::set(&path, Some(child.id()), Duration::ZERO).unwrap());
        let own = Identity::of(i32::try_from(child.id()).unwrap(), None).unwrap();
        // As if the number had been another process's.
        let text = serde_json::to_string(&Identity { started: own.started + 1, ..own }).unwrap();
        let noted = fs::read_to_string(&path).unwrap();
        fs::write(&path, text).unwrap();
        left_over(&path, Duration::ZERO).await;
        assert!(child.try_wait().unwrap().is_none() && !path.exists());
        fs::write(&path, noted).unwrap();
        // It may take as long as it says itself, and not as whoever comes next says.
        left_over(&path, Duration::from_secs(1000)).await;
        assert!(!child.wait().unwrap().success() && !path.exists());
    }
}
