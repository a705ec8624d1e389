//! The sources of a monitor, and what it does when one is down.

use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::{Endpoint, EndpointError, PoolReading, Reading, SourceState};
use crate::{
    database::{Observer, Server, UrlError},
    model::{Activity, Dialect},
    scrape::PoolFigures,
};

/// How long a source that is down is left alone at first; twice as long after each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads a database and an application's metrics, with one connection to the one and one request to the other.
#[derive(Debug)]
pub struct Monitor {
    began: Instant,
    database: Option<(Observer, Health)>,
    metrics: Option<(Endpoint, Health)>,
    /// The scrape before, and when it was.
    earlier: Option<(PoolFigures, Instant)>,
}

/// What cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A SQLite file.
    #[error(
        "failed to watch {0}: a SQLite file has no server that knows who uses it; watch the application's pool instead \
         (--metrics)"
    )]
    NoSessions(String),
    /// The database's URL.
    #[error(transparent)]
    Target(#[from] UrlError),
    /// The address of the metrics.
    #[error(transparent)]
    Metrics(#[from] EndpointError),
}

/// Whether a source answers.
#[derive(Debug, Default)]
struct Health {
    problem: Option<String>,
    pause: Duration,
    again: Option<Instant>,
}

impl Health {
    fn is_due(&self) -> bool {
        self.again.is_none_or(|again| Instant::now() >= again)
    }

    fn note<T, E: std::fmt::Display>(&mut self, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => {
                *self = Self::default();
                Some(value)
            }
            Err(error) => {
                self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                self.again = Some(Instant::now() + self.pause);
                self.problem = Some(error.to_string());
                None
            }
        }
    }
}

impl Monitor {
    /// Of a database's URL, the address of an application's metrics, or both.
    ///
    /// # Errors
    /// [`MonitorError`] when one of them cannot be read, or the database is of a kind that cannot be watched.
    pub fn open(target: Option<&SecretString>, metrics: Option<&str>) -> Result<Self, MonitorError> {
        let server = target.map(Server::from_url).transpose()?;
        let endpoint = metrics.map(Endpoint::new).transpose()?;
        Self::new(server, endpoint)
    }

    /// Of a database, an application's metrics, or both.
    ///
    /// # Errors
    /// [`MonitorError`] when the database is of a kind that cannot be watched.
    pub fn new(database: Option<Server>, metrics: Option<Endpoint>) -> Result<Self, MonitorError> {
        if let Some(server) = database.as_ref().filter(|server| server.dialect() == Dialect::Sqlite) {
            return Err(MonitorError::NoSessions(server.to_string()));
        }
        Ok(Self {
            began: Instant::now(),
            database: database.map(|server| (Observer::new(server), Health::default())),
            metrics: metrics.map(|endpoint| (endpoint, Health::default())),
            earlier: None,
        })
    }

    /// Reads every source once. One that is down is left out, and asked again after a pause that grows up to a minute.
    pub async fn read(&mut self) -> Reading {
        let at = self.began.elapsed().as_secs_f64();
        let (database, figures) = tokio::join!(look(self.database.as_mut()), scrape(self.metrics.as_mut()));
        let now = Instant::now();
        let pool = figures.as_ref().map(|figures| {
            let earlier = self.earlier.as_ref();
            PoolReading::of(figures, earlier.map(|(before, then)| (before, (now - *then).as_secs_f64())))
        });
        // What came while the source was down came since the last scrape before that.
        if let Some(figures) = figures {
            self.earlier = Some((figures, now));
        }
        let state = |source: String, health: &Health| SourceState { source, problem: health.problem.clone() };
        let sources = self
            .database
            .iter()
            .map(|(observer, health)| state(observer.server().to_string(), health))
            .chain(self.metrics.iter().map(|(endpoint, health)| state(endpoint.to_string(), health)));
        Reading { at, database, pool, sources: sources.collect() }
    }

    /// Takes leave of the database.
    pub async fn close(&mut self) {
        if let Some((observer, _)) = &mut self.database {
            observer.close().await;
        }
    }
}

async fn look(database: Option<&mut (Observer, Health)>) -> Option<Activity> {
    let (observer, health) = database.filter(|(_, health)| health.is_due())?;
    health.note(observer.look().await)
}

async fn scrape(metrics: Option<&mut (Endpoint, Health)>) -> Option<PoolFigures> {
    let (endpoint, health) = metrics.filter(|(_, health)| health.is_due())?;
    health.note(endpoint.read().await)
}
