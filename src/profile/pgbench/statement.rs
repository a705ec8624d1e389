use super::variables::{Variable, Variables};
use crate::{
    model::Dialect,
    profile::{error::Problem, placeholders},
};

/// A statement with its constants written in, and the variables that are drawn as placeholders.
pub(super) fn fill(sql: &str, line: u64, variables: &mut Variables) -> Result<String, Problem> {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let here = line + u64::try_from(sql[..sql.len() - rest.len()].matches('\n').count()).unwrap_or(0);
        if let Some(length) = placeholders::quoted(rest, Dialect::Postgres) {
            let (quoted, after) = rest.split_at(length);
            out.push_str(&fill_quoted(quoted, here, variables)?);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            out.push_str("::");
            rest = after;
        } else if let Some(name) = name(rest) {
            match variables.get(name, here)? {
                // A minus before a minus would begin a comment.
                Variable::Constant(value) if value.starts_with('-') => out.push_str(&format!("({value})")),
                Variable::Constant(value) => out.push_str(value),
                &Variable::Drawn(place) => {
                    let parameter = variables.use_drawn(place);
                    // Directly behind a name, a profile takes it for the end of an array's slice.
                    if out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ']' | ')')) {
                        out.push(' ');
                    }
                    out.push_str(&format!(":{parameter}"));
                }
            }
            rest = &rest[1 + name.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(out)
}

/// Text in quotes: pgbench puts values there too; a parameter cannot stand there.
fn fill_quoted(quoted: &str, line: u64, variables: &Variables) -> Result<String, Problem> {
    let mut out = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(first) = rest.chars().next() {
        let variable = match name(rest).filter(|name| variables.is_known(name)) {
            Some(name) => Some((name, variables.get(name, line)?)),
            None => None,
        };
        match variable {
            Some((name, Variable::Constant(value))) => {
                out.push_str(value);
                rest = &rest[1 + name.len()..];
            }
            Some((name, Variable::Drawn(_))) => {
                return Err(Problem::at(
                    line,
                    format!(
                        "`:{name}` stands in quotes, where a value that is drawn cannot be put: build the text in SQL, \
                         such as `'item ' || :{name}::text`"
                    ),
                ));
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Ok(out)
}

/// The name of the variable that `text` begins with.
fn name(text: &str) -> Option<&str> {
    text.strip_prefix(':').map(placeholders::identifier).filter(|name| !name.is_empty())
}
