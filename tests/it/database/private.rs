use std::{
    env,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
};

use pool_tune::{
    database::{DatabaseError, PrivateError, PrivateOptions, PrivateServer, StateFolder},
    model::Dialect,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{PASSWORD, at, connect, folder, folder_with, port, run, start, until};

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_private_server_answers_counts_its_time_and_leaves_nothing() {
    let (private, folder) = start(12).await;
    assert!(private.is_running());
    let owner = std::fs::metadata(format!("/proc/{}", private.pid())).unwrap().uid();
    assert_ne!(owner, 0, "PostgreSQL must not run as root");
    assert_eq!(std::fs::metadata(private.data_directory()).unwrap().mode() & 0o077, 0);

    let inspection = private.server().inspect().await.unwrap();
    assert!(inspection.version.starts_with("PostgreSQL 1"), "{}", inspection.version);
    assert_eq!((inspection.max_connections, inspection.reserved, inspection.free), (12, 3, 9));
    assert!(inspection.other_clients.is_empty() && inspection.may_create_schema && !inspection.is_replica);
    assert!(inspection.settings.contains(&("fsync".to_owned(), "off".to_owned())), "{:?}", inspection.settings);

    // Work counts while its process lives and after it has ended.
    let before = private.cpu_time().unwrap();
    let mut connection = connect(&private.server()).await;
    run(&mut connection, "select sum(n) from generate_series(1, 1000000) n").await;
    let alive = private.cpu_time().unwrap();
    assert!(alive > before, "{alive:?} after {before:?}");
    drop(connection);
    until("the backend to end", async || private.server().inspect().await.unwrap().in_use == 0).await;
    assert!(private.cpu_time().unwrap() >= alive);

    let pid = private.pid();
    private.stop().await.unwrap();
    assert!(!is_alive(pid));
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn a_dropped_server_is_gone_even_with_clients_connected() {
    let (private, folder) = start(10).await;
    let _client = connect(&private.server()).await;
    let pid = private.pid();
    drop(private);
    assert!(!is_alive(pid));
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn a_server_that_hangs_is_told_in_time_and_can_still_be_stopped() {
    let (private, folder) = start(10).await;
    let pid = Pid::from_raw(private.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let url = format!("postgres://pool_tune:{PASSWORD}@127.0.0.1:{}/postgres?connect_timeout=1", port(&private));
    let error = at(&url).connect_control().await.unwrap_err();
    assert!(matches!(error, DatabaseError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("no answer within 1 s") && !error.to_string().contains(PASSWORD), "{error}");
    private.stop().await.unwrap();
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn the_program_gets_in_when_the_workload_has_taken_all_connections() {
    let (private, _folder) = start(5).await;
    let mut taken = Vec::new();
    let refusal = loop {
        match private.server().connect_control().await {
            Ok(connection) => taken.push(connection),
            Err(error) => break error,
        }
    };
    assert_eq!(taken.len(), 2);
    assert!(matches!(refusal, DatabaseError::TooManyConnections { .. }), "{refusal}");
    connect(&private.admin()).await;
}

#[tokio::test]
async fn a_setting_that_the_server_refuses_is_told_with_its_words() {
    let folder = folder();
    let settings = vec![("shared_buffers".to_owned(), "plenty".to_owned())];
    let state = StateFolder::at(folder.path());
    let error =
        PrivateServer::start(&PrivateOptions { settings, state, ..PrivateOptions::default() }).await.unwrap_err();
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn a_folder_that_the_servers_user_may_not_enter_is_told_before_anything_is_made() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder_with(0o700);
    let state = StateFolder::at(folder.path());
    let error = PrivateServer::start(&PrivateOptions { state, ..PrivateOptions::default() }).await.unwrap_err();
    assert!(matches!(error, PrivateError::Barred { .. }), "{error}");
    assert!(error.to_string().contains("POOL_TUNE_STATE"), "{error}");
    assert!(is_empty(folder.path()));
}

/// Tells the test below that it runs in a process of its own.
const IN_CHILD: &str = "POOL_TUNE_TEST_OWNER";

/// Not a test but the body of the processes that the tests below start: an owner that says how its start went, and
/// then waits to be killed.
#[tokio::test]
async fn owner() {
    if env::var_os(IN_CHILD).is_none() {
        return;
    }
    let dialect = env::var(IN_CHILD).ok().and_then(|key| Dialect::of_key(&key)).unwrap();
    match PrivateServer::start(&PrivateOptions { dialect, ..PrivateOptions::default() }).await {
        Err(error) => println!("\nfailed to {error}"),
        Ok(private) => {
            println!("\nstarted {}", private.pid());
            std::future::pending::<()>().await;
        }
    }
}

/// The command for [`owner`] in a process of its own.
fn owner_process(state: &Path, dialect: Dialect) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "database::private::owner", "--nocapture"])
        .env(IN_CHILD, dialect.key())
        .env("POOL_TUNE_STATE", state)
        .stdout(Stdio::piped());
    command
}

#[tokio::test]
async fn what_a_killed_owner_left_is_removed_and_nothing_before() {
    for dialect in [Dialect::Postgres, Dialect::MySql] {
        a_killed_owners_leftovers(dialect).await;
    }
}

async fn a_killed_owners_leftovers(dialect: Dialect) {
    let folder = folder();
    let state = StateFolder::at(folder.path());
    let mut owner = owner_process(folder.path(), dialect).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid: u32 = lines.find_map(|line| line.unwrap().strip_prefix("started ")?.parse().ok()).unwrap();

    assert_eq!(state.clean_leftovers().await.unwrap(), []);
    assert!(is_alive(pid));

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(is_alive(pid), "the server outlives its owner");
    let removed = state.clean_leftovers().await.unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].stopped, Some(pid));
    assert!(!is_alive(pid));
    assert!(is_empty(folder.path()));
    assert_eq!(state.clean_leftovers().await.unwrap(), []);
}

#[test]
fn without_its_programs_the_remedy_is_told() {
    let folder = folder();
    for (dialect, variable, name) in
        [(Dialect::Postgres, "PG_BIN", "PostgreSQL"), (Dialect::MySql, "MARIADB_BIN", "MariaDB")]
    {
        let mut owner = owner_process(folder.path(), dialect);
        let output = owner.env(variable, folder.path()).env("PATH", "").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("failed to find {name}")) && text.contains(variable), "{text}");
        assert!(is_empty(folder.path()));
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_has_no_leftovers() {
    let folder = folder();
    assert_eq!(StateFolder::at(folder.path().join("none")).clean_leftovers().await.unwrap(), []);
}
