//! What is PostgreSQL's own: the way to a server, what it allows, and the statements that it has counted.

mod activity;
mod inspect;
mod statements;
mod url;

use std::{fmt, net::SocketAddr};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

pub use self::statements::{StatementsError, Top};
pub(super) use self::{activity::activity, inspect::inspect, url::parse};
use super::{
    UrlError,
    server::application_name,
    url::{malformed, names_a_socket},
};

/// The way to a PostgreSQL.
#[derive(Clone)]
pub(in crate::database) struct Way {
    /// For the program's own connections.
    options: PgConnectOptions,
    /// The same for the pool's connections, whose name tells them from the program's own.
    pooled: PgConnectOptions,
}

impl Way {
    /// Options of every connection: our name, and nothing that a pooler in between refuses without need (the digits of
    /// numbers as text; values here are binary).
    pub(in crate::database) fn new(options: PgConnectOptions) -> Self {
        // sqlx would log every statement over a second, and all of them at debug level: a load test has millions.
        let options = options.application_name(application_name()).extra_float_digits(None).disable_statement_logging();
        let pooled = options.clone().application_name(&pool_name());
        Self { options, pooled }
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    pub(super) async fn connect_pooled(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.pooled).await
    }

    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.options.get_host(), self.options.get_port())
    }

    pub(super) fn is_by_socket(&self) -> bool {
        self.options.get_socket().is_some() || self.options.get_host().starts_with('/')
    }

    pub(super) fn via(&self, address: SocketAddr) -> Result<Self, UrlError> {
        if matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Err(malformed(
                "`sslmode=verify-full` checks the host's name, and faults of the network go through a proxy of another \
                 name: use verify-ca for this test",
            ));
        }
        if self.is_by_socket() {
            return Err(names_a_socket());
        }
        let pooled = self.pooled.clone().host(&address.ip().to_string()).port(address.port());
        Ok(Self { pooled, ..self.clone() })
    }

    pub(super) fn in_schema(&self, schema: &str) -> Self {
        let path = [("search_path", format!("{schema},public"))];
        Self { options: self.options.clone().options(path.clone()), pooled: self.pooled.clone().options(path) }
    }

    /// With tables looked up in `schema` and nowhere else.
    pub(super) fn only_in_schema(&self, schema: &str) -> Self {
        let path = [("search_path", schema)];
        Self { options: self.options.clone().options(path), pooled: self.pooled.clone().options(path) }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// The way as a URL without a password.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let (user, port) = (options.get_username(), options.get_port());
        let database = options.get_database().unwrap_or(user);
        let host = options.get_host();
        match options.get_socket() {
            Some(socket) => write!(f, "postgres://{user}@/{database}?host={}&port={port}", socket.display()),
            None if host.starts_with('/') => write!(f, "postgres://{user}@/{database}?host={host}&port={port}"),
            None if host.contains(':') => write!(f, "postgres://{user}@[{host}]:{port}/{database}"),
            None => write!(f, "postgres://{user}@{host}:{port}/{database}"),
        }
    }
}

/// The name of the pool's connections. It begins with that of all.
fn pool_name() -> String {
    format!("{} pool", application_name())
}

/// Ends the sessions of a share of this process's pool connections. Gives how many.
pub(super) async fn terminate(mut connection: PgConnection, share: f64) -> Result<u64, sqlx::Error> {
    const TERMINATE: &str = "
        with pool as (select pid from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()),
             chosen as (select pid from pool order by random()
                        limit ceil($2::float8 * (select count(*) from pool))::bigint)
        select count(*) from chosen where pg_terminate_backend(pid)";
    let ended: i64 = sqlx::query_scalar(TERMINATE).bind(pool_name()).bind(share).fetch_one(&mut connection).await?;
    drop(connection.close().await);
    Ok(u64::try_from(ended).unwrap_or(0))
}
