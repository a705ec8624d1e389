use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::distr::{Alphanumeric, SampleString as _};
use rustix::process::Signal;

use super::{
    PrivateError, Programs, StateFolder, mariadb, postgres,
    process::{self, GRACE},
    programs::{Made, refused},
    state::ClusterFolder,
};
use crate::{
    database::{Server, account::Account},
    model::Dialect,
};

/// How a private server is made.
#[derive(Clone, Debug)]
pub struct PrivateOptions {
    /// PostgreSQL, or MariaDB for MySQL.
    pub dialect: Dialect,
    /// The server's `max_connections`, the three that PostgreSQL keeps for superusers included.
    pub max_connections: u32,
    /// Further settings of the server, such as `("fsync", "on")`; they win over the program's own choice.
    pub settings: Vec<(String, String)>,
    /// Where the cluster lives.
    pub state: StateFolder,
    /// The programs to run; looked for when `None`.
    pub programs: Option<Programs>,
}

impl Default for PrivateOptions {
    fn default() -> Self {
        Self {
            dialect: Dialect::Postgres,
            max_connections: 100,
            settings: Vec::new(),
            state: StateFolder::from_env(),
            programs: None,
        }
    }
}

/// A running PostgreSQL or MariaDB that belongs to this process, and is stopped and removed with it.
///
/// [`PrivateServer::stop`] does so in good order; dropping does the same, but blocks for as long as it takes. When the
/// process is killed, [`StateFolder::clean_leftovers`] of the next one does it.
#[derive(Debug)]
pub struct PrivateServer {
    // The order matters: the server must have ended before its folder is deleted.
    process: Mutex<Process>,
    folder: ClusterFolder,
    programs: Programs,
    account: Option<Account>,
    port: u16,
    /// Processor time of the processes before the last restart.
    spent: Mutex<Duration>,
    server: Server,
    admin: Server,
}

impl PrivateServer {
    /// Makes a database and starts a server on it.
    ///
    /// As root, the server runs as its database's usual user (`postgres`, `mysql`), or `nobody` where there is no such
    /// user.
    ///
    /// # Errors
    /// [`PrivateError`]; nothing stays behind then.
    pub async fn start(options: &PrivateOptions) -> Result<Self, PrivateError> {
        let programs = match &options.programs {
            Some(programs) => programs.clone(),
            None => Programs::find(options.dialect)?,
        };
        let account = programs.account();
        let folder = options.state.claim()?;
        if let Some(account) = &account {
            admit(&folder, account, &programs)?;
        }
        let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
        let made = Made { account: account.as_ref(), folder: &folder, password: &password };
        programs.initialise(&made, options).await?;
        let (process, port) = launch(&programs, account.as_ref(), &folder).await?;
        let (server, admin) = programs.ways(port, &password);
        let private = Self {
            process: Mutex::new(process),
            folder,
            programs,
            account,
            port,
            spent: Mutex::default(),
            server,
            admin,
        };
        match private.programs {
            Programs::Postgres(_) => {
                postgres::make_role(&private.admin, &password).await.map_err(PrivateError::SetUp)?;
            }
            Programs::MariaDb(_) => mariadb::forget_secrets(&private.folder),
        }
        Ok(private)
    }

    /// How the workload reaches it: as an ordinary role that owns the database.
    #[must_use]
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// How the program reaches it as the superuser, also when the workload has taken all ordinary connections.
    #[must_use]
    pub fn admin(&self) -> Server {
        self.admin.clone()
    }

    /// The id of the server's first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process().child.id()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder with the database's files.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.folder.data()
    }

    /// Whether the server is still there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.process().ended()
    }

    /// Stops all of the server's processes where they are (SIGSTOP), until [`Self::resume`].
    pub fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets the server's processes go on.
    pub fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    /// A server that has ended has no processes, and its first one's id may be another program's by now.
    fn signal_all(&self, signal: Signal) {
        let mut process = self.process();
        if !process.ended() {
            process::signal_all(process.child.id(), signal);
        }
    }

    /// Shuts the server down, ending its sessions (what PostgreSQL calls a fast shutdown), until [`Self::start_again`].
    pub async fn halt(&self) {
        // Its processor time goes on from here when it is started again.
        if let Ok(time) = self.cpu_time() {
            *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = time;
        }
        // One that stands still could not hear it.
        self.resume();
        let shut_down = match self.programs {
            Programs::Postgres(_) => Signal::INT,
            Programs::MariaDb(_) => Signal::TERM,
        };
        process::signal(self.pid(), shut_down);
        let deadline = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.process().kill();
    }

    /// Starts the server again where it was: on the same port, with the same data.
    ///
    /// # Errors
    /// [`PrivateError`] when it does not come up.
    pub async fn start_again(&self) -> Result<(), PrivateError> {
        if self.is_running() {
            return Ok(());
        }
        // One that was killed has left its file, which says that it is ready.
        drop(fs::remove_file(self.folder.data().join("postmaster.pid")));
        let mut process = spawn(&self.programs, self.account.as_ref(), &self.folder, self.port, false)?;
        ready(&mut process, &self.programs, &self.folder).await?;
        *self.process() = process;
        Ok(())
    }

    /// Processor time that the server has used so far, all its processes together, those that have ended included.
    ///
    /// # Errors
    /// When the server is gone, or the machine does not tell.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        Ok(*self.spent.lock().unwrap_or_else(PoisonError::into_inner) + process::cpu_time(self.pid())?)
    }

    /// Stops the server at once and deletes its files.
    ///
    /// # Errors
    /// [`PrivateError::Remove`] when files stay behind.
    pub async fn stop(self) -> Result<(), PrivateError> {
        self.process.into_inner().unwrap_or_else(PoisonError::into_inner).end().await;
        let work = tokio::task::spawn_blocking(move || self.folder.remove());
        work.await.unwrap_or(Ok(()))
    }
}

/// The server's first process; ended when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    /// What asks it to end at once: its data is thrown away, so that there is nothing to write down first.
    end: Signal,
}

impl Process {
    fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    async fn end(&mut self) {
        if self.ended() {
            return;
        }
        process::ask_to_end(self.child.id(), self.end);
        let deadline = Instant::now() + GRACE;
        while !self.ended() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
    }

    /// Kills what has not ended by now.
    fn kill(&mut self) {
        if !self.ended() {
            process::kill(self.child.id());
            drop(self.child.wait());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended() {
            return;
        }
        process::ask_to_end(self.child.id(), self.end);
        let deadline = Instant::now() + GRACE;
        while !self.ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

/// Gives the cluster's folder to the account, and makes sure that it can get there.
fn admit(folder: &ClusterFolder, account: &Account, programs: &Programs) -> Result<(), PrivateError> {
    use std::os::unix::fs::MetadataExt as _;
    let failed = |cause| PrivateError::State { folder: folder.path().to_owned(), cause };
    account.own(folder.path()).map_err(failed)?;
    for above in folder.path().ancestors().skip(1) {
        let metadata = fs::metadata(above).map_err(failed)?;
        let needed = match (metadata.uid() == account.uid, metadata.gid() == account.gid) {
            (true, _) => 0o100,
            (_, true) => 0o010,
            _ => 0o001,
        };
        if metadata.mode() & needed == 0 {
            let (account, barred) = (account.name.clone(), above.to_owned());
            let (folder, database) = (folder.path().to_owned(), programs.name());
            return Err(PrivateError::Barred { folder, database, account, barred });
        }
    }
    Ok(())
}

/// Starts the server on a free port, and gives the port.
async fn launch(
    programs: &Programs,
    account: Option<&Account>,
    folder: &ClusterFolder,
) -> Result<(Process, u16), PrivateError> {
    const TRIES: u32 = 10;
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port().map_err(|error| PrivateError::Start {
            database: programs.name(),
            message: format!("no free port: {error}"),
        })?;
        let mut process = spawn(programs, account, folder, port, true)?;
        match ready(&mut process, programs, folder).await {
            Ok(()) => return Ok((process, port)),
            // Another program was faster to take the port.
            Err(PrivateError::Start { message, .. }) if Programs::lost_its_port(&message) && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Starts the server's first process.
fn spawn(
    programs: &Programs,
    account: Option<&Account>,
    folder: &ClusterFolder,
    port: u16,
    first: bool,
) -> Result<Process, PrivateError> {
    let failed = |cause| PrivateError::State { folder: folder.path().to_owned(), cause };
    let log = File::create(folder.log()).map_err(failed)?;
    let child = programs
        .command(account, folder, port, first)
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(|error| PrivateError::Program { program: programs.server(), message: refused(&error, account) })?;
    let end = match programs {
        Programs::Postgres(_) => Signal::QUIT,
        Programs::MariaDb(_) => Signal::KILL,
    };
    Ok(Process { child, end })
}

/// A port that is free now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until the server is ready.
async fn ready(process: &mut Process, programs: &Programs, folder: &ClusterFolder) -> Result<(), PrivateError> {
    const LONGEST: Duration = Duration::from_secs(60);
    let deadline = Instant::now() + LONGEST;
    let failed = |message| PrivateError::Start { database: programs.name(), message };
    loop {
        if programs.is_ready(folder) {
            return Ok(());
        }
        if process.ended() {
            return Err(failed(format!("it ended: {}", last_lines(&folder.log()))));
        }
        if Instant::now() > deadline {
            let waited = LONGEST.as_secs();
            return Err(failed(format!("it was not ready after {waited} s: {}", last_lines(&folder.log()))));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The end of the server's log.
fn last_lines(log: &Path) -> String {
    const LINES: usize = 6;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let name = log.file_name().unwrap_or(OsStr::new("log")).to_string_lossy();
    if lines.is_empty() {
        return format!("{name} is empty");
    }
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
