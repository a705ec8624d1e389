//! The Grafana dashboard: the guide's seven metrics and what they are held against.

use serde_json::{Value, json};

use super::{
    Origin,
    alerts::is_mean,
    library::Library,
    recording::{
        ACQUIRE, ACQUISITIONS, BREAKER, IDLE, LONGEST, MAX, PENDING, QUERY, TIMEOUTS, USED, UTILISATION, failures,
        has_failures,
    },
    thresholds::Thresholds,
};

/// A panel: what it shows, in which unit, and from which value on it is red.
struct Panel {
    title: String,
    about: String,
    unit: &'static str,
    /// Each with its legend; Grafana replaces what is in braces.
    series: Vec<(String, &'static str)>,
    limit: Option<f64>,
}

const POOL: &str = "{{instance}} {{pool}}";

/// A figure of the pools that are chosen.
fn chosen(name: &str) -> String {
    format!("{name}{{job=~\"$job\",pool=~\"$pool\"}}")
}

fn of_job(name: &str) -> String {
    format!("{name}{{job=~\"$job\"}}")
}

fn panels(library: &Library, thresholds: &Thresholds) -> Vec<Panel> {
    let pool = |title: &str, about: String, unit, name: &str, limit| Panel {
        title: title.to_owned(),
        about,
        unit,
        series: vec![(chosen(name), POOL)],
        limit,
    };
    let max = thresholds.max_connections;
    let verified = |told: fn(super::thresholds::Verified) -> String| thresholds.verified.map(told).unwrap_or_default();
    let sum = |name: &str| format!("sum by (job) ({})", chosen(name));
    let mut panels = vec![
        Panel {
            title: "Connections in use".to_owned(),
            about: format!("Open and in use, against the maximum. The run recommends {max}."),
            unit: "none",
            series: vec![
                (sum(USED), "in use"),
                (format!("{} + {}", sum(USED), sum(IDLE)), "open"),
                (sum(MAX), "maximum"),
            ],
            limit: None,
        },
        pool(
            "Pool utilisation",
            format!(
                "In use over maximum.{}",
                // A program that measures itself does not tell it.
                verified(|of| match of.utilisation {
                    0.0 => String::new(),
                    share => format!(" Verified: {:.0} %.", share * 100.0),
                })
            ),
            "percentunit",
            UTILISATION,
            Some(thresholds.utilisation),
        ),
        pool("Requests that wait", "A queue that never empties is an alert.".to_owned(), "none", PENDING, Some(1.0)),
        pool(
            &format!("Time to get a connection, {}", library.acquire.statistic()),
            "Red from where the run's verified value is exceeded by its margin.".to_owned(),
            "s",
            ACQUIRE,
            thresholds.acquire(is_mean(library.acquire)),
        ),
        pool(
            &format!("Time to get a connection against connection_timeout, {}", library.longest.statistic()),
            format!("Requests give up after {} s.", thresholds.connection_timeout),
            "s",
            LONGEST,
            Some(thresholds.acquire_near_timeout()),
        ),
        pool(
            &format!("Time in the database, {}", library.query.statistic()),
            "What no setting of a pool makes shorter.".to_owned(),
            "s",
            QUERY,
            thresholds.query(is_mean(library.query)),
        ),
        pool(
            "Acquisitions a second",
            format!(
                "How much is asked for.{}",
                verified(|of| format!(" The run's trials served {:.0} requests a second.", of.throughput))
            ),
            "ops",
            ACQUISITIONS,
            None,
        ),
        Panel {
            title: "Circuit breaker".to_owned(),
            about: "1 while it turns requests away.".to_owned(),
            unit: "none",
            series: vec![(of_job(BREAKER), "{{instance}} {{name}}")],
            limit: Some(1.0),
        },
    ];
    if library.timeouts.is_some() {
        panels.push(pool("Acquisitions that gave up, a second", String::new(), "ops", TIMEOUTS, None));
    }
    if has_failures(library) {
        panels.push(Panel {
            title: "Share of requests that fail".to_owned(),
            about: format!("The budget is {} %.", thresholds.budget * 100.0),
            unit: "percentunit",
            series: ["5m", "1h", "6h"].into_iter().map(|window| (of_job(&failures(window)), window)).collect(),
            limit: Some(thresholds.budget),
        });
    }
    panels
}

fn panel(place: usize, panel: &Panel) -> Value {
    let targets: Vec<_> = panel
        .series
        .iter()
        .zip('A'..='Z')
        .map(|((expression, legend), name)| {
            json!({ "refId": name.to_string(), "expr": expression, "legendFormat": legend, "datasource": datasource() })
        })
        .collect();
    let mut steps = vec![json!({ "color": "green", "value": null })];
    steps.extend(panel.limit.map(|limit| json!({ "color": "red", "value": limit })));
    let style = if panel.limit.is_some() { "line" } else { "off" };
    json!({
        "id": place + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": datasource(),
        "gridPos": { "x": place % 2 * 12, "y": place / 2 * 8, "w": 12, "h": 8 },
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": { "thresholdsStyle": { "mode": style } },
                "thresholds": { "mode": "absolute", "steps": steps }
            },
            "overrides": []
        },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
        "targets": targets
    })
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": datasource(),
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "allValue": ".*",
        "current": { "text": "All", "value": "$__all" }
    })
}

pub(super) fn json(library: &Library, thresholds: &Thresholds, origin: &Origin) -> String {
    let panels: Vec<_> = panels(library, thresholds).iter().enumerate().map(|(place, one)| panel(place, one)).collect();
    let dashboard = json!({
        "title": "Connection pool",
        "description": format!("{}. The lines are what the run has verified.", origin.sentence()),
        "tags": ["pool-tune", "database"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus" },
            variable("job", &format!("label_values({USED}, job)")),
            variable("pool", &format!("label_values({USED}{{job=~\"$job\"}}, pool)")),
        ] },
        "panels": panels
    });
    format!("{dashboard:#}\n")
}
