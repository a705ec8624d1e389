//! Runs of the same kind, one after the other.

use super::chart::{Axis, Chart, Colour, Mark, Point, Shape};
use crate::{model::Estimate, report::figures, stats};

/// Labels under the chart at most.
const LABELS: usize = 6;

/// A run of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its id.
    pub run: String,
    /// When it began, as a person reads it.
    pub began: String,
    /// Throughput of the settings in use.
    pub was: Estimate,
    /// Throughput of the recommended settings, where those are others.
    pub now: Option<Estimate>,
}

/// The throughput of runs of the past, the oldest first, as a figure of a page; none for fewer than two.
#[must_use]
pub fn history_html(id: &'static str, past: &[Past]) -> Option<String> {
    if past.len() < 2 {
        return None;
    }
    let place = |index: usize| stats::real(index + 1);
    let point = |index: usize, of: Estimate| Point { x: place(index), y: of.value, interval: Some(of.interval) };
    let was: Vec<Point> = past.iter().enumerate().map(|(index, run)| point(index, run.was)).collect();
    let now: Vec<Point> = past.iter().enumerate().filter_map(|(index, run)| Some(point(index, run.now?))).collect();
    let high = was.iter().chain(&now).flat_map(|point| [Some(point.y), point.interval.map(|of| of.high)]).flatten();
    let high: Vec<f64> = high.collect();
    let mut x = Axis::around("run, by its beginning", (0..past.len()).map(place), |_| String::new());
    let each = past.len().div_ceil(LABELS).max(1);
    x.ticks = past.iter().enumerate().step_by(each).map(|(index, run)| (place(index), day(&run.began))).collect();
    let mut marks = vec![Mark::Points {
        name: "settings in use".to_owned(),
        colour: Colour::A,
        shape: Shape::Circle,
        across: false,
        points: was,
    }];
    if !now.is_empty() {
        marks.push(Mark::Points {
            name: "recommended settings".to_owned(),
            colour: Colour::B,
            shape: Shape::Square,
            across: false,
            points: now,
        });
    }
    let chart = Chart {
        id,
        title: "Throughput from run to run",
        told: "Means with their 95 % intervals. A machine that does other work beside one night and not the next moves all of a run's \
               points together."
            .to_owned(),
        x,
        y: Axis::from_zero("requests a second", high, figures::rate),
        marks,
        header: ["began", "run", "settings in use, requests/s", "recommended, requests/s"].map(str::to_owned).to_vec(),
        rows: past
            .iter()
            .rev()
            .map(|run| {
                vec![
                    run.began.clone(),
                    run.run.clone(),
                    figures::rate_interval(run.was),
                    run.now.map_or(figures::NONE.to_owned(), figures::rate_interval),
                ]
            })
            .collect(),
    };
    Some(chart.html())
}

/// The day of a time.
fn day(began: &str) -> String {
    began.get(..10).unwrap_or(began).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Interval;

    #[test]
    fn two_runs_make_a_history() {
        let of = |value: f64| Estimate { value, interval: Interval { low: value - 1.0, high: value + 1.0 } };
        let run = |day: u32, now| Past {
            run: format!("r{day}"),
            began: format!("2026-11-{day:02} 01:30"),
            was: of(100.0),
            now,
        };
        assert_eq!(history_html("h", &[run(1, None)]), None);
        let html = history_html("h", &[run(1, None), run(2, Some(of(120.0)))]).unwrap();
        assert!(html.contains("2026-11-02") && html.contains("recommended settings"), "{html}");
        // The newest stands first in the table.
        assert!(html.find("r2").unwrap() < html.find("r1").unwrap());
    }
}
