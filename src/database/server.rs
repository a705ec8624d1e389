use std::{fmt, net::SocketAddr, sync::OnceLock, time::Duration};

use secrecy::SecretString;

use super::{ConnectError, Connection, DatabaseError, UrlError, mysql, postgres, sqlite, url};
use crate::model::Dialect;

/// How long a control connection to a server of our own may take to open.
const OWN_SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach one database. It shows itself without its password.
#[derive(Clone)]
pub struct Server {
    way: Way,
    shown: String,
    connect_timeout: Duration,
}

/// The way to a database, by its kind.
#[derive(Clone)]
pub(super) enum Way {
    Postgres(postgres::Way),
    MySql(mysql::Way),
    Sqlite(sqlite::Way),
}

impl Server {
    /// Reads a URL: `postgres://user:password@host:port/name?sslmode=require`, `mysql://…` (`mariadb://…`) or
    /// `sqlite:path/to/file`.
    ///
    /// What the URL of a PostgreSQL leaves out comes from the `PG…` variables of the environment, then from libpq's
    /// defaults. A `connect_timeout` (seconds) bounds control connections.
    ///
    /// # Errors
    /// [`UrlError`] when it is no URL or of another kind of database. The error never repeats the URL.
    pub fn from_url(url: &SecretString) -> Result<Self, UrlError> {
        let (way, connect_timeout) = url::parse(url)?;
        Ok(Self::new(way, None, connect_timeout))
    }

    /// Reaches a server that the program itself has started.
    pub(super) fn of_our_own(way: Way, shown: String) -> Self {
        Self::new(way, Some(shown), OWN_SERVER_TIMEOUT)
    }

    fn new(way: Way, shown: Option<String>, connect_timeout: Duration) -> Self {
        let shown = shown.unwrap_or_else(|| match &way {
            Way::Postgres(way) => way.to_string(),
            Way::MySql(way) => way.to_string(),
            Way::Sqlite(way) => way.to_string(),
        });
        Self { way, shown, connect_timeout }
    }

    /// The kind of database, and so the SQL that it takes.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match &self.way {
            Way::Postgres(_) => Dialect::Postgres,
            Way::MySql(_) => Dialect::MySql,
            Way::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Its host and port; none for a file.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        match &self.way {
            Way::Postgres(way) => Some(way.host_and_port()),
            Way::MySql(way) => Some(way.host_and_port()),
            Way::Sqlite(_) => None,
        }
    }

    /// What is the same for every way to the same server, whoever the user and whichever the database: two runs on one server
    /// would measure each other. For a file it is the file.
    #[must_use]
    pub fn lock_key(&self) -> String {
        let (kind, host, port) = match &self.way {
            Way::Sqlite(way) => {
                let path = std::fs::canonicalize(way.path()).unwrap_or_else(|_| way.path().to_owned());
                return format!("sqlite {}", path.display());
            }
            Way::Postgres(way) => ("postgres", way.host_and_port().0, way.host_and_port().1),
            Way::MySql(way) => ("mysql", way.host_and_port().0, way.host_and_port().1),
        };
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        // A socket is this machine's, too.
        let here = host.starts_with('/') || matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        format!("{kind} {}:{port}", if here { "localhost" } else { &host })
    }

    /// The same server, reached by the pool through a proxy at `address`; the program's own connections go straight.
    ///
    /// # Errors
    /// When the server's certificate has to bear its name, which a proxy's address is not; or when it is reached by a
    /// socket, or is a file.
    pub fn via(&self, address: SocketAddr) -> Result<Self, UrlError> {
        let way = match &self.way {
            Way::Postgres(way) => Way::Postgres(way.via(address)?),
            Way::MySql(way) => Way::MySql(way.via(address)?),
            Way::Sqlite(_) => return Err(url::malformed("it names a file, and faults of the network need a network")),
        };
        Ok(Self { way, ..self.clone() })
    }

    /// The same server, with the names of tables looked up in `schema` first.
    pub(super) fn in_schema(&self, schema: &str) -> Self {
        let way = match &self.way {
            Way::Postgres(way) => Way::Postgres(way.in_schema(schema)),
            Way::MySql(way) => Way::MySql(way.in_schema(schema)),
            Way::Sqlite(way) => Way::Sqlite(way.clone()),
        };
        Self { way, ..self.clone() }
    }

    /// The same PostgreSQL with tables looked up in `schema` alone, where the program keeps tables of its own; none for another
    /// kind of database.
    #[must_use]
    pub fn for_own_tables(&self, schema: &str) -> Option<Self> {
        match &self.way {
            Way::Postgres(way) => Some(Self { way: Way::Postgres(way.only_in_schema(schema)), ..self.clone() }),
            Way::MySql(_) | Way::Sqlite(_) => None,
        }
    }

    /// What a pool of the program's own connections to a PostgreSQL is made of; none for another kind of database.
    #[must_use]
    pub fn postgres_options(&self) -> Option<&sqlx::postgres::PgConnectOptions> {
        match &self.way {
            Way::Postgres(way) => Some(way.options()),
            Way::MySql(_) | Way::Sqlite(_) => None,
        }
    }

    /// Why a statement of the program itself failed, with what to do; `action` is what it was about to do.
    #[must_use]
    pub fn explain(&self, action: &str, error: &sqlx::Error) -> DatabaseError {
        DatabaseError::statement(self, action, error)
    }

    /// The same kind of database in another file.
    pub(super) fn in_file(&self, way: sqlite::Way) -> Self {
        Self { way: Way::Sqlite(way), ..self.clone() }
    }

    /// Opens a connection for the pool under test, which has a timeout of its own.
    ///
    /// # Errors
    /// [`ConnectError`] with the server's or the operating system's code.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        Ok(match &self.way {
            Way::Postgres(way) => Connection::Postgres(way.connect_pooled().await?),
            Way::MySql(way) => Connection::MySql(way.connect_pooled().await?),
            Way::Sqlite(way) => Connection::Sqlite(way.connect().await?),
        })
    }

    /// Opens a connection for the program's own use, in bounded time, with errors that say what to do.
    ///
    /// # Errors
    /// [`DatabaseError`], by cause.
    pub async fn connect_control(&self) -> Result<Connection, DatabaseError> {
        self.bounded(async {
            let opened = match &self.way {
                Way::Postgres(way) => way.connect().await.map(Connection::Postgres),
                Way::MySql(way) => way.connect().await.map(Connection::MySql),
                Way::Sqlite(way) => way.connect().await.map(Connection::Sqlite),
            };
            opened.map_err(|error| DatabaseError::connect(self, &error))
        })
        .await
    }

    /// Ends the sessions of a share of this process's pool connections, at least one where there are any. Gives how many.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, or does not let us.
    pub async fn terminate(&self, share: f64) -> Result<u64, DatabaseError> {
        let ended = match (&self.way, self.connect_control().await?) {
            (Way::MySql(way), Connection::MySql(connection)) => mysql::terminate(way, connection, share).await,
            (_, Connection::Postgres(connection)) => postgres::terminate(connection, share).await,
            // Who opens a file has no session that another could end.
            _ => Ok(0),
        };
        ended.map_err(|error| DatabaseError::statement(self, "end sessions of the pool", &error))
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

    /// Whether it is reached by a socket of this machine.
    pub(super) fn is_by_socket(&self) -> bool {
        match &self.way {
            Way::Postgres(way) => way.is_by_socket(),
            Way::MySql(way) => way.is_by_socket(),
            Way::Sqlite(_) => false,
        }
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }
}

/// The name that this process's connections bear on the server, so that they can be told from those of others, other
/// runs of the program among them.
pub(super) fn application_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("pool-tune {:08x}", rand::random::<u32>()))
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
            ("mysql://me:hunter2@db.example/app", "mysql://me@db.example:3306/app"),
            ("mariadb://me:hunter2@[::1]:6000/app", "mysql://me@[::1]:6000/app"),
            ("mysql://me:hunter2@/app?socket=/run/my.sock", "mysql://me@/app?socket=/run/my.sock"),
            ("sqlite:Cargo.toml?mode=ro", "sqlite:Cargo.toml"),
        ] {
            let server = Server::from_url(&SecretString::from(url)).unwrap();
            assert_eq!(server.to_string(), expected);
            let debug = format!("{server:?} {:?}", server.in_schema("s"));
            assert!(!debug.contains("hunter2"), "{debug}");
        }
    }
}
