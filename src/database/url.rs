//! Reading a database URL, so that no part of it that could be a password is ever repeated.

use std::{borrow::Cow, fs::File, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{UrlError, mysql, postgres, server::Way, sqlite};

/// How long a control connection may take to open, when the URL has no `connect_timeout`.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) const ENCODE: &str = "a password with `/`, `?`, `#` or `@` must be percent-encoded (%2F, %3F, %23, %40)";

/// Reads a URL; gives the way to the database, and how long a control connection may take to open.
pub(super) fn parse(url: &SecretString) -> Result<(Way, Duration), UrlError> {
    let text = url.expose_secret().trim();
    // SQLite's URLs need no slashes.
    if let Some(rest) = text.get(.."sqlite:".len()).filter(|scheme| scheme.eq_ignore_ascii_case("sqlite:")) {
        return Ok((Way::Sqlite(sqlite::parse(&text[rest.len()..])?), CONNECT_TIMEOUT));
    }
    let scheme = text.split("://").next().filter(|scheme| scheme.len() < text.len()).map(str::to_ascii_lowercase);
    match scheme.as_deref() {
        Some("postgres" | "postgresql") => {
            let (way, connect_timeout) = postgres::parse(text)?;
            Ok((Way::Postgres(way), connect_timeout))
        }
        Some("mysql" | "mariadb") => {
            let (way, connect_timeout) = mysql::parse(text)?;
            Ok((Way::MySql(way), connect_timeout))
        }
        // The name is compared, not repeated: what stands before `://` could be anything.
        Some("http" | "https") => Err(UrlError::Scheme("http")),
        _ => Err(malformed("it does not start with postgres://, mysql:// or sqlite:")),
    }
}

/// The value of `connect_timeout`: 0 is for none of one's own.
pub(super) fn connect_timeout(value: &str) -> Result<Duration, UrlError> {
    let seconds: u64 = value.parse().map_err(|_| malformed("`connect_timeout` is no whole number of seconds"))?;
    Ok(if seconds > 0 { Duration::from_secs(seconds) } else { CONNECT_TIMEOUT })
}

/// Fails early, with the name of the file, where sqlx would fail at the first connection without it.
pub(super) fn readable(key: &str, path: &str) -> Result<(), UrlError> {
    File::open(path).map(drop).map_err(|error| malformed(&format!("`{key}` names the file {path}: {error}")))
}

pub(super) fn malformed(why: &str) -> UrlError {
    UrlError::Malformed(why.to_owned())
}

/// Why a server cannot be reached through a proxy.
pub(super) fn names_a_socket() -> UrlError {
    malformed("it names a socket, and faults of the network need a host and a port: give them instead")
}

/// The parser's errors say nothing of the text itself, but neither what to do.
pub(super) fn explain(error: ::url::ParseError) -> String {
    match error {
        ::url::ParseError::InvalidPort => format!("the port is no number from 0 to 65535, or {ENCODE}"),
        ::url::ParseError::EmptyHost => "it has a user or a port, but no host".to_owned(),
        other => other.to_string(),
    }
}

/// Clients take `user@/name`, without a host, where the standard of URLs does not: puts one in, and tells so.
pub(super) fn with_host(text: &str) -> (Cow<'_, str>, bool) {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    if text[start..end].ends_with('@') {
        (format!("{}localhost{}", &text[..end], &text[end..]).into(), true)
    } else {
        (text.into(), false)
    }
}

/// A `/`, `?` or `#` in a password ends it early, and the rest would be taken for something that may be shown.
pub(super) fn whole(parsed: &::url::Url) -> Result<(), UrlError> {
    if parsed.fragment().is_some() || parsed.path().contains('@') { Err(malformed(ENCODE)) } else { Ok(()) }
}

/// What sqlx says beneath its own heading.
pub(super) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> String {
        parse(&SecretString::from(url)).err().expect(url).to_string()
    }

    #[test]
    fn no_error_repeats_a_piece_of_the_password() {
        for url in [
            "hunter2",
            "hunter2://me@host/db",
            "me:hunter2@host/db",
            "postgres:hunter2@host/db",
            "postgresql:me:hunter2@host",
            "postgres://me:12#hunter2@host/db",
            "postgres://me:12/hunter2@host/db",
            "postgres://me:12?hunter2@host/db",
            "postgres://me:hunter2/@host/db",
            "postgres://me:hunter2#@host/db",
            "postgres://me:hunter2?@host/db",
            "postgres://me:hunter2@host:port/db",
            "postgres://me:hunter2@ho st/db",
            "postgres://me:hunter2@:6000/db",
            "postgres://me:hunter2@host/db?passwd=hunter2",
            "postgres://me:hunter2@host/db?sslmode=sometimes",
            "postgres://me:hunter2@host/db?port=x",
            "postgres://me:hunter2@host/db?sslpassword=hunter2",
            "mysql://me:hunter2/@host/db",
            "mysql://me:hunter2@host/db?passwd=hunter2",
            "mysql://me:hunter2@host:port/db",
            "postgres://me:hunter2%ff@host/db",
        ] {
            let message = message(url);
            assert!(!message.contains("hunter2"), "{url} gives {message}");
            assert!(message.contains("postgres://"), "{url} gives {message}");
        }
    }
}
