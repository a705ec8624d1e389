//! Recommended settings put into a person's own file: values are replaced where they stand, everything else is kept.
//!
//! In: the file's text and the settings. Out: the text with other values, and what was changed. A text that cannot be
//! changed without a doubt (two definitions of a name, an expression in place of a value) is refused as a whole.

mod block;
pub(super) mod edit;
pub(super) mod env;
mod error;
pub(super) mod expression;
mod literal;
pub(super) mod python;
pub(super) mod syntax;
#[cfg(test)]
mod tests;
mod toml;
mod yaml;

use edit::Edits;

pub use edit::{Change, Left};
pub use error::{IntoError, Obstacle};

use super::Prefix;
use crate::model::{BrokenRule, Setting, Settings, Value};

/// The first line of the block that holds what a file had not, after the comment's sign.
const BEGIN: &str = "# pool-tune: begin (added by `pool-tune export --into`)";
/// Its last line.
const END: &str = "# pool-tune: end";

/// The syntaxes that values are replaced in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Python: constants, class attributes, dictionaries.
    Python,
    /// Lines with `NAME=value`.
    Env,
    /// TOML: the table `[connection_pool]`, or the names wherever they stand.
    Toml,
    /// YAML: names with the prefix, and the guide's in the mapping `connection_pool` or one like it.
    Yaml,
}

impl Syntax {
    /// The syntax of a file, by its name.
    #[must_use]
    pub fn of(file_name: &str) -> Option<Self> {
        let name = file_name.to_ascii_lowercase();
        match name.rsplit_once('.')?.1 {
            "py" | "pyi" => Some(Self::Python),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            // `.env`, `pool.env`, `.env.production`.
            _ if name.split('.').skip(1).any(|part| part == "env") => Some(Self::Env),
            _ => None,
        }
    }

    /// The name of the format that writes such files anew.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::Python => "config.py",
            Self::Env => "env",
            Self::Toml => "toml",
            Self::Yaml => "yaml",
        }
    }

    /// Whether names with the prefix are looked for.
    #[must_use]
    pub fn has_prefix(self) -> bool {
        self != Self::Toml
    }
}

/// What is put into a file: values, and which of them are written.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    settings: &'a Settings,
    /// The settings that are written; the others are left as they stand. All without it.
    only: Option<&'a [Setting]>,
}

impl<'a> Wanted<'a> {
    /// Every setting is written.
    #[must_use]
    pub fn all(settings: &'a Settings) -> Self {
        Self { settings, only: None }
    }

    /// These are written; where the file has another value for one of the others, that is told only.
    #[must_use]
    pub fn only(settings: &'a Settings, written: &'a [Setting]) -> Self {
        Self { settings, only: Some(written) }
    }

    fn get(&self, setting: Setting) -> &'a Value {
        self.settings.get(setting)
    }

    fn writes(&self, setting: Setting) -> bool {
        self.only.is_none_or(|only| only.contains(&setting))
    }

    /// The settings that are written and that a file has not.
    fn missing(&self, has: impl Fn(Setting) -> bool) -> Vec<Setting> {
        Setting::all().filter(|setting| self.writes(*setting) && !has(*setting)).collect()
    }
}

/// What the settings are called in a file, and where they are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// What the constants begin with.
    pub prefix: &'a Prefix,
    /// The class, dictionary, table or mapping that holds the settings; the whole file without it.
    pub within: Option<&'a str>,
}

impl Names<'_> {
    /// `SUPABASE_MAX_CONNECTIONS`.
    fn constant(&self, setting: Setting) -> String {
        format!("{}_{}", self.prefix, setting.name().to_uppercase())
    }

    /// The setting of a constant.
    fn of_constant(&self, name: &str) -> Option<Setting> {
        Setting::all().find(|setting| self.constant(*setting) == name)
    }
}

/// A file's text with the settings in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// What differs, in the order of the lines; empty when nothing does.
    pub changes: Vec<Change>,
    /// Settings that were not to be written and for which the text has another value, in the order of the lines.
    pub left: Vec<Left>,
    /// What the person should know: names with another prefix, for one.
    pub hint: Option<String>,
}

impl Rewritten {
    /// The rule that settings which are written break together with values that the text keeps.
    #[must_use]
    pub fn broken(&self, settings: &Settings, written: &[Setting]) -> Option<BrokenRule> {
        let kept = self.left.iter().filter_map(|left| {
            let text = left.has.as_ref()?.trim_matches(['"', '\'']);
            Some((left.setting, Value::from_text(left.setting, text).ok()?))
        });
        let file = kept.fold(settings.clone(), |settings, (setting, value)| settings.with(setting, value));
        file.check().err().filter(|rule| written.contains(&rule.left) || written.contains(&rule.right))
    }
}

/// The text with the wanted values, every other byte kept. A text without a word takes all: whoever reads it has nothing else.
///
/// # Errors
/// [`IntoError`] when the text is not read as its syntax, or a value cannot be replaced without a doubt.
pub fn rewrite(syntax: Syntax, text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Rewritten, IntoError> {
    let is_blank = text.trim_start_matches('\u{feff}').trim().is_empty();
    let wanted = if is_blank { Wanted::all(wanted.settings) } else { wanted };
    let edits = edits(syntax, text, wanted, names)?;
    let rewritten = edits.apply(text);
    if rewritten.text != text {
        // What is written is read back first: a second time must find nothing left to do.
        match self::edits(syntax, &rewritten.text, wanted, names) {
            Ok(left) if left.replaced.is_empty() && keeps_the_rest(syntax, text, &rewritten.text, names) => {}
            _ => return Err(IntoError::NotReadBack),
        }
    }
    Ok(rewritten)
}

/// Whether what is no setting is the same as it was; a layout of YAML can carry a change further than its bytes.
fn keeps_the_rest(syntax: Syntax, before: &str, after: &str, names: Names<'_>) -> bool {
    syntax != Syntax::Yaml || yaml::keeps_the_rest(before, after, names)
}

/// Whether a text such as `5m` is a time that is the same as a setting's value: its reader knows units, and it stays.
fn is_same_time(held: &str, value: &Value) -> bool {
    matches!(value, Value::Time(time) if humantime::parse_duration(held.trim()) == Ok(*time))
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Sql(sql) => sql.clone(),
        number => number.number().unwrap_or_default().to_string(),
    }
}

/// A value as a literal of Python.
fn python_literal(value: &Value) -> String {
    if let Value::Sql(sql) = value { super::python::text(sql) } else { plain(value) }
}

fn edits(syntax: Syntax, text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Edits, IntoError> {
    if let Some(at) = text.find('\0') {
        return Err(IntoError::syntax(text, at));
    }
    match syntax {
        Syntax::Python => python::edits(text, wanted, names),
        Syntax::Env => env::edits(text, wanted, names),
        Syntax::Toml => toml::edits(text, wanted, names),
        Syntax::Yaml => yaml::edits(text, wanted, names),
    }
}
