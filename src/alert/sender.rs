//! Sending, and trying again.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{StatusCode, Url, header};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::mpsc, task::JoinSet, time};

use super::{DeadLetter, DeadLetters, Form, signature};
use crate::{
    http,
    model::{Alert, AlertKind},
};

/// Alerts that wait for one webhook at most; what comes on top is a dead letter at once.
const WAITING: usize = 256;

/// The longest pause that the other side may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Where alerts go.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What it is called; its address may be a secret.
    pub name: String,
    /// Its address.
    pub url: SecretString,
    /// The form of messages.
    pub form: Form,
    /// The key of signatures.
    pub secret: Option<SecretString>,
    /// What it is told.
    pub kinds: Vec<AlertKind>,
}

/// What is wrong with a webhook's address. It is never repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to use webhook `{name}`: its address is no http or https URL")]
pub struct AlertError {
    name: String,
}

/// How long it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long an answer may take.
    pub answer: Duration,
    /// The pause after the first failure; twice as long after each.
    pub first_pause: Duration,
    /// How often it is tried in all.
    pub tries: u32,
}

impl Default for Patience {
    /// Some ten minutes: as long as a deployment of the other side takes.
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), first_pause: Duration::from_secs(5), tries: 8 }
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Sent,
    /// It was given up and kept.
    Dead,
}

/// Sends alerts to webhooks, each on a task of its own, so that one that hangs does not hold up another.
pub struct Sender {
    queues: Vec<(Webhook, mpsc::Sender<Alert>)>,
    dead: Arc<DeadLetters>,
    tasks: JoinSet<()>,
}

impl Sender {
    /// `noted` is told what became of each alert, with the webhook's name.
    ///
    /// # Errors
    /// [`AlertError`] when an address is none.
    pub fn start(
        webhooks: Vec<Webhook>,
        dead: DeadLetters,
        patience: Patience,
        noted: impl Fn(&str, Outcome) + Send + Sync + 'static,
    ) -> Result<Self, AlertError> {
        let (dead, noted) = (Arc::new(dead), Arc::new(noted));
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for webhook in webhooks {
            let (queue, alerts) = mpsc::channel(WAITING);
            let to = Receiver::new(webhook.clone(), patience.answer)?;
            let post = Post { to, patience, dead: Arc::clone(&dead) };
            let noted = Arc::clone(&noted);
            tasks.spawn(post.all(alerts, move |name, outcome| noted(name, outcome)));
            queues.push((webhook, queue));
        }
        Ok(Self { queues, dead, tasks })
    }

    /// Gives an alert to all webhooks that are told of its kind.
    pub fn send(&self, alert: &Alert) {
        for (webhook, queue) in &self.queues {
            if webhook.kinds.contains(&alert.kind) && queue.try_send(alert.clone()).is_err() {
                keep(&self.dead, webhook, webhook.form.body(alert), "too many alerts wait already");
            }
        }
    }

    /// Ends: what is being sent has so long, and what is not taken then is kept.
    pub async fn close(self, grace: Duration) {
        let Self { queues, mut tasks, .. } = self;
        drop(queues);
        time::timeout(grace, async { while tasks.join_next().await.is_some() {} }).await.ok();
        tasks.shutdown().await;
    }
}

fn keep(dead: &DeadLetters, webhook: &Webhook, body: String, problem: &str) {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let letter = DeadLetter { at, webhook: webhook.name.clone(), problem: problem.to_owned(), body };
    tracing::error!(webhook = webhook.name, problem, "an alert could not be delivered; it is kept");
    if let Err(error) = dead.keep(&letter) {
        tracing::error!(%error, body = letter.body, "and it could not be kept either");
    }
}

/// A webhook that can be written to.
pub struct Receiver {
    client: reqwest::Client,
    url: Url,
    webhook: Webhook,
}

impl Receiver {
    /// `answer` is how long it may take to answer.
    ///
    /// # Errors
    /// [`AlertError`] when its address is none.
    pub fn new(webhook: Webhook, answer: Duration) -> Result<Self, AlertError> {
        let wrong = || AlertError { name: webhook.name.clone() };
        let url: Url = webhook.url.expose_secret().parse().map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        let client = http::client().timeout(answer).build().map_err(|_| wrong())?;
        Ok(Self { client, url, webhook })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.webhook.name
    }

    /// Sends an alert once.
    ///
    /// # Errors
    /// What went wrong, in words that do not hold its address.
    pub async fn send(&self, alert: &Alert) -> Result<(), String> {
        self.deliver(&self.webhook.form.body(alert)).await
    }

    /// Sends a message once that could not be delivered before.
    ///
    /// # Errors
    /// What went wrong, in words that do not hold its address.
    pub async fn deliver(&self, body: &str) -> Result<(), String> {
        self.once(body).await.map_err(|failure| failure.problem)
    }
}

/// One webhook's messages on their way.
struct Post {
    to: Receiver,
    patience: Patience,
    dead: Arc<DeadLetters>,
}

/// Alerts whose turn has not come: those that are dropped are kept.
struct Waiting<'a> {
    post: &'a Post,
    alerts: mpsc::Receiver<Alert>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        while let Ok(alert) = self.alerts.try_recv() {
            let webhook = &self.post.to.webhook;
            keep(&self.post.dead, webhook, webhook.form.body(&alert), "the service ended before it was sent");
        }
    }
}

/// A message that is being sent: one that is dropped on the way is kept.
struct Message<'a> {
    post: &'a Post,
    body: String,
    problem: String,
    taken: bool,
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        if !self.taken {
            keep(&self.post.dead, &self.post.to.webhook, std::mem::take(&mut self.body), &self.problem);
        }
    }
}

impl Post {
    async fn all(self, alerts: mpsc::Receiver<Alert>, noted: impl Fn(&str, Outcome)) {
        let mut waiting = Waiting { post: &self, alerts };
        while let Some(alert) = waiting.alerts.recv().await {
            let body = self.to.webhook.form.body(&alert);
            let problem = "the service ended before it was sent".to_owned();
            let mut message = Message { post: &self, body, problem, taken: false };
            self.one(&mut message).await;
            noted(&self.to.webhook.name, if message.taken { Outcome::Sent } else { Outcome::Dead });
        }
    }

    async fn one(&self, message: &mut Message<'_>) {
        let mut pause = self.patience.first_pause;
        for attempt in 1..=self.patience.tries {
            let wait = match self.to.once(&message.body).await {
                Ok(()) => {
                    message.taken = true;
                    return;
                }
                Err(Failure { problem, again, wait }) => {
                    message.problem = problem;
                    if !again || attempt == self.patience.tries {
                        return;
                    }
                    wait
                }
            };
            tracing::warn!(webhook = self.to.webhook.name, problem = message.problem, "an alert is tried again");
            // Whoever asks for a pause gets it, if it is not a day.
            time::sleep(wait.map_or(pause, |wait| wait.max(pause).min(LONGEST_PAUSE))).await;
            pause *= 2;
        }
    }
}

impl Receiver {
    async fn once(&self, body: &str) -> Result<(), Failure> {
        let now = Timestamp::now().as_second();
        let mut request =
            self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
        if let Some(secret) = &self.webhook.secret {
            let signed = signature(secret.expose_secret().as_bytes(), now, body);
            request = request.header("x-pool-tune-timestamp", now).header("x-pool-tune-signature", signed);
        }
        let response = request.send().await.map_err(|error| {
            // An address may be a secret.
            let problem = http::told(&error.without_url());
            Failure { problem, again: true, wait: None }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        // What is wrong with the message is wrong with it the next time too.
        let again =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(Failure { problem: format!("it answered {status}"), again, wait: wait.map(Duration::from_secs) })
    }
}

struct Failure {
    problem: String,
    again: bool,
    wait: Option<Duration>,
}
