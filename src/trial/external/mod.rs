//! Trials on what is a person's own: a program that measures by itself, or a service that is driven over HTTP.

mod call;
mod client;
mod command;
mod scraped;
mod service;
mod summary;
mod template;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

pub(super) use client::{Client, Unanswered};
pub use command::CommandTarget;
pub use service::{ServiceError, ServiceTarget};

use crate::{
    export::{Format, Prefix, UnknownFormat},
    model::{Apply, External, Setting, settings_named},
};

/// What a program of a person's is told beside the settings, and where its output is kept.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What the names of the settings begin with in its environment.
    pub prefix: Prefix,
    /// The folder that keeps what it prints, a file a trial; nowhere without one.
    pub kept: Option<PathBuf>,
    /// Concurrent workers of the profile's load.
    pub workers: u32,
    /// Pools that share the server.
    pub instances: u32,
    /// The length of a trial.
    pub measure: Duration,
    /// The longest warm-up.
    pub warm_up_cap: Duration,
}

/// The settings that a target heeds: those that it says, or else those that its words and its file name; `None` where nothing
/// is named, for then all of them are in its environment and none is known to be passed over.
///
/// # Errors
/// [`UnknownFormat`] when its file is of a format that there is not.
pub fn taken(external: &External) -> Result<Option<BTreeSet<Setting>>, UnknownFormat> {
    let (call, body) = match external {
        External::Command(command) => (Some(&command.call), None),
        External::Http(service) => match &service.apply {
            Apply::Call(call) => (Some(call), None),
            Apply::Request(request) => (None, Some(request)),
        },
    };
    let format = call.and_then(|call| call.file.as_deref()).map(Format::named).transpose()?;
    if let Some(takes) = external.takes() {
        return Ok(Some(takes.clone()));
    }
    let words = call.into_iter().flat_map(|call| call.words.iter().map(String::as_str));
    let body = body.into_iter().flat_map(|request| [request.path.as_str(), request.body.as_str()]);
    let mut named = settings_named(words.chain(body));
    named.extend(
        format.into_iter().flat_map(|format| Setting::all().filter(|setting| format.of(*setting).next().is_some())),
    );
    Ok(Some(named).filter(|named| !named.is_empty()))
}
