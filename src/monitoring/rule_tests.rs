//! Unit tests for the rules, which `promtool test rules` runs: for each alert what makes it fire, and what is near but does not.

use super::{
    Origin,
    alerts::{
        ACQUISITION_SLOW, Alert, BURN_FAST, BURN_SLOW, CIRCUIT_OPEN, LEAK, NEAR_TIMEOUT, QUERIES_SLOW,
        REQUESTS_PENDING, UTILISATION_HIGH, alerts, is_mean,
    },
    library::{Library, Metric, Times},
    rules::quoted,
    thresholds::Thresholds,
};

/// Samples a series has: one a minute, for three hours.
const SAMPLES: u32 = 180;
/// Acquisitions a minute that succeed.
const LOAD: f64 = 1000.0;

/// What an application does, as series in Prometheus' notation. Times are where all of a histogram's observations lie.
#[derive(Clone)]
struct Scene {
    used: String,
    max: f64,
    pending: String,
    acquisitions: String,
    timeouts: String,
    acquire: f64,
    query: f64,
    circuit: String,
}

/// A scene, when it is looked at, and whether the alert fires then.
struct Case {
    what: &'static str,
    alert: &'static str,
    at: &'static str,
    fires: bool,
    scene: Scene,
}

fn level(value: f64) -> String {
    format!("{value}x{SAMPLES}")
}

fn counter(a_minute: f64) -> String {
    format!("0+{a_minute}x{SAMPLES}")
}

/// A counter that goes up by `first` a minute for so many minutes, and then by `then`.
fn turning(first: f64, minutes: u32, then: f64) -> String {
    let reached = first * f64::from(minutes) + then;
    format!("0+{first}x{minutes} {reached}+{then}x{}", SAMPLES - minutes)
}

impl Scene {
    /// Nothing is wrong.
    fn calm(thresholds: &Thresholds) -> Self {
        let max = f64::from(thresholds.max_connections);
        Self {
            used: level(0.3 * max),
            max,
            pending: level(0.0),
            acquisitions: counter(LOAD),
            timeouts: counter(0.0),
            acquire: thresholds.acquire(false).unwrap_or(0.01) / 4.0,
            query: thresholds.query(false).unwrap_or(0.01) / 4.0,
            circuit: level(0.0),
        }
    }

    /// Requests fail by giving up: a share of all.
    fn failing(thresholds: &Thresholds, share: f64) -> Self {
        Self { timeouts: counter(failed_a_minute(share)), ..Self::calm(thresholds) }
    }

    fn series(&self, library: &Library) -> Vec<(String, String)> {
        let pool = format!("{}=\"main\"", library.pool);
        let mut all = vec![
            (library.used.series(&pool), self.used.clone()),
            (library.idle.series(&pool), level(1.0)),
            (library.pending.series(&pool), self.pending.clone()),
            (library.breaker.series("name=\"database\""), self.circuit.clone()),
        ];
        all.extend(library.max.map(|metric| (metric.series(&pool), level(self.max))));
        all.extend(library.timeouts.map(|metric| (metric.series(&pool), self.timeouts.clone())));
        all.push((library.acquisitions.series(&pool), self.acquisitions.clone()));
        for (times, value) in
            [(library.acquire, self.acquire), (library.longest, self.acquire), (library.query, self.query)]
        {
            all.extend(times.series(&pool, value));
        }
        // Figures may share a series.
        let mut seen: Vec<(String, String)> = Vec::new();
        for (series, values) in all {
            if !seen.iter().any(|(known, _)| *known == series) {
                seen.push((series, values));
            }
        }
        seen
    }
}

/// With [`LOAD`] that succeed, how many have to fail for them to be a share of all.
fn failed_a_minute(share: f64) -> f64 {
    (LOAD * share / (1.0 - share)).round()
}

impl Metric {
    fn series(&self, more: &str) -> String {
        let labels = [self.example, more, "job=\"app\"", "instance=\"app-1\""];
        let labels: Vec<_> = labels.into_iter().filter(|label| !label.is_empty()).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}

impl Times {
    fn series(self, pool: &str, value: f64) -> Vec<(String, String)> {
        let own = format!("{pool},job=\"app\",instance=\"app-1\"");
        match self {
            Self::Histogram(name) => {
                let bucket =
                    |bound: &str, a_minute| (format!("{name}_bucket{{{own},le=\"{bound}\"}}"), counter(a_minute));
                // The 95th percentile lies at the upper end, so the bucket ends just above the value.
                vec![
                    bucket(&format!("{}", value * 0.8), 0.0),
                    bucket(&format!("{}", value * 1.01), LOAD),
                    bucket("+Inf", LOAD),
                ]
            }
            Self::Mean { sum, count } => {
                vec![(format!("{sum}{{{own}}}"), counter(LOAD * value)), (format!("{count}{{{own}}}"), counter(LOAD))]
            }
            Self::Now(name) => vec![(format!("{name}{{{own}}}"), level(value))],
        }
    }
}

fn cases(library: &Library, thresholds: &Thresholds) -> Vec<Case> {
    let calm = Scene::calm(thresholds);
    let max = f64::from(thresholds.max_connections);
    let mut cases = Vec::new();
    let mut case = |alert, fires, what, at, scene| cases.push(Case { what, alert, at, fires, scene });
    let used = |share: f64| Scene { used: level(share * max), ..calm.clone() };
    case(UTILISATION_HIGH, true, "more in use than verified", "30m", used(thresholds.utilisation + 0.05));
    case(UTILISATION_HIGH, false, "as much in use as verified", "30m", used(thresholds.utilisation - 0.05));
    case(
        UTILISATION_HIGH,
        false,
        "all in use for two minutes",
        "30m",
        Scene { used: format!("{}x28 {max}x2 {}x140", 0.3 * max, 0.3 * max), ..calm.clone() },
    );

    case(REQUESTS_PENDING, true, "some always wait", "30m", Scene { pending: level(3.0), ..calm.clone() });
    let now_and_then = ["9", "0"].repeat(90).join(" ");
    case(REQUESTS_PENDING, false, "many wait now and then", "30m", Scene { pending: now_and_then, ..calm.clone() });

    if let Some(limit) = thresholds.acquire(is_mean(library.acquire)) {
        let taking = |share: f64| Scene { acquire: limit * share, ..calm.clone() };
        case(ACQUISITION_SLOW, true, "slower than verified", "40m", taking(1.2));
        case(ACQUISITION_SLOW, false, "slower, within the margin", "40m", taking(0.9));
    }
    let near = |share: f64| Scene { acquire: thresholds.acquire_near_timeout() * share, ..calm.clone() };
    case(NEAR_TIMEOUT, true, "most of the timeout", "30m", near(1.5));
    case(NEAR_TIMEOUT, false, "less than half of the timeout", "30m", near(0.9));
    if let Some(limit) = thresholds.query(is_mean(library.query)) {
        let taking = |share: f64| Scene { query: limit * share, ..calm.clone() };
        case(QUERIES_SLOW, true, "slower than verified", "40m", taking(1.2));
        case(QUERIES_SLOW, false, "slower, within the margin", "40m", taking(0.9));
    }

    let fast = thresholds.burn(14.4);
    case(BURN_FAST, true, "many fail", "70m", Scene::failing(thresholds, (1.3 * fast).min(0.95)));
    let three_minutes = Scene { timeouts: turning(0.0, 117, failed_a_minute(fast)), ..calm.clone() };
    case(BURN_FAST, false, "many fail for three minutes", "120m", three_minutes);
    case(BURN_FAST, false, "few fail", "150m", Scene::failing(thresholds, 0.6 * thresholds.burn(6.0)));
    case(
        BURN_SLOW,
        true,
        "few fail for long",
        "150m",
        Scene::failing(thresholds, (1.3 * thresholds.burn(3.0)).min(0.95)),
    );
    case(BURN_SLOW, false, "as many fail as may", "150m", Scene::failing(thresholds, 0.7 * thresholds.burn(1.0)));

    let opens = ["1", "0"].repeat(90).join(" ");
    case(CIRCUIT_OPEN, true, "it opens again and again", "20m", Scene { circuit: opens, ..calm.clone() });
    let once = Scene { circuit: "0x10 1 0x160".to_owned(), ..calm.clone() };
    case(CIRCUIT_OPEN, false, "it was open once", "20m", once);

    // What a leak has to gain within half an hour, and a fifth more.
    let growing = format!("0+{}x{SAMPLES}", 1.2 * (0.2 * max).max(1.0) / 30.0);
    let leak = Scene { used: growing, ..calm.clone() };
    case(LEAK, true, "use grows and the load does not", "90m", leak.clone());
    let more_load = Scene { acquisitions: turning(LOAD, 60, 1.5 * LOAD), ..leak };
    case(LEAK, false, "use grows with the load", "100m", more_load);
    let to_and_fro: Vec<_> = (0..SAMPLES).map(|minute| format!("{}", max * f64::from(minute % 10) / 10.0)).collect();
    case(LEAK, false, "use comes and goes", "90m", Scene { used: to_and_fro.join(" "), ..calm });
    cases
}

pub(super) fn yaml(library: &Library, thresholds: &Thresholds, origin: &Origin) -> String {
    let alerts = alerts(library, thresholds);
    let mut text = format!(
        "# {}.\n# Run it with: promtool test rules rules_test.yaml\nrule_files: [rules.yaml]\nevaluation_interval: 30s\ntests:\n",
        origin.sentence()
    );
    for case in cases(library, thresholds) {
        let Some(alert) = alerts.iter().find(|alert| alert.name == case.alert) else { continue };
        text.push_str(&one(library, alert, &case));
    }
    text
}

fn one(library: &Library, alert: &Alert, case: &Case) -> String {
    let Case { what, at, fires, .. } = case;
    let verb = if *fires { "fires" } else { "is silent" };
    let mut text = format!(
        "  - name: {}\n    interval: 1m\n    input_series:\n",
        quoted(&format!("{} {verb}: {what}", alert.name))
    );
    for (series, values) in case.scene.series(library) {
        text.push_str(&format!("      - series: {}\n        values: {}\n", quoted(&series), quoted(&values)));
    }
    if *fires {
        // Annotations hold figures, so that an alert is looked up by its name and severity.
        let sought = format!(
            "count(ALERTS{{alertname=\"{}\",severity=\"{}\",alertstate=\"firing\"}})",
            alert.name, alert.severity
        );
        text.push_str(&format!(
            "    promql_expr_test:\n      - expr: {}\n        eval_time: {at}\n        exp_samples:\n          - labels: '{{}}'\n            value: 1\n",
            quoted(&sought)
        ));
    } else {
        text.push_str(&format!(
            "    alert_rule_test:\n      - eval_time: {at}\n        alertname: {}\n        exp_alerts: []\n",
            alert.name
        ));
    }
    text
}
