//! The same metrics pushed by OTLP over HTTP, for those who have a collector and nobody that scrapes.
//!
//! What is sent are cumulative sums and gauges, so that an export that is lost costs nothing but its moment: it is not sent again,
//! the next one tells more. (OTLP 1.x specification, "OTLP/HTTP"; binary protobuf, which every receiver takes.)

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
        number_data_point,
    },
    resource::v1::Resource,
};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::MissedTickBehavior;

use super::{
    ServiceError,
    hub::Hub,
    metrics::{Family, Kind, Labels, Values},
};
use crate::{http, job, profile::Otlp, tune::of_this_machine};

/// How long a collector may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The path of metrics below a collector's address.
const PATH: &str = "/v1/metrics";
/// Bytes of an answer that are read: a collector has little to say, and what else may be there has no end.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Letters of a collector's own words that are told.
const WORDS: usize = 200;

/// Where metrics are pushed to.
pub(super) struct Exporter {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    every: Duration,
}

impl Exporter {
    /// Reads what is configured.
    pub(super) fn of(otlp: &Otlp) -> Result<Self, ServiceError> {
        let wrong = |problem: &str| ServiceError::Otlp(problem.to_owned());
        let url: Url = address(&otlp.endpoint).ok_or_else(|| wrong("its `endpoint` is no http or https URL"))?;
        let text = otlp.headers.as_ref().map(|source| job::read_secret(source, "the headers of `otlp`")).transpose()?;
        let headers = text.map_or_else(|| Some(HeaderMap::new()), |text| headers(&text)).ok_or_else(|| {
            // They hold a token, which is not repeated.
            wrong("its headers cannot be read: expected name=value, with commas between several")
        })?;
        let client = http::client().timeout(ANSWER).build().map_err(|error| wrong(&http::told(&error)))?;
        Ok(Self { client, url, headers, every: otlp.every })
    }

    /// Pushes until the service ends.
    pub(super) async fn run(self: Arc<Self>, hub: Arc<Hub>) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Result<(), String> = Ok(());
        loop {
            ticks.tick().await;
            let result = self.push(&hub).await;
            hub.metrics.count_export(result.is_ok());
            match &result {
                Err(problem) if result != last => {
                    tracing::warn!(endpoint = %self.url, problem, "metrics cannot be pushed");
                }
                // As loud as what it ends.
                Ok(()) if last.is_err() => tracing::warn!(endpoint = %self.url, "metrics are pushed again"),
                _ => {}
            }
            last = result;
        }
    }

    /// Pushes what has come since, as the last thing that a service does: whoever waits for its end does not wait for a collector.
    pub(super) async fn end(&self, hub: &Hub, grace: Duration) {
        let pushed = tokio::time::timeout(grace, self.push(hub)).await;
        if let Err(problem) = pushed.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
            tracing::warn!(endpoint = %self.url, problem, "the last metrics cannot be pushed");
        }
    }

    async fn push(&self, hub: &Hub) -> Result<(), String> {
        let at = Timestamp::now();
        let body = request(&hub.metrics.now(hub), &instance(hub), hub.started, at).encode_to_vec();
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let answer = request.send().await.map_err(|error| http::told(&error.without_url()))?;
        taken(answer).await
    }
}

/// Whether an answer says that everything was taken.
async fn taken(mut answer: reqwest::Response) -> Result<(), String> {
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| http::told(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err(format!("its answer is larger than {} KiB, as no collector's is", LARGEST_ANSWER / 1024));
        }
    }
    let rejected = ExportMetricsServiceResponse::decode(&body[..]).ok().and_then(|answer| answer.partial_success);
    match rejected.filter(|partly| partly.rejected_data_points > 0) {
        Some(partly) => {
            Err(format!("it refused {} values: {}", partly.rejected_data_points, shortened(&partly.error_message)))
        }
        None => Ok(()),
    }
}

/// Somebody else's words, fit for a line of a log.
fn shortened(words: &str) -> String {
    let mut letters = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut text: String = letters.by_ref().take(WORDS).collect();
    if letters.next().is_some() {
        text.push('…');
    }
    text
}

/// The whole address: OpenTelemetry has the path of a signal appended to a collector's.
fn address(endpoint: &str) -> Option<Url> {
    let url: Url = endpoint.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    let mut whole = url.clone();
    let above = url.path().trim_end_matches('/');
    whole.set_path(&format!("{}{PATH}", above.strip_suffix(PATH).unwrap_or(above)));
    Some(whole)
}

/// Headers as OpenTelemetry's `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value,name=value`, as W3C's baggage percent-encoded.
fn headers(text: &SecretString) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.expose_secret().split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).ok()?, value);
    }
    Some(headers)
}

/// What tells services apart that push to one collector.
fn instance(hub: &Hub) -> String {
    of_this_machine(&format!("port {}", hub.config.bind.port()))
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A label as the conventions have it.
fn label(name: &str, value: &str) -> KeyValue {
    let mut told = attribute(conventional(name), value);
    // A number there, where Prometheus has only texts.
    if let ("code", Ok(code)) = (name, value.parse()) {
        told.value = Some(AnyValue { value: Some(any_value::Value::IntValue(code)) });
    }
    told
}

/// An attribute's name by the conventions, where they have one.
fn conventional(label: &str) -> &str {
    match label {
        "db_client_connection_pool_name" => "db.client.connection.pool.name",
        "db_client_connection_state" => "db.client.connection.state",
        "error_type" => "error.type",
        "code" => "http.response.status_code",
        other => other,
    }
}

fn request(values: &Values, instance: &str, began: Timestamp, at: Timestamp) -> ExportMetricsServiceRequest {
    let nanos = |of: Timestamp| u64::try_from(of.as_nanosecond()).unwrap_or(0);
    let point = |(labels, value): (&Labels, &f64)| NumberDataPoint {
        attributes: labels.iter().map(|(name, value)| label(name, value)).collect(),
        start_time_unix_nano: nanos(began),
        time_unix_nano: nanos(at),
        value: Some(number_data_point::Value::AsDouble(*value)),
        ..NumberDataPoint::default()
    };
    let metric = |(family, values): (&Family, &BTreeMap<Labels, f64>)| {
        let data_points = values.iter().map(point).collect();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match family.kind() {
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points }),
            kind => metric::Data::Sum(Sum {
                data_points,
                aggregation_temporality: cumulative,
                is_monotonic: kind == Kind::Counter,
            }),
        };
        Metric {
            name: family.dotted(),
            description: family.help().to_owned(),
            unit: family.measured().ucum().to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![
        attribute("service.name", "pool-tune"),
        attribute("service.version", version),
        attribute("service.instance.id", instance),
    ];
    let scope =
        InstrumentationScope { name: "pool-tune".to_owned(), version: version.to_owned(), ..Default::default() };
    let metrics = values.iter().map(metric).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{
        Router,
        body::{Body, Bytes},
        routing::get,
    };
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
    use tokio::{net::TcpListener, task::JoinSet};

    use super::*;

    #[test]
    fn the_path_of_metrics_is_appended_once() {
        for (endpoint, whole) in [
            ("http://localhost:4318", Some("http://localhost:4318/v1/metrics")),
            ("http://localhost:4318/", Some("http://localhost:4318/v1/metrics")),
            ("https://gateway/otlp", Some("https://gateway/otlp/v1/metrics")),
            ("https://gateway/otlp/v1/metrics", Some("https://gateway/otlp/v1/metrics")),
            ("https://gateway/otlp/v1/metrics/", Some("https://gateway/otlp/v1/metrics")),
            ("https://gateway/otlpv1/metrics", Some("https://gateway/otlpv1/metrics/v1/metrics")),
            ("localhost:4318", None),
            ("grpc://localhost:4317", None),
        ] {
            assert_eq!(address(endpoint).map(String::from).as_deref(), whole, "{endpoint}");
        }
    }

    #[test]
    fn headers_are_pairs_and_nothing_else() {
        let read = |text: &str| headers(&SecretString::from(text));
        assert_eq!(read("authorization=Bearer%20xyz").unwrap()["authorization"], "Bearer xyz");
        let two = read("authorization=Basic dXNlcg==, x-scope-orgid=7").unwrap();
        assert_eq!(
            (two["authorization"].to_str().unwrap(), &two["x-scope-orgid"]),
            ("Basic dXNlcg==", &"7".parse().unwrap())
        );
        assert!(read("").unwrap().is_empty());
        for wrong in ["hunter2", "a b=c", "x=\u{7}"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_status_code_is_a_number_and_every_other_label_a_text() {
        let of = |name| label(name, "200").value.unwrap().value.unwrap();
        assert_eq!(label("code", "200").key, "http.response.status_code");
        assert_eq!(of("code"), any_value::Value::IntValue(200));
        assert_eq!(of("monitor"), any_value::Value::StringValue("200".to_owned()));
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_to_it_and_words_are_shortened() {
        let endless = || async {
            let chunk = Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 4096]));
            Body::from_stream(futures_util::stream::repeat(chunk))
        };
        let wordy = || async {
            let error_message = format!("too\nmany\u{1b}[31m{}", "x".repeat(1000));
            let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: 2, error_message });
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        };
        let app = Router::new().route("/endless", get(endless)).route("/wordy", get(wordy));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let client = http::client().timeout(ANSWER).build().unwrap();
        let problem = async |path: &str| taken(client.get(format!("{url}{path}")).send().await.unwrap()).await;
        assert_eq!(problem("/endless").await.unwrap_err(), "its answer is larger than 64 KiB, as no collector's is");
        let told = problem("/wordy").await.unwrap_err();
        assert!(told.starts_with("it refused 2 values: too many [31mxxx") && told.ends_with("x…"), "{told}");
        assert!(told.chars().count() < 250, "{told}");
    }

    #[test]
    fn names_are_the_conventions_and_what_adds_up_is_a_sum() {
        let labels = vec![("db_client_connection_state", "used".to_owned())];
        let of = |family, value| (family, BTreeMap::from([(labels.clone(), value)]));
        let values =
            Values::from([of(Family::Connections, 4.5), of(Family::Utilisation, 0.5), of(Family::Errors, 3.0)]);
        let at = Timestamp::from_second(100).unwrap();
        let sent = request(&values, "host:1", Timestamp::UNIX_EPOCH, at);
        let metrics = &sent.resource_metrics[0].scope_metrics[0].metrics;
        let told: Vec<(&str, &str)> = metrics.iter().map(|of| (of.name.as_str(), of.unit.as_str())).collect();
        assert_eq!(
            told,
            [
                ("db.client.connection.count", "{connection}"),
                ("pool_tune.pool_utilisation", "1"),
                ("pool_tune.errors", "{attempt}"),
            ]
        );
        let monotonic = |metric: &Metric| match metric.data.as_ref().unwrap() {
            metric::Data::Sum(sum) => Some(sum.is_monotonic),
            _ => None,
        };
        assert_eq!(metrics.iter().map(monotonic).collect::<Vec<_>>(), [Some(false), None, Some(true)]);
        let Some(metric::Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert_eq!(sum.data_points[0].attributes[0].key, "db.client.connection.state");
        assert_eq!(sum.data_points[0].time_unix_nano, 100_000_000_000);
    }
}
