//! Readings in words, as lines and as a table that stays where it is.

use comfy_table::{ContentArrangement, Table, presets};
use ratatui::crossterm::{
    cursor::MoveToPreviousLine,
    terminal::{Clear, ClearType},
};

use super::out::out;
use crate::{
    model::{
        Activity, SessionState,
        figures::{rate, time},
    },
    monitor::{Change, PoolReading, Reading, SourceState, Watch},
    report::words::one_line,
};

/// Rows that a list has at most, so that the table fits a terminal.
const ROWS: usize = 5;

/// What has changed with the sources, a line each.
pub(super) fn sources_in_words(before: &[SourceState], now: &[SourceState]) -> Vec<String> {
    let was_down = |source: &str| before.iter().any(|of| of.source == source && of.problem.is_some());
    let mut lines = Vec::new();
    for SourceState { source, problem } in now {
        match (was_down(source), problem) {
            (false, Some(problem)) => lines
                .push(format!("down: failed to {}; it is asked again, and told when it answers", one_line(problem))),
            (true, None) => lines.push(format!("back: {} answers again", one_line(source))),
            _ => {}
        }
    }
    lines
}

/// What has changed with the findings, a line each.
pub(super) fn changes_in_words(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| match change {
        Change::Began { finding } => {
            let evidence: Vec<_> =
                finding.evidence.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
            format!(
                "begins: {} ({}, {}): {}; what to do: {}",
                finding.title,
                finding.severity.name(),
                finding.rule,
                evidence.join("; "),
                finding.remedy
            )
        }
        Change::Ended { rule, title, lasted } => format!("ends: {title} ({rule}) after {}", time(*lasted)),
    };
    changes.iter().map(|change| one_line(&line(change))).collect()
}

/// A reading in a line for each source that was read.
pub(super) fn summary(reading: &Reading) -> Vec<String> {
    let database = reading.database.as_ref().map(of_database);
    let pool = reading.pool.as_ref().map(of_pool);
    database.into_iter().chain(pool).collect()
}

fn of_database(activity: &Activity) -> String {
    let states = SessionState::ALL.iter().filter_map(|&state| {
        let count = activity.in_state(state);
        (count > 0).then(|| format!("{count} {}", state.words()))
    });
    let mut parts = vec![format!("database {}/{} connections", activity.connected, activity.limit)];
    parts.extend(states);
    if let Some(longest) = activity.longest_lock_wait {
        parts.push(format!("{} wait for locks (up to {})", activity.waiting_for_locks(), time(longest)));
    }
    parts.extend(activity.oldest_transaction.map(|oldest| format!("oldest transaction {}", time(oldest))));
    parts.join(", ")
}

fn of_pool(pool: &PoolReading) -> String {
    let told = |figure: Option<f64>| figure.map_or("?".to_owned(), |figure| format!("{figure:.0}"));
    let mut parts = vec![format!("pool {}/{} in use", told(pool.active), told(pool.max))];
    parts.extend(pool.idle.map(|idle| format!("{idle:.0} idle")));
    parts.extend(pool.pending.map(|pending| format!("{pending:.0} requests wait")));
    if let Some(acquired) = pool.acquired {
        parts.push(format!("{} acquisitions/s", rate(acquired.rate)));
        parts.extend(acquired.mean.map(|mean| format!("mean {}", time(mean))));
        parts.extend(acquired.p95.map(|p95| format!("p95 {}", time(p95))));
    }
    parts.extend(pool.timeouts.map(|timeouts| format!("{timeouts:.0} gave up")));
    parts.join(", ")
}

/// A table that is drawn over itself. Lines that are told stay above it.
#[derive(Debug, Default)]
pub(super) struct Picture {
    lines: u16,
}

impl Picture {
    /// Draws a reading and the findings that hold.
    pub(super) fn draw(&mut self, told: &[String], reading: &Reading, watch: &Watch) {
        let mut text = String::new();
        if self.lines > 0 {
            text = format!("{}{}", MoveToPreviousLine(self.lines), Clear(ClearType::FromCursorDown));
        }
        text.extend(told.iter().map(|line| format!("{line}\n")));
        let table = table(reading, watch).to_string();
        self.lines = u16::try_from(table.lines().count()).unwrap_or(u16::MAX);
        text.push_str(&table);
        text.push('\n');
        // In one piece, so that it does not flicker.
        out!("{text}");
    }
}

fn table(reading: &Reading, watch: &Watch) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), one_line(&text)]);
    };
    for SourceState { source, problem } in &reading.sources {
        row("watched", format!("{source}{}", if problem.is_some() { " (does not answer)" } else { "" }));
    }
    for line in summary(reading) {
        let (name, text) = line.split_once(' ').unwrap_or(("", &line));
        row(name, text.to_owned());
    }
    if let Some(activity) = &reading.database {
        let of = activity.sessions.iter().take(ROWS);
        let sessions = of.map(|of| {
            let name = if of.application.is_empty() { "(no name)" } else { &of.application };
            format!("{name}: {} {}", of.count, of.state.words())
        });
        row("sessions", sessions.collect::<Vec<_>>().join("; "));
        let waits = activity.waits.iter().take(ROWS).map(|of| format!("{} × {} {}", of.count, of.kind, of.event));
        row("waits", waits.collect::<Vec<_>>().join("; "));
    }
    let open = watch.open();
    if open.is_empty() {
        row("findings", "none".to_owned());
    }
    for (finding, since) in open.iter().take(ROWS) {
        row(finding.severity.name(), format!("{}, for {}", finding.title, time((reading.at - since).max(0.0))));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_when_it_goes_and_when_it_comes_back() {
        let state = |problem: Option<&str>| {
            vec![SourceState { source: "postgres://h/d".to_owned(), problem: problem.map(str::to_owned) }]
        };
        assert_eq!(sources_in_words(&[], &state(None)), Vec::<String>::new());
        assert_eq!(sources_in_words(&state(None), &state(Some("connect: refused"))).len(), 1);
        assert_eq!(sources_in_words(&state(Some("connect: refused")), &state(Some("x"))), Vec::<String>::new());
        assert_eq!(
            sources_in_words(&state(Some("x")), &state(None)),
            ["back: postgres://h/d answers again".to_owned()]
        );
    }

    #[test]
    fn names_that_others_gave_turn_no_line() {
        let mut activity = Activity { limit: 10, ..Activity::default() };
        activity.add("evil\n\u{1b}[2J".to_owned(), SessionState::Active, (String::new(), String::new()), 1);
        let reading = Reading { database: Some(activity), ..Reading::default() };
        let drawn = table(&reading, &Watch::default()).to_string();
        assert!(!drawn.contains('\u{1b}') && drawn.contains("evil\\n"), "{drawn}");
    }
}
