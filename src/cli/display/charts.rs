//! Throughput and response times over time, with the faults marked on the axis of time.

use std::time::Instant;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    symbols::Marker,
    widgets::{Axis, Block, Chart, Dataset, GraphType},
};

use super::state::{FaultState, State};
use crate::model::{
    Point,
    figures::{rate, time},
};

/// Width from which charts stand side by side, and height from which they stand one above the other; in less room than
/// either there is one.
const SIDE_BY_SIDE: u16 = 70;
const STACKED: u16 = 12;

pub(super) fn charts(state: &State, now: Instant, frame: &mut Frame<'_>, area: Rect) {
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [first, second] = if area.width >= SIDE_BY_SIDE {
        Layout::horizontal(halves).areas(area)
    } else if area.height >= STACKED {
        Layout::vertical(halves).areas(area)
    } else {
        throughput(state, now, frame, area);
        return;
    };
    throughput(state, now, frame, first);
    latency(state, now, frame, second);
}

/// How a series is drawn.
struct Series {
    marker: Marker,
    style: Style,
    points: Vec<(f64, f64)>,
}

fn throughput(state: &State, now: Instant, frame: &mut Frame<'_>, area: Rect) {
    let points = state.points.iter().map(|point| (point.at, point.throughput)).collect();
    let series = [Series { marker: Marker::Braille, style: state.palette.usual, points }];
    chart(state, now, frame, area, ("throughput, QPS", rate), &series);
}

fn latency(state: &State, now: Instant, frame: &mut Frame<'_>, area: Rect) {
    // An interval in which nothing was served has no times, and a gap says so better than a zero.
    let of = |figure: fn(&Point) -> f64| {
        let served = state.points.iter().filter(|point| point.response.count > 0);
        served.map(|point| (point.at, figure(point))).collect::<Vec<_>>()
    };
    let series = [
        Series { marker: Marker::Dot, style: state.palette.slow, points: of(|point| point.response.p99) },
        Series { marker: Marker::Braille, style: state.palette.usual, points: of(|point| point.response.p50) },
    ];
    chart(state, now, frame, area, ("response p50 (line), p99 (dots)", time), &series);
}

fn chart(
    state: &State,
    now: Instant,
    frame: &mut Frame<'_>,
    area: Rect,
    (title, label): (&str, fn(f64) -> String),
    series: &[Series],
) {
    let highest = series.iter().flat_map(|of| &of.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * 1.1 } else { 1.0 };
    let first = state.points.front().map_or(0.0, |point| point.at - point.seconds).max(0.0);
    let last = state.length.max(first + 1.0);
    let datasets = series
        .iter()
        .map(|of| {
            let kind = if of.marker == Marker::Dot { GraphType::Scatter } else { GraphType::Line };
            Dataset::default().marker(of.marker).graph_type(kind).style(of.style).data(&of.points)
        })
        .collect();
    let seconds = |value: f64| format!("{value:.0} s");
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    let chart = Chart::new(datasets)
        .block(block)
        .legend_position(None)
        .x_axis(Axis::default().bounds([first, last]).labels([seconds(first), seconds(last)]))
        .y_axis(Axis::default().bounds([0.0, top]).labels(["0".to_owned(), label(top)]));
    frame.render_widget(chart, area);
    mark_faults(state, now, frame, inner, (first, last));
}

/// Marks on the axis of time where each fault begins, lasts and ends.
fn mark_faults(state: &State, now: Instant, frame: &mut Frame<'_>, inner: Rect, (first, last): (f64, f64)) {
    let buffer = frame.buffer_mut();
    // How wide the labels are is the chart's own business; where its axes meet can be seen.
    let corner = inner.positions().find(|place| buffer.cell(*place).is_some_and(|cell| cell.symbol() == "└"));
    let Some(corner) = corner else { return };
    let (left, right) = (corner.x + 1, inner.right().saturating_sub(1));
    if left >= right {
        return;
    }
    let mut mark = |x: u16, symbol: &str, style: Style| {
        if let Some(cell) = buffer.cell_mut((x, corner.y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    };
    // Begins are drawn last, so that none is hidden by another's end.
    for begins in [false, true] {
        for fault in &state.faults {
            let (at, end) = (fault.at.as_secs_f64(), fault.end().as_secs_f64());
            if end < first || at > last {
                continue;
            }
            let style = match state.of_fault(fault, now) {
                FaultState::Due(_) => state.palette.fault.add_modifier(Modifier::DIM),
                FaultState::UnderWay(_) => state.palette.fault.add_modifier(Modifier::BOLD),
                FaultState::Over => state.palette.fault,
            };
            let column = |at: f64| left + column((at - first) / (last - first), right - left);
            let (begin, end) = (column(at), column(end));
            if begins {
                if at >= first {
                    mark(begin, "▲", style);
                }
            } else if end > begin {
                (begin..end).for_each(|x| mark(x, "━", style));
                mark(end, "△", style);
            }
        }
    }
}

/// The column of a share of a width.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn column(share: f64, width: u16) -> u16 {
    (share.clamp(0.0, 1.0) * f64::from(width)).round() as u16
}
