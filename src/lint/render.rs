//! Findings as text, JSON and SARIF.

use serde_json::{Value as Json, json};

use super::rules::{Finding, RULES, Severity};
use crate::export::Format;

/// A file and what was found in it, or why it was not read.
#[derive(Debug)]
pub struct Linted {
    /// The file as messages name it.
    pub file: String,
    /// The file's path relative to the root of the sources.
    pub uri: String,
    /// The format that it was read as and the findings, or what is wrong.
    pub outcome: Result<(&'static Format, Vec<Finding>), String>,
}

/// Like a compiler's: `file:line:column: warning: what [rule]`, and a line with the counts. Nothing where the file was not read.
#[must_use]
pub fn text(linted: &Linted) -> String {
    let mut text = String::new();
    let Linted { file, outcome: Ok((format, findings)), .. } = linted else { return text };
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
    text.push_str(&format!("{file}: read as {}: {counts}\n", format.title));
    text
}

/// One document with every finding: of one file, or a list of such.
#[must_use]
pub fn json(linted: &[Linted]) -> Json {
    match linted {
        [only] => json_of(only),
        files => json!({"files": files.iter().map(json_of).collect::<Vec<_>>()}),
    }
}

fn json_of(linted: &Linted) -> Json {
    let file = &linted.file;
    let (format, findings) = match &linted.outcome {
        Ok(outcome) => outcome,
        Err(problem) => return json!({"file": file, "problem": problem, "findings": []}),
    };
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
    json!({"file": file, "format": format.name, "findings": findings.iter().map(finding).collect::<Vec<_>>()})
}

/// A SARIF 2.1.0 log, for code scanning. A file that was not read is a notification, and `unread` the exit code then.
#[must_use]
pub fn sarif(linted: &[Linted], unread: u8) -> Json {
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
    let place = |uri: &str| json!({"uri": uri_of(uri), "uriBaseId": "%SRCROOT%"});
    let result = |uri: &str, finding: &Finding| {
        json!({
            "ruleId": finding.rule.id,
            "ruleIndex": RULES.iter().position(|rule| rule.id == finding.rule.id),
            "level": finding.severity.to_string(),
            "message": {"text": format!("{}. {} Remedy: {}.", finding.what, finding.rule.why, finding.remedy)},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": place(uri),
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                },
            }],
        })
    };
    let results: Vec<Json> = linted
        .iter()
        .filter_map(|linted| Some((linted.uri.as_str(), linted.outcome.as_ref().ok()?)))
        .flat_map(|(uri, (_, findings))| findings.iter().map(move |finding| result(uri, finding)))
        .collect();
    let notifications: Vec<Json> = linted
        .iter()
        .filter_map(|linted| Some((linted.uri.as_str(), linted.outcome.as_ref().err()?)))
        .map(|(uri, problem)| {
            json!({
                "level": "error",
                "message": {"text": problem},
                "locations": [{"physicalLocation": {"artifactLocation": place(uri)}}],
            })
        })
        .collect();
    let invocation = if notifications.is_empty() {
        json!({"executionSuccessful": true})
    } else {
        json!({"executionSuccessful": false, "exitCode": unread, "toolExecutionNotifications": notifications})
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
            "invocations": [invocation],
            "columnKind": "unicodeCodePoints",
            "results": results,
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
