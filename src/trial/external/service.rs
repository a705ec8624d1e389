use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Surroundings,
    client::{self, Client},
    scraped::EVERY,
};
use crate::{
    fault::Reach,
    http,
    model::{
        Acquisition, Apply, ErrorClass, ErrorCount, HttpRequest, Measurement, Service, Settings, Utilisation, Workload,
        figures::time,
    },
    program::{Caller, Leaves, Names},
    scrape::PoolFigures,
    trial::{Control, Details, Load, TrialError, engine, sampler::Mix, served::Served},
};

/// How long one question beside the load may take.
const QUESTION: Duration = Duration::from_secs(5);
/// Between two looks whether a service is ready.
const LOOK: Duration = Duration::from_millis(100);

/// A service that is driven over HTTP. Before each trial the settings are put into effect, and it is waited for.
pub struct ServiceTarget {
    service: Service,
    client: Arc<Client>,
    /// For what is not the load.
    http: reqwest::Client,
    mix: Arc<Mix>,
    around: Surroundings,
    caller: Caller,
    /// Whether it may have other settings than it was found with.
    touched: AtomicBool,
}

/// A service that cannot be driven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// Its URL is none.
    #[error("use the URL `{0}`: {1}; expected one such as http://127.0.0.1:8000")]
    Url(String, String),
    /// A request cannot be sent as it is.
    #[error("make the request `{0}`: {1}")]
    Request(String, String),
    /// The client could not be made.
    #[error("make an HTTP client: {0}")]
    Client(String),
    /// It did not answer.
    #[error("reach the service: {0}")]
    Unreachable(String),
    /// There is no place for files.
    #[error("make a folder for temporary files: {0}")]
    Folder(String),
}

impl ServiceTarget {
    /// A target that asks `service` what `workload` says; `mix` is made of that workload.
    ///
    /// # Errors
    /// [`ServiceError`] when the URL or a request cannot be used.
    pub fn new(service: Service, workload: &Workload, mix: Mix, around: Surroundings) -> Result<Self, ServiceError> {
        let of = |timeout| {
            let made = http::client().no_proxy().timeout(timeout).build();
            made.map_err(|error| ServiceError::Client(http::told(&error)))
        };
        let (http, load) = (of(QUESTION)?, of(service.timeout)?);
        let client = Arc::new(Client::new(&service, workload, load)?);
        let caller = Caller::new(around.prefix.clone(), around.kept.clone());
        let caller = caller.map_err(|error| ServiceError::Folder(error.to_string()))?;
        Ok(Self { service, client, http, mix: Arc::new(mix), around, caller, touched: AtomicBool::new(false) })
    }

    /// Puts the settings into effect, waits until the service is ready, and loads it.
    ///
    /// # Errors
    /// [`TrialError`] when there is no measurement.
    pub(in crate::trial) async fn run(
        &self,
        load: &Load,
        settings: &Settings,
        seed: u64,
        control: &mut Control<'_>,
    ) -> Result<Details, TrialError> {
        self.touched.store(true, Ordering::Relaxed);
        self.apply(settings, (control.trial, seed), &control.cancel).await?;
        self.ready(&control.cancel).await?;
        self.client.pool.reset();
        let scraping = self.scrape();
        let served = Served::Service { client: Arc::clone(&self.client), mix: Arc::clone(&self.mix) };
        // Whoever else uses the processors cannot be told from the service.
        let result = engine::run(load, served, seed, || None, control, &Reach::default()).await;
        drop(scraping);
        result.map(|mut details| {
            let measurement = &mut details.measurement;
            measurement.acquire = Acquisition { total: self.client.pool.acquire(), ..measurement.acquire };
            measurement.utilisation = match self.service.metrics {
                Some(_) => self.client.pool.known(measurement.utilisation),
                None => Utilisation::default(),
            };
            details
        })
    }

    /// Puts the settings in use into effect again.
    pub(in crate::trial) async fn leave(&self, in_use: &Settings) -> Result<(), TrialError> {
        if !self.touched.load(Ordering::Relaxed) {
            return Ok(());
        }
        let cancel = CancellationToken::new();
        self.apply(in_use, (0, 0), &cancel).await?;
        self.ready(&cancel).await
    }

    /// Tells a service that is gone, or requests that it does not know, from a measurement of the settings.
    pub(in crate::trial) fn check(measurement: &Measurement) -> Result<(), TrialError> {
        let requests = measurement.requests;
        let is_broken = |error: &&ErrorCount| matches!(error.class, ErrorClass::Connect | ErrorClass::ConnectionLost);
        let broken: u64 = measurement.errors.iter().filter(is_broken).map(|error| error.count).sum();
        if let Some(first) = measurement.errors.iter().find(is_broken).filter(|_| broken >= requests.failed) {
            return Err(TrialError::Program(first.example.clone()));
        }
        if requests.succeeded + requests.failed == 0 {
            return Err(TrialError::Program("no request ended while measuring".to_owned()));
        }
        match measurement.errors.first().filter(|_| requests.succeeded == 0) {
            // What the service does not know it will not learn by other settings.
            Some(ErrorCount { class: ErrorClass::Query, code: Some(code), example, .. })
                if code.starts_with('4') && code != "429" =>
            {
                Err(TrialError::Workload(example.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the service says that it is ready now.
    pub(in crate::trial) async fn reachable(&self) -> Result<(), String> {
        let path = &self.service.ready.path;
        let asked = HttpRequest { method: "GET".to_owned(), path: path.clone(), ..HttpRequest::default() };
        match client::send_once(&self.http, &self.service.url, &asked, &Names::default()).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("`GET {path}`: the last answer was {}", answer.status())),
            Err(error) => Err(format!("`GET {path}`: failed to {error}")),
        }
    }

    async fn apply(
        &self,
        settings: &Settings,
        (trial, seed): (u32, u64),
        cancel: &CancellationToken,
    ) -> Result<(), TrialError> {
        match &self.service.apply {
            Apply::Call(call) => {
                let ended = self
                    .caller
                    .run(call, settings, &self.around.occasion(trial, seed), Leaves::Running, cancel)
                    .await?;
                ended.failure.map_or(Ok(()), |(_, told)| Err(TrialError::Program(told)))
            }
            Apply::Request(request) => {
                let names = self.around.occasion(trial, seed).names.and(Names::of(settings));
                let all = HttpRequest { body: Names::json(settings).to_string(), ..request.clone() };
                let request = if request.body.is_empty() { &all } else { request };
                let asked = client::send_once(&self.http, &self.service.url, request, &names);
                let answer = tokio::select! {
                    () = cancel.cancelled() => return Err(TrialError::Cancelled),
                    answer = asked => answer,
                };
                let what = format!("{} {}", request.method, request.path);
                let failed = |problem: String| {
                    TrialError::Program(format!("the settings could not be put into effect by `{what}`: {problem}"))
                };
                let answer = answer.map_err(|error| failed(format!("failed to {error}")))?;
                let status = answer.status();
                if status.is_success() {
                    return Ok(());
                }
                let said = answer.text().await.unwrap_or_default();
                let said: String = said.chars().filter(|character| !character.is_control()).take(200).collect();
                Err(failed(format!("it answered {status} {said}")))
            }
        }
    }

    /// Waits until the service says that it is ready.
    async fn ready(&self, cancel: &CancellationToken) -> Result<(), TrialError> {
        let within = self.service.ready.within;
        let started = Instant::now();
        loop {
            let problem = tokio::select! {
                () = cancel.cancelled() => return Err(TrialError::Cancelled),
                ready = self.reachable() => match ready {
                    Ok(()) => return Ok(()),
                    Err(problem) => problem,
                },
            };
            if started.elapsed() >= within {
                return Err(TrialError::Program(format!(
                    "the service was not ready within {}: {problem}",
                    time(within.as_secs_f64())
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the service's metrics now and then, until what it gives is dropped.
    fn scrape(&self) -> Option<JoinSet<()>> {
        let path = self.service.metrics.clone()?;
        let (client, http, base) = (Arc::clone(&self.client), self.http.clone(), self.service.url.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let asked = HttpRequest { method: "GET".to_owned(), path, ..HttpRequest::default() };
            let mut told = false;
            loop {
                if let Err(problem) = read(&http, &base, &asked, &client).await
                    && !told
                {
                    tracing::warn!("the service's metrics at `{}` cannot be read: {problem}", asked.path);
                    told = true;
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Some(tasks)
    }
}

async fn read(http: &reqwest::Client, base: &str, asked: &HttpRequest, client: &Client) -> Result<(), String> {
    let answer = client::send_once(http, base, asked, &Names::default()).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let text = answer.text().await.map_err(|error| http::told(&error))?;
    let figures = PoolFigures::read(&text).map_err(|error| error.to_string())?;
    client.pool.read(figures.ok_or("there is no metric of a pool among them")?);
    Ok(())
}

impl fmt::Debug for ServiceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTarget").field("service", &self.service).finish_non_exhaustive()
    }
}
