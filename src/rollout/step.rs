use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Before, Figure, Reading, gates::shown};

/// A stage among all, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its number.
    pub stage: usize,
    /// How many there are.
    pub of: usize,
}

/// For how long the gates of a stage have held, and have to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// So far.
    pub for_seconds: f64,
    /// In all.
    pub of_seconds: f64,
}

/// What a rollout did: told, and kept in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// It begins.
    Begun {
        /// Its name.
        rollout: String,
        /// The run whose settings it brings into use.
        run: String,
        /// How many stages it has.
        stages: usize,
    },
    /// What a person should know, though it goes on.
    Warned {
        /// In words.
        text: String,
    },
    /// It goes on after it was stopped, or its program died.
    Resumed,
    /// The gates were read.
    Read {
        /// The stage; none before the first.
        place: Option<Place>,
        /// What they said.
        reading: Reading,
        /// For how long they have held.
        watched: Option<Watched>,
        /// Readings in a row that failed.
        failures: u32,
        /// For how long a source has been down, in seconds.
        down_seconds: f64,
    },
    /// What was before the first stage is known.
    Measured {
        /// The figures.
        before: Before,
    },
    /// A stage is being applied.
    Applying {
        /// The stage.
        place: Place,
        /// The share of instances.
        share: f64,
        /// Each setting that differs from what was in use: `max_connections 10 -> 24`.
        settings: Vec<String>,
    },
    /// A stage is applied.
    Applied {
        /// The stage.
        place: Place,
    },
    /// All gates held: it goes forward.
    Passed {
        /// The stage.
        place: Place,
    },
    /// It goes back.
    Returning {
        /// Why.
        why: String,
    },
    /// Going back failed.
    ReturnFailed {
        /// How often, so far.
        attempt: u32,
        /// How often it is tried.
        of: u32,
        /// What went wrong.
        problem: String,
    },
    /// The settings that were in use are applied to all.
    Returned,
    /// The recommended settings are applied to all.
    Done,
    /// Nothing was applied.
    NotBegun {
        /// Why not.
        why: String,
    },
    /// It could not go back.
    Stuck {
        /// The last stage of which anything was applied.
        reached: Option<Place>,
    },
    /// It was stopped, and can go on.
    Stopped {
        /// The last stage of which anything was applied.
        reached: Option<Place>,
    },
}

impl Step {
    /// As a line for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Begun { rollout, run, stages } => {
                let plural = if *stages == 1 { "" } else { "s" };
                format!("rollout {rollout} of run {run} begins: {stages} stage{plural}")
            }
            Self::Warned { text } => format!("warning: {text}"),
            Self::Resumed => "goes on".to_owned(),
            Self::Read { place, reading, watched, failures, down_seconds } => {
                let at = place.map_or("before the first stage".to_owned(), at);
                if !reading.refused.is_empty() {
                    return format!("{at}: a gate cannot be read: {}", reading.refused.join("; "));
                }
                if !reading.failed.is_empty() {
                    return format!("{at}: a gate fails ({failures} in a row): {}", reading.failed.join("; "));
                }
                if !reading.down.is_empty() {
                    return format!("{at}: holds for {} now: {}", seconds(*down_seconds), reading.down.join("; "));
                }
                let figures = figures(&reading.figures);
                match watched {
                    Some(of) => {
                        format!("{at}: {figures}, for {} of {}", seconds(of.for_seconds), seconds(of.of_seconds))
                    }
                    None => format!("{at}: {figures}"),
                }
            }
            Self::Measured { before } => {
                let listed = before.iter().map(|(name, value)| Figure { name: name.clone(), value: *value });
                format!("before the first stage, in the middle: {}", figures(&listed.collect::<Vec<_>>()))
            }
            Self::Applying { place, share, settings } => {
                format!("{}: applies to {} %: {}", at(*place), per_cent(*share), settings.join(", "))
            }
            Self::Applied { place } => format!("{}: applied", at(*place)),
            Self::Passed { place } => format!("{}: all gates held, forward", at(*place)),
            Self::Returning { why } => format!("goes back: {why}"),
            Self::ReturnFailed { attempt, of, problem } => {
                format!("going back failed ({attempt} of {of} times): {problem}")
            }
            Self::Returned => "went back: the settings that were in use are applied to 100 %".to_owned(),
            Self::Done => "done: the recommended settings are applied to 100 %".to_owned(),
            Self::NotBegun { why } => format!("not begun, nothing was applied: {why}"),
            Self::Stuck { reached } => {
                let what = reached.map_or("nothing".to_owned(), at);
                format!("COULD NOT GO BACK: {what} may be applied still, in whole or in part")
            }
            Self::Stopped { reached } => match reached {
                Some(place) => format!("stopped: {} stays applied", at(*place)),
                None => "stopped: nothing was applied".to_owned(),
            },
        }
    }

    /// Whether it is how the rollout ends, or went wrong on its way there: all that is told to who wants to hear little.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self {
            Self::ReturnFailed { .. }
            | Self::Returned
            | Self::Done
            | Self::NotBegun { .. }
            | Self::Stuck { .. }
            | Self::Stopped { .. } => true,
            Self::Begun { .. }
            | Self::Warned { .. }
            | Self::Resumed
            | Self::Read { .. }
            | Self::Measured { .. }
            | Self::Applying { .. }
            | Self::Applied { .. }
            | Self::Passed { .. }
            | Self::Returning { .. } => false,
        }
    }
}

fn at(place: Place) -> String {
    format!("stage {} of {}", place.stage, place.of)
}

fn figures(figures: &[Figure]) -> String {
    if figures.is_empty() {
        return "no finding that is serious".to_owned();
    }
    figures.iter().map(|figure| format!("{} {}", figure.name, shown(figure.value))).collect::<Vec<_>>().join(", ")
}

fn seconds(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    // What is longer than a minute needs no parts of a second.
    let step = if whole < Duration::from_secs(60) { 100 } else { 1000 };
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX) / step * step;
    humantime::format_duration(Duration::from_millis(millis)).to_string()
}

/// A share as a person writes it: `10`, `2.5`.
pub(super) fn per_cent(share: f64) -> String {
    ((share * 1e8).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_as_a_person_does() {
        assert_eq!([0.1, 0.025, 1.0, 0.55].map(per_cent), ["10", "2.5", "100", "55"]);
        assert_eq!([0.5, 12.34, 75.4, 3600.0].map(seconds), ["500ms", "12s 300ms", "1m 15s", "1h"]);
    }
}
