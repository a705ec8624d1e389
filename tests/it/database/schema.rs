//! Schemas of the program's own on a person's database.

use pool_tune::database::{DatabaseError, Schema, Server};

use super::{connect, run, start, until};

async fn exists(server: &Server, name: &str) -> bool {
    let mut connection = connect(server).await;
    sqlx::query_scalar("select to_regnamespace($1) is not null").bind(name).fetch_one(&mut connection).await.unwrap()
}

fn tables() -> Vec<String> {
    vec![
        "create table item (id int primary key)".to_owned(),
        "insert into item select generate_series(1, 500); create index on item (id desc)".to_owned(),
    ]
}

#[tokio::test]
async fn tables_are_made_found_and_dropped() {
    let (private, _folder) = start(10).await;
    let server = private.server();
    run(&mut connect(&server).await, "create table public.item (id int)").await;
    let schema = Schema::create(&server, "2026-11-23 Heavy", &tables()).await.unwrap();
    assert_eq!(schema.name(), "pool_tune_2026_11_23_heavy");
    let mut connection = connect(&schema.server()).await;
    let (rows, analysed): (i64, f32) =
        sqlx::query_as("select (select count(*) from item), reltuples from pg_class where oid = 'item'::regclass")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert!((rows, analysed.round()) == (500, 500.0), "{rows} {analysed}");
    schema.remove().await.unwrap();
    assert!(!exists(&server, "pool_tune_2026_11_23_heavy").await);
    assert!(exists(&server, "public").await);
}

#[tokio::test]
async fn a_failing_statement_of_prepare_is_shown_and_leaves_no_schema() {
    let (private, _folder) = start(10).await;
    let server = private.server();
    let mut statements = tables();
    statements.push("begin; insert into item\nselect now()".to_owned());
    let error = Schema::create(&server, "x", &statements).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Prepare { number: 3, count: 3, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("is of type integer but expression is of type"), "{text}");
    assert!(text.contains("\n    select now()\n           ^"), "{text}");
    assert!(!exists(&server, "pool_tune_x").await);
}

#[tokio::test]
async fn only_what_a_dead_run_left_is_dropped() {
    let (private, _folder) = start(10).await;
    let server = private.server();
    run(&mut connect(&server).await, "create schema pool_tune_of_a_person").await;
    let mut used = Schema::create(&server, "used", &tables()).await.unwrap();
    let dead = Schema::create(&server, "dead", &tables()).await.unwrap();
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), Vec::<String>::new());
    // A run that dies takes its connection with it, as dropping does.
    drop(dead);
    until("the dead run's lock", async || {
        Schema::clean_leftovers(&server).await.unwrap() == ["pool_tune_dead".to_owned()]
    })
    .await;
    assert!(!exists(&server, "pool_tune_dead").await);
    assert!(exists(&server, "pool_tune_used").await);

    // The lock is taken again after its connection was lost.
    let end = "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory'";
    run(&mut connect(&private.admin()).await, end).await;
    used.keep().await.unwrap();
    assert_eq!(Schema::clean_leftovers(&server).await.unwrap(), Vec::<String>::new());

    // The same run again: refused while it lives, and a schema that a person made is never taken.
    let error = Schema::create(&server, "used", &[]).await.unwrap_err();
    assert!(error.to_string().contains("another session of the same run"), "{error}");
    let error = Schema::create(&server, "of a person", &[]).await.unwrap_err();
    assert!(error.to_string().contains("was not made by the program"), "{error}");
    assert!(exists(&server, "pool_tune_of_a_person").await);

    run(&mut connect(&server).await, "drop schema pool_tune_used cascade").await;
    used.keep().await.unwrap();
    used.remove().await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_make_nothing_is_told_what_to_do() {
    let (private, _folder) = start(10).await;
    let mut admin = connect(&private.admin()).await;
    run(&mut admin, "alter database postgres owner to postgres").await;
    assert!(!private.server().inspect().await.unwrap().may_create_schema);
    let error = Schema::create(&private.server(), "x", &[]).await.unwrap_err();
    assert!(error.to_string().contains("permission denied") && error.to_string().contains("grant"), "{error}");
    run(
        &mut admin,
        "alter database postgres owner to pool_tune; alter role pool_tune set default_transaction_read_only = on",
    )
    .await;
    let error = Schema::create(&private.server(), "x", &[]).await.unwrap_err();
    assert!(error.to_string().contains("takes no writes"), "{error}");
}
