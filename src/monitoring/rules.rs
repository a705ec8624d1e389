//! Recording and alerting rules as Prometheus reads them.

use super::{Origin, alerts::alerts, library::Library, recording::recordings, thresholds::Thresholds};

/// How often rules are evaluated, by scrapes of 15 s.
const EVERY: &str = "30s";

/// A text as YAML and JSON both read it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Each line behind what it begins with.
fn lines<'a>(of: impl Iterator<Item = &'a str>, begin: &'a str) -> String {
    of.flat_map(|line| [begin, line, "\n"]).collect()
}

/// An expression, each line of it.
fn block(expression: &str) -> String {
    lines(expression.lines(), "          ")
}

pub(super) fn yaml(library: &Library, thresholds: &Thresholds, origin: &Origin, runbook: &str) -> String {
    let mut text = format!(
        "# {}.\n# Metrics: {}.\n{}# Thresholds are the run's; rules_test.yaml tests them: promtool test rules rules_test.yaml\n\
         groups:\n  - name: pool-tune-recording\n    interval: {EVERY}\n    rules:\n",
        origin.sentence(),
        library.about,
        lines(library.notes.iter().copied(), "# "),
    );
    for (name, expression) in recordings(library, thresholds) {
        text.push_str(&format!("      - record: {name}\n        expr: |-\n{}", block(&expression)));
    }
    text.push_str(&format!("  - name: pool-tune-alerts\n    interval: {EVERY}\n    rules:\n"));
    for alert in alerts(library, thresholds) {
        text.push_str(&format!(
            "      - alert: {}\n        expr: |-\n{}        for: {}\n        labels:\n          severity: {}\n        annotations:\n          \
             summary: {}\n          description: {}\n          runbook_url: {}\n",
            alert.name,
            block(&alert.expression),
            alert.lasts,
            alert.severity,
            quoted(alert.summary),
            quoted(&alert.description),
            quoted(&format!("{runbook}#{}", alert.name.to_lowercase())),
        ));
    }
    text
}
