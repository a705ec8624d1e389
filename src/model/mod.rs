//! The words of the program: settings, workload, measurement, recommendation.
//!
//! Plain data and the rules that hold within it. In: nothing; out: types for every other room.
//! This room does no I/O, so nothing here can fail but a rule.

mod fault;
mod interval;
mod measurement;
mod observed;
mod recommendation;
mod setting;
mod settings;
mod space;
mod workload;

pub use fault::{Fault, FaultKind, FaultPlace};
pub use interval::{Estimate, Interval};
pub use measurement::{
    Acquisition, BreakerCounts, ConnectionCounts, Cpu, Ended, ErrorClass, ErrorCount, Latency, Measurement, Requests,
    Utilisation, WarmUp,
};
pub use observed::{Nature, Observed, ObservedParameter, ObservedStatement};
pub use recommendation::{
    CurvePoint, DecidedBy, FittedPoint, Insight, Provenance, Recommendation, Row, Throughput, ThroughputCurve, Verdict,
    Verification,
};
pub use setting::{Evidence, Scale, Setting, Spec, Unit, UnknownSetting};
pub use settings::{BrokenRule, Settings, Value, ValueError};
pub use space::{Axis, Limits, Space, SpaceError};
pub use workload::{Domain, Generator, Operation, Parameter, Statement, Workload};
