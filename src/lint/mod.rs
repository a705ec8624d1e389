//! What is wrong with an existing configuration, told without a trial.
//!
//! In: the names of a configuration with what they hold and where they stand, and what is known of its circumstances. Out:
//! [`Finding`]s with evidence and remedy, and their text, JSON or SARIF. It reads no file and opens no connection. What a
//! pool does with a value is in the tables of `export/formats`; what no table of a single pool can say is in `checks`.

mod checks;
mod literals;
mod names;
mod outcomes;
mod pgbouncer;
mod pools;
mod render;
mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::export::{Configuration, Entry, Format};

pub use render::{Linted, json, sarif, text};
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
pub fn lint(format: &Format, text: &str, configuration: &Configuration, circumstances: &Circumstances) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Configuration { entries, others } = configuration;
    outcomes::check_text(text, entries, &mut findings);
    names::check(format, text, configuration, &mut findings);
    if format.name == "pgbouncer" {
        pgbouncer::refused(others, &mut findings);
    }
    for document in documents(format, entries) {
        literals::check(format, &document, &mut findings);
        for pool in pools::pools(format, &document, others) {
            outcomes::check(format, &pool, &mut findings);
            checks::check(format, &pool, circumstances, &mut findings);
        }
    }
    findings.sort_by(|one, other| key(one).cmp(&key(other)));
    // Names that several pools or documents share are judged with each of them.
    findings.dedup();
    findings
}

fn key(finding: &Finding) -> (usize, usize, &str, &str) {
    (finding.line, finding.column, finding.rule.id, &finding.what)
}

/// How many names of a configuration are the format's settings, and how many stand where only its pool's names do.
#[must_use]
pub fn names_of(format: &Format, text: &str, configuration: &Configuration) -> (usize, usize) {
    (configuration.entries.len(), names::known(format, text, configuration))
}

/// Formats whose files have several documents of which each overrides the ones before, as Spring's profiles do.
const OVERRIDES: [&str; 2] = ["spring-boot", "hikaricp"];

/// The names of each document, where it overrides the first one over what that has.
fn documents<'a>(format: &Format, entries: &'a [Entry]) -> Vec<Vec<&'a Entry>> {
    let mut numbers: Vec<usize> = entries.iter().map(|entry| entry.document).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() {
        return vec![Vec::new()];
    }
    let of = |number: usize| entries.iter().filter(move |entry| entry.document == number);
    let document = |number: usize| -> Vec<&Entry> {
        let is_said_again = |base: &&Entry| {
            of(number).any(|own| {
                own.field.name == base.field.name && own.section.path == base.section.path && own.path == base.path
            })
        };
        let base = of(0).filter(|base| number != 0 && OVERRIDES.contains(&format.name) && !is_said_again(base));
        let mut names: Vec<_> = base.chain(of(number)).collect();
        names.sort_by_key(|entry| (entry.line, entry.column));
        names
    };
    numbers.into_iter().map(document).collect()
}
