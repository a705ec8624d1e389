//! What a rollout would do, in lines.

use std::time::Duration;

use super::{Rollout, State, gates::shown, step::per_cent};
use crate::{
    model::Call,
    profile::{RolloutApply, RolloutBound, TargetSource},
};

impl Rollout {
    /// What it would do, in lines.
    #[must_use]
    pub fn outline(&self) -> Vec<String> {
        let (plan, course) = (&self.plan, &self.course);
        let least: Duration = course.stages.iter().map(|stage| stage.watch).sum();
        let of = course.stages.len();
        let mut lines = vec![format!(
            "rollout {} of run {}: stages: {of}, watched for {} in all",
            plan.name,
            self.intent.run,
            time(least)
        )];
        match &plan.apply {
            RolloutApply::Command(call) => {
                let file = call.file.as_ref().map(|format| format!("; {{file}} holds the settings as {format}"));
                lines.push(format!("apply: {}{}", started(call), file.unwrap_or_default()));
            }
            RolloutApply::Into { file, then, .. } => {
                let then = then.as_ref().map(|call| format!(", then {}", started(call))).unwrap_or_default();
                lines.push(format!("apply: changes {}{then}", file.display()));
            }
        }
        for (index, stage) in course.stages.iter().enumerate() {
            let (share, settings) = (per_cent(stage.share), course.shown(&stage.settings).join(", "));
            let watch = time(stage.watch);
            lines.push(format!("stage {} of {of}: {share} % of instances, watched for {watch}: {settings}", index + 1));
        }
        for query in &plan.gates.queries {
            let due = match query.bound {
                RolloutBound::AtLeast(due) => format!("at least {}", shown(due)),
                RolloutBound::AtMost(due) => format!("at most {}", shown(due)),
                RolloutBound::NotMore(share) => format!("at most {} % more than before", per_cent(share)),
                RolloutBound::NotLess(share) => format!("at most {} % less than before", per_cent(share)),
            };
            lines.push(format!("gate: {} {due}: {}", query.name, query.query.trim()));
        }
        let watched: Vec<String> = [("database", &plan.gates.target), ("metrics", &plan.gates.metrics)]
            .into_iter()
            .filter_map(|(what, source)| Some(format!("the {what} of {}", place(source.as_ref()?))))
            .collect();
        if !watched.is_empty() {
            lines.push(format!("gate: no serious finding of the monitor on {}", watched.join(" and ")));
        }
        let gates = &plan.gates;
        lines.push(format!(
            "read every {}; back after {} reading{} in a row that fail{}, after {} without a source, or when applying fails",
            time(gates.every),
            gates.failures,
            if gates.failures == 1 { "" } else { "s" },
            if gates.failures == 1 { "s" } else { "" },
            time(gates.patience)
        ));
        lines
    }

    /// The last stage of which anything may be applied, in words; none where nothing is.
    #[must_use]
    pub fn reached(&self, state: &State) -> Option<String> {
        let index = state.reached?;
        let stage = self.course.stages.get(index)?;
        let settings = self.course.shown(&stage.settings).join(", ");
        let of = self.course.stages.len();
        Some(format!("stage {} of {of} ({} % of instances with {settings})", index + 1, per_cent(stage.share)))
    }
}

fn started(call: &Call) -> String {
    let folder = call.directory.as_ref().map(|folder| format!(" (in {folder})")).unwrap_or_default();
    format!("{call}{folder}")
}

/// Where something is read from; what may be a secret is not.
fn place(source: &TargetSource) -> String {
    match source {
        TargetSource::Environment(name) => format!("${name}"),
        TargetSource::File(path) => path.display().to_string(),
        TargetSource::Plain(text) => text.clone(),
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}
