//! Values and comments as text of a language.

use std::time::Duration;

use super::{Written, python};
use crate::report::words::breaks;

/// The syntax of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Language {
    Python,
    JavaScript,
    Rust,
    Go,
    CSharp,
    Json,
    Yaml,
    Toml,
    /// Java's properties.
    Properties,
    /// PgBouncer's, whose values are everything up to the end of the line.
    Ini,
    /// Lines that a shell and a `.env` file read alike.
    Shell,
}

impl Language {
    /// What begins a comment; `None` where there are none.
    #[must_use]
    pub fn comment(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::JavaScript | Self::Rust | Self::Go | Self::CSharp => Some("// "),
            Self::Ini => Some("; "),
            Self::Python | Self::Yaml | Self::Toml | Self::Properties | Self::Shell => Some("# "),
        }
    }

    /// A value as a literal; `None` when the language cannot say it.
    pub(super) fn literal(self, written: &Written) -> Option<String> {
        Some(match written {
            Written::Whole(whole) => whole.to_string(),
            Written::Number(number) => number.to_string(),
            Written::Time(time) => self.time(*time),
            Written::Word(word) => (*word).to_owned(),
            Written::Text(text) => return self.text(text),
        })
    }

    fn time(self, time: Duration) -> String {
        let nanoseconds = time.subsec_nanos();
        match (self, nanoseconds == 0, nanoseconds.is_multiple_of(1_000_000)) {
            (Self::Rust, true, _) => format!("Duration::from_secs({})", time.as_secs()),
            (Self::Rust, _, true) => format!("Duration::from_millis({})", time.as_millis()),
            (Self::Rust, ..) => format!("Duration::from_nanos({})", time.as_nanos()),
            (Self::Go, true, _) => format!("{} * time.Second", time.as_secs()),
            (Self::Go, _, true) => format!("{} * time.Millisecond", time.as_millis()),
            (Self::Go, ..) => format!("{} * time.Nanosecond", time.as_nanos()),
            (Self::CSharp, true, _) => format!("TimeSpan.FromSeconds({})", time.as_secs()),
            (Self::CSharp, _, true) => format!("TimeSpan.FromMilliseconds({})", time.as_millis()),
            // A tick is a hundred nanoseconds.
            (Self::CSharp, ..) => format!("TimeSpan.FromTicks({})", time.as_nanos() / 100),
            (_, true, _) => format!("{}s", time.as_secs()),
            (_, _, true) => format!("{}ms", time.as_millis()),
            (..) => format!("{}ns", time.as_nanos()),
        }
    }

    fn text(self, text: &str) -> Option<String> {
        match self {
            Self::Python => Some(python::text(text)),
            Self::Rust => Some(format!("{text:?}")),
            // JSON's escapes are the others' too.
            Self::Json | Self::Yaml | Self::Toml | Self::JavaScript | Self::Go | Self::CSharp => Some(quoted(text)),
            Self::Properties => Some(property(text)),
            Self::Ini => one_line(text).filter(|text| text.trim() == *text).map(str::to_owned),
            Self::Shell => one_line(text).map(|text| format!("'{}'", text.replace('\'', r"'\''"))),
        }
    }
}

/// The text if it stays on its line.
fn one_line(text: &str) -> Option<&str> {
    (!text.chars().any(breaks)).then_some(text)
}

fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            character if breaks(character) => literal.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => literal.push(character),
        }
    }
    literal.push('"');
    literal
}

/// A value of Java's properties, whose files are Latin-1 by default and whose leading spaces are dropped.
fn property(text: &str) -> String {
    let mut value = String::new();
    for (index, character) in text.chars().enumerate() {
        match character {
            '\\' => value.push_str("\\\\"),
            ' ' if index == 0 => value.push_str("\\ "),
            ' '..='~' => value.push(character),
            character => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    value.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_each_language_s_words() {
        let say = |language: Language, milliseconds| language.time(Duration::from_millis(milliseconds));
        assert_eq!(say(Language::Go, 10_000), "10 * time.Second");
        assert_eq!(say(Language::Go, 1_500), "1500 * time.Millisecond");
        assert_eq!(say(Language::Rust, 200), "Duration::from_millis(200)");
        assert_eq!(say(Language::CSharp, 200), "TimeSpan.FromMilliseconds(200)");
        assert_eq!(say(Language::Yaml, 30_000), "30s");
    }

    #[test]
    fn text_cannot_leave_its_quotes() {
        let hostile = "a'b\"c\\\n$(x)";
        assert_eq!(Language::Json.text(hostile).unwrap(), "\"a'b\\\"c\\\\\\n$(x)\"");
        assert_eq!(Language::Properties.text(hostile).unwrap(), "a'b\"c\\\\\\u000a$(x)");
        assert_eq!(Language::Shell.text(hostile), None);
        assert_eq!(Language::Shell.text("it's").unwrap(), r"'it'\''s'");
        assert_eq!(Language::Ini.text(hostile), None);
        assert_eq!(Language::Ini.text(" SELECT 1"), None);
    }
}
