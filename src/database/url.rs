//! Reading a database URL, so that no part of it that could be a password is ever repeated.

use std::{borrow::Cow, fs::File, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::{UrlError, account};

/// How long a control connection may take to open, when the URL has no `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Parameters that are handed on to sqlx; the others are either read here or left out.
const KNOWN: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];

/// What `sslmode` can be.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Parameters of libpq and of common drivers that change nothing here.
const IGNORED: [&str; 14] = [
    "application_name",
    "statement-cache-capacity",
    "channel_binding",
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "pool_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// What a URL says.
pub(super) struct Parsed {
    pub(super) options: PgConnectOptions,
    pub(super) connect_timeout: Duration,
}

/// Reads a PostgreSQL URL.
pub(super) fn parse(url: &SecretString) -> Result<Parsed, UrlError> {
    let text = url.expose_secret().trim();
    let scheme = text.split("://").next().filter(|scheme| scheme.len() < text.len()).map(str::to_ascii_lowercase);
    match scheme.as_deref() {
        Some("postgres" | "postgresql") => {}
        // The names are compared, not repeated: what stands before `://` could be anything.
        Some("mysql" | "mariadb") => return Err(UrlError::Scheme("mysql")),
        Some("sqlite") => return Err(UrlError::Scheme("sqlite")),
        Some("http" | "https") => return Err(UrlError::Scheme("http")),
        _ => return Err(malformed("it does not start with postgres://")),
    }
    let (text, without_host) = with_host(text);
    let mut parsed = Url::parse(&text).map_err(|error| malformed(&explain(error)))?;
    // A `/`, `?` or `#` in a password ends it early, and the rest would be taken for something that may be shown.
    if parsed.fragment().is_some() || parsed.path().contains('@') {
        return Err(malformed(ENCODE));
    }
    let (query, connect_timeout) = query(&parsed)?;
    parsed.set_query(None);
    if !query.is_empty() {
        parsed.query_pairs_mut().extend_pairs(&query);
    }

    let mut options = PgConnectOptions::from_str(parsed.as_str()).map_err(|error| malformed(&cause(&error)))?;
    if without_host && !query.iter().any(|(key, _)| key == "host" || key == "hostaddr") {
        options = options.host(PgConnectOptions::new_without_pgpass().get_host());
    } else if options.get_socket().is_none() {
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        options = options.host(&host);
    }
    // As libpq does, and sqlx does not everywhere: without a name it is the system's user.
    let named = !parsed.username().is_empty() || query.iter().any(|(key, _)| key == "user");
    if !named && std::env::var_os("PGUSER").is_none() {
        let user = account::own_name().or_else(|| std::env::var("USER").ok());
        options = options.username(user.as_deref().unwrap_or("postgres"));
    }
    // As libpq does: a certificate to check against is checked against.
    if matches!(options.get_ssl_mode(), PgSslMode::Require) && query.iter().any(|(key, _)| is_root(key)) {
        options = options.ssl_mode(PgSslMode::VerifyCa);
    }
    Ok(Parsed { options, connect_timeout })
}

/// libpq takes `user@/name`, without a host, where the standard of URLs does not: puts one in, and tells so.
fn with_host(text: &str) -> (Cow<'_, str>, bool) {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    if text[start..end].ends_with('@') {
        (format!("{}localhost{}", &text[..end], &text[end..]).into(), true)
    } else {
        (text.into(), false)
    }
}

const ENCODE: &str = "a password with `/`, `?`, `#` or `@` must be percent-encoded (%2F, %3F, %23, %40)";

type Pairs = Vec<(String, String)>;

/// The parameters to hand on, and the time to connect.
fn query(url: &Url) -> Result<(Pairs, Duration), UrlError> {
    let mut pairs = Vec::new();
    let mut connect_timeout = CONNECT_TIMEOUT;
    for (key, value) in url.query_pairs() {
        match &*key {
            "connect_timeout" => {
                let seconds: u64 =
                    value.parse().map_err(|_| malformed("`connect_timeout` is no whole number of seconds"))?;
                if seconds > 0 {
                    connect_timeout = Duration::from_secs(seconds);
                }
            }
            // The roots that the program brings along are used when no file is named.
            key if is_root(key) && value == "system" => {}
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value.to_ascii_lowercase().as_str()) => {
                return Err(malformed(&format!("`sslmode` is none of {}", SSL_MODES.join(", "))));
            }
            key if KNOWN.contains(&key) || key.starts_with("options[") => {
                if key.starts_with("ssl") && !key.ends_with("mode") {
                    readable(key, &value)?;
                }
                pairs.push((key.to_owned(), value.into_owned()));
            }
            key if IGNORED.contains(&key) => tracing::debug!(key, "parameter of the database URL ignored"),
            key if key.starts_with("ssl") && key.chars().all(|c| c.is_ascii_lowercase()) => {
                return Err(malformed(&format!("the parameter `{key}` is not supported")));
            }
            _ => {
                return Err(malformed(&format!(
                    "it has an unknown parameter after `?`; if that is no parameter, {ENCODE}"
                )));
            }
        }
    }
    Ok((pairs, connect_timeout))
}

fn is_root(key: &str) -> bool {
    matches!(key, "sslrootcert" | "ssl-root-cert" | "ssl-ca")
}

/// Fails early, with the name of the file, where sqlx would fail at the first connection without it.
fn readable(key: &str, path: &str) -> Result<(), UrlError> {
    File::open(path).map(drop).map_err(|error| malformed(&format!("`{key}` names the file {path}: {error}")))
}

fn malformed(why: &str) -> UrlError {
    UrlError::Malformed(why.to_owned())
}

/// The parser's errors say nothing of the text itself, but neither what to do.
fn explain(error: url::ParseError) -> String {
    match error {
        url::ParseError::InvalidPort => format!("the port is no number from 0 to 65535, or {ENCODE}"),
        url::ParseError::EmptyHost => "it has a user or a port, but no host".to_owned(),
        other => other.to_string(),
    }
}

/// What sqlx says beneath its own heading.
fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Parsed, UrlError> {
        parse(&SecretString::from(url))
    }

    fn message(url: &str) -> String {
        read(url).err().expect(url).to_string()
    }

    #[test]
    fn passwords_are_percent_decoded() {
        // sqlx shows a password only in the URL that it builds again.
        use sqlx::ConnectOptions as _;
        let options = read("postgres://me%40corp:p%40ss%2F%23%3F@db.example:6000/app").unwrap().options;
        assert_eq!(options.get_username(), "me@corp");
        assert_eq!(options.to_url_lossy().password(), Some("p%40ss%2F%23%3F"));
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6000));
    }

    #[test]
    fn ipv6_hosts_lose_their_brackets_so_that_certificates_can_be_checked() {
        assert_eq!(read("postgres://me@[::1]:6000/app").unwrap().options.get_host(), "::1");
    }

    #[test]
    fn sockets_are_taken_from_either_place() {
        for url in ["postgres:///app?host=/run/pg", "postgres://me:x@/app?host=/run/pg", "postgres://%2Frun%2Fpg/app"] {
            let options = read(url).unwrap().options;
            assert_eq!(options.get_socket().unwrap().to_str().unwrap().trim_end_matches('/'), "/run/pg", "{url}");
            assert_eq!(options.get_database(), Some("app"), "{url}");
        }
    }

    #[test]
    fn without_a_host_it_is_libpqs() {
        let usual = PgConnectOptions::new_without_pgpass();
        for url in ["postgres://me:x@/app", "postgres://me@", "postgres:///app", "postgres://"] {
            assert_eq!(read(url).unwrap().options.get_host(), usual.get_host(), "{url}");
        }
    }

    #[test]
    fn the_time_to_connect_can_be_set() {
        assert_eq!(read("postgres://h/d").unwrap().connect_timeout, CONNECT_TIMEOUT);
        assert_eq!(read("postgres://h/d?connect_timeout=3").unwrap().connect_timeout, Duration::from_secs(3));
        assert!(message("postgres://h/d?connect_timeout=soon").contains("`connect_timeout`"));
    }

    #[test]
    fn parameters_of_other_drivers_do_no_harm() {
        assert!(read("postgres://h/d?pgbouncer=true&channel_binding=require&application_name=x").is_ok());
    }

    #[test]
    fn require_with_a_root_certificate_checks_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let url = format!("postgres://h/d?sslmode=require&sslrootcert={}", file.path().display());
        assert!(matches!(read(&url).unwrap().options.get_ssl_mode(), PgSslMode::VerifyCa));
    }

    #[test]
    fn a_missing_certificate_is_named() {
        assert!(message("postgres://h/d?sslrootcert=/no/such.crt").contains("/no/such.crt"));
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
            "mysql://me:hunter2@host/db",
            "postgres://me:hunter2%ff@host/db",
        ] {
            let message = message(url);
            assert!(!message.contains("hunter2"), "{url} gives {message}");
            assert!(message.contains("postgres://"), "{url} gives {message}");
        }
    }
}
