use std::{str::FromStr, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::Way;
use crate::database::{
    UrlError, account,
    url::{CONNECT_TIMEOUT, ENCODE, cause, connect_timeout, explain, malformed, readable, whole, with_host},
};

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

/// Reads the URL of a PostgreSQL; gives the way there, and how long a control connection may take to open.
pub(in crate::database) fn parse(text: &str) -> Result<(Way, Duration), UrlError> {
    let (options, connect_timeout) = options(text)?;
    Ok((Way::new(options), connect_timeout))
}

fn options(text: &str) -> Result<(PgConnectOptions, Duration), UrlError> {
    let (text, without_host) = with_host(text);
    let mut parsed = Url::parse(&text).map_err(|error| malformed(&explain(error)))?;
    whole(&parsed)?;
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
    Ok((options, connect_timeout))
}

type Pairs = Vec<(String, String)>;

/// The parameters to hand on, and the time to connect.
fn query(url: &Url) -> Result<(Pairs, Duration), UrlError> {
    let mut pairs = Vec::new();
    let mut longest = CONNECT_TIMEOUT;
    for (key, value) in url.query_pairs() {
        match &*key {
            "connect_timeout" => longest = connect_timeout(&value)?,
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
    Ok((pairs, longest))
}

fn is_root(key: &str) -> bool {
    matches!(key, "sslrootcert" | "ssl-root-cert" | "ssl-ca")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<PgConnectOptions, UrlError> {
        options(url).map(|(options, _)| options)
    }

    fn message(url: &str) -> String {
        read(url).expect_err(url).to_string()
    }

    #[test]
    fn passwords_are_percent_decoded() {
        // sqlx shows a password only in the URL that it builds again.
        use sqlx::ConnectOptions as _;
        let options = read("postgres://me%40corp:p%40ss%2F%23%3F@db.example:6000/app").unwrap();
        assert_eq!(options.get_username(), "me@corp");
        assert_eq!(options.to_url_lossy().password(), Some("p%40ss%2F%23%3F"));
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6000));
    }

    #[test]
    fn ipv6_hosts_lose_their_brackets_so_that_certificates_can_be_checked() {
        assert_eq!(read("postgres://me@[::1]:6000/app").unwrap().get_host(), "::1");
    }

    #[test]
    fn sockets_are_taken_from_either_place() {
        for url in ["postgres:///app?host=/run/pg", "postgres://me:x@/app?host=/run/pg", "postgres://%2Frun%2Fpg/app"] {
            let options = read(url).unwrap();
            assert_eq!(options.get_socket().unwrap().to_str().unwrap().trim_end_matches('/'), "/run/pg", "{url}");
            assert_eq!(options.get_database(), Some("app"), "{url}");
        }
    }

    #[test]
    fn without_a_host_it_is_libpqs() {
        let usual = PgConnectOptions::new_without_pgpass();
        for url in ["postgres://me:x@/app", "postgres://me@", "postgres:///app", "postgres://"] {
            assert_eq!(read(url).unwrap().get_host(), usual.get_host(), "{url}");
        }
    }

    #[test]
    fn the_time_to_connect_can_be_set() {
        assert_eq!(options("postgres://h/d").unwrap().1, CONNECT_TIMEOUT);
        assert_eq!(options("postgres://h/d?connect_timeout=3").unwrap().1, Duration::from_secs(3));
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
        assert!(matches!(read(&url).unwrap().get_ssl_mode(), PgSslMode::VerifyCa));
    }

    #[test]
    fn a_missing_certificate_is_named() {
        assert!(message("postgres://h/d?sslrootcert=/no/such.crt").contains("/no/such.crt"));
    }
}
