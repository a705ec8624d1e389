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

/// The class of a cell of figures. A statement in SQL stands there too, and may be too long for one line.
pub(super) fn class(is_figure: bool, cell: &str) -> &'static str {
    match (is_figure, cell.chars().count() > 40) {
        (true, false) => " class=\"figure\"",
        (true, true) => " class=\"figure long\"",
        (false, _) => "",
    }
}

/// A table of cells that are plain text. Columns of figures stand to the right.
pub(super) fn table(caption: &str, header: &[String], rows: &[Vec<String>]) -> String {
    let is_words = |cell: &String| cell.starts_with(|first: char| first.is_alphabetic() || first == '\'');
    let figures: Vec<bool> = (0..header.len())
        .map(|column| {
            let words = rows.iter().filter_map(|row| row.get(column)).filter(|cell| is_words(cell)).count();
            column > 0 && words * 2 <= rows.len()
        })
        .collect();
    let head = all(header
        .iter()
        .zip(&figures)
        .map(|(name, is_figure)| format!("<th scope=\"col\"{}>{}</th>", class(*is_figure, ""), text(name))));
    let body = all(rows.iter().map(|row| {
        let cells = row.iter().zip(&figures).enumerate().map(|(column, (cell, is_figure))| {
            if column == 0 {
                return format!("<th scope=\"row\">{}</th>", text(cell));
            }
            format!("<td{}>{}</td>", class(*is_figure, cell), text(cell))
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
