use super::*;

fn ran(folder: &Path) -> Ran<'_> {
    Ran { folder, began: UNIX_EPOCH, stderr: "" }
}

fn read_any(text: &str) -> Result<Reported, String> {
    read(Summary::Any, text, ran(Path::new(".")))
}

#[test]
fn our_own_json_is_the_last_document_whatever_is_printed_before() {
    let text = "starting\n{\"successes\": 1}\nlog {x}\n{\"successes\": 990, \"failures\": 10, \"seconds\": 2.0,\n \"query\": {\"p95\": 0.01}}\nbye\n";
    let reported = read_any(text).unwrap();
    assert_eq!((reported.successes, reported.failures, reported.seconds), (990, 10, 2.0));
    assert_eq!((reported.query.count, reported.query.p95, reported.query.max), (990, 0.01, 0.01));
    assert_eq!(reported.response.count, 0);
}

#[test]
fn each_time_may_be_told() {
    let text = r#"{"successes": 4, "failures": 0, "seconds": 1, "response": [0.001, 0.002, 0.003, 0.1]}"#;
    let reported = read_any(text).unwrap();
    assert_eq!((reported.response.count, reported.response.max), (4, 0.1));
    assert!((reported.response.mean - 0.0265).abs() < 1e-12);
}

#[test]
fn what_is_no_measurement_is_refused_with_the_reason() {
    let told = |text: &str| read_any(text).unwrap_err();
    assert!(told("nothing here").contains("expected one JSON object with `successes`"));
    assert!(told("").contains("printed no summary"));
    assert!(told(r#"{"successes": 1, "failures": 0}"#).contains("missing field `seconds`"));
    assert!(told(r#"{"successes": -1, "failures": 0, "seconds": 1}"#).contains("invalid value"));
    assert!(told(r#"{"successes": 0, "failures": 0, "seconds": 1}"#).contains("no request at all"));
    assert!(told(r#"{"successes": 1, "failures": 0, "seconds": 0}"#).contains("above 0"));
    assert!(
        told(r#"{"successes": 1, "failures": 0, "seconds": 1, "fialures": 3}"#).contains("unknown field `fialures`")
    );
    assert!(told(r#"{"successes": 1, "failures": 0, "seconds": 1, "query": {"p95": -3}}"#).contains("negative"));
    assert!(
        told(r#"{"successes": 1, "failures": 0, "seconds": 1, "hdr_log": "/nowhere.hlog"}"#).contains("/nowhere.hlog")
    );
}

#[test]
fn a_field_that_is_wrong_is_named_with_what_it_should_be() {
    let told = |of: &str| read_any(&format!(r#"{{"successes": 9, "failures": 0, "seconds": 2, {of}}}"#)).unwrap_err();
    for (of, name, should) in [
        (r#""retries": "3""#, "`retries`: ", "expected a whole number, 0 or more"),
        (r#""retries": 1.5"#, "`retries`: ", "expected a whole number, 0 or more"),
        (r#""slices": [1, "x"]"#, "`slices[1]`: ", "expected a number"),
        (r#""query": {"p95": "3 ms"}"#, "`query.p95`: ", "expected a number"),
        (r#""query": {"p50": 0.1}"#, "`query`: ", "missing field `p95`"),
        (r#""query": 3"#, "`query`: ", "a list of times in seconds, or an object with their percentiles"),
        (r#""response": [0.1, null]"#, "`response[1]`: ", "expected a number"),
        (r#""errors": [{"class": "odd"}]"#, "`errors[0].class`: ", "unknown variant `odd`"),
    ] {
        let told = told(of);
        assert!(told.contains(name) && told.contains(should), "{of}: {told}");
    }
    for form in [Summary::Any, Summary::Json] {
        let read = |text: &str| read(form, text, ran(Path::new("."))).unwrap_err();
        for word in ["NaN", "Infinity", "-Infinity"] {
            let text = format!(
                "{{\"note\": 1}}\n{{\"successes\": 9, \"failures\": 0,\n \"seconds\": 2, \"query\": {{\"p95\": {word}}}}}\nend\n"
            );
            assert!(read(&text).contains("JSON has no `"), "{}", read(&text));
            assert!(read(&text).contains("leave out a figure"), "{}", read(&text));
        }
        assert!(read("{\"successes\": 9, \"failures\": }").contains("cannot be read: expected value at line 1"));
        assert!(read("{starting up\n").contains("printed no summary"));
    }
}

#[test]
fn a_whole_summary_counts_whatever_is_printed_after_it() {
    let text = "{\"successes\": 1, \"failures\": 0, \"seconds\": 1}\n{\"successes\": 2, \"failures\": 0, \"seconds\": 1}\n{bye\n";
    assert_eq!(read_any(text).unwrap().successes, 2, "the last one counts");
}

#[test]
fn what_is_not_plausible_is_refused() {
    let told = |of: &str| read_any(&format!(r#"{{"successes": 1000, "failures": 0, "seconds": 2, {of}}}"#));
    // Milliseconds.
    for of in [r#""query": {"p95": 8.4}"#, r#""response": [3.1, 4.2]"#, r#""acquire": {"mean": 12, "p95": 0.4}"#] {
        let error = told(of).unwrap_err();
        assert!(error.contains("times are in seconds"), "{error}");
    }
    // A request that was under way at the end may take longer.
    assert!(told(r#""query": {"p95": 0.4, "p99": 3.0, "max": 5}"#).is_ok());
    assert!(told(r#""slices": [490, 510, 450]"#).is_ok());
    for of in [r#""slices": [50, 50, 52]"#, r#""slices": [1000]"#, r#""slices": [0.5]"#] {
        let error = told(of).unwrap_err();
        assert!(error.contains("`slices`") && error.contains("500.0"), "{error}");
    }
}

#[test]
fn wrk_is_read() {
    let text = "Running 2s test @ http://127.0.0.1:8000/\n  2 threads and 10 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   635.91us    0.89ms  12.92ms   93.69%\n    Req/Sec    56.20k     8.07k   62.00k    86.54%\n  Latency Distribution\n     50%  250.00us\n     75%  491.00us\n     90%  700.00us\n     99%    5.80ms\n  22464 requests in 2.00s, 17.11MB read\n  Socket errors: connect 0, read 3, write 0, timeout 2\n  Non-2xx or 3xx responses: 64\nRequests/sec:  11232.00\nTransfer/sec:      8.55MB\n";
    let reported = read_any(text).unwrap();
    assert_eq!((reported.successes, reported.failures, reported.seconds), (22_400, 69, 2.0));
    assert!((reported.response.p50 - 250e-6).abs() < 1e-9 && (reported.response.p95 - 5.8e-3).abs() < 1e-9);
    assert_eq!(reported, read(Summary::Wrk, text, ran(Path::new("."))).unwrap());
}

#[test]
fn pgbench_is_read() {
    let text = "pgbench (15.5)\nscaling factor: 1\nnumber of clients: 4\nduration: 2 s\nnumber of transactions actually processed: 2000\nnumber of failed transactions: 4 (0.200%)\nlatency average = 4.000 ms\ninitial connection time = 9.873 ms\ntps = 1005.000000 (without initial connection time)\n";
    let reported = read_any(text).unwrap();
    assert_eq!((reported.successes, reported.failures), (2000, 4));
    assert!((reported.seconds - 2000.0 / 1005.0).abs() < 1e-9);
    assert_eq!(reported.response.count, 0, "it tells no percentiles");
}

/// As pgbench 15 prints it when its clients give up at an error of SQL.
#[test]
fn pgbenchs_clients_that_gave_up_are_failures() {
    let head = "pgbench (15.18)\nnumber of clients: 4\nduration: 1 s\nnumber of transactions actually processed: ";
    let stderr = "pgbench: error: client 0 script 0 aborted in command 0 query 0: ERROR:  division by zero\n\
                  pgbench: error: client 3 script 0 aborted in command 0 query 0: ERROR:  division by zero\n\
                  pgbench: error: Run was aborted; the above results are incomplete.\n";
    let read = |text: &str| read(Summary::Any, text, Ran { stderr, ..ran(Path::new(".")) });
    let some = read(&format!(
        "{head}10\nnumber of failed transactions: 0 (0.000%)\ntps = 1160.900859 (without initial connection time)\n"
    ))
    .unwrap();
    assert_eq!((some.successes, some.failures, some.by), (10, 2, Summary::Pgbench));
    assert!(some.errors[0].example.contains("division by zero"));
    let none = read(&format!("{head}0\nnumber of failed transactions: 0 (NaN%)\n")).unwrap();
    assert_eq!((none.successes, none.failures, none.seconds), (0, 2, 1.0));
    assert!(none.may_end_with(2) && !none.may_end_with(1) && !none.may_end_with(99));
}

#[test]
fn k6_is_read_in_both_its_forms() {
    let old = r#"{"metrics": {"http_reqs": {"count": 300, "rate": 100}, "http_req_failed": {"passes": 3, "fails": 297, "value": 0.01},
        "http_req_duration": {"avg": 5, "min": 1, "med": 4, "max": 50, "p(90)": 8, "p(95)": 10}}}"#;
    let reported = read_any(old).unwrap();
    assert_eq!((reported.successes, reported.failures, reported.seconds), (297, 3, 3.0));
    assert_eq!((reported.response.p50, reported.response.p95), (0.004, 0.01));
    let new = r#"{"metrics": {"http_reqs": {"type": "counter", "values": {"count": 300, "rate": 100}},
        "http_req_failed": {"values": {"rate": 0.01, "passes": 3, "fails": 297}}, "http_req_duration": {"values": {"p(95)": 10}}}}"#;
    assert_eq!(read_any(new).unwrap().failures, 3);
}

#[test]
fn oha_is_read() {
    let text = r#"{"summary": {"successRate": 1.0, "total": 2.0, "slowest": 0.2, "fastest": 0.001, "average": 0.01, "requestsPerSec": 500},
        "latencyPercentiles": {"p50": 0.008, "p90": 0.015, "p95": 0.02, "p99": 0.05, "p99.9": 0.1},
        "statusCodeDistribution": {"200": 980, "503": 20}, "errorDistribution": {"aborted due to deadline": 7, "connection refused": 2}}"#;
    let reported = read_any(text).unwrap();
    assert_eq!((reported.successes, reported.failures, reported.seconds), (980, 22, 2.0));
    assert_eq!((reported.response.p95, reported.response.p999), (0.02, 0.1));
    assert_eq!(reported.errors[0].code.as_deref(), Some("503"));
}

#[test]
fn locust_is_read() {
    let text = r#"[{"name": "/", "method": "GET", "last_request_timestamp": 1002.0, "start_time": 1000.0, "num_requests": 90,
        "num_failures": 1, "response_times": {"10": 80, "20": 10}},
        {"name": "/x", "method": "GET", "last_request_timestamp": 1002.5, "start_time": 1000.5, "num_requests": 10,
        "num_failures": 0, "response_times": {"300": 10}}]"#;
    let reported = read_any(text).unwrap();
    assert_eq!((reported.successes, reported.failures, reported.seconds), (99, 1, 2.5));
    assert_eq!((reported.response.p50, reported.response.p95), (0.01, 0.3));
}

#[test]
fn an_hdr_log_is_read_all_its_intervals_together() {
    use hdrhistogram::serialization::{V2DeflateSerializer, interval_log::IntervalLogWriterBuilder};
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new().begin_log_with(&mut bytes, &mut serializer).unwrap();
    for (start, micros) in [(0, 1_000_u64), (1, 3_000)] {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        histogram.record_n(micros * 1000, 10).unwrap();
        log.write_histogram(&histogram, Duration::from_secs(start), Duration::from_secs(1), None).unwrap();
    }
    std::fs::write(folder.path().join("times.hlog"), bytes).unwrap();
    let text = r#"{"successes": 20, "failures": 0, "seconds": 2, "hdr_log": "times.hlog"}"#;
    let of = |began| read(Summary::Any, text, Ran { began, ..ran(folder.path()) });
    let written = std::fs::metadata(folder.path().join("times.hlog")).unwrap().modified().unwrap();
    assert!(of(written).is_ok());
    let stale = of(written + Duration::from_secs(1)).unwrap_err();
    assert!(stale.contains("was written before the trial began"), "{stale}");
    let reported = read(Summary::Any, text, ran(folder.path())).unwrap();
    assert_eq!(reported.response.count, 20);
    assert!((reported.response.p50 - 1e-3).abs() < 1e-6 && (reported.response.p95 - 3e-3).abs() < 5e-6, "{reported:?}");
}
