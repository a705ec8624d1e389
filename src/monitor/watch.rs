//! When findings begin and end.

use serde::Serialize;

use crate::model::Finding;

/// Readings without a finding after which it has ended: what comes and goes is told once.
const CALM: u32 = 3;

/// Follows findings from reading to reading.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    open: Vec<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    finding: Finding,
    since: f64,
    calm: u32,
}

/// A finding that has begun or ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// It was not there before, or was less serious.
    Began {
        /// With evidence and remedy.
        finding: Finding,
    },
    /// It is there no more.
    Ended {
        /// Its rule.
        rule: String,
        /// Its title.
        title: String,
        /// For how long it was there, in seconds.
        lasted: f64,
    },
}

impl Watch {
    /// What has changed with the findings of a reading that was made `at` seconds after the beginning.
    pub fn update(&mut self, at: f64, findings: &[Finding]) -> Vec<Change> {
        let mut changes = Vec::new();
        for open in &mut self.open {
            match findings.iter().find(|finding| finding.rule == open.finding.rule) {
                Some(finding) => {
                    if finding.severity > open.finding.severity {
                        changes.push(Change::Began { finding: finding.clone() });
                    }
                    (open.finding, open.calm) = (finding.clone(), 0);
                }
                None => open.calm += 1,
            }
        }
        self.open.retain(|open| {
            let over = open.calm >= CALM;
            if over {
                let Finding { rule, title, .. } = open.finding.clone();
                changes.push(Change::Ended { rule, title, lasted: at - open.since });
            }
            !over
        });
        for finding in findings {
            if !self.open.iter().any(|open| open.finding.rule == finding.rule) {
                self.open.push(Open { finding: finding.clone(), since: at, calm: 0 });
                changes.push(Change::Began { finding: finding.clone() });
            }
        }
        changes
    }

    /// The findings that have begun and not ended, the most serious first, with when each began.
    #[must_use]
    pub fn open(&self) -> Vec<(&Finding, f64)> {
        let mut open: Vec<_> = self.open.iter().map(|open| (&open.finding, open.since)).collect();
        open.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
        open
    }
}
