//! What no single value says: values beside each other, beside the fleet, the server and the callers.

use std::time::Duration;

use super::{
    Circumstances, pgbouncer,
    pools::{Pool, is_on, number},
    rules::{self, Finding, Severity},
};
use crate::{
    export::{Entry, Format, Holds},
    model::{Setting, figures},
};

/// The usual limit of web servers and routers (gunicorn, Heroku: 30 s), where the callers' own is not known.
const USUAL_DEADLINE: Duration = Duration::from_secs(30);
/// PostgreSQL's `max_connections` by default, and those of them that are kept for superusers.
const USUAL_LIMIT: (u32, u32) = (100, 3);
/// After how long well-known load balancers drop an idle connection without a word, in seconds.
const BALANCERS: [(f64, &str); 2] =
    [(240.0, "Azure Load Balancer, by default"), (350.0, "AWS Network Load Balancer and NAT gateway")];
/// Pools whose lifetime has no random part.
const NO_JITTER: [&str; 5] = ["sqlx", "bb8", "database-sql", "pgxpool", "node-postgres"];
/// Pools that close idle connections below the minimum too.
const CLOSE_ALL_IDLE: [&str; 1] = ["asyncpg"];
/// A wait that is no wait, in seconds: opening a connection alone takes milliseconds.
const HARDLY_A_WAIT: f64 = 0.1;

pub(super) fn check(format: &Format, pool: &Pool<'_>, circumstances: &Circumstances, findings: &mut Vec<Finding>) {
    findings.extend(twice(pool));
    findings.extend(sizes(pool));
    findings.extend(idle(format, pool));
    findings.extend(lifetime(format, pool, circumstances));
    findings.extend(idle_beyond(format, pool, circumstances));
    findings.extend(overflow(pool));
    findings.extend(fleet(pool, circumstances));
    if format.name == "pgbouncer" {
        pgbouncer::sizes(pool, findings);
    }
    findings.extend(deadline(pool, circumstances));
    findings.extend(retries(pool));
    findings.extend(breaker(pool, circumstances));
    findings.extend(fixed(pool));
}

fn seconds(seconds: f64) -> String {
    figures::time(seconds)
}

/// The name and, where it differs, the value in our unit.
fn shown(entry: &Entry, number: f64) -> String {
    format!("{} ({})", entry.field.name, seconds(number))
}

fn twice(pool: &Pool<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, entry) in pool.entries.iter().enumerate() {
        let is_same = |other: &&&Entry| {
            other.field.name == entry.field.name && other.section.path == entry.section.path && other.path == entry.path
        };
        let Some(first) = pool.entries[..index].iter().find(is_same) else { continue };
        if first.held != entry.held {
            let what = format!("{} has another value in line {}", entry.field.name, first.line);
            findings.push(Finding::at(entry, &rules::SAME_TWICE, what, "remove one of the two"));
        }
    }
    findings
}

fn sizes(pool: &Pool<'_>) -> Option<Finding> {
    let entry = pool.of(Setting::MinConnections)?;
    let (min, max) = (number(entry)?, pool.number(Setting::MaxConnections)?);
    if min <= max || max == 0.0 {
        return None;
    }
    let of = pool.of(Setting::MaxConnections).map_or("the maximum by default", |max| max.field.name);
    let what = format!("{} is {min}, above {of}, {max}", entry.field.name);
    Some(Finding::at(entry, &rules::MIN_ABOVE_MAX, what, format!("write {max} or less, or raise the maximum")))
}

/// The connections that are kept however long they are idle. HikariCP's minimum is its maximum where nothing else is said.
fn kept(format: &Format, pool: &Pool<'_>) -> Option<f64> {
    let is_hikari = format.name == "hikaricp" || format.name == "spring-boot";
    let min = if is_hikari && pool.of(Setting::MinConnections).is_none() {
        pool.number(Setting::MaxConnections)
    } else {
        pool.number(Setting::MinConnections)
    };
    min.filter(|_| !CLOSE_ALL_IDLE.contains(&format.name))
}

fn idle(format: &Format, pool: &Pool<'_>) -> Vec<Finding> {
    let Some(entry) = pool.of(Setting::IdleTimeout) else { return Vec::new() };
    let Some(idle) = number(entry).filter(|idle| *idle > 0.0) else { return Vec::new() };
    let mut findings = Vec::new();
    if let (Some(kept), Some(max)) = (kept(format, pool), pool.number(Setting::MaxConnections))
        && (kept - max).abs() < 0.5
        && max > 0.0
    {
        let what = format!(
            "{} has no effect: all {max} connections are kept, as the minimum is not below the maximum",
            entry.field.name
        );
        let remedy = "keep a smaller minimum, or leave the idle timeout out";
        findings.push(Finding::at(entry, &rules::IDLE_NO_EFFECT, what, remedy));
    }
    // Where the table has a rule for the two, it says what happens.
    let has_rule = entry.field.rules.iter().any(|rule| matches!(rule.bound, crate::export::Bound::Below(..)));
    if let Some(lifetime) = pool.number(Setting::ConnectionLifetime).filter(|lifetime| *lifetime > 0.0)
        && idle >= lifetime
        && !has_rule
    {
        let what = format!("{} is not below the lifetime, {}", shown(entry, idle), seconds(lifetime));
        findings.push(Finding::at(
            entry,
            &rules::IDLE_ABOVE_LIFETIME,
            what,
            "write less than the lifetime, or raise that",
        ));
    }
    findings
}

fn lifetime(format: &Format, pool: &Pool<'_>, circumstances: &Circumstances) -> Option<Finding> {
    let entry = pool.of(Setting::ConnectionLifetime)?;
    number(entry).filter(|lifetime| *lifetime > 0.0)?;
    if !NO_JITTER.contains(&format.name) || pool.named("MaxConnLifetimeJitter").is_some() {
        return None;
    }
    let what =
        format!("{} does not vary in {}: connections opened together end together", entry.field.name, format.title);
    let remedy = "add a random part, drawn anew in each instance, such as up to a tenth of it";
    let severity = if circumstances.instances > 1 { Severity::Warning } else { Severity::Note };
    Some(Finding::at(entry, &rules::LIFETIME_JITTER, what, remedy).severity(severity))
}

/// How long a connection may be idle, and the name that says so.
fn longest_idle<'a>(format: &Format, pool: &Pool<'a>) -> Option<(&'a Entry, f64)> {
    let positive = |setting| Some((pool.of(setting)?, pool.number(setting)?)).filter(|(_, number)| *number > 0.0);
    // Where it sends something while a connection is idle, the connection is not idle.
    let sends = ["hikaricp", "spring-boot", "npgsql", "rails"].contains(&format.name)
        || pool.entries.iter().any(|entry| entry.section.library == "pool-tune");
    let beat = positive(Setting::HealthCheckInterval).filter(|_| sends);
    // Those that are always kept end by their age alone.
    let idle = positive(Setting::IdleTimeout).filter(|_| kept(format, pool).unwrap_or(0.0) == 0.0);
    let candidates = [beat, idle, positive(Setting::ConnectionLifetime)];
    candidates.into_iter().flatten().min_by(|one, other| one.1.total_cmp(&other.1))
}

fn idle_beyond(format: &Format, pool: &Pool<'_>, circumstances: &Circumstances) -> Vec<Finding> {
    let Some((entry, longest)) = longest_idle(format, pool) else { return Vec::new() };
    let mut findings = Vec::new();
    let remedy = |limit: f64| {
        format!("have idle connections checked or closed within {}, or their lifetime end before", seconds(limit))
    };
    let exceeded: Vec<String> = BALANCERS
        .iter()
        .filter(|(limit, _)| longest > *limit)
        .map(|(limit, who)| format!("{} ({who})", seconds(*limit)))
        .collect();
    if !exceeded.is_empty() {
        let what = format!(
            "a connection may be idle for as long as {}; a load balancer on the way would drop it after {}",
            shown(entry, longest),
            exceeded.join(" or ")
        );
        findings.push(Finding::at(entry, &rules::BALANCER, what, remedy(BALANCERS[0].0)));
    }
    if let Some((name, limit)) = circumstances.server.as_ref().and_then(|server| server.idle_limit.as_ref())
        && longest >= limit.as_secs_f64()
    {
        let what = format!(
            "a connection may be idle for as long as {}, and the server closes it after {} ({name})",
            shown(entry, longest),
            seconds(limit.as_secs_f64())
        );
        findings.push(Finding::at(entry, &rules::SERVER_IDLE, what, remedy(limit.as_secs_f64())));
    }
    findings
}

/// What one instance takes at most: where that is said, how many, and how they come about.
struct Demand {
    place: (usize, usize),
    most: f64,
    shown: String,
}

fn demand(pool: &Pool<'_>) -> Option<Demand> {
    let entry = pool.of(Setting::MaxConnections);
    if pool.format.name == "pgbouncer" {
        let wanted = pgbouncer::wanted(pool);
        let place = wanted.iter().find_map(|(_, place)| *place).or(entry.map(|entry| (entry.line, entry.column)))?;
        let most = wanted.iter().map(|(most, _)| most).sum();
        let terms: Vec<_> = wanted.iter().map(|(most, _)| most.to_string()).collect();
        let shown = match terms.as_slice() {
            [only] => only.clone(),
            // The largest are enough to see whose it is.
            terms if terms.len() <= 6 => format!("({} of [databases])", terms.join(" + ")),
            terms => format!("({} + … of {} databases)", terms[..5].join(" + "), terms.len()),
        };
        return (most > 0.0).then_some(Demand { place, most, shown });
    }
    let entry = entry?;
    let max = number(entry).filter(|max| *max > 0.0)?;
    let overflow = match entry.section.library {
        "SQLAlchemy" => pool.named("max_overflow").map_or(Some(10.0), number)?,
        _ => 0.0,
    };
    let shown = if overflow > 0.0 { format!("({max} + {overflow} of the overflow)") } else { max.to_string() };
    (overflow >= 0.0).then_some(Demand { place: (entry.line, entry.column), most: max + overflow, shown })
}

/// `SQLAlchemy`'s overflow without end.
fn overflow(pool: &Pool<'_>) -> Option<Finding> {
    let entry = pool.named("max_overflow")?;
    let overflow = number(entry).filter(|overflow| *overflow < 0.0)?;
    let what = format!("max_overflow is {overflow}: SQLAlchemy then has no limit");
    Some(Finding::at(entry, &rules::NO_SIZE_LIMIT, what, "write 0 or more"))
}

fn fleet(pool: &Pool<'_>, circumstances: &Circumstances) -> Option<Finding> {
    let Demand { place, most, shown } = demand(pool)?;
    let wanted = f64::from(circumstances.instances) * most;
    let product = format!("{} × {shown} = {wanted} connections", circumstances.instances);
    let (what, severity, given) = if let Some(server) = &circumstances.server {
        let limit = server.max_connections?;
        let given = limit.saturating_sub(server.reserved);
        let (shown, reserved) = (&server.shown, server.reserved);
        let what = format!("{product} are more than the {given} that {shown} gives ({limit} less {reserved} reserved)");
        (what, Severity::Error, given)
    } else {
        let given = USUAL_LIMIT.0 - USUAL_LIMIT.1;
        let what = format!(
            "{product} are more than the {given} that a PostgreSQL gives by default; --target compares with yours"
        );
        (what, Severity::Note, given)
    };
    let share = (f64::from(given) / f64::from(circumstances.instances)).floor();
    let remedy = format!("at most {share} an instance, fewer instances, or a pooler between them and the server");
    (wanted > f64::from(given)).then(|| Finding::new(place, &rules::FLEET, what, remedy).severity(severity))
}

/// The callers' limit in seconds, how it is told, and how bad it is to exceed it.
fn limit(circumstances: &Circumstances, usual: Severity) -> (f64, String, Severity) {
    match circumstances.deadline {
        Some(deadline) => (deadline.as_secs_f64(), figures::time(deadline.as_secs_f64()), Severity::Warning),
        None => (
            USUAL_DEADLINE.as_secs_f64(),
            "30 s (the usual limit of web servers; --deadline says yours)".to_owned(),
            usual,
        ),
    }
}

fn deadline(pool: &Pool<'_>, circumstances: &Circumstances) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (limit, told, severity) = limit(circumstances, Severity::Note);
    let Some(wait) = pool.number(Setting::ConnectionTimeout).filter(|wait| *wait > 0.0) else { return findings };
    if let Some(entry) = pool.of(Setting::ConnectionTimeout)
        && wait > limit
    {
        let what = format!("{} is longer than callers wait: {told}", shown(entry, wait));
        findings.push(
            Finding::at(
                entry,
                &rules::WAIT_ABOVE_DEADLINE,
                what,
                "write less than what callers wait, less the work itself",
            )
            .severity(severity),
        );
    } else if let Some(entry) = pool.of(Setting::RetryAttempts)
        && let Some(retries) = number(entry).filter(|retries| *retries > 0.0)
        && wait * (retries + 1.0) > limit
    {
        let total = seconds(wait * (retries + 1.0));
        let what = format!(
            "{} attempts × {} of waiting for a connection are {total}, and callers wait {told}",
            retries + 1.0,
            seconds(wait)
        );
        let remedy = "a shorter wait, fewer retries, or one time limit around all of them";
        findings.push(Finding::at(entry, &rules::RETRIES_ABOVE_DEADLINE, what, remedy).severity(severity));
    }
    if let Some(entry) = pool.of(Setting::ValidationTimeout)
        && let Some(validation) = number(entry)
        && validation >= wait
    {
        let what = format!("{} is not below the wait for a connection, {}", shown(entry, validation), seconds(wait));
        findings.push(Finding::at(entry, &rules::VALIDATION_ABOVE_WAIT, what, "write less than the wait"));
    }
    findings
}

/// What makes a library's delays grow, and whether that is a switch or a factor, which 1 is no growth for.
const BACKOFF: [(&str, bool); 6] = [
    ("enableExponentialBackoff", true),
    ("exponentialBackoffMultiplier", false),
    ("factor", false),
    ("with_factor", false),
    ("RetryMultiplier", false),
    ("multiplier", false),
];

/// What makes a library's delays vary, which they do not by default.
const RANDOM: [(&str, &str); 2] = [("resilience4j", "enableRandomizedWait"), ("p-retry", "randomize")];

fn retries(pool: &Pool<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(entry) = pool.of(Setting::RetryAttempts) else { return findings };
    if number(entry).is_none_or(|retries| retries <= 0.0) {
        return findings;
    }
    let library = entry.section.library;
    let first = pool.of(Setting::InitialRetryDelay);
    let remedy = "let the delay begin at 0.1 to 0.5 s and double, up to some seconds";
    if let Some(first) = first.filter(|first| number(first) == Some(0.0)) {
        findings.push(Finding::at(
            first,
            &rules::NO_BACKOFF,
            format!("{} is 0: retries follow at once", first.field.name),
            remedy,
        ));
    } else if let Some((name, entry)) = BACKOFF.iter().find_map(|(name, is_switch)| {
        let entry = pool.named(name)?;
        let constant = if *is_switch { !is_on(entry) } else { number(entry).is_some_and(|factor| factor <= 1.0) };
        constant.then_some((name, entry))
    }) {
        findings.push(Finding::at(
            entry,
            &rules::NO_BACKOFF,
            format!("{name} keeps the delay of all retries the same"),
            remedy,
        ));
    } else if library == "resilience4j" && pool.named("enableExponentialBackoff").is_none() {
        let what = "enableExponentialBackoff is not set: all retries have the same delay".to_owned();
        findings.push(Finding::at(entry, &rules::NO_BACKOFF, what, "add enable-exponential-backoff: true"));
    }
    let remedy = "let each delay vary by a tenth or more";
    if let Some(jitter) = pool.of(Setting::RetryJitterFactor).filter(|jitter| number(jitter) == Some(0.0)) {
        let what = format!("{} is 0: retries have no random part", jitter.field.name);
        findings.push(Finding::at(jitter, &rules::NO_JITTER, what, remedy));
    } else if let Some((_, switch)) = RANDOM.iter().find(|(of, _)| *of == library) {
        let found = pool.named(switch);
        if found.is_none_or(|found| !is_on(found)) {
            let what = format!("{switch} is not on: retries have no random part");
            let finding = Finding::at(found.unwrap_or(entry), &rules::NO_JITTER, what, format!("set {switch} to true"));
            // p-retry's random part is up to the whole delay: leaving it out may be meant.
            let is_meant = found.is_none() && library == "p-retry";
            findings.push(if is_meant { finding.severity(Severity::Note) } else { finding });
        }
    }
    if let Some(entry) = first
        && let (Some(first), Some(most)) = (number(entry), pool.of(Setting::MaxRetryDelay).and_then(number))
        && first > most
    {
        let what = format!("{} is above the greatest delay, {}", shown(entry, first), seconds(most));
        findings.push(Finding::at(entry, &rules::DELAY_ABOVE_CAP, what, "write less than the greatest delay"));
    }
    findings
}

fn breaker(pool: &Pool<'_>, circumstances: &Circumstances) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !pool.has(&[Setting::CircuitBreakerThreshold, Setting::CircuitBreakerTimeout]) {
        return findings;
    }
    let threshold = pool.of(Setting::CircuitBreakerThreshold);
    if let Some(entry) =
        threshold.filter(|entry| number(entry).is_some_and(|threshold| threshold <= 1.0 && threshold > 0.0))
    {
        let what = format!("{} is 1: a single failure opens the circuit", entry.field.name);
        findings.push(Finding::at(entry, &rules::BREAKER_HAIR_TRIGGER, what, "let three or more failures open it"));
    }
    let Some((entry, wait)) = pool.of(Setting::ConnectionTimeout).and_then(|entry| Some((entry, number(entry)?)))
    else {
        return findings;
    };
    // A zero is for ever in some pools; there the table says so.
    let is_word = wait == 0.0 && entry.field.rules.iter().any(|rule| rule.bound == crate::export::Bound::NotZero);
    let (limit, told, _) = limit(circumstances, Severity::Note);
    if wait < HARDLY_A_WAIT && !is_word {
        let what = format!(
            "{} hardly waits, and the circuit breaker counts what an exhausted pool raises",
            shown(entry, wait)
        );
        findings.push(Finding::at(
            entry,
            &rules::BREAKER_EXHAUSTION,
            what,
            "wait for some seconds, or have the breaker pass over the pool's own error",
        ));
    } else if wait > limit && circumstances.deadline.is_some() {
        let what = format!(
            "the circuit breaker hears of an exhausted pool after {}, and callers wait {told}",
            shown(entry, wait)
        );
        findings.push(Finding::at(entry, &rules::BREAKER_DEADLINE, what, "write less than what callers wait"));
    }
    findings
}

/// Names that an export fixes because others only mean what they say beside them.
fn fixed(pool: &Pool<'_>) -> Option<Finding> {
    let entry = pool.named("CONN_MAX_AGE").filter(|entry| matches!(entry.field.holds, Holds::Fixed(_)))?;
    let has_pool = pool.entries.iter().any(|entry| entry.section.library == "psycopg_pool");
    // `None` keeps connections for ever.
    let is_zero = number(entry) == Some(0.0);
    let what = "CONN_MAX_AGE is not 0 beside a pool".to_owned();
    (has_pool && !is_zero)
        .then(|| Finding::at(entry, &rules::AGE_BESIDE_POOL, what, "write 0; the pool's max_lifetime ends connections"))
}
