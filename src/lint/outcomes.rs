//! What pools do with single values, as the tables of `export/formats` say.

use super::{
    literals::{self, NEGATIVE_IS_NONE},
    pools::{Pool, is_off, number, theirs},
    rules::{self, Finding, LintRule, Severity},
};
use crate::{
    export::{Bound, Convert, Entry, Format, Holds, Outcome, Rule},
    model::{Setting, Settings, Unit, Value},
};

pub(super) fn check(format: &Format, pool: &Pool<'_>, findings: &mut Vec<Finding>) {
    let settings = settings(pool);
    for entry in &pool.entries {
        let (setting, convert) = match entry.field.holds {
            Holds::Setting(setting, convert) => (setting, convert),
            Holds::Other(convert) => {
                findings.extend(other(entry, convert, &settings));
                continue;
            }
            Holds::Fixed(_) => continue,
        };
        if setting.spec().unit == Unit::Sql {
            findings.extend(validation(entry, convert, pool));
            continue;
        }
        let Some(theirs) = theirs(entry) else { continue };
        // There below 0 is what 0 is.
        let is_none = NEGATIVE_IS_NONE.contains(&entry.section.library) || entry.field.name == "pool_size";
        let (written, theirs) = (theirs, if is_none { theirs.max(0.0) } else { theirs });
        let value = Value::from_number(setting, convert.ours(theirs));
        // A bound beside another setting is only judged where the value is one of ours.
        let broken = entry.field.rules.iter().find(|rule| match (&value, rule.bound) {
            (Err(_), Bound::Below(..)) => false,
            (Err(_), _) => rule.is_broken(theirs, &Value::Count(0), &settings),
            (Ok(value), _) => rule.is_broken(theirs, value, &settings),
        });
        if let Some(rule) = broken {
            findings.push(finding(entry, setting, convert, written, rule));
        } else {
            findings.extend(literals::milliseconds(format, entry));
        }
    }
    if let Some(first) = pool.entries.first() {
        findings.extend(defaults(format, pool, first));
    }
}

/// A name that holds no setting of ours; 0 switches it off.
fn other(entry: &Entry, convert: Convert, settings: &Settings) -> Option<Finding> {
    let theirs = theirs(entry).filter(|theirs| *theirs > 0.0)?;
    let value = Value::from_number(Setting::MaxRetryDelay, convert.ours(theirs)).ok()?;
    let rule = entry.field.rules.iter().find(|rule| rule.is_broken(theirs, &value, settings))?;
    Some(finding(entry, Setting::MaxRetryDelay, convert, theirs, rule))
}

/// What the pool does with what it holds, and the guide's defaults for the rest; enough for rules between two settings.
fn settings(pool: &Pool<'_>) -> Settings {
    let known = Setting::all().filter(|setting| setting.spec().unit != Unit::Sql);
    let in_force = |setting: Setting| {
        let number = pool.number(setting)?;
        let held = pool.of(setting).and_then(|entry| Some((entry, theirs(entry)?)));
        let alone = |rule: &&Rule| !matches!(rule.bound, Bound::Below(..));
        let broken = held.and_then(|(entry, theirs)| {
            let is_broken = |rule: &&Rule| rule.is_broken(theirs, &Value::Count(0), &Settings::default());
            entry.field.rules.iter().filter(alone).find(is_broken)
        });
        let number = match broken.map(|rule| rule.outcome) {
            Some(Outcome::Unlimited) => setting.spec().legal.1,
            // The pool takes its default in its place.
            Some(Outcome::Replaced) => pool.default(setting)?,
            _ => number,
        };
        Some((setting, Value::from_number(setting, number).ok()?))
    };
    known.filter_map(in_force).fold(Settings::default(), |settings, (setting, value)| settings.with(setting, value))
}

fn finding(entry: &Entry, setting: Setting, convert: Convert, theirs: f64, rule: &Rule) -> Finding {
    let lint_rule = rule_of(rule.outcome, setting);
    let what = format!("{} is {theirs}{}: {}", entry.field.name, convert.unit(), rule.otherwise);
    let unit = convert.unit();
    let remedy = match rule.bound {
        Bound::NotZero => format!("write a {} above 0{}", entry.field.name, recommended(setting, convert)),
        Bound::AtLeast(least) => format!("write {least}{unit} or more"),
        Bound::AtMost(most) => format!("write {most}{unit} or less"),
        Bound::Under(limit) => format!("write less than {limit}{unit}"),
        Bound::Below(other, _) => format!("keep it below what {other} is, or raise that"),
    };
    Finding::at(entry, lint_rule, what, remedy)
}

fn rule_of(outcome: Outcome, setting: Setting) -> &'static LintRule {
    match (outcome, setting) {
        (Outcome::Refused, _) => &rules::REFUSED,
        (Outcome::Replaced, _) => &rules::REPLACED,
        (Outcome::Spent, _) => &rules::SPENT,
        (Outcome::Unlimited, Setting::ConnectionTimeout) => &rules::NO_WAIT_LIMIT,
        (Outcome::Unlimited, Setting::ConnectionLifetime) => &rules::NO_LIFETIME,
        (Outcome::Unlimited, Setting::IdleTimeout) => &rules::NO_IDLE_TIMEOUT,
        (Outcome::Unlimited, Setting::HealthCheckInterval) => &rules::NO_CHECKS,
        (Outcome::Unlimited, _) => &rules::NO_SIZE_LIMIT,
    }
}

/// The guide's range, in their unit.
pub(super) fn recommended(setting: Setting, convert: Convert) -> String {
    let (low, high) = setting.spec().recommended;
    let factor = if convert == Convert::Milliseconds { 1000.0 } else { 1.0 };
    format!(", such as {} to {}{}", low * factor, high * factor, convert.unit())
}

/// Defaults that are no limit at all.
fn defaults(format: &Format, pool: &Pool<'_>, first: &Entry) -> Vec<Finding> {
    let here = |library: &str| pool.entries.iter().any(|entry| entry.section.library == library);
    [Setting::ConnectionTimeout, Setting::MaxConnections]
        .into_iter()
        .filter_map(|setting| {
            let (_, field) = format.of(setting).find(|(section, _)| here(section.library))?;
            if pool.named(field.name).is_some() {
                return None;
            }
            let default = field.default?;
            let rule = field.rules.iter().find(|rule| {
                rule.outcome == Outcome::Unlimited && rule.is_broken(default, &Value::Count(0), &Settings::default())
            })?;
            let convert = if let Holds::Setting(_, convert) = field.holds { convert } else { Convert::Count };
            let what = format!("{} is not set, and by default it is {default}: {}", field.name, rule.otherwise);
            let remedy = format!("set {}{}", field.name, recommended(setting, convert));
            Some(Finding::at(first, rule_of(rule.outcome, setting), what, remedy))
        })
        .collect()
}

fn validation(entry: &Entry, convert: Convert, pool: &Pool<'_>) -> Option<Finding> {
    if !is_off(entry)? {
        return None;
    }
    let name = entry.field.name;
    if matches!(convert, Convert::Text | Convert::TextIfAny) {
        let what = format!("{name} is empty, which switches the check off");
        return Some(Finding::at(
            entry,
            &rules::EMPTY_CHECK,
            what,
            format!("write a statement, such as {name} = SELECT 1, or leave the line out"),
        ));
    }
    let checks_idle = pool.of(Setting::HealthCheckInterval).and_then(number).is_some_and(|interval| interval > 0.0);
    let what = format!("{name} is off: connections are handed out unchecked");
    let remedy = "switch it on, or retry what fails on a connection that had been idle";
    (!checks_idle).then(|| Finding::at(entry, &rules::UNCHECKED, what, remedy).severity(Severity::Note))
}

/// Pools that are told by their class alone.
const NO_WAIT: [&str; 2] = ["ThreadedConnectionPool(", "SimpleConnectionPool("];

/// What no name with a value says.
pub(super) fn check_text(text: &str, entries: &[Entry], findings: &mut Vec<Finding>) {
    let class = |line: &str| NO_WAIT.into_iter().find_map(|class| Some((class, line.find(class)?)));
    let mut code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with(['#', '/', ';']));
    let found = code.find_map(|(index, line)| Some((index, class(line)?, line)));
    let Some((index, (class, at), line)) = found else { return };
    let finding = |rule: &'static LintRule, what: String, remedy: &str| Finding {
        rule,
        severity: rule.severity,
        line: index + 1,
        column: line[..at].chars().count() + 1,
        what,
        remedy: remedy.to_owned(),
    };
    let class = class.trim_end_matches('(');
    let what = format!("psycopg2's {class} does not wait: an exhausted pool raises an error at once");
    findings.push(finding(
        &rules::NO_WAIT,
        what,
        "take a semaphore of the pool's size before getconn(), or a pool that waits (psycopg_pool, SQLAlchemy)",
    ));
    let is_breaker = |entry: &&Entry| {
        matches!(
            entry.field.holds,
            Holds::Setting(Setting::CircuitBreakerThreshold | Setting::CircuitBreakerTimeout, _)
        )
    };
    if entries.iter().any(|entry| is_breaker(&entry)) {
        let what = format!("a circuit breaker counts what psycopg2's {class} raises when it is exhausted");
        findings.push(finding(
            &rules::BREAKER_EXHAUSTION,
            what,
            "have the breaker pass over the pool's own error, or use a pool that waits",
        ));
    }
}
