//! Showing a piece of SQL in an error, with a mark where the error is.

/// The longest line shown.
const WIDTH: usize = 96;

/// The line of `sql` that holds `position` (in characters, from 1), and a line with a caret beneath it; without a
/// position, the first line that is not empty.
pub(super) fn excerpt(sql: &str, position: Option<usize>) -> String {
    let Some((line, column)) = position.and_then(|position| locate(sql, position)) else {
        let mut lines = sql.lines().map(str::trim).filter(|line| !line.is_empty());
        let first: Vec<char> = lines.next().unwrap_or_default().chars().collect();
        let more = lines.next().is_some() || first.len() > WIDTH;
        let shown: String = first.into_iter().take(WIDTH).collect();
        return format!("    {shown}{}", if more { " …" } else { "" });
    };
    let characters: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let indent = characters.iter().take_while(|c| **c == ' ').count().min(column);
    // A long line is cut so that the place is in the middle.
    let start = if column - indent < WIDTH { indent } else { column - WIDTH / 2 };
    let end = characters.len().min(start + WIDTH);
    let before = if start > indent { "…" } else { "" };
    let after = if end < characters.len() { "…" } else { "" };
    let shown: String = characters[start..end].iter().collect();
    let caret = column - start + before.chars().count();
    format!("    {before}{shown}{after}\n    {}^", " ".repeat(caret))
}

/// The line that holds the character at `position`, and its column there, from 0.
fn locate(sql: &str, position: usize) -> Option<(&str, usize)> {
    let mut left = position.checked_sub(1)?;
    for line in sql.split('\n') {
        let length = line.chars().count();
        if left <= length {
            return Some((line, left));
        }
        left -= length + 1;
    }
    None
}

/// Where a position in `sql` (placeholders `$1`) lies in `source` (placeholders `:name`), if the texts are else alike.
pub(super) fn position_in_source(source: &str, sql: &str, position: usize) -> Option<usize> {
    let (mut left, mut right) = (source.chars().peekable(), sql.chars().peekable());
    let (mut in_source, mut in_sql) = (1, 1);
    while in_sql < position {
        let (a, b) = (left.next()?, right.next()?);
        (in_source, in_sql) = (in_source + 1, in_sql + 1);
        if a == ':' && b == '$' {
            while left.next_if(|c| c.is_alphanumeric() || *c == '_').is_some() {
                in_source += 1;
            }
            while right.next_if(char::is_ascii_digit).is_some() {
                in_sql += 1;
            }
        } else if a != b {
            return None;
        }
    }
    (in_sql == position).then_some(in_source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(excerpt("select 1\nfrom nowhere", Some(15)), "    from nowhere\n         ^");
        assert_eq!(excerpt("  select nothing", Some(10)), "    select nothing\n           ^");
        assert_eq!(excerpt("select", Some(7)), "    select\n          ^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let sql = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = excerpt(&sql, Some(501));
        let (text, caret) = shown.split_once('\n').unwrap();
        assert!(text.chars().count() < 110, "{text}");
        assert_eq!(text.chars().nth(caret.chars().count() - 1), Some('X'));
    }

    #[test]
    fn without_a_place_the_beginning_is_shown() {
        assert_eq!(excerpt("\n  create table t (id int);\n  create", None), "    create table t (id int); …");
        assert_eq!(excerpt("select 1", None), "    select 1");
        assert_eq!(excerpt("", Some(40)), "    ");
    }

    #[test]
    fn a_position_is_found_again_among_named_placeholders() {
        let (source, sql) = ("update t set a = :amount where idd = :id", "update t set a = $1 where idd = $2");
        let at = position_in_source(source, sql, sql.find("idd").unwrap() + 1).unwrap();
        assert!(source[at - 1..].starts_with("idd"), "{at}");
        let last = position_in_source(source, sql, sql.find("$2").unwrap() + 1).unwrap();
        assert!(source[last - 1..].starts_with(":id"), "{last}");
        assert_eq!(position_in_source("select 1", "select 2", 8), Some(8));
        assert_eq!(position_in_source("abc", "xyz", 3), None);
    }
}
