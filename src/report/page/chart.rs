//! What a chart shows, as data: axes, marks, and the table that says the same in figures.

use super::{html, svg};
use crate::model::Interval;

/// A role of a colour. What each looks like on light and on dark ground is said by `style.css`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Text, axes, rules.
    Ink,
    /// What stands behind: the grid, single trials.
    Faint,
    /// The settings in use, and the first of several.
    A,
    /// The other settings, and the second.
    B,
    /// The third.
    C,
}

/// The shape of a point. Series that differ in colour differ in shape as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Cross,
    Dot,
}

/// A point with its interval, upright or across.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) interval: Option<Interval>,
}

/// Something drawn; what has a name is in the legend.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// Between two lines: x, low, high.
    Band { name: String, colour: Colour, points: Vec<(f64, f64, f64)> },
    /// From one x to another, over the whole height.
    Span { name: String, colour: Colour, span: Interval },
    /// A line.
    Line { name: String, colour: Colour, points: Vec<(f64, f64)> },
    /// A line in dashes over the whole width (`across`) or height.
    Rule { name: String, colour: Colour, at: f64, across: bool },
    /// A bar across, from one x to another, around a y.
    Bar { colour: Colour, y: f64, from: f64, to: f64 },
    /// Points with intervals, which are across where `across` says so.
    Points { name: String, colour: Colour, shape: Shape, across: bool, points: Vec<Point> },
    /// Words beside points.
    Labels(Vec<(f64, f64, String)>),
}

/// An axis: what it is of, its range, and where it has which words.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) range: Interval,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Around all `values`, with a little room, and with ticks at round figures.
    pub(super) fn around(label: &str, values: impl IntoIterator<Item = f64>, shown: impl Fn(f64) -> String) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = if high > low { (high - low) * 0.06 } else { (high.abs() * 0.1).max(1e-9) };
        // What cannot be negative does not get an axis that is.
        let range = Interval { low: if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high: high + room };
        Self { label: label.to_owned(), range, ticks: ticks(range).into_iter().map(|at| (at, shown(at))).collect() }
    }

    /// From nothing to the largest of `values`.
    pub(super) fn from_zero(label: &str, values: impl IntoIterator<Item = f64>, shown: impl Fn(f64) -> String) -> Self {
        Self::around(label, values.into_iter().chain([0.0]), shown)
    }

    /// Whole numbers, each one where they are few.
    pub(super) fn counted(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let mut axis = Self::around(label, values, plain);
        let all: Vec<f64> = (0_u32..100_000)
            .map(f64::from)
            .skip_while(|at| *at < axis.range.low)
            .take(13)
            .take_while(|at| *at <= axis.range.high)
            .collect();
        if all.len() < 13 {
            axis.ticks = all.into_iter().map(|at| (at, plain(at))).collect();
        }
        axis
    }

    /// A name for each row, the first one at the top, at 0, -1, -2 and so on.
    pub(super) fn named(names: &[String]) -> Self {
        let ticks: Vec<(f64, String)> = (0_u32..).zip(names).map(|(at, name)| (-f64::from(at), name.clone())).collect();
        let low = ticks.last().map_or(0.0, |(at, _)| *at) - 0.6;
        Self { label: String::new(), range: Interval { low, high: 0.6 }, ticks }
    }

    /// Powers of ten, for values whose common logarithm is drawn.
    pub(super) fn powers(label: &str, values: impl IntoIterator<Item = f64>, shown: impl Fn(f64) -> String) -> Self {
        let all: Vec<f64> = values.into_iter().collect();
        let low = all.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let high = all.iter().copied().fold(low + 1.0, f64::max).ceil();
        let range = Interval { low: low - 0.05, high: high + 0.05 };
        let powers = (-9_i32..=12).filter(|power| range.contains(f64::from(*power)));
        let ticks = powers.map(|power| (f64::from(power), shown(10_f64.powi(power)))).collect();
        Self { label: label.to_owned(), range, ticks }
    }
}

/// A figure of an axis, with as many digits as it takes and without the noise of its last bits.
pub(super) fn plain(at: f64) -> String {
    ((at * 1e6).round() / 1e6).to_string()
}

/// Round figures inside a range, some five of them.
fn ticks(range: Interval) -> Vec<f64> {
    let raw = (range.high - range.low) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= raw).unwrap_or(raw);
    let first = (range.low / step).ceil();
    // Adding nothing turns −0 into 0.
    (0_u32..12).map(|count| (first + f64::from(count)) * step + 0.0).take_while(|at| *at <= range.high).collect()
}

/// A chart with its words and its figures.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Its name in the page, for links.
    pub(super) id: &'static str,
    /// What it shows, as a heading.
    pub(super) title: &'static str,
    /// What is to be seen in it, in a sentence or two; also what is read to whoever does not see it.
    pub(super) told: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Chart {
    /// The chart as a figure: what it shows, the drawing, the legend, and its figures as a table.
    pub(super) fn html(&self) -> String {
        let legend: String = self.marks.iter().filter_map(legend).collect();
        let legend = if legend.is_empty() { legend } else { format!("<ul class=\"legend\">{legend}</ul>\n") };
        format!(
            "<figure id=\"{}\">\n<figcaption><strong>{}.</strong> {}</figcaption>\n{}{legend}<details><summary>The figures of \
             this chart</summary>\n{}</details>\n</figure>\n",
            self.id,
            html::text(self.title),
            html::text(&self.told),
            html::wide(&svg::drawing(self).unwrap_or_default()),
            html::table(self.title, &self.header, &self.rows)
        )
    }
}

/// A mark's sign and its name.
fn legend(mark: &Mark) -> Option<String> {
    let line = |colour: &Colour, dashes: &str| {
        let class = svg::class(*colour);
        format!("<line class=\"s{class}\" x1=\"0\" y1=\"7\" x2=\"24\" y2=\"7\" stroke-width=\"2\"{dashes}/>")
    };
    let (name, sign) = match mark {
        Mark::Band { name, colour, .. } | Mark::Span { name, colour, .. } => {
            let class = svg::class(*colour);
            (name, format!("<rect class=\"f{class}\" opacity=\"0.3\" y=\"1\" width=\"24\" height=\"12\"/>"))
        }
        Mark::Line { name, colour, .. } => (name, line(colour, "")),
        Mark::Rule { name, colour, .. } => (name, line(colour, " stroke-dasharray=\"5 3\"")),
        Mark::Points { name, colour, shape, .. } => (name, svg::sign(*shape, *colour)),
        Mark::Bar { .. } | Mark::Labels(_) => return None,
    };
    let sign = format!("<svg viewBox=\"0 0 24 14\" width=\"24\" height=\"14\" aria-hidden=\"true\">{sign}</svg>");
    (!name.is_empty()).then(|| format!("<li>{sign} {}</li>\n", html::text(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around("x", [3.0, 47.0], |at| at.to_string());
        assert_eq!(axis.ticks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["10", "20", "30", "40"]);
        let none = Axis::around("x", [], |at| at.to_string());
        assert!(none.range.low < none.range.high && none.ticks.len() > 2);
        let one = Axis::around("x", [5.0, f64::NAN, f64::INFINITY], |at| at.to_string());
        assert!(one.range.low < 5.0 && one.range.high > 5.0);
    }
}
