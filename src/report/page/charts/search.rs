//! Trial by trial: what was tried, and what share of requests was served.

use super::{Numbered, header, under_load};
use crate::{
    model::{Measurement, Recommendation},
    report::{
        ReportedTrial, figures,
        page::chart::{Axis, Chart, Colour, Mark, Point, Shape, plain},
        words,
    },
};

/// Phases with what they are called and drawn as. Shapes differ, so that colour is not needed to tell them apart.
const PHASES: [(&str, &str, Colour, Shape); 4] = [
    ("baseline", "settings in use", Colour::A, Shape::Circle),
    ("search", "search", Colour::B, Shape::Triangle),
    ("insight", "side questions", Colour::C, Shape::Cross),
    ("verification", "verification", Colour::Ink, Shape::Square),
];

fn by_phase(trials: &[Numbered<'_>], point: impl Fn(&Numbered<'_>) -> Point) -> Vec<Mark> {
    PHASES
        .iter()
        .map(|&(phase, name, colour, shape)| Mark::Points {
            name: name.to_owned(),
            colour,
            shape,
            across: false,
            points: trials.iter().filter(|of| of.trial.phase == phase).map(&point).collect(),
        })
        .filter(|mark| matches!(mark, Mark::Points { points, .. } if !points.is_empty()))
        .collect()
}

fn number(of: &Numbered<'_>) -> f64 {
    f64::from(of.number)
}

/// What the search tried over time, and the best so far that kept the limits.
pub(in crate::report::page) fn tried(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Option<Chart> {
    let trials = under_load(trials);
    let figure = |of: &Numbered<'_>| of.trial.measurement.weighted_throughput();
    let limits = recommendation.provenance.limits;
    let keeps = |of: &Measurement| {
        of.requests.success_rate > limits.success_rate && limits.p95_query.is_none_or(|most| of.query.p95 <= most)
    };
    let searched: Vec<_> = trials.iter().filter(|of| matches!(of.trial.phase, "baseline" | "search")).collect();
    let first = searched.first()?;
    let mut best: Option<&Numbered<'_>> = None;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for of in &searched {
        if keeps(of.trial.measurement) && best.is_none_or(|best| figure(of) > figure(best)) {
            steps.extend(best.map(|best| (number(of), figure(best))));
            steps.push((number(of), figure(of)));
            best = Some(of);
        }
    }
    let end = searched.last().map_or(1.0, |of| number(of));
    steps.extend(best.map(|best| (end, figure(best))));
    let counted = words::counted(recommendation);
    let told = match best {
        Some(best) => format!(
            "The first trial served {} requests a second; the best of the search, trial {}, {}. One trial may be lucky, so that \
             the verification and not this decides.{}",
            figures::rate(figure(first)),
            best.number,
            figures::rate(figure(best)),
            if recommendation.under_faults.is_some() { " Faults are counted by their weight." } else { "" }
        ),
        None => "No trial of the search kept the limits.".to_owned(),
    };
    let mut marks = vec![Mark::Line { name: "best of the search so far".to_owned(), colour: Colour::B, points: steps }];
    marks.extend(by_phase(&trials, |of| Point { x: number(of), y: figure(of), interval: None }));
    Some(Chart {
        id: "search",
        title: "What was tried, trial by trial",
        told,
        x: Axis::counted("trial", trials.iter().map(number)),
        y: Axis::around(&format!("{counted}, requests/s"), trials.iter().map(figure), figures::rate),
        marks,
        header: header(&[
            "trial",
            "phase",
            "why",
            "settings that differ from those in use",
            "requests/s",
            "counted so",
        ]),
        rows: trials
            .iter()
            .map(|of| {
                vec![
                    of.number.to_string(),
                    of.trial.phase.to_owned(),
                    of.trial.why.to_owned(),
                    differing(recommendation, of),
                    figures::rate(of.trial.measurement.throughput),
                    figures::rate(figure(of)),
                ]
            })
            .collect(),
    })
}

fn differing(recommendation: &Recommendation, of: &Numbered<'_>) -> String {
    let rows = recommendation.rows.iter().map(|row| (row.setting, &row.was, of.trial.settings.get(row.setting)));
    let differing: Vec<String> = rows
        .filter(|(_, was, tried)| was != tried)
        .map(|(setting, _, tried)| format!("{setting} {}", words::value(tried)))
        .collect();
    if differing.is_empty() { "none".to_owned() } else { differing.join(", ") }
}

/// Success rates, with the limit.
pub(in crate::report::page) fn success(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Option<Chart> {
    let trials = under_load(trials);
    let limit = recommendation.provenance.limits.success_rate;
    let percent = |share: f64| share * 100.0;
    let worst = trials.iter().map(|of| of.trial.measurement.requests.success_rate).reduce(f64::min)?;
    let below = trials.iter().filter(|of| of.trial.measurement.requests.success_rate <= limit).count();
    let shown = format!("{} %", plain(percent(limit)));
    let mut marks =
        vec![Mark::Rule { name: format!("limit, {shown}"), colour: Colour::B, at: percent(limit), across: true }];
    marks.extend(by_phase(&trials, |of| {
        let requests = of.trial.measurement.requests;
        let mut interval = requests.success_interval;
        (interval.low, interval.high) = (percent(interval.low), percent(interval.high));
        Point { x: number(of), y: percent(requests.success_rate), interval: Some(interval) }
    }));
    let values = trials.iter().map(|of| percent(of.trial.measurement.requests.success_rate));
    let mut y = Axis::around("success rate, %", values.chain([percent(limit), 100.0]), plain);
    y.ticks.retain(|(at, _)| *at <= 100.0 + 1e-9);
    Some(Chart {
        id: "success",
        title: "Success rate",
        told: format!(
            "{} above the limit of {shown}; the lowest success rate was {}. Bars are 95 % intervals (Clopper–Pearson). What \
             happens under faults is not counted here.",
            match below {
                0 => format!("All {} trials were", trials.len()),
                _ => format!("{below} of {} trials were not", trials.len()),
            },
            figures::share(worst)
        ),
        x: Axis::counted("trial", trials.iter().map(number)),
        y,
        marks,
        header: header(&["trial", "phase", "connections", "success rate", "failed requests", "retries"]),
        rows: trials
            .iter()
            .map(|of| {
                let requests = of.trial.measurement.requests;
                vec![
                    of.number.to_string(),
                    of.trial.phase.to_owned(),
                    of.trial.settings.max_connections().to_string(),
                    figures::share(requests.success_rate),
                    requests.failed.to_string(),
                    requests.retries.to_string(),
                ]
            })
            .collect(),
    })
}
