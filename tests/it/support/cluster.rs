//! A throw-away PostgreSQL server, made from the machine's binaries and removed with the process that made it.

use std::{
    fs,
    io::{Read, Seek, Write},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use pool_tune::database::Server;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use secrecy::SecretString;

/// A running server. Dropped, it is stopped and its files are removed; so it is when this process ends in any way.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    /// A shell that runs the server for as long as its standard input is open.
    keeper: Child,
    _folder: tempfile::TempDir,
}

/// Runs the server, and ends it when the pipe from the test process closes.
const KEEPER: &str = r#"
"$0" -D "$1" & server=$!
read -r _
kill -QUIT $server; kill -CONT $server; wait $server
cd / && rm -rf "${1%/data}"
"#;

const CONFIGURATION: &str = "
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
shared_buffers = 128MB
max_connections = 100
";

impl Cluster {
    /// The server that tests share which do it no harm.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(""))
    }

    /// Starts a server with some lines of configuration of its own.
    pub(crate) fn start(configuration: &str) -> Self {
        let temporary = tempfile::Builder::new().prefix("pool-tune-test-").tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let owner = owner();
        if let Some((user, group)) = owner {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let data = folder.join("data");
        let made = as_owner(Command::new(binary("initdb")), owner)
            .args(["-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8", "-D"])
            .arg(&data)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Between asking for a free port and using it, another process may take it: then another one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let own = format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n{CONFIGURATION}{configuration}\n",
                folder.display()
            );
            let mut file = fs::OpenOptions::new().write(true).open(data.join("postgresql.conf")).unwrap();
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(own.as_bytes()).unwrap();
            let log = fs::File::create(folder.join("log")).unwrap();
            let mut keeper = as_owner(Command::new("sh"), owner)
                .args(["-c", KEEPER])
                .arg(binary("postgres"))
                .arg(&data)
                .current_dir(&folder)
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            if ready(&data) {
                return Self { folder, port, keeper, _folder: temporary };
            }
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
        panic!("PostgreSQL did not start: {}", fs::read_to_string(folder.join("log")).unwrap());
    }

    /// The server as the program reaches it, over TCP.
    pub(crate) fn server(&self) -> Server {
        self.server_with("postgres", "")
    }

    /// The same for another role, with more parameters (`&name=value`).
    pub(crate) fn server_with(&self, role: &str, parameters: &str) -> Server {
        let port = self.port;
        server(&format!("postgres://{role}@127.0.0.1:{port}/postgres?sslmode=disable{parameters}"))
    }

    /// The server as the program reaches it, over its socket.
    pub(crate) fn server_by_socket(&self) -> Server {
        server(&format!("postgres://postgres@localhost/postgres?host={}&port={}", self.folder.display(), self.port))
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's URL of a database on it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of the server's socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops the server's processes where they are (SIGSTOP), until the guard is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        let postmaster = self.postmaster();
        let mut pids = vec![postmaster];
        send(postmaster, Signal::STOP);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        pids.extend(children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()));
        for pid in &pids {
            send(*pid, Signal::STOP);
        }
        Frozen(pids)
    }

    fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Processes that are stopped; dropped, they go on.
#[derive(Debug)]
pub(crate) struct Frozen(Vec<i32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            send(*pid, Signal::CONT);
        }
    }
}

fn send(pid: i32, signal: Signal) {
    // The process may have ended meanwhile.
    kill_process(Pid::from_raw(pid).unwrap(), signal).ok();
}

/// A server by its URL.
pub(crate) fn server(url: &str) -> Server {
    Server::from_url(&SecretString::from(url)).unwrap()
}

/// Whether the server has come up; false when it has ended instead.
fn ready(data: &Path) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let mut status = String::new();
        if let Ok(mut file) = fs::File::open(data.join("postmaster.pid")) {
            file.read_to_string(&mut status).unwrap();
        } else if begun.elapsed() > Duration::from_secs(5) {
            return false;
        }
        if status.lines().last().is_some_and(|line| line.trim() == "ready") {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A program of PostgreSQL: from the PATH, or where Debian keeps them.
pub(crate) fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let debian = || {
        let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().collect();
        versions.sort_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
        versions.iter().rev().map(|version| version.path().join("bin").join(name)).find(|file| file.is_file())
    };
    on_path.or_else(debian).unwrap_or_else(|| panic!("{name} is needed: install PostgreSQL"))
}

/// The user and group to run the server as, when this process runs as root: PostgreSQL refuses root.
fn owner() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres is needed");
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().unwrap(), fields.next()?.parse().unwrap()))
}

fn as_owner(mut command: Command, owner: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}
