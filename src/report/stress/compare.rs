//! One stress test against an earlier one.
//!
//! The spread lies between tests, not within them: identical trials of 2, 5 and 10 s on two shared cores spread by about
//! 4.5 % (CV), however long they are. So the interval of a change has two parts: what the batches within each test say,
//! and that spread, once for each test. A single test against a single one can thus never show a small change; the paired
//! trials of `run` can.

use crate::{
    model::{Ended, Estimate, Interval, Point, StressReport},
    report::figures,
    stats,
};

use super::tables::Grid;

/// Spread of a figure between tests that are alike, relative (one standard deviation); measured, see above.
const BETWEEN: f64 = 0.045;
/// The least length of a batch: neighbouring seconds are alike, so that single points would promise too much.
const BATCH: f64 = 2.0;

/// Two tests that say nothing about each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tests differ in {what}: {now} now, {before} before; repeat the earlier one as this one was made")]
pub struct Incomparable {
    what: &'static str,
    now: String,
    before: String,
}

/// What changed from one test to another.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The settings that differ, as `max_connections 19 (was 30)`.
    pub settings: Vec<String>,
    /// The figures.
    pub rows: Vec<ComparedRow>,
}

/// A figure of both tests.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ComparedRow {
    /// What it is.
    pub metric: &'static str,
    /// In the earlier test; seconds or a second.
    pub before: f64,
    /// In this one.
    pub now: f64,
    /// The relative change (0.12 is 12 % more) with its 95 % interval; `None` where it cannot be told.
    pub change: Option<Estimate>,
}

/// A metric, read off a whole test and off a point of its time line.
type Figure = (&'static str, fn(&StressReport) -> f64, fn(&Point) -> f64);

/// Sets `now` against `before`.
///
/// # Errors
/// [`Incomparable`] when they were made under different loads.
pub fn compare(now: &StressReport, before: &StressReport) -> Result<Comparison, Incomparable> {
    let faults = |of: &StressReport| {
        let words = of.measurement.faults.iter().map(|record| {
            format!("{} at {} s", super::tables::fault_in_words(&record.fault), record.fault.at.as_secs_f64())
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let ended = |of: &StressReport| match of.measurement.ended {
        Ended::Completed => "ran to its end".to_owned(),
        Ended::Stopped | Ended::SuccessLimitMissed | Ended::ThresholdMissed => {
            format!("ended early, after {}", figures::time(of.measurement.seconds))
        }
    };
    let load = |of: &StressReport| {
        let stages = of.load.pacing.stages.iter().map(|stage| format!("{}", stage.level)).collect::<Vec<_>>();
        format!("{} (levels {}; {} at once)", super::tables::load(of), stages.join(", "), of.load.workers)
    };
    let pairs: [(&'static str, String, String); 7] = [
        ("scenario", now.scenario.clone(), before.scenario.clone()),
        ("profile", now.profile.clone(), before.profile.clone()),
        ("server", now.server.clone(), before.server.clone()),
        ("machine", now.machine.clone(), before.machine.clone()),
        ("load", load(now), load(before)),
        ("faults", faults(now), faults(before)),
        ("how they ended", ended(now), ended(before)),
    ];
    if let Some((what, now, before)) = pairs.into_iter().find(|(_, now, before)| now != before) {
        return Err(Incomparable { what, now, before });
    }
    let changed = before.settings.iter().zip(now.settings.iter()).filter(|((_, was), (_, is))| was != is);
    let settings = changed.map(|((setting, was), (_, is))| format!("{setting} {is} (was {was})")).collect();
    let figures: [Figure; 4] = [
        ("queries per second (QPS)", |of| of.measurement.throughput, |point| point.throughput),
        ("response time, median", |of| of.measurement.response.p50, |point| point.response.p50),
        ("response time, 95th percentile", |of| of.measurement.response.p95, |point| point.response.p95),
        ("response time, 99th percentile", |of| of.measurement.response.p99, |point| point.response.p99),
    ];
    let rows = figures.into_iter().map(|(metric, whole, part)| ComparedRow {
        metric,
        before: whole(before),
        now: whole(now),
        change: change(whole(before), whole(now), &batches(before, part), &batches(now, part)),
    });
    Ok(Comparison { settings, rows: rows.collect() })
}

/// The logarithms of a figure's means over batches of the time line.
fn batches(report: &StressReport, part: fn(&Point) -> f64) -> Vec<f64> {
    let mut all = Vec::new();
    let (mut sum, mut seconds) = (0.0, 0.0);
    for point in &report.series {
        sum += part(point) * point.seconds;
        seconds += point.seconds;
        if seconds >= BATCH - 0.25 {
            all.push(sum / seconds);
            (sum, seconds) = (0.0, 0.0);
        }
    }
    // A time in which nothing was served has no logarithm, and must not vanish: then nothing can be said.
    if all.iter().any(|mean| *mean <= 0.0) {
        return Vec::new();
    }
    all.into_iter().map(f64::ln).collect()
}

fn change(before: f64, now: f64, batches_before: &[f64], batches_now: &[f64]) -> Option<Estimate> {
    if !(before > 0.0 && now > 0.0) || batches_before.len() < 2 || batches_now.len() < 2 {
        return None;
    }
    let variance = |batches: &[f64]| stats::sample_sd(batches).powi(2) / stats::real(batches.len());
    let sd = (variance(batches_before) + variance(batches_now) + 2.0 * BETWEEN.powi(2)).sqrt();
    let degrees = stats::real(batches_before.len().min(batches_now.len())) - 1.0;
    let reach = stats::student_quantile(0.975, degrees.max(2.0)) * sd;
    let log = (now / before).ln();
    let interval = Interval { low: (log - reach).exp_m1(), high: (log + reach).exp_m1() };
    Some(Estimate { value: log.exp_m1(), interval })
}

impl ComparedRow {
    /// Whether the figures are told apart.
    #[must_use]
    pub fn distinguishable(&self) -> bool {
        self.change.is_some_and(|change| !change.interval.contains(0.0))
    }
}

impl Comparison {
    /// As a table.
    #[must_use]
    pub fn grid(&self) -> Grid {
        let title = match self.settings.as_slice() {
            [] => "Compared with the earlier test, of the same settings".to_owned(),
            changed => format!("Compared with the earlier test; settings that differ: {}", changed.join(", ")),
        };
        let title = format!(
            "{title}\n(each interval has in it that tests which are alike spread by {:.1} %: paired trials, as `pool-tune run` \
             makes them, show less)",
            BETWEEN * 100.0
        );
        let header = ["", "before", "now", "change (95 % interval)", ""].map(str::to_owned).to_vec();
        let figure = |row: &ComparedRow, value: f64| {
            if row.metric.contains("QPS") { figures::rate(value) } else { figures::time(value) }
        };
        let rows = self.rows.iter().map(|row| {
            let (change, verdict) = match row.change {
                None => (figures::NONE.to_owned(), "too short to compare"),
                Some(change) if row.distinguishable() => {
                    (figures::change_interval(change), if change.value > 0.0 { "more" } else { "less" })
                }
                Some(change) => (figures::change_interval(change), "no difference distinguishable"),
            };
            vec![row.metric.to_owned(), figure(row, row.before), figure(row, row.now), change, verdict.to_owned()]
        });
        Grid { title, header, rows: rows.collect() }
    }
}
