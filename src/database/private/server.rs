use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::distr::{Alphanumeric, SampleString as _};
use rustix::process::Signal;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{
    Binaries, PrivateError, StateFolder,
    process::{self, GRACE},
    state::ClusterFolder,
};
use crate::database::{DatabaseError, Server, account::Account};

/// How a private server is made.
#[derive(Clone, Debug)]
pub struct PrivateOptions {
    /// The server's `max_connections`, the three kept for superusers included.
    pub max_connections: u32,
    /// Further settings of the server, such as `("fsync", "on")`; they win over the program's own choice.
    pub settings: Vec<(String, String)>,
    /// Where the cluster lives.
    pub state: StateFolder,
    /// The programs to run; looked for when `None`.
    pub binaries: Option<Binaries>,
}

impl Default for PrivateOptions {
    fn default() -> Self {
        Self { max_connections: 100, settings: Vec::new(), state: StateFolder::from_env(), binaries: None }
    }
}

/// A running PostgreSQL that belongs to this process, and is stopped and removed with it.
///
/// [`PrivateServer::stop`] does so in good order; dropping does the same, but blocks for as long as it takes. When the
/// process is killed, [`StateFolder::clean_leftovers`] of the next one does it.
#[derive(Debug)]
pub struct PrivateServer {
    // The order matters: the server must have ended before its folder is deleted.
    postgres: Mutex<Postgres>,
    folder: ClusterFolder,
    binaries: Binaries,
    account: Option<Account>,
    port: u16,
    /// Processor time of the processes before the last restart.
    spent: Mutex<Duration>,
    server: Server,
    admin: Server,
}

/// Settings that make trials alike, and why.
///
/// * `fsync`, `full_page_writes`: a trial is to measure the pool and the database, not this machine's disk, which is
///   not that of production; a commit keeps its place in the log, but does not wait for the disk. Nothing is lost: the
///   data is thrown away anyway.
/// * `checkpoint_timeout`, `max_wal_size`: no checkpoint in the middle of a trial.
/// * `log_min_messages`, `log_min_error_statement`, `log_checkpoints`: trials with failing statements must not fill the
///   disk with messages; what stops a start is still told.
/// * `unix_socket_directories`: loopback only, as the applications that are compared connect; measured, a socket is no
///   faster beyond the noise.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '128MB'
fsync = off
full_page_writes = off
checkpoint_timeout = '1d'
max_wal_size = '2GB'
log_min_messages = log
log_min_error_statement = panic
log_checkpoints = off
";

/// The role that the workload runs as. It is no superuser, so that the server refuses it where it would refuse an
/// application, and the program can still get in by the connections that are kept for superusers.
const ROLE: &str = "pool_tune";
const SUPERUSER: &str = "postgres";
const DATABASE: &str = "postgres";

impl PrivateServer {
    /// Makes a cluster and starts a server on it.
    ///
    /// As root, PostgreSQL runs as the user `postgres`, or `nobody` where there is no such user.
    ///
    /// # Errors
    /// [`PrivateError`]; nothing stays behind then.
    pub async fn start(options: &PrivateOptions) -> Result<Self, PrivateError> {
        let binaries = match &options.binaries {
            Some(binaries) => binaries.clone(),
            None => Binaries::find()?,
        };
        let account = Account::needed();
        let folder = options.state.claim()?;
        if let Some(account) = &account {
            admit(&folder, account)?;
        }
        let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
        initialise(&binaries, account.as_ref(), &folder, &password).await?;
        configure(&folder, options)?;
        let (postgres, port) = launch(&binaries, account.as_ref(), &folder).await?;

        let login = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .password(&password)
            .database(DATABASE)
            .ssl_mode(PgSslMode::Disable);
        let shown = |role: &str| format!("a private PostgreSQL (postgres://{role}@127.0.0.1:{port}/{DATABASE})");
        let admin = Server::from_options(login.clone().username(SUPERUSER), shown(SUPERUSER));
        let server = Server::from_options(login.username(ROLE), shown(ROLE));
        let private = Self {
            postgres: Mutex::new(postgres),
            folder,
            binaries,
            account,
            port,
            spent: Mutex::default(),
            server,
            admin,
        };
        private.make_role(&password).await.map_err(PrivateError::SetUp)?;
        Ok(private)
    }

    async fn make_role(&self, password: &str) -> Result<(), DatabaseError> {
        let mut connection = self.admin.control().await?;
        let sql = format!(
            "create role {ROLE} login password '{password}' in role pg_monitor, pg_signal_backend;
             alter database {DATABASE} owner to {ROLE}"
        );
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await
            .map_err(|error| DatabaseError::statement(&self.admin, "make the role", &error))?;
        // Nothing depends on the goodbye.
        drop(connection.close().await);
        Ok(())
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
        self.postgres().0.id()
    }

    fn postgres(&self) -> MutexGuard<'_, Postgres> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that PostgreSQL calls its data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.folder.data()
    }

    /// Whether the server is still there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.postgres().ended()
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
        let mut postgres = self.postgres();
        if !postgres.ended() {
            process::signal_all(postgres.0.id(), signal);
        }
    }

    /// Shuts the server down, ending its sessions ("fast shutdown"), until [`Self::start_again`].
    pub async fn halt(&self) {
        // Its processor time goes on from here when it is started again.
        if let Ok(time) = self.cpu_time() {
            *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = time;
        }
        // One that stands still could not hear it.
        self.resume();
        process::signal(self.pid(), Signal::INT);
        let deadline = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.postgres().kill();
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
        let mut postgres = spawn(&self.binaries, self.account.as_ref(), &self.folder, self.port)?;
        ready(&mut postgres, &self.folder).await?;
        *self.postgres() = postgres;
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
        self.postgres.into_inner().unwrap_or_else(PoisonError::into_inner).end().await;
        let work = tokio::task::spawn_blocking(move || self.folder.remove());
        work.await.unwrap_or(Ok(()))
    }
}

/// The server's first process; ended when dropped.
#[derive(Debug)]
struct Postgres(Child);

impl Postgres {
    fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    async fn end(&mut self) {
        if self.ended() {
            return;
        }
        process::ask_to_end(self.0.id());
        let deadline = Instant::now() + GRACE;
        while !self.ended() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
    }

    /// Kills what has not ended by now.
    fn kill(&mut self) {
        if !self.ended() {
            process::kill(self.0.id());
            drop(self.0.wait());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.ended() {
            return;
        }
        process::ask_to_end(self.0.id());
        let deadline = Instant::now() + GRACE;
        while !self.ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

/// Gives the cluster's folder to the account, and makes sure that it can get there.
fn admit(folder: &ClusterFolder, account: &Account) -> Result<(), PrivateError> {
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
            return Err(PrivateError::Barred { folder: folder.path().to_owned(), account, barred });
        }
    }
    Ok(())
}

/// A command that runs as the account, apart from our terminal's Ctrl-C, and untouched by the person's locale.
fn command(program: &Path, account: Option<&Account>, folder: &ClusterFolder) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder.path()).env("LC_ALL", "C").env_remove("PGDATA").stdin(Stdio::null()).process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the cluster's files.
async fn initialise(
    binaries: &Binaries,
    account: Option<&Account>,
    folder: &ClusterFolder,
    password: &str,
) -> Result<(), PrivateError> {
    let failed = |cause| PrivateError::State { folder: folder.path().to_owned(), cause };
    let password_file = folder.path().join("password");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&password_file).map_err(failed)?;
    file.write_all(password.as_bytes()).map_err(failed)?;
    if let Some(account) = account {
        account.own(&password_file).map_err(failed)?;
    }
    let mut command = command(&binaries.initdb(), account, folder);
    command.arg("-D").arg(folder.data()).arg("--pwfile").arg(&password_file).args([
        "--username",
        SUPERUSER,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    let run = tokio::process::Command::from(command).kill_on_drop(true).output();
    let program = || binaries.initdb();
    let output =
        run.await.map_err(|error| PrivateError::Program { program: program(), message: refused(&error, account) })?;
    fs::remove_file(&password_file).map_err(failed)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PrivateError::Program { program: program(), message });
    }
    Ok(())
}

/// What the system said when a program could not be started.
fn refused(error: &io::Error, account: Option<&Account>) -> String {
    match account {
        Some(account) => format!("{error} (as the user `{}`, since PostgreSQL refuses to run as root)", account.name),
        None => error.to_string(),
    }
}

/// Writes the server's settings.
fn configure(folder: &ClusterFolder, options: &PrivateOptions) -> Result<(), PrivateError> {
    let own = format!("{SETTINGS}max_connections = {}\n", options.max_connections);
    let given = options.settings.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")));
    let text: String = std::iter::once(own).chain(given).collect();
    OpenOptions::new()
        .append(true)
        .open(folder.data().join("postgresql.conf"))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| PrivateError::State { folder: folder.path().to_owned(), cause })
}

/// Starts the server on a free port, and gives the port.
async fn launch(
    binaries: &Binaries,
    account: Option<&Account>,
    folder: &ClusterFolder,
) -> Result<(Postgres, u16), PrivateError> {
    const TRIES: u32 = 10;
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port().map_err(|error| PrivateError::Start { message: format!("no free port: {error}") })?;
        let mut postgres = spawn(binaries, account, folder, port)?;
        match ready(&mut postgres, folder).await {
            Ok(()) => return Ok((postgres, port)),
            // Another program was faster to take the port.
            Err(PrivateError::Start { message }) if message.contains("could not bind") && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Starts the server's first process.
fn spawn(
    binaries: &Binaries,
    account: Option<&Account>,
    folder: &ClusterFolder,
    port: u16,
) -> Result<Postgres, PrivateError> {
    let failed = |cause| PrivateError::State { folder: folder.path().to_owned(), cause };
    let log = File::create(folder.log()).map_err(failed)?;
    let child = command(&binaries.postgres(), account, folder)
        .arg("-D")
        .arg(folder.data())
        .arg("-p")
        .arg(port.to_string())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(|error| PrivateError::Program { program: binaries.postgres(), message: refused(&error, account) })?;
    Ok(Postgres(child))
}

/// A port that is free now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until the server says in its own file that it is ready: a connection to the port could reach another server.
async fn ready(postgres: &mut Postgres, folder: &ClusterFolder) -> Result<(), PrivateError> {
    const LONGEST: Duration = Duration::from_secs(60);
    const STATUS_LINE: usize = 7;
    let deadline = Instant::now() + LONGEST;
    let file = folder.data().join("postmaster.pid");
    loop {
        let status = fs::read_to_string(&file).unwrap_or_default();
        if status.lines().nth(STATUS_LINE).is_some_and(|line| line.trim() == "ready") {
            return Ok(());
        }
        if postgres.ended() {
            return Err(PrivateError::Start { message: format!("it ended: {}", last_lines(&folder.log())) });
        }
        if Instant::now() > deadline {
            let message = format!("it was not ready after {} s: {}", LONGEST.as_secs(), last_lines(&folder.log()));
            return Err(PrivateError::Start { message });
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
