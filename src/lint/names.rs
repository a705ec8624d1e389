//! Names that no pool has: slips, and other pools' names. Only where the names around them say whose they are.

use super::rules::{self, Finding};
use crate::export::{Configuration, Entry, Format, Language, Other, Section};

/// How much of what a pool takes is known.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// Everything: any other name is wrong.
    All,
    /// Enough to tell a name that is nearly one of a setting's.
    Near,
    /// Others share the place: only a letter or two may differ.
    Slips,
}

/// A place where the names are a pool's.
struct Place {
    format: &'static str,
    /// The names directly around, outermost first; `*` is any.
    around: &'static [&'static str],
    /// One of these must be in the text, where others call their pools the same.
    speaks_of: &'static [&'static str],
    extent: Extent,
    /// What the pool takes beside the table's rows.
    names: &'static [&'static str],
}

const fn place(
    format: &'static str,
    around: &'static [&'static str],
    extent: Extent,
    names: &'static [&'static str],
) -> Place {
    Place { format, around, speaks_of: &[], extent, names }
}

/// From each pool's own documentation or source.
const PLACES: &[Place] = &[
    place("hikaricp", &["hikari"], Extent::All, HIKARI),
    place("hikaricp", &[], Extent::Near, HIKARI),
    place("spring-boot", &["hikari"], Extent::All, HIKARI),
    place("spring-boot", &["retry", "instances", "*"], Extent::Near, RETRY),
    place("spring-boot", &["circuitbreaker", "instances", "*"], Extent::Near, BREAKER),
    place("pgbouncer", &["pgbouncer"], Extent::All, PGBOUNCER),
    place("pgbouncer", &[], Extent::Near, PGBOUNCER),
    place("pgbouncer", &["databases"], Extent::Near, PGBOUNCER_DATABASES),
    place("pgbouncer", &["users"], Extent::Near, PGBOUNCER_USERS),
    place("sqlalchemy", &["create_engine"], Extent::Near, ENGINE),
    place("sqlalchemy", &["create_async_engine"], Extent::Near, ENGINE),
    place("sqlalchemy", &["SQLALCHEMY_ENGINE_OPTIONS"], Extent::Near, ENGINE),
    place("sqlalchemy", &["engine_options"], Extent::Near, ENGINE),
    Place { speaks_of: &["psycopg"], ..place("psycopg-pool", &["ConnectionPool"], Extent::All, PSYCOPG) },
    Place { speaks_of: &["psycopg"], ..place("psycopg-pool", &["AsyncConnectionPool"], Extent::All, PSYCOPG) },
    Place { speaks_of: &["asyncpg"], ..place("asyncpg", &["create_pool"], Extent::Near, ASYNCPG) },
    place("django", &["DATABASES", "*", "OPTIONS", "pool"], Extent::All, PSYCOPG),
    place("django", &["DATABASES", "*"], Extent::Slips, DJANGO),
    place("node-postgres", &["Pool"], Extent::Near, PG),
    place("knex", &["pool"], Extent::Near, TARN),
    place("rails", &["*"], Extent::Near, RAILS),
    place("npgsql", &[], Extent::Slips, NPGSQL),
    place("config-dict", &["connection_pool_config"], Extent::Slips, &[]),
    place("env", &[], Extent::Slips, &[]),
    place("config.py", &[], Extent::Slips, &[]),
    place("toml", &[], Extent::Slips, &[]),
    place("json", &[], Extent::Slips, &[]),
    place("yaml", &[], Extent::Slips, &[]),
];

/// Constructors whose own prefix nobody else's names have.
const OWN_PREFIX: [(&str, &str); 1] = [("sqlalchemy", "pool_")];

/// Names of other pools that are not like the ones that are meant.
const ELSEWHERE: [(&str, &str, &str); 11] = [
    ("sqlalchemy", "pool_max", "pool_size"),
    ("sqlalchemy", "max_connections", "pool_size"),
    ("sqlalchemy", "max_pool_size", "pool_size"),
    ("node-postgres", "maxConnections", "max"),
    ("node-postgres", "poolMax", "max"),
    ("node-postgres", "maxSize", "max"),
    ("node-postgres", "connectionLimit", "max"),
    ("node-postgres", "acquireTimeoutMillis", "connectionTimeoutMillis"),
    ("node-postgres", "poolMin", "min"),
    ("knex", "poolMax", "max"),
    ("knex", "poolMin", "min"),
];

impl Place {
    /// Whether nobody else's names stand there.
    fn is_certain(&self) -> bool {
        self.extent != Extent::Slips && self.around.iter().any(|name| *name != "*")
    }

    fn has(&self, path: &[String]) -> bool {
        let fits = |(own, wanted): (&String, &&str)| *wanted == "*" || plain(own) == plain(wanted);
        match path.len().checked_sub(self.around.len()) {
            Some(_) if self.around.is_empty() => path.is_empty(),
            Some(start) => path[start..].iter().zip(self.around).all(fits),
            None => false,
        }
    }
}

/// The place of a name, where it is a pool's.
fn of(format: &Format, text: &str, path: &[String]) -> Option<&'static Place> {
    PLACES.iter().find(|place| {
        let is_meant = place.speaks_of.is_empty() || place.speaks_of.iter().any(|word| text.contains(word));
        place.format == format.name && is_meant && place.has(path)
    })
}

/// How many names stand where only a pool's do, and are its own or nearly so.
pub(super) fn known(format: &Format, text: &str, configuration: &Configuration) -> usize {
    let is_certain = |path: &[String]| of(format, text, path).is_some_and(Place::is_certain);
    let settings = configuration.entries.iter().filter(|entry| is_certain(&entry.path));
    let is_known = |other: &&Other| {
        of(format, text, &other.path).filter(|place| place.is_certain()).is_some_and(|place| {
            let is_theirs = place.names.iter().any(|name| plain(name) == plain(&other.name));
            is_theirs || nearest(format, place, &other.name).is_some()
        })
    };
    settings.count() + configuration.others.iter().filter(is_known).count()
}

pub(super) fn check(format: &Format, text: &str, configuration: &Configuration, findings: &mut Vec<Finding>) {
    for other in &configuration.others {
        let Some(place) = of(format, text, &other.path) else { continue };
        let is_theirs = |name: &&str| match format.language {
            Language::Ini | Language::JavaScript | Language::Python => **name == *other.name,
            _ => plain(name) == plain(&other.name),
        };
        if place.names.iter().any(is_theirs) {
            continue;
        }
        let nearest = nearest(format, place, &other.name);
        let has_prefix = OWN_PREFIX.iter().any(|(of, prefix)| *of == format.name && other.name.starts_with(prefix));
        // A text that is no name may be anything, a part of a password too.
        let is_name = other.name.len() <= 60
            && other.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte));
        if is_name && (nearest.is_some() || place.extent == Extent::All || has_prefix) {
            findings.push(unknown(
                format,
                &other.name,
                (other.line, other.column),
                nearest.or_else(|| likest(format, place, &other.name)),
            ));
        }
    }
    // Where capitals and underscores count, a name in another spelling is another name.
    for entry in configuration.entries.iter().filter(|entry| is_misspelt(format, text, entry)) {
        findings.push(unknown(format, &entry.name, (entry.line, entry.column), Some(entry.field.name)));
    }
}

fn is_misspelt(format: &Format, text: &str, entry: &Entry) -> bool {
    // Names with a prefix of one's own are read without it.
    if entry.section.library == "pool-tune" && matches!(format.name, "env" | "config.py") {
        return false;
    }
    let counts = matches!(format.language, Language::Ini | Language::JavaScript | Language::Python)
        || format.language == Language::Properties && entry.path.is_empty() && !entry.name.contains(['-', '_']);
    counts && entry.name != entry.field.name && of(format, text, &entry.path).is_some()
}

fn unknown(format: &Format, name: &str, place: (usize, usize), nearest: Option<&str>) -> Finding {
    let what = format!("{name} is not a name of {}", format.title);
    let remedy = match nearest {
        Some(nearest) => format!("write {nearest}, if that is meant"),
        None => "remove it, or write the name that your release documents".to_owned(),
    };
    Finding::new(place, &rules::UNKNOWN_NAME, what, remedy)
}

/// The table's names that may stand in a place, as its pool spells them.
fn rows(format: &Format, place: &Place) -> Vec<&'static str> {
    // Lines of `[databases]` and `[users]` have names of their own.
    if matches!(place.around, ["databases" | "users"]) {
        return place.names.to_vec();
    }
    let path_of = |section: &Section| section.path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // The pool's section is the first, but for what stands under names of its own.
    let own: Vec<_> = format
        .sections
        .iter()
        .filter(|section| !section.path.is_empty() && !section.commented && place.has(&path_of(section)))
        .collect();
    let sections = if own.is_empty() { format.sections.first().into_iter().collect() } else { own };
    sections.into_iter().flat_map(Section::fields).map(|field| field.name).collect()
}

/// The setting's name that a name nearly is.
fn nearest(format: &Format, place: &Place, name: &str) -> Option<&'static str> {
    let elsewhere = ELSEWHERE.iter().find(|(of, other, _)| *of == format.name && plain(other) == plain(name));
    if let Some((.., meant)) = elsewhere {
        return Some(meant);
    }
    let is_near =
        |known: &&'static str| is_slip(name, known) || place.extent != Extent::Slips && is_relative(name, known);
    let near = rows(format, place).into_iter().filter(is_near);
    near.max_by(|one, other| likeness(name, one).total_cmp(&likeness(name, other)))
}

/// Of all the pool's names, the one that is the most like it.
fn likest(format: &Format, place: &Place, name: &str) -> Option<&'static str> {
    let known = rows(format, place).into_iter().chain(place.names.iter().copied());
    let best = known.max_by(|one, other| likeness(name, one).total_cmp(&likeness(name, other)))?;
    (likeness(name, best) > 0.75).then_some(best)
}

fn likeness(one: &str, other: &str) -> f64 {
    strsim::jaro_winkler(&plain(one), &plain(other))
}

/// A letter or two of a long name are wrong, missing, or too many.
fn is_slip(name: &str, known: &str) -> bool {
    let (name, known) = (plain(name), plain(known));
    let allowed = match known.len() {
        0..=5 => return false,
        6..=9 => 1,
        _ => 2,
    };
    name != known && strsim::osa_distance(&name, &known) <= allowed
}

/// The same words, shortened (`maxPoolSize`), or but for the unit at the end (`idleTimeout`).
fn is_relative(name: &str, known: &str) -> bool {
    let (name, known) = (words(name), words(known));
    let is_short = |one: &String, other: &String| {
        one == other
            || one.len() >= 3 && other.starts_with(one.as_str())
            || other.len() >= 3 && one.starts_with(other.as_str())
    };
    let same = name.iter().zip(&known).take_while(|(one, other)| is_short(one, other)).count();
    let has_unit = |words: &[String]| words.last().is_some_and(|last| UNITS.contains(&last.as_str()));
    let (short, long) = if name.len() <= known.len() { (&name, &known) } else { (&known, &name) };
    match long.len() - short.len() {
        0 => same >= 2 && (same == long.len() || same + 1 == long.len() && has_unit(short) && has_unit(long)),
        1 => same >= 2 && same == short.len() && has_unit(long),
        _ => false,
    }
}

/// What names end with that say their unit.
const UNITS: [&str; 6] = ["millis", "milliseconds", "ms", "secs", "seconds", "s"];

/// The words of `maxPoolSize`, `max-pool-size` or `MAX_POOL_SIZE`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        let begins = letter.is_ascii_uppercase() && was_small || !letter.is_ascii_alphanumeric();
        was_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if begins {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name without what differs between spellings.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The setters of `HikariConfig`.
#[rustfmt::skip]
const HIKARI: &[&str] = &[
    "allowPoolSuspension", "autoCommit", "catalog", "connectionInitSql", "credentials", "credentialsProvider",
    "credentialsProviderClassName", "dataSource", "dataSourceClassName", "dataSourceJNDI", "dataSourceJndi", "dataSourceProperties",
    "driverClassName", "exceptionOverride", "exceptionOverrideClassName", "healthCheckProperties", "healthCheckRegistry",
    "initializationFailFast", "initializationFailTimeout", "isolateInternalQueries", "jdbc4ConnectionTest", "jdbcUrl",
    "keepaliveTime", "loginTimeout", "metricRegistry", "metricsTrackerFactory", "password", "poolName", "readOnly",
    "registerMbeans", "scheduledExecutor", "scheduledExecutorService", "schema", "threadFactory", "transactionIsolation",
    "username",
];

/// resilience4j-spring-boot's properties of a retry.
#[rustfmt::skip]
const RETRY: &[&str] = &[
    "baseConfig", "consumeResultBeforeRetryAttempt", "eventConsumerBufferSize", "failAfterMaxAttempts", "ignoreExceptions",
    "intervalBiFunction", "registerHealthIndicator", "resultPredicate", "retryExceptionPredicate", "retryExceptions",
];

/// resilience4j-spring-boot's properties of a circuit breaker.
#[rustfmt::skip]
const BREAKER: &[&str] = &[
    "allowHealthIndicatorToFail", "automaticTransitionFromOpenToHalfOpenEnabled", "baseConfig", "enableExponentialBackoff",
    "enableRandomizedWait", "eventConsumerBufferSize", "exponentialBackoffMultiplier", "exponentialMaxWaitDurationInOpenState",
    "ignoreExceptionPredicate", "ignoreExceptions", "initialState", "maxWaitDurationInHalfOpenState", "randomizedWaitFactor",
    "recordExceptions", "recordFailurePredicate", "recordResultPredicate", "registerHealthIndicator", "ringBufferSizeInClosedState",
    "ringBufferSizeInHalfOpenState", "slowCallDurationThreshold", "slowCallRateThreshold", "writableStackTraceEnabled",
];

/// `PgBouncer`'s parameters; `lint/pgbouncer.rs` has what they hold.
#[rustfmt::skip]
const PGBOUNCER: &[&str] = &[
    "admin_users", "application_name_add_host", "auth_dbname", "auth_file", "auth_hba_file", "auth_ident_file",
    "auth_ldap_options", "auth_query", "auth_type", "auth_user", "autodb_idle_timeout", "cancel_wait_timeout",
    "client_idle_timeout", "client_login_timeout", "client_tls13_ciphers", "client_tls_ca_file", "client_tls_cert_file",
    "client_tls_ciphers", "client_tls_dheparams", "client_tls_ecdhcurve", "client_tls_key_file", "client_tls_protocols",
    "client_tls_sslmode", "conffile", "disable_pqexec", "dns_max_ttl", "dns_nxdomain_ttl", "dns_zone_check_period",
    "idle_transaction_timeout", "ignore_startup_parameters", "job_name", "listen_addr", "listen_backlog", "listen_port",
    "log_connections", "log_disconnections", "log_pooler_errors", "log_stats", "logfile", "max_client_conn",
    "max_db_client_connections", "max_db_connections", "max_packet_size", "max_prepared_statements",
    "max_user_client_connections", "max_user_connections", "peer_id", "pidfile", "pkt_buf", "pool_mode", "query_timeout",
    "query_wait_notify", "reserve_pool_size", "reserve_pool_timeout", "resolv_conf", "sbuf_loopcnt", "scram_iterations",
    "server_connect_timeout", "server_fast_close", "server_login_retry", "server_reset_query", "server_reset_query_always",
    "server_round_robin", "server_tls13_ciphers", "server_tls_ca_file", "server_tls_cert_file", "server_tls_ciphers",
    "server_tls_key_file", "server_tls_protocols", "server_tls_sslmode", "service_name", "so_reuseport", "stats_period",
    "stats_users", "suspend_timeout", "syslog", "syslog_facility", "syslog_ident", "tcp_defer_accept", "tcp_keepalive",
    "tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl", "tcp_socket_buffer", "tcp_user_timeout", "track_extra_parameters",
    "transaction_timeout", "unix_socket_dir", "unix_socket_group", "unix_socket_mode", "user", "verbose",
];

/// Of a line in `PgBouncer`'s `[databases]`.
#[rustfmt::skip]
const PGBOUNCER_DATABASES: &[&str] = &[
    "application_name", "auth_dbname", "auth_query", "auth_user", "client_encoding", "connect_query", "datestyle", "dbname",
    "host", "load_balance_hosts", "max_db_client_connections", "max_db_connections", "min_pool_size", "password", "pool_mode",
    "pool_size", "port", "reserve_pool", "reserve_pool_size", "server_lifetime", "timezone", "user",
];

/// Of a line in `PgBouncer`'s `[users]`.
#[rustfmt::skip]
const PGBOUNCER_USERS: &[&str] = &[
    "client_idle_timeout", "idle_transaction_timeout", "max_user_client_connections", "max_user_connections", "pool_mode",
    "pool_size", "query_timeout", "reserve_pool_size", "transaction_timeout",
];

/// Of `create_engine`, to which each dialect adds its own.
#[rustfmt::skip]
const ENGINE: &[&str] = &[
    "async_creator", "connect_args", "creator", "echo", "echo_pool", "enable_from_linting", "execution_options", "future",
    "hide_parameters", "implicit_returning", "insertmanyvalues_page_size", "isolation_level", "json_deserializer",
    "json_serializer", "label_length", "logging_name", "max_identifier_length", "max_overflow", "module", "paramstyle", "plugins",
    "pool", "pool_events", "pool_logging_name", "pool_reset_on_return", "pool_use_lifo", "poolclass", "query_cache_size",
    "skip_autocommit_rollback", "strategy", "url", "use_insertmanyvalues",
];

/// Of psycopg's `ConnectionPool`.
#[rustfmt::skip]
const PSYCOPG: &[&str] = &[
    "check", "close_returns", "configure", "conninfo", "connection_class", "kwargs", "max_waiting", "name", "num_workers", "open",
    "reconnect_failed", "reconnect_timeout", "reset",
];

/// Of asyncpg's `create_pool`, which hands the rest to `connect`.
#[rustfmt::skip]
const ASYNCPG: &[&str] = &[
    "command_timeout", "connect", "connection_class", "database", "direct_tls", "dsn", "host", "init", "loop",
    "max_cacheable_statement_size", "max_cached_statement_lifetime", "max_queries", "passfile", "password", "port",
    "record_class", "reset", "server_settings", "service", "servicefile", "setup", "ssl", "statement_cache_size",
    "target_session_attrs", "timeout", "user",
];

/// Of an entry in Django's `DATABASES`.
#[rustfmt::skip]
const DJANGO: &[&str] = &[
    "ATOMIC_REQUESTS", "AUTOCOMMIT", "CONN_HEALTH_CHECKS", "CONN_MAX_AGE", "DISABLE_SERVER_SIDE_CURSORS", "ENGINE", "HOST",
    "NAME", "OPTIONS", "PASSWORD", "PORT", "TEST", "TIME_ZONE", "USER",
];

/// Of `pg.Pool`, which hands the rest to each client.
#[rustfmt::skip]
const PG: &[&str] = &[
    "Client", "Promise", "allowExitOnIdle", "application_name", "binary", "client_encoding", "connectionString", "database",
    "enableChannelBinding", "fallback_application_name", "host", "idle_in_transaction_session_timeout", "keepAlive",
    "keepAliveInitialDelayMillis", "lock_timeout", "log", "maxUses", "onConnect", "options", "password", "port",
    "query_timeout", "replication", "ssl", "sslnegotiation", "statement_timeout", "stream", "types", "user", "verify",
];

/// Of Knex's `pool`, which is tarn's.
#[rustfmt::skip]
const TARN: &[&str] = &[
    "afterCreate", "create", "createRetryIntervalMillis", "createTimeoutMillis", "destroy", "destroyTimeoutMillis", "log", "name",
    "propagateCreateError", "reapIntervalMillis", "validate",
];

/// Of an entry in Rails' database.yml, with its adapters'.
#[rustfmt::skip]
const RAILS: &[&str] = &[
    "adapter", "advisory_locks", "application_name", "connect_timeout", "connection_retries", "database", "database_tasks",
    "encoding", "host", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "migrations_paths",
    "min_messages", "password", "pool", "pool_jitter", "port", "prepared_statements", "query_cache", "read_timeout",
    "reaping_frequency", "reconnect", "replica", "retry_deadline", "schema_search_path", "socket", "sslmode", "statement_limit",
    "statement_timeout", "tcp_user_timeout", "timeout", "url", "username", "variables", "write_timeout",
];

/// Of Npgsql's connection string, and of the other drivers' of .NET.
#[rustfmt::skip]
const NPGSQL: &[&str] = &[
    "Cancellation Timeout", "Command Timeout", "Connect Timeout", "Connection Idle Timeout", "Connection Lifetime",
    "Connection Pruning Interval", "Connection Reset", "Connection Timeout", "Default Command Timeout",
    "Internal Command Timeout", "Keepalive", "Keep Alive", "Load Balance Timeout", "Max Pool Size", "MaxPoolSize",
    "Maximum Pool Size", "Min Pool Size", "MinPoolSize", "Minimum Pool Size", "Pooling", "TCP Keepalive", "Tcp Keepalive Interval",
    "Tcp Keepalive Time",
];
