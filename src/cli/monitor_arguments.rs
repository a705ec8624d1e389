#![expect(clippy::doc_markdown, reason = "these comments are the help text, shown as they stand")]

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::{exit::bad_input, stress_arguments::duration};
use crate::{
    diagnose,
    model::{Finding, Severity},
    monitor,
};

#[derive(Debug, Args)]
pub(super) struct MonitorArguments {
    /// The database to watch: postgres://user:password@host:port/name, mysql://… [default: DATABASE_URL, where there is no
    /// --metrics either]
    #[arg(short, long, value_name = "URL")]
    pub(super) target: Option<SecretString>,
    /// The application's Prometheus endpoint: http://host:port/metrics
    #[arg(short, long, value_name = "URL")]
    pub(super) metrics: Option<SecretString>,
    /// Time between two readings: 5s, 1m; a bare number is seconds
    #[arg(short, long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) every: Duration,
    /// How long to watch [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) length: Option<Duration>,
    /// Make one reading and end; rules that need several see nothing
    #[arg(long, conflicts_with = "length")]
    pub(super) once: bool,
    /// End with code 10 when such a finding holds at the end: a rule, or `note`, `warning` or `serious` for all from there on
    #[arg(long, value_name = "FINDING", value_parser = FailOn::parse)]
    pub(super) fail_on: Vec<FailOn>,
    /// Print one JSON object a reading
    #[arg(long)]
    pub(super) json: bool,
    /// Print lines, also on a terminal
    #[arg(long, conflicts_with = "json")]
    pub(super) plain: bool,
}

/// A finding that makes the program fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FailOn {
    /// One that is at least so serious.
    From(Severity),
    /// That of a rule.
    Rule(String),
}

impl FailOn {
    fn parse(text: &str) -> Result<Self, String> {
        let severity = Severity::ALL.into_iter().find(|severity| severity.name() == text);
        if let Some(severity) = severity {
            return Ok(Self::From(severity));
        }
        if monitor::rules().any(|rule| rule == text) {
            return Ok(Self::Rule(text.to_owned()));
        }
        let rules: Vec<_> = monitor::rules().collect();
        let other = diagnose::rules().any(|rule| rule == text);
        let why = if other { "that is a rule of `diagnose`; " } else { "" };
        Err(format!("{why}expected note, warning, serious or one of {}", rules.join(", ")))
    }

    pub(super) fn is_met_by(&self, finding: &Finding) -> bool {
        match self {
            Self::From(severity) => finding.severity >= *severity,
            Self::Rule(rule) => finding.rule == *rule,
        }
    }
}

impl MonitorArguments {
    /// What to watch: a database's URL, an address of metrics, or both.
    pub(super) fn sources(&self) -> anyhow::Result<(Option<SecretString>, Option<&SecretString>)> {
        let metrics = self.metrics.as_ref();
        let target = match (&self.target, metrics) {
            (None, None) => std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()).map(SecretString::from),
            (target, _) => target.clone(),
        };
        if target.is_none() && metrics.is_none() {
            return Err(bad_input(
                "there is nothing to watch: name a database with --target (or DATABASE_URL), an application's metrics with \
                 --metrics, or both",
            ));
        }
        Ok((target, metrics))
    }
}
