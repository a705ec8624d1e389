use std::{path::Path, process::Command};

use pool_tune::database::{DatabaseError, PrivateServer};

use super::{PASSWORD, at, connect, give, port, run, start, until};

/// Makes a certificate for `localhost` that signs itself, as its own authority.
fn make_certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("server.key"))
        .arg("-out")
        .arg(folder.join("server.crt"))
        .output()
        .expect("this test needs the program `openssl` (apt-get install openssl)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in ["server.key", "server.crt"] {
        give(&folder.join(file), folder);
    }
}

/// Turns TLS on, and lets in only by TLS.
async fn turn_on_tls(private: &PrivateServer) {
    let data = private.data_directory();
    make_certificate(&data);
    let mut admin = connect(&private.admin()).await;
    run(&mut admin, &format!("create role visitor login password '{PASSWORD}'")).await;
    std::fs::write(
        data.join("pg_hba.conf"),
        "hostssl all visitor all scram-sha-256\nhost all pool_tune all scram-sha-256\n",
    )
    .unwrap();
    run(&mut admin, "alter system set ssl = on").await;
    run(&mut admin, "select pg_reload_conf()").await;
}

#[tokio::test]
async fn tls_is_used_as_the_url_says() {
    let (private, _folder) = start(10).await;
    turn_on_tls(&private).await;
    let port = port(&private);
    let url = |host: &str, rest: &str| format!("postgres://visitor:{PASSWORD}@{host}:{port}/postgres?{rest}");
    let required = at(&url("localhost", "sslmode=require"));
    until("the server to reload", async || required.connect_control().await.is_ok()).await;

    let mut connection = connect(&required).await;
    let encrypted: bool = sqlx::query_scalar("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(encrypted);
    // Without a word about it, TLS is used where the server has it.
    connect(&at(&url("localhost", ""))).await;

    let root = private.data_directory().join("server.crt").display().to_string();
    connect(&at(&url("localhost", &format!("sslmode=verify-full&sslrootcert={root}")))).await;
    connect(&at(&url("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={root}")))).await;

    let error = async |host: &str, rest: &str| {
        let error = at(&url(host, rest)).connect_control().await.expect_err(rest);
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
        error
    };
    let wrong_host = error("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}")).await;
    assert!(matches!(wrong_host, DatabaseError::Tls { .. }), "{wrong_host}");
    let unknown = error("localhost", "sslmode=verify-full").await;
    assert!(matches!(unknown, DatabaseError::Tls { .. }), "{unknown}");
    assert!(unknown.to_string().contains("sslrootcert"), "{unknown}");
    let plain = error("localhost", "sslmode=disable").await;
    assert!(plain.to_string().contains("sslmode=require"), "{plain}");
}
