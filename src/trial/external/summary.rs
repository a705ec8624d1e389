//! What a program says that it measured: our own JSON, or the summary of a load generator.

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
    let json = documents(text).find(Json::is_object);
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

/// The number after a word in a text.
fn number_after(text: &str, word: &str) -> Option<f64> {
    let (_, rest) = text.split_once(word)?;
    let rest = rest.trim_start_matches([' ', ':', '=']);
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, which saturates")]
fn count(number: f64) -> u64 {
    number.round() as u64
}

/// The time in `1.23ms`, in seconds.
fn time(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

fn failures(n: u64, what: &str, code: Option<&str>) -> Option<ErrorCount> {
    (n > 0).then(|| ErrorCount {
        class: ErrorClass::Query,
        code: code.map(str::to_owned),
        example: what.to_owned(),
        count: n,
    })
}

fn wrk(text: &str) -> Option<Reported> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (all, rest) = line.trim().split_once(" requests in ")?;
    let all: u64 = all.parse().ok()?;
    let seconds = time(rest.split(',').next()?.trim())?;
    let refused = number_after(text, "Non-2xx or 3xx responses").map_or(0, count);
    let socket = text.lines().find(|line| line.contains("Socket errors:")).map_or(0, |line| {
        ["connect", "read", "write", "timeout"].iter().filter_map(|word| number_after(line, word)).map(count).sum()
    });
    let percentile = |name: &str| {
        let mut words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.find_map(|words| match words.as_slice() {
            [percent, of] if *percent == name => time(of),
            _ => None,
        })
    };
    let successes = all.saturating_sub(refused);
    let response = percentile("99%").map(|p99| {
        let (p50, p90) = (percentile("50%").unwrap_or(p99), percentile("90%").unwrap_or(p99));
        // wrk tells no 95th percentile: the next higher one is safe to compare with a limit.
        Latency { count: successes, mean: p50, p50, p90, p95: p99, p99, p999: p99, max: p99 }
    });
    Some(Reported {
        successes,
        failures: refused + socket,
        seconds,
        response: response.unwrap_or_default(),
        errors: [failures(refused, "answers other than 2xx and 3xx", None), failures(socket, "socket errors", None)]
            .into_iter()
            .flatten()
            .collect(),
        ..Reported::default()
    })
}

fn pgbench(text: &str) -> Option<Reported> {
    let tps = number_after(text, "\ntps").filter(|tps| *tps > 0.0)?;
    let processed = number_after(text, "number of transactions actually processed")?;
    let failed = number_after(text, "number of failed transactions").map_or(0, count);
    Some(Reported {
        successes: count(processed),
        failures: failed,
        // Without the time to connect, as its own rate.
        seconds: processed / tps,
        errors: failures(failed, "transactions that failed", None).into_iter().collect(),
        ..Reported::default()
    })
}

/// A number somewhere in a document.
fn at(json: &Json, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(json, |json, key| json.get(key))?.as_f64()
}

fn k6(json: &Json) -> Option<Reported> {
    let metrics = json.get("metrics")?;
    // The new form has the figures under `values`.
    let figure = |metric: &str, key: &str| {
        let metric = metrics.get(metric)?;
        metric.get("values").unwrap_or(metric).get(key)?.as_f64()
    };
    let of_http = figure("http_reqs", "count").is_some();
    let counter = if of_http { "http_reqs" } else { "iterations" };
    let (all, rate) = (figure(counter, "count")?, figure(counter, "rate")?);
    let failed = if of_http {
        // `http_req_failed` counts failures as passes of the rate.
        figure("http_req_failed", "passes").map_or(0, count)
    } else {
        figure("checks", "fails").map_or(0, count)
    };
    let timer = if of_http { "http_req_duration" } else { "iteration_duration" };
    let milliseconds = |key: &str| figure(timer, key).map(|time| time / 1e3);
    let successes = count(all).saturating_sub(failed);
    let response = milliseconds("p(95)").map(|p95| {
        let p99 = milliseconds("p(99)").unwrap_or(p95);
        let p50 = milliseconds("med").unwrap_or(p95);
        Latency {
            count: successes,
            mean: milliseconds("avg").unwrap_or(p50),
            p50,
            p90: milliseconds("p(90)").unwrap_or(p50),
            p95,
            p99,
            p999: p99,
            max: milliseconds("max").unwrap_or(p99),
        }
    });
    Some(Reported {
        successes,
        failures: failed,
        seconds: all / rate,
        response: response.unwrap_or_default(),
        errors: failures(failed, "requests that k6 counts as failed", None).into_iter().collect(),
        ..Reported::default()
    })
}

fn oha(json: &Json) -> Option<Reported> {
    let seconds = at(json, &["summary", "total"])?;
    let codes = json.get("statusCodeDistribution")?.as_object()?;
    let mut errors = Vec::new();
    let mut successes = 0;
    for (code, n) in codes {
        let n = n.as_u64()?;
        if code.starts_with(['2', '3']) {
            successes += n;
        } else {
            errors.extend(failures(n, "answers with another status than 2xx and 3xx", Some(code)));
        }
    }
    for (what, n) in json.get("errorDistribution").and_then(Json::as_object).into_iter().flatten() {
        // Those that the end cut off are neither.
        if !what.contains("deadline") {
            errors.extend(failures(n.as_u64()?, what, None));
        }
    }
    let percentile = |name: &str| at(json, &["latencyPercentiles", name]);
    let response = percentile("p95").map(|p95| {
        let p99 = percentile("p99").unwrap_or(p95);
        Latency {
            count: successes,
            mean: at(json, &["summary", "average"]).unwrap_or(p95),
            p50: percentile("p50").unwrap_or(p95),
            p90: percentile("p90").unwrap_or(p95),
            p95,
            p99,
            p999: percentile("p99.9").unwrap_or(p99),
            max: at(json, &["summary", "slowest"]).unwrap_or(p99),
        }
    });
    Some(Reported {
        successes,
        failures: errors.iter().map(|error| error.count).sum(),
        seconds,
        response: response.unwrap_or_default(),
        errors,
        ..Reported::default()
    })
}

fn locust(json: &Json) -> Option<Reported> {
    let entries = json.as_array().filter(|entries| !entries.is_empty())?;
    let (mut all, mut failed, mut first, mut last) = (0, 0, f64::INFINITY, f64::NEG_INFINITY);
    let mut times: Vec<(f64, u64)> = Vec::new();
    for entry in entries {
        all += entry.get("num_requests")?.as_u64()?;
        failed += entry.get("num_failures")?.as_u64()?;
        first = first.min(at(entry, &["start_time"])?);
        last = last.max(at(entry, &["last_request_timestamp"])?);
        for (milliseconds, n) in entry.get("response_times")?.as_object()? {
            times.push((milliseconds.parse::<f64>().ok()? / 1e3, n.as_u64()?));
        }
    }
    let successes = all.saturating_sub(failed);
    Some(Reported {
        successes,
        failures: failed,
        seconds: last - first,
        response: of_counted(times),
        errors: failures(failed, "requests that locust counts as failed", None).into_iter().collect(),
        ..Reported::default()
    })
}

/// The distribution of times that come with how often each was seen.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn of_counted(mut times: Vec<(f64, u64)>) -> Latency {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: u64 = times.iter().map(|(_, n)| n).sum();
    if all == 0 {
        return Latency::default();
    }
    let quantile = |share: f64| {
        let mut seen = 0;
        let found = times.iter().find(|(_, n)| {
            seen += n;
            seen as f64 >= share * all as f64
        });
        found.or(times.last()).map_or(0.0, |(time, _)| *time)
    };
    Latency {
        count: all,
        mean: times.iter().map(|(time, n)| time * *n as f64).sum::<f64>() / all as f64,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: quantile(1.0),
    }
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
        match &mut all {
            Some(all) => all.add(&histogram).map_err(|error| wrong(&error.to_string()))?,
            None => all = Some(histogram),
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
