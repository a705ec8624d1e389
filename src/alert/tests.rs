//! Webhooks against a server that takes, refuses, fails and hangs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::model::{Alert, AlertKind};

/// What a server answers, one after the other, the last one again and again; and what it was sent.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<Option<StatusCode>>>>,
    sent: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

/// Takes a message as the script says; without an answer it hangs.
async fn take(
    State(script): State<Script>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    script.sent.lock().unwrap().push((headers, body));
    let answer = {
        let mut answers = script.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0] }
    };
    let status = match answer {
        Some(status) => status,
        None => std::future::pending().await,
    };
    // Less than any pause: whoever takes it for a bound must not fall over it.
    (status, [("retry-after", "0")])
}

async fn server(answers: &[Option<StatusCode>]) -> (String, Script, JoinSet<()>) {
    let script = Script { answers: Arc::new(Mutex::new(answers.to_vec())), ..Script::default() };
    let app = Router::new().route("/hook", post(take)).with_state(script.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, script, tasks)
}

fn webhook(name: &str, url: &str) -> Webhook {
    Webhook {
        name: name.to_owned(),
        url: SecretString::from(url),
        form: Form::Json,
        secret: Some(SecretString::from("hunter2")),
        kinds: AlertKind::ALL.to_vec(),
    }
}

fn alert(title: &str) -> Alert {
    Alert {
        kind: AlertKind::Drift,
        at: "2026-11-01T02:00:00Z".to_owned(),
        title: title.to_owned(),
        text: "a text".to_owned(),
        source: "nightly".to_owned(),
        run: None,
    }
}

const PATIENCE: Patience =
    Patience { answer: Duration::from_millis(200), first_pause: Duration::from_millis(10), tries: 4 };

/// Sends alerts, waits until all are sent or given up; gives what became of them, and the dead letters.
async fn outcomes(url: &str, titles: &[&str]) -> (Vec<Outcome>, Vec<DeadLetter>) {
    let folder = tempfile::tempdir().unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&noted);
    let noting = move |_: &str, outcome| note.lock().unwrap().push(outcome);
    let sender = Sender::start(vec![webhook("ops", url)], DeadLetters::of(folder.path()), PATIENCE, noting).unwrap();
    for title in titles {
        sender.send(&alert(title));
    }
    sender.close(Duration::from_secs(30)).await;
    let outcomes = noted.lock().unwrap().clone();
    (outcomes, DeadLetters::of(folder.path()).read().unwrap())
}

#[tokio::test]
async fn a_message_is_signed_and_tried_again_until_it_is_taken() {
    let (url, script, _server) = server(&[
        Some(StatusCode::INTERNAL_SERVER_ERROR),
        None,
        Some(StatusCode::TOO_MANY_REQUESTS),
        Some(StatusCode::OK),
    ])
    .await;
    let (outcomes, dead) = outcomes(&url, &["one"]).await;
    assert_eq!((outcomes, dead), (vec![Outcome::Sent], Vec::new()));
    let sent = script.sent.lock().unwrap();
    assert_eq!(sent.len(), 4);
    for (headers, body) in sent.iter() {
        let time = headers["x-pool-tune-timestamp"].to_str().unwrap().parse().unwrap();
        assert_eq!(headers["x-pool-tune-signature"], signature(b"hunter2", time, body));
        assert!(body.contains("\"title\":\"one\""), "{body}");
    }
}

#[tokio::test]
async fn what_is_never_taken_is_kept_and_the_next_one_is_sent_all_the_same() {
    let failing = [Some(StatusCode::BAD_GATEWAY); 4];
    let (url, script, _server) = server(&[&failing[..], &[Some(StatusCode::OK)]].concat()).await;
    let (outcomes, dead) = outcomes(&url, &["one", "two"]).await;
    assert_eq!(outcomes, [Outcome::Dead, Outcome::Sent]);
    assert_eq!(
        (dead.len(), dead[0].webhook.as_str(), dead[0].problem.as_str()),
        (1, "ops", "it answered 502 Bad Gateway")
    );
    assert!(dead[0].body.contains("\"title\":\"one\"") && !dead[0].problem.contains("http://"), "{dead:?}");
    assert_eq!(script.sent.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    let (url, script, _server) = server(&[Some(StatusCode::FORBIDDEN)]).await;
    let (outcomes, dead) = outcomes(&url, &["one"]).await;
    assert_eq!((outcomes, dead.len()), (vec![Outcome::Dead], 1));
    assert_eq!(script.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_and_what_waits_at_the_end_is_kept() {
    let (url, _script, _server) = server(&[None]).await;
    let (good, taken, _other) = server(&[Some(StatusCode::OK)]).await;
    let folder = tempfile::tempdir().unwrap();
    let patience = Patience { answer: Duration::from_secs(60), ..PATIENCE };
    let webhooks = vec![webhook("hangs", &url), webhook("good", &good)];
    let sender = Sender::start(webhooks, DeadLetters::of(folder.path()), patience, |_, _| {}).unwrap();
    for title in ["one", "two", "three"] {
        sender.send(&alert(title));
    }
    while taken.sent.lock().unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sender.close(Duration::from_millis(100)).await;
    let dead = DeadLetters::of(folder.path()).read().unwrap();
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(
        dead.iter().all(|letter| letter.webhook == "hangs" && letter.problem.contains("the service ended")),
        "{dead:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_told_without_it() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["hooks.example/hunter2", "ftp://hooks.example/hunter2", ""] {
        let started = Sender::start(vec![webhook("ops", url)], DeadLetters::of(folder.path()), PATIENCE, |_, _| {});
        let error = started.err().unwrap().to_string();
        assert!(error.contains("`ops`") && !error.contains("hunter2"), "{error}");
    }
}
