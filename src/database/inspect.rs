use std::time::Duration;

use super::{Connection, DatabaseError, Server, mysql, postgres, server::Way, sqlite};
use crate::model::Dialect;

/// What a server is, allows and is doing, as seen by the user of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The kind of database.
    pub dialect: Dialect,
    /// Name and version, such as `PostgreSQL 15.18` or `MariaDB 10.11.14`.
    pub version: String,
    /// Most connections that the server takes; the largest number where there is no limit.
    pub max_connections: u32,
    /// Those of them that are kept for superusers and the like.
    pub reserved: u32,
    /// Connections in use by others than this process.
    pub in_use: u32,
    /// Connections that this process may have: the least of what server, role and database leave.
    pub free: u32,
    /// What limits `free`.
    pub bound: Bound,
    /// Who else is connected, most connections first.
    pub other_clients: Vec<OtherClients>,
    /// Whether it is a standby, which takes no writes.
    pub is_replica: bool,
    /// Whether the user may create a schema in the database.
    pub may_create_schema: bool,
    /// Server settings worth recording with a run, by name.
    pub settings: Vec<(String, String)>,
}

impl Inspection {
    /// The server's setting that closes idle sessions, and after how long; `None` where it closes none.
    #[must_use]
    pub fn idle_limit(&self) -> Option<(&str, Duration)> {
        let (name, value) =
            self.settings.iter().find(|(name, _)| ["idle_session_timeout", "wait_timeout"].contains(&name.as_str()))?;
        // MySQL counts seconds, PostgreSQL says its unit.
        let limit = value.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(value).ok())?;
        (!limit.is_zero()).then_some((name.as_str(), limit))
    }
}

/// What limits the connections that are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The server's `max_connections`.
    Server,
    /// The role's `CONNECTION LIMIT`, or the user's `MAX_USER_CONNECTIONS`.
    Role {
        /// The role.
        name: String,
        /// The limit.
        limit: u32,
        /// Its connections by others than this process.
        in_use: u32,
    },
    /// The database's `CONNECTION LIMIT`.
    Database {
        /// The database.
        name: String,
        /// The limit.
        limit: u32,
        /// Its connections by others than this process.
        in_use: u32,
    },
}

/// Connections of others that look alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherClients {
    /// The name that the application gives itself, or where it comes from; may be empty.
    pub application: String,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// `active`, `idle`, `idle in transaction` …; `None` where the URL's user may not see it.
    pub state: Option<String>,
    /// How many connections.
    pub count: u32,
}

impl Server {
    /// Looks at the server: what it is, how many connections it has left, who else is connected.
    ///
    /// Connections of this process (the program's own, and on PostgreSQL those of the pool under test) do not count as in
    /// use.
    ///
    /// # Errors
    /// [`DatabaseError`] when it cannot be reached, or does not answer as its kind does.
    pub async fn inspect(&self) -> Result<Inspection, DatabaseError> {
        let mut connection = self.connect_control().await?;
        let inspection = self
            .bounded(async {
                let inspected = match (&mut connection, self.way()) {
                    (Connection::MySql(connection), Way::MySql(way)) => mysql::inspect(way, connection).await,
                    (Connection::Sqlite(connection), Way::Sqlite(way)) => sqlite::inspect(way, connection).await,
                    (Connection::Postgres(connection), _) => postgres::inspect(connection).await,
                    _ => unreachable!("a connection is of its server's kind"),
                };
                inspected.map_err(|error| DatabaseError::statement(self, "look at the limits", &error))
            })
            .await?;
        // The answer is complete; whether the server hears the goodbye does not matter.
        drop(connection.close().await);
        Ok(inspection)
    }
}

/// A count that the server gave; it gives no negative ones.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// A limit that the server gave, where −1 stands for none.
pub(super) fn limit(number: i64) -> Option<u32> {
    (number >= 0).then(|| count(number))
}

/// The limits on connections; of role and database with those in use.
pub(super) struct Limits {
    pub(super) server: u32,
    pub(super) reserved: u32,
    pub(super) in_use: u32,
    pub(super) role: Option<(u32, u32)>,
    pub(super) database: Option<(u32, u32)>,
}

impl Limits {
    /// What is left, and which limit leaves the least.
    pub(super) fn free(&self, role: String, database: String) -> (u32, Bound) {
        let mut least = (self.server.saturating_sub(self.reserved).saturating_sub(self.in_use), Bound::Server);
        if let Some((limit, in_use)) = self.role
            && limit.saturating_sub(in_use) < least.0
        {
            least = (limit.saturating_sub(in_use), Bound::Role { name: role, limit, in_use });
        }
        if let Some((limit, in_use)) = self.database
            && limit.saturating_sub(in_use) < least.0
        {
            least = (limit.saturating_sub(in_use), Bound::Database { name: database, limit, in_use });
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(limits: &Limits) -> (u32, Bound) {
        limits.free("app".to_owned(), "shop".to_owned())
    }

    #[test]
    fn the_tightest_limit_decides() {
        let limits = Limits { server: 100, reserved: 3, in_use: 20, role: None, database: None };
        assert_eq!(free(&limits), (77, Bound::Server));
        let limits = Limits { role: Some((30, 8)), ..limits };
        assert_eq!(free(&limits), (22, Bound::Role { name: "app".to_owned(), limit: 30, in_use: 8 }));
        let limits = Limits { database: Some((5, 9)), ..limits };
        assert_eq!(free(&limits), (0, Bound::Database { name: "shop".to_owned(), limit: 5, in_use: 9 }));
    }

    #[test]
    fn an_overfull_server_has_nothing_free() {
        let limits = Limits { server: 10, reserved: 3, in_use: 9, role: Some((50, 0)), database: None };
        assert_eq!(free(&limits), (0, Bound::Server));
    }
}
