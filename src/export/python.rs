//! Texts as literals of Python.

use crate::report::words::breaks;

/// A string in single quotes, on one line, that Python reads as the same characters.
pub(super) fn text(text: &str) -> String {
    text_in('\'', text)
}

/// The same in the quotes given.
pub(super) fn text_in(quote: char, text: &str) -> String {
    let mut literal = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => literal.push_str(r"\\"),
            '\n' => literal.push_str(r"\n"),
            '\r' => literal.push_str(r"\r"),
            '\t' => literal.push_str(r"\t"),
            character if character == quote => literal.extend(['\\', quote]),
            character if breaks(character) => literal.extend(format!("\\u{:04x}", u32::from(character)).chars()),
            character => literal.push(character),
        }
    }
    literal.push(quote);
    literal
}
