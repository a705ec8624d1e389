//! What is MySQL's and MariaDB's own: the way to a server, and what it allows.

mod activity;
mod inspect;
mod url;

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};

pub(super) use self::{
    activity::{activity, take_only_looks},
    inspect::inspect,
    url::parse,
};
use super::{
    UrlError,
    url::{malformed, names_a_socket},
};

/// The way to a MySQL or MariaDB.
#[derive(Clone)]
pub(in crate::database) struct Way {
    /// For the program's own connections.
    options: MySqlConnectOptions,
    /// The same for the pool's connections; on a server of our own they have a user of their own.
    pooled: MySqlConnectOptions,
}

impl Way {
    /// Options of every connection: what the server itself would give a client, so that opening one costs what it costs an
    /// application, and nothing of its session is changed.
    pub(in crate::database) fn new(options: MySqlConnectOptions) -> Self {
        let options = options
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .set_names(false)
            .disable_statement_logging();
        Self { pooled: options.clone(), options }
    }

    /// The same, with another user for the pool's connections.
    pub(in crate::database) fn pooled_as(mut self, user: &str) -> Self {
        self.pooled = self.pooled.username(user);
        self
    }

    pub(super) async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = MySqlConnection::connect_with(&self.options).await?;
        // Connections have no names here: the server's numbers of our own are kept, to tell them from those of others.
        let id: u64 = sqlx::query_scalar("select connection_id()").fetch_one(&mut connection).await?;
        own_connections(|own| own.insert((self.to_string(), id)));
        Ok(connection)
    }

    pub(super) async fn connect_pooled(&self) -> Result<MySqlConnection, sqlx::Error> {
        MySqlConnection::connect_with(&self.pooled).await
    }

    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.options.get_host(), self.options.get_port())
    }

    pub(super) fn is_by_socket(&self) -> bool {
        self.options.get_socket().is_some()
    }

    pub(super) fn via(&self, address: SocketAddr) -> Result<Self, UrlError> {
        if matches!(self.options.get_ssl_mode(), MySqlSslMode::VerifyIdentity) {
            return Err(malformed(
                "`ssl-mode=VERIFY_IDENTITY` checks the host's name, and faults of the network go through a proxy of \
                 another name: use VERIFY_CA for this test",
            ));
        }
        if self.is_by_socket() {
            return Err(names_a_socket());
        }
        let pooled = self.pooled.clone().host(&address.ip().to_string()).port(address.port());
        Ok(Self { pooled, ..self.clone() })
    }

    pub(super) fn in_schema(&self, schema: &str) -> Self {
        Self { options: self.options.clone().database(schema), pooled: self.pooled.clone().database(schema) }
    }
}

/// The way as a URL without a password.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, host, port) = (self.options.get_username(), self.options.get_host(), self.options.get_port());
        let database = self.options.get_database().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        match self.options.get_socket() {
            Some(socket) => write!(f, "mysql://{user}@/{database}?socket={}", socket.display()),
            None if host.contains(':') => write!(f, "mysql://{user}@[{host}]:{port}/{database}"),
            None => write!(f, "mysql://{user}@{host}:{port}/{database}"),
        }
    }
}

/// The program's own connections, by server and the server's number.
fn own_connections<T>(work: impl FnOnce(&mut BTreeSet<(String, u64)>) -> T) -> T {
    static OWN: Mutex<BTreeSet<(String, u64)>> = Mutex::new(BTreeSet::new());
    work(&mut OWN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Ends the sessions of a share of the pool's connections, which have a user of their own. Gives how many.
pub(super) async fn terminate(way: &Way, mut connection: MySqlConnection, share: f64) -> Result<u64, sqlx::Error> {
    let ids: Vec<u64> = sqlx::query_scalar(
        "select cast(id as unsigned) from information_schema.processlist where user = ? order by rand()",
    )
    .bind(way.pooled.get_username())
    .fetch_all(&mut connection)
    .await?;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let chosen = (ids.len() as f64 * share).ceil() as usize;
    let mut ended = 0;
    for id in ids.into_iter().take(chosen) {
        // One that has ended by itself meanwhile is no thread any more.
        if connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("kill connection {id}")))).await.is_ok() {
            ended += 1;
        }
    }
    drop(connection.close().await);
    Ok(ended)
}
