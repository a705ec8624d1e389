//! What a program says that it measured: our own JSON, or the summary of a load generator.

mod generators;

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use serde::{
    Deserialize, Deserializer as From,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value as Json;

use self::generators::{k6, locust, oha, pgbench, wrk};

use crate::{
    model::{ErrorClass, ErrorCount, Latency, Summary},
    stats,
};

/// What a program measured. Times are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reported {
    /// Whose summary it was.
    pub(super) by: Summary,
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) seconds: f64,
    pub(super) warm_up: f64,
    pub(super) retries: u64,
    pub(super) slices: Vec<f64>,
    pub(super) response: Latency,
    pub(super) query: Latency,
    pub(super) acquire: Latency,
    pub(super) errors: Vec<ErrorCount>,
}

impl Reported {
    /// Whether whoever printed it is known to end with this code when requests failed, or when a threshold of its own was missed,
    /// and not for having measured nothing.
    pub(super) fn may_end_with(&self, code: i32) -> bool {
        matches!((self.by, code), (Summary::Pgbench, 2) | (Summary::K6, 99) | (Summary::Locust, 1))
    }
}

/// What is known of a program beside its output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ran<'a> {
    /// Where it was started, and files that it names lie.
    pub(super) folder: &'a Path,
    /// When it was started.
    pub(super) began: SystemTime,
    /// What it printed on standard error.
    pub(super) stderr: &'a str,
}

/// What a program of one's own prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    successes: u64,
    failures: u64,
    seconds: f64,
    #[serde(default)]
    warm_up_seconds: f64,
    #[serde(default)]
    retries: u64,
    #[serde(default)]
    slices: Vec<f64>,
    response: Option<Times>,
    query: Option<Times>,
    acquire: Option<Times>,
    /// An `HdrHistogram` log of response times.
    hdr_log: Option<String>,
    /// The unit of its values, in seconds.
    hdr_unit: Option<f64>,
    #[serde(default)]
    errors: Vec<OwnError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnError {
    class: Option<ErrorClass>,
    code: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default = "one")]
    count: u64,
}

fn one() -> u64 {
    1
}

/// Times in seconds: every one of them, or their percentiles.
enum Times {
    Each(Vec<f64>),
    Distribution(Distribution),
}

/// By hand, since an untagged enum does not tell which field is wrong.
impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: From<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfTimes;
        impl<'de> Visitor<'de> for OfTimes {
            type Value = Times;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of times in seconds, or an object with their percentiles such as {\"p95\": 0.01}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Times, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Times::Each)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Times, A::Error> {
                Distribution::deserialize(MapAccessDeserializer::new(map)).map(Times::Distribution)
            }
        }
        from.deserialize_any(OfTimes)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Distribution {
    count: Option<u64>,
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: f64,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
}

impl Times {
    /// `count` is how many there are where that is not said. A percentile that is not said is the next lower one that is.
    fn latency(&self, count: u64) -> Latency {
        match self {
            Self::Each(times) if times.is_empty() => Latency::default(),
            Self::Each(times) => {
                let at = |share| stats::quantile(times, share).unwrap_or_default();
                Latency {
                    count: times.len() as u64,
                    mean: stats::mean(times),
                    p50: at(0.5),
                    p90: at(0.9),
                    p95: at(0.95),
                    p99: at(0.99),
                    p999: at(0.999),
                    max: at(1.0),
                }
            }
            Self::Distribution(of) => {
                let p50 = of.p50.or(of.mean).unwrap_or(of.p95);
                let p99 = of.p99.unwrap_or(of.p95);
                let p999 = of.p999.unwrap_or(p99);
                Latency {
                    count: of.count.unwrap_or(count),
                    mean: of.mean.unwrap_or(p50),
                    p50,
                    p90: of.p90.unwrap_or(p50),
                    p95: of.p95,
                    p99,
                    p999,
                    max: of.max.unwrap_or(p999),
                }
            }
        }
    }
}

/// Reads what a program printed.
///
/// # Errors
/// What is wrong with it, and what was expected, as text.
pub(super) fn read(form: Summary, text: &str, ran: Ran<'_>) -> Result<Reported, String> {
    let reported = match form {
        Summary::Any => any(text, ran),
        Summary::Json => own(text, ran),
        Summary::Wrk => wrk(text).ok_or_else(|| expected("wrk's summary, with `requests in …s`")),
        Summary::Pgbench => {
            pgbench(text, ran.stderr).ok_or_else(|| expected("pgbench's summary, with `tps = …`"))
        }
        Summary::K6 => documents(text).find_map(|(_, json)| k6(&json.ok()?)).ok_or_else(|| {
            expected("k6's summary: `k6 run --summary-export=/dev/stdout …`, with `metrics.http_reqs` or `metrics.iterations`")
        }),
        Summary::Oha => documents(text)
            .find_map(|(_, json)| oha(&json.ok()?))
            .ok_or_else(|| expected("oha's summary: `oha --no-tui --output-format json …`")),
        Summary::Locust => documents(text)
            .find_map(|(_, json)| locust(&json.ok()?))
            .ok_or_else(|| expected("locust's summary: `locust --headless --json …`")),
    }?;
    checked(reported)
}

fn expected(what: &str) -> String {
    format!("it printed no summary that can be read: expected {what}")
}

fn any(text: &str, ran: Ran<'_>) -> Result<Reported, String> {
    let last = text.rfind(MARK);
    for (at, json) in documents(text) {
        let json = match json {
            Ok(json) => json,
            Err(error) if last.is_some_and(|last| at < last) => return Err(broken(&text[at..], &error)),
            Err(_) => continue,
        };
        if json.get("successes").is_some() {
            return of_own(json, ran);
        }
        if let Some(reported) = k6(&json).or_else(|| oha(&json)).or_else(|| locust(&json)) {
            return Ok(reported);
        }
    }
    pgbench(text, ran.stderr).or_else(|| wrk(text)).ok_or_else(|| {
        expected(
            "one JSON object with `successes`, `failures` and `seconds`, or the summary of wrk, k6, oha, pgbench or locust",
        )
    })
}

/// What stands in every summary of a program's own.
const MARK: &str = "\"successes\"";

/// The last object that has `successes`; else the last object, so that what it lacks is told.
fn own(text: &str, ran: Ran<'_>) -> Result<Reported, String> {
    let last = text.rfind(MARK);
    let mut other = None;
    for (at, json) in documents(text) {
        match json {
            Ok(json) if json.get("successes").is_some() => return of_own(json, ran),
            Ok(json) if json.is_object() => other = other.or(Some(json)),
            // The mark of a whole document would have been found before.
            Err(error) if last.is_some_and(|last| at < last) => return Err(broken(&text[at..], &error)),
            _ => {}
        }
    }
    of_own(other.ok_or_else(|| expected("one JSON object with `successes`, `failures` and `seconds`"))?, ran)
}

/// What is wrong with a summary that is no JSON.
fn broken(text: &str, error: &serde_json::Error) -> String {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let there: String = line.chars().skip(error.column().saturating_sub(1)).take(12).collect();
    let hint = ["NaN", "Infinity", "nan", "inf"].into_iter().find(|word| there.starts_with(word));
    match hint {
        Some(word) => format!("its JSON cannot be read: JSON has no `{word}`; leave out a figure that is not known"),
        None => format!("its JSON cannot be read: {error}"),
    }
}

fn of_own(json: Json, ran: Ran<'_>) -> Result<Reported, String> {
    let own: Own = serde_path_to_error::deserialize(json).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.inner().to_string());
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        // The names of Rust's types say nothing to whoever writes a benchmark.
        let error = error
            .replace("expected u64", "expected a whole number, 0 or more")
            .replace("expected f64", "expected a number");
        format!("its JSON cannot be used: {place}{error}")
    })?;
    let count = own.successes;
    let latency = |times: &Option<Times>| times.as_ref().map(|times| times.latency(count)).unwrap_or_default();
    let response = match &own.hdr_log {
        Some(log) => hdr_log(&ran.folder.join(log), own.hdr_unit.unwrap_or(1e-9), ran.began)?,
        None => latency(&own.response),
    };
    let error = |error: OwnError| ErrorCount {
        class: error.class.unwrap_or(ErrorClass::Query),
        code: error.code,
        example: error.message,
        count: error.count,
    };
    let reported = Reported {
        by: Summary::Json,
        successes: own.successes,
        failures: own.failures,
        seconds: own.seconds,
        warm_up: own.warm_up_seconds,
        retries: own.retries,
        response,
        query: latency(&own.query),
        acquire: latency(&own.acquire),
        slices: own.slices,
        errors: own.errors.into_iter().map(error).collect(),
    };
    let reported = checked(reported)?;
    plausible(&reported)?;
    Ok(reported)
}

/// What a program that takes milliseconds for seconds, or counts for rates, would tell.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn plausible(reported: &Reported) -> Result<(), String> {
    /// How far the mean of rates may be from the rate of the whole: the last slice may be cut short.
    const SLICES: f64 = 1.25;
    let Reported { successes, seconds, warm_up, slices, .. } = reported;
    let all = seconds + warm_up;
    for (name, of) in [("response", &reported.response), ("query", &reported.query), ("acquire", &reported.acquire)] {
        // What was under way at the end may have taken longer; most requests cannot have.
        let usual = [of.mean, of.p50, of.p90, of.p95];
        if let Some(time) = usual.into_iter().find(|time| *time > all) {
            return Err(format!(
                "its `{name}` has a time of {time}, and it measured for {seconds} s: times are in seconds (`hdr_unit` says the unit of \
                 a log); if this one is, make trials longer than requests take"
            ));
        }
    }
    let (mean, rate) = (stats::mean(slices), *successes as f64 / seconds);
    if !slices.is_empty() && !(rate / SLICES..=rate * SLICES).contains(&mean) {
        return Err(format!(
            "its `slices` are {mean:.1} on average, and `successes` by `seconds` is {rate:.1}: expected the successes a second in \
             equal parts of the measured time"
        ));
    }
    Ok(())
}

/// What no measurement can be.
fn checked(reported: Reported) -> Result<Reported, String> {
    let Reported { seconds, warm_up, slices, .. } = &reported;
    if !(seconds.is_finite() && *seconds > 0.0) {
        return Err(format!("it says that it measured for {seconds} s: expected a time above 0"));
    }
    if reported.successes + reported.failures == 0 {
        return Err("it says that it measured no request at all, neither served nor failed".to_owned());
    }
    if !(warm_up.is_finite() && *warm_up >= 0.0) || slices.iter().any(|rate| !rate.is_finite() || *rate < 0.0) {
        return Err("it tells a time or a rate that is negative or no number".to_owned());
    }
    let times = [&reported.response, &reported.query, &reported.acquire];
    let figures = times.iter().flat_map(|of| [of.mean, of.p50, of.p90, of.p95, of.p99, of.p999, of.max]);
    if figures.into_iter().any(|time| !time.is_finite() || time < 0.0) {
        return Err("it tells a time that is negative or no number".to_owned());
    }
    Ok(reported)
}

/// Every JSON document in a text and where it begins, the last first: programs print other things before their summary. What
/// only begins like one is an error.
fn documents(text: &str) -> impl Iterator<Item = (usize, serde_json::Result<Json>)> + '_ {
    /// Most lines that are tried; a document a line is no summary.
    const TRIED: usize = 2_000;
    let begins = |line: &&str| line.trim_start().starts_with(['{', '[']);
    let lines = text.lines().rev().filter(begins).take(TRIED);
    lines.filter_map(move |line| {
        let from = line.as_ptr() as usize - text.as_ptr() as usize;
        Some((from, serde_json::Deserializer::from_str(&text[from..]).into_iter::<Json>().next()?))
    })
}

/// Whether a file was written before a time. Its own clock ticks a hundred times a second, or once on some disks.
fn is_older(file: &Path, than: SystemTime) -> bool {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Ok(written) = std::fs::metadata(file).and_then(|of| of.modified()).map(since) else { return false };
    let than = since(than).saturating_sub(Duration::from_millis(10));
    if written.subsec_nanos() == 0 { written.as_secs() < than.as_secs() } else { written < than }
}

/// The distribution in an `HdrHistogram` log, all its intervals together.
#[expect(clippy::cast_precision_loss, reason = "counts and units are far below 2^53")]
fn hdr_log(path: &Path, unit: f64, began: SystemTime) -> Result<Latency, String> {
    use base64::Engine as _;
    let shown = path.display();
    if is_older(path, began) {
        return Err(format!(
            "its `hdr_log` `{shown}` was written before the trial began: it has to write a new one in each"
        ));
    }
    let text = std::fs::read(path).map_err(|error| format!("its `hdr_log` `{shown}` cannot be read: {error}"))?;
    let wrong = |problem: &str| format!("its `hdr_log` `{shown}` is no HdrHistogram log: {problem}");
    let mut all: Option<Histogram<u64>> = None;
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.map_err(|_| wrong("a line cannot be read"))? else { continue };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(interval.encoded_histogram())
            .map_err(|error| wrong(&error.to_string()))?;
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| wrong(&error.to_string()))?;
        if let Some(all) = &mut all {
            all.add(&histogram).map_err(|error| wrong(&error.to_string()))?;
        } else {
            let mut first = histogram;
            // The next may hold longer times than this one has room for.
            first.auto(true);
            all = Some(first);
        }
    }
    let Some(all) = all.filter(|all| !all.is_empty()) else { return Err(wrong("it has no times")) };
    let at = |share| all.value_at_quantile(share) as f64 * unit;
    Ok(Latency {
        count: all.len(),
        mean: all.mean() * unit,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: all.max() as f64 * unit,
    })
}

#[cfg(test)]
mod tests;
