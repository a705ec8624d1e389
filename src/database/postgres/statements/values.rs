use super::plan::Column;
use crate::model::{Domain, Generator, ObservedParameter};

/// The type of a statement's value.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// As SQL writes it, without a length.
    pub(super) name: String,
    /// As the system's catalog has it.
    pub(super) plain: String,
    /// The catalog's letter for what it is like.
    pub(super) category: char,
    /// All values of an enumeration.
    pub(super) labels: Vec<String>,
}

/// What the server's statistics know of a column: values as text.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    /// The most common values.
    pub(super) common: Vec<String>,
    /// Values that part the others into equal shares, in order.
    pub(super) bounds: Vec<String>,
    /// Whether the common ones are all there are.
    pub(super) is_complete: bool,
}

/// Most values of a choice that is all there are.
const MOST: usize = 20;

/// Most values of a choice that only stands for many others.
const SOME: usize = 10;

impl Distribution {
    fn all(&self) -> impl Iterator<Item = &String> {
        self.common.iter().chain(&self.bounds)
    }

    /// All values, if they are few: a status, a country; nobody's name or address.
    fn few(&self) -> Option<Vec<String>> {
        (self.is_complete && self.common.len() <= MOST).then(|| self.common.clone())
    }

    /// Some values, over the whole range.
    fn some(&self) -> Vec<String> {
        let from = if self.bounds.is_empty() { &self.common } else { &self.bounds };
        let step = from.len().div_ceil(SOME).max(1);
        from.iter().step_by(step).cloned().collect()
    }
}

impl Kind {
    /// The type of a drawn value that needs no cast.
    fn parameter(&self, generator: Generator, comment: impl Into<String>) -> ObservedParameter {
        let same = match generator {
            Generator::Integer(_) => &["int8"][..],
            Generator::Real { .. } => &["float8"],
            Generator::Text(_) => &["text", "varchar", "unknown"],
        };
        let cast = (!same.contains(&self.plain.as_str())).then(|| self.name.clone());
        ObservedParameter { cast, generator, comment: comment.into() }
    }

    /// Always the same number.
    pub(super) fn fixed(&self, number: i64, comment: &str) -> ObservedParameter {
        self.parameter(Generator::Integer(Domain::Choice(vec![number])), format!("fill in: {comment}"))
    }
}

/// Values to put in, from the statistics of the column that it is compared with, or else a value of the right type
/// that a person has to replace; `None` for types that no value is known of.
pub(super) fn propose(
    kind: &Kind,
    column: Option<&Column>,
    distribution: Option<&Distribution>,
) -> Option<ObservedParameter> {
    let place = column.map(|column| format!("{}.{}.{}", column.schema, column.table, column.name));
    if let (Some(place), Some(distribution)) = (&place, distribution)
        && let Some(generator) = known(kind, distribution)
    {
        return Some(kind.parameter(generator, format!("as in {place}")));
    }
    let fill_in = place.map_or("fill in".to_owned(), |place| format!("fill in: values of {place}"));
    if !kind.labels.is_empty() {
        return Some(kind.parameter(Generator::Text(kind.labels.clone()), "all values of the type"));
    }
    let text = |value: &str| Generator::Text(vec![value.to_owned()]);
    let generator = match (kind.plain.as_str(), kind.category) {
        ("int2" | "int4" | "int8", _) => Generator::Integer(Domain::Uniform { low: 1, high: 1000 }),
        ("float4" | "float8" | "numeric", _) => Generator::Real { low: 1.0, high: 1000.0 },
        ("bool", _) => Generator::Text(vec!["true".to_owned(), "false".to_owned()]),
        ("date" | "timestamp" | "timestamptz", _) => text("2026-01-01"),
        ("time" | "timetz", _) => text("12:00"),
        ("interval", _) => text("1 day"),
        ("uuid", _) => text("00000000-0000-0000-0000-000000000000"),
        ("inet" | "cidr", _) => text("127.0.0.1"),
        ("bytea", _) => text("\\x00"),
        ("json" | "jsonb", _) | (_, 'A') => text("{}"),
        (_, 'S') | ("unknown", _) => text("fill in"),
        _ => return None,
    };
    Some(kind.parameter(generator, fill_in))
}

/// Values out of the statistics.
fn known(kind: &Kind, distribution: &Distribution) -> Option<Generator> {
    match (kind.plain.as_str(), kind.category) {
        ("int2" | "int4" | "int8", _) => {
            let whole = |values: &mut dyn Iterator<Item = &String>| {
                values.map(|value| value.parse::<i64>().ok()).collect::<Option<Vec<i64>>>()
            };
            if let Some(few) = distribution.few() {
                return whole(&mut few.iter()).map(|values| Generator::Integer(Domain::Choice(values)));
            }
            let all = whole(&mut distribution.all())?;
            let (low, high) = (*all.iter().min()?, *all.iter().max()?);
            Some(Generator::Integer(Domain::Uniform { low, high }))
        }
        ("float4" | "float8" | "numeric", _) => {
            let all = distribution.all().map(|value| value.parse::<f64>().ok().filter(|value| value.is_finite()));
            let all = all.collect::<Option<Vec<f64>>>()?;
            let (low, high) = (all.iter().copied().reduce(f64::min)?, all.iter().copied().reduce(f64::max)?);
            Some(Generator::Real { low, high })
        }
        // What stands for a row or a time is no secret of a person's; other texts may be.
        ("date" | "timestamp" | "timestamptz" | "uuid", _) => {
            Some(distribution.some()).filter(|some| !some.is_empty()).map(Generator::Text)
        }
        (_, 'A') => {
            let plain = |value: &String| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let element = kind.plain.trim_start_matches('_');
            let values = if matches!(element, "int2" | "int4" | "int8" | "uuid") {
                distribution.some()
            } else {
                distribution.few()?
            };
            let is_plain = !values.is_empty() && values.iter().all(plain);
            is_plain
                .then(|| values.chunks(3).map(|values| format!("{{{}}}", values.join(","))).collect())
                .map(Generator::Text)
        }
        _ => distribution.few().filter(|few| !few.is_empty()).map(Generator::Text),
    }
}
