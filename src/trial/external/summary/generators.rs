//! The summaries of load generators. Each gives `None` for what is not its own.

use serde_json::Value as Json;

use super::Reported;
use crate::model::{ErrorClass, ErrorCount, Latency, Summary};

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

pub(super) fn wrk(text: &str) -> Option<Reported> {
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
        by: Summary::Wrk,
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

/// `stderr` tells of clients that gave up, whose failure stands nowhere else.
pub(super) fn pgbench(text: &str, stderr: &str) -> Option<Reported> {
    let processed = number_after(text, "number of transactions actually processed")?;
    let seconds = match number_after(text, "\ntps").filter(|tps| *tps > 0.0) {
        // Without the time to connect, as its own rate.
        Some(tps) => processed / tps,
        // It tells no rate where it has processed nothing.
        None => number_after(text, "\nduration").filter(|_| processed == 0.0)?,
    };
    let failed = number_after(text, "number of failed transactions").map_or(0, count);
    let gave_up = |line: &&str| line.contains("error: client ") && line.contains(" aborted");
    let aborted: Vec<&str> = stderr.lines().chain(text.lines()).filter(gave_up).collect();
    let gave_up = aborted.first().and_then(|first| failures(aborted.len() as u64, first.trim(), None));
    Some(Reported {
        by: Summary::Pgbench,
        successes: count(processed),
        failures: failed + aborted.len() as u64,
        seconds,
        errors: failures(failed, "transactions that failed", None).into_iter().chain(gave_up).collect(),
        ..Reported::default()
    })
}

/// A number somewhere in a document.
fn at(json: &Json, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(json, |json, key| json.get(key))?.as_f64()
}

pub(super) fn k6(json: &Json) -> Option<Reported> {
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
        // An iteration may have several checks: their share is taken for that of iterations.
        let (passes, fails) = (figure("checks", "passes").unwrap_or(0.0), figure("checks", "fails").unwrap_or(0.0));
        if fails > 0.0 { count(all * fails / (passes + fails)) } else { 0 }
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
        by: Summary::K6,
        successes,
        failures: failed,
        seconds: all / rate,
        response: response.unwrap_or_default(),
        errors: failures(failed, "requests that k6 counts as failed", None).into_iter().collect(),
        ..Reported::default()
    })
}

pub(super) fn oha(json: &Json) -> Option<Reported> {
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
        by: Summary::Oha,
        successes,
        failures: errors.iter().map(|error| error.count).sum(),
        seconds,
        response: response.unwrap_or_default(),
        errors,
        ..Reported::default()
    })
}

pub(super) fn locust(json: &Json) -> Option<Reported> {
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
        by: Summary::Locust,
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
