//! From what a run measured to what it recommends. Pure: the same evidence gives the same words.

use super::trials::{Disturbances, keeps_limits};
use crate::{
    model::{
        DecidedBy, ErrorClass, Estimate, Evidence as Decidable, Insight, Interval, Measurement, Provenance,
        Recommendation, Row, Setting, Settings, Throughput, ThroughputCurve, Verdict, Verification,
    },
    profile::Profile,
    search::{Answer, CurveReport},
    stats::{self, Verdict as Verified},
    store::TrialRecord,
};

/// What the phases of a run found out.
pub(super) struct Evidence {
    answer: Answer,
    curve: Result<ThroughputCurve, String>,
    insights: Vec<Insight>,
    pairs: Vec<(Measurement, Measurement)>,
    verification: Option<stats::Verification>,
}
