//! Who is at work on what, where several programs on several machines use one store.
//!
//! Each thing that is held is an advisory lock of a session of its own, so that whoever dies lets go of it, however it dies. In
//! a file nothing is held: there the lock on the results folder says that nobody else is at work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{RunStatus, Store, StoreAt, StoreError, postgres};
use crate::database::Server;

/// How often a lock's connection is looked after. A server that was restarted has forgotten its locks.
const LOOK: Duration = Duration::from_secs(5);
/// How long the server may take to answer such a look.
const ANSWER: Duration = Duration::from_secs(10);
/// Whoever looks for the dead holds their lock for an instant, and a session that ended may still be going: it is tried so often.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Whether this session holds the lock, and whether any does: a key of 64 bits is shown in two halves.
pub(super) const LOCKS: &str = "SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = $1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// What one program at a time may be at work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// A run that is being executed.
    Run(&'a str),
    /// A round of the experiment of this name: one at a time.
    Round(&'a str),
    /// A target that is being loaded, by a key that is the same on every machine.
    Target(&'a str),
    /// The rollout of this name.
    Rollout(&'a str),
}

/// Something that is held, until this is let go or dropped, or this process dies.
#[derive(Debug)]
pub struct Hold {
    kept: Option<Kept>,
}

/// A lock on a server, and the task that looks after its connection.
#[derive(Debug)]
struct Kept {
    keeper: JoinSet<()>,
    let_go: CancellationToken,
    /// Whether somebody else took it while the connection was lost.
    taken: Arc<AtomicBool>,
}

impl Task<'_> {
    /// The lock's key in the store's database.
    fn key(self) -> i64 {
        match self {
            Self::Run(run) => key(&format!("run {run}")),
            Self::Round(experiment) => key(&format!("round {experiment}")),
            Self::Target(target) => key(&format!("target {target}")),
            Self::Rollout(name) => key(&format!("rollout {name}")),
        }
    }
}

/// The key of an advisory lock; other programs that use the database have keys of their own.
pub(super) fn key(text: &str) -> i64 {
    stable_hash(&format!("pool-tune {text}")).cast_signed()
}

/// FNV-1a, 64 bits: the same in every version of the program, and on every machine.
#[must_use]
pub fn stable_hash(text: &str) -> u64 {
    let next = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, next)
}

impl Store {
    /// Holds something, if nobody else does. In a file this always succeeds: the lock on the results folder keeps others out.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be asked.
    pub async fn hold(&self, task: Task<'_>) -> Result<Option<Hold>, StoreError> {
        let StoreAt::Server(server) = &self.at else { return Ok(Some(Hold { kept: None })) };
        let key = task.key();
        let begun = Instant::now();
        let session = loop {
            match session_with_lock(server, key, TRIES).await {
                // Between two runs of a night as well as in the middle of one.
                Err(error) if error.is_lost() && begun.elapsed() < self.patience => tokio::time::sleep(LOOK).await,
                session => break session?,
            }
        };
        let Some(connection) = session else { return Ok(None) };
        let (let_go, taken) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let mut keeper = JoinSet::new();
        keeper.spawn(keep((**server).clone(), key, connection, let_go.clone(), Arc::clone(&taken)));
        Ok(Some(Hold { kept: Some(Kept { keeper, let_go, taken }) }))
    }

    /// Whether somebody holds something. `None` in a file, where the lock on the results folder says so.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be asked.
    pub async fn is_held(&self, task: Task<'_>) -> Result<Option<bool>, StoreError> {
        if !self.at.is_shared() {
            return Ok(None);
        }
        let operation = "ask who is at work";
        let rows = self.query(operation, LOCKS).bind(task.key()).run().await?.rows;
        let held: i64 = rows.first().map_or(Ok(0), |row| self.column(operation, row, "count"))?;
        Ok(Some(held > 0))
    }

    /// Who holds something, as far as the server tells: where from and since when.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be asked.
    pub async fn holder(&self, task: Task<'_>) -> Result<Option<String>, StoreError> {
        const HOLDER: &str = "SELECT coalesce(host(client_addr), 'the server''s own machine') || ', since '
                || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' AS holder
            FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = $1
              AND database = datid AND datname = current_database() AND backend_start IS NOT NULL";
        if !self.at.is_shared() {
            return Ok(None);
        }
        let operation = "ask who is at work";
        let rows = self.query(operation, HOLDER).bind(task.key()).run().await?.rows;
        rows.first().map_or(Ok(None), |row| self.column(operation, row, "holder"))
    }

    /// Marks runs and rounds that are told to be under way as interrupted, if nobody is at work on them. In a file that is every one:
    /// for whoever holds the results folder, and so knows that nobody else is.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn bury_the_dead(&self) -> Result<(), StoreError> {
        let operation = "store a run's status";
        let (interrupted, running) = (RunStatus::Interrupted.name(), RunStatus::Running.name());
        if !self.at.is_shared() {
            for table in ["runs", "rounds"] {
                let update = format!("UPDATE {table} SET status = $1 WHERE status = $2");
                self.query(operation, update).bind(interrupted).bind(running).run().await?;
            }
            return Ok(());
        }
        // The lock is held until the row is written, so that nobody goes on with a run in between.
        let free = "status = $2 AND pg_try_advisory_xact_lock($3)";
        for row in self.query(operation, "SELECT id FROM runs WHERE status = $1").bind(running).run().await?.rows {
            let run: String = self.column(operation, &row, "id")?;
            let update = format!("UPDATE runs SET status = $1 WHERE id = $4 AND {free}");
            let query = self.query(operation, update).bind(interrupted).bind(running).bind(Task::Run(&run).key());
            query.bind(&*run).run().await?;
        }
        let rounds = "SELECT DISTINCT experiment FROM rounds WHERE status = $1";
        for row in self.query(operation, rounds).bind(running).run().await?.rows {
            let experiment: String = self.column(operation, &row, "experiment")?;
            let update = format!("UPDATE rounds SET status = $1 WHERE experiment = $4 AND {free}");
            let query = self.query(operation, update).bind(interrupted).bind(running);
            query.bind(Task::Round(&experiment).key()).bind(&*experiment).run().await?;
        }
        Ok(())
    }

    /// Takes the lock of a run until the transaction ends, where the store is a server; whether that could be done.
    pub(super) async fn lock_within(
        &self,
        transaction: &mut super::query::Transaction,
        run: &str,
    ) -> Result<bool, StoreError> {
        if !self.at.is_shared() {
            return Ok(true);
        }
        let operation = "ask who is at work";
        let query = self.query(operation, "SELECT pg_try_advisory_xact_lock($1) AS free").bind(Task::Run(run).key());
        let rows = query.within(transaction).await?.rows;
        rows.first().map_or(Ok(false), |row| row.flag("free").map_err(|error| self.failed(operation, &error)))
    }
}

impl Hold {
    /// Whether somebody else took it while the connection to the server was lost.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.taken.load(Ordering::Relaxed))
    }

    /// Lets go; when this returns, others can hold it.
    pub async fn let_go(self) {
        if let Some(mut kept) = self.kept {
            kept.let_go.cancel();
            while kept.keeper.join_next().await.is_some() {}
        }
    }
}

/// A session of its own that holds a lock; `None` when another one does.
pub(super) async fn session_with_lock(
    server: &Server,
    key: i64,
    tries: u32,
) -> Result<Option<PgConnection>, StoreError> {
    let failed = |error: sqlx::Error| postgres::failed("hold a lock", server, &error);
    let mut connection = postgres::connect(server).await?;
    // A machine that lost its power must not hold anything for the two hours that are usual.
    let set = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
    sqlx::raw_sql(set).execute(&mut connection).await.map_err(failed)?;
    for tried in 1..=tries {
        let held: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if held {
            return Ok(Some(connection));
        }
        if tried < tries {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
    drop(connection.close().await);
    Ok(None)
}

/// Lets go of a lock and ends its session.
pub(super) async fn unlock(mut connection: PgConnection, key: i64) {
    let ended = async move {
        drop(sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut connection).await);
        drop(connection.close().await);
    };
    // A server that is gone has let go by itself.
    drop(tokio::time::timeout(ANSWER, ended).await);
}

/// Looks after a lock: keeps its session in use, and takes the lock again when the server was away.
async fn keep(server: Server, key: i64, connection: PgConnection, let_go: CancellationToken, taken: Arc<AtomicBool>) {
    let mut session = Some(connection);
    loop {
        tokio::select! {
            () = let_go.cancelled() => {
                if let Some(connection) = session {
                    unlock(connection, key).await;
                }
                return;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        session = match session {
            Some(mut connection) => match tokio::time::timeout(ANSWER, connection.ping()).await {
                Ok(Ok(())) => Some(connection),
                // Its session is at an end, and so is its lock.
                Ok(Err(_)) | Err(_) => None,
            },
            None => match session_with_lock(&server, key, 1).await {
                Ok(Some(connection)) => {
                    taken.store(false, Ordering::Relaxed);
                    Some(connection)
                }
                Ok(None) => {
                    if !taken.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "while the store was away, another process took over what this one was at work on"
                        );
                    }
                    None
                }
                Err(error) => {
                    tracing::debug!(%error, "a lock in the store could not be taken again yet");
                    None
                }
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_what_is_held_and_stay_what_they_are() {
        let keys = [Task::Run("1"), Task::Round("1"), Task::Target("1")].map(Task::key);
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        // Programs of two versions must agree.
        assert_eq!(stable_hash("pool-tune run 1"), 0xf99e_6493_6bba_d4ae);
    }
}
