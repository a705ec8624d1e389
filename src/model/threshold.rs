use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorClass, Latency, Measurement, Recovery};

/// A condition that a stress test has to meet: a metric, a comparison, a figure.
#[derive(Clone)]
pub struct Threshold {
    text: String,
    metric: &'static Metric,
    comparison: Comparison,
    /// In the metric's unit: seconds, a share, a number.
    limit: f64,
}

/// A condition with what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdOutcome {
    /// The condition as it was written.
    pub threshold: String,
    /// What was measured, in the metric's unit; `None` when there was nothing to measure, or it never came about.
    pub measured: Option<f64>,
    /// The metric's unit.
    pub unit: MetricUnit,
    /// Whether it holds; what was not measured does not.
    pub holds: bool,
}

/// A condition that cannot be read; shown with a mark under the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected}\n    {text}\n    {}^", " ".repeat(*.place))]
pub struct ThresholdError {
    /// The condition as it was written.
    pub text: String,
    /// The place of the mistake, in characters from 0.
    pub place: usize,
    /// What is expected there.
    pub expected: String,
}

/// Something that is measured.
#[derive(Debug)]
pub struct Metric {
    /// The name in thresholds.
    pub name: &'static str,
    /// What it counts in.
    pub unit: MetricUnit,
    /// What it is, in a line.
    pub about: &'static str,
    read: fn(&Measurement) -> Option<f64>,
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricUnit {
    /// A time; thresholds say `50ms`, `2s`, `300us`, or a bare number of seconds.
    Seconds,
    /// A share, 0 to 1; thresholds say `0.99` or `99%`.
    Share,
    /// A plain number.
    Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

const COMPARISONS: [(&str, Comparison); 4] =
    [("<=", Comparison::AtMost), (">=", Comparison::AtLeast), ("<", Comparison::Below), (">", Comparison::Above)];

/// A row a figure of each distribution of times.
macro_rules! times {
    ($($figure:ident $name:literal),+) => {
        [$([
            time!($figure, concat!($name, "_response"), response, "from when a request was meant to start to its end"),
            time!($figure, concat!($name, "_query"), query, "in the database"),
            time!($figure, concat!($name, "_acquire"), acquire.total, "to be handed a connection"),
            time!($figure, concat!($name, "_wait"), acquire.wait, "waiting for a free connection"),
            time!($figure, concat!($name, "_open"), acquire.open, "opening a connection"),
            time!($figure, concat!($name, "_hold"), hold, "that a connection was held"),
        ]),+]
    };
}

macro_rules! time {
    ($figure:ident, $name:expr, $($of:ident).+, $about:literal) => {
        Metric {
            name: $name,
            unit: MetricUnit::Seconds,
            about: concat!(stringify!($figure), " of the time ", $about),
            read: |measurement| figure(&measurement.$($of).+, |times| times.$figure),
        }
    };
}

macro_rules! number {
    ($name:literal, $unit:ident, $about:literal, $read:expr) => {
        Metric { name: $name, unit: MetricUnit::$unit, about: $about, read: $read }
    };
}

const TIMES: [[Metric; 6]; 7] = times!(mean "mean", p50 "p50", p90 "p90", p95 "p95", p99 "p99", p999 "p999", max "max");

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
const NUMBERS: [Metric; 12] = [
    number!("success_rate", Share, "requests that succeeded over all", |of| {
        (of.requests.succeeded + of.requests.failed > 0).then_some(of.requests.success_rate)
    }),
    number!("throughput", Number, "successful requests a second (QPS)", |of| Some(of.throughput)),
    number!("failed", Number, "requests that failed for good", |of| Some(of.requests.failed as f64)),
    number!("attempts", Number, "attempts a request: 1 without retries", |of| {
        let n = of.requests.succeeded + of.requests.failed;
        (n > 0).then(|| 1.0 + of.requests.retries as f64 / n as f64)
    }),
    number!("utilisation", Share, "connections in use over connections open, on average", |of| {
        (of.utilisation.total > 0.0).then_some(of.utilisation.mean)
    }),
    number!("opened", Number, "connections opened while measuring", |of| Some(of.connections.opened as f64)),
    number!("breaker_open", Seconds, "the circuit was not closed", |of| Some(of.breaker.open_seconds)),
    number!("recovery", Seconds, "until throughput was back at 95 % after a fault, the slowest", |of| {
        slowest(of, |found| found.seconds)
    }),
    number!("restored", Seconds, "until throughput was back at half after a fault, the slowest", |of| {
        slowest(of, |found| found.half_seconds)
    }),
    number!("not_started", Number, "requests due that could not be begun (open loop)", |of| {
        of.offered.map(|offered| offered.not_started as f64)
    }),
    number!("achieved", Share, "requests served over requests due (open loop)", |of| {
        let offered = of.offered.filter(|offered| offered.requests > 0)?;
        Some(of.requests.succeeded as f64 / offered.requests as f64)
    }),
    number!("errors", Number, "attempts that failed", |of| {
        let failed = of.errors.iter().filter(|error| error.class != ErrorClass::Unfinished);
        Some(failed.map(|error| error.count).sum::<u64>() as f64)
    }),
];

/// What only grows while a test goes on, so that a limit that it has passed stays passed. Times are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grown {
    /// Requests that failed for good.
    pub failed: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Connections opened.
    pub opened: u64,
    /// Time that the circuit was not closed.
    pub breaker_open: f64,
    /// The slowest recovery from a fault; of one that goes on, what has passed.
    pub recovery: f64,
    /// The slowest return to half.
    pub restored: f64,
    /// The longest response.
    pub response: f64,
    /// The longest time in the database.
    pub query: f64,
    /// The longest acquisition.
    pub acquire: f64,
    /// The longest wait for a free connection.
    pub wait: f64,
    /// The longest opening of a connection.
    pub open: f64,
    /// The longest time that a connection was held.
    pub hold: f64,
}

/// A metric that only grows, by its name.
type Growing = (&'static str, fn(&Grown) -> f64);

/// All of them.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
const GROWING: [Growing; 12] = [
    ("failed", |of| of.failed as f64),
    ("errors", |of| of.errors as f64),
    ("opened", |of| of.opened as f64),
    ("breaker_open", |of| of.breaker_open),
    ("recovery", |of| of.recovery),
    ("restored", |of| of.restored),
    ("max_response", |of| of.response),
    ("max_query", |of| of.query),
    ("max_acquire", |of| of.acquire),
    ("max_wait", |of| of.wait),
    ("max_open", |of| of.open),
    ("max_hold", |of| of.hold),
];

/// A figure of a distribution that has any times in it.
fn figure(times: &Latency, figure: fn(&Latency) -> f64) -> Option<f64> {
    (times.count > 0).then(|| figure(times))
}

/// `None` without faults, and infinite where a fault was not got over.
fn slowest(measurement: &Measurement, figure: fn(&Recovery) -> Option<f64>) -> Option<f64> {
    let of_fault =
        |fault: &super::FaultRecord| fault.recovery.as_ref().map(|found| figure(found).unwrap_or(f64::INFINITY));
    // A fault without a recovery could not be made or judged: then nothing is shown.
    measurement.faults.iter().map(of_fault).try_fold(None, |slowest: Option<f64>, next| {
        next.map(|next| Some(slowest.map_or(next, |slowest| slowest.max(next))))
    })?
}

impl Metric {
    /// Every metric, the plain figures first.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        const ALL_NUMBERS: &[Metric] = &NUMBERS;
        const ALL_TIMES: &[[Metric; 6]] = &TIMES;
        ALL_NUMBERS.iter().chain(ALL_TIMES.iter().flatten())
    }

    /// Whether an upper limit of it can be lost for certain before the end.
    #[must_use]
    pub fn only_grows(&self) -> bool {
        GROWING.iter().any(|(name, _)| *name == self.name)
    }

    fn find(name: &str) -> Option<&'static Self> {
        let name = if name == "qps" { "throughput" } else { name };
        Self::all().find(|metric| metric.name == name)
    }
}

impl Threshold {
    /// Reads `p95_query<50ms`.
    ///
    /// # Errors
    /// [`ThresholdError`], which shows the place.
    pub fn parse(text: &str) -> Result<Self, ThresholdError> {
        let error = |place: usize, expected: String| ThresholdError { text: text.to_owned(), place, expected };
        let column = |rest: &str| text[..text.len() - rest.len()].chars().count();
        let trimmed = text.trim_start();
        let name_length = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(trimmed.len());
        let (name, rest) = trimmed.split_at(name_length);
        let metric = Metric::find(name).ok_or_else(|| {
            let likeness = |metric: &&Metric| strsim::jaro_winkler(name, metric.name);
            let nearest = Metric::all().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let nearest = nearest.map_or("success_rate", |metric| metric.name);
            let expected = if name.is_empty() {
                "expected a metric, such as success_rate or p95_query".to_owned()
            } else {
                format!("`{name}` is no metric: did you mean `{nearest}`?")
            };
            error(column(trimmed), expected)
        })?;
        let rest = rest.trim_start();
        let found = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, comparison) = found.ok_or_else(|| error(column(rest), "expected <, <=, > or >=".to_owned()))?;
        let value = rest[sign.len()..].trim_start();
        let limit = metric.unit.read(value.trim_end()).ok_or_else(|| {
            let expected = match metric.unit {
                MetricUnit::Seconds => "expected a time such as 50ms, 2s or 0.05 (seconds)",
                MetricUnit::Share => "expected a share from 0 to 1 such as 0.99, or 99%",
                MetricUnit::Number => "expected a number",
            };
            error(column(value), expected.to_owned())
        })?;
        Ok(Self { text: text.trim().to_owned(), metric, comparison: *comparison, limit })
    }

    /// Whether a measurement meets it.
    #[must_use]
    pub fn evaluate(&self, measurement: &Measurement) -> ThresholdOutcome {
        let measured = (self.metric.read)(measurement);
        let holds = measured.is_some_and(|measured| self.is_met_by(measured));
        // JSON has no infinity; what was never got over has no figure.
        let measured = measured.filter(|measured| measured.is_finite());
        ThresholdOutcome { threshold: self.text.clone(), measured, unit: self.metric.unit, holds }
    }

    fn is_met_by(&self, measured: f64) -> bool {
        match self.comparison {
            Comparison::Below => measured < self.limit,
            Comparison::AtMost => measured <= self.limit,
            Comparison::Above => measured > self.limit,
            Comparison::AtLeast => measured >= self.limit,
        }
    }

    /// Whether it is certain, by what a test has shown so far, that it will not be met at the end. Upper limits of what
    /// only grows can be certain; of all else this says no.
    #[must_use]
    pub fn is_lost(&self, so_far: &Grown) -> bool {
        let upper = matches!(self.comparison, Comparison::Below | Comparison::AtMost);
        let figure = GROWING.iter().find(|(name, _)| *name == self.metric.name).map(|(_, figure)| figure(so_far));
        upper && figure.is_some_and(|figure| !self.is_met_by(figure))
    }

    /// The success rate that it asks for, if it asks for one.
    #[must_use]
    pub fn success_limit(&self) -> Option<f64> {
        let asks = matches!(self.comparison, Comparison::Above | Comparison::AtLeast);
        (self.metric.name == "success_rate" && asks).then_some(self.limit)
    }
}

impl MetricUnit {
    fn read(self, text: &str) -> Option<f64> {
        let number = |text: &str| text.trim_end().parse::<f64>().ok().filter(|number| number.is_finite());
        match self {
            Self::Number => number(text).filter(|number| *number >= 0.0),
            Self::Share => {
                let share = match text.strip_suffix('%') {
                    // Read as digits, so that 99.9 % is the same number as 0.999.
                    Some(percent) => number(&format!("{}e-2", percent.trim_end()))?,
                    None => number(text)?,
                };
                (0.0..=1.0).contains(&share).then_some(share)
            }
            Self::Seconds => {
                let units = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("s", 1.0)];
                let seconds = match units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale))) {
                    Some((digits, scale)) => number(digits)? * scale,
                    None => number(text)?,
                };
                (seconds >= 0.0).then_some(seconds)
            }
        }
    }
}

impl PartialEq for Threshold {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// As it was written: where a metric's function lies in memory says nothing, and differs from start to start.
impl fmt::Debug for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Threshold").field(&self.text).finish()
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn measurement() -> Measurement {
        samples::trials().remove(0).2
    }

    #[test]
    fn figures_are_compared_in_their_unit() {
        let mut measurement = measurement();
        measurement.query.p95 = 0.0101;
        for (text, holds) in [
            ("p95_query<10ms", false),
            ("p95_query < 10.2 ms", true),
            ("p95_query<=0.0101", true),
            ("p95_query<10100us", false),
            ("success_rate>=99%", true),
            ("success_rate>=99.4%", true),
            ("success_rate>0.994", false),
            ("qps>100", true),
            ("failed<=120", true),
            ("recovery<5s", false),
            ("not_started<1", false),
        ] {
            assert_eq!(Threshold::parse(text).unwrap().evaluate(&measurement).holds, holds, "{text}");
        }
    }

    #[test]
    fn only_what_cannot_come_back_is_lost_before_the_end() {
        let so_far = Grown { failed: 3, errors: 7, opened: 2, query: 0.2, ..Grown::default() };
        for (text, lost) in [
            ("errors<7", true),
            ("errors<=7", false),
            ("errors>9", false),
            ("failed<1", true),
            ("opened<=2", false),
            ("max_query<200ms", true),
            ("max_query<201ms", false),
            ("max_hold<1ms", false),
            ("p99_query<1ms", false),
            ("success_rate>=0.99", false),
            ("throughput>1000000", false),
        ] {
            assert_eq!(Threshold::parse(text).unwrap().is_lost(&so_far), lost, "{text}");
        }
        assert!(GROWING.iter().all(|(name, _)| Metric::find(name).is_some()));
    }

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        let mut names: Vec<_> = Metric::all().map(|metric| metric.name).collect();
        names.sort_unstable();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n);
        assert!(names.contains(&"p95_query") && names.contains(&"max_acquire"), "{names:?}");
    }

    #[test]
    fn a_mistake_is_shown_in_its_place() {
        let errors: Vec<_> =
            ["p95_qery<50ms", "success_rate=0.99", "p95_query<50 apples", "success_rate>=99", "", "  < 3"]
                .into_iter()
                .map(|text| Threshold::parse(text).unwrap_err().to_string())
                .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
