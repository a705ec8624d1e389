use sqlx::{Row, postgres::PgRow};

use super::{DatabaseError, Server, server::application_name};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, or something that speaks its protocol.
    Postgres,
}

/// What a server is, allows and is doing, as seen by the user of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The kind of database.
    pub kind: Kind,
    /// Name and version, such as `PostgreSQL 15.18`.
    pub version: String,
    /// Most connections that the server takes.
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

/// What limits the connections that are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The server's `max_connections`.
    Server,
    /// The role's `CONNECTION LIMIT`.
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
    /// The name that the application gives itself; may be empty.
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

const RECORDED: [&str; 9] = [
    "max_connections",
    "shared_buffers",
    "work_mem",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "max_wal_size",
    "autovacuum",
    "ssl",
];

const FACTS: &str = "
    select split_part(current_setting('server_version'), ' ', 1) as version,
           current_setting('max_connections')::bigint as max_connections,
           current_setting('superuser_reserved_connections')::bigint
               + coalesce(nullif(current_setting('reserved_connections', true), '')::bigint, 0) as reserved,
           pg_is_in_recovery() as is_replica,
           has_database_privilege(current_database(), 'CREATE') as may_create_schema,
           session_user::text as role,
           current_database()::text as database,
           coalesce((select rolconnlimit from pg_roles where rolname = session_user and not rolsuper), -1)::bigint
               as role_limit,
           coalesce((select datconnlimit from pg_database where datname = current_database()
                     and not exists (select from pg_roles where rolname = session_user and rolsuper)), -1)::bigint
               as database_limit,
           array(select name || '=' || coalesce(current_setting(name, true), '')
                 from unnest($1::text[]) with ordinality as wanted (name, place) order by place) as settings";

// Where the user may not see more of a row, backend_type and state are null; background processes then have no
// database or no user.
const CLIENTS: &str = "
    select coalesce(application_name, '') as application, usename::text as user, coalesce(datname::text, '') as database,
           state, count(*) as count
    from pg_stat_activity
    where (backend_type = 'client backend' or backend_type is null and datid is not null and usesysid is not null)
      and pid <> pg_backend_pid() and not starts_with(coalesce(application_name, ''), $1)
    group by 1, 2, 3, 4
    order by 5 desc, 1, 2, 3, 4";

impl Server {
    /// Looks at the server: what it is, how many connections it has left, who else is connected.
    ///
    /// Connections of this process (the program's own and those of the pool under test) do not count as in use.
    ///
    /// # Errors
    /// [`DatabaseError`] when it cannot be reached, or does not answer as PostgreSQL does.
    pub async fn inspect(&self) -> Result<Inspection, DatabaseError> {
        let mut connection = self.control().await?;
        let inspection = self
            .bounded(async {
                let failed = |error: sqlx::Error| DatabaseError::statement(self, "look at the limits", &error);
                let facts = sqlx::query(FACTS).bind(&RECORDED[..]).fetch_one(&mut connection).await.map_err(failed)?;
                let clients =
                    sqlx::query(CLIENTS).bind(application_name()).fetch_all(&mut connection).await.map_err(failed)?;
                read(&facts, &clients).map_err(failed)
            })
            .await?;
        // The answer is complete; whether the server hears the goodbye does not matter.
        drop(sqlx::Connection::close(connection).await);
        Ok(inspection)
    }
}

fn read(facts: &PgRow, clients: &[PgRow]) -> Result<Inspection, sqlx::Error> {
    let other_clients = clients
        .iter()
        .map(|row| {
            Ok(OtherClients {
                application: row.try_get("application")?,
                user: row.try_get::<Option<String>, _>("user")?.unwrap_or_default(),
                database: row.try_get("database")?,
                state: row.try_get("state")?,
                count: count(row.try_get("count")?),
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let (role, database): (String, String) = (facts.try_get("role")?, facts.try_get("database")?);
    let in_use = |wanted: &dyn Fn(&OtherClients) -> bool| {
        other_clients.iter().filter(|clients| wanted(clients)).map(|clients| clients.count).sum::<u32>()
    };
    let limits = Limits {
        server: count(facts.try_get("max_connections")?),
        reserved: count(facts.try_get("reserved")?),
        in_use: in_use(&|_| true),
        role: limit(facts.try_get("role_limit")?).map(|limit| (limit, in_use(&|clients| clients.user == role))),
        database: limit(facts.try_get("database_limit")?)
            .map(|limit| (limit, in_use(&|clients| clients.database == database))),
    };
    let (free, bound) = limits.free(role, database);
    let settings: Vec<String> = facts.try_get("settings")?;
    Ok(Inspection {
        kind: Kind::Postgres,
        version: format!("PostgreSQL {}", facts.try_get::<String, _>("version")?),
        max_connections: limits.server,
        reserved: limits.reserved,
        in_use: limits.in_use,
        free,
        bound,
        other_clients,
        is_replica: facts.try_get("is_replica")?,
        may_create_schema: facts.try_get("may_create_schema")?,
        settings: settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

/// A count that the server gave; it gives no negative ones.
fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// A limit that the server gave, where −1 stands for none.
fn limit(number: i64) -> Option<u32> {
    (number >= 0).then(|| count(number))
}

/// The limits on connections; of role and database with those in use.
struct Limits {
    server: u32,
    reserved: u32,
    in_use: u32,
    role: Option<(u32, u32)>,
    database: Option<(u32, u32)>,
}

impl Limits {
    /// What is left, and which limit leaves the least.
    fn free(&self, role: String, database: String) -> (u32, Bound) {
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
