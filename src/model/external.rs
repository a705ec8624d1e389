//! Targets that are a person's own: a program that measures by itself, a service that is driven over HTTP.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use super::Setting;

/// A target that is neither a database nor a simulation of one.
#[derive(Clone, Debug, PartialEq)]
pub enum External {
    /// A program that measures by itself and tells what it measured.
    Command(Command),
    /// A service that is driven over HTTP.
    Http(Service),
}

impl External {
    /// The settings that it takes; `None` where nothing says so, and then all are taken to be heeded.
    #[must_use]
    pub fn takes(&self) -> Option<&BTreeSet<Setting>> {
        match self {
            Self::Command(command) => command.takes.as_ref(),
            Self::Http(service) => service.takes.as_ref(),
        }
    }
}

/// As it is shown and stored.
impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "command:{}", command.call),
            Self::Http(service) => f.write_str(&service.url),
        }
    }
}

/// A program that measures: it is started once a trial, is given the settings, and prints what it measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// How it is started.
    pub call: Call,
    /// What it prints.
    pub reads: Summary,
    /// The settings that it takes.
    pub takes: Option<BTreeSet<Setting>>,
}

/// How a program of a person's is started. The settings are in its environment, and where the words name them.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The program and its arguments; `{max_connections}` and the like are filled in.
    pub words: Vec<String>,
    /// Where it is started; the present folder without a word.
    pub directory: Option<String>,
    /// The export format of a file that is written for it, whose path is `{file}`.
    pub file: Option<String>,
    /// How long it may take; its own trial's length and a minute without a word.
    pub time_limit: Option<Duration>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,{}@%+".contains(c);
            let space = if index == 0 { "" } else { " " };
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{space}{word}")?;
            } else {
                write!(f, "{space}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// The forms in which a program tells what it measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    /// Whichever of the others it is.
    #[default]
    Any,
    /// The program's own JSON: one object with `successes`, `failures` and `seconds` at least.
    Json,
    /// What `wrk` prints.
    Wrk,
    /// The JSON that `k6 run --summary-export` writes.
    K6,
    /// The JSON that `oha --output-format json` prints.
    Oha,
    /// What `pgbench` prints.
    Pgbench,
    /// The JSON that `locust --headless --json` prints.
    Locust,
}

impl Summary {
    /// Every form, with the name that it has in profiles.
    pub const NAMED: [(&'static str, Self); 7] = [
        ("any", Self::Any),
        ("json", Self::Json),
        ("wrk", Self::Wrk),
        ("k6", Self::K6),
        ("oha", Self::Oha),
        ("pgbench", Self::Pgbench),
        ("locust", Self::Locust),
    ];

    /// The name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMED.into_iter().find(|(_, known)| *known == self).map_or("any", |(name, _)| name)
    }
}

impl FromStr for Summary {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, summary)| summary).ok_or(())
    }
}

/// A service that is driven over HTTP. What it is asked is in the profile's operations, in the same order as `requests`.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Where it listens: `http://127.0.0.1:8000`.
    pub url: String,
    /// What each operation asks for.
    pub requests: Vec<HttpRequest>,
    /// The status codes that are successes.
    pub success: Vec<RangeInclusive<u16>>,
    /// A request without a whole answer by then has failed.
    pub timeout: Duration,
    /// How settings are put into effect.
    pub apply: Apply,
    /// What says that it is ready.
    pub ready: Ready,
    /// Where its pool's figures can be read, in Prometheus' text format.
    pub metrics: Option<String>,
    /// The settings that it takes.
    pub takes: Option<BTreeSet<Setting>>,
}

/// A request. In all its texts `{name}` is filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query, from the service's URL on.
    pub path: String,
    /// Headers; `${NAME}` in a value is read from the environment.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: String,
}

/// How settings are put into effect in a running service.
#[derive(Clone, Debug, PartialEq)]
pub enum Apply {
    /// By a program, which restarts it or tells it.
    Call(Call),
    /// By a request to the service.
    Request(HttpRequest),
}

/// What says that a service is ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The path that answers with success then.
    pub path: String,
    /// How long that may take.
    pub within: Duration,
}

/// The names of settings in `{…}` of some texts.
pub fn settings_named<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<Setting> {
    let names = |text: &'a str| text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    texts.flat_map(names).filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_a_shell_would_take_it() {
        let words = ["sh", "-c", "echo 'it'", "", "{max_connections}"].map(str::to_owned).to_vec();
        let call = Call { words, directory: None, file: None, time_limit: None };
        assert_eq!(call.to_string(), r"sh -c 'echo '\''it'\''' '' {max_connections}");
    }

    #[test]
    fn settings_are_found_in_templates() {
        let found = settings_named(["--max={max_connections}", "{seconds}", "{idle_timeout}{", "{}"].into_iter());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [Setting::MaxConnections, Setting::IdleTimeout]);
    }
}
