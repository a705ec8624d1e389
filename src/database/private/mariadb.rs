//! How a private MariaDB is made and run.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::{ClusterFolder, PrivateError, PrivateOptions, programs::Made};
use crate::database::{Server, mysql::Way as MySqlWay, server::Way};

/// Where the programs are when PATH does not lead there: Debian's folder for servers is in few users' PATH.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"];

/// The program that makes a database, and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    install: PathBuf,
    server: PathBuf,
}

/// Settings that make trials alike, and why.
///
/// * `innodb_flush_log_at_trx_commit`, `innodb_doublewrite`: a trial is to measure the pool and the database, not this
///   machine's disk; a commit keeps its place in the log, but does not wait for the disk. The data is thrown away anyway.
/// * `skip_name_resolve`: no look-up of names when a connection is opened.
/// * `log_warnings`: connections that are cut off must not fill the disk with messages.
/// * `max_connect_errors`: a server of our own is never to lock us out for the faults that we make.
const SETTINGS: [&str; 7] = [
    "bind-address=127.0.0.1",
    "skip-name-resolve",
    "innodb-buffer-pool-size=128M",
    "innodb-flush-log-at-trx-commit=2",
    "innodb-doublewrite=0",
    "log-warnings=0",
    "max-connect-errors=4294967295",
];

/// The user that the program's own work is done as. It is no superuser, so that the server refuses it where it would refuse
/// an application.
const USER: &str = "pool_tune";
/// The pool's connections have a user of their own, so that a fault can end them and nothing else.
const POOL_USER: &str = "pool_tune_pool";
const SUPERUSER: &str = "root";
const DATABASE: &str = "app";
/// What the first start runs before it lets anybody in.
const INIT_FILE: &str = "init.sql";
/// What every start is told beside.
const OPTIONS_FILE: &str = "options";

impl Binaries {
    /// Looks in `MARIADB_BIN`, then in `PATH` and where Debian keeps servers.
    pub(super) fn find() -> Result<Self, PrivateError> {
        if let Some(folder) = env::var_os("MARIADB_BIN").filter(|folder| !folder.is_empty()) {
            return Self::in_folders(&[PathBuf::from(&folder)])
                .ok_or_else(|| PrivateError::NoMariaDbBinaries { folder: PathBuf::from(folder) });
        }
        Self::find_in(env::var_os("PATH").as_deref())
    }

    fn find_in(path: Option<&OsStr>) -> Result<Self, PrivateError> {
        let folders: Vec<_> = path.into_iter().flat_map(env::split_paths).chain(FOLDERS.map(PathBuf::from)).collect();
        Self::in_folders(&folders).ok_or(PrivateError::NoMariaDb)
    }

    fn in_folders(folders: &[PathBuf]) -> Option<Self> {
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        Some(Self { install: find("mariadb-install-db")?, server: find("mariadbd")? })
    }

    pub(super) fn server(&self) -> &Path {
        &self.server
    }
}

/// Makes the database's files, and what the first start has to do.
pub(super) async fn initialise(
    binaries: &Binaries,
    made: &Made<'_>,
    options: &PrivateOptions,
) -> Result<(), PrivateError> {
    let arguments = [
        "--no-defaults".to_owned(),
        format!("--datadir={}", made.folder.data().display()),
        temporary(made.folder),
        "--auth-root-authentication-method=normal".to_owned(),
        "--skip-test-db".to_owned(),
        "--skip-name-resolve".to_owned(),
    ];
    made.run(&binaries.install, arguments).await?;
    let password = made.password;
    // One statement a line. Nobody can connect before this has been run.
    let users = format!(
        "delete from mysql.global_priv where user <> 'mariadb.sys';
flush privileges;
create user '{SUPERUSER}'@'127.0.0.1' identified by '{password}';
grant all on *.* to '{SUPERUSER}'@'127.0.0.1' with grant option;
create user '{USER}'@'127.0.0.1' identified by '{password}';
create user '{POOL_USER}'@'127.0.0.1' identified by '{password}';
create database {DATABASE};
grant process on *.* to '{USER}'@'127.0.0.1';
grant all on {DATABASE}.* to '{USER}'@'127.0.0.1';
grant all on {DATABASE}.* to '{POOL_USER}'@'127.0.0.1';
grant all on `pool\\_tune\\_%`.* to '{USER}'@'127.0.0.1';
grant all on `pool\\_tune\\_%`.* to '{POOL_USER}'@'127.0.0.1';
"
    );
    made.secret_file(INIT_FILE, &users).map_err(|cause| made.failed(cause))?;
    let own = format!("[mariadbd]\n{}\nmax_connections={}", SETTINGS.join("\n"), options.max_connections);
    let given = options.settings.iter().map(|(name, value)| format!("{name}={value}"));
    let text = std::iter::once(own).chain(given).collect::<Vec<_>>().join("\n");
    made.secret_file(OPTIONS_FILE, &text).map_err(|cause| made.failed(cause))?;
    Ok(())
}

/// Temporary tables in the server's own folder: a server that starts removes what it takes for left over, another's in use too.
fn temporary(folder: &ClusterFolder) -> String {
    format!("--tmpdir={}", folder.path().display())
}

pub(super) fn arguments(command: &mut Command, folder: &ClusterFolder, port: u16, first: bool) {
    let path = |name: &str| folder.path().join(name).display().to_string();
    command.arg(format!("--defaults-file={}", path(OPTIONS_FILE)));
    command.arg(format!("--datadir={}", folder.data().display())).arg(format!("--port={port}"));
    command.arg(temporary(folder));
    // Relative to the data: a socket's path may not be long.
    command.arg("--socket=socket").arg(format!("--pid-file={}", path("pid")));
    if first {
        command.arg(format!("--init-file={}", path(INIT_FILE)));
    }
}

pub(super) fn is_ready(folder: &ClusterFolder) -> bool {
    let log = fs::read(folder.log()).unwrap_or_default();
    String::from_utf8_lossy(&log).contains("ready for connections")
}

/// Removes what only the first start needs, since it holds the password.
pub(super) fn forget_secrets(folder: &ClusterFolder) {
    drop(fs::remove_file(folder.path().join(INIT_FILE)));
}

/// How the workload reaches it, and how the program does as the superuser.
pub(super) fn ways(port: u16, password: &str) -> (Server, Server) {
    let login = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(port)
        .password(password)
        .database(DATABASE)
        .ssl_mode(MySqlSslMode::Disabled);
    let server = |user: &str| {
        let shown = format!("a private MariaDB (mysql://{user}@127.0.0.1:{port}/{DATABASE})");
        let way = MySqlWay::new(login.clone().username(user)).pooled_as(POOL_USER);
        Server::of_our_own(Way::MySql(way), shown)
    };
    (server(USER), server(SUPERUSER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_are_needed_and_may_lie_apart() {
        let root = tempfile::tempdir().unwrap();
        let folders = [root.path().join("bin"), root.path().join("sbin")];
        for (folder, name) in folders.iter().zip(["mariadb-install-db", "mariadbd"]) {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(name), "").unwrap();
        }
        assert!(Binaries::in_folders(&folders).is_some());
        assert_eq!(Binaries::in_folders(&folders[..1]), None);
    }
}
