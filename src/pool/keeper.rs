use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    select,
    sync::{mpsc::UnboundedReceiver, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    AcquireError,
    gauges::Closed,
    shared::Shared,
    slot::{Content, Kept, Place},
};
use crate::database::Connection;

/// How long saying goodbye to the server may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Works in the background: closes idle connections by age and idleness, validates them, keeps `min_connections` open.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Tells the task to end; it ends within [`GOODBYE`].
    stop: CancellationToken,
    /// The task, once started. Dropping the set aborts it.
    tasks: Mutex<JoinSet<()>>,
    /// What the task will close, until it is started.
    to_close: Mutex<Option<UnboundedReceiver<Connection>>>,
}

impl Keeper {
    pub(super) fn new(to_close: UnboundedReceiver<Connection>) -> Self {
        Self { stop: CancellationToken::new(), tasks: Mutex::new(JoinSet::new()), to_close: Mutex::new(Some(to_close)) }
    }

    pub(super) async fn fill(&self, shared: &Arc<Shared>) -> Result<(), AcquireError> {
        shared.refill().await
    }

    /// Starts the task, once.
    pub(super) fn start(&self, shared: &Arc<Shared>) {
        if let Some(to_close) = lock(&self.to_close).take() {
            let (shared, stop) = (Arc::clone(shared), self.stop.clone());
            lock(&self.tasks).spawn(async move {
                stop.run_until_cancelled(keep(shared, to_close)).await;
            });
        }
    }

    pub(super) async fn close(&self, shared: &Arc<Shared>) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let mut idle = Vec::new();
        shared.slots.retain(|slot, _| {
            if let Content::Idle(kept) = std::mem::take(&mut *slot.lock()) {
                shared.gauges.closed(Closed::Pool);
                idle.push(kept.connection);
            }
            false
        });
        shared.slots.close();
        let goodbye = timeout(GOODBYE, async {
            while tasks.join_next().await.is_some() {}
            say_goodbye(idle).await;
        });
        drop(goodbye.await);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes connections, telling the server. One that cannot be told is closed all the same.
async fn say_goodbye(connections: Vec<Connection>) {
    for connection in connections {
        drop(timeout(GOODBYE, connection.close()).await);
    }
}

/// The keeper's task; ends only by being cancelled.
async fn keep(shared: Arc<Shared>, mut to_close: UnboundedReceiver<Connection>) {
    let check_interval = shared.settings.health_check_interval();
    let shortest = shared.settings.idle_timeout().min(shared.settings.connection_lifetime()).min(check_interval);
    let mut tick = interval((shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut checked = Instant::now();
    loop {
        select! {
            Some(connection) = to_close.recv() => say_goodbye(vec![connection]).await,
            _ = tick.tick() => {
                say_goodbye(shared.reap(Instant::now())).await;
                if checked.elapsed() >= check_interval {
                    shared.check_idle().await;
                    checked = Instant::now();
                }
                // What cannot be opened now is tried again at the next tick; requests tell of the cause.
                drop(shared.refill().await);
            }
        }
    }
}

impl Shared {
    /// Takes out of the pool what is idle and too old, or idle for too long and above `min_connections`.
    fn reap(&self, now: Instant) -> Vec<Connection> {
        let mut above = self.gauges.total().saturating_sub(self.settings.min_connections());
        let idle_timeout = self.settings.idle_timeout();
        let mut reaped = Vec::new();
        // Slots lie in the order of their last use, the coldest first.
        self.slots.retain(|slot, _| {
            let mut content = slot.lock();
            settle(&mut content);
            let why = match &*content {
                Content::Idle(kept) if self.is_expired(kept, now) => Closed::Lifetime,
                Content::Idle(kept) if above > 0 && kept.is_idle_for(idle_timeout, now) => Closed::Idle,
                Content::Vacant => return false,
                Content::Idle(_) | Content::Checking(_) => return true,
            };
            above = above.saturating_sub(1);
            if let Content::Idle(kept) = std::mem::take(&mut *content) {
                self.gauges.closed(why);
                reaped.push(kept.connection);
            }
            false
        });
        reaped
    }

    /// Validates every idle connection, all at once, and drops those that are dead. The slots stay where they are; a
    /// request that needs one meanwhile waits for the verdict.
    async fn check_idle(self: &Arc<Self>) {
        let mut due = Vec::new();
        self.slots.retain(|slot, _| {
            let mut content = slot.lock();
            if let Content::Idle(_) = &*content {
                let (back, receiver) = oneshot::channel();
                if let Content::Idle(kept) = std::mem::replace(&mut *content, Content::Checking(receiver)) {
                    due.push((kept, back));
                }
            }
            true
        });
        let mut checks = JoinSet::new();
        for (kept, back) in due {
            checks.spawn(Arc::clone(self).check(kept, back));
        }
        while checks.join_next().await.is_some() {}
        self.slots.retain(|slot, _| {
            let mut content = slot.lock();
            settle(&mut content);
            !matches!(*content, Content::Vacant)
        });
    }

    async fn check(self: Arc<Self>, mut kept: Kept, back: oneshot::Sender<Kept>) {
        match self.validate(&mut kept.connection, None).await {
            Ok(()) => {
                // Whoever waited for it may have given up, and its slot is gone.
                if let Err(unwanted) = back.send(kept) {
                    self.retire(unwanted, Closed::Broken);
                }
            }
            Err(_) => self.bury(kept),
        }
    }

    /// Opens connections, all at once, until there are `min_connections`.
    async fn refill(self: &Arc<Self>) -> Result<(), AcquireError> {
        let missing = self.settings.min_connections().saturating_sub(self.gauges.total());
        if missing == 0 {
            return Ok(());
        }
        let mut openings = JoinSet::new();
        for place in self.vacant_places(missing).await {
            openings.spawn(Arc::clone(self).open_into(place));
        }
        let mut result = Ok(());
        while let Some(opened) = openings.join_next().await {
            result = result.and(opened.unwrap_or(Ok(())));
        }
        result
    }

    async fn open_into(self: Arc<Self>, place: Place) -> Result<(), AcquireError> {
        let kept = self.open(self.deadline(Instant::now())).await?;
        place.give_back(Content::Idle(kept));
        Ok(())
    }

    /// Up to `count` vacant slots. deadpool makes a vacant one only while none is idle, so the idle ones are taken out
    /// for that moment, without waiting for anything, and put back in their order.
    async fn vacant_places(&self, count: u32) -> Vec<Place> {
        let (mut idle, mut vacant) = (Vec::new(), Vec::new());
        for _ in 0..self.settings.max_connections() {
            if vacant.len() >= usize::try_from(count).unwrap_or(usize::MAX) {
                break;
            }
            let Ok(Some(mut place)) = self.free_place().await else { break };
            match place.take() {
                Content::Vacant => vacant.push(place),
                content => idle.push((place, content)),
            }
        }
        for (place, content) in idle.into_iter().rev() {
            place.give_back(content);
        }
        vacant
    }
}

/// Replaces a check that has ended by its outcome.
fn settle(content: &mut Content) {
    if let Content::Checking(back) = content {
        match back.try_recv() {
            Ok(kept) => *content = Content::Idle(kept),
            Err(oneshot::error::TryRecvError::Closed) => *content = Content::Vacant,
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
    }
}
