//! The words for verdicts, settings and errors.

use super::{fault_in_words, figures};
use crate::model::{
    DecidedBy, ErrorClass, Estimate, Fault, Interval, Judged, Recommendation, Row, Setting, Settings, StandingOutcome,
    Unit, Value, Verdict, Verification,
};

/// The longest text of the terminal's last column: with the others it fits 120 columns.
const EFFECT_WIDTH: usize = 55;
/// The longest statement shown in the terminal's table.
const SQL_WIDTH: usize = 24;

/// Text on one line: what would end a line, or turn its direction, is written as an escape.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if breaks(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Whether a character must not be written as it is: controls, line ends, and marks of the direction of writing.
pub(crate) fn breaks(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A value as a person reads it, on one line.
pub(crate) fn value(value: &Value) -> String {
    one_line(&value.to_string())
}

/// A unit in a word.
pub(crate) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Seconds => "seconds",
        Unit::Factor => "factor",
        Unit::Sql => "SQL",
    }
}

/// What decided a setting, in a word.
pub(crate) fn decided_by(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Trial => "trial",
        DecidedBy::TrialWithFaults => "trial with faults",
        DecidedBy::Simulation => "simulation",
        DecidedBy::Kept => "kept",
        DecidedBy::Pinned => "pinned",
    }
}

/// A class of errors in a few words.
pub(crate) fn error(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::AcquireTimeoutWaiting => "timeout, waiting for a connection",
        ErrorClass::AcquireTimeoutOpening => "timeout, opening a connection",
        ErrorClass::AcquireTimeoutValidating => "timeout, validating a connection",
        ErrorClass::AcquireTimeoutNested => "timeout, waiting for a second connection",
        ErrorClass::TooManyConnections => "too many connections",
        ErrorClass::Connect => "connecting",
        ErrorClass::Validation => "validation",
        ErrorClass::ConnectionLost => "connection lost",
        ErrorClass::Query => "query",
        ErrorClass::CircuitOpen => "circuit open",
        ErrorClass::Unfinished => "unfinished at the end",
    }
}

/// The answer of a run in one plain sentence.
#[must_use]
pub fn verdict_sentence(recommendation: &Recommendation) -> String {
    let stood = standing_sentence(recommendation).map(|told| format!(" {told}")).unwrap_or_default();
    match &recommendation.verdict {
        Verdict::Better => better(recommendation) + &stood,
        Verdict::Simulated { reason } => format!("Use {}. {}.", simulated(recommendation), without_stop(reason)),
        Verdict::Keep { reason } => format!("Keep the settings in use: {}.", without_stop(reason)),
        Verdict::Infeasible { reason } => format!("No settings keep the limits: {}.", without_stop(reason)),
    }
}

/// What became of settings that stood recommended when others or the same are recommended now: since when and by which run.
fn standing_sentence(recommendation: &Recommendation) -> Option<String> {
    let judged = recommendation.memory.as_ref()?.standing.as_ref()?;
    let since = format!("since {} (run {})", one_line(day(&judged.since)), one_line(&judged.run));
    let change = |ratio: Estimate| {
        let Interval { low, high } = ratio.interval;
        let change = Estimate { value: ratio.value - 1.0, interval: Interval { low: low - 1.0, high: high - 1.0 } };
        figures::change_interval(change)
    };
    match judged.outcome {
        StandingOutcome::Stands => Some(format!("That stands {since}.")),
        StandingOutcome::Replaced => {
            let against = match (&judged.challenger, judged.against_in_use) {
                (Some(challenger), _) if challenger.ratio.value > 1.0 => {
                    format!("{} {} against it", change(challenger.ratio), counted(recommendation))
                }
                (_, Some(ratio)) if ratio.interval.high < 1.0 => {
                    format!(
                        "which is worse than the settings in use now: {} {}",
                        change(ratio),
                        counted(recommendation)
                    )
                }
                _ => "which keeps the limits less often than the settings in use now".to_owned(),
            };
            let stood = named(recommendation, &judged.settings);
            Some(format!("It replaces {stood}, recommended {since}: {against}."))
        }
        StandingOutcome::First | StandingOutcome::Withdrawn => None,
    }
}

/// The date of a time.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or_default()
}

/// Settings by what they differ in from those in use: `max_connections 20`.
pub(crate) fn named(recommendation: &Recommendation, settings: &Settings) -> String {
    let differing = recommendation.rows.iter().map(|row| (row, settings.get(row.setting)));
    let named: Vec<String> = differing
        .filter(|(row, now)| row.was != **now)
        .map(|(row, now)| format!("{} {}", row.setting, value(now)))
        .collect();
    if named.is_empty() { "the settings in use".to_owned() } else { named.join(", ") }
}

/// What the loss of a day is called where its change is told.
pub(crate) const LOST: &str = "lost";

/// The changes that trials decided: `max_connections 20 instead of 30`.
fn changes(recommendation: &Recommendation) -> String {
    let changed = recommendation.rows.iter().filter(|row| row.was != row.now);
    changed
        .filter(|row| row.decided_by != DecidedBy::Simulation)
        .map(|row| format!("{} {} instead of {}", row.setting, value(&row.now), value(&row.was)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the simulation decided, each change with what decided it: their joint interval may show less than each change's own.
fn simulated(recommendation: &Recommendation) -> String {
    let decided =
        recommendation.rows.iter().filter(|row| row.was != row.now && row.decided_by == DecidedBy::Simulation);
    let told: Vec<String> = decided
        .enumerate()
        .map(|(index, row)| {
            let change = format!("{} {} instead of {}", row.setting, value(&row.now), value(&row.was));
            let Some(Estimate { value, interval }) = row.effect else { return change };
            // Where it stands is said once.
            let days = if index == 0 { " is lost in simulated days" } else { "" };
            format!(
                "{change}: {} {}{days} [{:+.1}, {:+.1} %]",
                figures::size(value),
                if value < 0.0 { "less" } else { "more" },
                figures::tenths_of_percent(interval.low),
                figures::tenths_of_percent(interval.high)
            )
        })
        .collect();
    told.join("; ")
}

fn better(recommendation: &Recommendation) -> String {
    let evidence = match &recommendation.verification {
        Some(found) if let Some(judged) = stands(recommendation) => still(recommendation, judged, found),
        Some(found) => {
            let change = found.ratio.value - 1.0;
            format!(
                "{} {} {} [{:+.1}, {:+.1} %],{} {} in {}; success rate {} against {}",
                figures::size(change),
                if change < 0.0 { "less" } else { "more" },
                counted(recommendation),
                figures::tenths_of_percent(found.ratio.interval.low - 1.0),
                figures::tenths_of_percent(found.ratio.interval.high - 1.0),
                if found.by_faults_alone { " by what is served under faults alone," } else { "" },
                "verified",
                pairs(found),
                figures::share(found.success_now.value),
                figures::share(found.success_was.value)
            )
        }
        None => format!(
            "{} requests/s against {}",
            figures::rate(recommendation.throughput.now.value),
            figures::rate(recommendation.throughput.was.value)
        ),
    };
    let beside = simulated(recommendation);
    let beside = if beside.is_empty() { beside } else { format!(" Beside it, use {beside}.") };
    format!("Use {}: {evidence}.{beside}", changes(recommendation))
}

/// What a night makes of what was recommended before and stands: a few pairs, which may show nothing.
fn still(recommendation: &Recommendation, judged: &Judged, found: &Verification) -> String {
    let [low, high] =
        [found.ratio.interval.low, found.ratio.interval.high].map(|bound| figures::tenths_of_percent(bound - 1.0));
    let pairs = so_many_pairs(found.pairs);
    let rates = format!(
        "success rate {} against {}",
        figures::share(found.success_now.value),
        figures::share(found.success_was.value)
    );
    let from = format!("as run {} recommended", one_line(&judged.run));
    if found.ratio.interval.low > 1.0 {
        let change = figures::size(found.ratio.value - 1.0);
        let counted = counted(recommendation);
        return format!("{from}; {change} more {counted} [{low:+.1}, {high:+.1} %] seen again in {pairs}; {rates}");
    }
    format!("{from}; {pairs} made now neither show it again nor contradict it [{low:+.1}, {high:+.1} %]; {rates}")
}

/// What was recommended before, where it is what is recommended.
fn stands(recommendation: &Recommendation) -> Option<&Judged> {
    let judged = recommendation.memory.as_ref().and_then(|memory| memory.standing.as_ref());
    judged.filter(|judged| judged.outcome == StandingOutcome::Stands)
}

/// What the settings of one pool come to where several share the server.
#[must_use]
pub fn fleet_sentence(recommendation: &Recommendation) -> Option<String> {
    let instances = recommendation.provenance.instances;
    let row = recommendation.rows.iter().find(|row| row.setting == Setting::MaxConnections)?;
    let size = |of: &Value| if let Value::Count(size) = of { Some(*size) } else { None };
    let (was, now) = (size(&row.was)?, size(&row.now)?);
    let all = |each: u32| u64::from(each) * u64::from(instances);
    let change = if was == now {
        String::new()
    } else {
        format!(", and {} with the recommended settings ({now} in each)", all(now))
    };
    let told =
        format!("{instances} pools shared the server: {} connections at most ({was} in each){change}.", all(was));
    (instances > 1).then_some(told)
}

/// What effects are changes of.
pub(crate) fn counted(recommendation: &Recommendation) -> &'static str {
    match recommendation.under_faults {
        Some(_) => "throughput with faults counted",
        None => "throughput",
    }
}

/// Faults with their times, alike ones together: `connections reset at 500 ms, 800 ms`.
#[must_use]
pub fn timeline_in_words(timeline: &[Fault]) -> String {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for fault in timeline {
        let lasts = fault.lasts.as_secs_f64();
        let length = if lasts > 0.0 { format!(" for {}", figures::time(lasts)) } else { String::new() };
        let (what, at) = (fault_in_words(fault) + &length, figures::time(fault.at.as_secs_f64()));
        match told.iter_mut().find(|(known, _)| *known == what) {
            Some((_, times)) => times.push(at),
            None => told.push((what, vec![at])),
        }
    }
    told.iter().map(|(what, times)| format!("{what} at {}", times.join(", "))).collect::<Vec<_>>().join("; ")
}

/// What faults did, in a sentence, where trials had a part with them.
#[must_use]
pub fn faults_sentence(recommendation: &Recommendation) -> Option<String> {
    let found = recommendation.under_faults.as_ref()?;
    let tried = found.tried.map_or(String::new(), |tried| {
        let name = if recommendation.verdict == Verdict::Better { "recommended" } else { "tried instead" };
        format!(", and {} with those {name}", figures::share_interval(tried))
    });
    let alone = found.throughput_ratio.map_or(String::new(), |ratio| {
        let Interval { low, high } = ratio.interval;
        let change = Estimate { value: ratio.value - 1.0, interval: Interval { low: low - 1.0, high: high - 1.0 } };
        format!("; without faults throughput changes by {}", figures::change_interval(change))
    });
    Some(format!(
        "Under faults, which count for {:.0} % of the time, {} of requests are served within {} with the settings in \
         use{tried}{alone}.",
        found.weight * 100.0,
        figures::share_interval(found.was),
        figures::time(found.deadline)
    ))
}

/// A number of pairs, and that there would have been more where an early look was clear.
pub(crate) fn pairs(found: &Verification) -> String {
    let Verification { pairs, planned, .. } = found;
    match planned {
        Some(planned) => format!("{pairs} of at most {planned} pairs, by when it was clear"),
        None => so_many_pairs(*pairs),
    }
}

/// A number of pairs.
pub(crate) fn so_many_pairs(pairs: u32) -> String {
    if pairs == 1 { "1 pair".to_owned() } else { format!("{pairs} pairs") }
}

fn without_stop(reason: &str) -> String {
    one_line(reason.trim().trim_end_matches('.'))
}

/// The settings as a terminal shows them: name, was, now, decided by, effect on throughput.
///
/// The last column says for a changed setting what it gains, for a kept one shortly why, with the measured effect where
/// there is one. With usual values a row fits 120 columns.
#[must_use]
pub fn table(recommendation: &Recommendation) -> Vec<[String; 5]> {
    recommendation
        .rows
        .iter()
        .map(|row| {
            [
                row.setting.name().to_owned(),
                shortened(&row.was),
                shortened(&row.now),
                // Its whole name would cost the last column words.
                if row.decided_by == DecidedBy::TrialWithFaults { "faults" } else { decided_by(row.decided_by) }
                    .to_owned(),
                effect_in_short(row),
            ]
        })
        .collect()
}

fn shortened(shown: &Value) -> String {
    let text = value(shown);
    if text.chars().count() <= SQL_WIDTH {
        return text;
    }
    let start: String = text.chars().take(SQL_WIDTH - 2).collect();
    format!("{start}…'")
}

fn effect_in_short(row: &Row) -> String {
    let effect = row.effect.map(|effect| effect_of(row, effect));
    match (row.decided_by, effect) {
        (DecidedBy::Trial | DecidedBy::TrialWithFaults | DecidedBy::Simulation, Some(effect)) => effect,
        (_, None) => fitting(&row.why, EFFECT_WIDTH),
        (_, Some(effect)) => {
            format!("{} ({effect})", fitting(&row.why, EFFECT_WIDTH.saturating_sub(effect.chars().count() + 3)))
        }
    }
}

/// The effect of a setting, with what it is one on where that is not throughput.
pub(crate) fn effect_of(row: &Row, effect: Estimate) -> String {
    let shown = figures::change_interval(effect);
    if row.is_of_loss() { shown.replacen(" % [", &format!(" % {LOST} ["), 1) } else { shown }
}

/// As many whole clauses of `text` as fit, at least the first.
fn fitting(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width {
        return text;
    }
    let ends = text.match_indices([',', ':', ';']).map(|(index, _)| &text[..index]);
    let mut clauses: Vec<_> = ends.collect();
    let first = clauses.first().copied().unwrap_or(&text);
    clauses.retain(|clause| clause.chars().count() <= width);
    clauses.last().copied().unwrap_or(first).to_owned()
}
