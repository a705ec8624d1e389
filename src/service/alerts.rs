//! What of all that happens somebody is alerted of.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::{ServiceError, bus::Told, hub::Hub};
use crate::{
    alert::{DeadLetters, Form, Outcome, Patience, Sender, Webhook},
    job,
    model::{Alert, AlertKind, Severity},
    profile::AlertTo,
};

/// What is still so is told again after so long: the next night, jitter and summer time allowed for.
const AGAIN: SignedDuration = SignedDuration::from_hours(20);
/// The guide's least success rate.
const LEAST: f64 = 0.99;

/// A webhook with its address and its key, which are read now.
///
/// # Errors
/// [`ServiceError`] when one of them is not where the configuration says.
pub fn webhook(to: &AlertTo) -> Result<Webhook, ServiceError> {
    let secret =
        to.secret.as_ref().map(|source| job::read_secret(source, &format!("the secret of alert `{}`", to.name)));
    Ok(Webhook {
        name: to.name.clone(),
        url: job::read_secret(&to.url, &format!("the address of alert `{}`", to.name))?,
        form: if to.slack { Form::Slack } else { Form::Json },
        secret: secret.transpose()?,
        kinds: to.kinds.clone(),
    })
}

/// Reads addresses and keys, and begins to send.
pub(super) fn start(hub: &Arc<Hub>) -> Result<Sender, ServiceError> {
    let webhooks = hub.config.alerts.iter().map(webhook).collect::<Result<_, _>>()?;
    let counted = Arc::clone(hub);
    let noted = move |name: &str, outcome: Outcome| counted.metrics.count_alert(name, outcome);
    let dead = DeadLetters::of(&hub.config.results);
    Ok(Sender::start(webhooks, dead, Patience::default(), noted).map_err(job::JobError::input)?)
}

/// What was alerted of, so that what stays as it is is not told again and again, also after a restart.
pub(super) struct Past {
    last: Mutex<Last>,
    /// Where what is wrong is remembered.
    file: PathBuf,
}

#[derive(Default)]
struct Last {
    /// What is recommended, by where it comes from.
    recommended: BTreeMap<String, String>,
    /// When what is wrong was told last: its kind, where it comes from, its title.
    wrong: BTreeMap<String, Timestamp>,
}

impl Past {
    /// With what the service of a results folder has alerted of before.
    pub(super) fn of(results: &Path) -> Self {
        let file = results.join(".alerted.json");
        let text = fs::read_to_string(&file).unwrap_or_default();
        // Whatever else is there costs an alert too many, not the service.
        let wrong = serde_json::from_str(&text).unwrap_or_default();
        Self { last: Mutex::new(Last { wrong, ..Last::default() }), file }
    }

    fn remember(&self, wrong: &BTreeMap<String, Timestamp>) {
        let written =
            serde_json::to_string(wrong).map_err(io::Error::from).and_then(|text| fs::write(&self.file, text));
        if let Err(error) = written {
            tracing::warn!(file = %self.file.display(), %error, "what was alerted of cannot be remembered");
        }
    }

    /// The alerts for what has happened, as far as they are news.
    pub(super) fn alerts(&self, told: &Told, now: Timestamp) -> Vec<Alert> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.wrong.retain(|_, at| now.duration_since(*at) < AGAIN);
        let mut alerts = of(told, now);
        alerts.retain(|Alert { kind, source, title, .. }| match kind {
            // What is recommended is news when it is something else; what is wrong is still wrong the next day.
            AlertKind::Recommendation => {
                last.recommended.insert(source.clone(), title.clone()).is_none_or(|before| before != *title)
            }
            kind => {
                let news = last.wrong.insert(format!("{} {source}: {title}", kind.name()), now).is_none();
                if news {
                    self.remember(&last.wrong);
                }
                news
            }
        });
        alerts
    }
}

fn of(told: &Told, now: Timestamp) -> Vec<Alert> {
    let make = |kind: AlertKind, source: &str, run: Option<&String>, title: String, text: String| Alert {
        kind,
        at: job::stored_time(now),
        title,
        text,
        source: source.to_owned(),
        run: run.cloned(),
    };
    match told {
        Told::RunFinished { run, experiment, profile, recommends, withdrawn, drift, verdict, success_in_use } => {
            let source = format!("{experiment}, profile {profile}");
            let alert = |kind, title, text| make(kind, &source, Some(run), title, text);
            let success = success_in_use.filter(|success| *success < LEAST).map(|success| {
                let title = format!("{:.2} % of requests succeed with the settings in use", success * 100.0);
                alert(AlertKind::Success, title, format!("Fewer than 99 %. {verdict}"))
            });
            let drift = (!drift.is_empty()).then(|| {
                alert(AlertKind::Drift, "the settings in use have left their own history".to_owned(), drift.join("; "))
            });
            let news = match recommends {
                Some(changes) => Some(format!("use {changes}")),
                None if *withdrawn => Some("what stood recommended is withdrawn".to_owned()),
                None => None,
            };
            let news = news.map(|title| alert(AlertKind::Recommendation, title, verdict.clone()));
            success.into_iter().chain(drift).chain(news).collect()
        }
        Told::RunStopped { run, experiment, interrupted: false, error } => {
            let title = format!("a run ended without an answer: {}", shortened(error));
            vec![make(AlertKind::RunFailed, experiment, run.as_ref(), title, error.clone())]
        }
        Told::RoundEnded { experiment, error: Some(error) } => {
            let title = format!("an experiment could not be run: {}", shortened(error));
            vec![make(AlertKind::RunFailed, experiment, None, title, error.clone())]
        }
        Told::Stressed { run, experiment, passed: false, text } => {
            let title = "stress tests miss a threshold".to_owned();
            vec![make(AlertKind::Stress, experiment, Some(run), title, format!("{text}."))]
        }
        Told::NotStressed { run, experiment, error } => {
            let title = format!("stress tests could not be made: {}", shortened(error));
            vec![make(AlertKind::RunFailed, experiment, run.as_ref(), title, error.clone())]
        }
        Told::Trial { run, experiment, phase, breaker_opened, trial, .. }
            if phase == "baseline" && *breaker_opened > 0 =>
        {
            vec![make(
                AlertKind::Breaker,
                experiment,
                Some(run),
                "the circuit breaker opens with the settings in use".to_owned(),
                format!("It opened {breaker_opened} times in trial {trial}, in which nothing was broken on purpose."),
            )]
        }
        Told::FindingBegan { monitor, finding } if finding.severity == Severity::Serious => {
            let text = format!("{}. {}.", finding.evidence.join("; "), finding.remedy);
            vec![make(AlertKind::Finding, monitor, None, finding.title.clone(), text)]
        }
        Told::SourceDown { monitor, source, problem } => {
            vec![make(AlertKind::Finding, monitor, None, format!("{source} cannot be read"), problem.clone())]
        }
        _ => Vec::new(),
    }
}

/// An error's beginning, as part of a title.
fn shortened(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: &str) -> Told {
        Told::RunStopped { run: None, experiment: "nightly".to_owned(), interrupted: false, error: error.to_owned() }
    }

    fn finished(recommends: Option<&str>, success_in_use: Option<f64>) -> Told {
        Told::RunFinished {
            run: "r".to_owned(),
            experiment: "nightly".to_owned(),
            profile: "heavy".to_owned(),
            recommends: recommends.map(str::to_owned),
            withdrawn: false,
            drift: Vec::new(),
            verdict: "A sentence.".to_owned(),
            success_in_use,
        }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    fn titles(past: &Past, told: &Told, hours: i64) -> Vec<(AlertKind, String)> {
        past.alerts(told, at(hours)).into_iter().map(|alert| (alert.kind, alert.title)).collect()
    }

    #[test]
    fn what_stays_wrong_is_told_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let past = Past::of(folder.path());
        assert_eq!(past.alerts(&failed("down"), at(0))[0].kind, AlertKind::RunFailed);
        assert_eq!(past.alerts(&failed("down"), at(1)), []);
        // Also after a restart.
        assert_eq!(Past::of(folder.path()).alerts(&failed("down"), at(1)), []);
        // Another cause is another alert.
        assert_eq!(past.alerts(&failed("full"), at(1)).len(), 1);
        assert_eq!(past.alerts(&failed("down"), at(24)).len(), 1);
    }

    #[test]
    fn the_same_recommendation_is_told_once_and_another_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let past = Past::of(folder.path());
        let news = |changes: &str| vec![(AlertKind::Recommendation, format!("use {changes}"))];
        let told = |changes: &str, night: i64| titles(&past, &finished(Some(changes), None), night * 24);
        assert_eq!(told("max_connections 20 instead of 30", 0), news("max_connections 20 instead of 30"));
        assert_eq!(
            (told("max_connections 20 instead of 30", 1), told("max_connections 20 instead of 30", 9)),
            (vec![], vec![])
        );
        assert_eq!(told("max_connections 22 instead of 30", 10), news("max_connections 22 instead of 30"));
        let Told::RunFinished { run, experiment, profile, drift, verdict, .. } = finished(None, None) else { return };
        let withdrawn = Told::RunFinished {
            run,
            experiment,
            profile,
            drift,
            verdict,
            recommends: None,
            withdrawn: true,
            success_in_use: None,
        };
        assert_eq!(titles(&past, &withdrawn, 264)[0].1, "what stood recommended is withdrawn");
    }

    #[test]
    fn an_interruption_and_a_keep_are_no_alerts_and_failed_requests_are() {
        let folder = tempfile::tempdir().unwrap();
        let past = Past::of(folder.path());
        let interrupted = Told::RunStopped {
            run: None,
            experiment: "n".to_owned(),
            interrupted: true,
            error: "interrupted".to_owned(),
        };
        for event in [interrupted, finished(None, None), finished(None, Some(0.999))] {
            assert_eq!(past.alerts(&event, at(0)), []);
        }
        let low = titles(&past, &finished(None, Some(0.981)), 0);
        assert_eq!(low, [(AlertKind::Success, "98.10 % of requests succeed with the settings in use".to_owned())]);
    }
}
