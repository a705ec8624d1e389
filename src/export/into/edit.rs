use std::ops::Range;

use super::{BEGIN, END, IntoError, Obstacle, Rewritten, Wanted};
use crate::model::Setting;

/// A part of a text that is replaced.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// A value that differs from what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The line in the text as it was; `None` for what is added.
    pub line: Option<usize>,
    /// The name there.
    pub name: String,
    /// What stood there; `None` for what is added.
    pub was: Option<String>,
    /// What stands there now.
    pub now: String,
}

/// A setting that is not to be written, and that has another value in the text, or one that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The line in the text as it was.
    pub line: usize,
    /// The setting.
    pub setting: Setting,
    /// What stands there; `None` where it is no plain value.
    pub has: Option<String>,
}

/// All that is replaced in a text.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) replaced: Vec<Edit>,
    pub(super) changes: Vec<Change>,
    pub(super) left: Vec<Left>,
    pub(super) obstacles: Vec<Obstacle>,
    pub(super) hint: Option<String>,
}

/// The place to change and its new text; `None` where the value is there already, an error where it cannot be changed.
pub(super) type Outcome = Result<Option<(Range<usize>, String)>, String>;

impl Edits {
    /// Notes what a name of a setting needs: another value, or only that it has another one where it is not to be written.
    pub(super) fn settle(
        &mut self,
        source: &str,
        wanted: Wanted<'_>,
        (setting, name, at): (Setting, &str, usize),
        outcome: Outcome,
    ) {
        let line = line_of(source, at);
        let left = |has: Option<&str>| Left { line, setting, has: has.map(str::to_owned) };
        match outcome {
            Ok(None) => {}
            Ok(Some((range, now))) if wanted.writes(setting) => self.replace(source, name, range, now),
            Ok(Some((range, _))) => self.left.push(left(source.get(range).filter(|text| !text.trim().is_empty()))),
            Err(problem) if wanted.writes(setting) => {
                self.obstacles.push(Obstacle { line, name: name.to_owned(), text: problem });
            }
            Err(_) => self.left.push(left(None)),
        }
    }

    /// The edits, if nothing stands in their way.
    pub(super) fn unhindered(self) -> Result<Self, IntoError> {
        if self.obstacles.is_empty() { Ok(self) } else { Err(IntoError::Obstacles(self.obstacles)) }
    }

    pub(super) fn replace(&mut self, source: &str, name: &str, range: Range<usize>, now: String) {
        self.changes.push(Change {
            line: Some(line_of(source, range.start)),
            name: name.to_owned(),
            was: source.get(range.clone()).map(str::to_owned),
            now: now.clone(),
        });
        self.replaced.push(Edit { range, text: now });
    }

    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replaced.push(Edit { range: at..at, text: text.into() });
    }

    pub(super) fn added(&mut self, name: &str, now: &str) {
        self.changes.push(Change { line: None, name: name.to_owned(), was: None, now: now.to_owned() });
    }

    pub(super) fn apply(mut self, source: &str) -> Rewritten {
        // A stable sort: what is inserted at one place stays in order.
        self.replaced.sort_by_key(|edit| (edit.range.start, edit.range.end));
        self.changes.sort_by_key(|change| change.line.unwrap_or(usize::MAX));
        self.left.sort_by_key(|left| left.line);
        let mut text = String::with_capacity(source.len() + 64);
        let mut done = 0;
        for edit in &self.replaced {
            text.push_str(source.get(done..edit.range.start).unwrap_or_default());
            text.push_str(&edit.text);
            done = edit.range.end;
        }
        text.push_str(source.get(done..).unwrap_or_default());
        Rewritten { text, changes: self.changes, left: self.left, hint: self.hint }
    }
}

/// The line, from 1, that holds a byte.
pub(in crate::export) fn line_of(source: &str, at: usize) -> usize {
    source.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// The text of a line, without its end.
pub(in crate::export) fn line_text(source: &str, at: usize) -> &str {
    let end = source[at..].find('\n').map_or(source.len(), |offset| at + offset);
    source[start_of_line(source, at)..end].trim_end_matches('\r')
}

/// Where the line of a byte begins.
pub(super) fn start_of_line(source: &str, at: usize) -> usize {
    source[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// Where the next line begins, or the text ends.
pub(super) fn next_line(source: &str, at: usize) -> usize {
    source[at..].find('\n').map_or(source.len(), |offset| at + offset + 1)
}

/// The white space that a line begins with.
pub(super) fn indent_of(source: &str, at: usize) -> &str {
    let line = line_text(source, at);
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// How the lines of a text end: as its first one does.
pub(super) fn line_end(source: &str) -> &'static str {
    match source.find('\n') {
        Some(at) if source[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Lines between the two marks, each with the indent and the text's line end.
pub(super) fn marked(lines: &[String], indent: &str, line_end: &str) -> String {
    format!("{indent}{BEGIN}{line_end}{}{indent}{END}{line_end}", indented(lines, indent, line_end))
}

/// Lines, each with the indent and the text's line end.
pub(super) fn indented(lines: &[String], indent: &str, line_end: &str) -> String {
    lines.iter().fold(String::new(), |text, line| text + indent + line + line_end)
}

/// Whether two numbers are the same; what a person wrote is compared to the last digit.
pub(super) fn same(one: f64, other: f64) -> bool {
    one.total_cmp(&other).is_eq()
}

/// Puts lines at the end of a text, or into the block that is there.
pub(super) fn append(edits: &mut Edits, source: &str, lines: &[String], block: Option<usize>) {
    let line_end = line_end(source);
    if let Some(end) = block {
        let at = start_of_line(source, end);
        let indent = indent_of(source, end);
        edits.insert(at, indented(lines, indent, line_end));
        return;
    }
    let mut text = String::new();
    let body = source.trim_start_matches('\u{feff}');
    if !body.is_empty() {
        if !body.ends_with('\n') {
            text.push_str(line_end);
        }
        if !body.ends_with("\n\n") && !body.ends_with("\n\r\n") {
            text.push_str(line_end);
        }
    }
    text.push_str(&marked(lines, "", line_end));
    edits.insert(source.len(), text);
}
