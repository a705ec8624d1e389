//! Named placeholders (`:name`) in SQL.

use crate::model::Dialect;

/// A statement with `:name` turned into what the dialect takes, and the names of the values to bind, in their order.
///
/// PostgreSQL has `$1`, `$2` …, and SQLite `?1`, `?2` …, where a name used twice gets one number; MySQL has `?`, bound
/// once for each place. What stands in quotes, comments and `::casts` is left alone.
pub(super) fn number(sql: &str, dialect: Dialect) -> (String, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = quoted(rest, dialect).or_else(|| rest.starts_with("::").then_some(2));
        if let Some(length) = skipped {
            let (copied, after) = rest.split_at(length);
            out.push_str(copied);
            rest = after;
            continue;
        }
        let name = rest.strip_prefix(':').map(identifier).filter(|name| !name.is_empty());
        if let Some(name) = name {
            let known = names.iter().position(|known| known == name).filter(|_| dialect != Dialect::MySql);
            let number = known.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            match dialect {
                Dialect::Postgres => out.push_str(&format!("${}", number + 1)),
                Dialect::MySql => out.push('?'),
                Dialect::Sqlite => out.push_str(&format!("?{}", number + 1)),
            }
            rest = &rest[1 + name.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            // `a.b:c` is an array slice, not a placeholder: a name directly before the colon belongs to it.
            if (first.is_alphanumeric() || matches!(first, '_' | ']' | ')'))
                && let Some(after) = rest.strip_prefix(':')
                && !after.starts_with(':')
            {
                out.push(':');
                rest = after;
            }
        }
    }
    (out, names)
}

/// The identifier that `text` begins with; empty when it begins with none.
pub(super) fn identifier(text: &str) -> &str {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    &text[..text.find(|c| !good(c)).unwrap_or(text.len())]
}

/// The length of the quoted text or comment that `text` begins with, to its end or, when it has none, all of it.
pub(super) fn quoted(text: &str, dialect: Dialect) -> Option<usize> {
    let to = |start: usize, end: &str| text[start..].find(end).map_or(text.len(), |at| start + at + end.len());
    let first = text.chars().next()?;
    if dialect == Dialect::MySql && matches!(first, '\'' | '"') {
        Some(escaped(text, first))
    } else if matches!(first, '\'' | '"') || (first == '`' && dialect != Dialect::Postgres) {
        Some(to(1, first.encode_utf8(&mut [0; 4])))
    } else if first == '#' && dialect == Dialect::MySql {
        Some(to(1, "\n"))
    } else if text.starts_with("--") {
        Some(to(2, "\n"))
    } else if text.starts_with("/*") {
        Some(to(2, "*/"))
    } else if let Some(tag) = text.strip_prefix('$').filter(|_| dialect == Dialect::Postgres) {
        let tag = identifier(tag);
        let quote = format!("${tag}$");
        text.starts_with(&quote).then(|| to(quote.len(), &quote))
    } else {
        None
    }
}

/// The length of a quoted text in which a backslash takes the meaning from what follows it.
fn escaped(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::number;
    use crate::model::Dialect;

    fn numbered(sql: &str) -> (String, Vec<String>) {
        number(sql, Dialect::Postgres)
    }

    #[test]
    fn each_dialect_has_placeholders_of_its_own() {
        let sql = "select :a, :b, :a";
        assert_eq!(number(sql, Dialect::MySql), ("select ?, ?, ?".into(), vec!["a".into(), "b".into(), "a".into()]));
        assert_eq!(number(sql, Dialect::Sqlite), ("select ?1, ?2, ?1".into(), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn each_dialect_has_quotes_of_its_own() {
        for sql in [r"select 'it\'s :a', `:a`", "select 1 # :a\n", r#"select ":a \" :a""#] {
            assert_eq!(number(sql, Dialect::MySql), (sql.to_owned(), vec![]), "{sql}");
        }
        assert_eq!(number("select `:a`, '\\'", Dialect::Sqlite).1, Vec::<String>::new());
        assert_eq!(number("select $x$ :a $x$", Dialect::Sqlite).1, ["a"]);
    }

    #[test]
    fn names_become_numbers_in_order() {
        let (sql, names) = numbered("select * from t where a = :id and b between :low and :id");
        assert_eq!(sql, "select * from t where a = $1 and b between $2 and $1");
        assert_eq!(names, ["id", "low"]);
    }

    #[test]
    fn quotes_comments_casts_and_slices_are_left_alone() {
        for sql in [
            "select ':a'",
            "select \":a\"",
            "select 1::bigint",
            "select 1 -- :a\n",
            "select /* :a */ 1",
            "select $$ :a $$, $x$ :b $x$",
            "select 'it''s :a'",
            "select array[1,2][1:2], x[a:b]",
            "select '10:30:00'::time",
        ] {
            assert_eq!(numbered(sql), (sql.to_owned(), vec![]), "{sql}");
        }
    }

    #[test]
    fn a_cast_after_a_placeholder_is_a_cast() {
        assert_eq!(numbered("select :id::text"), ("select $1::text".to_owned(), vec!["id".to_owned()]));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(sql in any::<String>()) {
            let (numbered, names) = numbered(&sql);
            prop_assert!(names.is_empty() || numbered.contains('$'));
            for dialect in Dialect::ALL {
                number(&sql, dialect);
            }
        }
    }
}
