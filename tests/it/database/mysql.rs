//! The database room on a real MariaDB.

use pool_tune::{
    database::{
        Bound, Connection, DatabaseError, Demand, Observer, PrivateOptions, PrivateServer, Schema, Server, StateFolder,
        guard,
    },
    model::{Dialect, Generator, Operation, Parameter, SessionState, Statement, Workload},
};
use sqlx::MySqlConnection;
use tempfile::TempDir;

use super::{PASSWORD, at, folder, port, until};

async fn start(max_connections: u32) -> (PrivateServer, TempDir) {
    let folder = folder();
    let state = StateFolder::at(folder.path());
    let options = PrivateOptions { dialect: Dialect::MySql, max_connections, state, ..PrivateOptions::default() };
    (PrivateServer::start(&options).await.unwrap(), folder)
}

async fn run(server: &Server, statements: &[&str]) {
    let mut connection = server.connect_control().await.unwrap();
    for sql in statements {
        connection.execute_raw(sql).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn connect(server: &Server) -> MySqlConnection {
    match server.connect_control().await.unwrap() {
        Connection::MySql(connection) => connection,
        other => panic!("{other:?} is no connection to MySQL"),
    }
}

async fn number(server: &Server, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut connect(server).await).await.unwrap()
}

fn demand() -> Demand {
    Demand { connections: 2..=30, instances: 1, own: 2, makes_schema: true, load_in_use: false }
}

fn tables() -> Vec<String> {
    vec!["create table item (id bigint primary key)".to_owned(), "insert into item values (1), (2), (3)".to_owned()]
}

#[tokio::test]
async fn a_private_server_answers_restarts_and_leaves_nothing() {
    let (private, folder) = start(20).await;
    let inspection = private.server().inspect().await.unwrap();
    assert!(inspection.version.starts_with("MariaDB 1"), "{}", inspection.version);
    assert_eq!((inspection.dialect, inspection.max_connections, inspection.free), (Dialect::MySql, 20, 20));
    assert!(inspection.other_clients.is_empty() && !inspection.is_replica, "{inspection:?}");
    let flush = ("innodb_flush_log_at_trx_commit".to_owned(), "2".to_owned());
    assert!(inspection.settings.contains(&flush), "{:?}", inspection.settings);

    run(&private.server(), &["create table kept (id int)", "insert into kept values (1)"]).await;
    private.halt().await;
    assert!(private.server().connect().await.is_err());
    private.start_again().await.unwrap();
    assert_eq!(number(&private.server(), "select count(*) from kept").await, 1);
    assert!(private.cpu_time().unwrap().as_nanos() > 0);

    private.stop().await.unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let (private, _folder) = start(10).await;
    let port = port(&private);
    for user in ["root", "pool_tune", "pool_tune_pool", "mariadb.sys", "visitor"] {
        for password in ["", ":", &format!(":{PASSWORD}")] {
            let url = format!("mysql://{user}{password}@127.0.0.1:{port}/");
            let error = at(&url).connect_control().await.unwrap_err();
            assert!(matches!(error, DatabaseError::WrongPassword { .. }), "{url}: {error}");
        }
    }
}

#[tokio::test]
async fn each_way_of_not_getting_in_is_told_apart_without_the_password() {
    let (private, _folder) = start(10).await;
    let port = port(&private);
    let grant = format!("create user 'visitor'@'127.0.0.1' identified by 'p@ss/{PASSWORD}'");
    run(&private.admin(), &[&grant]).await;
    let refusal = async |rest: &str| {
        let url = format!("mysql://visitor:p%40ss%2F{PASSWORD}@127.0.0.1:{rest}");
        let error = at(&url).connect_control().await.expect_err(rest);
        let plain = at(&url).connect().await.expect_err(rest);
        assert!(!format!("{error} {error:?} {plain} {plain:?}").contains(PASSWORD), "{error}");
        error
    };
    at(&format!("mysql://visitor:p%40ss%2F{PASSWORD}@127.0.0.1:{port}/")).connect_control().await.unwrap();
    let error = refusal(&format!("{port}/mysql")).await;
    assert!(matches!(error, DatabaseError::NotAllowed { .. }), "{error}");
    let error = refusal("1/app").await;
    assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
    let error = refusal(&format!("{port}/app?ssl-mode=required")).await;
    assert!(matches!(error, DatabaseError::Tls { .. }) && error.to_string().contains("ssl-mode"), "{error}");
    let error = at(&format!("mysql://me@/app?socket=/no/such/{PASSWORD}")).connect_control().await.unwrap_err();
    assert!(matches!(error, DatabaseError::NoSocket { .. }), "{error}");

    run(&private.admin(), &["grant all on *.* to 'visitor'@'127.0.0.1'"]).await;
    let error = refusal(&format!("{port}/nowhere")).await;
    assert!(matches!(error, DatabaseError::NoSuchDatabase { .. }), "{error}");

    let mut taken = Vec::new();
    let full = loop {
        match private.server().connect().await {
            Ok(connection) => taken.push(connection),
            Err(error) => break error,
        }
    };
    // Connections closed just now may still count.
    assert!(full.is_too_many_connections() && (5..=10).contains(&taken.len()), "{full:?} after {}", taken.len());
}

#[tokio::test]
async fn where_something_else_answers_it_is_told_in_time() {
    // Like PostgreSQL or a web server, it waits for the client's first word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mysql://me@127.0.0.1:{}/app?connect_timeout=1", listener.local_addr().unwrap().port());
    let error = at(&url).connect_control().await.unwrap_err();
    assert!(matches!(error, DatabaseError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn another_client_is_seen_and_guarded_also_without_the_right_to_see_it() {
    let (private, _folder) = start(20).await;
    let server = private.server();
    let grant = format!("create user 'shop'@'127.0.0.1' identified by '{PASSWORD}'");
    run(&private.admin(), &[&grant, "grant all on app.* to 'shop'@'127.0.0.1'"]).await;
    until("our own connections to be gone", async || server.inspect().await.unwrap().in_use == 0).await;
    let allowed = guard(&server.inspect().await.unwrap(), &demand()).unwrap();
    assert_eq!(allowed.connections, 2..=18);

    // As another program would: not by a connection that this process knows as its own.
    let shop = at(&format!("mysql://shop:{PASSWORD}@127.0.0.1:{}/app", port(&private)));
    let other = shop.connect().await.unwrap();
    let inspection = server.inspect().await.unwrap();
    assert_eq!((inspection.in_use, inspection.free), (1, 19), "{inspection:?}");
    assert_eq!(inspection.other_clients[0].user, "shop");
    assert_eq!(inspection.other_clients[0].state.as_deref(), Some("idle"));
    let message = guard(&inspection, &demand()).unwrap_err().to_string();
    assert!(message.contains("shop") && message.contains("--yes-load-this-database"), "{message}");

    run(
        &private.admin(),
        &[
            "revoke process on *.* from 'pool_tune'@'127.0.0.1'",
            "alter user 'pool_tune'@'127.0.0.1' with max_user_connections 7",
        ],
    )
    .await;
    let inspection = server.inspect().await.unwrap();
    assert_eq!((inspection.in_use, inspection.free), (1, 7), "{inspection:?}");
    assert!(matches!(inspection.bound, Bound::Role { limit: 7, in_use: 0, .. }), "{inspection:?}");
    assert!(guard(&inspection, &demand()).unwrap_err().to_string().contains("may not see"));
    let many = Demand { connections: 6..=30, load_in_use: true, ..demand() };
    let message = guard(&inspection, &many).unwrap_err().to_string();
    assert!(message.contains("MAX_USER_CONNECTIONS"), "{message}");
    drop(other);
}

#[tokio::test]
async fn only_what_a_dead_run_left_is_dropped() {
    let (private, _folder) = start(20).await;
    let server = private.server();
    let exists = async |name: &str| {
        let sql = "select count(*) from information_schema.schemata where schema_name = ?";
        let mut connection = connect(&server).await;
        sqlx::query_scalar::<_, i64>(sql).bind(name).fetch_one(&mut connection).await.unwrap() == 1
    };
    run(&server, &["create database pool_tune_of_a_person"]).await;
    let mut used = Schema::create(&server, "used", &tables()).await.unwrap();
    assert_eq!(number(&used.server(), "select count(*) from item").await, 3);
    let dead = Schema::create(&server, "dead", &tables()).await.unwrap();
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), Vec::<String>::new());
    // A run that dies takes its connection with it, as dropping does.
    drop(dead);
    until("the dead run's lock", async || {
        Schema::clean_leftovers(&server).await.unwrap() == ["pool_tune_dead".to_owned()]
    })
    .await;
    assert!(!exists("pool_tune_dead").await && exists("pool_tune_used").await);

    // The lock is taken again after its connection was lost.
    let holder = number(&private.admin(), "select cast(is_used_lock('pool_tune_used') as signed)").await;
    run(&private.admin(), &[&format!("kill connection {holder}")]).await;
    used.keep().await.unwrap();
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), Vec::<String>::new());

    // The same run again: refused while it lives, and a database that a person made is never taken.
    let error = Schema::create(&server, "used", &[]).await.unwrap_err();
    assert!(error.to_string().contains("another session of the same run"), "{error}");
    let error = Schema::create(&server, "of a person", &[]).await.unwrap_err();
    assert!(error.to_string().contains("was not made by the program"), "{error}");
    assert!(exists("pool_tune_of_a_person").await);
    used.remove().await.unwrap();
    assert!(!exists("pool_tune_used").await);

    let mut statements = tables();
    statements.push("insert into item\nselect oops".to_owned());
    let error = Schema::create(&server, "x", &statements).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Prepare { number: 3, count: 3, .. }), "{error}");
    assert!(error.to_string().contains("oops") && error.to_string().contains("mysql: "), "{error}");
    assert!(!exists("pool_tune_x").await);
}

#[tokio::test]
async fn a_user_who_may_make_nothing_is_told_what_to_do() {
    let (private, _folder) = start(10).await;
    run(&private.admin(), &["revoke all on `pool\\_tune\\_%`.* from 'pool_tune'@'127.0.0.1'"]).await;
    let error = Schema::create(&private.server(), "x", &[]).await.unwrap_err();
    assert!(error.to_string().contains("GRANT ALL ON `pool\\_tune\\_%`.*"), "{error}");
}

#[tokio::test]
async fn a_statement_that_the_server_does_not_take_is_shown() {
    let (private, _folder) = start(10).await;
    let workload = |sql: &str| {
        let statement = Statement { source: sql.replace('?', ":id"), sql: sql.to_owned(), arguments: vec![0] };
        let generator = Generator::Real { low: 0.0, high: 1.0 };
        let operation = Operation {
            name: "read".to_owned(),
            weight: 1.0,
            statements: vec![statement],
            transaction: false,
            nested: false,
            parameters: vec![Parameter { name: "id".to_owned(), generator }],
        };
        Workload { prepare: vec![], operations: vec![operation], think_time: None }
    };
    private.server().check(&workload("select ? + 1")).await.unwrap();
    let error = private.server().check(&workload("select generate_series(1, ?)")).await.unwrap_err().to_string();
    assert!(error.contains("operation `read`") && error.contains(":id") && error.contains("mysql: …"), "{error}");
}

#[tokio::test]
async fn only_the_pools_sessions_are_ended() {
    let (private, _folder) = start(20).await;
    let server = private.server();
    let mut own = server.connect_control().await.unwrap();
    let mut pooled = Vec::new();
    for _ in 0..4 {
        pooled.push(server.connect().await.unwrap());
    }
    assert_eq!(private.admin().terminate(0.5).await.unwrap(), 2);
    let mut lost = 0;
    for connection in &mut pooled {
        if let Err(error) = connection.execute_raw("select 1").await {
            assert!(error.connection_lost, "{error:?}");
            lost += 1;
        }
    }
    assert_eq!(lost, 2);
    own.ping().await.unwrap();
}

#[tokio::test]
async fn an_observer_sees_who_holds_a_transaction_and_who_waits_for_it() {
    let (private, _folder) = start(20).await;
    let server = private.server();
    run(&server, &tables().iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut observer = Observer::new(server.clone());
    let calm = observer.look().await.unwrap();
    assert_eq!((calm.limit, calm.connected, calm.oldest_transaction), (20, 0, None), "{calm:?}");

    let mut holder = server.connect_control().await.unwrap();
    holder.execute_raw("begin").await.unwrap();
    holder.execute_raw("update item set id = 11 where id = 1").await.unwrap();
    let mut waiter = server.connect_control().await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { waiter.execute_raw("update item set id = 12 where id = 1").await });
    let began = std::time::Instant::now();
    loop {
        let seen = observer.look().await.unwrap();
        let states = [SessionState::IdleInTransaction, SessionState::Active].map(|state| seen.in_state(state));
        let waited = seen.longest_lock_wait.is_some_and(|wait| wait >= 1.0);
        if states == [1, 1] && seen.waiting_for_locks() == 1 && waited {
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    holder.execute_raw("commit").await.unwrap();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    let after = observer.look().await.unwrap();
    assert_eq!((after.waiting_for_locks(), after.counters.commits > calm.counters.commits), (0, true), "{after:?}");
    observer.close().await;
}
