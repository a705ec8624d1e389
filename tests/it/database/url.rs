//! What a person is told when the database that they named cannot be reached.

use pool_tune::database::{DatabaseError, PrivateServer};

use super::{PASSWORD, at, connect, port, run, start};

/// The error of connecting to `url`, checked to be free of the password.
async fn refusal(url: &str) -> DatabaseError {
    let server = at(url);
    let error = server.connect_control().await.expect_err(url);
    let plain = server.connect().await.expect_err(url);
    for text in [format!("{error} {error:?}"), format!("{plain} {plain:?}"), format!("{server} {server:?}")] {
        assert!(!text.contains(PASSWORD), "{url} gives {text}");
    }
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

async fn visitor(private: &PrivateServer) {
    run(&mut connect(&private.admin()).await, &format!("create role visitor login password 'p@ss/{PASSWORD}'")).await;
}

#[tokio::test]
async fn each_way_of_not_getting_in_is_told_apart_without_the_password() {
    let (private, folder) = start(10).await;
    visitor(&private).await;
    let port = port(&private);

    // The right password, percent-encoded, does get in, by address and by name.
    for host in ["127.0.0.1", "localhost"] {
        connect(&at(&format!("postgres://visitor:p%40ss%2F{PASSWORD}@{host}:{port}/postgres"))).await;
    }

    let error = refusal(&format!("postgres://visitor:{PASSWORD}@127.0.0.1:{port}/postgres")).await;
    assert!(matches!(error, DatabaseError::WrongPassword { .. }), "{error}");
    let error = refusal(&format!("postgres://visitor:p%40ss%2F{PASSWORD}@127.0.0.1:{port}/nowhere")).await;
    assert!(matches!(error, DatabaseError::NoSuchDatabase { .. }), "{error}");
    let error = refusal(&format!("postgres://visitor:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=require")).await;
    assert!(matches!(error, DatabaseError::Tls { .. }) && error.to_string().contains("sslmode"), "{error}");
    let error = refusal(&format!("postgres://me:{PASSWORD}@127.0.0.1:1/postgres")).await;
    assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
    let error = refusal(&format!("postgres://me:{PASSWORD}@no-such-host.invalid/postgres")).await;
    assert!(matches!(error, DatabaseError::UnknownHost { .. }), "{error}");
    let socket = folder.path().display();
    let error = refusal(&format!("postgres://me:{PASSWORD}@/postgres?host={socket}")).await;
    assert!(matches!(error, DatabaseError::NoSocket { .. }), "{error}");
    assert!(error.to_string().contains(&socket.to_string()), "{error}");
}

#[tokio::test]
async fn a_server_by_its_socket_and_by_ipv6_is_reached() {
    let folder = super::folder();
    let state = pool_tune::database::StateFolder::at(folder.path());
    // A world-writable folder, since the server runs as another user when the test runs as root.
    let sockets = super::folder_with(0o777);
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let settings = vec![
        ("unix_socket_directories".to_owned(), sockets.path().display().to_string()),
        ("listen_addresses".to_owned(), if ipv6 { "127.0.0.1, ::1" } else { "127.0.0.1" }.to_owned()),
    ];
    let options = pool_tune::database::PrivateOptions { settings, state, ..Default::default() };
    let private = PrivateServer::start(&options).await.unwrap();
    visitor(&private).await;
    let (port, login) = (port(&private), format!("visitor:p%40ss%2F{PASSWORD}"));
    let server = at(&format!("postgres://{login}@/postgres?host={}&port={port}", sockets.path().display()));
    assert!(server.to_string().contains(&sockets.path().display().to_string()), "{server}");
    connect(&server).await;
    if ipv6 {
        connect(&at(&format!("postgres://{login}@[::1]:{port}/postgres"))).await;
    }
}
