use std::{fmt, net::SocketAddr, sync::OnceLock, time::Duration};

use secrecy::SecretString;
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{ConnectError, Connection, DatabaseError, UrlError, url};

/// How long a control connection to a server of our own may take to open.
const OWN_SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach one database. It shows itself without its password.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    /// The same for the pool's connections, whose name tells them from the program's own.
    pooled: PgConnectOptions,
    shown: String,
    connect_timeout: Duration,
}

impl Server {
    /// Reads a URL (`postgres://user:password@host:port/name?sslmode=require`).
    ///
    /// What the URL leaves out comes from the `PG…` variables of the environment, then from libpq's defaults. A
    /// `connect_timeout` (seconds) bounds control connections.
    ///
    /// # Errors
    /// [`UrlError`] when it is no URL or of another kind of database. The error never repeats the URL.
    pub fn from_url(url: &SecretString) -> Result<Self, UrlError> {
        let parsed = url::parse(url)?;
        let shown = shown(&parsed.options);
        Ok(Self::new(parsed.options, shown, parsed.connect_timeout))
    }

    /// Reaches a server that the program itself has started, by its options.
    #[must_use]
    pub fn from_options(options: PgConnectOptions, shown: String) -> Self {
        Self::new(options, shown, OWN_SERVER_TIMEOUT)
    }

    fn new(options: PgConnectOptions, shown: String, connect_timeout: Duration) -> Self {
        let options = ours(options);
        let pooled = options.clone().application_name(&pool_name());
        Self { options, pooled, shown, connect_timeout }
    }

    /// Its host and port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        (self.options.get_host(), self.options.get_port())
    }

    /// The same server, reached by the pool through a proxy at `address`; the program's own connections go straight.
    ///
    /// # Errors
    /// When the server's certificate has to bear its name, which a proxy's address is not; or when it is reached by a
    /// socket.
    pub fn via(&self, address: SocketAddr) -> Result<Self, UrlError> {
        if matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Err(UrlError::Malformed(
                "`sslmode=verify-full` checks the host's name, and faults of the network go through a proxy of another \
                 name: use verify-ca for this test"
                    .to_owned(),
            ));
        }
        if self.options.get_socket().is_some() || self.options.get_host().starts_with('/') {
            return Err(UrlError::Malformed(
                "it names a socket, and faults of the network need a host and a port: give them instead".to_owned(),
            ));
        }
        let pooled = self.pooled.clone().host(&address.ip().to_string()).port(address.port());
        Ok(Self { pooled, ..self.clone() })
    }

    /// Ends the sessions of a share of this process's pool connections, at least one where there are any. Gives how many.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, or does not let us.
    pub async fn terminate(&self, share: f64) -> Result<u64, DatabaseError> {
        const TERMINATE: &str = "
            with pool as (select pid from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()),
                 chosen as (select pid from pool order by random()
                            limit ceil($2::float8 * (select count(*) from pool))::bigint)
            select count(*) from chosen where pg_terminate_backend(pid)";
        let mut connection = self.control().await?;
        let ended: i64 = sqlx::query_scalar(TERMINATE)
            .bind(pool_name())
            .bind(share)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| DatabaseError::statement(self, "end sessions of the pool", &error))?;
        drop(sqlx::Connection::close(connection).await);
        Ok(u64::try_from(ended).unwrap_or(0))
    }

    /// The same server, with unqualified names looked up in `schema` first.
    #[must_use]
    pub fn in_schema(&self, schema: &str) -> Self {
        let options = self.options.clone().options([("search_path", format!("{schema},public"))]);
        let pooled = self.pooled.clone().options([("search_path", format!("{schema},public"))]);
        Self { options, pooled, ..self.clone() }
    }

    /// Opens a connection for the pool under test, which has a timeout of its own.
    ///
    /// # Errors
    /// [`ConnectError`] with the server's or the operating system's code.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        Ok(Connection::Postgres(PgConnection::connect_with(&self.pooled).await?))
    }

    /// Opens a connection for the program's own use, in bounded time, with errors that say what to do.
    ///
    /// # Errors
    /// [`DatabaseError`], by cause.
    pub async fn connect_control(&self) -> Result<Connection, DatabaseError> {
        Ok(Connection::Postgres(self.control().await?))
    }

    /// As [`Self::connect_control`], for this room.
    pub(super) async fn control(&self) -> Result<PgConnection, DatabaseError> {
        self.bounded(async {
            PgConnection::connect_with(&self.options).await.map_err(|error| DatabaseError::connect(self, &error))
        })
        .await
    }

    /// Gives a piece of work with the server as long as a connection may take.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(self.connect_timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DatabaseError::NoAnswer { server: self.to_string(), waited: self.connect_timeout }),
        }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// The name that this process's connections bear on the server, so that they can be told from those of others, other
/// runs of the program among them.
pub(super) fn application_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("pool-tune {:08x}", rand::random::<u32>()))
}

/// The name of the pool's connections. It begins with that of all.
fn pool_name() -> String {
    format!("{} pool", application_name())
}

/// Options of every connection: our name, and nothing that a pooler in between refuses without need (the digits of
/// numbers as text; values here are binary).
fn ours(options: PgConnectOptions) -> PgConnectOptions {
    // sqlx would log every statement over a second, and all of them at debug level: a load test has millions.
    options.application_name(application_name()).extra_float_digits(None).disable_statement_logging()
}

/// The options as a URL without a password.
fn shown(options: &PgConnectOptions) -> String {
    let (user, port) = (options.get_username(), options.get_port());
    let database = options.get_database().unwrap_or(user);
    let host = options.get_host();
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@/{database}?host={}&port={port}", socket.display()),
        None if host.starts_with('/') => format!("postgres://{user}@/{database}?host={host}&port={port}"),
        None if host.contains(':') => format!("postgres://{user}@[{host}]:{port}/{database}"),
        None => format!("postgres://{user}@{host}:{port}/{database}"),
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_shows_where_it_is_but_no_password() {
        for (url, expected) in [
            ("postgres://me:hunter2@db.example/app", "postgres://me@db.example:5432/app"),
            ("postgres://me:hunter2@[::1]:6000/app", "postgres://me@[::1]:6000/app"),
            ("postgres://me:hunter2@%2Frun%2Fpg/app", "postgres://me@/app?host=/run/pg&port=5432"),
            ("postgres:///app?host=/run/pg&user=me&password=hunter2", "postgres://me@/app?host=/run/pg&port=5432"),
            ("postgres://me@db.example:5432", "postgres://me@db.example:5432/me"),
        ] {
            let server = Server::from_url(&SecretString::from(url)).unwrap();
            assert_eq!(server.to_string(), expected);
            let debug = format!("{server:?} {:?}", server.in_schema("s"));
            assert!(!debug.contains("hunter2"), "{debug}");
        }
    }
}
