//! Lines with `NAME=value`, as shells and `.env` readers take them.

use std::ops::Range;

use super::{
    Edits, IntoError, Names, Obstacle, Wanted,
    edit::{append, line_of, next_line, same},
    error::shortened,
    is_same_time, plain,
};
use crate::{
    export::{Language, Written},
    model::{Setting, Value},
};

/// A line that gives a setting its value.
struct Line {
    setting: Setting,
    name: String,
    at: usize,
    value: Range<usize>,
    /// What the value is to its reader.
    holds: String,
}

/// What a file defines: each setting with its place and what it holds.
pub(in crate::export) fn defined(text: &str, names: Names<'_>) -> Result<Vec<(Setting, usize, String)>, IntoError> {
    let (lines, _) = lines(text, names)?;
    Ok(lines.into_iter().map(|line| (line.setting, line.at, line.holds)).collect())
}

/// The lines that define settings, and where the block ends that is there already.
fn lines(text: &str, names: Names<'_>) -> Result<(Vec<Line>, Option<usize>), IntoError> {
    if let Some(part) = names.within {
        return Err(IntoError::NoSuchPart(part.to_owned()));
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut block = None;
    let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
    while at < text.len() {
        let line = text[at..next_line(text, at)].trim();
        if line == super::END {
            block = Some(at);
        }
        let mut next = next_line(text, at);
        if let Some((name, exported, start)) = name_at(text, at) {
            let setting = names.of_constant(&name);
            match value_at(text, start) {
                Some((value, holds)) => {
                    next = next_line(text, value.end);
                    if let Some(setting) = setting {
                        let tail = text[value.end..next].trim();
                        // `export A=1 B=2` and `A=1 command` are more than a value.
                        let is_bare = !text[value.clone()].starts_with(['\'', '"']);
                        let more = is_bare && holds.contains(char::is_whitespace) && (exported || holds.contains('='));
                        if more && value_is_number(setting) || !(tail.is_empty() || tail.starts_with('#')) {
                            return Err(IntoError::syntax(text, at));
                        }
                        if let Some(first) = lines.iter().find(|line| line.name == name) {
                            let (first, second) = (line_of(text, first.at), line_of(text, at));
                            return Err(IntoError::Twice { name, first, second });
                        }
                        lines.push(Line { setting, name, at, value, holds });
                    }
                }
                // A quote that nothing closes: the reader's own affair unless it is a setting's.
                None if setting.is_some() => return Err(IntoError::syntax(text, at)),
                None => {}
            }
        }
        at = next;
    }
    Ok((lines, block))
}

/// What has to be replaced so that the file holds the settings.
pub(super) fn edits(text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Edits, IntoError> {
    let (lines, block) = lines(text, names)?;
    let mut edits = Edits::default();
    for line in &lines {
        let changed = changed(&text[line.value.clone()], &line.holds, wanted.get(line.setting));
        let outcome = changed.map(|now| now.map(|now| (line.value.clone(), now)));
        edits.settle(text, wanted, (line.setting, &line.name, line.at), outcome);
    }
    let mut added = Vec::new();
    for setting in wanted.missing(|setting| lines.iter().any(|line| line.setting == setting)) {
        let (name, value) = (names.constant(setting), wanted.get(setting));
        match literal(value) {
            Ok(now) => {
                edits.added(&name, &now);
                added.push(format!("{name}={now}"));
            }
            Err(problem) => edits.obstacles.push(Obstacle { line: line_of(text, text.len()), name, text: problem }),
        }
    }
    if !added.is_empty() {
        append(&mut edits, text, &added, block);
    }
    edits.unhindered()
}

fn value_is_number(setting: Setting) -> bool {
    setting.spec().unit != crate::model::Unit::Sql
}

/// The name that a line begins with, whether it is exported, and where its value begins.
fn name_at(text: &str, at: usize) -> Option<(String, bool, usize)> {
    let line = text[at..next_line(text, at)].trim_end_matches(['\r', '\n']);
    let trimmed = line.trim_start();
    let unexported = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim_start);
    let rest = unexported.unwrap_or(trimmed);
    let end = rest.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))?;
    let (name, rest) = rest.split_at(end);
    let value = rest.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
    (!name.is_empty()).then(|| (name.to_owned(), unexported.is_some(), at + line.len() - value.len()))
}

/// Where a value stands and what it holds; `None` when its quote is not closed.
fn value_at(text: &str, start: usize) -> Option<(Range<usize>, String)> {
    if !text[start..].starts_with(['\'', '"']) {
        let line = text[start..next_line(text, start)].trim_end_matches(['\r', '\n']);
        // A comment needs a space before it, or `a#b` would be cut.
        let comment = line.char_indices().zip(std::iter::once(' ').chain(line.chars()));
        let end = comment.into_iter().find(|((_, sign), before)| *sign == '#' && before.is_whitespace());
        let value = line[..end.map_or(line.len(), |((end, _), _)| end)].trim_end();
        return Some((start..start + value.len(), value.to_owned()));
    }
    // A shell joins what stands beside each other: 'it'\''s'.
    let mut holds = String::new();
    let mut quote = None;
    let mut characters = text[start..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, space) if space.is_whitespace() => return Some((start..start + offset, holds)),
            (None, '\\') => holds.extend(characters.next().map(|(_, escaped)| escaped)),
            (Some('"'), '\\') => match characters.next()?.1 {
                escaped @ ('"' | '\\' | '$' | '`') => holds.push(escaped),
                other => holds.extend(['\\', other]),
            },
            _ => holds.push(character),
        }
    }
    quote.is_none().then_some((start..text.len(), holds))
}

/// The new text of a value; `None` when it has that value.
fn changed(present: &str, holds: &str, value: &Value) -> Result<Option<String>, String> {
    let wanted = plain(value);
    if let Some(number) = value.number() {
        match holds.trim().parse::<f64>() {
            Ok(present) if same(present, number) => return Ok(None),
            Err(_) if is_same_time(holds, value) => return Ok(None),
            Err(_) if !holds.trim().is_empty() => {
                return Err(format!("is `{}`, which is no number; write {wanted} there by hand", shortened(present)));
            }
            _ => {}
        }
    } else if holds == wanted {
        return Ok(None);
    }
    let unquoted = literal(value)?;
    Ok(Some(match present.chars().next() {
        Some('"') => {
            let mut quoted = String::from("\"");
            for character in wanted.chars() {
                if matches!(character, '"' | '\\' | '$' | '`') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            quoted + "\""
        }
        Some('\'') if value.number().is_some() => format!("'{wanted}'"),
        _ => unquoted,
    }))
}

fn literal(value: &Value) -> Result<String, String> {
    let written = value.number().map_or_else(|| Written::Text(plain(value)), Written::Number);
    Language::Shell.literal(&written).ok_or_else(|| {
        "cannot be written in a file of variables: it has a line end or a control character; give it in one plain line"
            .to_owned()
    })
}
