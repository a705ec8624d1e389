//! HTML that text from elsewhere cannot break out of.

use crate::report::words;

/// Text for anywhere in a page, attributes included: on one line, with HTML's own characters escaped.
pub(super) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::one_line(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A table of cells that are plain text. Every column but the first holds figures and stands to the right.
pub(super) fn table(caption: &str, header: &[String], rows: &[Vec<String>]) -> String {
    let head = all(header.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))));
    let body = all(rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("<th scope=\"row\">{}</th>", text(cell)),
            _ => format!("<td class=\"figure\">{}</td>", text(cell)),
        });
        format!("<tr>{}</tr>\n", all(cells))
    }));
    wide(&format!(
        "<table><caption>{}</caption><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n",
        text(caption)
    ))
}

/// What may be wider than a narrow window scrolls by itself, with the keyboard too.
pub(super) fn wide(inside: &str) -> String {
    format!("<div class=\"wide\" tabindex=\"0\">{inside}</div>\n")
}

/// Parts one after the other.
pub(super) fn all(parts: impl Iterator<Item = String>) -> String {
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(text("<b a=\"1\" b='2'>&\n"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;\\n");
    }
}
