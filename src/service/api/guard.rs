//! Who may ask for what, and how often.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use secrecy::ExposeSecret as _;

use super::{super::hub::Hub, problem::Problem};

/// Requests a second from one address, and how many at once: an open page asks for one after each trial.
const READS: (u32, u32) = (100, 1000);
/// Changes, wrong tokens included, so that none can be guessed.
const CHANGES: (u32, u32) = (1, 20);
/// Addresses that are remembered; those that have been quiet are forgotten beyond.
const ADDRESSES: usize = 10_000;

pub(super) struct Guard {
    hub: Arc<Hub>,
    reads: DefaultKeyedRateLimiter<IpAddr>,
    changes: DefaultKeyedRateLimiter<IpAddr>,
}

impl Guard {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, reads: limiter(READS), changes: limiter(CHANGES) }
    }

    fn check(&self, from: IpAddr, request: &Request) -> Result<(), Problem> {
        self.host(request)?;
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let limit = if changes { &self.changes } else { &self.reads };
        if limit.len() > ADDRESSES {
            limit.retain_recent();
        }
        if limit.check_key(&from).is_err() {
            let mut problem =
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from one address: wait a second");
            problem.retry_after = Some(1);
            return Err(problem);
        }
        if changes { self.token(request) } else { Ok(()) }
    }

    /// A page elsewhere can make a browser ask here, by a name of its own for this address.
    fn host(&self, request: &Request) -> Result<(), Problem> {
        let config = &self.hub.config;
        if !config.bind.ip().is_loopback() && config.hosts.is_empty() {
            return Ok(());
        }
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if answers_to(host, &config.hosts) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the service does not answer to that name: ask for it by localhost, or write the name into `hosts` of its configuration",
        ))
    }

    fn token(&self, request: &Request) -> Result<(), Problem> {
        let Some(token) = &self.hub.token else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the service has no token and is read-only: write `token: {env: POOL_TUNE_TOKEN}` into its configuration",
            ));
        };
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown = shown.and_then(|shown| shown.split_once(' '));
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        match shown {
            Some(shown) if same(shown.as_bytes(), token.expose_secret().as_bytes()) => Ok(()),
            Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is wrong")),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "show the token: `Authorization: Bearer …`")),
        }
    }
}

/// Whether a `Host` header names this machine by itself, or one of the names.
fn answers_to(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|digit| digit.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let asked = Name::of(name);
    let is_itself = match &asked {
        Name::Address(address) => address.is_loopback(),
        Name::Word(word) => word == "localhost",
    };
    is_itself || names.iter().any(|known| Name::of(known) == asked)
}

/// A host's name in the one form in which it is compared: an address has many texts, and a name may end in the root's dot.
#[derive(PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Word(String),
}

impl Name {
    fn of(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Word(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()),
        }
    }
}

fn limiter((each_second, at_once): (u32, u32)) -> DefaultKeyedRateLimiter<IpAddr> {
    let some = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    RateLimiter::keyed(Quota::per_second(some(each_second)).allow_burst(some(at_once)))
}

/// Compares in a time that does not tell how much of it is right.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other));
    std::hint::black_box(differ) == 0 && one.len() == other.len()
}

pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match guard.check(from.ip(), &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let status = response.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let limit = super::BODY / 1024;
        response = Problem::new(status, format!("the body is larger than {limit} KiB: expected a line of JSON"))
            .into_response();
    }
    guard.hub.metrics.count_request(status.as_u16());
    if !matches!(method, Method::GET | Method::HEAD) {
        tracing::info!(%method, path, status = status.as_u16(), from = %from.ip(), "a change was asked for");
    }
    let headers = response.headers_mut();
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_port_and_case() {
        let names =
            ["tune.example.org", "Dotted.example.org.", "fd00::1", "[FD00:0:0::2]", "10.0.0.7"].map(str::to_owned);
        for (host, answers) in [
            ("localhost:8099", true),
            ("127.0.0.1", true),
            ("[::1]:8099", true),
            ("Tune.Example.org:443", true),
            ("tune.example.org.", true),
            ("[fd00::1]:80", true),
            ("[fd00:0:0:0:0:0:0:1]", true),
            ("[FD00::1]", true),
            ("[fd00::2]:80", true),
            ("10.0.0.7:80", true),
            ("[::ffff:10.0.0.7]", true),
            ("dotted.example.org", true),
            ("DOTTED.example.org.:80", true),
            ("localhost.", true),
            ("[fd00::3]", false),
            ("10.0.0.70", false),
            ("example.org.", false),
            (".", false),
            ("tune.example.org.evil.com", false),
            ("evil.com:80", false),
            ("", false),
        ] {
            assert_eq!(answers_to(host, &names), answers, "{host}");
        }
    }
}
