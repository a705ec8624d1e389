//! Markdown that text from elsewhere cannot break out of.

use super::words::one_line;

/// Text for a paragraph, a list or a table's cell: on one line, with Markdown's own characters escaped.
pub(super) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in one_line(text).chars() {
        match character {
            '\\' | '`' | '|' | '*' | '<' | '>' | '~' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    // A bracket alone is plain text, as intervals need it; only a link's middle is broken.
    escaped.replace("](", "]\\(")
}

/// Where the text of a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// To the left, for words.
    Left,
    /// To the right, for numbers.
    Right,
}

/// A table whose columns are also aligned as plain text. Cells are taken as they are: escape with [`text`].
pub(super) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, _))| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.chain([name.chars().count(), 3]).max().unwrap_or(3)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = columns.iter().zip(&widths).enumerate().map(|(index, ((_, align), &width))| {
            let cell = cells.get(index).map_or("", String::as_str);
            match align {
                Align::Left => format!(" {cell:<width$} |"),
                Align::Right => format!(" {cell:>width$} |"),
            }
        });
        format!("|{}\n", padded.collect::<String>())
    };
    let header: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let rule = columns.iter().zip(&widths).map(|((_, align), &width)| match align {
        Align::Left => format!(" {} |", "-".repeat(width)),
        Align::Right => format!(" {}: |", "-".repeat(width - 1)),
    });
    let mut table = line(&header);
    table.extend(["|", &rule.collect::<String>(), "\n"]);
    table.extend(rows.iter().map(|row| line(row)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_cell() {
        assert_eq!(text("a|b`c\nd"), "a\\|b\\`c\\\\nd");
        assert_eq!(text("[x](y) +1 % [-1, +2]"), "[x]\\(y) +1 % [-1, +2]");
    }

    #[test]
    fn columns_are_aligned_as_plain_text_too() {
        let rows = [vec!["a".to_owned(), "12345".to_owned()], vec!["long name".to_owned()]];
        insta::assert_snapshot!(table(&[("name", Align::Left), ("n", Align::Right)], &rows), @r"
        | name      |     n |
        | --------- | ----: |
        | a         | 12345 |
        | long name |       |
        ");
    }
}
