//! One stress test against an earlier one.
//!
//! The spread lies between tests, not within them: identical trials of 2, 5 and 10 s on two shared cores spread by about
//! 4.5 % (CV), however long they are. So the interval of a change has two parts: what the batches within each test say,
//! and that spread, once for each test. A single test against a single one can thus never show a small change; the paired
//! trials of `run` can. Success rates are compared as proportions, with the bursts in which requests fail counted in.

use crate::{
    model::{Ended, ErrorClass, Estimate, Interval, Point, StressLoad, StressReport},
    report::{figures, words},
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
    pub metric: String,
    /// What it counts in.
    pub unit: ComparedUnit,
    /// In the earlier test.
    pub before: f64,
    /// In this one.
    pub now: f64,
    /// The change with its 95 % interval, relative (0.12 is 12 % more), but of a share the difference; `None` where it
    /// cannot be told.
    pub change: Option<Estimate>,
}

/// What a compared figure counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedUnit {
    /// A second.
    Rate,
    /// Seconds.
    Time,
    /// A share, 0 to 1.
    Share,
    /// A thousand requests; shown, not judged.
    PerThousand,
}

/// A metric, read off a whole test and off a point of its time line.
type Figure = (&'static str, ComparedUnit, fn(&StressReport) -> f64, fn(&Point) -> f64);

/// Whether a test of a profile under a load can be set against an earlier one: what can be told before it is made.
///
/// # Errors
/// [`Incomparable`] when it cannot.
pub fn comparable(profile: &str, load: &StressLoad, before: &StressReport) -> Result<(), Incomparable> {
    let words = |load: &StressLoad| {
        let stages = load.pacing.stages.iter().map(|stage| format!("{}", stage.level)).collect::<Vec<_>>();
        format!("{} (levels {}; {} at once)", super::tables::load(load), stages.join(", "), load.workers)
    };
    alike([("profile", profile.to_owned(), before.profile.clone()), ("load", words(load), words(&before.load))])
}

/// Whether what is said of both tests is the same.
fn alike<const N: usize>(pairs: [(&'static str, String, String); N]) -> Result<(), Incomparable> {
    match pairs.into_iter().find(|(_, now, before)| now != before) {
        Some((what, now, before)) => Err(Incomparable { what, now, before }),
        None => Ok(()),
    }
}

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
    comparable(&now.profile, &now.load, before)?;
    let pairs: [(&'static str, String, String); 5] = [
        ("scenario", now.scenario.clone(), before.scenario.clone()),
        ("server", now.server.clone(), before.server.clone()),
        ("machine", now.machine.clone(), before.machine.clone()),
        ("faults", faults(now), faults(before)),
        ("how they ended", ended(now), ended(before)),
    ];
    alike(pairs)?;
    let changed = before.settings.iter().zip(now.settings.iter()).filter(|((_, was), (_, is))| was != is);
    let settings = changed.map(|((setting, was), (_, is))| format!("{setting} {is} (was {was})")).collect();
    let figures: [Figure; 4] = [
        ("queries per second (QPS)", ComparedUnit::Rate, |of| of.measurement.throughput, |point| point.throughput),
        ("response time, median", ComparedUnit::Time, |of| of.measurement.response.p50, |point| point.response.p50),
        (
            "response time, 95th percentile",
            ComparedUnit::Time,
            |of| of.measurement.response.p95,
            |point| point.response.p95,
        ),
        (
            "response time, 99th percentile",
            ComparedUnit::Time,
            |of| of.measurement.response.p99,
            |point| point.response.p99,
        ),
    ];
    let mut rows = vec![success(now, before)];
    rows.extend(figures.into_iter().map(|(metric, unit, whole, part)| ComparedRow {
        metric: metric.to_owned(),
        unit,
        before: whole(before),
        now: whole(now),
        change: change(whole(before), whole(now), &batches(before, part), &batches(now, part)),
    }));
    rows.extend(ErrorClass::ALL.into_iter().filter_map(|class| errors(class, now, before)));
    Ok(Comparison { settings, rows })
}

/// The success rates, and their difference.
fn success(now: &StressReport, before: &StressReport) -> ComparedRow {
    let sampled = |of: &StressReport| {
        let requests = of.measurement.requests;
        let parts: Vec<_> = of
            .series
            .iter()
            .map(|point| (whole(point.throughput * point.seconds), whole(point.failures * point.seconds)))
            .collect();
        ((requests.succeeded, requests.failed), stats::design_effect(&parts))
    };
    let long_enough = now.series.len().min(before.series.len()) > 1;
    let change = stats::success_difference(sampled(now), sampled(before), 0.95).ok().filter(|_| long_enough);
    ComparedRow {
        metric: "success rate".to_owned(),
        unit: ComparedUnit::Share,
        before: before.measurement.requests.success_rate,
        now: now.measurement.requests.success_rate,
        change,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates by definition of `as`")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// Failed attempts of a class, where one of the tests has any.
fn errors(class: ErrorClass, now: &StressReport, before: &StressReport) -> Option<ComparedRow> {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let per_thousand = |of: &StressReport| {
        let failed: u64 =
            of.measurement.errors.iter().filter(|error| error.class == class).map(|error| error.count).sum();
        let requests = of.measurement.requests.succeeded + of.measurement.requests.failed;
        failed as f64 * 1e3 / requests.max(1) as f64
    };
    let (before, now) = (per_thousand(before), per_thousand(now));
    let metric = format!("failed attempts in 1000 requests: {}", words::error(class));
    (before + now > 0.0).then_some(ComparedRow { metric, unit: ComparedUnit::PerThousand, before, now, change: None })
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
            changed => format!("Compared with the earlier test; settings that differ:\n{}", changed.join(", ")),
        };
        let title = format!(
            "{title}\n(the intervals of throughput and times have in them that tests which are alike\n\
             spread by {:.1} %: paired trials, as `pool-tune run` makes them, show less)",
            BETWEEN * 100.0
        );
        let header = ["", "before", "now", "change (95 % interval)", ""].map(str::to_owned).to_vec();
        let figure = |row: &ComparedRow, value: f64| match row.unit {
            ComparedUnit::Rate => figures::rate(value),
            ComparedUnit::Time => figures::time(value),
            ComparedUnit::Share => figures::share(value),
            ComparedUnit::PerThousand => figures::parameter(value),
        };
        let rows = self.rows.iter().map(|row| {
            let written = |change| match row.unit {
                ComparedUnit::Share => figures::points_interval(change),
                _ => figures::change_interval(change),
            };
            let (change, verdict) = match row.change {
                None if row.unit == ComparedUnit::PerThousand => {
                    (figures::NONE.to_owned(), "not judged: failures come in bursts")
                }
                None => (figures::NONE.to_owned(), "too short to compare"),
                Some(change) if row.distinguishable() => {
                    (written(change), if change.value > 0.0 { "more" } else { "less" })
                }
                Some(change) => (written(change), "no difference distinguishable"),
            };
            vec![row.metric.clone(), figure(row, row.before), figure(row, row.now), change, verdict.to_owned()]
        });
        Grid { title, header, rows: rows.collect() }
    }
}
