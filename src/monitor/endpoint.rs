//! An application's metrics over HTTP.

use std::time::Duration;

use reqwest::Url;

use crate::{http, scrape::PoolFigures};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What an answer may be at most; a longer one is not read to its end.
const LARGEST: usize = 32 << 20;

/// Where an application tells of its pool. It shows itself without passwords.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    http: reqwest::Client,
}

/// Why an application's metrics cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The address is none. It is not repeated: it may hold a password.
    #[error("failed to read the address of the metrics: {0}; expected one such as http://127.0.0.1:8080/metrics")]
    Url(String),
    /// No client could be made.
    #[error("failed to make an HTTP client: {0}")]
    Client(String),
    /// Nobody answered.
    #[error("read metrics from {0}: {1}")]
    Unreachable(String, String),
    /// The answer was no success.
    #[error("read metrics from {0}: it answered {1}")]
    Refused(String, String),
    /// The answer holds no metrics, or none of a pool.
    #[error("read metrics from {0}: {1}")]
    Unreadable(String, String),
}

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// [`EndpointError`] when it is none, or not of HTTP.
    pub fn new(address: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(address).map_err(|error| EndpointError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(EndpointError::Url("it does not begin with http:// or https://".to_owned()));
        }
        let built = http::client().timeout(TIMEOUT).build();
        let http = built.map_err(|error| EndpointError::Client(error.to_string()))?;
        Ok(Self { url, http })
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`EndpointError`], by cause.
    pub async fn read(&self) -> Result<PoolFigures, EndpointError> {
        // The address may hold a password.
        let unreachable =
            |error: reqwest::Error| EndpointError::Unreachable(self.to_string(), http::told(&error.without_url()));
        let mut answer = self.http.get(self.url.clone()).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(EndpointError::Refused(self.to_string(), answer.status().to_string()));
        }
        let unreadable = |problem: &str| EndpointError::Unreadable(self.to_string(), problem.to_owned());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(unreadable(&format!("an answer of more than {} MB", LARGEST >> 20)));
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| unreadable("the answer is no text"))?;
        let figures = PoolFigures::read(&text).map_err(|error| unreadable(&error.to_string()))?;
        figures.ok_or_else(|| unreadable("there is no metric of a pool among them"))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = &self.url;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        // What follows a `?` may be a token.
        f.write_str(url.path())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({self})")
    }
}
