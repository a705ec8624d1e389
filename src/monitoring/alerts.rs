//! The alerts, each with its paragraph of the runbook.

use super::{
    library::{Library, Times},
    recording::{
        ACQUIRE, ACQUISITIONS, BREAKER, LONGEST, MAX, PENDING, QUERY, USED, UTILISATION, failures, has_failures,
    },
    runbook::Paragraph,
    thresholds::Thresholds,
};
use crate::model::figures::time;

/// An alert, ready to be written.
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) expression: String,
    /// How long it has to hold.
    pub(super) lasts: &'static str,
    pub(super) severity: &'static str,
    pub(super) summary: &'static str,
    /// With Prometheus' own templates.
    pub(super) description: String,
}

pub(super) const UTILISATION_HIGH: &str = "PoolUtilisationHigh";
pub(super) const REQUESTS_PENDING: &str = "PoolRequestsPending";
pub(super) const ACQUISITION_SLOW: &str = "PoolAcquisitionSlow";
pub(super) const NEAR_TIMEOUT: &str = "PoolAcquisitionNearTimeout";
pub(super) const QUERIES_SLOW: &str = "PoolQueriesSlow";
pub(super) const BURN_FAST: &str = "PoolErrorBudgetBurnFast";
pub(super) const BURN_SLOW: &str = "PoolErrorBudgetBurnSlow";
pub(super) const CIRCUIT_OPEN: &str = "PoolCircuitBreakerOpen";
pub(super) const LEAK: &str = "PoolConnectionLeak";

/// The alerts of a library: those whose figures it has and the run has thresholds for.
pub(super) fn alerts(library: &Library, thresholds: &Thresholds) -> Vec<Alert> {
    let max = thresholds.max_connections;
    let mut alerts = vec![
        Alert {
            name: UTILISATION_HIGH,
            expression: format!("avg_over_time({UTILISATION}[5m]) > {}", thresholds.utilisation),
            lasts: "5m",
            severity: "warning",
            summary: "More of the pool is in use than the run has verified",
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of max_connections are in use on {{{{ $labels.instance }}}}; the run \
                 recommends {max}{}.",
                thresholds
                    .verified
                    .filter(|of| of.utilisation > 0.0)
                    .map(|of| format!(" and had {:.0} % of them in use", of.utilisation * 100.0))
                    .unwrap_or_default()
            ),
        },
        Alert {
            name: REQUESTS_PENDING,
            // The least over a time: a moment in which requests wait is no trouble.
            expression: format!("min_over_time({PENDING}[2m]) > 0"),
            lasts: "5m",
            severity: "warning",
            summary: "Requests have been waiting for a connection all the time",
            description: "{{ $value }} requests or more wait on {{ $labels.instance }}, without a pause.".to_owned(),
        },
        Alert {
            name: NEAR_TIMEOUT,
            expression: format!("{LONGEST} > {}", thresholds.acquire_near_timeout()),
            lasts: "2m",
            severity: "critical",
            summary: "Getting a connection takes more than half of connection_timeout",
            description: format!(
                "It takes {{{{ $value | humanizeDuration }}}} ({}) on {{{{ $labels.instance }}}}; after {} requests give up.",
                library.longest.statistic(),
                time(thresholds.connection_timeout)
            ),
        },
        Alert {
            name: CIRCUIT_OPEN,
            // It opens and closes again: the highest over a time does not flap.
            expression: format!("max_over_time({BREAKER}[2m]) > 0"),
            lasts: "1m",
            severity: "critical",
            summary: "The circuit breaker turns requests away",
            description: "The circuit {{ $labels.name }} is open, or opens again and again, on {{ $labels.instance }}."
                .to_owned(),
        },
        Alert {
            name: LEAK,
            expression: leak(),
            lasts: "10m",
            severity: "warning",
            summary: "Connections in use grow and never fall, while the load does not grow",
            description: format!(
                "At least {{{{ $value }}}} of {max} connections are in use on {{{{ $labels.instance }}}}, more than the most of a \
                 quarter of an hour somewhat earlier."
            ),
        },
    ];
    if let Some(limit) = thresholds.acquire(is_mean(library.acquire)) {
        let verified =
            verified(thresholds, library.acquire, |of, mean| if mean { of.acquire_mean } else { of.acquire_p95 });
        alerts.push(slower(
            (ACQUISITION_SLOW, ACQUIRE),
            "Getting a connection takes longer than the run has verified",
            &format!("It takes {{{{ $value | humanizeDuration }}}} ({})", library.acquire.statistic()),
            (limit, &verified),
        ));
    }
    if let Some(limit) = thresholds.query(is_mean(library.query)) {
        let verified = verified(thresholds, library.query, |of, mean| if mean { of.query_mean } else { of.query_p95 });
        alerts.push(slower(
            (QUERIES_SLOW, QUERY),
            "The database takes longer than the run has verified",
            &format!("Statements take {{{{ $value | humanizeDuration }}}} ({})", library.query.statistic()),
            (limit, &verified),
        ));
    }
    if has_failures(library) {
        alerts.extend(burns(thresholds));
    }
    alerts
}

/// Times above what the run has verified.
fn slower(
    (name, figure): (&'static str, &str),
    summary: &'static str,
    takes: &str,
    (limit, verified): (f64, &str),
) -> Alert {
    Alert {
        name,
        expression: format!("{figure} > {limit}"),
        lasts: "10m",
        severity: "warning",
        summary,
        description: format!("{takes} on {{{{ $labels.instance }}}}; told above {}{verified}.", time(limit)),
    }
}

/// Least use of a quarter of an hour above the most of another one, half an hour earlier, rising in between, and no more
/// acquisitions than then.
fn leak() -> String {
    format!(
        "min_over_time({USED}[15m]) > max_over_time({USED}[15m] offset 45m) + clamp_min(0.2 * {MAX}, 1)\n\
         and min_over_time({USED}[15m]) >= min_over_time({USED}[15m] offset 15m)\n\
         and min_over_time({USED}[15m] offset 15m) >= min_over_time({USED}[15m] offset 30m)\n\
         and avg_over_time({ACQUISITIONS}[15m]) <= 1.1 * avg_over_time({ACQUISITIONS}[15m] offset 45m)"
    )
}

/// Two windows each: the long one says that it matters, the short one that it still goes on (Google's "Site Reliability
/// Workbook", chapter 5).
fn burns(thresholds: &Thresholds) -> [Alert; 2] {
    let burn = |pairs: [(&str, &str, f64); 2]| {
        let both = |(long, short, factor): (&str, &str, f64)| {
            let share = thresholds.burn(factor);
            format!("({} > {share} and {} > {share})", failures(long), failures(short))
        };
        pairs.map(both).join("\nor\n")
    };
    let budget = thresholds.budget * 100.0;
    let description = |pace: &str| {
        format!(
            "{{{{ $value | humanizePercentage }}}} of requests fail in {{{{ $labels.job }}}}; {budget} % may: the budget {pace}."
        )
    };
    [
        Alert {
            name: BURN_FAST,
            expression: burn([("1h", "5m", 14.4), ("6h", "30m", 6.0)]),
            lasts: "2m",
            severity: "critical",
            summary: "Requests fail so often that the error budget of a month is gone in days",
            description: description("of a month is gone in two to five days"),
        },
        Alert {
            name: BURN_SLOW,
            expression: burn([("1d", "2h", 3.0), ("3d", "6h", 1.0)]),
            lasts: "1h",
            severity: "warning",
            summary: "More requests fail than the error budget allows",
            description: description("does not last"),
        },
    ]
}

pub(super) fn is_mean(times: Times) -> bool {
    matches!(times, Times::Mean { .. })
}

fn verified(thresholds: &Thresholds, times: Times, figure: fn(&super::thresholds::Verified, bool) -> f64) -> String {
    let told = |of| format!(" (verified: {})", time(figure(&of, is_mean(times))));
    thresholds.verified.map(told).unwrap_or_default()
}

/// What the runbook says of each alert.
pub(super) const PARAGRAPHS: [Paragraph; 9] = [
    Paragraph {
        name: UTILISATION_HIGH,
        means: "For ten minutes a larger share of max_connections has been in use than under the load that the run verified. The \
                next peak finds no connection free.",
        look: "Do requests wait (PoolRequestsPending)? Have acquisitions a second grown: is it more load? Or has query time grown: \
               are connections only held for longer?",
        change: "More load: measure it with a new run and more `workers`. Longer queries: mend those first; more connections would \
                 load the database further.",
    },
    Paragraph {
        name: REQUESTS_PENDING,
        means: "At every scrape for minutes somebody waited for a connection. Short queues are how a pool works; a queue that never \
                empties adds its length to every request.",
        look: "Connections in use against the maximum: if not all are in use, opening them is slow or the server refuses. Query \
               time against its verified value. On the database: `pool-tune monitor --target URL`.",
        change: "All in use and the database has room: raise max_connections, and verify with `pool-tune run`. Otherwise mend what \
                 holds connections.",
    },
    Paragraph {
        name: ACQUISITION_SLOW,
        means: "Getting a connection takes at least twice as long as in the trials of the recommended settings, which ran under full \
                load.",
        look: "Waiting or opening? Pending requests tell of waiting; connections that come and go tell of opening. Was the \
               application deployed with other settings than the recommended ones?",
        change: "Waiting: see PoolRequestsPending. Opening: raise connection_lifetime, idle_timeout or min_connections.",
    },
    Paragraph {
        name: NEAR_TIMEOUT,
        means: "Requests wait for more than half of connection_timeout. A little more, and they fail.",
        look: "The same as for PoolRequestsPending, at once. Is one instance affected, or all? All at the same moment is the \
               database.",
        change: "Shed load or add capacity. A longer connection_timeout only makes the queue longer, unless the peak is short.",
    },
    Paragraph {
        name: QUERIES_SLOW,
        means: "The database takes longer than twice what the run verified, or than the limit that the run had. No setting of a pool \
                makes statements faster.",
        look: "Locks and long transactions (`pool-tune monitor --target URL`), plans that have changed, the database's processors and \
               disks, other users of it.",
        change: "The statements, indexes, or the database's size. Fewer connections often help a database that is at its limit.",
    },
    Paragraph {
        name: BURN_FAST,
        means: "Failures use the error budget up many times faster than it may be: over an hour and still now, or over six hours and \
                still now.",
        look: "Which failures: timeouts of the pool, or errors of statements? When did it begin, and what was deployed then? \
               Is the circuit open?",
        change: "Undo what was deployed. Timeouts: see PoolRequestsPending. Refused connections: all pools together are larger than \
                 the server's limit.",
    },
    Paragraph {
        name: BURN_SLOW,
        means: "A small share of requests fails all the time: more than the budget allows, too few to be seen at once.",
        look: "The commonest error; whether it comes at certain times (a backup, a batch, connections that expire together).",
        change: "Mend the cause. Retries hide it: see that retry_attempts is what the run recommends.",
    },
    Paragraph {
        name: CIRCUIT_OPEN,
        means: "So many attempts failed in a row that the breaker turns requests away without asking the database.",
        look: "What failed first. If it was timeouts of an exhausted pool and not a database that is down, the breaker makes it worse.",
        change: "Mend the cause; then circuit_breaker_threshold and circuit_breaker_timeout as the run recommends.",
    },
    Paragraph {
        name: LEAK,
        means: "The least use of the last quarter of an hour is above the most of an earlier one, it has not fallen between, and no \
                more was asked for. Connections are taken and not given back.",
        look: "`idle in transaction` sessions and their last statement; code paths that return early; the release that began it.",
        change: "Close connections in every path. connection_lifetime does not help: a connection in use is not closed. A restart \
                 helps for a while.",
    },
];
