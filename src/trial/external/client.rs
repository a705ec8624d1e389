//! The HTTP client of a service's load.

use std::time::{Duration, Instant};

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{ServiceError, scraped::Scraped};
use crate::{
    database::Argument,
    http::told,
    model::{ErrorClass, HttpRequest, Service, Workload},
    program::Names,
};

/// What an answer may be at most; a service that sends more is not read to its end.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Asks a service, and knows what it tells of its pool.
pub(in crate::trial) struct Client {
    http: reqwest::Client,
    base: Url,
    requests: Vec<Ready>,
    success: Vec<std::ops::RangeInclusive<u16>>,
    pub(in crate::trial) pool: Scraped,
}

/// A request, ready but for what is drawn anew each time.
struct Ready {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
    parameters: Vec<String>,
}

/// Why there is no good answer.
pub(in crate::trial) struct Unanswered {
    pub(in crate::trial) class: ErrorClass,
    pub(in crate::trial) code: Option<String>,
    pub(in crate::trial) message: String,
}

impl Client {
    pub(super) fn new(service: &Service, workload: &Workload, http: reqwest::Client) -> Result<Self, ServiceError> {
        let base =
            Url::parse(&service.url).map_err(|error| ServiceError::Url(service.url.clone(), error.to_string()))?;
        let parameters = workload
            .operations
            .iter()
            .map(|operation| operation.parameters.iter().map(|parameter| parameter.name.clone()).collect());
        let requests = service.requests.iter().zip(parameters);
        let requests =
            requests.map(|(request, parameters)| Ready::new(request, parameters)).collect::<Result<_, _>>()?;
        Ok(Self { http, base, requests, success: service.success.clone(), pool: Scraped::default() })
    }

    /// Asks once; how long the whole answer took.
    pub(in crate::trial) async fn ask(&self, place: usize, drawn: &[Argument<'_>]) -> Result<Duration, Unanswered> {
        let request = &self.requests[place];
        let names = request.parameters.iter().zip(drawn).fold(Names::default(), |names, (name, value)| {
            let text = match value {
                Argument::Integer(number) => number.to_string(),
                Argument::Real(number) => number.to_string(),
                Argument::Text(text) => (*text).to_owned(),
            };
            names.with(name, text)
        });
        let started = Instant::now();
        let mut response = self.send(request, &names).await.map_err(|error| Unanswered::of(&error))?;
        let status = response.status();
        let mut bytes = 0;
        // An answer counts when it is whole.
        while let Some(chunk) = response.chunk().await.map_err(|error| Unanswered::of(&error))? {
            bytes += chunk.len() as u64;
            if bytes > LARGEST_ANSWER {
                let message = format!("an answer of more than {} MB", LARGEST_ANSWER >> 20);
                return Err(Unanswered { class: ErrorClass::Query, code: None, message });
            }
        }
        if self.success.iter().any(|codes| codes.contains(&status.as_u16())) {
            return Ok(started.elapsed());
        }
        let code = Some(status.as_u16().to_string());
        Err(Unanswered { class: ErrorClass::Query, code, message: format!("answered {status}") })
    }

    async fn send(&self, request: &Ready, names: &Names) -> Result<reqwest::Response, reqwest::Error> {
        send(&self.http, &self.base, request, names).await
    }
}

async fn send(
    http: &reqwest::Client,
    base: &Url,
    request: &Ready,
    names: &Names,
) -> Result<reqwest::Response, reqwest::Error> {
    let path = names.fill_as(&request.path, encoded);
    let url = format!("{}{path}", base.as_str().trim_end_matches('/'));
    let mut asked = http.request(request.method.clone(), url).headers(request.headers.clone());
    if !request.body.is_empty() {
        asked = asked.body(names.fill_as(&request.body, escaped));
    }
    asked.send().await
}

/// Sends one request that is not part of the load.
pub(super) async fn send_once(
    http: &reqwest::Client,
    base: &str,
    request: &HttpRequest,
    names: &Names,
) -> Result<reqwest::Response, ServiceError> {
    let ready = Ready::new(request, Vec::new())?;
    let base = Url::parse(base).map_err(|error| ServiceError::Url(base.to_owned(), error.to_string()))?;
    send(http, &base, &ready, names).await.map_err(|error| ServiceError::Unreachable(told(&error)))
}

impl Ready {
    fn new(request: &HttpRequest, parameters: Vec<String>) -> Result<Self, ServiceError> {
        let wrong = |what: String| ServiceError::Request(format!("{} {}", request.method, request.path), what);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| wrong(format!("`{}` is no method of HTTP", request.method)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let value = from_environment(value).map_err(&wrong)?;
            let bad = || wrong(format!("`{name}` is no header that can be sent"));
            let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
        }
        if !request.body.is_empty() && !headers.contains_key("content-type") {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        Ok(Self { method, path: request.path.clone(), headers, body: request.body.clone(), parameters })
    }
}

/// `Bearer ${TOKEN}` with what the environment holds: secrets stand in no profile.
fn from_environment(text: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, left)) = after.split_once('}') else { return Err("a `${` has no `}`".to_owned()) };
        let value = std::env::var(name).map_err(|_| format!("the environment has no `{name}`: set it"))?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = left;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A value as it stands in a path or a query.
fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A value as it stands in a text of JSON.
fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

impl Unanswered {
    fn of(error: &reqwest::Error) -> Self {
        let message = told(error);
        if error.is_timeout() {
            return Self { class: ErrorClass::Query, code: Some("timeout".to_owned()), message };
        }
        let class = if error.is_connect() { ErrorClass::Connect } else { ErrorClass::ConnectionLost };
        Self { class, code: None, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_their_place_needs_it() {
        let names = Names::default().with("name", "a b/\"ü\"".to_owned());
        assert_eq!(names.fill_as("/x?n={name}", encoded), "/x?n=a%20b%2F%22%C3%BC%22");
        assert_eq!(names.fill_as(r#"{"n": "{name}"}"#, escaped), r#"{"n": "a b/\"ü\""}"#);
    }

    #[test]
    fn secrets_come_from_the_environment() {
        assert_eq!(from_environment("plain $x {y}").as_deref(), Ok("plain $x {y}"));
        assert!(from_environment("Bearer ${POOL_TUNE_NO_SUCH_NAME}").unwrap_err().contains("POOL_TUNE_NO_SUCH_NAME"));
        assert!(from_environment("${x").is_err());
        assert!(!from_environment("Bearer ${PATH}").unwrap().contains("${"));
    }
}
