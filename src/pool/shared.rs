use std::time::{Duration, Instant};

use deadpool::managed::{self, PoolError, QueueMode, TimeoutType, Timeouts};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{timeout, timeout_at},
};

use super::{
    AcquireError,
    backoff::Backoff,
    breaker::Breaker,
    gauges::{Closed, Gauges},
    slot::{Kept, Place, Slots},
};
use crate::{
    database::{Connection, QueryError, Server},
    model::{ErrorClass, Settings},
};

/// Ask for a slot, but do not wait for one.
const NO_WAIT: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

/// What requests and keeper share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slots: managed::Pool<Slots>,
    pub(super) server: Server,
    pub(super) settings: Settings,
    pub(super) gauges: Gauges,
    pub(super) breaker: Breaker,
    /// Connections that are to be closed politely, for the keeper; dropped when there is none.
    retired: UnboundedSender<Connection>,
    connection_timeout: Duration,
    connection_lifetime: Duration,
    validation_query: Option<SqlStr>,
    validation_timeout: Duration,
    pub(super) backoff: Backoff,
}

impl Shared {
    pub(super) fn new(server: Server, settings: Settings, seed: u64, retired: UnboundedSender<Connection>) -> Self {
        let slots = managed::Pool::builder(Slots)
            .max_size(usize::try_from(settings.max_connections()).unwrap_or(usize::MAX))
            .queue_mode(QueueMode::Lifo)
            .build()
            .unwrap_or_else(|error| unreachable!("no timeout is set that would need a runtime: {error}"));
        Self {
            slots,
            server,
            gauges: Gauges::default(),
            breaker: Breaker::new(&settings),
            retired,
            connection_timeout: settings.connection_timeout(),
            connection_lifetime: settings.connection_lifetime(),
            validation_query: settings.validation_query().map(|sql| AssertSqlSafe(sql).into_sql_str()),
            validation_timeout: settings.validation_timeout(),
            backoff: Backoff::new(&settings, seed),
            settings,
        }
    }

    /// When an acquisition that starts now has to be given up.
    pub(super) fn deadline(&self, started: Instant) -> Instant {
        started + self.connection_timeout
    }

    /// A slot, after all who asked before.
    pub(super) async fn place(&self, deadline: Instant) -> Result<Place, AcquireError> {
        if let Some(place) = self.free_place().await? {
            return Ok(place);
        }
        let _waiting = self.gauges.wait();
        match timeout_at(deadline.into(), self.slots.get()).await {
            Ok(Ok(object)) => Ok(Place::new(object)),
            Ok(Err(_)) => Err(AcquireError::closed()),
            Err(_) => Err(AcquireError::timeout(ErrorClass::AcquireTimeoutWaiting)),
        }
    }

    /// A slot, if one is free at once: an idle connection's if there is one, or else a vacant one.
    pub(super) async fn free_place(&self) -> Result<Option<Place>, AcquireError> {
        match self.slots.timeout_get(&NO_WAIT).await {
            Ok(object) => Ok(Some(Place::new(object))),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Ok(None),
            Err(_) => Err(AcquireError::closed()),
        }
    }

    /// Another slot in exchange for one whose connection was found dead; the same, vacant, when no other is free. So
    /// nobody who waits comes first.
    pub(super) async fn exchange(&self, place: Place) -> Place {
        self.free_place().await.ok().flatten().unwrap_or(place)
    }

    /// Opens a connection.
    pub(super) async fn open(&self, deadline: Instant) -> Result<Kept, AcquireError> {
        match timeout_at(deadline.into(), self.server.connect()).await {
            Ok(Ok(connection)) => {
                self.gauges.opened();
                Ok(Kept::new(connection, Instant::now()))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(AcquireError::timeout(ErrorClass::AcquireTimeoutOpening)),
        }
    }

    /// Whether connections are validated before they are handed out.
    pub(super) fn validates(&self) -> bool {
        self.validation_query.is_some()
    }

    /// Validates a connection, within `validation_timeout` and the deadline. Without a validation query it sees whether
    /// the server answers at all.
    pub(super) async fn validate(
        &self,
        connection: &mut Connection,
        deadline: Option<Instant>,
    ) -> Result<(), Option<QueryError>> {
        let limit = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let answer = timeout(limit.min(self.validation_timeout), async {
            match &self.validation_query {
                Some(sql) => connection.execute(sql.clone(), &[]).await,
                None => connection.ping().await,
            }
        });
        match answer.await {
            Ok(result) => result.map_err(Some),
            Err(_) => Err(None),
        }
    }

    /// Whether a connection has outlived `connection_lifetime`.
    pub(super) fn is_expired(&self, kept: &Kept, now: Instant) -> bool {
        kept.is_older_than(self.connection_lifetime, now)
    }

    /// Closes a connection that still works.
    pub(super) fn retire(&self, kept: Kept, why: Closed) {
        self.gauges.closed(why);
        // Without a keeper the connection comes back in the error, and dropping it closes it as well.
        drop(self.retired.send(kept.connection));
    }

    /// Closes a connection that does not.
    pub(super) fn bury(&self, kept: Kept) {
        drop(kept);
        self.gauges.closed(Closed::Broken);
    }
}
