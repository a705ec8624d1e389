//! What is `PgBouncer`'s alone: values that it refuses, and the sizes in its `[databases]`.

use std::collections::BTreeMap;

use super::{
    literals::{ini_number, is_filled_in},
    pools::{Pool, number},
    rules::{self, Finding, LintRule},
};
use crate::{
    export::{Held, Other},
    model::Setting,
};

/// What a parameter takes.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    /// Seconds without a unit.
    Seconds,
    OneOf(&'static [&'static str]),
}

/// Parameters of `[pgbouncer]` that are whole numbers.
#[rustfmt::skip]
const WHOLE: &[&str] = &[
    "application_name_add_host", "disable_pqexec", "listen_backlog", "listen_port", "log_connections", "log_disconnections",
    "log_pooler_errors", "log_stats", "max_client_conn", "max_db_client_connections", "max_db_connections",
    "max_packet_size", "max_prepared_statements", "max_user_client_connections", "max_user_connections", "peer_id", "pkt_buf",
    "query_wait_notify", "reserve_pool_size", "sbuf_loopcnt", "scram_iterations", "server_fast_close",
    "server_reset_query_always", "server_round_robin", "so_reuseport", "stats_period", "syslog", "tcp_defer_accept",
    "tcp_keepalive", "tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl", "tcp_socket_buffer", "tcp_user_timeout", "verbose",
];

/// Parameters of `[pgbouncer]` that are times.
#[rustfmt::skip]
const SECONDS: &[&str] = &[
    "autodb_idle_timeout", "cancel_wait_timeout", "client_idle_timeout", "client_login_timeout", "dns_max_ttl",
    "dns_nxdomain_ttl", "dns_zone_check_period", "idle_transaction_timeout", "query_timeout", "reserve_pool_timeout",
    "server_connect_timeout", "server_login_retry", "suspend_timeout", "transaction_timeout",
];

/// Sizes of a line in `[databases]` and `[users]`, which are read up to the first letter, so that a word is 0.
#[rustfmt::skip]
const SIZES: &[&str] = &[
    "max_db_client_connections", "max_db_connections", "max_user_client_connections", "max_user_connections", "min_pool_size",
    "pool_size", "reserve_pool", "reserve_pool_size",
];

const POOL_MODES: &[&str] = &["session", "transaction", "statement"];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const AUTH_TYPES: &[&str] = &["any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"];

fn kind(other: &Other) -> Option<Kind> {
    let name = other.name.as_str();
    let section = other.path.first().map(String::as_str);
    match (section, name) {
        (_, "pool_mode") => Some(Kind::OneOf(POOL_MODES)),
        (Some("databases" | "users"), _) => SIZES.contains(&name).then_some(Kind::Whole),
        (_, "auth_type") => Some(Kind::OneOf(AUTH_TYPES)),
        (_, "client_tls_sslmode" | "server_tls_sslmode") => Some(Kind::OneOf(SSL_MODES)),
        _ if WHOLE.contains(&name) => Some(Kind::Whole),
        _ => SECONDS.contains(&name).then_some(Kind::Seconds),
    }
}

/// Values that `PgBouncer` does not start with.
pub(super) fn refused(others: &[Other], findings: &mut Vec<Finding>) {
    findings.extend(others.iter().filter_map(|other| {
        let (kind, text) = (kind(other)?, text(other)?);
        let name = &other.name;
        let (rule, what, remedy) = match kind {
            Kind::OneOf(words) => {
                if words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                    return None;
                }
                let near = words
                    .iter()
                    .max_by(|one, other| strsim::jaro_winkler(text, one).total_cmp(&strsim::jaro_winkler(text, other)));
                let near = near.filter(|word| strsim::jaro_winkler(text, word) > 0.8);
                let remedy = match near {
                    Some(word) => format!("write {word}"),
                    None => format!("write one of {}", words.join(", ")),
                };
                (&rules::REFUSED, format!("{name} is none of the words that PgBouncer takes"), remedy)
            }
            Kind::Whole | Kind::Seconds => {
                let is_whole = matches!(kind, Kind::Whole);
                // PgBouncer takes no negative time; a negative size is its word for the default.
                if ini_number(text, is_whole).is_some_and(|number| is_whole || number >= 0.0) {
                    return None;
                }
                let seconds = humantime::parse_duration(text).ok().filter(|_| !is_whole);
                let due = if is_whole { "a whole number" } else { "a plain number of seconds, 0 or more" };
                let remedy =
                    seconds.map_or_else(|| format!("write {due}"), |time| format!("write {}", time.as_secs_f64()));
                (&rules::NOT_A_NUMBER, format!("{name} is no number that PgBouncer takes: it takes {due}"), remedy)
            }
        };
        Some(at(other, rule, what, remedy))
    }));
}

fn text(other: &Other) -> Option<&str> {
    match &other.held {
        Held::Text(text) if !is_filled_in(text) => Some(text.trim()),
        _ => None,
    }
}

fn at(other: &Other, rule: &'static LintRule, what: String, remedy: String) -> Finding {
    Finding::new((other.line, other.column), rule, what, remedy)
}

/// A line of `[databases]`.
struct Database<'a> {
    names: Vec<&'a Other>,
}

impl<'a> Database<'a> {
    fn named(&self, name: &str) -> Option<&'a Other> {
        self.names.iter().find(|other| other.name == name).copied()
    }

    /// A size of its own; less than 0 is the word for the default.
    fn size(&self, name: &str) -> Option<f64> {
        size(self.named(name)?)
    }
}

fn size(other: &Other) -> Option<f64> {
    ini_number(text(other)?, true).filter(|size| *size >= 0.0)
}

/// The lines of `[databases]`; each is a pool of its own for every user.
fn databases(others: &[Other]) -> Vec<Database<'_>> {
    let lines = others.iter().filter(|other| other.path.first().is_some_and(|section| section == "databases"));
    let mut databases: Vec<Database<'_>> = Vec::new();
    for other in lines {
        match databases.last_mut().filter(|last| last.names.first().is_some_and(|first| first.line == other.line)) {
            Some(last) => last.names.push(other),
            None => databases.push(Database { names: vec![other] }),
        }
    }
    databases
}

/// A parameter of `[pgbouncer]` that is no setting of ours.
fn global(pool: &Pool<'_>, name: &str) -> Option<f64> {
    let is_global =
        |other: &&Other| other.name == name && other.path.first().is_none_or(|section| section == "pgbouncer");
    pool.others.iter().rfind(is_global).and_then(size)
}

/// What `[pgbouncer]` says, or the default where it says nothing.
fn in_force(pool: &Pool<'_>, setting: Setting) -> Option<f64> {
    match pool.of(setting) {
        Some(entry) => number(entry),
        None => pool.format.of(setting).find_map(|(_, field)| field.default),
    }
}

/// The most connections that a pool of each database of one host takes, with the place that says so, for one user; the line
/// that takes the most first. Of several hosts it is the one that is asked for most. A reserve counts, since it is opened
/// under load.
pub(super) fn wanted(pool: &Pool<'_>) -> Vec<(f64, Option<(usize, usize)>)> {
    let default = in_force(pool, Setting::MaxConnections);
    let cap = global(pool, "max_db_connections").filter(|cap| *cap > 0.0);
    let of = |own: Option<f64>, reserve: Option<f64>, own_cap: Option<f64>| {
        let size = own.or(default).filter(|size| *size > 0.0)?;
        let reserve = reserve.or_else(|| global(pool, "reserve_pool_size")).unwrap_or(0.0);
        let cap = match own_cap {
            Some(cap) => Some(cap).filter(|cap| *cap > 0.0),
            None => cap,
        };
        Some((size + reserve).min(cap.unwrap_or(f64::INFINITY)))
    };
    let mut hosts: BTreeMap<(Option<&str>, Option<&str>), Vec<_>> = BTreeMap::new();
    for database in databases(pool.others) {
        let reserve = database.size("reserve_pool_size").or_else(|| database.size("reserve_pool"));
        let Some(most) = of(database.size("pool_size"), reserve, database.size("max_db_connections")) else { continue };
        let place = database.named("pool_size").or_else(|| database.named("max_db_connections"));
        let host = |name: &str| database.named(name).and_then(text);
        let place = place.map(|other| (other.line, other.column));
        hosts.entry((host("host"), host("port"))).or_default().push((most, place));
    }
    let sum = |wanted: &Vec<(f64, _)>| wanted.iter().map(|(most, _)| most).sum::<f64>();
    let mut wanted = hosts.into_values().max_by(|one, other| sum(one).total_cmp(&sum(other))).unwrap_or_default();
    if wanted.is_empty() {
        wanted.extend(of(None, None, None).map(|most| (most, None)));
    }
    wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
    wanted
}

/// Sizes of a database beside each other and beside those of `[pgbouncer]`.
pub(super) fn sizes(pool: &Pool<'_>, findings: &mut Vec<Finding>) {
    let default = in_force(pool, Setting::MaxConnections);
    let cap = global(pool, "max_db_connections");
    for database in databases(pool.others) {
        let size = database.size("pool_size").or(default);
        let least = database.size("min_pool_size").or_else(|| in_force(pool, Setting::MinConnections));
        let place = database.named("min_pool_size").or_else(|| database.named("pool_size"));
        if let (Some(place), Some(min), Some(max)) = (place, least, size)
            && min > max
            && max > 0.0
        {
            findings.push(at(
                place,
                &rules::MIN_ABOVE_MAX,
                format!("min_pool_size of this database is {min}, above its pool_size, {max}"),
                format!("write {max} or less, or raise pool_size"),
            ));
        }
        let own_cap = database.size("max_db_connections").or(cap).filter(|cap| *cap > 0.0);
        let place = database.named("pool_size").or_else(|| database.named("max_db_connections"));
        if let (Some(place), Some(size), Some(cap)) = (place, size, own_cap)
            && size > cap
        {
            findings.push(at(
                place,
                &rules::SIZE_ABOVE_CAP,
                above_cap("pool_size of this database", size, cap),
                cut(cap),
            ));
        }
    }
    if let Some(entry) = pool.of(Setting::MaxConnections)
        && let (Some(size), Some(cap)) = (number(entry), cap.filter(|cap| *cap > 0.0))
        && size > cap
    {
        let what = above_cap(entry.field.name, size, cap);
        findings.push(Finding::at(entry, &rules::SIZE_ABOVE_CAP, what, cut(cap)));
    }
}

fn above_cap(name: &str, size: f64, cap: f64) -> String {
    format!("{name} is {size}, above max_db_connections, {cap}, so that it is never reached")
}

fn cut(cap: f64) -> String {
    format!("write {cap} or less, or raise max_db_connections")
}
