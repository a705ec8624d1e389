//! Stress tests for programs: the time line as CSV, the response times as an HdrHistogram log.

use std::time::Duration;

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use schemars::generate::SchemaSettings;

use crate::model::{BreakerState, ErrorClass, Point, StressReport};

/// The JSON Schema of a stress test's document.
///
/// # Errors
/// When the serialiser fails, which a schema gives it no cause for.
pub fn stress_schema() -> Result<String, serde_json::Error> {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<StressReport>();
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// The first columns of the time line; a column a class of errors follows.
const COLUMNS: &str = "scenario,at_s,seconds,level,throughput_per_s,failures_per_s,response_mean_s,response_p50_s,\
                       response_p90_s,response_p95_s,response_p99_s,response_p999_s,response_max_s,active,idle,waiting,\
                       backlog,opened,breaker";

/// The header of the time line's CSV.
#[must_use]
pub fn stress_csv_header() -> String {
    let classes: Vec<String> = ErrorClass::ALL.iter().map(|class| format!("errors_{}", class_name(*class))).collect();
    format!("{COLUMNS},{}\n", classes.join(","))
}

/// The rows of one test's time line.
#[must_use]
pub fn stress_csv_rows(scenario: &str, series: &[Point]) -> String {
    let mut text = String::new();
    for point in series {
        let times = &point.response;
        let breaker = match point.breaker {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        };
        let numbers = [
            point.at,
            point.seconds,
            point.level,
            point.throughput,
            point.failures,
            times.mean,
            times.p50,
            times.p90,
            times.p95,
            times.p99,
            times.p999,
            times.max,
        ];
        let counts = [point.active.into(), point.idle.into(), point.waiting.into(), point.backlog, point.opened];
        let errors = ErrorClass::ALL
            .map(|class| point.errors.iter().find(|(of, _)| *of == class).map_or(0, |(_, count)| *count));
        let mut row = vec![quoted(scenario)];
        row.extend(numbers.map(|number| format!("{number:.7}")));
        row.extend(counts.map(|count: u64| count.to_string()));
        row.push(breaker.to_owned());
        row.extend(errors.map(|count| count.to_string()));
        text.push_str(&row.join(","));
        text.push('\n');
    }
    text
}

/// A class of errors as its name in files.
fn class_name(class: ErrorClass) -> String {
    serde_json::to_value(class).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A text as a CSV field (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// An HdrHistogram interval log (version 2), one interval at a time. Times are nanoseconds, as the log's readers take
/// them.
#[derive(Debug, Default)]
pub struct HdrLog {
    lines: Vec<u8>,
}

/// An interval that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the HdrHistogram log: {0}")]
pub struct HdrLogError(String);

impl HdrLog {
    /// Adds the response times of an interval: `start` and `length` in seconds, times in `unit`s of seconds, `tag` the
    /// scenario.
    ///
    /// # Errors
    /// [`HdrLogError`] when the histogram does not fit the format.
    pub fn add(
        &mut self,
        tag: &str,
        start: f64,
        length: f64,
        times: &Histogram<u32>,
        unit: f64,
    ) -> Result<(), HdrLogError> {
        let failed = |error: &dyn std::fmt::Display| HdrLogError(error.to_string());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hundred nanoseconds a unit")]
        let nanoseconds = (unit * 1e9).round() as u64;
        let mut scaled = Histogram::<u64>::new(3).map_err(|error| failed(&error))?;
        for step in times.iter_recorded() {
            scaled
                .record_n(times.median_equivalent(step.value_iterated_to()) * nanoseconds, step.count_at_value().into())
                .map_err(|error| failed(&error))?;
        }
        let mut serializer = V2DeflateSerializer::new();
        let mut one = Vec::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_max_value_divisor(1e6);
        builder.add_comment("response times from the intended start, in nanoseconds; interval maxima in milliseconds");
        let mut writer = builder.begin_log_with(&mut one, &mut serializer).map_err(|error| failed(&error))?;
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
        let tag: String = tag.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        writer
            .write_histogram(&scaled, time(start), time(length), Tag::new(&tag))
            .map_err(|error| failed(&format!("{error:?}")))?;
        // Each writer begins with a header, which a log has once.
        let is_header = |line: &&[u8]| line.starts_with(b"#") || line.starts_with(b"\"");
        let first = self.lines.is_empty();
        for line in one.split_inclusive(|byte| *byte == b'\n').filter(|line| first || !is_header(line)) {
            self.lines.extend_from_slice(line);
        }
        Ok(())
    }

    /// The log so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    use super::*;
    use crate::model::Latency;

    #[test]
    fn every_row_has_a_field_for_every_column() {
        let point = Point {
            at: 1.0,
            seconds: 1.0,
            response: Latency { count: 1, mean: 0.5, ..Latency::default() },
            errors: vec![(ErrorClass::Query, 3)],
            ..Point::default()
        };
        let rows = stress_csv_rows("a,b", &[point]);
        let fields = rows.trim_end().split(',').count();
        // The scenario has a comma in its quotes.
        assert_eq!(fields, stress_csv_header().trim_end().split(',').count() + 1, "{rows}");
        assert!(rows.starts_with("\"a,b\",1.0000000,") && rows.contains(",closed,0,"), "{rows}");
    }

    #[test]
    fn the_log_is_read_back_as_it_was() {
        let mut log = HdrLog::default();
        let mut times = Histogram::<u32>::new(3).unwrap();
        times.record_n(10_000, 5).unwrap();
        log.add("basic", 0.0, 1.0, &times, 1e-7).unwrap();
        times.record(50_000).unwrap();
        log.add("basic", 1.0, 1.0, &times, 1e-7).unwrap();
        let intervals: Vec<_> = IntervalLogIterator::new(log.bytes())
            .map(|entry| entry.unwrap())
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals[1].start_timestamp(), Duration::from_secs(1));
        let bytes = base64_of(intervals[1].encoded_histogram());
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.len(), 6);
        let near = |value: u64, expected: u64| value.abs_diff(expected) * 500 < expected;
        assert!(near(read.max(), 5_000_000) && near(read.min(), 1_000_000), "{} {}", read.min(), read.max());
    }

    /// Decodes base64 (RFC 4648).
    fn base64_of(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = Vec::new();
        let (mut bits, mut n) = (0_u32, 0);
        for digit in text.bytes().filter(|byte| *byte != b'=') {
            let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
            bits = bits << 6 | u32::try_from(value).unwrap();
            n += 6;
            if n >= 8 {
                n -= 8;
                bytes.push(u8::try_from(bits >> n & 0xff).unwrap());
            }
        }
        bytes
    }
}
