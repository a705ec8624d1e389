use std::time::Duration;

use super::{
    error::{Problem, did_you_mean},
    placeholders,
    tree::{Entry, Kind, Map},
};
use crate::model::{Dialect, Domain, Generator, Operation, Parameter, Statement, Workload};

/// The largest `scale`.
const LARGEST_SCALE: u32 = 100_000;

/// A workload as each kind of database is asked for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workloads(Vec<(Dialect, Result<Workload, Problem>)>);

impl Workloads {
    /// Of a profile whose target needs no SQL.
    pub(super) fn none() -> Self {
        let none = "it has a `target` of its own and no `workload` for a database: leave --target out, or add one";
        Self(
            Dialect::ALL
                .into_iter()
                .map(|dialect| (dialect, Err(Problem { line: None, text: none.to_owned() })))
                .collect(),
        )
    }

    /// The workload in a dialect, or what it lacks for it.
    pub(super) fn of(&self, dialect: Dialect) -> Result<&Workload, &Problem> {
        let found = self.0.iter().find(|(known, _)| *known == dialect).map(|(_, workload)| workload.as_ref());
        found.unwrap_or_else(|| unreachable!("there is an answer for every dialect"))
    }

    /// The first dialect that it is there in.
    pub(super) fn first(&self) -> Result<&Workload, Problem> {
        let found = self.0.iter().find_map(|(_, workload)| workload.as_ref().ok());
        let lacking = |(_, workload): &(Dialect, Result<Workload, Problem>)| workload.as_ref().err().cloned();
        found.ok_or_else(|| self.0.iter().find_map(lacking).unwrap_or_else(|| Problem::at(0, "it has no statements")))
    }
}

/// Reads the part `workload`.
pub(super) fn workload(entry: Entry) -> Result<Workloads, Problem> {
    let mut map = entry.node.map("workload")?;
    let scale = map.take("scale").map_or(Ok(1), |entry| entry.whole(1, LARGEST_SCALE))?;
    let prepare = match map.take("prepare") {
        None => ByDialect::same(Vec::new()),
        Some(entry) => ByDialect::read(entry, |entry| {
            let list = entry.list("a list of statements in SQL")?;
            list.into_iter().map(|entry| Ok(sql(entry)?.replace("{scale}", &scale.to_string()))).collect()
        })?,
    };
    let think_time = match map.take("think_time") {
        None => None,
        Some(entry) => Some(entry.time(Duration::ZERO, Duration::from_secs(60))?).filter(|time| !time.is_zero()),
    };
    let entries = map.need("operations", "[{name: read, sql: select 1}]")?;
    let (line, list) = (entries.line, entries.list("a list of operations")?);
    let operations = list.into_iter().map(|entry| operation(entry, scale)).collect::<Result<Vec<_>, _>>()?;
    if operations.is_empty() {
        return Err(Problem::at(line, "`operations` is empty: expected at least one operation"));
    }
    if !operations.iter().any(|operation| operation.common.weight > 0.0) {
        return Err(Problem::at(line, "every operation has weight 0: give at least one a positive `weight`"));
    }
    map.end()?;
    let in_dialect = |dialect| {
        let prepare = prepare.of(dialect, "`prepare`")?;
        let operations = operations.iter().map(|operation| operation.of(dialect)).collect::<Result<_, _>>()?;
        Ok(Workload { prepare, operations, think_time })
    };
    Ok(Workloads(Dialect::ALL.into_iter().map(|dialect| (dialect, in_dialect(dialect))).collect()))
}

/// What a profile says for each dialect: the same for all, or under the dialect's name.
struct ByDialect<T> {
    /// Where it says so.
    line: u64,
    said: Vec<(Dialect, T)>,
}

impl<T: Clone> ByDialect<T> {
    fn same(value: T) -> Self {
        Self { line: 0, said: Dialect::ALL.into_iter().map(|dialect| (dialect, value.clone())).collect() }
    }

    /// Reads a value, or a mapping of dialects to values.
    fn read(entry: Entry, mut value: impl FnMut(Entry) -> Result<T, Problem>) -> Result<Self, Problem> {
        let line = entry.line;
        if !matches!(entry.node.kind, Kind::Map(_)) {
            return Ok(Self { line, ..Self::same(value(entry)?) });
        }
        let key = entry.key.clone();
        let mut said = Vec::new();
        for entry in entry.node.map(&key)?.take_all() {
            let Some(dialect) = Dialect::of_key(&entry.key) else {
                let hint = did_you_mean(&entry.key, Dialect::ALL.map(Dialect::key));
                return Err(Problem::at(entry.line, format!("`{}` is no kind of database: {hint}", entry.key)));
            };
            said.push((dialect, value(entry)?));
        }
        if said.is_empty() {
            return Err(Problem::at(line, format!("`{key}` is empty: expected SQL, or SQL for each kind of database")));
        }
        Ok(Self { line, said })
    }

    fn of(&self, dialect: Dialect, what: &str) -> Result<T, Problem> {
        let found = self.said.iter().find(|(known, _)| *known == dialect);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let has: Vec<_> = self.said.iter().map(|(dialect, _)| dialect.to_string()).collect();
            let text = format!(
                "{what} has statements for {} only, none for {dialect}: add `{}: …` beside",
                has.join(" and "),
                dialect.key()
            );
            Problem::at(self.line, text)
        })
    }
}

fn sql(entry: Entry) -> Result<String, Problem> {
    let line = entry.line;
    let text = entry.text()?;
    if text.trim().is_empty() {
        return Err(Problem::at(line, "a statement is empty: expected SQL"));
    }
    Ok(text)
}

/// An operation, whose statements differ by dialect.
struct ReadOperation {
    /// All but the statements.
    common: Operation,
    statements: ByDialect<Vec<Statement>>,
}

impl ReadOperation {
    fn of(&self, dialect: Dialect) -> Result<Operation, Problem> {
        let statements = self.statements.of(dialect, &format!("operation `{}`", self.common.name))?;
        Ok(Operation { statements, ..self.common.clone() })
    }
}

fn operation(entry: Entry, scale: u32) -> Result<ReadOperation, Problem> {
    let mut map: Map = entry.node.map("operation")?;
    let name = map.need("name", "point read")?.text()?;
    let weight = weight(&mut map)?;
    let nested = map.take("nested").map_or(Ok(false), |entry| entry.truth())?;
    let body = map.one_of(&["sql", "transaction", "statements"])?;
    let transaction = body.key == "transaction";
    let several = body.key != "sql";
    let (body_key, body_line) = (body.key.clone(), body.line);
    let texts: ByDialect<Vec<(u64, String)>> = ByDialect::read(body, |entry| {
        if !several {
            return Ok(vec![(entry.line, sql(entry)?)]);
        }
        let list = entry.list("a list of statements in SQL")?;
        if list.is_empty() {
            return Err(Problem::at(body_line, format!("`{body_key}` is empty: expected at least one statement")));
        }
        list.into_iter().map(|entry| Ok((entry.line, sql(entry)?))).collect()
    })?;
    let (lines, parameters): (Vec<_>, Vec<_>) = parameters(&mut map, scale)?.into_iter().unzip();
    let mut used = vec![false; parameters.len()];
    let mut said = Vec::with_capacity(texts.said.len());
    for (dialect, statements) in texts.said {
        let statements = statements.into_iter().map(|(line, source)| {
            let (sql, names) = placeholders::number(&source, dialect);
            let mut arguments = Vec::with_capacity(names.len());
            for placeholder in names {
                let Some(place) = parameters.iter().position(|parameter| parameter.name == placeholder) else {
                    let hint = if parameters.is_empty() {
                        format!("add `parameters: {{{placeholder}: {{uniform: [1, 100]}}}}`")
                    } else {
                        did_you_mean(&placeholder, parameters.iter().map(|parameter| parameter.name.as_str()))
                    };
                    return Err(Problem::at(line, format!("`:{placeholder}` is no parameter of `{name}`: {hint}")));
                };
                used[place] = true;
                arguments.push(place);
            }
            Ok(Statement { source, sql, arguments })
        });
        said.push((dialect, statements.collect::<Result<_, _>>()?));
    }
    if let Some(unused) = used.iter().position(|used| !used) {
        let parameter = &parameters[unused].name;
        return Err(Problem::at(
            lines[unused],
            format!("parameter `{parameter}` is used by no statement of `{name}`: write `:{parameter}`, or remove it"),
        ));
    }
    map.end()?;
    let common = Operation { name, weight, statements: Vec::new(), transaction, nested, parameters };
    Ok(ReadOperation { common, statements: ByDialect { line: texts.line, said } })
}

/// The share of an operation among the others.
pub(super) fn weight(map: &mut Map) -> Result<f64, Problem> {
    match map.take("weight") {
        None => Ok(1.0),
        Some(entry) => entry
            .real()
            .filter(|weight| (0.0..=1e9).contains(weight))
            .ok_or_else(|| entry.wrong("a number from 0 to 1000000000")),
    }
}

/// What is drawn for each request, each with its line.
pub(super) fn parameters(map: &mut Map, scale: u32) -> Result<Vec<(u64, Parameter)>, Problem> {
    let Some(entry) = map.take("parameters") else { return Ok(Vec::new()) };
    let named = |entry: Entry| {
        let (line, name) = (entry.line, entry.key.clone());
        Ok((line, Parameter { name, generator: generator(entry, scale)? }))
    };
    entry.node.map("parameters")?.take_all().into_iter().map(named).collect()
}

fn generator(entry: Entry, scale: u32) -> Result<Generator, Problem> {
    let mut map = entry.node.map(&entry.key)?;
    let kind = map.one_of(&["uniform", "zipf", "sequence", "choice", "real"])?;
    let generator = match kind.key.as_str() {
        "uniform" => {
            let (low, high) = range(kind, scale)?;
            Generator::Integer(Domain::Uniform { low, high })
        }
        "zipf" => {
            let mut zipf = kind.node.map("zipf")?;
            let (low, high) = range(zipf.need("range", "[1, 1000]")?, scale)?;
            let exponent = match zipf.take("exponent") {
                None => 1.0,
                Some(entry) => entry
                    .real()
                    .filter(|exponent| *exponent > 0.0 && *exponent <= 20.0)
                    .ok_or_else(|| entry.wrong("a number above 0 and up to 20"))?,
            };
            zipf.end()?;
            Generator::Integer(Domain::Zipf { low, high, exponent })
        }
        "sequence" => Generator::Integer(Domain::Sequence { start: end(&kind, scale)? }),
        "real" => {
            let pair = kind.list("a range of two numbers, [low, high]")?;
            let ends: Vec<f64> = pair.iter().filter_map(Entry::real).filter(|end| end.is_finite()).collect();
            match (ends.as_slice(), pair.len()) {
                (&[low, high], 2) if low <= high => Generator::Real { low, high },
                _ => {
                    return Err(Problem::at(entry.line, "`real` has no good range: expected [low, high], two numbers"));
                }
            }
        }
        _ => choice(kind, scale)?,
    };
    map.end()?;
    Ok(generator)
}

fn choice(kind: Entry, scale: u32) -> Result<Generator, Problem> {
    let line = kind.line;
    let values = kind.list("a list of numbers, or of texts")?;
    if values.is_empty() {
        return Err(Problem::at(line, "`choice` is empty: expected at least one value"));
    }
    if values.iter().all(|value| matches!(value.node.kind, Kind::Whole(_))) {
        let values = values.iter().map(|value| end(value, scale)).collect::<Result<_, _>>()?;
        return Ok(Generator::Integer(Domain::Choice(values)));
    }
    if values.iter().all(|value| matches!(value.node.kind, Kind::Text(_))) {
        return Ok(Generator::Text(values.into_iter().map(Entry::text).collect::<Result<_, _>>()?));
    }
    Err(Problem::at(line, "`choice` mixes kinds of values: expected only whole numbers, or only texts (in quotes)"))
}

/// A range `[low, high]` of whole numbers, ends included.
fn range(entry: Entry, scale: u32) -> Result<(i64, i64), Problem> {
    let expected = "a range of two whole numbers, [low, high]";
    let (line, key) = (entry.line, entry.key.clone());
    let ends = entry.list(expected)?.iter().map(|value| end(value, scale)).collect::<Result<Vec<_>, _>>()?;
    match ends.as_slice() {
        [low, high] if low <= high => Ok((*low, *high)),
        [low, high] => Err(Problem::at(line, format!("`{key}` is [{low}, {high}]: expected the lower end first"))),
        _ => Err(Problem::at(line, format!("`{key}` has {} ends: expected {expected}", ends.len()))),
    }
}

/// A whole number, or one times the scale: `100000 * scale`.
fn end(entry: &Entry, scale: u32) -> Result<i64, Problem> {
    let value = match &entry.node.kind {
        Kind::Whole(whole) => Some(*whole),
        Kind::Text(text) => text.split_once('*').and_then(|(factor, name)| {
            let factor: i64 = factor.trim().parse().ok()?;
            (name.trim() == "scale").then(|| factor.checked_mul(i64::from(scale)))?
        }),
        _ => None,
    };
    value.ok_or_else(|| entry.wrong("a whole number, or \"100000 * scale\""))
}
