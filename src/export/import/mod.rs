//! The settings in use, read from a configuration in one of the formats that exports are written in.
//!
//! In: the file's text and the format. Out: values of ours, and what was left out and why. The rows of the format's table
//! are read backwards, so that a name here and in an export is the same.

mod pairs;
mod program;
#[cfg(test)]
mod tests;

use super::{Bound, Convert, Field, Format, Holds, IntoError, Language, Prefix, Section, Written, into::edit::line_of};
use crate::{
    model::{Setting, Settings, Value},
    report::words,
};
use pairs::Pair;

pub use pairs::Held;

/// What a configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The settings that it has, in the order of the table.
    pub values: Vec<(Setting, Value)>,
    /// What was left out or means something else there, each a line.
    pub notes: Vec<String>,
}

/// Why a configuration is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is not of the format.
    #[error("it is not read as {title}: {problem}")]
    Syntax {
        /// The format's title.
        title: &'static str,
        /// What is wrong, and where.
        problem: String,
    },
    /// As [`IntoError`] says.
    #[error(transparent)]
    Source(#[from] IntoError),
    /// No name in it is one of the format's.
    #[error(
        "it has no setting under a name of {0}; choose another format with --format, or another prefix with --prefix"
    )]
    Nothing(&'static str),
}

/// The settings in a configuration. Without a prefix, the most common one in the text is taken.
///
/// # Errors
/// [`ImportError`] when the text is not of the format, or has no setting at all.
pub fn import(format: &Format, text: &str, prefix: Option<&Prefix>) -> Result<Imported, ImportError> {
    let pairs = pairs_of(format, text, prefix)?;
    let mut imported = Imported { values: Vec::new(), notes: Vec::new() };
    for pair in &pairs {
        if let Some((field, setting, convert)) = row(format, pair).and_then(|(_, field)| held(field)) {
            let line = pair.at.map(|at| format!("line {}: ", line_of(text, at))).unwrap_or_default();
            imported.take(&line, pair, &field, setting, convert);
        }
    }
    if imported.values.is_empty() && imported.notes.is_empty() {
        return Err(ImportError::Nothing(format.title));
    }
    imported.values.sort_by_key(|(setting, _)| *setting);
    imported.check(format);
    Ok(imported)
}

/// A name of a configuration that a format knows, as it stands there.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The part of the format that has the name.
    pub section: &'static Section,
    /// The row of the name.
    pub field: Field,
    /// The name as it is spelled there.
    pub name: String,
    /// The names around it, outermost first.
    pub path: Vec<String>,
    /// What it holds.
    pub held: Held,
    /// The document of the file, from 0, where it has several.
    pub document: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// A name of a configuration that no row of the format has.
#[derive(Clone, Debug)]
pub struct Other {
    /// The name as it is spelled there.
    pub name: String,
    /// The names around it, outermost first.
    pub path: Vec<String>,
    /// What it holds.
    pub held: Held,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// All names of a configuration, in the order of the text.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Those that the format's table has.
    pub entries: Vec<Entry>,
    /// The rest: the pool's other names, names of other things, slips.
    pub others: Vec<Other>,
}

impl Entry {
    /// What it holds as its row has it; `None` for what is known only when the program runs.
    #[must_use]
    pub fn written(&self) -> Option<Written> {
        match (self.field.holds, &self.held) {
            (Holds::Setting(setting, convert), held) => written(held, setting, convert).ok(),
            // Any setting that is a number reads a number.
            (Holds::Other(convert), held) => written(held, Setting::ConnectionTimeout, convert).ok(),
            (Holds::Fixed(_), Held::Number(number)) => Some(Written::Number(*number)),
            (Holds::Fixed(_), Held::Text(text)) => text.trim().parse().ok().map(Written::Number),
            (Holds::Fixed(_), _) => None,
        }
    }
}

/// Every name of a configuration, in the order of the text; none of them may be one of the format's.
///
/// # Errors
/// [`ImportError`] when the text is not of the format.
pub fn configuration(
    format: &'static Format,
    text: &str,
    prefix: Option<&Prefix>,
) -> Result<Configuration, ImportError> {
    let mut configuration = Configuration { entries: Vec::new(), others: Vec::new() };
    for pair in pairs_of(format, text, prefix)? {
        let at = pair.at.unwrap_or(0);
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let column = text[start..at].trim_start_matches('\u{feff}').chars().count() + 1;
        let (line, row) = (line_of(text, at), row(format, &pair));
        let Pair { path, name, held, document, .. } = pair;
        let path = path.unwrap_or_default();
        match row {
            Some((section, field)) => {
                configuration.entries.push(Entry { section, field, name, path, held, document, line, column });
            }
            None => configuration.others.push(Other { name, path, held, line, column }),
        }
    }
    configuration.entries.sort_by_key(|entry| (entry.line, entry.column));
    configuration.others.sort_by_key(|other| (other.line, other.column));
    Ok(configuration)
}

/// The row of a name where it may be one.
fn row<'f>(format: &'f Format, pair: &Pair) -> Option<(&'f Section, Field)> {
    let is_other = format.language == Language::Properties && pair.path.as_deref().is_some_and(pairs::is_of_another);
    let mut rows =
        format.fields().filter(|(section, _)| pair.is_in(section.path) && !(is_other && section.path.is_empty()));
    rows.find(|(_, field)| pairs::plain(field.name) == pairs::plain(&pair.name))
}

fn pairs_of(format: &Format, text: &str, prefix: Option<&Prefix>) -> Result<Vec<Pair>, ImportError> {
    Ok(match format.language {
        // Our own names may be constants with a prefix; another pool's are its functions'.
        Language::Python if format.sections.iter().all(|section| section.library == "pool-tune") => {
            pairs::python(text, prefix)?
        }
        Language::Shell => pairs::env(text, prefix)?,
        Language::Toml => pairs::toml(format, text)?,
        Language::Json | Language::Yaml => pairs::tree(format, text)?,
        Language::Properties => pairs::properties(text),
        Language::Ini => pairs::ini(format, text),
        Language::CSharp => pairs::connection_string(text),
        Language::Python | Language::JavaScript | Language::Rust | Language::Go => program::pairs(format, text)?,
    })
}

fn held(field: Field) -> Option<(Field, Setting, Convert)> {
    match field.holds {
        Holds::Setting(setting, convert) => Some((field, setting, convert)),
        Holds::Fixed(_) | Holds::Other(_) => None,
    }
}

impl Imported {
    /// What the settings are together: the guide's defaults for those that are not there.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.values
            .iter()
            .fold(Settings::default(), |settings, (setting, value)| settings.with(*setting, value.clone()))
    }

    /// The part `settings` of a profile, with what was left out as comments.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text.push_str(&format!("# {}\n", words::one_line(note)));
        }
        text.push_str(if self.values.is_empty() { "settings: {}\n" } else { "settings:\n" });
        for (setting, value) in &self.values {
            let written = match value {
                Value::Sql(sql) => Written::Text(sql.clone()),
                value => Written::Number(value.number().unwrap_or_default()),
            };
            text.push_str(&format!("  {setting}: {}\n", Language::Yaml.literal(&written).unwrap_or_default()));
        }
        text
    }

    /// Takes a value over, or notes why not.
    fn take(&mut self, line: &str, pair: &Pair, field: &Field, setting: Setting, convert: Convert) {
        let name = format!("{line}{}", pair.name);
        let written = match written(&pair.held, setting, convert) {
            Ok(written) => written,
            Err(shown) => return self.notes.push(format!("{name} is {shown}: not taken for {setting}")),
        };
        // A zero that is a word has no equal among numbers.
        let zero = field.rules.iter().find(|rule| rule.bound == Bound::NotZero && written.number() == Some(0.0));
        if let Some(rule) = zero {
            return self.notes.push(format!("{name} is 0: {}, which {setting} cannot say", rule.otherwise));
        }
        match convert.read(setting, &written) {
            Ok(value) => match self.values.iter().find(|(known, _)| *known == setting) {
                Some((_, first)) if *first != value => {
                    self.notes
                        .push(format!("{name} would make {setting} {value}; what stands before it is taken: {first}"));
                }
                Some(_) => {}
                None => self.values.push((setting, value)),
            },
            Err(error) => self.notes.push(format!("{name} is not taken: {error}")),
        }
    }

    /// Notes values that the pool takes for others, and values that do not go together.
    fn check(&mut self, format: &Format) {
        let settings = self.settings();
        for (setting, value) in &self.values {
            for (field, _, convert) in format.of(*setting).filter_map(|(_, field)| held(field)) {
                let Some(number) = convert.write(value).and_then(|written| written.number()) else { continue };
                let broken = field.rules.iter().find(|rule| rule.is_broken(number, value, &settings));
                self.notes.extend(broken.map(|rule| format!("{} is {number}: {}", field.name, rule.otherwise)));
            }
        }
        self.notes.extend(settings.check().err().map(|rule| rule.to_string()));
    }
}

/// What a file holds, as the row has it; the text when it is nothing of the kind.
fn written(held: &Held, setting: Setting, convert: Convert) -> Result<Written, String> {
    let is_sql = setting.spec().unit == crate::model::Unit::Sql;
    match (held, convert) {
        (Held::Unclear(text), Convert::Validated { yes, no }) if [yes, no].contains(&text.as_str()) => {
            Ok(Written::Word(if text == yes { yes } else { no }))
        }
        (Held::Unclear(shown), _) => Err(format!("`{}`", words::one_line(shown))),
        (Held::Truth(truth), Convert::Validated { yes, no }) => {
            let word = [yes, no].into_iter().find(|word| word.eq_ignore_ascii_case(&truth.to_string()));
            word.map(Written::Word).ok_or_else(|| truth.to_string())
        }
        (Held::Text(text), Convert::Validated { yes, no }) => {
            let word = [yes, no].into_iter().find(|word| *word == text);
            word.map(Written::Word).ok_or_else(|| format!("\"{text}\""))
        }
        (Held::Text(text), _) if is_sql => Ok(Written::Text(text.clone())),
        (Held::Number(number), _) if !is_sql => Ok(Written::Number(*number)),
        (Held::Text(text), _) => match text.trim().parse() {
            Ok(number) => Ok(Written::Number(number)),
            Err(_) if matches!(convert, Convert::Time | Convert::Seconds) => {
                humantime::parse_duration(text.trim()).map(Written::Time).map_err(|_| format!("\"{text}\""))
            }
            Err(_) => Err(format!("\"{text}\"")),
        },
        (Held::Number(number), _) => Err(number.to_string()),
        (Held::Truth(truth), _) => Err(truth.to_string()),
    }
}
