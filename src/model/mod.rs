//! The words of the program: settings, workload, measurement, recommendation.
//!
//! Plain data and the rules that hold within it. In: nothing; out: types for every other room.
//! This room does no I/O, so nothing here can fail but a rule.

mod activity;
mod alert;
mod day;
mod dialect;
mod external;
mod fault;
pub(crate) mod figures;
mod interval;
mod measurement;
mod memory;
mod observed;
mod pacing;
mod recommendation;
mod seconds;
mod series;
mod setting;
mod settings;
mod simulation;
mod space;
mod stress;
mod threshold;
mod workload;

pub use activity::{Activity, Counters, SessionState, Sessions, Waits};
pub use alert::{Alert, AlertKind};
pub use day::{Costs, Incident, IncidentKind, Incidents, OperatingDay, Shape};
pub use dialect::{Dialect, is_conflict};
pub use external::{Apply, Call, Command, External, HttpRequest, Ready, Service, Summary, settings_named};
pub use fault::{Fault, FaultKind, FaultPart, FaultPlace};
pub use interval::{Estimate, Interval};
pub use measurement::{
    Acquisition, BreakerCounts, BreakerState, ConnectionCounts, Cpu, Ended, ErrorClass, ErrorCount, FaultRecord,
    Latency, Measurement, OpenLoop, Recovery, Requests, UnderFaults, Utilisation, WarmUp,
};
pub use memory::{Challenger, Drift, Drifting, Judged, Memory, StandingOutcome};
pub use observed::{Nature, Observed, ObservedParameter, ObservedStatement};
pub use pacing::{Offered, Pacing, Stage};
pub use recommendation::{
    CurvePoint, DecidedBy, FaultEvidence, FittedPoint, Insight, Provenance, Recommendation, Row, Throughput,
    ThroughputCurve, Verdict, Verification,
};
pub use series::Point;
pub use setting::{Evidence, Scale, Setting, Spec, Unit, UnknownSetting};
pub use settings::{BrokenRule, Settings, Value, ValueError};
pub use simulation::{Compressed, CompressedShare, IncidentLoss, Loss, Prediction, SimulationEvidence, median_errors};
pub use space::{Axis, Limits, Space, SpaceError};
pub use stress::{Finding, Rung, Severity, StressLoad, StressReport};
pub use threshold::{Grown, Metric, MetricUnit, Threshold, ThresholdError, ThresholdOutcome};
pub use workload::{Domain, Generator, Operation, Parameter, Statement, Workload};
