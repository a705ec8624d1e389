//! Why no settings keep the limits, in plain words.

use std::collections::BTreeMap;

use super::trials::keeps_limits;
use crate::{
    model::{ErrorClass, Limits},
    profile::Profile,
    search::Answer,
    store::TrialRecord,
};

/// Which limit fails, by how much, and what would have to give.
pub(super) fn reason(profile: &Profile, answer: Option<&Answer>, trials: &[TrialRecord]) -> String {
    let Limits { success_rate, p95_query } = profile.limits;
    let best = match answer {
        Some(Answer::Infeasible(best)) => best,
        Some(Answer::Feasible(_)) | None => {
            return "no trial served a single request, so no settings can be told apart".to_owned();
        }
    };
    let mut text = String::new();
    let rate = best.success_rate;
    let place = format!(
        "min_connections {}, max_connections {}",
        best.settings.min_connections(),
        best.settings.max_connections()
    );
    let slow = p95_query.is_some_and(|longest| {
        !trials.iter().any(|trial| trial.measurement.requests.succeeded > 0 && trial.measurement.query.p95 <= longest)
    });
    // Where no request failed, too few were made to show that hardly any fails: then another limit decides.
    let failed = trials.iter().any(|trial| trial.measurement.requests.failed > 0);
    let most = trials.iter().map(|trial| trial.measurement.requests).map(|of| of.succeeded + of.failed).max();
    let (most, needed) = (most.unwrap_or_default(), needed(success_rate));
    // What few requests show is told by themselves: the search's figure is drawn towards that of other settings.
    let open = trials.iter().any(|trial| trial.measurement.requests.success_interval.high > success_rate);
    if most < needed && open && rate.interval.low <= success_rate && !slow {
        text.push_str(&format!(
            "none could be judged, for too few requests were made. A trial had {most} at most, and it takes {needed} without a failure \
             to show a success rate above {} %: make trials longer (`trial: {{measure: …}}` in the profile), or have the load make \
             more requests in the time",
            success_rate * 100.0
        ));
    } else if rate.interval.low <= success_rate && (failed || !slow) {
        let verb = if rate.value <= success_rate { "reach" } else { "cannot be shown to: they reach" };
        text.push_str(&format!(
            "the success rate has to be above {} %, and the best settings found ({place}) {verb} {:.2} % [{:.2}, {:.2}]",
            success_rate * 100.0,
            rate.value * 100.0,
            rate.interval.low * 100.0,
            rate.interval.high * 100.0
        ));
        if let Some((class, share)) = commonest_failure(trials) {
            text.push_str(&format!(". {:.0} % of the failures are: {}", share * 100.0, remedy(class)));
        }
    }
    if let Some(longest) = p95_query
        && let Some(fastest) = trials
            .iter()
            .filter(|trial| trial.measurement.requests.succeeded > 0)
            .map(|trial| trial.measurement.query.p95)
            .min_by(f64::total_cmp)
        && fastest > longest
    {
        if !text.is_empty() {
            text.push_str(". And ");
        }
        text.push_str(&format!(
            "the 95th percentile of query time has to be within {:.1} ms and the lowest of any trial is {:.1} ms: \
             raise `p95_query`, or make the statements faster",
            longest * 1e3,
            fastest * 1e3
        ));
    }
    if text.is_empty() {
        let kept = trials.iter().filter(|trial| keeps_limits(&trial.measurement, profile.limits)).count();
        text = format!(
            "{kept} of {} trials kept the limits, too few to be sure of any settings: give the run more trials \
             (--trials), or the limits more room",
            trials.len()
        );
    }
    text
}

/// The fewest requests, none of which failed, that show a rate above the limit: the exact 95 % interval of fewer reaches below it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 10^6 for every limit that a profile may have"
)]
fn needed(limit: f64) -> u64 {
    (0.025_f64.ln() / limit.ln()).floor() as u64 + 1
}

/// The class that most failures are of, and its share.
fn commonest_failure(trials: &[TrialRecord]) -> Option<(ErrorClass, f64)> {
    let mut counts: BTreeMap<ErrorClass, u64> = BTreeMap::new();
    for error in trials.iter().flat_map(|trial| &trial.measurement.errors) {
        // What was cut off at a trial's end is no failure.
        if error.class != ErrorClass::Unfinished {
            *counts.entry(error.class).or_default() += error.count;
        }
    }
    let all: u64 = counts.values().sum();
    let (class, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of failures are far below 2^53")]
    Some((class, count as f64 / all as f64))
}

/// What a class of failures means, and what would have to give.
fn remedy(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::AcquireTimeoutWaiting => {
            "no connection was free within connection_timeout; allow more connections (--range), a longer \
             connection_timeout, or fewer workers"
        }
        ErrorClass::AcquireTimeoutOpening => "connections took longer to open than connection_timeout; raise it",
        ErrorClass::AcquireTimeoutValidating | ErrorClass::Validation => {
            "validation was too slow or failed; look at the network and at validation_timeout"
        }
        ErrorClass::AcquireTimeoutNested => {
            "requests that hold a connection waited for a second one; use one connection a request, or allow more \
             connections than workers"
        }
        ErrorClass::TooManyConnections => {
            "the server has too few connections; lower the range of max_connections or raise the server's limit"
        }
        ErrorClass::Connect => "connections could not be opened; look at the server and the network",
        ErrorClass::ConnectionLost => "connections were lost in use; look at the server's log",
        ErrorClass::Query => {
            "the server answered statements with errors; mend the profile's SQL, or what it contends for"
        }
        ErrorClass::CircuitOpen => {
            "the circuit breaker was open; the failures before that opened it are the cause, or \
             circuit_breaker_threshold is too low for this load"
        }
        ErrorClass::Unfinished => "requests did not end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::clopper_pearson;

    #[test]
    fn so_many_requests_are_needed_as_the_exact_interval_says() {
        for limit in [0.5, 0.9, 0.99, 0.999, 0.9999] {
            let low = |requests| clopper_pearson(requests, 0, 0.95).unwrap().low;
            let needed = needed(limit);
            assert!(low(needed) > limit && low(needed - 1) <= limit, "{limit}: {needed}");
        }
        assert_eq!(needed(0.99), 368);
    }
}
