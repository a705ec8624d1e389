//! Values that are written out and yet no number that the pool can take. What is known only when the program runs, or is
//! filled in when the file is deployed, is not judged.

use std::time::Duration;

use super::{
    pools,
    rules::{self, Finding, Severity},
};
use crate::{
    export::{Convert, Entry, Format, Held, Holds, Language},
    model::{Setting, Unit, figures},
};

/// Pools that take a negative number for "none", as they do 0.
pub(super) const NEGATIVE_IS_NONE: [&str; 2] = ["Active Record", "database/sql"];
/// Single names that a negative number means something for.
const NEGATIVE_IS_A_WORD: [&str; 2] = ["pool_recycle", "pool_size"];

/// Whether a text is filled in before the pool reads it: `${POOL:10}`, `<%= … %>`, `{{ .Values.pool }}`, `@pool@`.
pub(super) fn is_filled_in(text: &str) -> bool {
    let text = text.trim();
    text.contains(['$', '{', '<']) || text.starts_with(['@', '%', '!']) || text.starts_with("__")
}

/// The number that an ini of `PgBouncer` says; whole ones may be hexadecimal, as C reads them.
pub(super) fn ini_number(text: &str, is_whole: bool) -> Option<f64> {
    let text = text.trim();
    if !is_whole {
        return text.parse().ok().filter(|number: &f64| number.is_finite());
    }
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().map(f64::from),
        None => text.parse::<i32>().ok().map(f64::from),
    }
}

pub(super) fn check(format: &Format, entries: &[&Entry], findings: &mut Vec<Finding>) {
    findings.extend(entries.iter().filter_map(|entry| misfit(format, entry)));
}

fn misfit(format: &Format, entry: &Entry) -> Option<Finding> {
    let (setting, convert) = match entry.field.holds {
        Holds::Setting(_, Convert::Validated { .. }) | Holds::Other(Convert::Validated { .. }) => return None,
        Holds::Setting(setting, _) if setting.spec().unit == Unit::Sql => return None,
        Holds::Setting(setting, convert) => (Some(setting), convert),
        Holds::Other(convert) => (None, convert),
        // What is a number in every export is one in every file.
        Holds::Fixed(word) => (None, word.parse::<f64>().ok().map(|_| Convert::Factor)?),
    };
    let number = match &entry.held {
        Held::Unclear(_) => return None,
        // There it is how an option is left out.
        Held::Truth(false) if format.language == Language::JavaScript => return None,
        Held::Truth(_) => None,
        Held::Number(number) => Some(*number),
        Held::Text(text) if is_filled_in(text) => return None,
        Held::Text(text) if text.trim().is_empty() => {
            // Elsewhere it is as good as left out.
            let is_read =
                format.language == Language::Ini || format.language == Language::Properties && entry.path.is_empty();
            return is_read.then(|| not_a_number(entry, setting, convert, None));
        }
        Held::Text(text) => match text_number(format, convert, text) {
            Ok(number) => number,
            // A time with its unit, where that is how times are said.
            Err(TimeWithUnit) => return None,
        },
    };
    let Some(number) = number.filter(|number| number.is_finite()) else {
        let finding = not_a_number(entry, setting, convert, pools::theirs(entry));
        // Newer releases read `20s` in their own properties, but not from Spring.
        let is_newer =
            format.language == Language::Properties && entry.path.is_empty() && pools::theirs(entry).is_some();
        return Some(if is_newer { finding.severity(Severity::Warning) } else { finding });
    };
    let name = entry.field.name;
    if matches!(convert, Convert::Count | Convert::TotalAttempts) && number.fract() != 0.0 {
        let what = format!("{name} is {number}, and {} takes whole numbers", entry.section.library);
        return Some(Finding::at(
            entry,
            &rules::NOT_A_NUMBER,
            what,
            format!("write {} or {}", number.floor(), number.ceil()),
        ));
    }
    let is_word = NEGATIVE_IS_NONE.contains(&entry.section.library) || NEGATIVE_IS_A_WORD.contains(&name);
    let is_fixed = matches!(entry.field.holds, Holds::Fixed(_));
    // Where the table has a bound, it says what happens.
    let has_bound = || entry.field.rules.iter().any(|rule| matches!(rule.bound, crate::export::Bound::AtLeast(_)));
    (number < 0.0 && !is_word && !is_fixed && !has_bound()).then(|| {
        let what = format!("{name} is {number}: {} has no use for less than 0", entry.section.library);
        let remedy = format!("write 0 or more{}", such_as(setting, convert));
        Finding::at(entry, &rules::NEGATIVE, what, remedy)
    })
}

/// A time in a person's words, where the pool reads such.
struct TimeWithUnit;

/// The number that a text is; `None` when it is none.
fn text_number(format: &Format, convert: Convert, text: &str) -> Result<Option<f64>, TimeWithUnit> {
    let text = text.trim();
    let is_whole = matches!(convert, Convert::Count | Convert::TotalAttempts);
    let number = match format.language {
        Language::Ini => ini_number(text, is_whole),
        // As YAML before 1.2 has it, which Java's and Ruby's readers still do.
        Language::Yaml => text.replace('_', "").parse().ok(),
        _ => text.parse().ok(),
    };
    let is_ours = format.sections.first().is_some_and(|section| section.library == "pool-tune");
    let takes_units = convert == Convert::Time || convert == Convert::Seconds && is_ours;
    let is_time = humantime::parse_duration(text).is_ok() || text.to_ascii_uppercase().starts_with("PT");
    if number.is_none() && takes_units && is_time { Err(TimeWithUnit) } else { Ok(number) }
}

/// Nothing of the text is repeated: where it stands may be the wrong place for a password.
fn not_a_number(entry: &Entry, setting: Option<Setting>, convert: Convert, meant: Option<f64>) -> Finding {
    let (name, library) = (entry.field.name, entry.section.library);
    let due = match convert {
        Convert::Count | Convert::TotalAttempts => "a whole number",
        Convert::Milliseconds => "a plain number of milliseconds",
        Convert::Seconds | Convert::WholeSeconds => "a plain number of seconds",
        Convert::Time => "a time",
        _ => "a number",
    };
    let (what, remedy) = match meant {
        Some(number) => (format!("{name} has a unit, and {library} takes {due}"), format!("write {number}")),
        None => (
            format!("{name} is no number, and {library} takes {due}"),
            format!("write {due}{}", such_as(setting, convert)),
        ),
    };
    Finding::at(entry, &rules::NOT_A_NUMBER, what, remedy)
}

fn such_as(setting: Option<Setting>, convert: Convert) -> String {
    setting.map(|setting| super::outcomes::recommended(setting, convert)).unwrap_or_default()
}

/// From which number of seconds on a setting's value was meant in milliseconds: nobody waits, or lets live, for so long.
const MEANT_MILLISECONDS: [(Setting, f64); 8] = [
    (Setting::ConnectionTimeout, 1000.0),
    (Setting::ConnectionLifetime, 300_000.0),
    (Setting::IdleTimeout, 100_000.0),
    (Setting::HealthCheckInterval, 10_000.0),
    (Setting::InitialRetryDelay, 100.0),
    (Setting::MaxRetryDelay, 1000.0),
    (Setting::ValidationTimeout, 500.0),
    (Setting::CircuitBreakerTimeout, 5000.0),
];

/// Seconds that would be a usual time in milliseconds.
pub(super) fn milliseconds(format: &Format, entry: &Entry) -> Option<Finding> {
    let Holds::Setting(setting, convert) = entry.field.holds else { return None };
    let is_seconds = match convert {
        Convert::Seconds | Convert::WholeSeconds => true,
        // Spring reads a plain number as milliseconds; programs say the unit themselves.
        Convert::Time => !matches!(format.language, Language::Yaml | Language::Properties),
        _ => false,
    };
    let (_, from) = MEANT_MILLISECONDS.iter().find(|(known, _)| *known == setting).filter(|_| is_seconds)?;
    let number = pools::theirs(entry)?;
    // What was meant in seconds is seldom as round, and full hours are.
    let is_round =
        number % 100.0 == 0.0 && number % 3600.0 != 0.0 && number % 1800.0 != 0.0 || number % 10_000.0 == 0.0;
    // Nothing above is a time that could be said at all.
    (number >= *from && number < 1e12 && is_round).then(|| {
        let (name, library) = (entry.field.name, entry.section.library);
        let what = format!(
            "{name} is {number} s, since {library} takes seconds: {}; in milliseconds it would be {}",
            humantime::format_duration(Duration::from_secs_f64(number)),
            figures::time(number / 1000.0)
        );
        Finding::at(entry, &rules::MILLISECONDS, what, format!("write {}", number / 1000.0))
    })
}
