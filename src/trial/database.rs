use std::{fmt, sync::Arc, time::Instant};

use futures_util::future::{join_all, try_join_all};

use super::{Control, Details, Load, Mix, TrialError, engine, served::Served};
use crate::{
    database::{Server, UrlError},
    fault::Reach,
    model::{Dialect, ErrorClass, FaultPlace, Latency, Measurement, Settings},
    pool::Pool,
    stats,
};

/// Connections that a probe opens in all, about, and how often it opens them at least.
const PROBED: u32 = 12;
const FEWEST_ROUNDS: u32 = 3;

/// The processor time that the database has used so far, in seconds.
type DatabaseCpu = Box<dyn Fn() -> Option<f64> + Send + Sync>;

/// A pool under test on a real database.
pub struct DatabaseTarget {
    server: Server,
    /// The same, through the proxy that disturbs the network, where there is one.
    disturbed: Option<Server>,
    reach: Reach,
    mix: Arc<Mix>,
    database_cpu: DatabaseCpu,
    instances: u32,
}

impl DatabaseTarget {
    /// Loads `server` with requests drawn from `mix`. `database_cpu` tells the processor time that the database has
    /// used so far, in seconds, or `None` where that cannot be known.
    #[must_use]
    pub fn new(server: Server, mix: Mix, database_cpu: impl Fn() -> Option<f64> + Send + Sync + 'static) -> Self {
        Self {
            server,
            disturbed: None,
            reach: Reach::default(),
            mix: Arc::new(mix),
            database_cpu: Box::new(database_cpu),
            instances: 1,
        }
    }

    /// Has so many pools share the server, and the load spread over them evenly.
    #[must_use]
    pub fn with_instances(self, instances: u32) -> Self {
        Self { instances: instances.max(1), ..self }
    }

    /// Runs one trial with pools of its own, opened before and closed after it.
    ///
    /// # Errors
    /// [`TrialError`] when there is no measurement.
    pub(super) async fn run(
        &self,
        load: &Load,
        settings: &Settings,
        seed: u64,
        control: &mut Control<'_>,
    ) -> Result<Details, TrialError> {
        let through_network = load.faults.iter().any(|fault| fault.kind.place() == FaultPlace::Network);
        let server = self.disturbed.as_ref().filter(|_| through_network).unwrap_or(&self.server);
        // Each instance has a seed of its own: pools whose retries had the same jitter would come back together.
        let pools: Vec<Pool> = (0..self.instances)
            .map(|i| Pool::new(server.clone(), settings, seed.wrapping_add(u64::from(i) << 32)))
            .collect();
        let opened = tokio::select! {
            () = control.cancel.cancelled() => return Err(TrialError::Cancelled),
            opened = try_join_all(pools.iter().map(Pool::open)) => opened,
        };
        if let Err(error) = opened {
            close(&pools).await;
            // Too few free connections is an answer about the settings, if the server is otherwise well.
            self.reachable().await.map_err(TrialError::Infrastructure)?;
            return Err(TrialError::Infrastructure(error.to_string()));
        }
        let served = Served::Pools { pools: pools.clone(), mix: Arc::clone(&self.mix) };
        let result = engine::run(load, served, seed, &self.database_cpu, control, &self.reach).await;
        close(&pools).await;
        result.map(|mut details| {
            // An embedded database runs in this very process: its work cannot be told from the load's.
            let cpu = &mut details.measurement.cpu;
            cpu.generator_limited &= self.server.dialect() != Dialect::Sqlite;
            details
        })
    }

    /// What each of some connections took that were opened at once.
    pub(super) async fn connecting(&self, at_once: u32) -> Result<Latency, TrialError> {
        let failed = |error: String| TrialError::Infrastructure(error);
        let mut times = Vec::new();
        for _ in 0..(PROBED / at_once.max(1)).clamp(FEWEST_ROUNDS, PROBED) {
            let mut opening = tokio::task::JoinSet::new();
            for _ in 0..at_once {
                let server = self.server.clone();
                opening.spawn(async move {
                    let started = Instant::now();
                    let connection = server.connect().await?;
                    Ok::<_, crate::database::ConnectError>((started.elapsed(), connection))
                });
            }
            for opened in opening.join_all().await {
                let (took, connection) = opened.map_err(|error| failed(error.to_string()))?;
                times.push(took.as_secs_f64());
                connection.close().await.map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(latency(&times))
    }

    /// Lets faults touch what `reach` has.
    pub(super) fn allow_faults(&mut self, reach: Reach) -> Result<(), UrlError> {
        self.disturbed = reach.proxy.as_ref().map(|proxy| self.server.via(proxy.address())).transpose()?;
        self.reach = reach;
        Ok(())
    }

    /// The server that is loaded.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Tells a failed database, or a workload that cannot run, from a measurement of the settings.
    pub(super) async fn check(&self, measurement: &Measurement) -> Result<(), TrialError> {
        let count = |classes: &[ErrorClass]| {
            measurement.errors.iter().filter(|error| classes.contains(&error.class)).map(|error| error.count).sum()
        };
        let served_nothing = measurement.requests.succeeded == 0;
        let broken: u64 = count(&[ErrorClass::Connect, ErrorClass::ConnectionLost]);
        if served_nothing || broken > 0 {
            self.reachable().await.map_err(TrialError::Infrastructure)?;
        }
        let example = measurement.errors.first().map_or("no request ended", |error| &error.example);
        let query: u64 = count(&[ErrorClass::Query]);
        if served_nothing && query > 0 && query >= measurement.requests.failed {
            return Err(TrialError::Workload(example.to_owned()));
        }
        if served_nothing && measurement.requests.failed == 0 {
            return Err(TrialError::Infrastructure(format!(
                "no request ended within {:.1} s",
                measurement.warm_up.seconds + measurement.seconds
            )));
        }
        if broken > 0 && broken >= measurement.requests.failed.max(1) {
            return Err(TrialError::Infrastructure(example.to_owned()));
        }
        Ok(())
    }

    /// Whether a connection can be opened and answers.
    pub(super) async fn reachable(&self) -> Result<(), String> {
        let attempt = async {
            let mut connection = self.server.connect().await.map_err(|error| error.to_string())?;
            connection.execute_raw("SELECT 1").await.map_err(|error| error.to_string())?;
            connection.close().await.map_err(|error| error.to_string())
        };
        let limit = std::time::Duration::from_secs(5);
        tokio::time::timeout(limit, attempt)
            .await
            .unwrap_or_else(|_| Err(format!("{} does not answer within {} s", self.server, limit.as_secs())))
    }
}

/// Closes pools, all at once: each takes a second at most.
async fn close(pools: &[Pool]) {
    join_all(pools.iter().map(Pool::close)).await;
}

/// Times, in seconds, as a distribution.
fn latency(times: &[f64]) -> Latency {
    let at = |share: f64| stats::quantile(times, share).unwrap_or_default();
    Latency {
        count: times.len() as u64,
        mean: if times.is_empty() { 0.0 } else { stats::mean(times) },
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
    }
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseTarget").field("server", &self.server).finish_non_exhaustive()
    }
}
