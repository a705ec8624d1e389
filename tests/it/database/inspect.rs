//! What a server is seen to allow, and what a run may then do.

use pool_tune::{
    database::{Bound, DatabaseError, Demand, guard},
    model::{Domain, Generator, Operation, Parameter, Statement, Workload},
};

use super::{PASSWORD, connect, port, run, start, until};

fn demand() -> Demand {
    Demand { connections: 2..=30, instances: 1, own: 1, makes_schema: true, load_in_use: false }
}

#[tokio::test]
async fn another_client_is_seen_and_guarded() {
    let (private, _folder) = start(20).await;
    let mut admin = connect(&private.admin()).await;
    run(&mut admin, &format!("create role shop login password '{PASSWORD}'")).await;
    let server = private.server();
    let allowed = guard(&server.inspect().await.unwrap(), &demand()).unwrap();
    assert_eq!(allowed.connections, 2..=16);

    // As another program would, and seen by a user who may not look into others' sessions.
    let url = format!("postgres://shop:{PASSWORD}@127.0.0.1:{}/postgres", port(&private));
    let mut other = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    run(&mut other, "set application_name = 'webapp'; begin").await;
    run(&mut admin, "revoke pg_monitor from pool_tune; alter role pool_tune connection limit 9").await;
    for see_state in [false, true] {
        if see_state {
            run(&mut admin, "grant pg_monitor to pool_tune").await;
        }
        let inspection = server.inspect().await.unwrap();
        assert_eq!((inspection.in_use, inspection.free), (1, 9), "{inspection:?}");
        assert!(matches!(inspection.bound, Bound::Role { limit: 9, in_use: 0, .. }), "{inspection:?}");
        let client = &inspection.other_clients[0];
        assert_eq!((client.application.as_str(), client.user.as_str()), ("webapp", "shop"));
        assert_eq!(client.state.as_deref(), see_state.then_some("idle in transaction"));
        let message = guard(&inspection, &demand()).unwrap_err().to_string();
        assert!(message.contains("webapp") && message.contains("--yes-load-this-database"), "{message}");
        let allowed = guard(&inspection, &Demand { load_in_use: true, ..demand() }).unwrap();
        assert_eq!((allowed.connections, allowed.notices.len()), (2..=8, 2));
    }

    drop(other);
    until("the other client to go", async || server.inspect().await.unwrap().in_use == 0).await;
    run(&mut admin, "alter role pool_tune connection limit 2").await;
    let message = guard(&server.inspect().await.unwrap(), &demand()).unwrap_err().to_string();
    assert!(message.contains("role `pool_tune` is limited to 2"), "{message}");
    run(&mut admin, "alter role pool_tune connection limit -1; alter database postgres connection limit 4").await;
    let inspection = server.inspect().await.unwrap();
    assert!(matches!(inspection.bound, Bound::Database { limit: 4, .. }) && inspection.free == 4, "{inspection:?}");
}

fn workload(statements: &[(&str, &str)]) -> Workload {
    let statement = |(source, sql): &(&str, &str)| Statement {
        source: (*source).to_owned(),
        sql: (*sql).to_owned(),
        arguments: (0..sql.matches('$').count()).collect(),
    };
    let generator = Generator::Integer(Domain::Uniform { low: 1, high: 9 });
    Workload {
        prepare: Vec::new(),
        operations: vec![Operation {
            name: "transfer".to_owned(),
            weight: 1.0,
            statements: statements.iter().map(statement).collect(),
            nested: false,
            transaction: true,
            parameters: vec![Parameter { name: "id".to_owned(), generator }],
        }],
        think_time: None,
    }
}

#[tokio::test]
async fn a_mistake_in_a_statement_is_told_before_it_is_run() {
    let (private, _folder) = start(10).await;
    let server = private.server();
    let mut connection = connect(&server).await;
    run(&mut connection, "create table account (id int primary key, balance bigint)").await;
    let right = ("select balance from account where id = :id", "select balance from account where id = $1");
    let writes = ("delete from account where id = :id", "delete from account where id = $1");
    server.check(&workload(&[right, writes])).await.unwrap();

    let wrong =
        ("update account set balance = :id\n  where idd = :id", "update account set balance = $1\n  where idd = $2");
    let error = server.check(&workload(&[right, wrong])).await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Check { operation, number: 2, .. } if operation == "transfer"), "{error}");
    let text = error.to_string();
    assert!(text.contains("column \"idd\" does not exist"), "{text}");
    assert!(text.contains("\n    where idd = :id\n          ^"), "{text}");

    let error = server.check(&workload(&[("selec 1; select 2", "selec 1; select 2")])).await.unwrap_err();
    assert!(error.to_string().contains("statement 1 of 1: syntax error"), "{error}");
}
