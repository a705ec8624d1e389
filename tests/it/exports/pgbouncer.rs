//! `PgBouncer` starts with the exported file and tells what it has read of it.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::geteuid;
use sqlx::{Connection as _, Row as _, postgres::PgConnectOptions};

use super::{exported, installed};

/// A running `PgBouncer`; dropped, it is killed.
pub(crate) struct Bouncer(Child);

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Bouncer {
    fn start(folder: &Path, port: u16, export: &str) -> Self {
        // PgBouncer forgets what it has read of a section when another of the same name begins, so that ours goes on.
        let own = format!("{export}admin_users = admin\nignore_startup_parameters = extra_float_digits\n");
        Self::of(folder, port, &own, "x = host=127.0.0.1 port=1")
    }

    /// One with these lines of its section `[pgbouncer]`, in front of these databases.
    pub(crate) fn of(folder: &Path, port: u16, settings: &str, databases: &str) -> Self {
        let program = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join("pgbouncer"))
            .find(|program| program.exists())
            .unwrap_or_else(|| installed(PathBuf::from("/usr/sbin/pgbouncer")));
        let own = format!(
            "{settings}unix_socket_dir = {}\nlisten_port = {port}\nauth_type = any\n[databases]\n{databases}\n",
            folder.display()
        );
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, own).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg(&file).current_dir(folder).stdout(Stdio::null()).stderr(log);
        // PgBouncer refuses to run as root.
        if geteuid().is_root() {
            let nobody = 65534;
            for path in [folder, &file] {
                chown(path, Some(nobody), Some(nobody)).unwrap();
            }
            command.uid(nobody).gid(nobody);
        }
        Self(command.spawn().unwrap())
    }
}

/// What `SHOW CONFIG` tells.
async fn config(folder: &Path, port: u16) -> BTreeMap<String, String> {
    let options =
        PgConnectOptions::new_without_pgpass().socket(folder).port(port).username("admin").database("pgbouncer");
    let began = Instant::now();
    let mut connection = loop {
        match sqlx::PgConnection::connect_with(&options).await {
            Ok(connection) => break connection,
            Err(error) if began.elapsed() > Duration::from_secs(10) => {
                panic!("{error}: {}", fs::read_to_string(folder.join("log")).unwrap())
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    };
    // The console speaks the simple protocol only.
    let rows = sqlx::raw_sql("SHOW CONFIG").fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| (row.get("key"), row.get::<Option<String>, _>("value").unwrap_or_default())).collect()
}

#[tokio::test]
async fn pgbouncer_holds_what_was_exported() {
    for statement in ["SELECT 1", "SELECT 'it''s' ; -- # x", ""] {
        let folder = tempfile::Builder::new().prefix("pool-tune-test-").tempdir().unwrap();
        // The port names the socket only; nothing listens on the network.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let _bouncer = Bouncer::start(folder.path(), port, &exported("pgbouncer", statement));
        let held = config(folder.path(), port).await;
        for (name, value) in [
            ("min_pool_size", "4"),
            ("default_pool_size", "17"),
            ("query_wait_timeout", "12"),
            ("server_lifetime", "2100"),
            ("server_idle_timeout", "240"),
            ("server_check_delay", "45"),
            ("server_check_query", statement),
        ] {
            assert_eq!(held[name], value, "{name}");
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
    }
}
