//! The part `day` of a profile: the days of operation that settings are judged by which act too slowly for trials.

use std::time::Duration;

use super::{
    error::{Problem, did_you_mean},
    tree::{Entry, Kind},
};
use crate::model::{Costs, Incident, IncidentKind, Incidents, OperatingDay, Shape};

/// The most incidents of a kind a day.
pub const MOST_INCIDENTS: f64 = 1_000.0;
/// The longest incident.
const LONGEST: Duration = Duration::from_secs(3_600);
const SHAPES: [(&str, Shape); 3] = [("flat", Shape::Flat), ("diurnal", Shape::Diurnal), ("business", Shape::Business)];

/// Reads the part `day`; `none` for a run that simulates nothing.
pub(super) fn day(entry: Option<Entry>) -> Result<Option<OperatingDay>, Problem> {
    let mut day = OperatingDay::default();
    let Some(entry) = entry else { return Ok(Some(day)) };
    if entry.node.kind == Kind::Text("none".to_owned()) {
        return Ok(None);
    }
    let mut map = entry.node.map("day")?;
    if let Some(entry) = map.take("load") {
        let (line, name) = (entry.line, entry.text()?);
        let shape = SHAPES.into_iter().find(|(known, _)| *known == name).map(|(_, shape)| shape);
        day.shape = shape.ok_or_else(|| {
            let hint = did_you_mean(&name, SHAPES.iter().map(|(known, _)| *known));
            Problem::at(line, format!("`load` is \"{name}\": {hint}"))
        })?;
    }
    if let Some(entry) = map.take("peak") {
        day.peak = real(&entry, 0.01, 2.0, "a share of the throughput measured, from 0.01 to 2")?;
    }
    if let Some(entry) = map.take("deadline") {
        day.deadline = entry.time(Duration::from_millis(1), Duration::from_secs(300))?;
    }
    if let Some(entry) = map.take("incidents") {
        day.incidents = incidents(entry)?;
    }
    if let Some(entry) = map.take("costs") {
        day.costs = costs(entry)?;
    }
    map.end()?;
    Ok(Some(day))
}

fn real(entry: &Entry, low: f64, high: f64, expected: &str) -> Result<f64, Problem> {
    entry.real().filter(|number| (low..=high).contains(number)).ok_or_else(|| entry.wrong(expected))
}

fn incidents(entry: Entry) -> Result<Incidents, Problem> {
    let mut incidents = Incidents::default();
    let mut map = entry.node.map("incidents")?;
    for kind in IncidentKind::ALL {
        if let Some(entry) = map.take(kind.name()) {
            incidents.set(kind, incident(entry, kind, incidents.get(kind))?);
        }
    }
    if let Some(entry) = map.take("idle_limit") {
        let none = entry.node.kind == Kind::Text("none".to_owned());
        let limit = if none { None } else { Some(entry.time(Duration::from_secs(1), Duration::from_secs(86_400))?) };
        incidents.idle_limit = limit.map(|limit| limit.as_secs_f64());
    }
    map.end()?;
    Ok(incidents)
}

/// Times a day, or `{a_day: 0.1, lasts: 60s}`.
fn incident(entry: Entry, kind: IncidentKind, usual: Incident) -> Result<Incident, Problem> {
    let a_day = |entry: &Entry| {
        real(
            entry,
            0.0,
            MOST_INCIDENTS,
            &format!("times a day, from 0 to {MOST_INCIDENTS}, or {{a_day: 1, lasts: 30s}}"),
        )
    };
    if !matches!(entry.node.kind, Kind::Map(_)) {
        return Ok(Incident { a_day: a_day(&entry)?, ..usual });
    }
    let mut map = entry.node.map(kind.name())?;
    let mut incident = usual;
    if let Some(entry) = map.take("a_day") {
        incident.a_day = a_day(&entry)?;
    }
    if let Some(entry) = map.take("lasts") {
        if kind.is_moment() {
            let text = format!("`{}` happen in a moment and have no length: leave `lasts` out", kind.name());
            return Err(Problem::at(entry.line, text));
        }
        incident.lasts = entry.time(Duration::from_millis(100), LONGEST)?;
    }
    map.end()?;
    Ok(incident)
}

fn costs(entry: Entry) -> Result<Costs, Problem> {
    let mut costs = Costs::default();
    let mut map = entry.node.map("costs")?;
    if let Some(entry) = map.take("reconnect") {
        costs.reconnect = Some(real(&entry, 0.0, 1e6, "a number of requests, from 0 to 1000000")?);
    }
    if let Some(entry) = map.take("connection") {
        costs.connection = real(&entry, 0.0, 0.1, "a share of all requests, from 0 to 0.1")?;
    }
    map.end()?;
    Ok(costs)
}
