//! The page of help that `?` opens.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::palette::Palette;

/// Its lines; short and few, so that they fit a terminal of 60 columns and 15 lines.
const LINES: [(&str, &str); 12] = [
    ("q, Esc", "end early, with results"),
    ("Ctrl-C", "give up, without results; twice: at once"),
    ("?", "this page, on and off"),
    ("QPS", "successful requests a second"),
    ("response", "of a request, with its waiting and retries"),
    ("p99", "99 % of requests took no longer; p50: half"),
    ("waiting", "requests that wait for a connection"),
    ("backlog", "requests due that nobody has begun (--rate)"),
    ("circuit", "OPEN turns requests away, HALF-OPEN tries one"),
    ("▲━━△", "a fault begins, lasts, ends (on the time axis)"),
    ("failed", "attempts, also those that a retry mended"),
    ("bars", "requests by time, the scale is logarithmic"),
];

pub(super) fn help(palette: &Palette, frame: &mut Frame<'_>) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<Line<'_>> = LINES
        .iter()
        .map(|(what, about)| Line::from(vec![Span::styled(format!("{what:<10}"), bold), Span::from(*about)]))
        .collect();
    lines.push(Line::from(vec![
        Span::styled(format!("{:<10}", "colours"), bold),
        Span::styled("usual", palette.usual),
        Span::from("  "),
        Span::styled("slow", palette.slow),
        Span::from("  "),
        Span::styled("fault", palette.fault),
        Span::from("  "),
        Span::styled("failed", palette.failure),
        Span::from("  (NO_COLOR: none)"),
    ]));
    let area = frame.area();
    let width = 60.min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("help · ? or Esc closes it")), place);
}
