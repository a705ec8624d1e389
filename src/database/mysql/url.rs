use std::{str::FromStr, time::Duration};

use sqlx::mysql::MySqlConnectOptions;
use url::Url;

use super::Way;
use crate::database::{
    UrlError, account,
    url::{CONNECT_TIMEOUT, ENCODE, cause, connect_timeout, explain, malformed, readable, whole, with_host},
};

/// Parameters that are handed on to sqlx, by their names there.
const KNOWN: [(&str, &str); 13] = [
    ("ssl-mode", "ssl-mode"),
    ("sslmode", "ssl-mode"),
    ("ssl_mode", "ssl-mode"),
    ("ssl-ca", "ssl-ca"),
    ("sslca", "ssl-ca"),
    ("ssl_ca", "ssl-ca"),
    ("ssl-cert", "ssl-cert"),
    ("sslcert", "ssl-cert"),
    ("ssl_cert", "ssl-cert"),
    ("ssl-key", "ssl-key"),
    ("sslkey", "ssl-key"),
    ("ssl_key", "ssl-key"),
    ("socket", "socket"),
];

/// What `ssl-mode` can be.
const SSL_MODES: [&str; 5] = ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];

/// Parameters of common drivers that change nothing here.
const IGNORED: [&str; 14] = [
    "charset",
    "collation",
    "timezone",
    "time_zone",
    "time-zone",
    "statement-cache-capacity",
    "useSSL",
    "useUnicode",
    "characterEncoding",
    "serverTimezone",
    "parseTime",
    "loc",
    "pool_timeout",
    "connection_limit",
];

/// Reads the URL of a MySQL or MariaDB; gives the way there, and how long a control connection may take to open.
pub(in crate::database) fn parse(text: &str) -> Result<(Way, Duration), UrlError> {
    let (options, connect_timeout) = options(text)?;
    Ok((Way::new(options), connect_timeout))
}

fn options(text: &str) -> Result<(MySqlConnectOptions, Duration), UrlError> {
    let (text, _) = with_host(text);
    let mut parsed = Url::parse(&text).map_err(|error| malformed(&explain(error)))?;
    whole(&parsed)?;
    let mut pairs = Vec::new();
    let mut longest = CONNECT_TIMEOUT;
    for (key, value) in parsed.query_pairs() {
        if matches!(&*key, "connect_timeout" | "connect-timeout") {
            longest = connect_timeout(&value)?;
            continue;
        }
        let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == key) else {
            if IGNORED.contains(&&*key) {
                tracing::debug!(%key, "parameter of the database URL ignored");
                continue;
            }
            return Err(malformed(&format!(
                "it has an unknown parameter after `?`; if that is no parameter, {ENCODE}"
            )));
        };
        let mut value = value.into_owned();
        match *known {
            "ssl-mode" => {
                // The names that PostgreSQL's drivers have are understood as well.
                value = value.to_ascii_uppercase().replace('-', "_");
                value = match value.as_str() {
                    "DISABLE" => "DISABLED".to_owned(),
                    "PREFER" => "PREFERRED".to_owned(),
                    "REQUIRE" => "REQUIRED".to_owned(),
                    _ => value,
                };
                if !SSL_MODES.contains(&value.as_str()) {
                    return Err(malformed(&format!("`ssl-mode` is none of {}", SSL_MODES.join(", "))));
                }
            }
            "ssl-ca" | "ssl-cert" | "ssl-key" => readable(known, &value)?,
            _ => {}
        }
        pairs.push(((*known).to_owned(), value));
    }
    let has_ca = pairs.iter().any(|(key, _)| key == "ssl-ca");
    // As MySQL's own client does: a certificate to check against is checked against.
    if has_ca && !pairs.iter().any(|(key, _)| key == "ssl-mode") {
        pairs.push(("ssl-mode".to_owned(), "VERIFY_CA".to_owned()));
    }
    parsed.set_query(None);
    if !pairs.is_empty() {
        parsed.query_pairs_mut().extend_pairs(&pairs);
    }
    let mut options = MySqlConnectOptions::from_str(parsed.as_str()).map_err(|error| malformed(&cause(&error)))?;
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    options = options.host(&host);
    if parsed.username().is_empty() {
        let user = account::own_name().or_else(|| std::env::var("USER").ok());
        options = options.username(user.as_deref().unwrap_or("root"));
    }
    Ok((options, longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> String {
        options(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_read_as_its_client_would() {
        let (read, connect_timeout) =
            options("mysql://me%40corp:p%40ss@[::1]:6000/shop?ssl-mode=required&connect_timeout=3").unwrap();
        assert_eq!((read.get_username(), read.get_host(), read.get_port()), ("me@corp", "::1", 6000));
        assert_eq!((read.get_database(), connect_timeout), (Some("shop"), Duration::from_secs(3)));
        assert!(matches!(read.get_ssl_mode(), sqlx::mysql::MySqlSslMode::Required));
        let usual = options("mariadb://me@db.example/").unwrap().0;
        assert_eq!((usual.get_port(), usual.get_database()), (3306, None));
    }

    #[test]
    fn a_certificate_to_check_against_is_checked_against() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let url = format!("mysql://h/d?ssl-ca={}", file.path().display());
        assert!(matches!(options(&url).unwrap().0.get_ssl_mode(), sqlx::mysql::MySqlSslMode::VerifyCa));
        assert!(message("mysql://h/d?ssl-ca=/no/such.pem").contains("/no/such.pem"));
    }

    #[test]
    fn parameters_of_other_drivers_do_no_harm_and_unknown_ones_are_told() {
        assert!(options("mysql://h/d?charset=utf8mb4&parseTime=true").is_ok());
        assert!(message("mysql://h/d?ssl-mode=sometimes").contains("VERIFY_CA"));
        assert!(message("mysql://h/d?hunter2").contains("unknown parameter"));
    }
}
