use crate::cli::out::errln;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{
    model::{
        BreakerState, Point,
        figures::{rate, time},
    },
    report,
    stress::{Event, Test},
    trial::{UNIT, Watch},
};

/// The shortest time that a line tells of, and the most lines that tell of a test.
const SHORTEST: f64 = 5.0;
const MOST_LINES: f64 = 15.0;

/// Lines: one for each stretch of a test, however long it is, and one when a fault begins or ends.
#[derive(Debug, Default)]
pub(in crate::cli) struct Plain {
    /// The length of the test under way.
    length: Duration,
    /// What is to happen in it, as time and words, in order of time; told when its time has come.
    to_come: Vec<(f64, String)>,
    stretch: Stretch,
}

/// What happened since the last line.
#[derive(Debug, Default)]
struct Stretch {
    seconds: f64,
    succeeded: f64,
    failed: f64,
    response: Option<Histogram<u32>>,
    last: Option<Point>,
}

impl Stretch {
    fn add(&mut self, point: &Point, response: &Histogram<u32>) {
        self.seconds += point.seconds;
        self.succeeded += point.throughput * point.seconds;
        self.failed += point.failures * point.seconds;
        match &mut self.response {
            None => self.response = Some(response.clone()),
            // They have the same bounds, so that adding cannot fail; if it did, the line would only tell of less.
            Some(all) => drop(all.add(response)),
        }
        self.last = Some(point.clone());
    }

    /// Its line, in a test of so many seconds; `None` when nothing was told of.
    fn line(&self, length: f64) -> Option<String> {
        let point = self.last.as_ref()?;
        let quantile = |share: f64| match &self.response {
            Some(times) if !times.is_empty() => {
                #[expect(clippy::cast_precision_loss, reason = "units of an hour are far below 2^53")]
                let units = times.value_at_quantile(share) as f64;
                time(units * UNIT)
            }
            _ => time(f64::NAN),
        };
        let mut text = format!(
            "{:>6.1}/{length:.0} s {:>7} QPS  p50 {:>7}  p99 {:>7}  {:>3} used {:>3} idle {:>4} waiting",
            point.at,
            rate(self.succeeded / self.seconds),
            quantile(0.5),
            quantile(0.99),
            point.active,
            point.idle,
            point.waiting
        );
        if self.failed > 0.0 {
            text.push_str(&format!("  {:.0} failed", self.failed));
        }
        if point.backlog > 0 {
            text.push_str(&format!("  backlog {}", point.backlog));
        }
        if point.breaker != BreakerState::Closed {
            text.push_str(&format!("  circuit {}", report::breaker(point.breaker)));
        }
        Some(text)
    }
}

impl Plain {
    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event<'_>) {
        for line in self.lines(event) {
            errln!("{line}");
        }
    }

    fn lines(&mut self, event: &Event<'_>) -> Vec<String> {
        match event {
            Event::Began { test, index, of } => self.began(test, *index, *of),
            Event::Trial(Watch::WarmUp) => vec!["   warming up".to_owned()],
            Event::Trial(Watch::Measuring) => vec!["   measuring".to_owned()],
            Event::Trial(Watch::Point { point, response }) => self.point(point, response),
            Event::Trial(Watch::Draining) => self.progress().into_iter().collect(),
            Event::Ended(_) => Vec::new(),
        }
    }

    fn began(&mut self, test: &Test, index: usize, of: usize) -> Vec<String> {
        *self = Self { length: test.load.measure, ..Self::default() };
        let number = if of > 1 { format!(" ({index} of {of})") } else { String::new() };
        let mut lines = vec![format!("-- {}{number}: {}", test.name, test.about)];
        for fault in &test.load.faults {
            let (at, end) = (fault.at.as_secs_f64(), fault.end().as_secs_f64());
            let words = report::fault_in_words(fault);
            if fault.lasts.is_zero() {
                lines.push(format!("   at {at} s: {words}"));
                self.to_come.push((at, format!("{words}, now")));
            } else {
                lines.push(format!("   at {at} s to {end} s: {words}"));
                self.to_come.push((at, format!("{words}: begins")));
                self.to_come.push((end, format!("{words}: ends")));
            }
        }
        self.to_come.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        lines
    }

    fn point(&mut self, point: &Point, response: &Histogram<u32>) -> Vec<String> {
        let due = self.to_come.iter().take_while(|(at, _)| *at <= point.at).count();
        let length = self.length.as_secs_f64();
        let begun = self.to_come.drain(..due).map(|(at, words)| format!("{at:>6.1}/{length:.0} s  > {words}"));
        let mut lines: Vec<String> = begun.collect();
        self.stretch.add(point, response);
        // Points come a little late, so that a stretch is full a little early.
        if self.stretch.seconds >= (length / MOST_LINES).max(SHORTEST) - 0.25 {
            lines.extend(self.progress());
        }
        lines
    }

    fn progress(&mut self) -> Option<String> {
        std::mem::take(&mut self.stretch).line(self.length.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Fault, FaultKind, Settings},
        trial::Load,
    };

    /// All that is told of a test of so many seconds.
    fn told(seconds: u32) -> Vec<String> {
        let fault = |at, lasts, kind| Fault {
            at: Duration::from_secs(at),
            lasts: Duration::from_secs(lasts),
            share: 1.0,
            kind,
        };
        let faults = vec![fault(3, 2, FaultKind::Stall), fault(4, 0, FaultKind::Reset)];
        let load = Load { faults, ..Load::closed(4, None, Duration::from_secs(u64::from(seconds)), 0.99) };
        let (name, about) = ("mine".to_owned(), "what I want".to_owned());
        let test = Test { name, about, load, settings: Settings::default(), thresholds: Vec::new() };
        let mut plain = Plain::default();
        let mut lines = plain.lines(&Event::Began { test: &test, index: 1, of: 1 });
        let mut response = Histogram::<u32>::new(3).unwrap();
        response.record_n(50_000, 100).unwrap();
        for second in 1..=seconds {
            let point = Point {
                at: f64::from(second),
                seconds: 1.0,
                throughput: 100.0 * f64::from(second),
                failures: f64::from(second % 2),
                active: 3,
                ..Point::default()
            };
            lines.extend(plain.lines(&Event::Trial(Watch::Point { point: &point, response: &response })));
        }
        lines.extend(plain.lines(&Event::Trial(Watch::Draining)));
        lines
    }

    #[test]
    fn a_line_tells_of_a_stretch_and_another_of_each_fault() {
        insta::assert_snapshot!(told(12).join("\n"));
    }

    #[test]
    fn a_long_test_has_no_more_lines_than_a_short_one() {
        for seconds in [60, 600, 86_400] {
            let lines = told(seconds).iter().filter(|line| line.contains("QPS")).count();
            assert!((12..=16).contains(&lines), "{lines} lines of {seconds} s");
        }
    }
}
