//! Draws a chart with plotters, and gives what it has drawn the page's colours.
//!
//! plotters writes fixed colours. Each role has one of its own here, which is then replaced by a class, so that the style
//! sheet decides what it looks like on light and on dark ground and on paper.

use std::ops::Range;

use plotters::{
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    },
    prelude::*,
};

use super::{
    chart::{Axis, Chart, Colour, Mark, Point, Shape},
    html,
};
use crate::model::Interval;

/// plotters counts in whole pixels: so many of them are one of the page.
const FINE: i32 = 10;
const WIDTH: u32 = 7200;
/// The height of a chart of two numbers, and of a row of one with names.
const HEIGHT: u32 = 3800;
const ROW: u32 = 300;
/// plotters divides sizes of text by 1.24.
const TEXT: f64 = 130.0 * 1.24;
const COLOURS: [Colour; 5] = [Colour::Ink, Colour::Faint, Colour::A, Colour::B, Colour::C];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The letter of a colour's classes: `fa` fills with it, `sa` draws lines in it.
pub(super) fn class(colour: Colour) -> char {
    match colour {
        Colour::Ink => 'i',
        Colour::Faint => 'g',
        Colour::A => 'a',
        Colour::B => 'b',
        Colour::C => 'c',
    }
}

/// What stands for a colour until it is replaced.
fn stand_in(colour: Colour, dashed: bool) -> RGBColor {
    let place = COLOURS.iter().position(|known| *known == colour).and_then(|place| u8::try_from(place).ok());
    RGBColor(1, place.unwrap_or(0), u8::from(dashed))
}

/// The chart as SVG; `None` if plotters could not draw it.
pub(super) fn drawing(chart: &Chart) -> Option<String> {
    let has_names = chart.y.label.is_empty();
    let rows = u32::try_from(chart.y.ticks.len()).unwrap_or(0);
    let height = if has_names { 750 + ROW * rows } else { HEIGHT };
    let mut drawn = String::new();
    draw(chart, &SVGBackend::with_string(&mut drawn, (WIDTH, height)).into_drawing_area()).ok()?;
    let (_, inside) = drawn.split_once('>')?;
    let (title, told) = (html::text(chart.title), html::text(&chart.told));
    Some(format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}. {told}\">\n\
         <title>{title}</title><desc>{told}</desc>{}",
        themed(inside)
    ))
}

/// Classes in place of the colours that stand for them.
fn themed(drawn: &str) -> String {
    let mut text = drawn.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    for colour in COLOURS {
        for (dashed, more) in [(false, ""), (true, " dash")] {
            let RGBColor(red, green, blue) = stand_in(colour, dashed);
            for (attribute, letter) in [("fill", 'f'), ("stroke", 's')] {
                let fixed = format!(" {attribute}=\"#{red:02X}{green:02X}{blue:02X}\"");
                text = text.replace(&fixed, &format!(" class=\"{letter}{}{more}\"", class(colour)));
            }
        }
    }
    text
}

/// An axis as plotters takes it, with our ticks.
struct Scale(Axis);

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let Interval { low, high } = self.0.range;
        let pixel = f64::from(first) + (value - low) / (high - low) * f64::from(last - first);
        #[expect(clippy::cast_possible_truncation, reason = "saturates by definition of `as`")]
        let pixel = pixel.round() as i32;
        pixel
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.0.ticks.iter().map(|(at, _)| *at).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.0.range.low..self.0.range.high
    }
}

fn draw<'a>(chart: &Chart, root: &Area<'a>) -> Drawn<'a> {
    let Chart { x, y, .. } = chart;
    let widest = y.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
    let left = 120 + 78 * u32::try_from(widest).unwrap_or(0) + if y.label.is_empty() { 0 } else { 250 };
    let mut plot = ChartBuilder::on(root)
        .margin_top(60)
        .margin_right(330)
        .margin_bottom(20)
        .x_label_area_size(460)
        .y_label_area_size(left)
        .build_cartesian_2d(Scale(x.clone()), Scale(y.clone()))?;
    let words = |axis: &Axis, at: f64| {
        let tick = axis.ticks.iter().find(|(tick, _)| (tick - at).abs() < f64::EPSILON);
        tick.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let ink = stand_in(Colour::Ink, false);
    let text = ("sans-serif", TEXT).into_font().color(&ink);
    plot.configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(stand_in(Colour::Faint, false).mix(0.35).stroke_width(8))
        .axis_style(ink.stroke_width(10))
        .set_all_tick_mark_size(40)
        .label_style(text.clone())
        .axis_desc_style(text.clone())
        .x_desc(x.label.as_str())
        .y_desc(y.label.as_str())
        .x_label_formatter(&|at| words(x, *at))
        .y_label_formatter(&|at| words(y, *at))
        .draw()?;
    let area = plot.plotting_area();
    // What lies outside is drawn at the edge.
    let place = |at_x: f64, at_y: f64| {
        area.map_coordinate(&(at_x.clamp(x.range.low, x.range.high), at_y.clamp(y.range.low, y.range.high)))
    };
    for mark in &chart.marks {
        draw_mark(mark, chart, root, &place, &text)?;
    }
    root.present()
}

type Place<'a> = &'a dyn Fn(f64, f64) -> (i32, i32);

fn draw_mark<'a>(mark: &Mark, chart: &Chart, root: &Area<'a>, place: Place<'_>, text: &TextStyle<'_>) -> Drawn<'a> {
    let (x, y) = (chart.x.range, chart.y.range);
    match mark {
        Mark::Band { colour, points, .. } => {
            let above = points.iter().map(|&(at, _, high)| place(at, high));
            let below = points.iter().rev().map(|&(at, low, _)| place(at, low));
            let edge: Vec<_> = above.chain(below).collect();
            root.draw(&Polygon::new(edge, stand_in(*colour, false).mix(0.22)))
        }
        Mark::Span { colour, span, .. } => {
            let corners = [place(span.low, y.high), place(span.high, y.low)];
            root.draw(&Rectangle::new(corners, stand_in(*colour, false).mix(0.22).filled()))
        }
        Mark::Line { colour, points, .. } => {
            let path: Vec<_> = points.iter().map(|&(at, value)| place(at, value)).collect();
            root.draw(&PathElement::new(path, stand_in(*colour, false).stroke_width(22)))
        }
        Mark::Rule { colour, at, across, .. } => {
            let ends = if *across { [(x.low, *at), (x.high, *at)] } else { [(*at, y.low), (*at, y.high)] };
            let path = ends.map(|(at, value)| place(at, value)).to_vec();
            root.draw(&PathElement::new(path, stand_in(*colour, true).stroke_width(16)))
        }
        Mark::Bar { colour, y, from, to } => {
            let corners = [place(from.min(*to), y + 0.28), place(from.max(*to), y - 0.28)];
            root.draw(&Rectangle::new(corners, stand_in(*colour, false).mix(0.35).filled()))
        }
        Mark::Points { colour, shape, across, points, .. } => {
            points.iter().try_for_each(|point| draw_point(*point, *colour, *shape, *across, root, place))
        }
        Mark::Labels(labels) => labels.iter().try_for_each(|(at, value, words)| {
            let (left, top) = place(*at, *value);
            root.draw(&Text::new(words.clone(), (left + 80, top - 190), text.clone()))
        }),
    }
}

fn draw_point<'a>(
    point: Point,
    colour: Colour,
    shape: Shape,
    across: bool,
    root: &Area<'a>,
    place: Place<'_>,
) -> Drawn<'a> {
    if !(point.x.is_finite() && point.y.is_finite()) {
        return Ok(());
    }
    let line = stand_in(colour, false).stroke_width(16);
    if let Some(interval) = point.interval {
        let end = |at| if across { place(at, point.y) } else { place(point.x, at) };
        let (low, high) = (end(interval.low), end(interval.high));
        root.draw(&PathElement::new(vec![low, high], line))?;
        let (reach_x, reach_y) = if across { (0, 45) } else { (45, 0) };
        for ((left, top), bound) in [(low, interval.low), (high, interval.high)] {
            // An end without a bound has no cap.
            if bound.is_finite() {
                let cap = vec![(left - reach_x, top - reach_y), (left + reach_x, top + reach_y)];
                root.draw(&PathElement::new(cap, line))?;
            }
        }
    }
    let (left, top) = place(point.x, point.y);
    let corners: Vec<_> = corners(shape).iter().map(|&(x, y)| (left + x * FINE, top + y * FINE)).collect();
    match shape {
        Shape::Circle => root.draw(&Circle::new((left, top), 5 * FINE, stand_in(colour, false).filled())),
        Shape::Dot => root.draw(&Circle::new((left, top), 3 * FINE, line)),
        Shape::Cross => corners.chunks(2).try_for_each(|ends| root.draw(&PathElement::new(ends.to_vec(), line))),
        Shape::Square | Shape::Triangle => root.draw(&Polygon::new(corners, stand_in(colour, false))),
    }
}

/// The corners of a shape around its middle, in pixels of the page; for a cross the ends of its lines.
fn corners(shape: Shape) -> &'static [(i32, i32)] {
    match shape {
        Shape::Square => &[(-5, -5), (5, -5), (5, 5), (-5, 5)],
        Shape::Triangle => &[(0, -6), (6, 5), (-6, 5)],
        Shape::Cross => &[(-5, -5), (5, 5), (-5, 5), (5, -5)],
        Shape::Circle | Shape::Dot => &[],
    }
}

/// A shape by itself, for a legend of 24 by 14 pixels.
pub(super) fn sign(shape: Shape, colour: Colour) -> String {
    let class = class(colour);
    let corners: Vec<String> = corners(shape).iter().map(|(x, y)| format!("{},{}", x + 12, y + 7)).collect();
    let open = format!("class=\"s{class}\" fill=\"none\" stroke-width=\"1.6\"");
    match shape {
        Shape::Circle => format!("<circle class=\"f{class}\" cx=\"12\" cy=\"7\" r=\"5\"/>"),
        Shape::Dot => format!("<circle {open} cx=\"12\" cy=\"7\" r=\"3\"/>"),
        Shape::Cross => {
            html::all(corners.chunks(2).map(|ends| format!("<polyline {open} points=\"{}\"/>", ends.join(" "))))
        }
        Shape::Square | Shape::Triangle => {
            format!("<polygon class=\"f{class}\" points=\"{}\"/>", corners.join(" "))
        }
    }
}
