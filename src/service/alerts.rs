//! What of all that happens somebody is alerted of.

use std::{
    collections::BTreeMap,
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

/// What is still so is told again after so long.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// The guide's least success rate.
const LEAST: f64 = 0.99;

/// Reads addresses and keys, and begins to send.
pub(super) fn start(hub: &Arc<Hub>) -> Result<Sender, ServiceError> {
    let webhook = |to: &AlertTo| {
        let secret =
            to.secret.as_ref().map(|source| job::read_secret(source, &format!("the secret of alert `{}`", to.name)));
        Ok::<_, ServiceError>(Webhook {
            name: to.name.clone(),
            url: job::read_secret(&to.url, &format!("the address of alert `{}`", to.name))?,
            form: if to.slack { Form::Slack } else { Form::Json },
            secret: secret.transpose()?,
            kinds: to.kinds.clone(),
        })
    };
    let webhooks = hub.config.alerts.iter().map(webhook).collect::<Result<_, _>>()?;
    let counted = Arc::clone(hub);
    let noted = move |name: &str, outcome: Outcome| counted.metrics.count_alert(name, outcome);
    let dead = DeadLetters::of(&hub.config.results);
    Ok(Sender::start(webhooks, dead, Patience::default(), noted).map_err(job::JobError::input)?)
}

/// What was alerted of, so that what stays as it is is not told again and again.
#[derive(Default)]
pub(super) struct Told24 {
    last: Mutex<BTreeMap<(AlertKind, String), (String, Timestamp)>>,
}

impl Told24 {
    /// The alert for what has happened, if it is one and news.
    pub(super) fn alert(&self, told: &Told, now: Timestamp) -> Option<Alert> {
        let alert = of(told, now)?;
        let key = (alert.kind, alert.source.clone());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((title, at)) = last.get(&key)
            && *title == alert.title
            && now.duration_since(*at) < AGAIN
        {
            return None;
        }
        last.insert(key, (alert.title.clone(), now));
        Some(alert)
    }
}

fn of(told: &Told, now: Timestamp) -> Option<Alert> {
    let make = |kind: AlertKind, source: &str, run: Option<&String>, title: String, text: String| {
        Some(Alert { kind, at: job::stored_time(now), title, text, source: source.to_owned(), run: run.cloned() })
    };
    match told {
        Told::RunFinished { run, experiment, success_in_use: Some(success), verdict, .. } if *success < LEAST => make(
            AlertKind::Success,
            experiment,
            Some(run),
            format!("{:.2} % of requests succeed with the settings in use", success * 100.0),
            format!("Fewer than 99 %. {verdict}"),
        ),
        Told::RunFinished { run, experiment, change: true, verdict, .. } => make(
            AlertKind::Recommendation,
            experiment,
            Some(run),
            "other settings are recommended".to_owned(),
            verdict.clone(),
        ),
        Told::RunStopped { run, experiment, interrupted: false, error } => make(
            AlertKind::RunFailed,
            experiment,
            run.as_ref(),
            "a run ended without an answer".to_owned(),
            error.clone(),
        ),
        Told::RoundEnded { experiment, error: Some(error) } => {
            make(AlertKind::RunFailed, experiment, None, "an experiment could not be run".to_owned(), error.clone())
        }
        Told::Trial { run, experiment, phase, breaker_opened, trial, .. }
            if phase == "baseline" && *breaker_opened > 0 =>
        {
            make(
                AlertKind::Breaker,
                experiment,
                Some(run),
                "the circuit breaker opens with the settings in use".to_owned(),
                format!("It opened {breaker_opened} times in trial {trial}, in which nothing was broken on purpose."),
            )
        }
        Told::FindingBegan { monitor, finding } if finding.severity == Severity::Serious => make(
            AlertKind::Finding,
            monitor,
            None,
            finding.title.clone(),
            format!("{}. {}.", finding.evidence.join("; "), finding.remedy),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: &str) -> Told {
        Told::RunStopped { run: None, experiment: "nightly".to_owned(), interrupted: false, error: error.to_owned() }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    #[test]
    fn what_stays_so_is_told_once_a_day() {
        let told = Told24::default();
        assert_eq!(told.alert(&failed("down"), at(0)).unwrap().kind, AlertKind::RunFailed);
        assert_eq!(told.alert(&failed("down"), at(23)), None);
        assert!(told.alert(&failed("down"), at(24)).is_some());
    }

    #[test]
    fn an_interruption_and_a_keep_are_no_alerts() {
        let told = Told24::default();
        let interrupted = Told::RunStopped {
            run: None,
            experiment: "n".to_owned(),
            interrupted: true,
            error: "interrupted".to_owned(),
        };
        let keep = |success| Told::RunFinished {
            run: "r".to_owned(),
            experiment: "n".to_owned(),
            change: false,
            verdict: "Keep.".to_owned(),
            success_in_use: success,
        };
        for event in [interrupted, keep(None), keep(Some(0.999))] {
            assert_eq!(told.alert(&event, at(0)), None);
        }
        let low = told.alert(&keep(Some(0.981)), at(0)).unwrap();
        assert_eq!(
            (low.kind, low.title.as_str()),
            (AlertKind::Success, "98.10 % of requests succeed with the settings in use")
        );
    }
}
