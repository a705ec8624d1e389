//! The processes of a server: finding them, stopping them, and the processor time they used.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use procfs::{FromRead as _, process::Stat};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to end before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Sends a signal; a process that is already gone is fine.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!(?pid, ?signal, "signal not delivered: {error}");
    }
}

/// Sends a signal to a server's first process and to its children, the first one first, so that it makes no new ones
/// meanwhile.
pub(super) fn signal_all(pid: u32, which: Signal) {
    signal(pid, which);
    for child in children(pid).unwrap_or_default() {
        signal(child, which);
    }
}

/// Asks a server to end. Processes that were stopped must go on in order to hear it.
pub(super) fn ask_to_end(pid: u32, how: Signal) {
    signal(pid, how);
    for child in children(pid).unwrap_or_default().into_iter().chain([pid]) {
        signal(child, Signal::CONT);
    }
}

/// Kills a server that does not listen, and its children.
pub(super) fn kill(pid: u32) {
    let children = children(pid).unwrap_or_default();
    signal(pid, Signal::KILL);
    for child in children {
        signal(child, Signal::KILL);
    }
}

/// Stops every process of a database that works on the cluster in `data`, and gives the first one's id.
pub(super) fn stop_servers_on(data: &Path) -> Option<u32> {
    let running = servers_on(data);
    for &pid in &running {
        ask_to_end(pid, Signal::QUIT);
    }
    let deadline = Instant::now() + GRACE;
    loop {
        let left = servers_on(data);
        if left.is_empty() {
            return running.first().copied();
        }
        if Instant::now() > deadline {
            for pid in left {
                kill(pid);
            }
            return running.first().copied();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The processes `postgres -D data …`, `initdb -D data …` or `mariadbd … --datadir=data`. The command line is compared, since
/// an id in a file may meanwhile belong to another process.
fn servers_on(data: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let program = arguments.first().and_then(|program| Path::new(OsStr::from_bytes(program)).file_name());
            let data = data.as_os_str().as_bytes();
            let is_postgres = program.is_some_and(|name| name == "postgres" || name == "initdb");
            let is_mariadb = program.is_some_and(|name| name == "mariadbd");
            is_postgres && arguments.windows(2).any(|pair| pair[0] == b"-D" && pair[1] == data)
                || is_mariadb && arguments.iter().any(|argument| argument.strip_prefix(b"--datadir=") == Some(data))
        })
    })
    .collect()
}

/// The children of a process with a single thread.
fn children(pid: u32) -> io::Result<Vec<u32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(list.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}

/// Processor time that a server has used: its first process, its children alive, and those that have ended.
pub(super) fn cpu_time(pid: u32) -> io::Result<Duration> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        let before = stat(pid)?;
        let children = children(pid)?;
        let alive: u64 =
            children.iter().filter_map(|child| stat(*child).ok()).map(|stat| stat.utime + stat.stime).sum();
        let after = stat(pid)?;
        let ended = |stat: &Stat| stat.cutime + stat.cstime;
        tries += 1;
        // A child that ended in between would be counted twice or not at all.
        if (ended(&before) == ended(&after) && self::children(pid)? == children) || tries == TRIES {
            let ticks = after.utime + after.stime + alive + u64::try_from(ended(&after)).unwrap_or(0);
            let per_second = procfs::ticks_per_second();
            return Ok(Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second));
        }
    }
}

fn stat(pid: u32) -> io::Result<Stat> {
    Stat::from_file(format!("/proc/{pid}/stat")).map_err(io::Error::other)
}
