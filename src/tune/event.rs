use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use crate::model::{Axis, FaultPart, Limits, Measurement, Recommendation, Settings};

/// What a run tells while it goes. Whoever shows it only listens: nothing that a listener does changes the run.
#[derive(Debug, Clone)]
pub enum Event {
    /// Before any load: what will be done.
    Planned(Box<Plan>),
    /// Something a person should know.
    Notice(String),
    /// A phase begins.
    Phase(Phase),
    /// A trial begins.
    TrialStarted(Progress),
    /// A trial ended and is stored.
    TrialEnded(Box<TrialEnded>),
    /// So many simulated days of so many, about, are over.
    Simulating {
        /// Days that are over.
        done: u32,
        /// Of how many at most.
        of: u32,
    },
    /// The run has its answer, and the files are written.
    Finished(Box<Finished>),
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The settings in use are measured.
    Baseline,
    /// Other settings are tried.
    Search,
    /// What opening connections takes is measured.
    Probe,
    /// Days of operation are simulated.
    Simulation,
    /// The simulation is held against trials in which hours are compressed into seconds.
    Compressed,
    /// Side questions are measured: what validation costs.
    Insight,
    /// The best settings found are set against those in use, in pairs.
    Verification,
}

impl Phase {
    /// Whether trials of the phase of this name are trials of settings that could be used, under the run's load: no probes and no
    /// side questions.
    #[must_use]
    pub fn is_of_settings(name: &str) -> bool {
        [Self::Baseline, Self::Search, Self::Verification].iter().any(|phase| phase.name() == name)
    }

    /// Whether trials of the phase of this name have another load than that of the run.
    #[must_use]
    pub fn has_other_load(name: &str) -> bool {
        [Self::Probe, Self::Compressed].iter().any(|phase| phase.name() == name)
    }

    /// The phase's name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Search => "search",
            Self::Probe => "probe",
            Self::Simulation => "simulation",
            Self::Compressed => "compressed",
            Self::Insight => "insight",
            Self::Verification => "verification",
        }
    }
}

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The run's id.
    pub run: String,
    /// The profile's name.
    pub profile: String,
    /// The target, without its password.
    pub target: String,
    /// The database's name and version.
    pub server: String,
    /// Connections that the server has free; `None` for a target without such a limit.
    pub free_connections: Option<u32>,
    /// Concurrent workers.
    pub workers: u32,
    /// Pools that share the server.
    pub instances: u32,
    /// The settings in use.
    pub settings: Settings,
    /// What is searched.
    pub axes: Vec<Axis>,
    /// What a recommendation must keep.
    pub limits: Limits,
    /// Most trials of the search, the baseline's included.
    pub search_trials: u32,
    /// Trials of side questions.
    pub insight_trials: u32,
    /// Pairs of trials of the verification.
    pub verification_pairs: u32,
    /// Pairs after which it looks early, and stops when the result is clear.
    pub early_look: u32,
    /// Length of the measured part of a trial, in seconds.
    pub trial_seconds: f64,
    /// What each trial measures besides, under faults.
    pub faults: Option<FaultPart>,
    /// Longest that the run should take, in seconds, where the profile says so.
    pub time_budget: Option<f64>,
    /// Trials taken over from the interrupted run.
    pub resumed_trials: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// The trial's number, from 1.
    pub trial: u32,
    /// How many trials there will be at most.
    pub of: u32,
    /// How long the rest will take at most, at the pace so far; `None` before the first trial has ended.
    pub left: Option<Duration>,
}

/// A trial and what it measured.
#[derive(Debug, Clone)]
pub struct TrialEnded {
    /// Where the run stands.
    pub progress: Progress,
    /// Why these settings were tried, in a word.
    pub why: String,
    /// The settings.
    pub settings: Settings,
    /// What was measured.
    pub measurement: Measurement,
    /// The best settings so far that kept the limits, as observed, faults counted by their weight, with their plain
    /// throughput; shown, never decided upon.
    pub best: Option<(Settings, f64)>,
    /// Whether the trial was taken over from the interrupted run.
    pub resumed: bool,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The answer.
    pub recommendation: Recommendation,
    /// The files written.
    pub files: Vec<PathBuf>,
}
