use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::lint::Severity;

#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// The configurations; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "list_rules")]
    pub(super) files: Vec<PathBuf>,
    /// Their format, any of `export --format list` [default: by each file's name and the names in it]
    #[arg(short, long, value_name = "NAME")]
    pub(super) format: Option<String>,
    /// Prefix of the names in config.py and env [default: the most common one in the file]
    #[arg(long)]
    pub(super) prefix: Option<String>,
    /// Processes that have a pool of this configuration each
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) instances: u32,
    /// How long callers wait for an answer: 5s [default: compared with 30 s, as a note]
    #[arg(long, value_name = "TIME", value_parser = super::stress_arguments::pause)]
    pub(super) deadline: Option<Duration>,
    /// Compare with the limits of this server, which are only read: postgres://…, mysql://…
    #[arg(short, long, value_name = "URL", hide_env_values = true)]
    pub(super) target: Option<SecretString>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = LintOutput::Text)]
    pub(super) output: LintOutput,
    /// Leave out the findings of a rule; several times
    #[arg(long, value_name = "RULE")]
    pub(super) allow: Vec<String>,
    /// End with code 10 for findings of this severity or a worse one
    #[arg(long, value_enum, default_value_t = FailOn::Warning)]
    pub(super) fail_on: FailOn,
    /// List the rules
    #[arg(long)]
    pub(super) list_rules: bool,
}

/// What `lint` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LintOutput {
    /// Lines like a compiler's
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// The least severity that fails.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FailOn {
    Error,
    Warning,
    Note,
}

impl FailOn {
    pub(super) fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Note => Severity::Note,
        }
    }
}
