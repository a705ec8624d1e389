//! Alerts by webhook.
//!
//! In: alerts, and addresses to send them to. Out: one request each, signed where there is a secret, tried again while the other side
//! does not take it; what is never taken is kept in a file, so that no alert is lost in silence. Whoever gives an alert never
//! waits for it.

mod body;
mod dead;
mod sender;

pub use body::{Form, signature};
pub use dead::{DeadLetter, DeadLetters, Held};
pub use sender::{AlertError, Outcome, Patience, Receiver, Sender, Webhook};
#[cfg(test)]
mod tests;
