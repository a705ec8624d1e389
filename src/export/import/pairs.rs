//! Names with what they hold, out of each syntax.

use serde_json::Value as Json;
use toml_edit::{Document, Item};

use super::{Format, ImportError, Prefix};
use crate::{
    export::{
        into::{
            Names,
            edit::{line_of, line_text},
            env as variables,
            expression::Plain,
            python as program,
        },
        yaml,
    },
    model::Setting,
};

/// A name, where it stands, and what it holds.
#[derive(Debug)]
pub(super) struct Pair {
    /// The names around it, outermost first; `None` where the syntax has none.
    pub(super) path: Option<Vec<String>>,
    pub(super) name: String,
    /// The byte where it stands, where that is known.
    pub(super) at: Option<usize>,
    pub(super) held: Held,
    /// The document of the text, from 0.
    pub(super) document: usize,
}

/// What a name holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// A number, in the name's unit.
    Number(f64),
    /// `true` or `false`.
    Truth(bool),
    /// A text.
    Text(String),
    /// An expression, a list: no plain value.
    Unclear(String),
}

impl Pair {
    /// Whether it may stand where a section's names do: below the last of the keys around them, which alone is sure to
    /// be the same in every configuration.
    pub(super) fn is_in(&self, path: &[&str]) -> bool {
        let (Some(own), Some(last)) = (&self.path, path.last()) else { return true };
        // Rails has a part for each environment; retries and circuit breakers have names of the user's.
        let kind = path.iter().rev().find(|key| !["database", "production", "instances"].contains(key)).unwrap_or(last);
        ["production"].contains(last)
            || own.iter().any(|key| plain(key) == plain(kind))
            || super::program::holds(last, own)
    }
}

/// Whether a dotted name of Java's properties sets something else than a pool, as `server.tomcat.connection-timeout` does.
pub(super) fn is_of_another(own: &[String]) -> bool {
    let has = |word: &str| own.iter().any(|name| plain(name).contains(word));
    let is_pool = has("hikari") || has("datasource") && !OTHER_POOLS.iter().any(|other| has(other));
    // `dataSource.user` is the driver's.
    let is_driver_s = own == ["dataSource"] || own.last().is_some_and(|last| plain(last).ends_with("properties"));
    !own.is_empty() && (!is_pool || is_driver_s)
}

/// Pools that Spring has beside HikariCP.
const OTHER_POOLS: [&str; 4] = ["tomcat", "dbcp2", "oracleucp", "druid"];

/// A name without what differs between spellings.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Constants, attributes and dictionaries.
pub(super) fn python(text: &str, prefix: Option<&Prefix>) -> Result<Vec<Pair>, ImportError> {
    let prefix = prefix.cloned().unwrap_or_else(|| common_prefix(text));
    let defined = program::defined(text, Names { prefix: &prefix, within: None })?;
    let pair = |(setting, at, value): (Setting, usize, Option<Plain>)| {
        let held = match value {
            Some(Plain::Number(number)) => Held::Number(number),
            Some(Plain::Text(text)) => Held::Text(text),
            None => Held::Unclear(line_text(text, at).trim().to_owned()),
        };
        Pair { path: None, name: setting.name().to_owned(), at: Some(at), held, document: 0 }
    };
    Ok(defined.into_iter().map(pair).chain(strangers(text, &prefix)).collect())
}

/// Names with the prefix that are no setting's, at the beginning of lines that give them a value: slips, or something else's.
fn strangers(text: &str, prefix: &Prefix) -> Vec<Pair> {
    let start = format!("{prefix}_");
    let mut at = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let own = line.trim_start().trim_start_matches("export ").trim_start();
        let end = own.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        let (name, rest) = own.split_at(end.unwrap_or(own.len()));
        let rest = rest.trim_start();
        let is_given = rest.starts_with(':') || rest.starts_with('=') && !rest.starts_with("==");
        if let (Some(name), true) = (name.strip_prefix(&start).map(str::to_ascii_lowercase), is_given)
            && Setting::all().all(|setting| setting.name() != name)
        {
            let place = at + (line.len() - own.len());
            found.push(Pair { path: None, name, at: Some(place), held: Held::Unclear(String::new()), document: 0 });
        }
        at += line.len();
    }
    found
}

/// Variables.
pub(super) fn env(text: &str, prefix: Option<&Prefix>) -> Result<Vec<Pair>, ImportError> {
    let prefix = prefix.cloned().unwrap_or_else(|| common_prefix(text));
    let defined = variables::defined(text, Names { prefix: &prefix, within: None })?;
    let pair = |(setting, at, text): (Setting, usize, String)| Pair {
        path: None,
        name: setting.name().to_owned(),
        at: Some(at),
        held: Held::Text(text),
        document: 0,
    };
    Ok(defined.into_iter().map(pair).chain(strangers(text, &prefix)).collect())
}

/// What most of the names begin with that end as settings do; the program's own prefix where there are none.
fn common_prefix(text: &str) -> Prefix {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let prefixes: Vec<Prefix> = words
        .filter_map(|word| {
            let of = |setting: Setting| word.strip_suffix(&setting.name().to_uppercase())?.strip_suffix('_');
            Prefix::parse(Setting::all().find_map(of)?).ok()
        })
        .collect();
    let count = |prefix: &&Prefix| prefixes.iter().filter(|other| other == prefix).count();
    // The first of those that are as common.
    prefixes.iter().rev().max_by_key(count).cloned().unwrap_or_default()
}

/// A table of TOML: the export's, or the file itself.
pub(super) fn toml(format: &Format, text: &str) -> Result<Vec<Pair>, ImportError> {
    let document = Document::parse(text).map_err(|error| {
        // Its own text repeats the line, which may hold a password.
        let line = line_of(text, error.span().map_or(0, |span| span.start.min(text.len())));
        syntax(format, &format!("line {line}: {}", error.message()))
    })?;
    let root = document.as_table();
    let names = format.sections.iter().filter_map(|section| section.path.first());
    let table = names.filter_map(|name| root.get(name)).find_map(Item::as_table_like).unwrap_or(root);
    let pair = |(name, item): (&str, &Item)| {
        #[expect(clippy::cast_precision_loss, reason = "no setting is near 2^53")]
        let number = item.as_integer().map(|whole| whole as f64).or(item.as_float());
        let held = match (number, item.as_str(), item.as_bool()) {
            (Some(number), ..) => Held::Number(number),
            (_, Some(text), _) => Held::Text(text.to_owned()),
            (.., Some(truth)) => Held::Truth(truth),
            _ => Held::Unclear(item.span().and_then(|span| text.get(span)).unwrap_or_default().to_owned()),
        };
        Pair { path: None, name: name.to_owned(), at: item.span().map(|span| span.start), held, document: 0 }
    };
    Ok(table.iter().map(pair).collect())
}

/// JSON, and YAML, of which it is a part.
pub(super) fn tree(format: &Format, text: &str) -> Result<Vec<Pair>, ImportError> {
    let documents = yaml::documents(text).map_err(|(_, problem)| syntax(format, &problem))?;
    let tree = yaml::tree(text);
    let places = tree.as_ref().map(|tree| yaml::entries(tree.root_node(), text)).unwrap_or_default();
    let mut pairs = Vec::new();
    let mut stack: Vec<_> =
        documents.iter().enumerate().rev().map(|(number, root)| (number, Vec::new(), root)).collect();
    while let Some((document, path, node)) = stack.pop() {
        let Some(map) = node.as_object() else { continue };
        for (name, value) in map {
            let held = match value {
                Json::Number(number) => Held::Number(number.as_f64().unwrap_or(f64::NAN)),
                Json::String(text) => Held::Text(text.clone()),
                Json::Bool(truth) => Held::Truth(*truth),
                Json::Null => Held::Text(String::new()),
                Json::Array(_) => Held::Unclear(value.to_string()),
                Json::Object(_) => {
                    let mut path: Vec<String> = path.clone();
                    path.push(name.clone());
                    stack.push((document, path, value));
                    continue;
                }
            };
            // What an alias brought here stands elsewhere.
            let place = places.iter().filter(|place| place.name == *name);
            let here = place.clone().find(|place| place.document == document && place.path == path);
            let at = here.or_else(|| place.clone().next()).map(|place| place.pair.start_byte());
            // Spring takes `spring.datasource.hikari.max-lifetime` for names within names.
            let mut path: Vec<String> = path.iter().flat_map(|name| name.split('.')).map(str::to_owned).collect();
            let (around, name) = name.rsplit_once('.').unwrap_or(("", name));
            path.extend(around.split('.').filter(|name| !name.is_empty()).map(str::to_owned));
            pairs.push(Pair { path: Some(path), name: name.to_owned(), at, held, document });
        }
    }
    Ok(pairs)
}

/// The lines of a text, each with the byte where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\r', '\n']))
    })
}

/// Java's properties; of a dotted name the last part is the pool's.
pub(super) fn properties(text: &str) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut document = 0;
    let mut lines = lines(text);
    while let Some((at, whole)) = lines.next() {
        let mut line = whole.trim_start().to_owned();
        let at = at + (whole.len() - line.len());
        if line.starts_with(['#', '!']) {
            // Spring's documents are parted by comments.
            document += usize::from(["#---", "!---"].contains(&whole.trim_end()));
            continue;
        }
        // A backslash at the end that is not itself escaped goes on in the next line.
        while (line.len() - line.trim_end_matches('\\').len()) % 2 == 1 {
            line.pop();
            line.push_str(lines.next().map_or("", |(_, next)| next.trim_start()));
        }
        let Some(end) = line.find(['=', ':', ' ', '\t']) else { continue };
        let (name, rest) = line.split_at(end);
        let value = rest.trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
        let (path, name) = name.rsplit_once('.').unwrap_or(("", name));
        let path = (!path.is_empty()).then(|| path.split('.').map(str::to_owned).collect());
        pairs.push(Pair { path, name: name.to_owned(), at: Some(at), held: Held::Text(unescaped(value)), document });
    }
    pairs
}

fn unescaped(value: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        let character = match (character, characters.clone().next()) {
            ('\\', Some('u')) => {
                let digits: String = characters.clone().skip(1).take(4).collect();
                if let Ok(unit) = u16::from_str_radix(&digits, 16) {
                    units.push(unit);
                    characters.nth(4);
                    continue;
                }
                character
            }
            ('\\', Some(escaped)) => {
                characters.next();
                match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }
            }
            _ => character,
        };
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// PgBouncer's ini: its own section, or lines without any, and what `[databases]` and `[users]` say of each pool.
pub(super) fn ini(format: &Format, text: &str) -> Vec<Pair> {
    let own = format.sections.iter().filter_map(|section| section.path.first()).collect::<Vec<_>>();
    let mut section = None;
    let mut pairs = Vec::new();
    for (at, whole) in lines(text) {
        let line = whole.trim_start_matches('\u{feff}').trim();
        let at = at + whole.find(line).unwrap_or(0);
        if let Some(name) = line.strip_prefix('[') {
            section = Some(name.trim_end_matches(']').trim().to_lowercase());
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with([';', '#'])) else { continue };
        let mut pair = |name: &str, at: usize, held: String| {
            let path = section.clone().map(|section| vec![section]);
            pairs.push(Pair { path, name: name.to_owned(), at: Some(at), held: Held::Text(held), document: 0 });
        };
        match section.as_deref() {
            Some("databases" | "users") => {
                let start = at + name.len() + 1;
                for (name, offset, held) in keywords(value) {
                    pair(name, start + offset, held);
                }
            }
            Some(other) if !own.iter().any(|own| own.eq_ignore_ascii_case(other)) => {}
            _ => pair(name.trim(), at, value.trim().to_owned()),
        }
    }
    pairs
}

/// `host=db pool_size=20 password='it''s'`: each name, where it stands, and its value.
fn keywords(text: &str) -> Vec<(&str, usize, String)> {
    let mut keywords = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let at = text.len() - rest.len() + (name.len() - name.trim_start().len());
        let after = after.trim_start();
        let (value, end) = if let Some(quoted) = after.strip_prefix('\'') {
            let mut value = String::new();
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((index, character)) = characters.next() {
                // A quote within is written twice.
                if character == '\'' && characters.next_if(|(_, next)| *next == '\'').is_none() {
                    end = index + 1;
                    break;
                }
                value.push(character);
            }
            (value, end + 1)
        } else {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            (after[..end].to_owned(), end)
        };
        keywords.push((name.trim(), at, value));
        rest = after.get(end..).unwrap_or_default();
    }
    keywords
}

/// The keywords of a connection string, alone or between quotes in C# or JSON.
pub(super) fn connection_string(text: &str) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, whole) in lines(text) {
        let line = whole.trim();
        if line.starts_with("//") {
            continue;
        }
        let pieces: Vec<&str> =
            if line.contains('"') { line.split('"').skip(1).step_by(2).collect() } else { vec![line] };
        for (name, value) in pieces.iter().flat_map(|piece| piece.split(';')).filter_map(|pair| pair.split_once('=')) {
            let held = Held::Text(value.trim().to_owned());
            let at = at + whole.find(name.trim()).unwrap_or(0);
            pairs.push(Pair { path: None, name: name.trim().to_owned(), at: Some(at), held, document: 0 });
        }
    }
    pairs
}

fn syntax(format: &Format, error: &dyn std::fmt::Display) -> ImportError {
    let problem = error.to_string();
    let problem = problem.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    ImportError::Syntax { title: format.title, problem }
}
