use serde::{Deserialize, Serialize};

/// What a database server is doing at one moment. Times are seconds; the observer's own connection does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Most connections that ordinary users can have together.
    pub limit: u32,
    /// Connections that clients have.
    pub connected: u32,
    /// Those connections by application and state, most first.
    pub sessions: Vec<Sessions>,
    /// What sessions at work wait for, most first.
    pub waits: Vec<Waits>,
    /// For how long the oldest transaction has been open.
    pub oldest_transaction: Option<f64>,
    /// For how long the oldest session has been idle inside a transaction.
    pub oldest_idle_in_transaction: Option<f64>,
    /// For how long, at most, a session has been waiting for a lock.
    pub longest_lock_wait: Option<f64>,
    /// What the database has counted.
    pub counters: Counters,
}

/// Connections that look alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// The name that the application gives itself, or where it comes from; may be empty.
    pub application: String,
    /// What they do.
    pub state: SessionState,
    /// How many.
    pub count: u32,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It runs a statement.
    Active,
    /// It waits for its client.
    Idle,
    /// It waits for its client inside a transaction.
    IdleInTransaction,
    /// The observer may not see it.
    Hidden,
}

impl SessionState {
    /// Every state, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Active, Self::Idle, Self::IdleInTransaction, Self::Hidden];

    /// The state in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::IdleInTransaction => "idle in transaction",
            Self::Hidden => "hidden",
        }
    }
}

/// Sessions at work that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// The kind of wait: `Lock`, `IO`, `LWLock` …
    pub kind: String,
    /// What it is for, as the server names it.
    pub event: String,
    /// How many.
    pub count: u32,
}

/// What a database has counted since its counters began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Transactions that ended well.
    pub commits: u64,
    /// Transactions that were rolled back.
    pub rollbacks: u64,
    /// Deadlocks.
    pub deadlocks: u64,
    /// Statements cancelled on a standby because they were in its way.
    pub conflicts: u64,
}

impl Counters {
    /// What came since an earlier moment. Counters that have fallen were begun anew: then all of it came since.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let came = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self {
            commits: came(self.commits, earlier.commits),
            rollbacks: came(self.rollbacks, earlier.rollbacks),
            deadlocks: came(self.deadlocks, earlier.deadlocks),
            conflicts: came(self.conflicts, earlier.conflicts),
        }
    }
}

impl Activity {
    /// Connections in a state.
    #[must_use]
    pub fn in_state(&self, state: SessionState) -> u32 {
        self.sessions.iter().filter(|sessions| sessions.state == state).map(|sessions| sessions.count).sum()
    }

    /// Sessions at work that wait for a lock of another one.
    #[must_use]
    pub fn waiting_for_locks(&self) -> u32 {
        self.waits.iter().filter(|waits| waits.kind == Self::LOCK).map(|waits| waits.count).sum()
    }

    /// The kind of wait that is for another session's lock.
    pub const LOCK: &str = "Lock";

    /// Counts some sessions in.
    pub(crate) fn add(
        &mut self,
        application: String,
        state: SessionState,
        (kind, event): (String, String),
        count: u32,
    ) {
        self.connected += count;
        match self.sessions.iter_mut().find(|of| of.application == application && of.state == state) {
            Some(known) => known.count += count,
            None => self.sessions.push(Sessions { application, state, count }),
        }
        if kind.is_empty() {
            return;
        }
        match self.waits.iter_mut().find(|of| of.kind == kind && of.event == event) {
            Some(known) => known.count += count,
            None => self.waits.push(Waits { kind, event, count }),
        }
    }

    /// Puts what there is most of first.
    pub(crate) fn sort(&mut self) {
        self.sessions.sort_by(|a, b| (b.count, &a.application, a.state).cmp(&(a.count, &b.application, b.state)));
        self.waits.sort_by(|a, b| (b.count, &a.kind, &a.event).cmp(&(a.count, &b.kind, &b.event)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_were_reset_count_from_nothing() {
        let counters = |deadlocks| Counters { deadlocks, ..Counters::default() };
        assert_eq!(counters(9).since(&counters(4)), counters(5));
        assert_eq!(counters(3).since(&counters(4)), counters(3));
    }
}
