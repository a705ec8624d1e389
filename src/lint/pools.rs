//! Names that belong together: a pool, with the retries and the circuit breaker beside it.

use crate::{
    export::{Convert, Entry, Format, Held, Holds, Other},
    model::Setting,
};

/// The names of one pool.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    pub(super) format: &'a Format,
    pub(super) entries: Vec<&'a Entry>,
    /// The names of the file that no setting has.
    pub(super) others: &'a [Other],
}

/// The pools of a configuration. Retries and breakers of the file stand beside each of them.
pub(super) fn pools<'a>(format: &'a Format, entries: &[&'a Entry], others: &'a [Other]) -> Vec<Pool<'a>> {
    let mut parts: Vec<Vec<String>> = entries.iter().filter_map(|entry| part(format, entry)).collect();
    parts.sort();
    parts.dedup();
    if parts.is_empty() {
        // Only retries: they can be judged without a pool.
        return vec![Pool { format, entries: entries.to_vec(), others }];
    }
    let belongs = |entry: &Entry, wanted: &Vec<String>| part(format, entry).is_none_or(|part| part == *wanted);
    let of = |part: &Vec<String>| entries.iter().copied().filter(|entry| belongs(entry, part)).collect();
    parts.iter().map(|part| Pool { format, entries: of(part), others }).collect()
}

/// The names around a pool's; `None` for what stands beside pools.
fn part(format: &Format, entry: &Entry) -> Option<Vec<String>> {
    let pool = format.sections.first()?;
    let is_pool = entry.section.library == pool.library
        // Django's pool is psycopg's.
        || entry.section.path.starts_with(pool.path) && !pool.path.is_empty()
        // In Go and asyncpg a wait is limited where a connection is taken.
        || entry.section.library == "context";
    if !is_pool {
        return None;
    }
    if ONE_POOL.contains(&format.name) {
        return Some(Vec::new());
    }
    let inner = entry.section.path.strip_prefix(pool.path).unwrap_or_default();
    let mut path = entry.path.clone();
    for name in inner.iter().rev() {
        if path.last().is_some_and(|last| last == name) {
            path.pop();
        }
    }
    Some(path)
}

/// Formats whose files hold one pool, whatever stands around its names.
const ONE_POOL: [&str; 4] = ["asyncpg", "database-sql", "pgxpool", "deadpool"];

impl<'a> Pool<'a> {
    /// The name that holds a setting; of several the one that the format's table has first, which is the limit itself.
    pub(super) fn of(&self, setting: Setting) -> Option<&'a Entry> {
        self.format.of(setting).find_map(|(section, field)| {
            let is_it = |entry: &&&Entry| entry.field.name == field.name && entry.section.path == section.path;
            self.entries.iter().find(is_it).copied()
        })
    }

    /// A name of theirs.
    pub(super) fn named(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.field.name == name).copied()
    }

    /// What a setting is, in our unit: as the file has it, or by the pool's default; `None` where nothing tells.
    pub(super) fn number(&self, setting: Setting) -> Option<f64> {
        match self.of(setting) {
            Some(entry) => number(entry),
            None => self.default(setting),
        }
    }

    /// The pool's default of a setting that a file may leave out, in our unit.
    pub(super) fn default(&self, setting: Setting) -> Option<f64> {
        let here = |library: &str| self.entries.iter().any(|entry| entry.section.library == library);
        self.format.of(setting).filter(|(section, _)| here(section.library)).find_map(|(_, field)| match field.holds {
            Holds::Setting(_, convert) => field.default.map(|default| convert.ours(default)),
            Holds::Fixed(_) | Holds::Other(_) => None,
        })
    }

    /// Whether the file has something of a library's.
    pub(super) fn has(&self, settings: &[Setting]) -> bool {
        settings.iter().any(|setting| self.of(*setting).is_some())
    }
}

/// What an entry holds, in its pool's unit. A time with a unit is what was meant, also where the pool refuses it.
pub(super) fn theirs(entry: &Entry) -> Option<f64> {
    let written = entry.written().and_then(|written| written.number());
    written.filter(|number| number.is_finite()).or_else(|| {
        let (Holds::Setting(_, convert) | Holds::Other(convert), Held::Text(text)) = (entry.field.holds, &entry.held)
        else {
            return None;
        };
        let seconds = humantime::parse_duration(text.trim()).ok()?.as_secs_f64();
        match convert {
            Convert::Milliseconds => Some(seconds * 1000.0),
            Convert::Seconds | Convert::WholeSeconds | Convert::Time => Some(seconds),
            _ => None,
        }
    })
}

/// What an entry holds, in our unit.
pub(super) fn number(entry: &Entry) -> Option<f64> {
    let theirs = theirs(entry)?;
    Some(match entry.field.holds {
        Holds::Setting(_, convert) | Holds::Other(convert) => convert.ours(theirs),
        Holds::Fixed(_) => theirs,
    })
}

/// What a validation is: a statement or a word; `None` where the program decides.
pub(super) fn is_off(entry: &Entry) -> Option<bool> {
    Some(match (entry.field.holds, entry.written()?) {
        (Holds::Setting(setting, convert), written) => match convert.read(setting, &written).ok()? {
            crate::model::Value::Sql(sql) => sql.trim().is_empty(),
            _ => return None,
        },
        (Holds::Fixed(_) | Holds::Other(_), _) => return None,
    })
}

/// Whether a switch is on.
pub(super) fn is_on(entry: &Entry) -> bool {
    match &entry.held {
        Held::Truth(truth) => *truth,
        Held::Text(text) => text.trim() == "true",
        Held::Number(_) | Held::Unclear(_) => false,
    }
}
