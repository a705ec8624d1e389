//! What the service tells while it goes, to whoever listens: pages, programs, alerts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::model::Finding;

/// How far a listener may fall behind before it is left, and how much of the past can be asked for.
const KEPT: usize = 256;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Told {
    /// An experiment waits for its turn.
    Queued {
        /// Its name.
        experiment: String,
    },
    /// A run begins, or goes on.
    RunStarted {
        /// Its id.
        run: String,
        /// Its experiment.
        experiment: String,
        /// Its place among the experiment's profiles, from 1.
        number: usize,
        /// How many profiles the experiment has.
        of: usize,
    },
    /// A part of a run begins.
    Phase {
        /// The run.
        run: String,
        /// The phase.
        phase: String,
    },
    /// A trial ended and is stored.
    Trial {
        /// The run.
        run: String,
        /// Its experiment.
        experiment: String,
        /// The phase.
        phase: String,
        /// Its number, from 1.
        trial: u32,
        /// How many there will be at most.
        of: u32,
        /// Successful requests a second.
        throughput: f64,
        /// Share of requests that succeeded.
        success_rate: f64,
        /// The circuit breaker opened so often.
        breaker_opened: u64,
    },
    /// What a person should know.
    Notice {
        /// The experiment.
        experiment: String,
        /// What it is.
        text: String,
    },
    /// A run has its answer.
    RunFinished {
        /// The run.
        run: String,
        /// Its experiment.
        experiment: String,
        /// The profile that it tuned.
        profile: String,
        /// What it recommends to change, in words, if anything.
        recommends: Option<String>,
        /// Whether what stood recommended was withdrawn, with nothing in its place.
        withdrawn: bool,
        /// In what the settings in use have left their own history, as sentences.
        drift: Vec<String>,
        /// The answer, as a sentence.
        verdict: String,
        /// Share of requests that succeeded with the settings in use, where pairs of trials have shown it.
        success_in_use: Option<f64>,
    },
    /// A run ended without an answer.
    RunStopped {
        /// The run, once it is stored.
        run: Option<String>,
        /// Its experiment.
        experiment: String,
        /// Whether it goes on at the next start.
        interrupted: bool,
        /// Why.
        error: String,
    },
    /// A stress test of what a run decided begins.
    Test {
        /// The run.
        run: String,
        /// Its experiment.
        experiment: String,
        /// The test.
        name: String,
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// The stress tests of what a run decided have ended.
    Stressed {
        /// The run.
        run: String,
        /// Its experiment.
        experiment: String,
        /// Whether all of them keep their thresholds.
        passed: bool,
        /// What they show, as a sentence.
        text: String,
    },
    /// The stress tests of what a run decided could not be made.
    NotStressed {
        /// The run, where it is known.
        run: Option<String>,
        /// The experiment.
        experiment: String,
        /// Why.
        error: String,
    },
    /// All runs of an experiment are through, or it could not be run.
    RoundEnded {
        /// The experiment.
        experiment: String,
        /// Why it could not be run, if so.
        error: Option<String>,
    },
    /// What is watched shows something.
    FindingBegan {
        /// What is watched.
        monitor: String,
        /// What it shows.
        finding: Finding,
    },
    /// It shows it no more.
    FindingEnded {
        /// What is watched.
        monitor: String,
        /// The rule that had found it.
        rule: String,
        /// What it was.
        title: String,
        /// For how long, in seconds.
        lasted: f64,
    },
    /// What is watched cannot be read.
    SourceDown {
        /// What is watched.
        monitor: String,
        /// Its source, without passwords.
        source: String,
        /// Why.
        problem: String,
    },
    /// It can be read again.
    SourceBack {
        /// What is watched.
        monitor: String,
        /// Its source, without passwords.
        source: String,
    },
    /// The experiments' files have changed.
    ExperimentsChanged,
}

impl Told {
    /// Its name, as events are called by.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::RunStarted { .. } => "run_started",
            Self::Phase { .. } => "phase",
            Self::Trial { .. } => "trial",
            Self::Notice { .. } => "notice",
            Self::RunFinished { .. } => "run_finished",
            Self::RunStopped { .. } => "run_stopped",
            Self::Test { .. } => "test",
            Self::Stressed { .. } => "stressed",
            Self::NotStressed { .. } => "not_stressed",
            Self::RoundEnded { .. } => "round_ended",
            Self::FindingBegan { .. } => "finding_began",
            Self::FindingEnded { .. } => "finding_ended",
            Self::SourceDown { .. } => "source_down",
            Self::SourceBack { .. } => "source_back",
            Self::ExperimentsChanged => "experiments_changed",
        }
    }
}

/// Something that happened, as it is sent.
#[derive(Debug)]
pub(super) struct Message {
    /// Its number; later ones have higher ones, also after a restart.
    pub(super) id: u64,
    /// What it is called.
    pub(super) name: &'static str,
    /// As JSON, written once for all listeners.
    pub(super) data: String,
}

/// An event with its time, as JSON has it.
#[derive(Serialize)]
struct Dated<'a> {
    at: String,
    #[serde(flatten)]
    told: &'a Told,
}

/// Sends to everybody who listens, and waits for nobody.
pub(super) struct Bus {
    sender: broadcast::Sender<Arc<Message>>,
    past: Mutex<Past>,
}

struct Past {
    next: u64,
    messages: VecDeque<Arc<Message>>,
}

impl Bus {
    pub(super) fn new(now: Timestamp) -> Self {
        let next = u64::try_from(now.as_millisecond()).unwrap_or(1);
        Self { sender: broadcast::Sender::new(KEPT), past: Mutex::new(Past { next, messages: VecDeque::new() }) }
    }

    /// Tells everybody.
    pub(super) fn tell(&self, told: &Told) {
        let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let Ok(data) = serde_json::to_string(&Dated { at, told }) else { return };
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let message = Arc::new(Message { id: past.next, name: told.name(), data });
        past.next += 1;
        if past.messages.len() == KEPT {
            past.messages.pop_front();
        }
        past.messages.push_back(Arc::clone(&message));
        // In the lock, so that nobody who begins to listen misses or repeats one. Nobody listening is no error.
        self.sender.send(message).ok();
    }

    /// The number of the last message.
    pub(super) fn last(&self) -> u64 {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).next
    }

    /// What came after the message of a number, and what is to come.
    pub(super) fn listen(&self, after: Option<u64>) -> (Vec<Arc<Message>>, broadcast::Receiver<Arc<Message>>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = after.map_or_else(Vec::new, |after| {
            past.messages.iter().filter(|message| message.id > after).cloned().collect()
        });
        (missed, self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_back_is_told_what_it_has_missed_once() {
        let bus = Bus::new(Timestamp::from_millisecond(1000).unwrap());
        bus.tell(&Told::ExperimentsChanged);
        bus.tell(&Told::Queued { experiment: "nightly".to_owned() });
        let (missed, mut listener) = bus.listen(Some(1000));
        assert_eq!(missed.iter().map(|message| (message.id, message.name)).collect::<Vec<_>>(), [(1001, "queued")]);
        assert!(missed[0].data.contains("\"type\":\"queued\",\"experiment\":\"nightly\""), "{}", missed[0].data);
        bus.tell(&Told::ExperimentsChanged);
        assert_eq!(listener.recv().await.unwrap().id, 1002);
        assert!(bus.listen(None).0.is_empty());
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_left_behind_and_holds_nobody_up() {
        let bus = Bus::new(Timestamp::UNIX_EPOCH);
        let (_, mut listener) = bus.listen(None);
        for _ in 0..=KEPT {
            bus.tell(&Told::ExperimentsChanged);
        }
        assert!(matches!(listener.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    }
}
