//! Values as literals of Python.

use crate::{model::Value, report::words::breaks};

/// The literal of a value: `15`, `0.2`, `'SELECT 1'`.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::Count(_) | Value::Time(_) | Value::Factor(_) => value.to_string(),
        Value::Sql(sql) => text(sql),
    }
}

/// A string in single quotes, on one line, that Python reads as the same characters.
fn text(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        match character {
            '\\' => literal.push_str(r"\\"),
            '\'' => literal.push_str(r"\'"),
            '\n' => literal.push_str(r"\n"),
            '\r' => literal.push_str(r"\r"),
            '\t' => literal.push_str(r"\t"),
            character if breaks(character) => literal.extend(format!("\\u{:04x}", u32::from(character)).chars()),
            character => literal.push(character),
        }
    }
    literal.push('\'');
    literal
}
