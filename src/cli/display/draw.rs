//! The picture.

use std::time::Instant;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Gauge, Paragraph},
};

use super::{
    charts::charts,
    help::help,
    state::{BUCKETS, FaultState, Phase, State, Wish},
};
use crate::{
    model::{
        BreakerState, Fault, Point,
        figures::{rate, time},
    },
    report,
};

/// Lines that are always there: title, progress, figures, faults, keys.
const ALWAYS: u16 = 8;
/// The least height of charts, and that of the histogram.
const CHARTS: u16 = 6;
const HISTOGRAM: u16 = 8;
/// Most lines of the list of faults.
const FAULTS: u16 = 6;

/// Draws everything that there is room for, as it is `now`; text first, pictures where they fit.
pub(super) fn draw(state: &State, now: Instant, frame: &mut Frame<'_>) {
    let area = frame.area();
    let left = area.height.saturating_sub(ALWAYS);
    let with_charts = left >= CHARTS;
    let with_histogram = left >= CHARTS + HISTOGRAM;
    let spare = left.saturating_sub(if with_charts { CHARTS } else { 0 }).saturating_sub(if with_histogram {
        HISTOGRAM
    } else {
        0
    });
    // Half of what is spare goes to the list of faults, the rest to the charts.
    let faults = u16::try_from(state.faults.len()).unwrap_or(u16::MAX).clamp(1, (spare.div_ceil(2) + 1).min(FAULTS));
    let [header, gauge, now_area, list, middle, bottom, keys_area] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Length(faults),
        if with_charts { Constraint::Min(CHARTS) } else { Constraint::Fill(1) },
        if with_histogram { Constraint::Length(HISTOGRAM) } else { Constraint::Length(0) },
        Constraint::Length(1),
    ])
    .areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(format!("{}{}", state.number, state.title), bold), header);
    frame.render_widget(progress(state, now), gauge);
    frame.render_widget(Paragraph::new(figures(state)), now_area);
    frame.render_widget(Paragraph::new(fault_list(state, now, usize::from(list.height))), list);
    if with_charts {
        charts(state, now, frame, middle);
    }
    if with_histogram {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(bottom);
        response_times(state, frame, left);
        frame.render_widget(Paragraph::new(errors(state)).block(Block::bordered().title("failed attempts")), right);
    }
    frame.render_widget(Line::from(keys(state)), keys_area);
    if state.help {
        help(&state.palette, frame);
    }
}

fn keys(state: &State) -> &'static str {
    match state.wish {
        Wish::GoOn => "q  end early, with results   ?  help   Ctrl-C  give up",
        Wish::EndEarly => "ending early …   Ctrl-C  give up",
        Wish::GiveUp => "giving up … (Ctrl-C again: at once)",
    }
}

fn progress(state: &State, now: Instant) -> Gauge<'_> {
    let (passed, elapsed) = (state.in_phase(now).as_secs_f64(), state.elapsed(now));
    let name = state.phase.name();
    // A line of seconds would shake if one of ten were written as long as one of a thousand.
    let seconds = |seconds: f64| if state.length < 100.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") };
    let (share, label) = match state.phase {
        Phase::Measuring => {
            let left = state.length - elapsed;
            let label = format!("{name} · {} of {} s · {} s left", seconds(elapsed), state.length, seconds(left));
            (elapsed / state.length, label)
        }
        Phase::WarmUp if state.warm_up > 0.0 => (0.0, format!("{name} · {passed:.1} s, at most {} s", state.warm_up)),
        Phase::Preparing | Phase::WarmUp => (0.0, format!("{name} · {passed:.1} s")),
        Phase::Draining => (1.0, format!("{name} · {passed:.1} s")),
        Phase::Ended => (1.0, name.to_owned()),
    };
    let ratio = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    Gauge::default().ratio(ratio).label(label).gauge_style(state.palette.usual)
}

/// The figures of the last interval, a line each.
fn figures(state: &State) -> Vec<Line<'_>> {
    let empty = Point::default();
    let point = state.points.back().unwrap_or(&empty);
    let failure = state.palette.failure;
    let failing =
        if point.failures > 0.0 { format!(" · {} failed a second", rate(point.failures)) } else { String::new() };
    let backlog = if state.open_loop { format!(" · backlog {}", point.backlog) } else { String::new() };
    let of =
        |seconds: f64| if point.response.count > 0 { time(seconds) } else { crate::model::figures::NONE.to_owned() };
    vec![
        Line::from(vec![
            Span::from(format!("throughput   {} QPS", rate(point.throughput))),
            Span::styled(failing, failure),
        ]),
        Line::from(format!(
            "response     p50 {}   p95 {}   p99 {}",
            of(point.response.p50),
            of(point.response.p95),
            of(point.response.p99)
        )),
        Line::from(format!(
            "connections  {} used, {} idle of {} at most · {} waiting{backlog}",
            point.active, point.idle, state.most_connections, point.waiting
        )),
        match point.breaker {
            BreakerState::Closed => Line::from("circuit      closed"),
            other => Line::from(vec![
                Span::from("circuit      "),
                Span::styled(format!("{}!", report::breaker(other).to_uppercase()), failure),
            ]),
        },
    ]
}

/// The faults with their states, a line each; where there is no room for all, those that are next.
fn fault_list(state: &State, now: Instant, rows: usize) -> Vec<Line<'_>> {
    let name = |text: String| format!("{text:<13}");
    if state.faults.is_empty() {
        return vec![Line::from(name("faults".to_owned()) + "none")];
    }
    let all = state.faults.len();
    let is_over = |fault: &Fault| state.of_fault(fault, now) == FaultState::Over;
    let next = state.faults.iter().position(|fault| !is_over(fault)).unwrap_or(all);
    let first = next.min(all.saturating_sub(rows));
    let shown = state.faults.iter().enumerate().skip(first).take(rows);
    let line = |(index, fault): (usize, &Fault)| {
        let name = match index - first {
            0 if all > rows => name(format!("fault {} of {all}", index + 1)),
            0 => name("faults".to_owned()),
            _ => name(String::new()),
        };
        let words = report::fault_in_words(fault);
        let (bold, dim) = (Modifier::BOLD, Modifier::DIM);
        let (text, style) = match state.of_fault(fault, now) {
            FaultState::Due(seconds) if state.phase == Phase::WarmUp || state.phase == Phase::Preparing => {
                (format!("▲ due at {seconds:<7}  {words}", seconds = format!("{seconds} s")), Style::new())
            }
            FaultState::Due(seconds) => (format!("▲ due in {:<8} {words}", format!("{seconds:.1} s")), Style::new()),
            FaultState::UnderWay(left) if fault.lasts.as_secs() > 0 => {
                (format!("━ now, {:<10} {words}", format!("{left:.1} s left")), state.palette.fault.add_modifier(bold))
            }
            FaultState::UnderWay(_) => (format!("━ {:<15} {words}", "now"), state.palette.fault.add_modifier(bold)),
            FaultState::Over => (format!("△ {:<15} {words}", "over"), state.palette.fault.add_modifier(dim)),
        };
        Line::from(vec![Span::from(name), Span::styled(text, style)])
    };
    shown.map(line).collect()
}

fn errors(state: &State) -> Vec<Line<'_>> {
    if state.errors.is_empty() {
        return vec![Line::from("none")];
    }
    let words =
        |class| serde_json::to_value(class).ok().and_then(|name| name.as_str().map(|name| name.replace('_', " ")));
    state
        .errors
        .iter()
        .map(|(class, count)| {
            let count = Span::styled(format!("{count:>8}"), state.palette.failure);
            Line::from(vec![count, Span::from(format!("  {}", words(class).unwrap_or_default()))])
        })
        .collect()
}

/// Where the decades of the histogram's buckets begin.
const DECADES: [&str; 6] = [".1ms", "1ms", "10ms", ".1s", "1s", "10s"];

/// Bars over time on a logarithmic scale; a row a decade's quarter would not fit, so the bars stand.
fn response_times(state: &State, frame: &mut Frame<'_>, area: Rect) {
    const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = Block::bordered().title("response times, all so far");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let most = state.buckets.iter().copied().max().unwrap_or(0);
    if most == 0 || inner.height < 2 {
        return;
    }
    let rows = usize::from(inner.height - 1);
    let width = (usize::from(inner.width) / BUCKETS).max(1);
    let mut lines: Vec<Line<'_>> = (0..rows)
        .rev()
        .map(|row| {
            let bar = |count: &u64| {
                let eighths = (u128::from(*count) * 8 * rows as u128).div_ceil(u128::from(most));
                let here = usize::try_from(eighths).unwrap_or(usize::MAX).saturating_sub(8 * row).min(8);
                STEPS[here].to_string().repeat(width)
            };
            Line::styled(state.buckets.iter().map(bar).collect::<String>(), state.palette.usual)
        })
        .collect();
    // One mark a decade, where the decade begins.
    let marks = DECADES.map(|mark| format!("{mark:<0$}", 4 * width)).concat();
    lines.push(Line::from(marks));
    frame.render_widget(Paragraph::new(lines), inner);
}
