//! How a stress test is shown while it goes, on standard error: a live picture in a terminal, plain lines elsewhere.
//!
//! In: the test's events. Out: what a person sees, and `q` (end early, with results) or Ctrl-C (give up) from them.

mod charts;
mod draw;
mod help;
mod live;
mod palette;
mod plain;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;

use live::Live;
use plain::Plain;
use tokio_util::sync::CancellationToken;

use crate::stress::Event;

/// Shows how stress tests go.
pub(super) enum Display {
    /// Nothing.
    Quiet,
    /// Lines now and then.
    Plain(Box<Plain>),
    /// A picture in the terminal.
    Live(Live),
}

/// Gives the terminal back if a picture holds it: for whoever ends the program at once.
pub(super) fn leave() {
    if super::out::is_held() {
        live::restore();
    }
}

impl Display {
    /// A display for standard error as it is. `finish` is cancelled when a person wants to end early, `cancel` when they
    /// give up.
    pub(super) fn new(quiet: bool, plain: bool, cancel: &CancellationToken, finish: &CancellationToken) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if quiet {
            return Self::Quiet;
        }
        if !plain && !dumb && std::io::stderr().is_terminal() {
            match Live::start(cancel.clone(), finish.clone()) {
                Ok(live) => return Self::Live(live),
                Err(error) => tracing::warn!("no live display: {error}"),
            }
        }
        Self::Plain(Box::default())
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event<'_>) {
        match self {
            Self::Quiet => {}
            Self::Plain(plain) => plain.show(event),
            Self::Live(live) => live.show(event),
        }
    }
}
