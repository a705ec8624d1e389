//! Profiles from the statements that a server has counted.

use std::fs;

use pool_tune::{
    database::{Connection, Server},
    profile,
};
use sqlx::Executor as _;

use super::{pool_tune, stderr, stdout};
use crate::support::cluster::Cluster;

/// What an application does: it makes its tables, and then reads and writes.
const TABLES: &str = "
create extension pg_stat_statements;
create type state as enum ('new', 'sold');
create table item (id int primary key, name varchar(40), price numeric(8, 2), state state, made timestamptz, tags text[]);
insert into item select n, 'item ' || n, n / 10.0, case when n % 2 = 0 then 'new' else 'sold' end::state,
                        timestamptz '2026-01-01 00:00+00' + n * interval '1 hour', array['a', 'b']
from generate_series(1, 5000) n;
analyze item;
create function harmful(int) returns int language sql as 'select $1';
create role watcher login;
grant select on item to watcher;
select pg_stat_statements_reset();
";

const LOAD: [&str; 14] = [
    "select name, price from item where id = 17",
    "/* shop */ select count(*)\n\tfrom item\n where price > 10.5 and state = 'new'",
    "select * from item where name = 'item 5' limit 3",
    "select id from item where made > now() - interval '2 days' and made < timestamptz '2026-03-01 00:00+00'",
    "select id from item where id = any (array[1, 2, 3]) or tags @> '{a}'",
    "select i.name from item i join item j on i.id = j.id where j.id between 5 and 9",
    "select harmful(3) from item where id = 1",
    "select name from item where id = 1 for update",
    "with gone as (delete from item where id = -1 returning id) select count(*) from gone",
    "update item set price = price + 1 where id = 7",
    "select relname from pg_class where relname = 'item'",
    "begin; commit",
    "set work_mem = '5MB'",
    "create temp table scratch (id int)",
];

fn url(cluster: &Cluster, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/postgres?sslmode=disable", cluster.port())
}

async fn run(server: &Server, sql: &str) {
    let Connection::Postgres(mut connection) = server.connect_control().await.unwrap() else { panic!("no PostgreSQL") };
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
}

async fn state(server: &Server) -> (i64, String) {
    let Connection::Postgres(mut connection) = server.connect_control().await.unwrap() else { panic!("no PostgreSQL") };
    let sql = "select count(*), coalesce(sum(price), 0)::text from item";
    sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
}

/// The program, while this test's own tasks go on.
async fn from_database(folder: &std::path::Path, url: &str, more: &[&str]) -> std::process::Output {
    let folder = folder.to_owned();
    let arguments = ["profiles", "from-database", "--target", url];
    let arguments: Vec<String> = arguments.iter().chain(more).map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || pool_tune(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
        .await
        .unwrap()
}

#[tokio::test]
async fn counted_statements_become_a_profile_that_runs() {
    let cluster = Cluster::start("shared_preload_libraries = 'pg_stat_statements'\ntimezone = 'UTC'");
    let (server, url) = (cluster.server(), url(&cluster, "postgres"));
    run(&server, TABLES).await;
    for (place, sql) in LOAD.iter().enumerate() {
        for _ in 0..=LOAD.len() - place {
            run(&server, sql).await;
        }
    }
    let before = state(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let output = from_database(folder.path(), &url, &["-o", "mine.yaml", "--workers", "4"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(folder.path().join("mine.yaml")).unwrap();
    let port = format!(":{}/", cluster.port());
    insta::with_settings!({filters => vec![
        (port.as_str(), ":PORT/"),
        (r"calls, \d+\.\d s", "calls, TIME s"),
        (r"\d+\.\d % of the time, \d+\.\d+ ms", "SHARE % of the time, TIME ms"),
    ]}, {
        insta::assert_snapshot!(text);
    });
    assert_eq!(state(&server).await, before, "looking at the statements has changed something");

    // By time as well, and no more than asked for.
    let output = from_database(folder.path(), &url, &["--by", "time", "--top", "14"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    profile::parse("by time", &stdout(&output)).unwrap();

    let quick = "settings: {min_connections: 1, max_connections: 3}\nsearch: {ranges: {max_connections: [2, 4]}, pin: \
                 {min_connections: 1}}\ntrial: {measure: 200ms, warm_up_cap: 300ms}\nbudget: {search_trials: 10, \
                 verification_pairs: 6}\n";
    fs::write(folder.path().join("mine.yaml"), format!("{text}\n{quick}")).unwrap();
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        assert!(pool_tune(&path, &["profiles", "check", "mine.yaml"]).status.success());
        let output = pool_tune(&path, &["run", "--profile", "mine.yaml", "--target", &url, "--name", "run", "--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let shown = stdout(&pool_tune(&path, &["show", "run", "--json"]));
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        for trial in shown["trials"].as_array().unwrap() {
            assert_eq!(trial["measurement"]["requests"]["failed"], 0, "{trial}");
        }
    })
    .await
    .unwrap();
    assert_eq!(state(&server).await, before, "the profile's operations have changed something");
}

#[tokio::test]
async fn whoever_cannot_see_statements_is_told_what_to_do() {
    let cluster = Cluster::start("shared_preload_libraries = 'pg_stat_statements'\ntimezone = 'UTC'");
    let folder = tempfile::tempdir().unwrap();
    let refused = async |role: &str, code: i32, says: &[&str]| {
        let output = from_database(folder.path(), &url(&cluster, role), &[]).await;
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        for words in says {
            assert!(stderr(&output).contains(words), "`{words}` is not in: {}", stderr(&output));
        }
    };
    refused("postgres", 3, &["CREATE EXTENSION pg_stat_statements", "shared_preload_libraries"]).await;
    run(&cluster.server(), TABLES).await;
    refused("postgres", 3, &["none of an application was counted"]).await;
    run(&cluster.server(), "delete from item where id = 1").await;
    refused("postgres", 2, &["--top", "delete from item where id = $1", "it changes data"]).await;
    refused("watcher", 3, &["GRANT pg_read_all_stats TO watcher"]).await;
}

#[tokio::test]
async fn a_server_that_has_not_loaded_the_library_is_told() {
    let cluster = Cluster::start("");
    run(&cluster.server(), "create extension pg_stat_statements").await;
    let folder = tempfile::tempdir().unwrap();
    let output = from_database(folder.path(), &url(&cluster, "postgres"), &[]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("shared_preload_libraries"), "{}", stderr(&output));
}
