//! Writing a profile as YAML, with comments, that reads back as what was meant.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use super::{Profile, ProfileError, parse};
use crate::model::{Domain, Generator};

/// A profile that is about to be written; what it does not say has its default.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) workers: u32,
    /// Comments above everything, a paragraph each.
    pub(super) header: Vec<String>,
    pub(super) think_time: Option<Duration>,
    pub(super) prepare: Vec<String>,
    pub(super) operations: Vec<DraftOperation>,
    /// Comments below everything, a paragraph each.
    pub(super) footer: Vec<String>,
}

/// One operation of it.
#[derive(Clone, Debug)]
pub(super) struct DraftOperation {
    pub(super) comment: Vec<String>,
    pub(super) name: String,
    pub(super) weight: f64,
    pub(super) transaction: bool,
    /// In the order in which they run, with placeholders `:name`.
    pub(super) statements: Vec<String>,
    pub(super) parameters: Vec<DraftParameter>,
}

/// One parameter of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftParameter {
    pub(super) name: String,
    pub(super) generator: Generator,
    /// What a person should know of it, or nothing.
    pub(super) comment: String,
}

impl Draft {
    /// The profile, whose source is the text that was written.
    ///
    /// # Errors
    /// [`ProfileError`] when the text is no good profile, such as for a statement in which a placeholder stands where
    /// none can be told.
    pub(super) fn write(mut self) -> Result<Profile, ProfileError> {
        self.name_apart();
        let profile = parse(&self.name, &self.text())?;
        if self.is(&profile) {
            return Ok(profile);
        }
        Err(ProfileError {
            origin: format!("profile `{}`", self.name),
            line: None,
            problem: "as written it does not read back as what was meant: take odd characters out of the statements"
                .to_owned(),
        })
    }

    /// Gives operations of one name different ones.
    fn name_apart(&mut self) {
        let mut taken = BTreeSet::new();
        for operation in &mut self.operations {
            let plain = operation.name.clone();
            let mut number = 2;
            while !taken.insert(operation.name.clone()) {
                operation.name = format!("{plain} ({number})");
                number += 1;
            }
        }
    }

    /// Whether the profile that was read is the one that was written.
    fn is(&self, profile: &Profile) -> bool {
        let workload = &profile.workload;
        let same = |(meant, read): (&DraftOperation, &crate::model::Operation)| {
            let statements = read.statements.iter().map(|statement| &statement.source);
            let parameters = read.parameters.iter().map(|parameter| (&parameter.name, &parameter.generator));
            meant.name == read.name
                && meant.weight.total_cmp(&read.weight).is_eq()
                && meant.transaction == read.transaction
                && meant.statements.iter().eq(statements)
                && meant.parameters.iter().map(|parameter| (&parameter.name, &parameter.generator)).eq(parameters)
        };
        workload.prepare == self.prepare
            && workload.think_time == self.think_time
            && workload.operations.len() == self.operations.len()
            && self.operations.iter().zip(&workload.operations).all(same)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for paragraph in &self.header {
            comment(&mut out, 0, paragraph);
        }
        out.push_str(&format!("name: {}\n", scalar(&self.name)));
        if !self.about.is_empty() {
            out.push_str(&format!("about: {}\n", scalar(&self.about)));
        }
        out.push_str(&format!("workers: {}\n\nworkload:\n", self.workers));
        if let Some(time) = self.think_time {
            out.push_str(&format!("  think_time: {}\n", humantime::format_duration(time)));
        }
        if !self.prepare.is_empty() {
            // pgbench's tables are made in PostgreSQL's own words.
            out.push_str("  prepare:\n    postgres:\n");
        }
        for sql in &self.prepare {
            out.push_str(&format!("      - {}\n", text(sql, 8)));
        }
        out.push_str("  operations:\n");
        for operation in &self.operations {
            operation.write(&mut out);
        }
        for paragraph in &self.footer {
            out.push('\n');
            comment(&mut out, 0, paragraph);
        }
        out
    }
}

impl DraftOperation {
    fn write(&self, out: &mut String) {
        for paragraph in &self.comment {
            comment(out, 4, paragraph);
        }
        out.push_str(&format!("    - name: {}\n      weight: {}\n", scalar(&self.name), self.weight));
        match self.statements.as_slice() {
            [only] if !self.transaction => out.push_str(&format!("      sql: {}\n", text(only, 8))),
            several => {
                out.push_str(if self.transaction { "      transaction:\n" } else { "      statements:\n" });
                for sql in several {
                    out.push_str(&format!("        - {}\n", text(sql, 10)));
                }
            }
        }
        if !self.parameters.is_empty() {
            out.push_str("      parameters:\n");
        }
        for parameter in &self.parameters {
            out.push_str(&format!("        {}: {}", scalar(&parameter.name), shown(&parameter.generator)));
            if !parameter.comment.is_empty() {
                out.push_str(&format!(" # {}", on_one_line(&parameter.comment)));
            }
            out.push('\n');
        }
    }
}

/// A comment, line by line; an empty text is an empty line of it.
fn comment(out: &mut String, indent: usize, paragraph: &str) {
    let indent = " ".repeat(indent);
    for line in paragraph.split('\n') {
        out.push_str(format!("{indent}# {}", on_one_line(line)).trim_end());
        out.push('\n');
    }
}

/// The text without anything that YAML could take for the end of a line.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

/// Whether a character cannot stand as it is in a comment or a block of text.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text that may have several lines, as a block where it can be one; `indent` is that of the block.
fn text(text: &str, indent: usize) -> Cow<'_, str> {
    let is_block = text.contains('\n')
        && !text.chars().any(|c| !matches!(c, '\n' | '\t') && is_odd(c))
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with([' ', '\t', '\n'])
        // A line of blanks alone could be taken for part of the indentation.
        && !text.lines().any(|line| !line.is_empty() && line.trim().is_empty());
    if !is_block {
        return scalar(text);
    }
    let mut block = "|-".to_owned();
    for line in text.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            block.push_str(&" ".repeat(indent));
            block.push_str(line);
        }
    }
    Cow::Owned(block)
}

/// A text on one line, in quotes unless it plainly needs none.
fn scalar(text: &str) -> Cow<'_, str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = text.split(|c| !word(c)).next().unwrap_or_default().to_ascii_lowercase();
    // YAML takes these, alone, for something that is no text.
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&first.as_str());
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !reserved
        && text.is_ascii()
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !text.contains(is_odd);
    if is_plain { Cow::Borrowed(text) } else { Cow::Owned(quoted(text)) }
}

/// A text in quotes: single ones, or double ones where something has to be escaped.
fn quoted(text: &str) -> String {
    if !text.contains(is_odd) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_odd(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A parameter's domain as a profile has it.
fn shown(generator: &Generator) -> String {
    fn join<T>(values: &[T], shown: impl Fn(&T) -> String) -> String {
        values.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
    match generator {
        Generator::Integer(Domain::Uniform { low, high }) => format!("{{uniform: [{low}, {high}]}}"),
        Generator::Integer(Domain::Zipf { low, high, exponent }) => {
            format!("{{zipf: {{range: [{low}, {high}], exponent: {exponent:?}}}}}")
        }
        Generator::Integer(Domain::Sequence { start }) => format!("{{sequence: {start}}}"),
        Generator::Integer(Domain::Choice(values)) => format!("{{choice: [{}]}}", join(values, ToString::to_string)),
        Generator::Real { low, high } => format!("{{real: [{low:?}, {high:?}]}}"),
        Generator::Text(values) => format!("{{choice: [{}]}}", join(values, |value| quoted(value))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft(sql: &str, value: &str) -> Draft {
        let operation = DraftOperation {
            comment: vec![value.to_owned()],
            name: value.to_owned(),
            weight: 0.25,
            transaction: false,
            statements: vec![sql.to_owned()],
            parameters: vec![DraftParameter {
                name: "p".to_owned(),
                generator: Generator::Text(vec![value.to_owned()]),
                comment: value.to_owned(),
            }],
        };
        Draft { name: "mine".to_owned(), workers: 3, operations: vec![operation], ..Draft::default() }
    }

    #[test]
    fn what_yaml_reads_otherwise_is_quoted() {
        for odd in
            ["yes", "No", "on", "null", "~", "12", "- a", "a: b", "a #b", "{a}", "'", "\"", "a\tb", "a\r\nb", ":p", "é"]
        {
            let profile = draft(&format!("select :p, {odd}"), odd).write();
            // A quote in the SQL may swallow the placeholder; that is told, never written.
            if !odd.contains(['\'', '"']) {
                assert_eq!(profile.unwrap().workload.operations[0].name, odd);
            }
        }
    }

    #[test]
    fn operations_of_one_name_are_told_apart() {
        let mut draft = draft("select :p", "read");
        draft.operations.push(draft.operations[0].clone());
        let profile = draft.write().unwrap();
        let names: Vec<_> = profile.workload.operations.iter().map(|operation| operation.name.as_str()).collect();
        assert_eq!(names, ["read", "read (2)"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever stands in statements, values and comments: what is written is what was meant, or an error.
        #[test]
        fn nothing_breaks_out_of_its_place(more in any::<String>(), lines in "[ -~\n\t]{0,40}", value in any::<String>()) {
            for more in [more, lines] {
                if let Ok(profile) = draft(&format!("select :p\n{more}"), &value).write() {
                    prop_assert_eq!(profile.workload.operations.len(), 1);
                }
                let blameless = draft("select :p", &more).write();
                prop_assert!(blameless.is_ok(), "{:?}", blameless);
            }
        }
    }
}
