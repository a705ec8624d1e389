//! Rules about the pool itself.

use super::{
    Facts, Found, percent,
    sizes::{Better, better_than},
    time, trend,
};
use crate::model::{ErrorClass, Severity};

/// The share of the pool that counts as all of it being in use.
const FULL: f64 = 0.95;

/// Connections are all in use, and requests wait for one for longer than a typical request holds it. It is told from a
/// leak (connections in use grow) and from a database that is the limit (its processors are full), where more connections
/// would not help.
pub(super) fn too_small(facts: &Facts<'_>) -> Option<Found> {
    let of = facts.measurement;
    let max = facts.settings.max_connections();
    let full = of.utilisation.active >= FULL * f64::from(max);
    let timeouts = facts.errors(ErrorClass::AcquireTimeoutWaiting);
    let waits = of.acquire.wait.count > 0 && of.acquire.wait.p95 > of.hold.p50;
    // A server that refuses more, or a generator that is full, needs the opposite.
    let elsewhere = facts.errors(ErrorClass::TooManyConnections) > 0 || of.cpu.generator_limited || facts.busy() > 0.9;
    if !full || !(waits || timeouts > 0) || elsewhere || leak(facts).is_some() {
        return None;
    }
    // Where other sizes were tried, they know better.
    let tried = facts.sizes.iter().any(|size| size.connections != max);
    let present = facts.sizes.iter().find(|size| size.connections == max);
    let larger = present.and_then(|present| better_than(facts, present, |size| size.connections > max));
    if tried && larger.is_none() {
        return None;
    }
    let mut evidence = vec![
        format!("{:.1} of {max} connections in use on average", of.utilisation.active),
        format!(
            "95 % of requests wait up to {} for one, half hold one for less than {}",
            time(of.acquire.wait.p95),
            time(of.hold.p50)
        ),
        if of.cpu.database > 0.0 {
            format!("processors {} busy", percent(facts.busy()))
        } else {
            "the database's own processors are not seen from here: were they full, a larger pool would not help"
                .to_owned()
        },
    ];
    if timeouts > 0 {
        evidence.push(format!("{timeouts} timeouts while all connections were in use"));
    }
    evidence.extend(larger.iter().flat_map(Better::evidence));
    Some(Found {
        severity: if timeouts > 0 { Severity::Serious } else { Severity::Warning },
        title: "The pool is too small for this load".to_owned(),
        evidence,
        remedy: format!(
            "raise max_connections above {max}; `pool-tune run --range max_connections={max}..{}` finds how far it pays",
            max * 4
        ),
    })
}

/// Fewer than half of the connections are ever in use, or other sizes have shown that a smaller pool serves more.
pub(super) fn too_large(facts: &Facts<'_>) -> Option<Found> {
    let of = facts.measurement;
    let max = facts.settings.max_connections();
    let present = facts.sizes.iter().find(|size| size.connections == max);
    if let Some(better) = present.and_then(|present| better_than(facts, present, |size| size.connections < max)) {
        return Some(Found {
            severity: Severity::Warning,
            title: "The pool is too large".to_owned(),
            evidence: better.evidence(),
            remedy: format!(
                "lower max_connections towards {}, as far as the verification bears it out",
                better.size.connections
            ),
        });
    }
    let peak = of.utilisation.peak_active;
    (peak > 0 && peak * 2 < max && facts.errors(ErrorClass::CircuitOpen) == 0).then(|| Found {
        severity: Severity::Note,
        title: "Much of the pool is never used".to_owned(),
        evidence: vec![format!("at most {peak} of {max} connections in use at once")],
        remedy: format!(
            "under this load max_connections {} would do; keep the rest only if the load has peaks that this test has not",
            (peak + peak / 2).max(2)
        ),
    })
}

/// Connections in use grow while the load is level and throughput does not grow, and requests do not hold them for longer:
/// a database that gets slower has more connections in use as well, but requests account for them.
pub(super) fn leak(facts: &Facts<'_>) -> Option<Found> {
    if !facts.steady_load {
        return None;
    }
    let max = f64::from(facts.settings.max_connections());
    let active: Vec<f64> = facts.series.iter().map(|point| f64::from(point.active)).collect();
    let unexplained: Option<Vec<f64>> =
        facts.series.iter().map(|point| Some(f64::from(point.active) - point.held?)).collect();
    let throughput: Vec<f64> = facts.series.iter().map(|point| point.throughput).collect();
    let much = |grown: &f64| *grown >= f64::max(2.0, 0.2 * max);
    let grown = trend::rise(&active).filter(much)?;
    trend::rise(&unexplained?).filter(much)?;
    if trend::rise(&throughput).is_some() {
        return None;
    }
    Some(Found {
        severity: Severity::Serious,
        title: "Connections in use grow, as if they were not given back".to_owned(),
        evidence: vec![
            format!("{grown:.1} more in use at the end than at the start (Mann–Kendall, 0.1 %)"),
            "the load was level, throughput did not grow, and the times that requests held connections do not explain it"
                .to_owned(),
        ],
        remedy: "find the code that keeps connections (a missing close, a transaction left open); a shorter \
                 connection_lifetime only bounds the damage of idle ones"
            .to_owned(),
    })
}

/// Connections are replaced so often that opening them costs: each on average more than once in twenty seconds.
pub(super) fn frequent_reconnects(facts: &Facts<'_>) -> Option<Found> {
    const SECONDS_A_CONNECTION: f64 = 20.0;
    let of = facts.measurement;
    let counts = of.connections;
    // What faults have broken on purpose is no finding.
    let broken = if of.faults.is_empty() { counts.closed_broken } else { 0 };
    let closed = counts.closed_lifetime + counts.closed_idle + broken;
    // Growing to the pool's size is no replacing.
    let replaced = counts.opened.min(closed);
    #[expect(clippy::cast_precision_loss, reason = "counts of connections are small")]
    let a_second = replaced as f64 / of.seconds.max(1e-9);
    if replaced < 5 || a_second * SECONDS_A_CONNECTION < of.utilisation.total.max(1.0) {
        return None;
    }
    let causes = [
        (broken, "broken", "look for what ends them: the server's log, a firewall or balancer between"),
        (counts.closed_lifetime, "past connection_lifetime", "raise connection_lifetime"),
        (counts.closed_idle, "idle", "raise idle_timeout, or min_connections to the number that the load needs"),
    ];
    let (_, _, remedy) = causes.into_iter().max_by_key(|(count, ..)| *count)?;
    let told: Vec<String> = causes
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, why, _)| format!("{count} closed because {why}"))
        .collect();
    Some(Found {
        severity: Severity::Warning,
        title: "Connections are replaced all the time".to_owned(),
        evidence: [vec![format!("{replaced} opened in place of others in {}", time(of.seconds))], told].concat(),
        remedy: remedy.to_owned(),
    })
}

/// Requests wait for connections to be opened.
pub(super) fn slow_opening(facts: &Facts<'_>) -> Option<Found> {
    const SLOW: f64 = 0.05;
    let open = facts.measurement.acquire.open;
    let timeouts = facts.errors(ErrorClass::AcquireTimeoutOpening);
    let slow = timeouts > 0 || (open.count >= 5 && open.p50 > SLOW);
    // What a fault of the test has slowed down says nothing of other days.
    (slow && facts.measurement.faults.is_empty()).then(|| Found {
        severity: if timeouts > 0 { Severity::Serious } else { Severity::Note },
        title: "Opening a connection is slow".to_owned(),
        evidence: [
            (open.count > 0)
                .then(|| format!("{} opened by requests; half took {} or more", open.count, time(open.p50))),
            (timeouts > 0).then(|| format!("{timeouts} timeouts while one was being opened")),
        ]
        .into_iter()
        .flatten()
        .collect(),
        remedy: format!(
            "raise min_connections above {} so that they are open before they are needed; look at TLS, DNS and \
             authentication between pool and server",
            facts.settings.min_connections()
        ),
    })
}

/// Validating takes a good part of the time that a connection is set aside.
pub(super) fn validation_cost(facts: &Facts<'_>) -> Option<Found> {
    const SHARE: f64 = 0.2;
    let of = facts.measurement;
    let (validate, hold) = (of.acquire.validate, of.hold);
    if validate.count == 0 || hold.p50 <= 0.0 || validate.p50 < SHARE * hold.p50 {
        return None;
    }
    Some(Found {
        severity: Severity::Note,
        title: "Validating at each checkout costs".to_owned(),
        evidence: vec![format!(
            "validating takes {} of the {} that a connection is held in the median ({})",
            time(validate.p50),
            time(hold.p50),
            percent(validate.p50 / hold.p50)
        )],
        remedy: "rely on health_check_interval and retries instead if the network drops no idle connections; `pool-tune run` \
                 measures what that gains"
            .to_owned(),
    })
}
