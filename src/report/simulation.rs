//! What simulated days showed of the settings that act too slowly for trials, and how far the simulation is from trials.

use super::{
    figures,
    markdown::{Align, table, text},
};
use crate::model::{
    Compressed, CompressedShare, Estimate, Loss, OperatingDay, Prediction, Recommendation, Shape, SimulationEvidence,
};

/// The section, without its heading; `None` where nothing was simulated.
pub(super) fn section(recommendation: &Recommendation) -> Option<String> {
    let found = recommendation.simulation.as_ref()?;
    let mut section = told(found);
    section.push_str(&format!("\n### How far the simulation is from the measurements\n\n{}", predictions(found)));
    if let Some(compressed) = &found.compressed {
        section.push_str(&format!("\n{}", compressed_trials(compressed)));
    } else if found.was.is_some() {
        section.push_str(
            "\nIt was not held against trials in which hours are compressed into seconds: they need a network to disturb, and a \
             profile with the part `faults`.\n",
        );
    }
    if let Some(reason) = &found.refused {
        section.push_str(&format!("\n**So it decides nothing:** {}.\n", text(reason)));
    }
    Some(section)
}

type Figure = fn(&Loss) -> String;

fn told(found: &SimulationEvidence) -> String {
    let (Some(was), Some(now)) = (&found.was, &found.now) else {
        return "No day was simulated.\n".to_owned();
    };
    let changed = found.ratio.is_some();
    let loss: [(&str, Figure); 6] = [
        ("lost in all", |of| lost(of.total)),
        ("requests not served in time", |of| lost(of.late)),
        ("what opening connections counts for", |of| lost(of.reconnects)),
        ("what holding connections counts for", |of| lost(of.held)),
        ("connections opened an hour", |of| format!("{:.1}", of.opened_an_hour)),
        ("connections open, on average", |of| format!("{:.1}", of.open)),
    ];
    let mut rows: Vec<Vec<String>> =
        loss.iter().map(|(name, shown)| row((*name).to_owned(), changed, &[shown(was), shown(now)])).collect();
    for (was, now) in was.incidents.iter().zip(&now.incidents) {
        let shown = |of: &crate::model::IncidentLoss| {
            format!("{} requests, back after {}", figures::rate(of.requests), figures::time(of.recovery))
        };
        rows.push(row(format!("a {}", was.kind.in_words()), changed, &[shown(was), shown(now)]));
    }
    let mut columns = vec![("a day", Align::Left), ("in use", Align::Right)];
    if changed {
        columns.push(("recommended by simulation", Align::Right));
    }
    let ratio = found.ratio.map_or_else(
        || "No other values were found under which less is lost.".to_owned(),
        |ratio| format!("Under the recommended ones the loss changes by {}.", change(ratio)),
    );
    format!(
        "Settings that act over minutes to hours, or only when something goes wrong, were judged by {} days simulated with what the \
         trials measured: {}. {ratio} The interval holds the chance of the days, not what is wrong with the simulation.\n\n{}",
        found.days,
        day(found),
        table(&columns, &rows)
    )
}

fn row(name: String, changed: bool, figures: &[String; 2]) -> Vec<String> {
    let shown = if changed { 2 } else { 1 };
    std::iter::once(name).chain(figures.iter().take(shown).cloned()).collect()
}

fn lost(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

/// A ratio of losses as a change.
fn change(ratio: Estimate) -> String {
    let mut change = ratio;
    change.value -= 1.0;
    change.interval.low -= 1.0;
    change.interval.high -= 1.0;
    figures::change_interval(change)
}

/// The day in words.
fn day(found: &SimulationEvidence) -> String {
    let OperatingDay { shape, deadline, incidents, costs, .. } = &found.day;
    let shape = match shape {
        Shape::Flat => "all the time",
        Shape::Diurnal => "in the afternoon and a fifth of it at night",
        Shape::Business => "in the bursts of business hours",
        Shape::Minutes(_) => "at most, as counted by the minute",
    };
    let happen: Vec<_> = incidents
        .iter()
        .filter(|(_, incident)| incident.a_day > 0.0)
        .map(|(kind, incident)| {
            let lasts = incident.lasts.as_secs_f64();
            let length = if lasts > 0.0 { format!(" of {}", figures::time(lasts)) } else { String::new() };
            let often = if incident.a_day >= 1.0 {
                format!("{} a day", figures::parameter(incident.a_day))
            } else {
                format!("one in {} days", figures::parameter(1.0 / incident.a_day))
            };
            format!("{}{length}: {often}", kind.in_words())
        })
        .collect();
    let limit = incidents.idle_limit.map_or(String::new(), |limit| {
        format!("; connections that are idle for {} are dropped silently", figures::time(limit))
    });
    format!(
        "{} requests a second {shape}, served in time within {}; {}{limit}. Opening a connection counts for {} requests, one that \
         is held all day for {} of all requests. The profile's `day` says all of this",
        figures::rate(found.peak),
        figures::time(deadline.as_secs_f64()),
        if happen.is_empty() { "nothing goes wrong".to_owned() } else { happen.join(", ") },
        figures::parameter(found.reconnect),
        lost(costs.connection)
    )
}

/// What was simulated of a size that was left out, beside what was measured: throughput, query time, acquisition time.
pub(crate) fn prediction(of: &Prediction) -> [String; 3] {
    let pair = |(said, measured): (f64, f64), shown: fn(f64) -> String| {
        format!("{} for {} ({:+.0} %)", shown(said), shown(measured), (said / measured.max(1e-12) - 1.0) * 100.0)
    };
    [pair(of.throughput, figures::rate), pair(of.query_p95, figures::time), pair(of.acquire_p95, figures::time)]
}

/// The median errors of the three.
pub(crate) fn median_errors(of: &[Prediction]) -> [String; 3] {
    match crate::model::median_errors(of) {
        Some(errors) => errors.map(|error| format!("{:.1} %", error * 100.0)),
        None => [figures::NONE; 3].map(str::to_owned),
    }
}

fn predictions(found: &SimulationEvidence) -> String {
    if found.predictions.is_empty() {
        return "Too few sizes of the pool were measured to predict one from the others.\n".to_owned();
    }
    let rows = found.predictions.iter().map(|of| {
        let name = format!("{} ({} trials)", of.connections, of.trials);
        std::iter::once(name).chain(prediction(of)).collect()
    });
    let median = std::iter::once("median error".to_owned()).chain(median_errors(&found.predictions)).collect();
    let rows: Vec<Vec<String>> = rows.chain([median]).collect();
    format!(
        "Each size of the pool was predicted from the trials of the other sizes: simulated for measured.\n\n{}",
        table(
            &[
                ("connections", Align::Left),
                ("throughput", Align::Right),
                ("query time, p95", Align::Right),
                ("acquisition, p95", Align::Right)
            ],
            &rows
        )
    )
}

fn compressed_trials(of: &Compressed) -> String {
    let shown = |name: &str, CompressedShare { measured, simulated }: CompressedShare| {
        vec![name.to_owned(), figures::share_interval(measured), figures::share(simulated)]
    };
    let mut rows = vec![shown("in use", of.was)];
    rows.extend(of.now.map(|now| shown("recommended by simulation", now)));
    format!(
        "In trials of {} at {} requests a second all slow times were divided by {}, and all connections broke twice: for 83 ms none \
         could be opened, as in a restart of 5 s, and for 1.42 s, as in a take-over of 85 s. Requests not served within {}:\n\n{}",
        figures::time(of.seconds),
        figures::rate(of.rate),
        figures::parameter(of.factor),
        figures::time(of.deadline),
        table(
            &[("settings", Align::Left), ("measured [95 % interval]", Align::Right), ("simulated", Align::Right)],
            &rows
        )
    )
}
