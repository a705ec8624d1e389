//! What each setting does by itself, the strongest first (a tornado).

use super::header;
use crate::{
    model::{Estimate, Recommendation, Row},
    report::{
        figures,
        page::chart::{Axis, Chart, Colour, Mark, Point, Shape, plain},
        words,
    },
};

/// Effects on throughput.
pub(in crate::report::page) fn on_throughput(recommendation: &Recommendation) -> Option<Chart> {
    let label = match recommendation.under_faults {
        Some(_) => "change of throughput with faults counted, %",
        None => "change of throughput, %",
    };
    let told = "Of a changed setting, what the change alone brings; of a kept one, what the most promising other value would. \
                An interval that crosses nothing says that the trials could not tell.";
    tornado(recommendation, "effects", "Effect of each setting on throughput", told, label, |row| !row.is_of_loss())
}

/// Effects on what a simulated day loses.
pub(in crate::report::page) fn on_loss(recommendation: &Recommendation) -> Option<Chart> {
    let told = "Simulated; to the left is less lost, and better. An interval that crosses nothing says that the days could not \
                tell.";
    let title = "Effect of each setting on what a simulated day loses";
    tornado(recommendation, "effects-on-loss", title, told, "change of what a day loses, %", Row::is_of_loss)
}

fn tornado(
    recommendation: &Recommendation,
    id: &'static str,
    title: &'static str,
    told: &str,
    label: &str,
    belongs: impl Fn(&Row) -> bool,
) -> Option<Chart> {
    let mut rows: Vec<(&Row, Estimate)> = recommendation
        .rows
        .iter()
        .filter(|row| belongs(row))
        .filter_map(|row| Some((row, row.effect.filter(|effect| effect.value.is_finite())?)))
        .collect();
    // A stable sort: what is equally strong stays in the order of the table.
    rows.sort_by(|(_, one), (_, other)| other.value.abs().total_cmp(&one.value.abs()));
    let (strongest, effect) = rows.first()?;
    let percent = |share: f64| share * 100.0;
    let placed = || (0_u32..).map(|at| -f64::from(at)).zip(&rows);
    let points = |changed: bool| {
        placed()
            .filter(|(_, (row, _))| (row.was != row.now) == changed)
            .map(|(y, (_, effect))| {
                let mut interval = effect.interval;
                (interval.low, interval.high) = (percent(interval.low), percent(interval.high));
                Point { x: percent(effect.value), y, interval: Some(interval) }
            })
            .collect::<Vec<_>>()
    };
    let mut marks: Vec<Mark> = placed()
        .map(|(y, (row, effect))| Mark::Bar {
            colour: if row.was == row.now { Colour::Faint } else { Colour::B },
            y,
            from: 0.0,
            to: percent(effect.value),
        })
        .collect();
    marks.push(Mark::Rule { name: "no effect".to_owned(), colour: Colour::Ink, at: 0.0, across: false });
    let series = [("changed", Colour::B, Shape::Square, true), ("kept", Colour::Ink, Shape::Dot, false)];
    marks.extend(series.into_iter().map(|(name, colour, shape, changed)| Mark::Points {
        name: format!("{name}, with 95 % interval"),
        colour,
        shape,
        across: true,
        points: points(changed),
    }));
    marks.retain(|mark| !matches!(mark, Mark::Points { points, .. } if points.is_empty()));
    let values = rows.iter().flat_map(|(_, effect)| [effect.value, effect.interval.low, effect.interval.high]);
    let names: Vec<String> = rows.iter().map(|(row, _)| row.setting.name().to_owned()).collect();
    Some(Chart {
        id,
        title,
        told: format!("The strongest is that of {}: {}. {told}", strongest.setting, figures::change_interval(*effect)),
        x: Axis::around(label, values.chain([0.0]).map(percent), plain),
        y: Axis::named(&names),
        marks,
        header: header(&["setting", "was", "now", "effect [95 % interval]", "decided by"]),
        rows: rows
            .iter()
            .map(|(row, effect)| {
                vec![
                    row.setting.name().to_owned(),
                    words::value(&row.was),
                    words::value(&row.now),
                    words::effect_of(row, *effect),
                    words::decided_by(row.decided_by).to_owned(),
                ]
            })
            .collect(),
    })
}
