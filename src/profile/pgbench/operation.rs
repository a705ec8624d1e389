use std::time::Duration;

use super::{
    Script, ScriptOptions,
    expression::{self, Value},
    lines::{Piece, cut},
    statement,
    variables::Variables,
};
use crate::profile::{draft::DraftOperation, error::Problem};

/// A script as an operation, and how long it sleeps at its end.
pub(super) struct Read {
    pub(super) operation: DraftOperation,
    pub(super) pause: Option<Duration>,
}

/// The longest pause that a profile takes.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads a script from its first line to its last, as pgbench runs it.
pub(super) fn read(script: &Script, options: &ScriptOptions) -> Result<Read, Problem> {
    let mut variables = Variables::new(options);
    let mut body = Body::default();
    let mut pause = None;
    for piece in cut(&script.text)? {
        let (Piece::Command { line, .. } | Piece::Statement { line, .. }) = &piece;
        if let Some((line, _)) = pause {
            return Err(Problem::at(
                line,
                "`\\sleep` is not the last line: a profile pauses only between requests (`think_time`); move it to \
                 the end, or leave it out",
            ));
        }
        match &piece {
            Piece::Statement { sql, .. } => body.add(sql, *line, &mut variables)?,
            Piece::Command { text, .. } => pause = command(text, *line, &mut variables)?.map(|time| (*line, time)),
        }
    }
    let (statements, transaction) = body.end()?;
    Ok(Read {
        operation: DraftOperation {
            comment: Vec::new(),
            name: script.name.clone(),
            weight: f64::from(script.weight),
            transaction,
            statements,
            parameters: variables.into_parameters(),
        },
        pause: pause.map(|(_, time)| time).filter(|time| !time.is_zero()),
    })
}

/// The statements of a script, as they come in.
#[derive(Default)]
struct Body {
    statements: Vec<String>,
    transaction: Transaction,
}

/// Where a script is with respect to its `BEGIN` and `END`; lines are those of each.
#[derive(Clone, Copy, Default)]
enum Transaction {
    #[default]
    None,
    Begun(u64),
    Ended(u64),
}

const WHOLE: &str = "a profile has transactions as a whole, so `BEGIN` must come before all statements of a script and \
                     `END` after them; split the script into several, each with its weight";

impl Body {
    fn add(&mut self, sql: &str, line: u64, variables: &mut Variables) -> Result<(), Problem> {
        let words: Vec<String> = sql.split_whitespace().map(str::to_ascii_lowercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["begin"] | ["begin" | "start", "transaction" | "work"] => match self.transaction {
                Transaction::None if self.statements.is_empty() => self.transaction = Transaction::Begun(line),
                _ => return Err(Problem::at(line, format!("`{sql}` is not the first statement: {WHOLE}"))),
            },
            ["begin", ..] | ["start", "transaction", ..] => {
                return Err(Problem::at(
                    line,
                    format!(
                        "`{sql}` has options, which a profile's transaction has not: write `BEGIN;` and then \
                         `SET TRANSACTION …;`"
                    ),
                ));
            }
            ["end" | "commit"] | ["end" | "commit", "transaction" | "work"] => match self.transaction {
                Transaction::Begun(_) => self.transaction = Transaction::Ended(line),
                _ => return Err(Problem::at(line, format!("`{sql}` ends no transaction: {WHOLE}"))),
            },
            ["rollback"]
            | ["rollback", "transaction" | "work" | "and", ..]
            | ["prepare", "transaction", ..]
            | ["abort" | "end" | "commit", ..] => {
                return Err(Problem::at(
                    line,
                    format!(
                        "`{sql}` is not supported: a profile's transaction begins with `BEGIN` and ends with `END`"
                    ),
                ));
            }
            _ => {
                if let Transaction::Ended(end) = self.transaction {
                    return Err(Problem::at(
                        line,
                        format!("a statement follows the end of the transaction in line {end}: {WHOLE}"),
                    ));
                }
                self.statements.push(statement::fill(sql, line, variables)?);
            }
        }
        Ok(())
    }

    /// The statements, and whether they are a transaction.
    fn end(self) -> Result<(Vec<String>, bool), Problem> {
        match self.transaction {
            Transaction::Begun(line) => Err(Problem::at(line, "the transaction does not end: add `END;`")),
            _ if self.statements.is_empty() => {
                Err(Problem::at(0, "it has no statement to measure: add one, ended with `;`"))
            }
            Transaction::Ended(_) => Ok((self.statements, true)),
            Transaction::None => Ok((self.statements, false)),
        }
    }
}

/// Does what a meta command asks for; `\sleep` gives its time.
fn command(text: &str, line: u64, variables: &mut Variables) -> Result<Option<Duration>, Problem> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "set" => set(rest.trim(), line, variables).map(|()| None),
        "sleep" => sleep(rest, line, variables).map(Some),
        _ => Err(Problem::at(
            line,
            format!(
                "`\\{word}` is not supported: of pgbench's commands a profile can say `\\set`, and `\\sleep` as the \
                 last line; leave it out, or write one script for each case and give them weights"
            ),
        )),
    }
}

fn set(text: &str, line: u64, variables: &mut Variables) -> Result<(), Problem> {
    let (name, expression) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || expression.trim().is_empty() {
        return Err(Problem::at(
            line,
            format!("`\\set {text}` sets nothing: expected a name and a value, such as `\\set id random(1, 100)`"),
        ));
    }
    let value = expression::evaluate(expression, variables)
        .map_err(|problem| Problem::at(line, format!("`\\set {name}` cannot be read: {problem}")))?;
    match value {
        Value::Whole(whole) => variables.set_constant(name, whole.to_string()),
        Value::Real(real) => variables.set_constant(name, format!("{real:?}")),
        Value::Drawn(domain) => variables.set_drawn(name, domain),
    }
    Ok(())
}

fn sleep(text: &str, line: u64, variables: &Variables) -> Result<Duration, Problem> {
    let expected = || {
        Problem::at(
            line,
            format!("`\\sleep {}` cannot be read: expected a time up to 60 s, such as `\\sleep 5 ms`", text.trim()),
        )
    };
    // pgbench takes the unit with and without a blank before it.
    let text = text.trim();
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_lowercase()).len());
    let (number, unit) = if number.starts_with(':') && !number.ends_with(char::is_whitespace) {
        (text, "s")
    } else {
        (number.trim(), unit)
    };
    let Value::Whole(number) = expression::evaluate(number, variables)
        .map_err(|problem| Problem::at(line, format!("`\\sleep`: {problem}")))?
    else {
        return Err(expected());
    };
    let number = u64::try_from(number).map_err(|_| expected())?;
    let time = match unit {
        "" | "s" => Duration::from_secs(number),
        "ms" => Duration::from_millis(number),
        "us" => Duration::from_micros(number),
        _ => return Err(expected()),
    };
    if time <= LONGEST_PAUSE { Ok(time) } else { Err(expected()) }
}
