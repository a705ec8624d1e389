//! What a worker does: begins a request when it is its turn, runs it through the pool, records it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Load,
    external::Unanswered,
    pacer::{Pacer, Turn},
    recorder::{Shards, Tally},
    sampler::{Operation, Sampler},
    served::Served,
};
use crate::{
    database::{Argument, Connection},
    model::ErrorClass,
    pool::{Attempt, Failure, Observer, Pool, Second, Work, WorkError},
};

/// Pause of a worker after a request that failed for good, in a closed loop. A circuit that is open fails at once; without a
/// pause the workers would take the processors from the database just to fail.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(5);

/// The part of a trial that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    WarmUp,
    Measure,
    Drain,
}

/// What the workers of a trial share.
pub(super) struct Shared {
    pub(super) served: Served,
    pub(super) pacer: Pacer,
    phase: AtomicU8,
    pub(super) tallies: Vec<Tally>,
    pub(super) shards: Shards,
    nested: bool,
    think_time: Option<Duration>,
    seed: u64,
}

impl Shared {
    pub(super) fn new(served: Served, pacer: Pacer, load: &Load, seed: u64) -> Self {
        let n = load.workers as usize;
        let tallies = std::iter::repeat_with(Tally::default).take(n).collect();
        let (phase, shards) = (AtomicU8::new(Phase::WarmUp as u8), Shards::new(n, load.interval.is_some()));
        Self { served, pacer, phase, tallies, shards, nested: load.nested, think_time: load.think_time, seed }
    }

    pub(super) fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Whether what happens now to the request of a turn is part of the measurement: in an open loop if it was due in the
    /// measured part, even if it ends later; in a closed loop if it happens while measuring.
    fn counts(&self, turn: &Turn) -> bool {
        turn.due_in_measure || (!matches!(self.pacer, Pacer::Open(_)) && self.is(Phase::Measure))
    }
}

/// One worker: serves its turns until the trial ends or it is cut off. Gives whether a request was under way then.
pub(super) async fn worker(shared: Arc<Shared>, index: u32, cut_off: oneshot::Receiver<()>) -> bool {
    let under_way = AtomicBool::new(false);
    tokio::select! {
        biased;
        () = work(&shared, index, &under_way) => {}
        // The sender is dropped, never used: either way the worker is cut off.
        _ = cut_off => {}
    }
    under_way.into_inner()
}

async fn work(shared: &Shared, index: u32, under_way: &AtomicBool) {
    let mut sampler = Sampler::new(shared.served.mix(), shared.seed, u64::from(index));
    let mut drawn = Vec::new();
    let open = matches!(shared.pacer, Pacer::Open(_));
    while let Some(turn) = shared.pacer.turn(index).await {
        under_way.store(true, Ordering::Relaxed);
        let operation = sampler.next(&mut drawn);
        let mut observer = Recording { shared, index: index as usize, turn: &turn, operation };
        let (success, attempts) = match &shared.served {
            Served::Pools { pools, .. } => {
                let pool = &pools[index as usize % pools.len()];
                let nested = operation.nested || shared.nested;
                let second_from = nested.then_some(pool);
                let mut request = Request { operation, drawn: &drawn, second_from, second: None };
                match pool.request(&mut request, &mut observer).await {
                    Ok(attempts) => (true, attempts),
                    Err(failure) => (false, failure.attempt),
                }
            }
            Served::Service { client, .. } => {
                let answered = client.ask(operation.place, &drawn).await;
                observer.answered(&answered);
                (answered.is_ok(), 1)
            }
        };
        shared.tallies[index as usize].count(success, attempts);
        if shared.counts(&turn) {
            shared.shards.of(index as usize).request(turn.intended.elapsed(), success, attempts);
        }
        under_way.store(false, Ordering::Relaxed);
        if open {
            continue;
        }
        if !success {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
        if let Some(think_time) = shared.think_time {
            tokio::time::sleep(think_time).await;
        }
    }
}

/// One request, drawn and ready to run.
struct Request<'a> {
    operation: &'a Operation,
    drawn: &'a [Argument<'a>],
    /// The pool that it asks for a second connection, if it does.
    second_from: Option<&'a Pool>,
    /// The one that it got.
    second: Option<Second>,
}

impl Work for Request<'_> {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), WorkError> {
        let Some(pool) = self.second_from else { return self.whole(connection).await };
        let mut second = pool.acquire().await?;
        let result = second.run(&mut OnSecond(self)).await;
        self.second = Some(second.give_back_second());
        result.map_err(|error| match error {
            WorkError::Query(error) => WorkError::Second(error),
            other => other,
        })
    }

    fn second(&mut self) -> Option<Second> {
        self.second.take()
    }
}

/// The statements of a request, on the second connection that it asked for.
struct OnSecond<'a, 'b>(&'a Request<'b>);

impl Work for OnSecond<'_, '_> {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), WorkError> {
        self.0.whole(connection).await
    }
}

impl Request<'_> {
    async fn whole(&self, connection: &mut Connection) -> Result<(), WorkError> {
        if !self.operation.transaction {
            return self.statements(connection).await;
        }
        connection.begin(self.operation.writes).await?;
        let result = self.statements(connection).await;
        match &result {
            Ok(()) => connection.execute_raw("COMMIT").await?,
            Err(error) if error.connection_lost() => {}
            Err(_) => connection.execute_raw("ROLLBACK").await?,
        }
        result
    }

    async fn statements(&self, connection: &mut Connection) -> Result<(), WorkError> {
        for (sql, arguments) in &self.operation.statements {
            match arguments.as_slice() {
                [] => connection.execute(sql.clone(), &[]).await?,
                // The common case needs no list of its own.
                &[only] => connection.execute(sql.clone(), &self.drawn[only..=only]).await?,
                several => {
                    let bound: Vec<_> = several.iter().map(|&position| self.drawn[position]).collect();
                    connection.execute(sql.clone(), &bound).await?;
                }
            }
        }
        Ok(())
    }
}

/// Records the attempts of a request.
struct Recording<'a> {
    shared: &'a Shared,
    index: usize,
    turn: &'a Turn,
    operation: &'a Operation,
}

impl Recording<'_> {
    /// A service has answered, or has not: there is nothing to be seen of its pool from here.
    fn answered(&self, answered: &Result<Duration, Unanswered>) {
        if !self.shared.counts(self.turn) {
            return;
        }
        let recorder = &mut *self.shared.shards.of(self.index);
        match answered {
            Ok(took) => recorder.query.record(*took),
            Err(Unanswered { class, code, message }) => {
                recorder.error(*class, code.as_deref(), &format!("`{}`: {message}", self.operation.name));
            }
        }
    }
}

impl Observer for Recording<'_> {
    fn attempted(&mut self, attempt: &Attempt, failure: Option<&Failure>) {
        if !self.shared.counts(self.turn) {
            return;
        }
        let recorder = &mut *self.shared.shards.of(self.index);
        for acquired in attempt.acquired.iter().chain(attempt.second.iter().map(|second| &second.acquired)) {
            recorder.acquire.record(acquired.total);
            recorder.wait.record(acquired.wait);
            if let Some(open) = acquired.open {
                recorder.open.record(open);
            }
            if let Some(validate) = acquired.validate {
                recorder.validate.record(validate);
            }
        }
        for hold in attempt.hold.into_iter().chain(attempt.second.map(|second| second.hold)) {
            recorder.held(hold);
        }
        match failure {
            None => recorder.query.record(attempt.query.unwrap_or_default()),
            // Whose statement it was is told; the other failures are nobody's.
            Some(failure) if failure.class == ErrorClass::Query => {
                let message = format!("operation `{}`: {}", self.operation.name, failure.message);
                recorder.error(failure.class, failure.code.as_deref(), &message);
            }
            Some(failure) => recorder.error(failure.class, failure.code.as_deref(), &failure.message),
        }
    }
}
