use std::time::{Duration, Instant};

use tokio::{task::yield_now, time::sleep};

use super::{Acquired, Failure, Pool, WorkError};
use crate::{database::Connection, policy::is_infrastructure};

/// The times of one attempt, as far as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// How the connection was got; `None` when none was.
    pub acquired: Option<Acquired>,
    /// From having the connection to the end of the work, but for the time that the work waited for a second one.
    pub query: Option<Duration>,
    /// How long the connection was set aside for the request: its validation and the work.
    pub hold: Option<Duration>,
    /// The second connection that the work asked for, where it got one.
    pub second: Option<Second>,
}

/// A second connection that a request had while it held one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// How it was got.
    pub acquired: Acquired,
    /// How long it was set aside for the request.
    pub hold: Duration,
}

/// Told of every attempt of a request. A worker has its own, so nothing need be locked; when an attempt succeeds nothing
/// is allocated for telling.
pub trait Observer {
    /// An attempt has ended; `failure` says why it failed, if it did.
    fn attempted(&mut self, attempt: &Attempt, failure: Option<&Failure>);
}

/// Nobody looks.
impl Observer for () {
    fn attempted(&mut self, _: &Attempt, _: Option<&Failure>) {}
}

/// What a request does with its connection.
///
/// A trait and not a closure, because only so can it be said that the future may move between threads.
pub trait Work {
    /// Does it, from the beginning: it is called once an attempt. A transaction that it begins it has to end, also when
    /// a statement in it fails.
    fn run(&mut self, connection: &mut Connection) -> impl Future<Output = Result<(), WorkError>> + Send;

    /// The second connection that the last run asked for and got; taken, so that each is told once.
    fn second(&mut self) -> Option<Second> {
        None
    }
}

impl Pool {
    /// Runs `work` on a connection; when an attempt fails in a way that may pass ([`Failure::is_retryable`]), tries the
    /// whole of it again, after a delay, up to `retry_attempts` times. Each attempt has to pass the circuit breaker, which
    /// counts failures to get a connection and connections lost, not errors that the server answered a statement with.
    ///
    /// Returns the number of attempts, 1 or more. A request turned away by the circuit breaker lets other tasks run
    /// before it returns, so that a worker that asks again at once starves nobody; it should wait all the same.
    ///
    /// # Errors
    /// The last [`Failure`].
    pub async fn request(&self, work: &mut impl Work, observer: &mut impl Observer) -> Result<u32, Failure> {
        let mut attempt = 1;
        loop {
            let Some(permit) = self.shared.breaker.permit() else {
                let failure = Failure::circuit_open(attempt);
                observer.attempted(&Attempt::default(), Some(&failure));
                yield_now().await;
                return Err(failure);
            };
            let (times, result) = self.attempt(work, attempt).await;
            match &result {
                Err(failure) if is_infrastructure(failure.class) => permit.failed(),
                _ => permit.succeeded(),
            }
            observer.attempted(&times, result.as_ref().err());
            match result {
                Ok(()) => return Ok(attempt),
                Err(failure) if attempt > self.shared.settings.retry_attempts() || !failure.is_retryable() => {
                    return Err(failure);
                }
                Err(_) => {
                    sleep(self.shared.backoff.next(attempt)).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn attempt(&self, work: &mut impl Work, attempt: u32) -> (Attempt, Result<(), Failure>) {
        let mut lease = match self.acquire().await {
            Ok(lease) => lease,
            Err(error) => return (Attempt::default(), Err(Failure::acquiring(error, attempt))),
        };
        let result = lease.run(work).await;
        let mut times = lease.give_back(Instant::now());
        times.second = work.second();
        if let (Some(query), Some(second)) = (&mut times.query, &times.second) {
            *query = query.saturating_sub(second.acquired.total);
        }
        (times, result.map_err(|error| Failure::running(error, attempt)))
    }
}
