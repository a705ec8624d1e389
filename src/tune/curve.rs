//! The throughput curve as it is told.

use std::collections::BTreeMap;

use crate::{
    curve::{Peak, ScalabilityFit, response_time},
    model::{CurvePoint, FittedPoint, ThroughputCurve},
    profile::Profile,
    stats,
    store::TrialRecord,
};

/// The fitted curve with what was measured.
pub(super) fn told(fit: &ScalabilityFit, profile: &Profile, trials: &[TrialRecord]) -> ThroughputCurve {
    let mut sizes: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    // Trials of the insight vary validation, which is no matter of size.
    for trial in trials.iter().filter(|trial| trial.phase != super::Phase::Insight.name()) {
        sizes.entry(trial.settings.max_connections()).or_default().push(trial.measurement.throughput);
    }
    let think_time = profile.workload.think_time.unwrap_or_default();
    let points = sizes.iter().map(|(&connections, throughputs)| CurvePoint {
        connections,
        throughput: stats::mean(throughputs),
        trials: u32::try_from(throughputs.len()).unwrap_or(u32::MAX),
    });
    let fitted = sizes.keys().map(|&connections| {
        let throughput = fit.throughput(f64::from(connections));
        FittedPoint {
            connections,
            throughput,
            response_time: response_time(profile.workers, throughput.value, think_time),
        }
    });
    let (optimum, remark) = match fit.peak {
        Peak::Inside(peak) => (Some(peak), None),
        Peak::Unclear(peak) => (
            Some(peak),
            Some(
                "the data cannot tell whether the peak lies inside the range: its interval reaches the end".to_owned(),
            ),
        ),
        Peak::Rising => (None, Some("no peak inside the range: throughput still rises at the largest size".to_owned())),
        Peak::Falling => {
            (None, Some("no peak inside the range: throughput falls from the smallest size on".to_owned()))
        }
    };
    ThroughputCurve {
        lambda: fit.lambda,
        sigma: fit.sigma,
        kappa: fit.kappa,
        optimum,
        remark,
        range: fit.sizes,
        points: points.collect(),
        fitted: fitted.collect(),
    }
}
