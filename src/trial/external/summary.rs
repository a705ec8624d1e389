//! What a program says that it measured: our own JSON, or the summary of a load generator.

mod generators;

use std::path::Path;

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use serde::Deserialize;
use serde_json::Value as Json;

use self::generators::{k6, locust, oha, pgbench, wrk};

use crate::{
    model::{ErrorClass, ErrorCount, Latency, Summary},
    stats,
};

/// What a program measured. Times are seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reported {
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
#[derive(Deserialize)]
#[serde(untagged)]
enum Times {
    Each(Vec<f64>),
    Distribution(Distribution),
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

/// Reads what a program printed; a file that it names is looked for in `folder`.
///
/// # Errors
/// What is wrong with it, and what was expected, as text.
pub(super) fn read(form: Summary, text: &str, folder: &Path) -> Result<Reported, String> {
    let reported = match form {
        Summary::Any => any(text, folder),
        Summary::Json => own(text, folder),
        Summary::Wrk => wrk(text).ok_or_else(|| expected("wrk's summary, with `requests in …s`")),
        Summary::Pgbench => pgbench(text).ok_or_else(|| expected("pgbench's summary, with `tps = …`")),
        Summary::K6 => documents(text).find_map(|json| k6(&json)).ok_or_else(|| {
            expected("k6's summary: `k6 run --summary-export=/dev/stdout …`, with `metrics.http_reqs` or `metrics.iterations`")
        }),
        Summary::Oha => documents(text)
            .find_map(|json| oha(&json))
            .ok_or_else(|| expected("oha's summary: `oha --no-tui --output-format json …`")),
        Summary::Locust => documents(text)
            .find_map(|json| locust(&json))
            .ok_or_else(|| expected("locust's summary: `locust --headless --json …`")),
    }?;
    checked(reported)
}

fn expected(what: &str) -> String {
    format!("it printed no summary that can be read: expected {what}")
}

fn any(text: &str, folder: &Path) -> Result<Reported, String> {
    for json in documents(text) {
        if json.get("successes").is_some() {
            return of_own(json, folder);
        }
        if let Some(reported) = k6(&json).or_else(|| oha(&json)).or_else(|| locust(&json)) {
            return Ok(reported);
        }
    }
    pgbench(text).or_else(|| wrk(text)).ok_or_else(|| {
        expected(
            "one JSON object with `successes`, `failures` and `seconds`, or the summary of wrk, k6, oha, pgbench or locust",
        )
    })
}

fn own(text: &str, folder: &Path) -> Result<Reported, String> {
    let of_ours = documents(text).find(|json| json.get("successes").is_some());
    let json = of_ours.or_else(|| documents(text).find(Json::is_object));
    of_own(json.ok_or_else(|| expected("one JSON object with `successes`, `failures` and `seconds`"))?, folder)
}

fn of_own(json: Json, folder: &Path) -> Result<Reported, String> {
    let own: Own = serde_json::from_value(json).map_err(|error| format!("its JSON cannot be used: {error}"))?;
    let count = own.successes;
    let latency = |times: &Option<Times>| times.as_ref().map(|times| times.latency(count)).unwrap_or_default();
    let response = match &own.hdr_log {
        Some(log) => hdr_log(&folder.join(log), own.hdr_unit.unwrap_or(1e-9))?,
        None => latency(&own.response),
    };
    let error = |error: OwnError| ErrorCount {
        class: error.class.unwrap_or(ErrorClass::Query),
        code: error.code,
        example: error.message,
        count: error.count,
    };
    Ok(Reported {
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
    })
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

/// Every JSON document in a text, the last first: programs print other things before their summary.
fn documents(text: &str) -> impl Iterator<Item = Json> + '_ {
    /// Most lines that are tried; a document a line is no summary.
    const TRIED: usize = 2_000;
    let begins = |line: &&str| line.trim_start().starts_with(['{', '[']);
    let lines = text.lines().rev().filter(begins).take(TRIED);
    lines.filter_map(move |line| {
        let from = line.as_ptr() as usize - text.as_ptr() as usize;
        serde_json::Deserializer::from_str(&text[from..]).into_iter::<Json>().next()?.ok()
    })
}

/// The distribution in an `HdrHistogram` log, all its intervals together.
#[expect(clippy::cast_precision_loss, reason = "counts and units are far below 2^53")]
fn hdr_log(path: &Path, unit: f64) -> Result<Latency, String> {
    use base64::Engine as _;
    let shown = path.display();
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
