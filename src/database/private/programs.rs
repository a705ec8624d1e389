use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Binaries, ClusterFolder, PrivateError, PrivateOptions, mariadb, postgres};
use crate::{
    database::{Server, account::Account},
    model::Dialect,
};

/// The programs of a database's server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programs {
    /// PostgreSQL's.
    Postgres(Binaries),
    /// MariaDB's.
    MariaDb(mariadb::Binaries),
}

impl Programs {
    /// Looks for those of a dialect; see [`Binaries::find`].
    ///
    /// # Errors
    /// [`PrivateError`], which says what to install.
    pub fn find(dialect: Dialect) -> Result<Self, PrivateError> {
        match dialect {
            Dialect::MySql => mariadb::Binaries::find().map(Self::MariaDb),
            Dialect::Postgres | Dialect::Sqlite => Binaries::find().map(Self::Postgres),
        }
    }

    /// The name of the database.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::MariaDb(_) => "MariaDB",
        }
    }

    /// The server's program.
    pub(super) fn server(&self) -> PathBuf {
        match self {
            Self::Postgres(binaries) => binaries.postgres(),
            Self::MariaDb(binaries) => binaries.server().to_owned(),
        }
    }

    /// The user to change to: none unless we are root, as whom a database should not, or refuses to, run.
    pub(super) fn account(&self) -> Option<Account> {
        Account::needed(match self {
            Self::Postgres(_) => "postgres",
            Self::MariaDb(_) => "mysql",
        })
    }

    /// Makes the database's files.
    pub(super) async fn initialise(&self, made: &Made<'_>, options: &PrivateOptions) -> Result<(), PrivateError> {
        match self {
            Self::Postgres(binaries) => postgres::initialise(binaries, made, options).await,
            Self::MariaDb(binaries) => mariadb::initialise(binaries, made, options).await,
        }
    }

    /// The command that runs the server on a port; `first` when it has not run before.
    pub(super) fn command(&self, account: Option<&Account>, folder: &ClusterFolder, port: u16, first: bool) -> Command {
        let mut command = command(&self.server(), account, folder);
        match self {
            Self::Postgres(_) => postgres::arguments(&mut command, folder, port),
            Self::MariaDb(_) => mariadb::arguments(&mut command, folder, port, first),
        }
        command
    }

    /// Whether the server says in its own files that it is ready: a connection to the port could reach another server.
    pub(super) fn is_ready(&self, folder: &ClusterFolder) -> bool {
        match self {
            Self::Postgres(_) => postgres::is_ready(folder),
            Self::MariaDb(_) => mariadb::is_ready(folder),
        }
    }

    /// Whether the server ended because another program has its port.
    pub(super) fn lost_its_port(message: &str) -> bool {
        message.contains("could not bind") || message.contains("Can't start server: Bind on TCP/IP port")
    }

    /// How the workload reaches the server, and how the program does as its superuser.
    pub(super) fn ways(&self, port: u16, password: &str) -> (Server, Server) {
        match self {
            Self::Postgres(_) => postgres::ways(port, password),
            Self::MariaDb(_) => mariadb::ways(port, password),
        }
    }
}

/// What a database is made from.
pub(super) struct Made<'a> {
    pub(super) account: Option<&'a Account>,
    pub(super) folder: &'a ClusterFolder,
    pub(super) password: &'a str,
}

impl Made<'_> {
    /// Writes a file that holds a secret, for the account to read.
    pub(super) fn secret_file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let path = self.folder.path().join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        if let Some(account) = self.account {
            account.own(&path)?;
        }
        Ok(path)
    }

    pub(super) fn failed(&self, cause: io::Error) -> PrivateError {
        PrivateError::State { folder: self.folder.path().to_owned(), cause }
    }

    /// Runs a program that makes files, and waits for its end.
    pub(super) async fn run(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<(), PrivateError> {
        let mut command = command(program, self.account, self.folder);
        command.args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = tokio::process::Command::from(command).spawn();
        // Given up halfway, what the program has started itself must not go on writing while its folder is deleted.
        let group = Group(child.as_ref().ok().and_then(tokio::process::Child::id));
        let output = match child {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        group.has_ended();
        let told = |message| PrivateError::Program { program: program.to_owned(), message };
        let output = output.map_err(|error| told(refused(&error, self.account)))?;
        if output.status.success() {
            return Ok(());
        }
        let said = if output.stderr.iter().all(u8::is_ascii_whitespace) { &output.stdout } else { &output.stderr };
        Err(told(String::from_utf8_lossy(said).trim().to_owned()))
    }
}

/// The processes of a program that was started as the first of its group; killed when dropped.
struct Group(Option<u32>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended by itself.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

/// What the system said when a program could not be started.
pub(super) fn refused(error: &io::Error, account: Option<&Account>) -> String {
    match account {
        Some(account) => format!("{error} (as the user `{}`, since a database should not run as root)", account.name),
        None => error.to_string(),
    }
}

/// A command that runs as the account, apart from our terminal's Ctrl-C, and untouched by the person's locale.
fn command(program: &Path, account: Option<&Account>, folder: &ClusterFolder) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command.current_dir(folder.path()).env("LC_ALL", "C").env_remove("PGDATA").stdin(Stdio::null()).process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}
