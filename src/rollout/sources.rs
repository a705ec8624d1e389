use futures_util::future::join_all;
use secrecy::ExposeSecret;

use super::{Before, Prometheus, Reading, RolloutError, judge, prometheus::Unanswered};
use crate::{
    job::read_secret,
    model::Severity,
    monitor::{Monitor, Readings},
    profile::{RolloutGates, RolloutQuery},
};

/// What the gates are read from.
#[derive(Debug)]
pub(super) struct Sources {
    prometheus: Option<Prometheus>,
    queries: Vec<RolloutQuery>,
    monitor: Option<Monitor>,
    seen: Readings,
}

impl Sources {
    /// Reads where they are; nobody is asked yet.
    pub(super) fn open(gates: &RolloutGates) -> Result<Self, RolloutError> {
        let secret = |source, what| read_secret(source, what);
        let prometheus =
            gates.prometheus.as_ref().map(|source| secret(source, "the address of Prometheus")).transpose()?;
        let prometheus = prometheus.map(|address| Prometheus::new(address.expose_secret())).transpose();
        let prometheus = prometheus.map_err(RolloutError::Input)?;
        let target = gates.target.as_ref().map(|source| secret(source, "the target of `monitor`")).transpose()?;
        let metrics = gates.metrics.as_ref().map(|source| secret(source, "the metrics of `monitor`")).transpose()?;
        let watches = target.is_some() || metrics.is_some();
        let open = || Monitor::open(target.as_ref(), metrics.as_ref().map(ExposeSecret::expose_secret));
        let monitor = watches.then(open).transpose().map_err(RolloutError::input)?;
        Ok(Self { prometheus, queries: gates.queries.clone(), monitor, seen: Readings::default() })
    }

    /// Reads every gate once.
    pub(super) async fn read(&mut self, before: Option<&Before>) -> Reading {
        let prometheus = &self.prometheus;
        let ask = |query: &RolloutQuery| {
            let (query, more_is_worse) = (query.query.clone(), query.bound.more_is_worse());
            async move {
                match prometheus {
                    Some(prometheus) => prometheus.ask(&query, more_is_worse).await,
                    None => Err(Unanswered::Refused("there is nobody to ask".to_owned())),
                }
            }
        };
        let look = async {
            match &mut self.monitor {
                Some(monitor) => Some(monitor.read().await),
                None => None,
            }
        };
        let (answers, seen) = tokio::join!(join_all(self.queries.iter().map(ask)), look);
        let mut reading = judge(&self.queries, answers, before);
        if let Some(seen) = seen {
            for source in &seen.sources {
                let problem = source.problem.as_ref();
                reading.down.extend(problem.map(|problem| format!("the monitor failed to {problem}")));
            }
            let serious = self.seen.take(seen).into_iter().filter(|found| found.severity == Severity::Serious);
            reading.failed.extend(serious.map(|found| format!("{} ({})", found.title, found.evidence.join("; "))));
        }
        reading
    }

    /// Takes leave of the database.
    pub(super) async fn close(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            monitor.close().await;
        }
    }
}
