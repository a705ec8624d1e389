//! The service: experiments on schedule, one after the other, and what is known of them over HTTP.
//!
//! In: a configuration, a folder of experiments, the store. Out: rounds at their times, an API, a page, metrics, events. It proposes and
//! applies nothing. Rounds run on a thread with a runtime of its own, so that a trial does not stand in one queue with whoever
//! looks (they share the processors all the same); both meet in the `Hub`, which holds what is true now.

mod alerts;
mod api;
mod bus;
mod engine;
mod error;
mod experiments;
mod hub;
mod live;
mod metrics;
mod otlp;
mod page;
mod scheduler;
mod watcher;

use std::{sync::Arc, time::Duration};

use axum::serve::ListenerExt as _;
use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use alerts::webhook;
pub use api::document;
pub use bus::Told;
pub use error::ServiceError;

use crate::{
    job,
    profile::ServiceConfig,
    store::{Store, StoreAt},
};
use hub::Hub;

/// The shortest token that is taken: what is shorter is guessed.
const SHORTEST_TOKEN: usize = 16;
/// Milliseconds for which a client may leave unread what it is sent, or not answer at all: a stream that nobody reads would be
/// kept for ever.
const UNREAD: u32 = 30_000;
/// How long requests that are under way may take when the service ends, and how long each whom it tells something then.
const GRACE: Duration = Duration::from_secs(3);

/// A service that is ready: it holds its results folder and its port.
pub struct Service {
    hub: Arc<Hub>,
    listener: TcpListener,
    exporter: Option<Arc<otlp::Exporter>>,
    _lock: job::FolderLock,
}

impl Service {
    /// Reads the token, holds the folder, opens the store, listens.
    ///
    /// # Errors
    /// [`ServiceError`] when one of them cannot be done, or it would be open to others without a token.
    pub async fn open(config: ServiceConfig, at: &StoreAt) -> Result<Self, ServiceError> {
        let token = config.token.as_ref().map(|source| job::read_secret(source, "the token")).transpose()?;
        check(&config, token.as_ref())?;
        let exporter = config.otlp.as_ref().map(otlp::Exporter::of).transpose()?.map(Arc::new);
        let lock = job::FolderLock::hold_for_service(&config.results)?;
        let store = Store::connect(at).await?;
        let failed = |error: std::io::Error| ServiceError::Bind { bind: config.bind, problem: error.to_string() };
        let listener = TcpListener::bind(config.bind).await.map_err(failed)?;
        let bind = listener.local_addr().map_err(failed)?;
        raise_files();
        let hub = Hub::new(ServiceConfig { bind, ..config }, token, store, Timestamp::now());
        hub.reload();
        let hub = Arc::new(hub);
        for id in hub.store.newest_answers().await? {
            let run = hub.store.run(&id).await?;
            if let (Some(experiment), Some(recommendation)) = (run.intent.experiment, &run.recommendation) {
                let at = run.intent.started_at.parse().unwrap_or(hub.started);
                hub.know(&live::finished(experiment, recommendation), at);
            }
        }
        hub.alert_by(alerts::start(&hub)?);
        Ok(Self { hub, listener, exporter, _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.hub.config.bind
    }

    /// What is wrong with experiments, by file.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let experiments = self.hub.experiments();
        let problem = |known: &experiments::Known| match &known.loaded {
            Ok(loaded) => job::read_target_of(loaded).err().map(|error| error.to_string()),
            Err(error) => Some(error.clone()),
        };
        experiments.iter().filter_map(problem).collect()
    }

    /// The names of the experiments that can be run.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let experiments = self.hub.experiments();
        experiments.iter().filter(|known| known.loaded.is_ok()).map(|known| known.name.clone()).collect()
    }

    /// Serves until it is cancelled. The run that is under way is interrupted then, and goes on at the next start.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot go on.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), ServiceError> {
        let Self { hub, listener, exporter, _lock } = self;
        let engine = engine::start(Arc::clone(&hub))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(scheduler::run(Arc::clone(&hub)));
        watcher::start(&hub, &mut tasks);
        if let Some(exporter) = &exporter {
            tasks.spawn(Arc::clone(exporter).run(Arc::clone(&hub)));
        }
        let stop = CancellationToken::new();
        let (app, stopping) = (api::app(&hub), stop.clone());
        let mut server = JoinSet::new();
        let listener = listener.tap_io(|connection| {
            rustix::net::sockopt::set_tcp_user_timeout(&*connection, UNREAD).ok();
        });
        server.spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>())
                .with_graceful_shutdown(stopping.cancelled_owned())
                .await
        });
        let served = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            () = hub.engine_ended() => Err(ServiceError::Engine),
            ended = server.join_next() => match ended {
                Some(Ok(Err(error))) => Err(ServiceError::Serve(error.to_string())),
                _ => Err(ServiceError::Serve("it ended by itself".to_owned())),
            },
        };
        // Streams end first, so that what is under way can.
        hub.end();
        stop.cancel();
        tasks.shutdown().await;
        tokio::time::timeout(GRACE, server.join_next()).await.ok();
        server.shutdown().await;
        let joined = tokio::task::spawn_blocking(move || engine.join()).await;
        // What the last run had to say is sent before that.
        if let Some(sender) = hub.take_sender() {
            sender.close(GRACE).await;
        }
        if let Some(exporter) = exporter {
            exporter.end(&hub, GRACE).await;
        }
        if joined.is_ok_and(|joined| joined.is_err()) {
            return Err(ServiceError::Engine);
        }
        served
    }
}

/// Raises the limit of open files as far as it goes: streams and load need one each.
fn raise_files() {
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
}

fn check(config: &ServiceConfig, token: Option<&SecretString>) -> Result<(), ServiceError> {
    if let Some(token) = token
        && token.expose_secret().len() < SHORTEST_TOKEN
    {
        return Err(ServiceError::ShortToken(SHORTEST_TOKEN));
    }
    if token.is_none() && !config.bind.ip().is_loopback() {
        return Err(ServiceError::OpenWithoutToken(config.bind));
    }
    Ok(())
}
