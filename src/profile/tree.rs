//! YAML as a tree in which every node knows its line, so that an error found later can name it.

use std::{fmt, time::Duration};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use super::error::{Problem, did_you_mean, list};

/// A node and the line that it begins in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Nothing,
    Truth(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(u64, String, Node)>),
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    match serde_yaml::from_str::<Spanned<Plain>>(text) {
        Ok(root) => Ok(root.into()),
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            let message = error.without_snippet().to_string();
            let first = message.lines().next().unwrap_or_default();
            Err(Problem::at(line, format!("not good YAML: {first}")))
        }
    }
}

/// A node on its way in, without its line.
#[derive(Debug)]
struct Plain(Kind);

impl From<Spanned<Plain>> for Node {
    fn from(spanned: Spanned<Plain>) -> Self {
        Self { line: spanned.referenced.line(), kind: spanned.value.0 }
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, a list or a mapping")
            }
            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Nothing)
            }
            fn visit_none<E>(self) -> Result<Kind, E> {
                Ok(Kind::Nothing)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
                Plain::deserialize(deserializer).map(|plain| plain.0)
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Kind, E> {
                Ok(Kind::Truth(truth))
            }
            fn visit_i64<E>(self, whole: i64) -> Result<Kind, E> {
                Ok(Kind::Whole(whole))
            }
            fn visit_u64<E>(self, whole: u64) -> Result<Kind, E> {
                #[expect(clippy::cast_precision_loss, reason = "beyond 2^63 nothing that a profile counts is exact")]
                Ok(i64::try_from(whole).map_or(Kind::Real(whole as f64), Kind::Whole))
            }
            fn visit_f64<E>(self, real: f64) -> Result<Kind, E> {
                Ok(Kind::Real(real))
            }
            fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
                Ok(Kind::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Kind, E> {
                Ok(Kind::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Kind, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = sequence.next_element::<Spanned<Plain>>()? {
                    nodes.push(node.into());
                }
                Ok(Kind::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    let value: Spanned<Plain> = map.next_value()?;
                    entries.push((key.referenced.line(), key.value, value.into()));
                }
                Ok(Kind::Map(entries))
            }
        }
        deserializer.deserialize_any(Any).map(Plain)
    }
}

/// A mapping that is being read: keys are taken out, and what is left at the end is unknown.
pub(super) struct Map {
    name: String,
    pub(super) line: u64,
    entries: Vec<(u64, String, Node)>,
    known: Vec<&'static str>,
}

/// A value with the key that it belongs to, for messages.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) node: Node,
}

impl Node {
    /// As a mapping; `name` is what it describes.
    pub(super) fn map(self, name: &str) -> Result<Map, Problem> {
        match self.kind {
            Kind::Map(entries) => Ok(Map { name: name.to_owned(), line: self.line, entries, known: Vec::new() }),
            // Nothing at all is an empty mapping, so that whatever has to be in it is asked for.
            Kind::Nothing => Ok(Map { name: name.to_owned(), line: self.line, entries: vec![], known: Vec::new() }),
            other => Err(Problem::at(
                self.line,
                format!("`{name}` is {}: expected a mapping, `key: value` a line", other.shown()),
            )),
        }
    }
}

impl Map {
    /// Takes the value of `key` out, if there is one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let place = self.entries.iter().position(|(_, name, _)| name == key)?;
        let (line, key, node) = self.entries.remove(place);
        Some(Entry { key, line, node })
    }

    /// Takes the value of `key` out, which has to be there.
    pub(super) fn need(&mut self, key: &'static str, example: &str) -> Result<Entry, Problem> {
        if let Some(entry) = self.take(key) {
            return Ok(entry);
        }
        let name = &self.name;
        // A misspelt key is told as such, where it stands.
        Err(match self.entries.iter().find(|(_, other, _)| strsim::osa_distance(other, key) <= 2) {
            Some((line, other, _)) => {
                Problem::at(*line, format!("`{other}` is not known in `{name}`: did you mean `{key}`?"))
            }
            None => Problem::at(self.line, format!("`{name}` has no `{key}`: add one, such as `{key}: {example}`")),
        })
    }

    /// Takes every entry out; for mappings whose keys are names of the person's own.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        self.entries.drain(..).map(|(line, key, node)| Entry { key, line, node }).collect()
    }

    /// Makes sure that nothing is left.
    pub(super) fn end(self) -> Result<(), Problem> {
        let Some((line, key, _)) = self.entries.first() else { return Ok(()) };
        let hint = did_you_mean(key, self.known.iter().copied());
        Err(Problem::at(*line, format!("`{key}` is not known in `{}`: {hint}", self.name)))
    }

    /// Exactly one of `keys` has to be there.
    pub(super) fn one_of(&mut self, keys: &[&'static str]) -> Result<Entry, Problem> {
        let mut found: Vec<Entry> = keys.iter().filter_map(|key| self.take(key)).collect();
        let only = found.pop();
        match (only, found.pop()) {
            (Some(entry), None) => Ok(entry),
            (Some(entry), Some(other)) => Err(Problem::at(
                entry.line,
                format!("`{}` has both `{}` and `{}`: expected one of them", self.name, other.key, entry.key),
            )),
            (None, _) => {
                // A misspelt key is told as such, where it stands; what else there is may be right beside one of them.
                for (line, key, _) in &self.entries {
                    let hint = did_you_mean(key, keys.iter().copied());
                    if hint.starts_with("did") {
                        return Err(Problem::at(*line, format!("`{key}` is not known in `{}`: {hint}", self.name)));
                    }
                }
                Err(Problem::at(self.line, format!("`{}` has none of {}: add one", self.name, list(keys))))
            }
        }
    }
}

impl Kind {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Nothing => "empty".to_owned(),
            Self::Truth(truth) => truth.to_string(),
            Self::Whole(whole) => whole.to_string(),
            Self::Real(real) => real.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl Entry {
    pub(super) fn wrong(&self, expected: &str) -> Problem {
        Problem::at(self.line, format!("`{}` is {}: expected {expected}", self.key, self.node.kind.shown()))
    }

    pub(super) fn text(self) -> Result<String, Problem> {
        match self.node.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.wrong("a text")),
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(&self, low: u32, high: u32) -> Result<u32, Problem> {
        let whole = match self.node.kind {
            Kind::Whole(whole) => u32::try_from(whole).ok(),
            _ => None,
        };
        whole
            .filter(|whole| (low..=high).contains(whole))
            .ok_or_else(|| self.wrong(&format!("a whole number from {low} to {high}")))
    }

    pub(super) fn truth(&self) -> Result<bool, Problem> {
        match self.node.kind {
            Kind::Truth(truth) => Ok(truth),
            _ => Err(self.wrong("true or false")),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a whole number in a profile is far below 2^53")]
    pub(super) fn real(&self) -> Option<f64> {
        match self.node.kind {
            Kind::Whole(whole) => Some(whole as f64),
            Kind::Real(real) => Some(real),
            _ => None,
        }
    }

    /// A time: a number of seconds, or a text such as `50ms`; from `low` to `high`.
    pub(super) fn time(&self, low: Duration, high: Duration) -> Result<Duration, Problem> {
        let time = match &self.node.kind {
            Kind::Text(text) => humantime::parse_duration(text).ok(),
            _ => self.real().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        let shown = |time: Duration| humantime::format_duration(time).to_string();
        time.filter(|time| (low..=high).contains(time)).ok_or_else(|| {
            self.wrong(&format!(
                "a time from {} to {}, such as \"50ms\" or a number of seconds",
                shown(low),
                shown(high)
            ))
        })
    }

    pub(super) fn list(self, expected: &str) -> Result<Vec<Self>, Problem> {
        match self.node.kind {
            Kind::List(nodes) => {
                Ok(nodes.into_iter().map(|node| Self { key: self.key.clone(), line: node.line, node }).collect())
            }
            _ => Err(self.wrong(expected)),
        }
    }
}
