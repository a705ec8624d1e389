//! What goes wrong, and how the settings get over it: in the trials' parts under faults and in simulated days.

use super::header;
use crate::{
    model::{FaultRecord, IncidentLoss, Loss, Measurement, Prediction, Recommendation, SimulationEvidence},
    report::{
        ReportedTrial, figures, metrics,
        page::chart::{Axis, Chart, Colour, Mark, Point, Shape, plain},
        words,
    },
    stats,
};

/// The settings in use, and those set against them; shapes differ as colours do.
const ARMS: [(Colour, Shape); 2] = [(Colour::A, Shape::Circle), (Colour::B, Shape::Square)];

/// What faults in trials did: the time until half of what was served before was served again.
pub(in crate::report::page) fn under_faults(
    recommendation: &Recommendation,
    trials: &[ReportedTrial<'_>],
) -> Option<Chart> {
    let arms = metrics::columns(recommendation, trials);
    let part = |of: &Measurement| of.under_faults.as_ref().map(|part| part.faults.clone()).unwrap_or_default();
    let records: Vec<Vec<Vec<FaultRecord>>> =
        arms.iter().map(|(_, of)| of.iter().map(|one| part(one)).collect()).collect();
    let timeline: Vec<_> = records.iter().flatten().find(|records| !records.is_empty())?.clone();
    let mut names = Vec::new();
    let mut rows = Vec::new();
    let mut points = vec![Vec::new(); arms.len()];
    for (place, record) in timeline.iter().enumerate() {
        let name = words::timeline_in_words(std::slice::from_ref(&record.fault));
        let y = -stats::real(names.len());
        let mut any = false;
        for ((arm, (settings, _)), records) in arms.iter().enumerate().zip(&records) {
            let met: Vec<_> = records.iter().filter_map(|of| of.get(place)?.recovery).collect();
            if met.is_empty() {
                continue;
            }
            any = true;
            let back: Vec<f64> = met.iter().filter_map(|of| of.half_seconds).collect();
            let mean = stats::mean(&back);
            let interval = stats::mean_estimate(&back, 0.95).ok().map(|estimate| estimate.interval);
            points[arm].push(Point { x: mean, y: y + beside(arm, arms.len()), interval });
            let failed: Vec<f64> = met.iter().map(|of| stats::real(usize::try_from(of.failed).unwrap_or(0))).collect();
            rows.push(vec![
                name.clone(),
                (*settings).to_owned(),
                figures::time(mean),
                format!("{} of {}", met.len() - back.len(), met.len()),
                figures::rate(stats::mean(&failed)),
            ]);
        }
        if any {
            names.push(name);
        }
    }
    if names.is_empty() {
        return None;
    }
    let values = points.iter().flatten().flat_map(|point| {
        [point.x]
            .into_iter()
            .chain(point.interval.into_iter().flat_map(|interval| [interval.low.max(0.0), interval.high]))
    });
    let x = Axis::from_zero("time until half is served again, s", values, plain);
    let marks = arms.iter().zip(ARMS).zip(points).map(|(((name, _), (colour, shape)), points)| Mark::Points {
        name: format!("settings {name}"),
        colour,
        shape,
        across: true,
        points,
    });
    Some(Chart {
        id: "faults",
        title: "Recovery after each fault",
        told: "How long after a fault's end half of what was served before was served again: means over trials with their 95 % \
               intervals. Trials in which it was not by the end are counted in the figures and left out of the mean."
            .to_owned(),
        x,
        y: Axis::named(&names),
        marks: marks.collect(),
        header: header(&["fault", "settings", "half is served after", "not by the end", "requests failed by then"]),
        rows,
    })
}

/// What an incident costs in simulated days, in requests.
pub(in crate::report::page) fn lost(recommendation: &Recommendation) -> Option<Chart> {
    let told = "Requests that are not served in time because of one of each, simulated, on a scale of powers of ten.";
    dumbbells(
        recommendation,
        &Words {
            id: "incidents",
            title: "What one incident costs in simulated days",
            told,
            label: "requests not served in time",
        },
        |of| of.requests,
        figures::rate,
    )
}

/// How long an incident is felt in simulated days.
pub(in crate::report::page) fn recovery(recommendation: &Recommendation) -> Option<Chart> {
    let told = "From the end of each until half of what comes is served again, simulated, on a scale of powers of ten.";
    dumbbells(
        recommendation,
        &Words {
            id: "recovery",
            title: "Recovery after one incident in simulated days",
            told,
            label: "time until half is served again",
        },
        |of| of.recovery,
        figures::time,
    )
}

struct Words {
    id: &'static str,
    title: &'static str,
    told: &'static str,
    label: &'static str,
}

/// An incident a row, with a point for each of the two settings.
fn dumbbells(
    recommendation: &Recommendation,
    words: &Words,
    figure: impl Fn(&IncidentLoss) -> f64,
    shown: impl Fn(f64) -> String,
) -> Option<Chart> {
    let SimulationEvidence { was, now, ratio, .. } = recommendation.simulation.as_ref()?;
    let was = was.as_ref().filter(|was| !was.incidents.is_empty())?;
    let mut arms: Vec<(&str, &Loss)> = vec![("in use", was)];
    arms.extend(now.as_ref().filter(|_| ratio.is_some()).map(|now| ("recommended by simulation", now)));
    let names: Vec<String> = was.incidents.iter().map(|of| of.kind.in_words().to_owned()).collect();
    let of = |loss: &Loss, place: usize| loss.incidents.get(place).map(&figure).unwrap_or_default();
    let above: Vec<f64> = arms
        .iter()
        .flat_map(|(_, loss)| (0..names.len()).map(|place| of(loss, place)))
        .filter(|value| *value > 0.0)
        .collect();
    let least = above.iter().copied().fold(f64::INFINITY, f64::min);
    if !least.is_finite() {
        return None;
    }
    // What is nothing has no logarithm, and stands a power of ten below the least.
    let nothing = least.log10().floor() - 1.0;
    let place_of = |value: f64| if value > 0.0 { value.log10() } else { nothing };
    let marks = arms.iter().enumerate().zip(ARMS).map(|((arm, (name, loss)), (colour, shape))| Mark::Points {
        name: format!("settings {name}"),
        colour,
        shape,
        across: true,
        points: (0_u32..)
            .zip(0..names.len())
            .map(|(row, place)| Point {
                x: place_of(of(loss, place)),
                y: beside(arm, arms.len()) - f64::from(row),
                interval: None,
            })
            .collect(),
    });
    let all = arms.iter().flat_map(|(_, loss)| (0..names.len()).map(|place| place_of(of(loss, place))));
    let mut x = Axis::powers(words.label, all, &shown);
    if let Some((at, text)) = x.ticks.first_mut()
        && *at <= nothing
    {
        "nothing".clone_into(text);
    }
    Some(Chart {
        id: words.id,
        title: words.title,
        told: words.told.to_owned(),
        x,
        y: Axis::named(&names),
        marks: marks.collect(),
        header: [words.label.to_owned()].into_iter().chain(arms.iter().map(|(name, _)| (*name).to_owned())).collect(),
        rows: names
            .iter()
            .enumerate()
            .map(|(place, name)| {
                [name.clone()].into_iter().chain(arms.iter().map(|(_, loss)| shown(of(loss, place)))).collect()
            })
            .collect(),
    })
}

/// How far the points of an arm stand from the middle of their row, so that neither hides the other.
fn beside(arm: usize, of: usize) -> f64 {
    if of < 2 { 0.0 } else { 0.14 - 0.28 * stats::real(arm) }
}

type Figure = fn(&Prediction) -> (f64, f64);

/// How far the simulation is from what was measured.
pub(in crate::report::page) fn predictions(recommendation: &Recommendation) -> Option<Chart> {
    let found = recommendation.simulation.as_ref()?;
    let [throughput, query, acquire] = found.median_errors()?;
    let off = |(said, measured): (f64, f64)| (said / measured.max(1e-12) - 1.0) * 100.0;
    let series: [(&str, Colour, Shape, Figure); 3] = [
        ("throughput", Colour::A, Shape::Circle, |of| of.throughput),
        ("query time, 95th percentile", Colour::B, Shape::Triangle, |of| of.query_p95),
        ("time to acquire a connection, 95th percentile", Colour::C, Shape::Square, |of| of.acquire_p95),
    ];
    let mut marks = vec![Mark::Rule { name: "as measured".to_owned(), colour: Colour::Ink, at: 0.0, across: true }];
    marks.extend(series.iter().map(|(name, colour, shape, figure)| {
        Mark::Points {
            name: (*name).to_owned(),
            colour: *colour,
            shape: *shape,
            across: false,
            points: found
                .predictions
                .iter()
                .map(|of| Point { x: f64::from(of.connections), y: off(figure(of)), interval: None })
                .collect(),
        }
    }));
    let values = found.predictions.iter().flat_map(|of| series.map(|(.., figure)| off(figure(of))));
    let percent = |error: f64| format!("{:.1} %", error * 100.0);
    Some(Chart {
        id: "predictions",
        title: "How far the simulation is from the measurements",
        told: format!(
            "Each size of the pool was predicted from the trials of the others. The median error is {} for throughput, {} for query \
             time and {} for the time to acquire a connection.",
            percent(throughput),
            percent(query),
            percent(acquire)
        ),
        x: Axis::counted("connections", found.predictions.iter().map(|of| f64::from(of.connections))),
        y: Axis::around("simulated over measured, %", values.chain([0.0]), plain),
        marks,
        header: header(&["connections", "trials", "throughput", "query time", "acquisition"]),
        rows: found
            .predictions
            .iter()
            .map(|of| {
                let errors = series.map(|(.., figure)| format!("{:+.1} %", off(figure(of))));
                [of.connections.to_string(), of.trials.to_string()].into_iter().chain(errors).collect()
            })
            .collect(),
    })
}
