//! A program of a person's, started in a process group of its own that ends with it.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncReadExt as _, process::Command};
use tokio_util::sync::CancellationToken;

use super::{Names, mark::Mark};
use crate::{
    export::{Format, Prefix, export_settings},
    model::{Call, Settings, figures::time},
};

/// What is kept of an output: its first bytes, and its last, where a summary stands.
const HEAD: usize = 64 << 10;
const TAIL: usize = 8 << 20;
/// What is written of an output's end into the file that keeps it.
const SHOWN: usize = 64 << 10;
/// How long a group may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long outputs are read after the program has ended: a child of its that lives on may hold them open.
const AFTER_END: Duration = Duration::from_secs(1);

/// What a program printed, and how long it took.
pub(crate) struct Ended {
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    /// The code that it ended with where that is not 0, and what is told of it then.
    pub(crate) failure: Option<(i32, String)>,
}

/// What a program may leave behind when it has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Nothing: what it has started ends with it.
    Nothing,
    /// What it was called for, such as a service that it has started anew.
    Running,
}

/// Why a program has no end of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It was ended, since whoever called it was told to stop.
    #[error("it was ended, since it was asked to stop")]
    Cancelled,
    /// It could not be started, took too long, or was ended by a signal.
    #[error("{0}")]
    Failed(String),
}

/// What a program is called for.
#[derive(Clone, Debug)]
pub(crate) struct Occasion {
    /// What it is told beside the settings.
    pub(crate) names: Names,
    /// The file that keeps its output, in the folder for that.
    pub(crate) log: String,
    /// How long it may take where its call does not say.
    pub(crate) limit: Duration,
    /// The files that say which program is under way, for whoever comes after this process was killed.
    pub(crate) marks: Vec<PathBuf>,
}

/// Starts programs.
#[derive(Debug)]
pub(crate) struct Caller {
    /// What the names of the settings begin with in a program's environment.
    prefix: Prefix,
    /// The folder that keeps what programs print; nowhere without one.
    kept: Option<PathBuf>,
    /// Holds the file that is written for a program.
    folder: tempfile::TempDir,
}

impl Caller {
    pub(crate) fn new(prefix: Prefix, kept: Option<PathBuf>) -> Result<Self, std::io::Error> {
        let folder = tempfile::Builder::new().prefix("pool-tune-").tempdir()?;
        Ok(Self { prefix, kept, folder })
    }

    /// Runs a program to its end, and keeps what it prints.
    ///
    /// # Errors
    /// [`ProgramError::Cancelled`] when `cancel` ended it; [`ProgramError::Failed`] when it could not be started, took too long,
    /// or was ended by a signal.
    pub(crate) async fn run(
        &self,
        call: &Call,
        settings: &Settings,
        occasion: &Occasion,
        leaves: Leaves,
        cancel: &CancellationToken,
    ) -> Result<Ended, ProgramError> {
        let mut names = occasion.names.clone().and(Names::of(settings));
        if let Some(format) = &call.file {
            let path = self.write(format, settings)?;
            names = names.with("file", path.display().to_string());
        }
        let words: Vec<String> = call.words.iter().map(|word| names.fill(word)).collect();
        let (program, arguments) = words.split_first().ok_or_else(|| failed("the command is empty"))?;
        let shown = Call { words: words.clone(), ..call.clone() }.to_string();
        let mut command = Command::new(program);
        command.args(arguments).envs(names.environment(&self.prefix)).stdin(Stdio::null());
        // What is the service's own is none of a program's business.
        command.env_remove("POOL_TUNE_TOKEN").env_remove("POOL_TUNE_STORE");
        // What goes on running must not lose its output's reader: it writes into files.
        let files = [self.folder.path().join("stdout"), self.folder.path().join("stderr")];
        let open = |path: &PathBuf| -> Result<Stdio, ProgramError> {
            match leaves {
                Leaves::Nothing => Ok(Stdio::piped()),
                Leaves::Running => File::create(path)
                    .map(Stdio::from)
                    .map_err(|error| failed(format!("`{}` cannot be written: {error}", path.display()))),
            }
        };
        command.stdout(open(&files[0])?).stderr(open(&files[1])?).process_group(0);
        if let Some(directory) = &call.directory {
            command.current_dir(directory);
        }
        let (began, started) = (SystemTime::now(), Instant::now());
        let mut child = command.spawn().map_err(|error| {
            failed(format!("`{program}` cannot be started: {error}; see that it is there and executable"))
        })?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let limit = call.time_limit.unwrap_or(occasion.limit);
        let marks: Vec<_> = occasion.marks.iter().filter_map(|path| Mark::set(path, child.id(), limit)).collect();
        let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let ended = {
            let reading = async { tokio::join!(read(out, &mut stdout), read(err, &mut stderr)) };
            tokio::pin!(reading);
            let mut all_read = false;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break Some(status),
                    _ = &mut reading, if !all_read => all_read = true,
                    () = tokio::time::sleep_until((started + limit).into()) => break None,
                    () = cancel.cancelled() => break None,
                }
            };
            if status.is_none() {
                group.end(&mut child).await;
            }
            match &status {
                Some(Ok(status)) if status.success() && leaves == Leaves::Running => group.let_go(),
                // Children that it has left behind must not load the next trial.
                _ => drop(group),
            }
            if !all_read {
                // Whether all was read or not, what was is kept.
                tokio::time::timeout(AFTER_END, reading).await.ok();
            }
            status
        };
        let took = started.elapsed();
        drop(marks);
        if leaves == Leaves::Running {
            for (path, kept) in files.iter().zip([&mut stdout, &mut stderr]) {
                kept.add(&std::fs::read(path).unwrap_or_default());
            }
        }
        let told = match &ended {
            Some(Ok(status)) => said(*status),
            Some(Err(error)) => format!("could not be waited for: {error}"),
            None if cancel.is_cancelled() => "was ended, since the run was".to_owned(),
            None => {
                format!("did not end within {} and was ended, with all that it had started", time(limit.as_secs_f64()))
            }
        };
        self.keep(
            &occasion.log,
            &format!("$ {shown}\n{}", listed(&names.environment(&self.prefix))),
            &told,
            &stdout,
            &stderr,
        );
        match ended {
            Some(Ok(status)) if status.success() => Ok(Ended { stdout, stderr, began, took, failure: None }),
            _ if cancel.is_cancelled() => Err(ProgramError::Cancelled),
            ended => {
                let last = last_line(&stderr).or_else(|| last_line(&stdout));
                let last = last.map(|line| format!("; the last that it said: {line}")).unwrap_or_default();
                let told = format!("`{shown}` {told}{last}{}", self.where_kept(&occasion.log));
                match ended.and_then(|status| status.ok()?.code()) {
                    Some(code) => Ok(Ended { stdout, stderr, began, took, failure: Some((code, told)) }),
                    None => Err(failed(told)),
                }
            }
        }
    }

    /// Where an output is kept, for messages.
    pub(crate) fn where_kept(&self, log: &str) -> String {
        self.path(log).map(|path| format!(" (its output: {})", path.display())).unwrap_or_default()
    }

    fn path(&self, log: &str) -> Option<PathBuf> {
        self.kept.as_ref().map(|folder| folder.join(log))
    }

    /// Writes the settings in the format that the program reads.
    fn write(&self, format: &str, settings: &Settings) -> Result<PathBuf, ProgramError> {
        let format = Format::named(format).map_err(|error| failed(error.to_string()))?;
        let text = export_settings(format, settings, &self.prefix).map_err(|error| failed(error.to_string()))?;
        let path = self.folder.path().join("pool");
        std::fs::write(&path, text)
            .map_err(|error| failed(format!("`{}` cannot be written: {error}", path.display())))?;
        Ok(path)
    }

    /// Adds to the file that keeps an output. That it cannot be written must not cost what the program was called for.
    fn keep(&self, log: &str, call: &str, told: &str, stdout: &Kept, stderr: &Kept) {
        let Some(path) = self.path(log) else { return };
        let write = |path: &Path| {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            let mut file = File::options().create(true).append(true).open(path)?;
            write!(file, "{call}\n--- standard output\n{stdout}\n--- standard error\n{stderr}\n--- it {told}\n\n")
        };
        if let Err(error) = write(&path) {
            tracing::warn!("a program's output could not be kept in {}: {error}", path.display());
        }
    }
}

/// Whether a program is there to be started, so that a wrong path is told before anything is begun.
///
/// # Errors
/// What is wrong with it, as a fragment that fits after "failed to".
pub fn startable(call: &Call) -> Result<(), String> {
    let folder = call.directory.as_deref().map_or_else(PathBuf::new, PathBuf::from);
    let Some(program) = call.words.first() else { return Ok(()) };
    let wrong = |problem: String| Err(format!("`{program}` cannot be started: {problem}"));
    if call.directory.is_some() && !folder.is_dir() {
        return wrong(format!(
            "its `directory` `{}` is not there; a relative one is seen from where pool-tune is started",
            folder.display()
        ));
    }
    // What is filled in is known only when it is.
    if program.contains('{') {
        return Ok(());
    }
    if program.contains('/') {
        let path = folder.join(program);
        return match () {
            () if is_executable(&path) => Ok(()),
            () if path.is_dir() => wrong("it is a folder; name a program in it".to_owned()),
            () if path.exists() => wrong(format!(
                "it is not executable; `chmod +x {0}`, or name what runs it, such as `sh {0}`",
                path.display()
            )),
            () => wrong(format!("it is not there; see that `{}` is the path that you mean", path.display())),
        };
    }
    if in_path(program, &folder).is_some() {
        return Ok(());
    }
    wrong(format!("it is in no folder of PATH; install it, or name its path, such as ./{program}"))
}

/// The file of the program that is started; none where that is known only when something is filled in, or it is in no folder of PATH.
pub(crate) fn path_of(call: &Call) -> Option<PathBuf> {
    let folder = call.directory.as_deref().map_or_else(PathBuf::new, PathBuf::from);
    let program = call.words.first().filter(|program| !program.contains('{'))?;
    if program.contains('/') { Some(folder.join(program)) } else { in_path(program, &folder) }
}

/// A relative folder of PATH is seen from the one that the program is started in.
fn in_path(program: &str, folder: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|of| folder.join(of).join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|of| of.is_file() && of.permissions().mode() & 0o111 != 0)
}

fn failed(cause: impl Into<String>) -> ProgramError {
    ProgramError::Failed(cause.into())
}

/// The settings of the environment, as a person could set them.
fn listed(environment: &[(String, String)]) -> String {
    environment.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {name}={value}");
        text
    })
}

/// How a program ended, in words.
fn said(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended".to_owned(),
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended, nobody knows how".to_owned(),
    }
}

fn last_line(kept: &Kept) -> Option<String> {
    let end: Vec<u8> = kept.end(4096);
    let text = String::from_utf8_lossy(&end);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    Some(line.chars().filter(|character| !character.is_control()).take(300).collect())
}

/// The group of a program; whatever is left of it ends with this value.
struct Group(Option<Pid>);

impl Group {
    /// Asks the group to end, and ends it.
    async fn end(&self, child: &mut tokio::process::Child) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            self.signal(Signal::KILL);
            // It cannot refuse; how it ended is told by whoever ended it.
            child.wait().await.ok();
        }
    }

    /// Leaves it running.
    fn let_go(mut self) {
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // There is nothing to end any more, or it is not ours.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The beginning and the end of an output, however long it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes: u64,
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let head = bytes.len().min(HEAD - self.head.len());
        self.head.extend(&bytes[..head]);
        let rest = &bytes[head..];
        self.tail.extend(&rest[rest.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }

    fn left_out(&self) -> u64 {
        self.bytes - (self.head.len() + self.tail.len()) as u64
    }

    /// Its last bytes, as many as these at most.
    fn end(&self, most: usize) -> Vec<u8> {
        if self.tail.is_empty() {
            return self.head[self.head.len().saturating_sub(most)..].to_vec();
        }
        self.tail.iter().skip(self.tail.len().saturating_sub(most)).copied().collect()
    }

    /// What a summary is looked for in: all of it, or its end where it is too long.
    pub(crate) fn text(&self) -> String {
        let whole = self.left_out() == 0;
        let head = if whole { self.head.as_slice() } else { &[] };
        let bytes: Vec<u8> = head.iter().chain(&self.tail).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is left out of [`Self::text`], for messages.
    pub(crate) fn cut(&self) -> String {
        if self.left_out() == 0 {
            return String::new();
        }
        format!(" (it printed {} MB, of which the last {} MB were read)", self.bytes / 1_000_000, TAIL >> 20)
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.head))?;
        let left_out = self.bytes - self.head.len() as u64 - self.tail.len().min(SHOWN) as u64;
        if left_out > 0 {
            write!(f, "\n… {left_out} bytes are left out …\n")?;
        }
        if self.tail.is_empty() { Ok(()) } else { f.write_str(&String::from_utf8_lossy(&self.end(SHOWN))) }
    }
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>, into: &mut Kept) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 64 << 10];
    // An output that breaks has ended.
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        into.add(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_keeps_its_beginning_and_its_end() {
        let mut kept = Kept::default();
        kept.add(b"begin\n");
        for _ in 0..200 {
            kept.add(&vec![b'x'; 100_000]);
        }
        kept.add(b"\nend\n");
        assert_eq!((kept.head.len(), kept.tail.len()), (HEAD, TAIL));
        assert!(kept.text().ends_with("\nend\n") && !kept.text().starts_with("begin"));
        let shown = kept.to_string();
        assert!(shown.starts_with("begin\n") && shown.contains("bytes are left out") && shown.ends_with("\nend\n"));
        assert_eq!(last_line(&kept).as_deref(), Some("end"));

        let mut short = Kept::default();
        short.add(b"one\ntwo");
        assert_eq!(
            (short.text().as_str(), short.cut().as_str(), short.to_string().as_str()),
            ("one\ntwo", "", "one\ntwo")
        );
    }
}
