use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    database::{
        Inspection, OtherClients,
        inspect::{Limits, count, limit},
        server::application_name,
    },
    model::Dialect,
};

const RECORDED: [&str; 10] = [
    "max_connections",
    "shared_buffers",
    "work_mem",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "max_wal_size",
    "autovacuum",
    "ssl",
    "idle_session_timeout",
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

/// Looks at a server's limits and clients.
pub(in crate::database) async fn inspect(connection: &mut PgConnection) -> Result<Inspection, sqlx::Error> {
    let facts = sqlx::query(FACTS).bind(&RECORDED[..]).fetch_one(&mut *connection).await?;
    let clients = sqlx::query(CLIENTS).bind(application_name()).fetch_all(&mut *connection).await?;
    read(&facts, &clients)
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
        dialect: Dialect::Postgres,
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
