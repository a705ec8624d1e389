//! The shape of the tables in `formats`: what each of our settings is called elsewhere, in which unit, within which
//! bounds, and what is said where there is nothing of the kind.
//!
//! A row is read in both directions: the exporter writes values by it, and whoever reads another pool's configuration
//! finds the row by its name ([`Format::field`]), turns the value back ([`Convert::read`]) and judges it
//! ([`Rule::is_broken`]).

use super::{Convert, Language};
use crate::model::{Setting, Settings, Unit, Value};

/// A format of exports: a pool's configuration, or our own settings in some file's syntax.
#[derive(Debug)]
pub struct Format {
    /// The name on the command line.
    pub name: &'static str,
    /// Other names on the command line.
    pub aliases: &'static [&'static str],
    /// The pool or the file, as a person calls it.
    pub title: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    /// The first line of the text: where it belongs and how it is used.
    pub headline: &'static str,
    /// How values and comments are written.
    pub language: Language,
    /// What stands before the first section.
    pub opening: &'static str,
    /// The parts, in the order in which they are written.
    pub sections: &'static [Section],
    /// What stands after the last section.
    pub closing: &'static str,
    /// The settings that no section holds.
    pub absent: &'static [Absent],
    /// Whether each value stands under a comment with its unit and its evidence, as the tuning guide's `config.py` does.
    pub evidence: bool,
}

/// A part of a format: the pool itself, or a library beside it that does what the pool does not.
#[derive(Debug)]
pub struct Section {
    /// The library that reads these names.
    pub library: &'static str,
    /// A comment above the part, may be empty.
    pub heading: &'static str,
    /// Where the names stand: the keys of the mappings around them, or the variable or function that holds them.
    pub path: &'static [&'static str],
    /// What stands before the first name.
    pub opening: &'static str,
    /// A name with its value: `{name}`, `{kebab}` (`max-lifetime`), `{upper}`, `{prefix}` and `{value}` are filled in.
    pub line: &'static str,
    /// What stands between two of them.
    pub between: &'static str,
    /// What stands after the last.
    pub closing: &'static str,
    /// Whether all of it is a comment, because the file's reader would stumble over it.
    pub commented: bool,
    /// The rows.
    pub fields: Fields,
}

/// The rows of a section.
#[derive(Clone, Copy, Debug)]
pub enum Fields {
    /// All of our settings under our own names, in our own units.
    Ours,
    /// The names of another pool.
    Listed(&'static [Field]),
}

/// A row: a name elsewhere and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Their name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Their default, in their unit, where it is a number.
    pub default: Option<f64>,
    /// What its values must keep to mean there what they mean here.
    pub rules: &'static [Rule],
    /// What a reader of the export must know of it, may be empty.
    pub note: &'static str,
}

/// What a name elsewhere holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// One of our settings.
    Setting(Setting, Convert),
    /// Something that makes the other names mean what they say.
    Fixed(&'static str),
    /// Nothing of ours: it is never written, and read only to be judged.
    Other(Convert),
}

/// A bound of a name's values.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The bound.
    pub bound: Bound,
    /// What kind of thing happens to values beyond it.
    pub outcome: Outcome,
    /// What happens to them, as a sentence about the library.
    pub otherwise: &'static str,
}

/// What a pool does with a value beyond a [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does not start.
    Refused,
    /// It takes another value, and may not say so.
    Replaced,
    /// It takes it for no limit at all.
    Unlimited,
    /// It takes it for the least: a connection is closed after one use.
    Spent,
}

/// Where a [`Rule`] draws the line; numbers are in their unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Zero is no number there but a word: for ever, without limit, never.
    NotZero,
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Under(f64),
    /// Less than another of our settings, by so many of our units at least.
    Below(Setting, f64),
}

/// A setting that a format has no name for.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// The setting.
    pub setting: Setting,
    /// Why there is none, and what to do instead.
    pub why: &'static str,
}

impl Format {
    /// Every row with its section, in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = (&Section, Field)> {
        self.sections.iter().flat_map(|section| section.fields().map(move |field| (section, field)))
    }

    /// The row of a name, whatever its spelling: `maxLifetime`, `max-lifetime` and `MAX_LIFETIME` are one name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(&Section, Field)> {
        let wanted = plain(name);
        self.fields().find(|(_, field)| plain(field.name) == wanted)
    }

    /// The rows that hold a setting.
    pub fn of(&self, setting: Setting) -> impl Iterator<Item = (&Section, Field)> {
        self.fields().filter(move |(_, field)| matches!(field.holds, Holds::Setting(held, _) if held == setting))
    }

    /// Whether its names begin with a prefix of the user's.
    #[must_use]
    pub fn has_prefix(&self) -> bool {
        self.sections.iter().any(|section| section.line.contains("{prefix}"))
    }
}

impl Section {
    /// The rows, in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let (ours, listed): (&[_], &[_]) = match self.fields {
            Fields::Ours => (&Setting::TABLE, &[]),
            Fields::Listed(listed) => (&[], listed),
        };
        let ours = ours.iter().map(|spec| {
            let convert = match spec.unit {
                Unit::Count => Convert::Count,
                Unit::Seconds => Convert::Seconds,
                Unit::Factor => Convert::Factor,
                Unit::Sql => Convert::Text,
            };
            field(spec.setting, spec.name, convert)
        });
        ours.chain(listed.iter().copied())
    }
}

/// A row without default, rules and note.
pub(super) const fn field(setting: Setting, name: &'static str, convert: Convert) -> Field {
    Field { name, holds: Holds::Setting(setting, convert), default: None, rules: &[], note: "" }
}

/// A row with a value that is the same in every export.
pub(super) const fn fixed(name: &'static str, value: &'static str) -> Field {
    Field { name, holds: Holds::Fixed(value), default: None, rules: &[], note: "" }
}

/// A row that is only read.
pub(super) const fn other(name: &'static str, convert: Convert) -> Field {
    Field { name, holds: Holds::Other(convert), default: None, rules: &[], note: "" }
}

impl Field {
    pub(super) const fn default(self, default: f64) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn rules(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }

    pub(super) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// A rule in a line of a table: values beyond it are not taken.
pub(super) const fn refused(bound: Bound, otherwise: &'static str) -> Rule {
    Rule { bound, outcome: Outcome::Refused, otherwise }
}

/// A rule beyond which the pool takes another value.
pub(super) const fn replaced(bound: Bound, otherwise: &'static str) -> Rule {
    Rule { bound, outcome: Outcome::Replaced, otherwise }
}

/// A rule beyond which there is no limit.
pub(super) const fn unlimited(bound: Bound, otherwise: &'static str) -> Rule {
    Rule { bound, outcome: Outcome::Unlimited, otherwise }
}

/// A rule beyond which connections are used once.
pub(super) const fn spent(bound: Bound, otherwise: &'static str) -> Rule {
    Rule { bound, outcome: Outcome::Spent, otherwise }
}

/// A setting that is absent, in a line of a table.
pub(super) const fn absent(setting: Setting, why: &'static str) -> Absent {
    Absent { setting, why }
}

impl Rule {
    /// Whether a value breaks the rule: `number` in their unit, `value` the same in ours, `settings` what it stands beside.
    #[must_use]
    pub fn is_broken(&self, number: f64, value: &Value, settings: &Settings) -> bool {
        match self.bound {
            Bound::NotZero => number == 0.0,
            Bound::AtLeast(least) => number < least,
            Bound::AtMost(most) => number > most,
            Bound::Under(limit) => number >= limit,
            Bound::Below(other, margin) => {
                let (own, other) = (value.number(), settings.get(other).number());
                own.zip(other).is_some_and(|(own, other)| own + margin > other)
            }
        }
    }
}

/// A name without what differs between spellings.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}
