//! The picture.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    symbols::Marker,
    text::Line,
    widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph},
};

use super::state::{BUCKETS, Phase, State};
use crate::{
    model::{
        BreakerState, Point,
        figures::{rate, time},
    },
    report,
};

/// Heights below which a part gives way to the more important ones.
const WITH_CHARTS: u16 = 14;
const WITH_HISTOGRAM: u16 = 22;
/// Width below which charts stand one above the other.
const SIDE_BY_SIDE: u16 = 70;

/// Draws everything that there is room for; text first, pictures where they fit.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let charts = area.height >= WITH_CHARTS;
    let histogram = area.height >= WITH_HISTOGRAM;
    let [header, gauge, now, middle, bottom, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(5),
        if charts { Constraint::Min(5) } else { Constraint::Length(0) },
        if histogram { Constraint::Length(8) } else { Constraint::Length(0) },
        Constraint::Length(1),
    ])
    .areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(format!("{}{}", state.number, state.title), bold), header);
    frame.render_widget(progress(state), gauge);
    frame.render_widget(Paragraph::new(figures(state)), now);
    if charts {
        let [left, right] = if area.width >= SIDE_BY_SIDE {
            Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle)
        } else {
            Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle)
        };
        throughput(state, frame, left);
        latency(state, frame, right);
    }
    if histogram {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(bottom);
        response_times(state, frame, left);
        frame.render_widget(Paragraph::new(errors(state)).block(Block::bordered().title("failed attempts")), right);
    }
    let keys = if state.finishing { "ending early …" } else { "q  end early, with results   Ctrl-C  give up" };
    frame.render_widget(Line::from(keys), help);
}

fn progress(state: &State) -> Gauge<'_> {
    let elapsed = state.elapsed();
    let ratio = if state.length > 0.0 { (elapsed / state.length).clamp(0.0, 1.0) } else { 0.0 };
    let label = match state.phase {
        Phase::Measuring => {
            format!("measuring · {elapsed:.0} of {:.0} s · {:.0} s left", state.length, state.length - elapsed)
        }
        phase => phase.name().to_owned(),
    };
    Gauge::default().ratio(ratio).label(label)
}

/// The figures of the last interval, a line each.
fn figures(state: &State) -> Vec<Line<'_>> {
    let empty = Point::default();
    let point = state.points.back().unwrap_or(&empty);
    let failing =
        if point.failures > 0.0 { format!(" · {} failed a second", rate(point.failures)) } else { String::new() };
    let backlog = if state.open_loop { format!(" · backlog {}", point.backlog) } else { String::new() };
    let breaker = match point.breaker {
        BreakerState::Closed => "closed".to_owned(),
        other => format!("{}!", report::breaker(other).to_uppercase()),
    };
    vec![
        Line::from(format!("throughput   {} QPS{failing}", rate(point.throughput))),
        Line::from(format!(
            "response     p50 {}   p95 {}   p99 {}",
            time(point.response.p50),
            time(point.response.p95),
            time(point.response.p99)
        )),
        Line::from(format!(
            "connections  {} used, {} idle of {} at most · {} waiting{backlog}",
            point.active, point.idle, state.most_connections, point.waiting
        )),
        Line::from(format!("circuit      {breaker}")),
        Line::from(format!("faults       {}", state.faults_now())),
    ]
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
        .map(|(class, count)| Line::from(format!("{count:>8}  {}", words(class).unwrap_or_default())))
        .collect()
}

type Series<'a> = (&'a str, Marker, Vec<(f64, f64)>);

fn throughput(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let points = state.points.iter().map(|point| (point.at, point.throughput)).collect();
    chart(state, frame, area, "throughput, QPS", rate, &[("", Marker::Braille, points)]);
}

fn latency(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let of = |figure: fn(&Point) -> f64| state.points.iter().map(|point| (point.at, figure(point))).collect::<Vec<_>>();
    let series = [
        ("p99", Marker::Dot, of(|point| point.response.p99)),
        ("p50", Marker::Braille, of(|point| point.response.p50)),
    ];
    chart(state, frame, area, "response p50 (line), p99 (dots)", time, &series);
}

fn chart(
    state: &State,
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    label: fn(f64) -> String,
    series: &[Series<'_>],
) {
    let highest = series.iter().flat_map(|(_, _, points)| points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * 1.1 } else { 1.0 };
    let first = state.points.front().map_or(0.0, |point| point.at - point.seconds).max(0.0);
    let last = state.length.max(first + 1.0);
    let datasets = series
        .iter()
        .map(|(name, marker, points)| {
            let kind = if *marker == Marker::Dot { GraphType::Scatter } else { GraphType::Line };
            Dataset::default().name(*name).marker(*marker).graph_type(kind).data(points)
        })
        .collect();
    let seconds = |value: f64| format!("{value:.0} s");
    let chart = Chart::new(datasets)
        .block(Block::bordered().title(title.to_owned()))
        .legend_position(None)
        .x_axis(Axis::default().bounds([first, last]).labels([seconds(first), seconds(last)]))
        .y_axis(Axis::default().bounds([0.0, top]).labels(["0".to_owned(), label(top)]));
    frame.render_widget(chart, area);
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
            Line::from(state.buckets.iter().map(bar).collect::<String>())
        })
        .collect();
    // One mark a decade, where the decade begins.
    let marks = DECADES.map(|mark| format!("{mark:<0$}", 4 * width)).concat();
    lines.push(Line::from(marks));
    frame.render_widget(Paragraph::new(lines), inner);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::Histogram;
    use proptest::prelude::*;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{
        model::{ErrorClass, Fault, FaultKind, Latency, Pacing, Settings},
        stress::{Event, Test},
        trial::{Load, Watch},
    };

    fn test() -> Test {
        let fault =
            Fault { at: Duration::from_secs(300), lasts: Duration::from_secs(3), share: 1.0, kind: FaultKind::Stall };
        Test {
            name: "brown-out".to_owned(),
            about: "the network gets slow".to_owned(),
            load: Load {
                pacing: Pacing::closed(25),
                faults: vec![fault],
                ..Load::closed(25, None, Duration::from_secs(20), 0.99)
            },
            settings: Settings::default(),
            thresholds: Vec::new(),
        }
    }

    fn state() -> State {
        let mut state = State::default();
        state.take(&Event::Began { test: &test(), index: 2, of: 13 });
        state.take(&Event::Trial(Watch::WarmUp));
        for second in 1..=12_u32 {
            let mut response = Histogram::<u32>::new(3).unwrap();
            response.record_n(4_000, 900).unwrap();
            response.record_n(200_000, 100).unwrap();
            let times = Latency { count: 1000, p50: 4e-4, p95: 0.02, p99: 0.02, ..Latency::default() };
            let point = Point {
                at: f64::from(second),
                seconds: 1.0,
                throughput: 1000.0 + f64::from(second) * 10.0,
                failures: if second > 10 { 40.0 } else { 0.0 },
                errors: if second > 10 { vec![(ErrorClass::ConnectionLost, 40)] } else { vec![] },
                response: times,
                active: 8,
                idle: 2,
                waiting: 15,
                breaker: if second > 11 { BreakerState::Open } else { BreakerState::Closed },
                ..Point::default()
            };
            state.take(&Event::Trial(Watch::Point { point: &point, response: &response }));
        }
        state
    }

    fn picture(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(state, frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn it_looks_well_in_small_and_large_terminals() {
        insta::assert_snapshot!("80x24", picture(&state(), 80, 24));
        insta::assert_snapshot!("120x40", picture(&state(), 120, 40));
        insta::assert_snapshot!("60x15", picture(&state(), 60, 15));
        insta::assert_snapshot!("empty", picture(&State::default(), 80, 24));
    }

    proptest! {
        #[test]
        fn no_size_is_too_small(width in 1_u16..200, height in 1_u16..60, empty in any::<bool>()) {
            picture(&if empty { State::default() } else { state() }, width, height);
        }
    }
}
