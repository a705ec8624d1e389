//! Findings as text, JSON and SARIF.

use serde_json::{Value as Json, json};

use super::rules::{Finding, RULES, Severity};

/// Like a compiler's: `file:line:column: warning: what [rule]`, and a line with the counts.
#[must_use]
pub fn text(file: &str, title: &str, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding { rule, severity, line, column, what, remedy } = finding;
        text.push_str(&format!("{file}:{line}:{column}: {severity}: {what} [{}]\n", rule.id));
        text.push_str(&format!("  why: {}\n  do:  {remedy}\n", rule.why));
    }
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counted = |severity: Severity| {
        let n = count(severity);
        format!("{n} {severity}{}", if n == 1 { "" } else { "s" })
    };
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(counted).join(", ");
    text.push_str(&format!("{file}: read as {title}: {counts}\n"));
    text
}

/// One document with every finding.
#[must_use]
pub fn json(file: &str, format: &str, findings: &[Finding]) -> Json {
    let finding = |finding: &Finding| {
        json!({
            "rule": finding.rule.id,
            "severity": finding.severity.to_string(),
            "file": file,
            "line": finding.line,
            "column": finding.column,
            "what": finding.what,
            "why": finding.rule.why,
            "remedy": finding.remedy,
        })
    };
    json!({"file": file, "format": format, "findings": findings.iter().map(finding).collect::<Vec<_>>()})
}

/// A SARIF 2.1.0 log, for code scanning; `uri` is the file's, relative to the root of the sources.
#[must_use]
pub fn sarif(uri: &str, findings: &[Finding]) -> Json {
    let rules: Vec<Json> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": {"text": rule.about},
                "fullDescription": {"text": rule.why},
                "defaultConfiguration": {"level": rule.severity.to_string()},
            })
        })
        .collect();
    let result = |finding: &Finding| {
        json!({
            "ruleId": finding.rule.id,
            "ruleIndex": RULES.iter().position(|rule| rule.id == finding.rule.id),
            "level": finding.severity.to_string(),
            "message": {"text": format!("{}. {} Remedy: {}.", finding.what, finding.rule.why, finding.remedy)},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": {"uri": uri_of(uri), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                },
            }],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pool-tune",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// A path as a URI may have it.
fn uri_of(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.replace('\\', "/").trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
