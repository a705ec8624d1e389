use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection as _, postgres::PgConnectOptions};
use url::Url;

use super::{ConnectError, Connection, UrlError};

/// How to reach one database. It shows itself without its password.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    shown: String,
}

impl Server {
    /// Reads a URL (`postgres://user:password@host:port/name?sslmode=require`).
    ///
    /// # Errors
    /// [`UrlError`] when it is no URL or of another kind of database.
    pub fn from_url(url: &SecretString) -> Result<Self, UrlError> {
        let parsed = Url::parse(url.expose_secret()).map_err(|error| UrlError::Malformed(error.to_string()))?;
        if !matches!(parsed.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Scheme(parsed.scheme().to_owned()));
        }
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|error| UrlError::Malformed(error.to_string()))?
            .application_name("pool-tune");
        let shown = format!(
            "postgres://{}{}{}{}",
            if parsed.username().is_empty() { String::new() } else { format!("{}@", parsed.username()) },
            parsed.host_str().unwrap_or("localhost"),
            parsed.port().map(|port| format!(":{port}")).unwrap_or_default(),
            parsed.path()
        );
        Ok(Self { options, shown })
    }

    /// Reaches a server that the program itself has started, by its options.
    #[must_use]
    pub fn from_options(options: PgConnectOptions, shown: String) -> Self {
        Self { options: options.application_name("pool-tune"), shown }
    }

    /// The same server, with unqualified names looked up in `schema` first.
    #[must_use]
    pub fn in_schema(&self, schema: &str) -> Self {
        let options = self.options.clone().options([("search_path", format!("{schema},public"))]);
        Self { options, shown: self.shown.clone() }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`ConnectError`] with the server's or the operating system's code.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        Ok(Connection::Postgres(sqlx::PgConnection::connect_with(&self.options).await?))
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
