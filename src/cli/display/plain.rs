use crate::cli::out::errln;
use std::time::Duration;

use crate::{
    model::Point,
    report,
    stress::{Event, Test},
    trial::Watch,
};

/// A line an interval.
#[derive(Debug, Default)]
pub(in crate::cli) struct Plain {
    /// The length of the test under way.
    length: Duration,
}

impl Plain {
    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { test, index, of } => self.began(test, *index, *of),
            Event::Trial(Watch::WarmUp) => line("   warming up"),
            Event::Trial(Watch::Measuring) => line("   measuring"),
            Event::Trial(Watch::Point { point, .. }) => self.point(point),
            Event::Trial(Watch::Draining) | Event::Ended(_) => {}
        }
    }

    fn began(&mut self, test: &Test, index: usize, of: usize) {
        self.length = test.load.measure;
        let number = if of > 1 { format!(" ({index} of {of})") } else { String::new() };
        line(&format!("-- {}{number}: {}", test.name, test.about));
        for fault in &test.load.faults {
            let (at, end) = (fault.at.as_secs_f64(), fault.end().as_secs_f64());
            let until = if fault.lasts.is_zero() { String::new() } else { format!(" to {end} s") };
            line(&format!("   at {at} s{until}: {}", report::fault_in_words(fault)));
        }
    }

    fn point(&self, point: &Point) {
        let mut text = format!(
            "{:>6.1}/{:.0} s {:>7.0} QPS  p50 {:>7.2} ms  p99 {:>7.2} ms  {:>3} used {:>3} idle {:>4} waiting",
            point.at,
            self.length.as_secs_f64(),
            point.throughput,
            point.response.p50 * 1e3,
            point.response.p99 * 1e3,
            point.active,
            point.idle,
            point.waiting
        );
        if point.failures > 0.0 {
            text.push_str(&format!("  {:.0} failed/s", point.failures));
        }
        if point.backlog > 0 {
            text.push_str(&format!("  backlog {}", point.backlog));
        }
        if point.breaker != crate::model::BreakerState::Closed {
            text.push_str(&format!("  circuit {}", report::breaker(point.breaker)));
        }
        line(&text);
    }
}

fn line(text: &str) {
    errln!("{text}");
}
