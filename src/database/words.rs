//! How each kind of server is told to make, lock and drop a schema.

use super::schema::{MARK, PREFIX};
use crate::model::Dialect;

/// A server's SQL. Names of schemas are put in where it says so; queries answer by whether they have a row.
pub(super) struct Words {
    /// Sets a control connection up.
    pub(super) quieten: &'static str,
    /// Takes the schema's lock, until the connection ends.
    pub(super) lock: fn(&str) -> String,
    /// Whether a schema of the name is there that the program did not make.
    pub(super) of_another: fn(&str) -> String,
    /// Drops what is there of that name, makes the schema with its mark, and enters it.
    pub(super) create: fn(&str) -> Vec<String>,
    /// Has the names of tables looked up in it, where the connection does not say so when it is opened.
    pub(super) enter: Option<fn(&str) -> String>,
    /// Whether the schema is there.
    pub(super) exists: fn(&str) -> String,
    /// The tables in it, quoted.
    pub(super) tables: fn(&str) -> String,
    /// Gathers statistics of a table.
    pub(super) analyze: fn(&str) -> String,
    /// Drops the schema, if it is there.
    pub(super) drop: fn(&str) -> String,
    /// The names of the schemas that the program made.
    pub(super) leftovers: fn() -> String,
}

/// The table that marks a database of the program's on MySQL, which has no comments on databases.
const MARK_TABLE: &str = "made_by_pool_tune";

impl Words {
    /// Those of a dialect; none for SQLite, which has no schemas.
    pub(super) fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Postgres => Some(Self::postgres()),
            Dialect::MySql => Some(Self::mysql()),
            Dialect::Sqlite => None,
        }
    }

    fn postgres() -> Self {
        Self {
            // No notices for each dropped table, no endless wait for the lock of a dead run's last statement, and
            // (PostgreSQL 14 and later) no end after some idle time.
            quieten: "set client_min_messages = warning; set lock_timeout = '10s';
                      select set_config('idle_session_timeout', '0', false) from pg_settings
                      where name = 'idle_session_timeout'",
            lock: |name| format!("select 'locked' where pg_try_advisory_lock({})", lock_key(name)),
            of_another: |name| {
                format!(
                    "select nspname::text from pg_namespace where nspname = {}
                     and not coalesce(starts_with(obj_description(oid, 'pg_namespace'), '{MARK}'), false)",
                    text(name)
                )
            },
            create: |name| {
                // Sent as one, these are one transaction.
                vec![format!(
                    "drop schema if exists {name} cascade; create schema {name};
                     comment on schema {name} is '{MARK}; safe to drop when no run is going on'"
                )]
            },
            enter: None,
            exists: |name| format!("select 'there' where to_regnamespace({}) is not null", text(&quoted(name))),
            tables: |name| {
                format!(
                    "select format('%I.%I', {name}::text, relname) from pg_class
                     where relnamespace = to_regnamespace({name}) and relkind in ('r', 'm') order by relname",
                    name = text(name)
                )
            },
            analyze: |table| format!("vacuum (analyze) {table}"),
            drop: |name| format!("drop schema if exists {} cascade", quoted(name)),
            leftovers: || {
                format!(
                    "select nspname::text from pg_namespace
                     where starts_with(nspname::text, '{PREFIX}')
                           and starts_with(obj_description(oid, 'pg_namespace'), '{MARK}')
                           and pg_has_role(nspowner, 'MEMBER')
                     order by nspname"
                )
            },
        }
    }

    fn mysql() -> Self {
        Self {
            // No end after some idle time, and no endless wait for the lock of a dead run's last statement.
            quieten: "set session wait_timeout = 604800, session lock_wait_timeout = 10",
            lock: |name| format!("select 'locked' from (select 1) one where get_lock({}, 0) = 1", text(name)),
            of_another: |name| {
                format!(
                    "select cast(schema_name as char) from information_schema.schemata where schema_name = {name}
                     and not exists (select 1 from information_schema.tables
                                     where table_schema = {name} and table_name = '{MARK_TABLE}'
                                           and table_comment like '{MARK}%')",
                    name = text(name)
                )
            },
            create: |name| {
                vec![
                    format!("drop database if exists `{name}`"),
                    format!("create database `{name}`"),
                    format!(
                        "create table `{name}`.{MARK_TABLE} (mark int) comment '{MARK}; safe to drop when no run is going on'"
                    ),
                    format!("use `{name}`"),
                ]
            },
            enter: Some(|name| format!("use `{name}`")),
            exists: |name| {
                format!(
                    "select cast(schema_name as char) from information_schema.schemata where schema_name = {}",
                    text(name)
                )
            },
            tables: |name| {
                format!(
                    "select cast(concat('`', replace(table_name, '`', '``'), '`') as char) from information_schema.tables
                     where table_schema = {} and table_type = 'BASE TABLE' and table_name <> '{MARK_TABLE}'
                     order by table_name",
                    text(name)
                )
            },
            analyze: |table| format!("analyze table {table}"),
            drop: |name| format!("drop database if exists `{}`", name.replace('`', "``")),
            leftovers: || {
                format!(
                    "select cast(table_schema as char) from information_schema.tables
                     where table_name = '{MARK_TABLE}' and table_comment like '{MARK}%'
                           and left(table_schema, {}) = '{PREFIX}'
                     order by table_schema",
                    PREFIX.len()
                )
            },
        }
    }
}

/// A name as a text in SQL. In a schema's name of our own there is nothing to be escaped, in one that is found there may be.
fn text(name: &str) -> String {
    format!("'{}'", name.replace('\\', "").replace('\'', "''"))
}

/// A name as PostgreSQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The advisory lock of a schema: FNV-1a, 64 bits, of its name, the same in every version of the program.
fn lock_key(name: &str) -> i64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_schema_never_changes() {
        // The published test vector of FNV-1a for "foobar".
        assert_eq!(lock_key("foobar").cast_unsigned(), 0x8594_4171_f739_67e8);
    }
}
