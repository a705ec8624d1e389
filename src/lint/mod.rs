//! What is wrong with an existing configuration, told without a trial.
//!
//! In: the names of a configuration with what they hold and where they stand, and what is known of its circumstances. Out:
//! [`Finding`]s with evidence and remedy, and their text, JSON or SARIF. It reads no file and opens no connection. What a
//! pool does with a value is in the tables of `export/formats`; what no table of a single pool can say is in `checks`.

mod checks;
mod outcomes;
mod pools;
mod render;
mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::export::{Entry, Format};

pub use render::{json, sarif, text};
pub use rules::{Finding, LintRule, RULES, Severity, UnknownRule};

/// What a configuration runs in, as far as it is known.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Processes with a pool of this configuration each.
    pub instances: u32,
    /// How long callers wait for an answer; the usual limit of web servers stands in where it is not known.
    pub deadline: Option<Duration>,
    /// The server, where it was looked at.
    pub server: Option<ServerLimits>,
}

/// What a server allows.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// The server, without a password.
    pub shown: String,
    /// Most connections; `None` where there is no limit.
    pub max_connections: Option<u32>,
    /// Those of them that are kept for superusers and the like.
    pub reserved: u32,
    /// The setting that closes idle sessions, and after how long.
    pub idle_limit: Option<(String, Duration)>,
}

/// What is wrong with a configuration, in the order of its lines.
#[must_use]
pub fn lint(format: &Format, text: &str, entries: &[Entry], circumstances: &Circumstances) -> Vec<Finding> {
    let mut findings = Vec::new();
    outcomes::check_text(text, entries, &mut findings);
    for pool in pools::pools(format, entries) {
        outcomes::check(format, &pool, &mut findings);
        checks::check(format, &pool, circumstances, &mut findings);
    }
    findings.sort_by_key(|finding| (finding.line, finding.column, finding.rule.id));
    // Names that several pools share are judged with each of them.
    findings.dedup();
    findings
}
