use crate::{
    model::Dialect,
    profile::{error::Problem, placeholders},
};

/// A piece of a script: a meta command or a statement, and the line that it begins in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// What stands behind a backslash, to the end of the line.
    Command { line: u64, text: String },
    /// A statement without its `;` and without `--` comments.
    Statement { line: u64, sql: String },
}

/// Cuts a script into its pieces, as pgbench does: a statement ends with `;`, a meta command with its line (which a
/// backslash at its end continues).
pub(super) fn cut(text: &str) -> Result<Vec<Piece>, Problem> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let (mut sql, mut sql_line) = (String::new(), 1);
    while let Some(first) = rest.chars().next() {
        if sql.trim().is_empty() {
            sql.clear();
            sql_line = line;
        }
        let length = match first {
            ';' => {
                end(&mut pieces, &mut sql, sql_line);
                1
            }
            '\\' => {
                if !sql.trim().is_empty() {
                    return Err(stray(rest, line, sql_line));
                }
                let length = command_length(rest);
                let text = rest[1..length].replace("\\\r\n", " ").replace("\\\n", " ");
                pieces.push(Piece::Command { line, text: text.trim().to_owned() });
                length
            }
            _ => {
                let length = placeholders::quoted(rest, Dialect::Postgres).unwrap_or(first.len_utf8());
                if rest.starts_with("--") {
                    // The line still ends where the comment does.
                    sql.push('\n');
                } else if rest.starts_with("/*") && sql.trim().is_empty() {
                    sql.clear();
                } else {
                    sql.push_str(&rest[..length]);
                }
                length
            }
        };
        line += u64::try_from(rest[..length].matches('\n').count()).unwrap_or(u64::MAX);
        rest = &rest[length..];
    }
    end(&mut pieces, &mut sql, sql_line);
    Ok(pieces)
}

fn end(pieces: &mut Vec<Piece>, sql: &mut String, line: u64) {
    // Windows' ends of lines, and blanks where a comment stood.
    let lines: Vec<&str> = sql.trim().lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if !lines.is_empty() {
        pieces.push(Piece::Statement { line, sql: lines.join("\n") });
    }
    sql.clear();
}

/// A backslash in the middle of a statement.
fn stray(rest: &str, line: u64, sql_line: u64) -> Problem {
    let word: String = rest[1..].chars().take_while(char::is_ascii_alphabetic).collect();
    match word.as_str() {
        "gset" | "aset" => Problem::at(
            line,
            format!("`\\{word}` is not supported: a profile cannot use a result in a later statement; leave it out"),
        ),
        _ => Problem::at(
            line,
            format!(
                "a backslash stands in the statement that begins in line {sql_line}: end the statement with `;` first"
            ),
        ),
    }
}

/// The length of the meta command that `text` begins with.
fn command_length(text: &str) -> usize {
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        length += line.len();
        if !line.trim_end_matches(['\n', '\r']).ends_with('\\') || line == "\\" {
            break;
        }
    }
    length
}
