//! The verification, pair by pair.

use super::{Numbered, header, in_use, under_load};
use crate::{
    model::{Measurement, Recommendation, Settings},
    report::{
        ReportedTrial, figures,
        page::chart::{Axis, Chart, Colour, Mark, Point, Shape, plain},
        words,
    },
};

/// The ratio within each pair, and that of all.
pub(in crate::report::page) fn pairs(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Option<Chart> {
    let found = recommendation.verification.as_ref()?;
    let in_use = in_use(recommendation);
    let figure = |of: &Measurement| if found.by_faults_alone { of.fault_factor() } else { of.weighted_throughput() };
    let trials = under_load(trials);
    let verified: Vec<&Numbered<'_>> = trials.iter().filter(|of| of.trial.phase == "verification").collect();
    // Each pair has one trial of each, in changing order and maybe with one of others between them.
    let of = |settings: &Settings| verified.iter().filter(|of| of.trial.settings == settings).collect::<Vec<_>>();
    let pairs: Vec<(u32, u32, &Measurement, &Measurement)> = (1..)
        .zip(of(&in_use).into_iter().zip(of(&found.candidate)))
        .map(|(pair, (was, other))| {
            let first = was.number.min(other.number);
            (pair, first, was.trial.measurement, other.trial.measurement)
        })
        .filter(|(_, _, was, _)| figure(was) > 0.0)
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let ratio = |was: &Measurement, other: &Measurement| figure(other) / figure(was);
    let above = pairs.iter().filter(|(_, _, was, other)| ratio(was, other) > 1.0).count();
    let points: Vec<Point> = pairs
        .iter()
        .map(|&(pair, _, was, other)| Point { x: f64::from(pair), y: ratio(was, other), interval: None })
        .collect();
    let last = f64::from(pairs.last().map_or(1, |(pair, ..)| *pair));
    let (low, high) = (found.ratio.interval.low, found.ratio.interval.high);
    let of = if found.by_faults_alone { "what faults leave of throughput" } else { words::counted(recommendation) };
    let shown = |value: f64| format!("{value:.3}");
    let values = points.iter().map(|point| point.y).chain([1.0, low, high, found.ratio.value]);
    Some(Chart {
        id: "verification-pairs",
        title: "Verification, pair by pair",
        told: format!(
            "In {above} of {} pairs there was more with the other settings than with those in use. The ratio of {of} over all \
             pairs is {:.3}, with a 95 % interval from {low:.3} to {high:.3}.",
            pairs.len(),
            found.ratio.value
        ),
        x: Axis::counted("pair", [0.6, last + 0.4]),
        y: Axis::around("ratio, other settings over those in use", values, plain),
        marks: vec![
            Mark::Band {
                name: "95 % interval of the ratio".to_owned(),
                colour: Colour::A,
                points: vec![(0.0, low, high), (last + 1.0, low, high)],
            },
            Mark::Line {
                name: "ratio of all pairs".to_owned(),
                colour: Colour::A,
                points: vec![(0.0, found.ratio.value), (last + 1.0, found.ratio.value)],
            },
            Mark::Rule { name: "no difference".to_owned(), colour: Colour::Ink, at: 1.0, across: true },
            Mark::Points { name: "a pair".to_owned(), colour: Colour::B, shape: Shape::Square, across: false, points },
        ],
        header: header(&["pair", "first trial", "in use, requests/s", "the others, requests/s", "ratio"]),
        rows: pairs
            .iter()
            .map(|&(pair, first, was, other)| {
                vec![
                    pair.to_string(),
                    first.to_string(),
                    figures::rate(was.throughput),
                    figures::rate(other.throughput),
                    shown(ratio(was, other)),
                ]
            })
            .collect(),
    })
}
