//! A profile of what a server has counted.

use super::{
    Profile, ProfileError,
    draft::{Draft, DraftOperation, DraftParameter},
    placeholders,
};
use crate::model::{Dialect, Nature, Observed, ObservedParameter, ObservedStatement};

/// The most characters of a statement in an operation's name.
const NAME: usize = 48;

/// A profile of the statements that only read, with the others as comments.
///
/// A statement that a profile cannot hold is marked as such in `observed`, so that those that are still said to read
/// are the profile's operations, in the same order.
///
/// # Errors
/// [`ProfileError`] when none of them can be an operation.
pub fn from_observed(observed: &mut Observed, workers: u32) -> Result<Profile, ProfileError> {
    let mut operations = Vec::new();
    for place in 0..observed.statements.len() {
        let statement = &observed.statements[place];
        let Nature::Reads { parameters } = &statement.nature else { continue };
        let operation = operation(observed, statement, parameters);
        // A statement that a profile cannot hold must not spoil the others.
        match (Draft { operations: vec![operation.clone()], ..draft(observed, workers) }).write() {
            Ok(_) => operations.push(operation),
            Err(error) => observed.statements[place].nature = Nature::Not { reason: error.problem },
        }
    }
    let others = observed.statements.iter().filter_map(|statement| match &statement.nature {
        Nature::Not { reason } => Some(other(observed, statement, reason)),
        Nature::Reads { .. } => None,
    });
    let mut others: Vec<String> = others.collect();
    if operations.is_empty() {
        return Err(ProfileError {
            origin: format!("the statements of {}", observed.server),
            line: None,
            problem: format!(
                "none of the top {} can be an operation; ask for more with --top, or write a profile by hand\n\n{}",
                observed.statements.len(),
                others.join("\n\n")
            ),
        });
    }
    let mut footer = Vec::new();
    if !others.is_empty() {
        footer.push("Not in the profile:".to_owned());
        footer.append(&mut others);
    }
    Draft { operations, footer, ..draft(observed, workers) }.write()
}

/// What all the profile's statements share.
fn draft(observed: &Observed, workers: u32) -> Draft {
    let mut header = vec![
        format!(
            "Made by `pool-tune profiles from-database` from the statements that {} has counted: {} calls, {:.1} s.",
            observed.server,
            observed.calls,
            observed.time.as_secs_f64()
        ),
        "Weights are shares of the calls. What a function does is not seen in a plan: look at those that are called.\n\
         Give the parameters marked `fill in` values that are in use, and add `settings:` with what is in use today."
            .to_owned(),
    ];
    if observed.left_out > 0 {
        header.push(format!(
            "{} left out: BEGIN, SET, DDL and the like, and what only reads the system's catalogs.",
            statements(observed.left_out)
        ));
    }
    if observed.hidden_calls > 0 {
        header.push(format!(
            "{} calls are of statements that the user may not see: GRANT pg_read_all_stats to it.",
            observed.hidden_calls
        ));
    }
    Draft {
        name: "from-database".to_owned(),
        about: "what the database's clients read".to_owned(),
        workers,
        header,
        ..Draft::default()
    }
}

fn statements(count: u32) -> String {
    format!("{count} statement{}", if count == 1 { " is" } else { "s are" })
}

fn operation(observed: &Observed, statement: &ObservedStatement, parameters: &[ObservedParameter]) -> DraftOperation {
    let sql = named(&statement.sql, parameters);
    let mut used: Vec<DraftParameter> = Vec::new();
    for (place, parameter) in parameters.iter().enumerate() {
        used.push(DraftParameter {
            name: name(place + 1),
            generator: parameter.generator.clone(),
            comment: parameter.comment.clone(),
        });
    }
    DraftOperation {
        comment: vec![counts(observed, statement)],
        name: short(&statement.sql),
        weight: percent(statement.calls, observed.calls),
        transaction: false,
        statements: vec![sql],
        parameters: used,
    }
}

/// A statement as a comment, with the reason why it is no operation.
fn other(observed: &Observed, statement: &ObservedStatement, reason: &str) -> String {
    let sql: Vec<String> = statement.sql.lines().map(|line| format!("    {}", line.trim_end())).collect();
    format!("{}; {reason}:\n{}", counts(observed, statement), sql.join("\n"))
}

/// `120 calls, 3.1 % of the time, 0.52 ms each`
fn counts(observed: &Observed, statement: &ObservedStatement) -> String {
    let whole = observed.time.as_secs_f64();
    let share = if whole > 0.0 { statement.time.as_secs_f64() / whole * 100.0 } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a mean to three digits")]
    let mean = statement.time.as_secs_f64() * 1e3 / statement.calls.max(1) as f64;
    let calls = if statement.calls == 1 { "1 call".to_owned() } else { format!("{} calls", statement.calls) };
    format!("{calls}, {share:.1} % of the time, {mean:.3} ms each")
}

/// A share in percent, to four digits, and above 0.
#[expect(clippy::cast_precision_loss, reason = "a share to four digits")]
fn percent(part: u64, whole: u64) -> f64 {
    let share = part as f64 / whole.max(1) as f64 * 100.0;
    ((share * 1e4).round() / 1e4).max(1e-4)
}

/// The beginning of a statement, on one line.
fn short(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(NAME).collect();
    if short.len() < line.len() {
        short = format!("{} …", short.trim_end());
    }
    short
}

fn name(number: usize) -> String {
    format!("p{number}")
}

/// The statement with `:p1`, `:p2` … for `$1`, `$2` …, cast where they have to be.
fn named(sql: &str, parameters: &[ObservedParameter]) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = placeholders::quoted(rest, Dialect::Postgres) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let digits = rest.strip_prefix('$').map_or(0, |after| after.bytes().take_while(u8::is_ascii_digit).count());
        let number: Option<usize> = rest.get(1..=digits).and_then(|digits| digits.parse().ok());
        if let Some(number) = number.filter(|number| (1..=parameters.len()).contains(number)) {
            // What the statement casts itself needs no second cast.
            let cast = parameters[number - 1].cast.as_ref().filter(|_| !out.ends_with("cast("));
            if let Some(kind) = cast {
                out.push_str(&format!("cast(:{} as {kind})", name(number)));
            } else {
                // Directly behind such a sign it would be taken for the end of an array's slice, or for a cast.
                if out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ']' | ')' | ':')) {
                    out.push(' ');
                }
                out.push_str(&format!(":{}", name(number)));
            }
            rest = &rest[1 + digits..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::model::{Domain, Generator};

    fn parameter(cast: Option<&str>, generator: Generator, comment: &str) -> ObservedParameter {
        ObservedParameter { cast: cast.map(str::to_owned), generator, comment: comment.to_owned() }
    }

    fn statement(sql: &str, calls: u64, nature: Nature) -> ObservedStatement {
        ObservedStatement { sql: sql.to_owned(), calls, time: Duration::from_millis(calls * 2), nature }
    }

    fn observed(statements: Vec<ObservedStatement>) -> Observed {
        Observed {
            server: "postgres://me@db.test:5432/shop".to_owned(),
            statements,
            calls: 1200,
            time: Duration::from_secs(4),
            left_out: 7,
            hidden_calls: 3,
        }
    }

    #[test]
    fn reads_become_operations_and_the_rest_comments() {
        let id = parameter(
            Some("integer"),
            Generator::Integer(Domain::Uniform { low: 1, high: 500 }),
            "as in public.item.id",
        );
        let text = parameter(None, Generator::Text(vec!["it's".to_owned(), "new".to_owned()]), "fill in");
        let reads = |parameters: &[&ObservedParameter]| Nature::Reads {
            parameters: parameters.iter().map(|parameter| (*parameter).clone()).collect(),
        };
        let not = |reason: &str| Nature::Not { reason: reason.to_owned() };
        let mut observed = observed(vec![
            statement("SELECT hits FROM item WHERE id = $1", 800, reads(&[&id])),
            statement(
                "select *\n  from item -- $9: all of \"them\"\n\twhere state=$1 and id<$2",
                100,
                reads(&[&text, &id]),
            ),
            statement(
                "select a[$1:b] from item",
                3,
                reads(&[&parameter(None, Generator::Integer(Domain::Choice(vec![1])), "")]),
            ),
            statement("update item set hits = hits + $1\nwhere id = $2", 200, not("it changes data")),
        ]);
        assert_snapshot!(from_observed(&mut observed, 12).unwrap().source);
    }

    #[test]
    fn nothing_to_read_is_an_error_that_lists_why() {
        let mut observed =
            observed(vec![statement("delete from item", 5, Nature::Not { reason: "it changes data".to_owned() })]);
        assert_snapshot!(from_observed(&mut observed, 12).unwrap_err());
    }
}
