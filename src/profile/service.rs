//! The service's configuration, in YAML: where it listens, who may change something, what it runs and what it watches.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{
    ProfileError, TargetSource,
    error::Problem,
    experiment::{hidden, is_one_word, target},
    tree::{self, Entry, Kind, Node},
};
use crate::model::AlertKind;

/// Where the service listens unless told otherwise.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8099);
const EXPECTED_BIND: &str = "an address and a port in quotes, such as \"127.0.0.1:8099\" or \"[::1]:8099\"";
/// How often what is watched is read.
const EVERY: Duration = Duration::from_secs(15);
/// How often metrics are pushed: what OpenTelemetry's own libraries do.
const PUSHED_EVERY: Duration = Duration::from_secs(60);

/// What a service is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Names that it answers to besides `localhost`; without one it answers to any where it listens beyond this machine.
    pub hosts: Vec<String>,
    /// Where the token is that whoever changes something has to show; without one the service is read-only.
    pub token: Option<TargetSource>,
    /// The results folder.
    pub results: PathBuf,
    /// Where the store's address is; in a file of the results folder without a word.
    pub store: Option<TargetSource>,
    /// The folder of the experiments.
    pub experiments: PathBuf,
    /// Databases and pools to watch.
    pub monitors: Vec<Watched>,
    /// Who is told what.
    pub alerts: Vec<AlertTo>,
    /// Where metrics are pushed to; to nobody without a word.
    pub otlp: Option<Otlp>,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Its address, for OTLP over HTTP.
    pub endpoint: String,
    /// Where headers are that it asks for, as `name=value,name=value`: they hold a token as a rule.
    pub headers: Option<TargetSource>,
    /// How often metrics are pushed.
    pub every: Duration,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertTo {
    /// What it is called.
    pub name: String,
    /// Where its address is: whoever knows a webhook's can write there.
    pub url: TargetSource,
    /// Whether messages are Slack's, and not the program's own JSON.
    pub slack: bool,
    /// Where the key of signatures is.
    pub secret: Option<TargetSource>,
    /// What it is told; everything without a word.
    pub kinds: Vec<AlertKind>,
}

/// A database, the metrics of an application's pool, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// What it is called.
    pub name: String,
    /// The database.
    pub target: Option<TargetSource>,
    /// The address of the metrics.
    pub metrics: Option<String>,
    /// How often it is read.
    pub every: Duration,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            bind: BIND,
            hosts: Vec::new(),
            token: None,
            results: PathBuf::from("results"),
            store: None,
            experiments: PathBuf::from("experiments"),
            monitors: Vec::new(),
            alerts: Vec::new(),
            otlp: None,
        }
    }
}

impl ServiceConfig {
    /// Reads a configuration; `origin` is its file, for messages.
    ///
    /// # Errors
    /// [`ProfileError`] naming the line, the key and the remedy. It never repeats a token or a target.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ProfileError> {
        tree::read(text).and_then(service).map_err(|problem| problem.of("configuration", origin))
    }

    /// With relative paths seen from a folder.
    #[must_use]
    pub fn seen_from(mut self, folder: &Path) -> Self {
        for path in [&mut self.results, &mut self.experiments] {
            *path = folder.join(&path);
        }
        let watched = self.monitors.iter_mut().filter_map(|watched| watched.target.as_mut());
        let alerts = self.alerts.iter_mut().flat_map(|alert| [Some(&mut alert.url), alert.secret.as_mut()]).flatten();
        let headers = self.otlp.as_mut().and_then(|otlp| otlp.headers.as_mut());
        for source in watched.chain(alerts).chain(self.token.as_mut()).chain(self.store.as_mut()).chain(headers) {
            if let TargetSource::File(path) = source {
                *path = folder.join(&path);
            }
        }
        self
    }
}

fn service(root: Node) -> Result<ServiceConfig, Problem> {
    let mut config = ServiceConfig::default();
    let mut map = root.map("service")?;
    if let Some(entry) = map.take("bind") {
        config.bind = match &entry.node.kind {
            Kind::Text(text) => text.parse().map_err(|_| entry.wrong(EXPECTED_BIND))?,
            _ => return Err(entry.wrong(EXPECTED_BIND)),
        };
    }
    if let Some(entry) = map.take("hosts") {
        let expected =
            "whole names without a port, such as [pool-tune.example.org] (xn--… where they have other letters)";
        for item in entry.list(expected)? {
            // Browsers send names of other letters in punycode, and nobody sends a pattern.
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
            let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.chars().all(is_letter);
            let Kind::Text(name) = &item.node.kind else { return Err(item.wrong(expected)) };
            // An address of version 6 has colons, and no port either.
            let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
            if !is_name(name) && bare.parse::<IpAddr>().is_err() {
                return Err(item.wrong(expected));
            }
            config.hosts.push(name.to_ascii_lowercase());
        }
    }
    let token =
        "`token` is a secret and does not stand here: expected {env: POOL_TUNE_TOKEN} or {file: /run/secrets/token}";
    config.token = map.take("token").map(|entry| elsewhere(entry, "POOL_TUNE_TOKEN", token)).transpose()?;
    let store = "`store` has a password and does not stand here: expected {env: POOL_TUNE_STORE} or {file: /run/secrets/store-url}";
    config.store = map.take("store").map(|entry| elsewhere(entry, "POOL_TUNE_STORE", store)).transpose()?;
    for (key, path) in [("results", &mut config.results), ("experiments", &mut config.experiments)] {
        if let Some(entry) = map.take(key) {
            *path = entry.text()?.into();
        }
    }
    if let Some(entry) = map.take("monitors") {
        for item in entry.list("a list, such as [{name: app, target: {env: DATABASE_URL}}]")? {
            let line = item.line;
            let watched = watched(item)?;
            if config.monitors.iter().any(|other| other.name == watched.name) {
                return Err(Problem::at(line, format!("`monitors` has `{}` twice: name each once", watched.name)));
            }
            config.monitors.push(watched);
        }
    }
    if let Some(entry) = map.take("alerts") {
        for item in entry.list("a list, such as [{name: ops, url: {env: ALERT_URL}, format: slack}]")? {
            let line = item.line;
            let alert = alert(item)?;
            if config.alerts.iter().any(|other| other.name == alert.name) {
                return Err(Problem::at(line, format!("`alerts` has `{}` twice: name each once", alert.name)));
            }
            config.alerts.push(alert);
        }
    }
    config.otlp = map.take("otlp").map(otlp).transpose()?;
    map.end()?;
    Ok(config)
}

fn otlp(entry: Entry) -> Result<Otlp, Problem> {
    let mut map = entry.node.map("otlp")?;
    let endpoint = map.need("endpoint", "http://localhost:4318")?;
    let line = endpoint.line;
    let endpoint = endpoint.text()?;
    let url = Url::parse(&endpoint).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        let text = "`endpoint` is no URL of OTLP over HTTP: expected one such as http://localhost:4318";
        return Err(Problem::at(line, text));
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        let text = "`endpoint` has a user or a query, which may be a secret and would lie in the open here and in logs: expected no \
                    more than such as http://localhost:4318, and `headers: {env: OTEL_EXPORTER_OTLP_HEADERS}` for a token";
        return Err(Problem::at(line, text));
    }
    let headers = "`headers` hold a token and do not stand here: expected {env: OTEL_EXPORTER_OTLP_HEADERS} or {file: …}, which hold \
                   name=value";
    let headers =
        map.take("headers").map(|entry| elsewhere(entry, "OTEL_EXPORTER_OTLP_HEADERS", headers)).transpose()?;
    let every = map.take("every").map(|entry| entry.time(Duration::from_secs(1), Duration::from_secs(3600)));
    let every = every.transpose()?.unwrap_or(PUSHED_EVERY);
    map.end()?;
    Ok(Otlp { endpoint, headers, every })
}

fn alert(item: Entry) -> Result<AlertTo, Problem> {
    let mut map = item.node.map("alerts")?;
    let name = name(&map.need("name", "ops")?)?;
    // Many a webhook's address is all that it takes to write there.
    let url = "`url` is a secret and does not stand here: expected {env: ALERT_URL} or {file: /run/secrets/alert-url}";
    let url = elsewhere(map.need("url", "{env: ALERT_URL}")?, "ALERT_URL", url)?;
    let slack = match map.take("format") {
        None => false,
        Some(entry) => match &entry.node.kind {
            Kind::Text(text) if text == "slack" => true,
            Kind::Text(text) if text == "json" => false,
            _ => return Err(entry.wrong("slack or json")),
        },
    };
    let secret = "`secret` does not stand here: expected {env: ALERT_SECRET} or {file: …}";
    let secret = map.take("secret").map(|entry| elsewhere(entry, "ALERT_SECRET", secret)).transpose()?;
    let mut kinds = AlertKind::ALL.to_vec();
    if let Some(entry) = map.take("on") {
        let names = AlertKind::ALL.map(AlertKind::name).join(", ");
        kinds.clear();
        for item in entry.list(&format!("a list of {names}"))? {
            let kind = match &item.node.kind {
                Kind::Text(text) => AlertKind::ALL.into_iter().find(|kind| kind.name() == text),
                _ => None,
            };
            kinds.push(kind.ok_or_else(|| item.wrong(&format!("one of {names}")))?);
        }
    }
    map.end()?;
    Ok(AlertTo { name, url, slack, secret, kinds })
}

fn name(entry: &Entry) -> Result<String, Problem> {
    match &entry.node.kind {
        Kind::Text(name) if is_one_word(name) => Ok(name.clone()),
        _ => Err(entry.wrong("letters, digits, `-` and `_`, such as app")),
    }
}

/// Where a secret is; what stands in its place may be the secret itself, and is not repeated.
fn elsewhere(entry: Entry, example: &str, problem: &str) -> Result<TargetSource, Problem> {
    match entry.node.kind {
        Kind::Map(_) => hidden(entry, example),
        _ => Err(Problem::at(entry.line, problem)),
    }
}

fn watched(item: Entry) -> Result<Watched, Problem> {
    let line = item.line;
    let mut map = item.node.map("monitors")?;
    let name = name(&map.need("name", "app")?)?;
    let target = map.take("target").map(target).transpose()?;
    let metrics = map.take("metrics").map(Entry::text).transpose()?;
    let every = map.take("every").map(|entry| entry.time(Duration::from_secs(1), Duration::from_secs(3600)));
    let every = every.transpose()?.unwrap_or(EVERY);
    map.end()?;
    if target.is_none() && metrics.is_none() {
        let text = "it names nothing to watch: expected `target`, such as {env: DATABASE_URL}, `metrics`, such as \
                    http://localhost:8080/metrics, or both";
        return Err(Problem::at(line, text));
    }
    Ok(Watched { name, target, metrics, every })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_loopback_without_a_token() {
        let config = ServiceConfig::parse("service.yaml", "").unwrap();
        assert_eq!(config, ServiceConfig::default());
        assert!(config.bind.ip().is_loopback() && config.token.is_none());
    }

    #[test]
    fn everything_is_read_and_paths_are_seen_from_the_file() {
        let text = "alerts: [{name: ops, url: {file: hook}, format: slack, on: [drift]}]\nhosts: [Tune.example.org, \"fd00::1\", \"[fd00::2]\", example.org.]\n\
                    otlp: {endpoint: \"http://otel:4318\", headers: {file: headers}, every: 10s}\nbind: \"[::]:80\"\ntoken: {file: token}\nresults: out\nexperiments: /etc/pool-tune\n\
                    monitors:\n  - {name: app, target: {file: url}, metrics: \"http://localhost/metrics\", every: 5s}\n";
        let config = ServiceConfig::parse("service.yaml", text).unwrap().seen_from(Path::new("/srv"));
        assert_eq!(config.bind.port(), 80);
        assert_eq!(config.token, Some(TargetSource::File("/srv/token".into())));
        assert_eq!((config.results.to_str(), config.experiments.to_str()), (Some("/srv/out"), Some("/etc/pool-tune")));
        let alert = &config.alerts[0];
        assert_eq!(
            (&alert.url, alert.slack, &alert.kinds[..]),
            (&TargetSource::File("/srv/hook".into()), true, &[AlertKind::Drift][..])
        );
        assert_eq!(config.hosts, ["tune.example.org", "fd00::1", "[fd00::2]", "example.org."]);
        let otlp = config.otlp.unwrap();
        assert_eq!(
            (otlp.headers, otlp.every),
            (Some(TargetSource::File("/srv/headers".into())), Duration::from_secs(10))
        );
        let watched = &config.monitors[0];
        assert_eq!(
            (watched.every, &watched.target),
            (Duration::from_secs(5), &Some(TargetSource::File("/srv/url".into())))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_no_secret() {
        for (text, told) in [
            ("bind: 8099", "line 1: `bind` is 8099: expected an address and a port"),
            ("results: out\ntoken: hunter2", "line 2: `token` is a secret and does not stand here"),
            (
                "token: {env: hun ter2}",
                "line 1: expected `env` to be the name of an environment variable, such as POOL_TUNE_TOKEN",
            ),
            ("monitors: [{name: app}]", "line 1: it names nothing to watch"),
            ("monitors: [{name: ../x, metrics: y}]", "letters, digits"),
            ("monitors: [{name: a, metrics: one}, {name: a, metrics: two}]", "`monitors` has `a` twice"),
            ("monitors:\n  - name: a\n    target: postgres://me:hunter2@db/app", "line 3: `target` holds a password"),
            ("alerts: [{name: a, url: \"https://hooks/hunter2\"}]", "`url` is a secret and does not stand here"),
            ("alerts: [{name: a, url: {env: A}, secret: hunter2}]", "`secret` does not stand here"),
            ("alerts: [{name: a, url: {env: A}, on: [drft]}]", "expected one of success, drift"),
            ("otlp: {endpoint: \"localhost:4317\"}", "`endpoint` is no URL of OTLP over HTTP"),
            ("otlp: {endpoint: \"http://\"}", "`endpoint` is no URL of OTLP over HTTP"),
            ("otlp: {endpoint: \"http://me:hunter2@host\"}", "`endpoint` has a user or a query"),
            ("otlp: {endpoint: \"http://hunter2@host\"}", "`headers: {env: OTEL_EXPORTER_OTLP_HEADERS}`"),
            ("\notlp: {endpoint: \"https://host/v1/metrics?key=hunter2\"}", "line 2: `endpoint` has a user or a query"),
            ("otlp: {endpoint: \"https://host/#hunter2\"}", "`endpoint` has a user or a query"),
            ("otlp: {endpoint: \"http://host\", headers: hunter2}", "`headers` hold a token and do not stand here"),
            ("hosts: [\"example.org:8099\"]", "names without a port"),
            ("hosts: [\"https://example.org\"]", "names without a port"),
            ("hosts: [\"*.example.org\"]", "whole names"),
            ("hosts: [\".\"]", "whole names"),
            ("hosts: [\"[fd00::1]:80\"]", "without a port"),
            ("hosts: [bücher.de]", "xn--"),
            ("otlp: {every: 60s}", "endpoint"),
            ("experimnts: x", "did you mean `experiments`?"),
        ] {
            let error = ServiceConfig::parse("service.yaml", text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(error.contains("service.yaml") && !error.contains("hunter2") && !error.contains("ter2"), "{error}");
        }
    }
}
