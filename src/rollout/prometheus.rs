use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::http;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What an answer may be at most: a query that needs more is not one for a gate.
const LARGEST: usize = 4 << 20;

/// A Prometheus, or what answers as one does (`/api/v1/query`). It shows itself without passwords.
#[derive(Clone)]
pub struct Prometheus {
    url: Url,
    http: reqwest::Client,
}

/// <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>
#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    value: (f64, String),
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody tells, and may when asked again.
    Down(String),
    /// The question is wrong, and stays so however often it is asked.
    Refused(String),
}

impl Prometheus {
    /// Reads an address; a path before `/api` is kept.
    ///
    /// # Errors
    /// What is wrong with it. It is not repeated: it may hold a password.
    pub fn new(address: &str) -> Result<Self, String> {
        let wrong = |problem: String| {
            format!("failed to read the address of Prometheus: {problem}; expected one such as http://127.0.0.1:9090")
        };
        let mut url = Url::parse(address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("it does not begin with http:// or https://".to_owned()));
        }
        url.set_query(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        let built = http::client().timeout(TIMEOUT).build();
        let http = built.map_err(|error| format!("failed to make an HTTP client: {}", http::told(&error)))?;
        Ok(Self { url, http })
    }

    /// Asks for a value; of several series the worst one counts.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(&self, query: &str, more_is_worse: bool) -> Result<f64, Unanswered> {
        let unreachable = |error: reqwest::Error| {
            Unanswered::Down(format!("failed to ask Prometheus at {self}: {}", http::told(&error.without_url())))
        };
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("query", query);
        let mut answer = self.http.get(url).send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(Unanswered::Down(format!(
                    "Prometheus at {self} answered with more than {} MB; ask for fewer series",
                    LARGEST >> 20
                )));
            }
        }
        let read: Result<Answer, _> = serde_json::from_slice(&bytes);
        match read {
            Ok(Answer { data: Some(data), error: None }) if status.is_success() => worst(data, more_is_worse),
            Ok(Answer { error: Some(error), .. }) if !status.is_server_error() => {
                let problem = format!("Prometheus at {self} does not take the query: {}", short(&error));
                // Other codes tell of what goes by, such as too many series at once.
                let is_wrong = status == reqwest::StatusCode::BAD_REQUEST;
                Err(if is_wrong { Unanswered::Refused(problem) } else { Unanswered::Down(problem) })
            }
            read if status.is_server_error() => {
                let said = read.ok().and_then(|answer| answer.error).unwrap_or_else(|| first_line(&bytes));
                let said = if said.is_empty() { said } else { format!(": {}", short(&said)) };
                Err(Unanswered::Down(format!("Prometheus at {self} answered {status}{said}")))
            }
            _ => Err(Unanswered::Down(format!("what answers at {self} ({status}) is no Prometheus"))),
        }
    }
}

/// What somebody else says, fit for a line.
fn short(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}

/// The first line of an answer that says anything.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn worst(data: Data, more_is_worse: bool) -> Result<f64, Unanswered> {
    let unread = || Unanswered::Down("Prometheus answered with values that are not understood".to_owned());
    let values: Vec<(f64, String)> = match data.kind.as_str() {
        "scalar" => vec![serde_json::from_value(data.result).map_err(|_| unread())?],
        "vector" => {
            let series: Vec<Series> = serde_json::from_value(data.result).map_err(|_| unread())?;
            series.into_iter().map(|series| series.value).collect()
        }
        other => {
            return Err(Unanswered::Refused(format!(
                "the query gives a {other}, and a gate needs one value a series: take the range `[…]` away"
            )));
        }
    };
    let values = values.iter().map(|(_, value)| value.parse::<f64>().map_err(|_| unread()));
    let values: Vec<f64> = values.collect::<Result<_, _>>()?;
    // Nobody knows of one without a value whether it is the worst.
    if values.iter().any(|value| value.is_nan()) {
        return Ok(f64::NAN);
    }
    let worst = values.into_iter().reduce(if more_is_worse { f64::max } else { f64::min });
    worst.ok_or_else(|| {
        Unanswered::Down("there is no series; see that the names in the query are those of your metrics".to_owned())
    })
}

impl std::fmt::Display for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        match self.url.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prometheus({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_series_the_worst_counts_and_one_without_a_value_hides_it() {
        let vector = |values: &[&str]| {
            let series = values.iter().map(|value| serde_json::json!({"metric": {}, "value": [1.5, value]}));
            Data { kind: "vector".to_owned(), result: series.collect() }
        };
        assert_eq!(worst(vector(&["0.9", "0.5"]), true), Ok(0.9));
        assert_eq!(worst(vector(&["0.9", "0.5"]), false), Ok(0.5));
        assert_eq!(worst(vector(&["+Inf", "0.5"]), true), Ok(f64::INFINITY));
        assert!(worst(vector(&["0.9", "NaN"]), true).unwrap().is_nan());
        let none = worst(vector(&[]), true);
        assert!(matches!(&none, Err(Unanswered::Down(told)) if told.contains("no series")), "{none:?}");
        let scalar = Data { kind: "scalar".to_owned(), result: serde_json::json!([1, "3"]) };
        assert_eq!(worst(scalar, true), Ok(3.0));
        let matrix = Data { kind: "matrix".to_owned(), result: serde_json::json!([]) };
        let range = worst(matrix, true);
        assert!(matches!(&range, Err(Unanswered::Refused(told)) if told.contains("matrix")), "{range:?}");
    }

    #[test]
    fn an_address_is_shown_without_its_password_and_keeps_its_path() {
        let prometheus = Prometheus::new("http://me:hunter2@metrics.example:9090/prom/?token=hunter2").unwrap();
        assert_eq!(prometheus.to_string(), "http://metrics.example:9090");
        assert_eq!(prometheus.url.path(), "/prom/api/v1/query");
        assert!(!Prometheus::new("ftp://me:hunter2@x").unwrap_err().contains("hunter2"));
    }
}
