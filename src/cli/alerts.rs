//! `alerts`: whether webhooks take what they are sent, and what they did not take.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;

use super::{
    exit::{WithCode, bad_input, code, job_error},
    out::outln,
    serve,
};
use crate::{
    alert::{DeadLetter, DeadLetters, Receiver},
    job::{JobError, stored_time},
    model::{Alert, AlertKind},
    profile::ServiceConfig,
    service,
};

/// How long a webhook may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct AlertsArguments {
    /// The service's configuration, which names the webhooks
    #[arg(short, long, value_name = "FILE", required_if_eq_any = [("test", "true"), ("resend", "true")])]
    config: Option<PathBuf>,
    /// The results folder, in place of what the configuration says
    #[arg(long, value_name = "FOLDER", env = "POOL_TUNE_RESULTS")]
    results: Option<PathBuf>,
    /// Send each webhook an alert that says it is a test, and tell which of them take it
    #[arg(long, conflicts_with = "resend")]
    test: bool,
    /// Send what was kept again, the oldest first; what is not taken stays kept
    #[arg(long)]
    resend: bool,
    /// Remove what is kept for this webhook, without sending it
    #[arg(long, value_name = "WEBHOOK", conflicts_with_all = ["test", "resend"])]
    discard: Option<String>,
    /// Print what is kept as JSON
    #[arg(long, conflicts_with_all = ["test", "resend", "discard"])]
    json: bool,
}

/// Lists what was not taken, sends it again, or tries the webhooks.
pub(super) async fn alerts(arguments: &AlertsArguments) -> Result<ExitCode> {
    let mut config = arguments.config.as_deref().map(serve::read).transpose()?.unwrap_or_default();
    if let Some(results) = &arguments.results {
        config.results.clone_from(results);
    }
    let dead = DeadLetters::of(&config.results);
    if arguments.test {
        return test(&config).await;
    }
    if arguments.resend {
        return resend(&config, &dead).await;
    }
    if let Some(webhook) = &arguments.discard {
        return discard(&dead, webhook);
    }
    let letters = dead.read().with_context(|| format!("failed to read `{}`", dead.path().display()))?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&letters).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    for DeadLetter { at, webhook, problem, body } in &letters {
        outln!("{at}  {webhook}: {problem}\n  {body}");
    }
    let many = if letters.len() == 1 { "alert was" } else { "alerts were" };
    let again = if letters.is_empty() { "" } else { "; `--resend` with the service's --config sends them again" };
    outln!("{} {many} not taken{again}", letters.len());
    Ok(ExitCode::SUCCESS)
}

fn discard(dead: &DeadLetters, webhook: &str) -> Result<ExitCode> {
    let failed = || format!("failed to take the alerts out of `{}`", dead.path().display());
    let held = dead.hold().with_context(failed)?;
    let removed = held.letters.iter().filter(|letter| letter.webhook == webhook).count();
    if removed == 0 {
        return Err(bad_input(format!("nothing is kept for a webhook `{webhook}`: `pool-tune alerts` lists what is")));
    }
    held.discard(webhook).with_context(failed)?;
    outln!("{removed} removed, {} kept", held.letters.len() - removed);
    Ok(ExitCode::SUCCESS)
}

fn receivers(config: &ServiceConfig) -> Result<Vec<Receiver>> {
    if config.alerts.is_empty() {
        return Err(bad_input("the configuration has no `alerts`: it names no webhook"));
    }
    let of = |to| {
        let webhook = service::webhook(to).map_err(serve::service_error)?;
        Receiver::new(webhook, ANSWER).map_err(|error| job_error(JobError::input(error)))
    };
    config.alerts.iter().map(of).collect()
}

async fn test(config: &ServiceConfig) -> Result<ExitCode> {
    let alert = Alert {
        kind: AlertKind::Test,
        at: stored_time(Timestamp::now()),
        title: "a test".to_owned(),
        text: "Nothing is wrong: somebody wanted to know whether alerts arrive here.".to_owned(),
        source: "pool-tune alerts --test".to_owned(),
        run: None,
    };
    let mut failed = 0;
    for receiver in receivers(config)? {
        match receiver.send(&alert).await {
            Ok(()) => outln!("{}: taken", receiver.name()),
            Err(problem) => {
                failed += 1;
                outln!("{}: {problem}", receiver.name());
            }
        }
    }
    end(failed, "not every webhook took the test")
}

async fn resend(config: &ServiceConfig, dead: &DeadLetters) -> Result<ExitCode> {
    let receivers = receivers(config)?;
    let failed = || format!("failed to take the alerts out of `{}`", dead.path().display());
    let held = dead.hold().with_context(failed)?;
    let mut sent = 0;
    let (mut failing, mut strangers) = (BTreeSet::new(), BTreeSet::new());
    for letter in &held.letters {
        let Some(to) = receivers.iter().find(|receiver| receiver.name() == letter.webhook) else {
            strangers.insert(letter.webhook.as_str());
            continue;
        };
        // One that does not answer is not asked to take a hundred.
        if failing.contains(to.name()) {
            continue;
        }
        match to.deliver(&letter.body).await {
            Ok(()) => {
                held.remove(letter).with_context(failed)?;
                sent += 1;
                outln!("{}: taken, of {}", to.name(), letter.at);
            }
            Err(problem) => {
                held.note(letter, &problem).with_context(failed)?;
                failing.insert(to.name());
                outln!("{}: {problem}", to.name());
            }
        }
    }
    if !strangers.is_empty() {
        let names: Vec<&str> = strangers.into_iter().collect();
        outln!(
            "kept for {}, which the configuration does not name: `--discard` removes what is kept for it",
            names.join(", ")
        );
    }
    if held.unread > 0 {
        outln!("{} lines cannot be read, and are kept as they are", held.unread);
    }
    let left = held.letters.len() - sent;
    outln!("{sent} sent, {left} kept");
    end(left, "not every alert was taken")
}

fn end(failed: usize, message: &str) -> Result<ExitCode> {
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    Err(anyhow::Error::new(WithCode { code: code::FAILED, message: message.to_owned() }))
}
