//! What is sent.

use ring::hmac;
use serde_json::json;

use crate::model::{Alert, AlertKind};

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The alert's own fields as JSON.
    Json,
    /// What Slack's incoming webhooks take, and Mattermost's and others' after them: `text`, and blocks.
    Slack,
}

impl Form {
    /// The body of a request.
    pub(super) fn body(self, alert: &Alert) -> String {
        match self {
            Self::Json => json!({ "program": "pool-tune", "version": env!("CARGO_PKG_VERSION"), "alert": alert }),
            Self::Slack => {
                let Alert { kind, title, text, source, run, at } = alert;
                let from = match run {
                    Some(run) => format!("{source}, run {run}, {at}"),
                    None => format!("{source}, {at}"),
                };
                let mark = match kind {
                    AlertKind::Recommendation => ":bulb:",
                    AlertKind::Drift => ":chart_with_downwards_trend:",
                    AlertKind::Test => ":wave:",
                    _ => ":rotating_light:",
                };
                json!({
                    "text": escaped(&format!("pool-tune: {title}")),
                    "blocks": [
                        { "type": "section", "text": { "type": "mrkdwn", "text": format!("{mark} *{}*\n{}", escaped(title), escaped(text)) } },
                        { "type": "context", "elements": [{ "type": "mrkdwn", "text": escaped(&from) }] },
                    ],
                })
            }
        }
        .to_string()
    }
}

/// Slack's three characters with a meaning (<https://docs.slack.dev/messaging/formatting-message-text>).
fn escaped(text: &str) -> String {
    // A block takes 3000 characters.
    let text: String = text.chars().take(2500).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The signature of a body that was sent at a time (seconds since 1970): `v1=` and HMAC-SHA256 of `time.body` in hexadecimal.
/// With the time in it, an old message cannot be sent again as a new one.
#[must_use]
pub fn signature(secret: &[u8], time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    tag.as_ref().iter().fold("v1=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            kind: AlertKind::Recommendation,
            at: "2026-11-01T02:00:00Z".to_owned(),
            title: "better settings <for> heavy".to_owned(),
            text: "21 & more".to_owned(),
            source: "nightly".to_owned(),
            run: Some("r1".to_owned()),
        }
    }

    #[test]
    fn slack_is_given_text_that_it_cannot_misread() {
        let body: serde_json::Value = serde_json::from_str(&Form::Slack.body(&alert())).unwrap();
        assert_eq!(body["text"], "pool-tune: better settings &lt;for&gt; heavy");
        assert_eq!(body["blocks"][0]["text"]["text"], ":bulb: *better settings &lt;for&gt; heavy*\n21 &amp; more");
    }

    #[test]
    fn json_has_the_alerts_own_fields() {
        let body: serde_json::Value = serde_json::from_str(&Form::Json.body(&alert())).unwrap();
        assert_eq!((&body["alert"]["kind"], &body["alert"]["run"]), (&json!("recommendation"), &json!("r1")));
    }

    #[test]
    fn a_signature_is_what_openssl_says() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let expected = "v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature(b"secret", 1_700_000_000, "{}"), expected);
    }
}
