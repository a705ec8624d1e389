use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use rand::{Rng, RngExt as _, SeedableRng, distr::weighted::WeightedIndex};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Zipf};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{
    database::Argument,
    model::{Domain, Generator, Workload},
};

/// A workload that cannot be drawn from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The weights of the operations do not make a distribution.
    #[error("the weights of the operations do not add up: {0}")]
    Weights(String),
    /// A parameter cannot be drawn.
    #[error("parameter `{name}` of operation `{operation}` cannot be drawn: {problem}")]
    Parameter {
        /// The operation.
        operation: String,
        /// The parameter.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// A workload made ready for drawing requests from; shared by all workers of a trial.
#[derive(Debug)]
pub struct Mix {
    operations: Vec<Operation>,
    weights: WeightedIndex<f64>,
}

/// One kind of request, ready to be drawn and run.
#[derive(Debug)]
pub(super) struct Operation {
    /// Its place in the workload.
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) statements: Vec<(SqlStr, Vec<usize>)>,
    pub(super) transaction: bool,
    /// Whether one of the statements may write.
    pub(super) writes: bool,
    pub(super) nested: bool,
    parameters: Vec<Source>,
}

/// Where a parameter's values come from.
#[derive(Debug)]
enum Source {
    Integers { low: i64, high: i64 },
    Zipf { low: i64, zipf: Zipf<f64> },
    Sequence(Arc<AtomicI64>),
    ChosenInteger(Vec<i64>),
    Reals { low: f64, high: f64 },
    ChosenText(Vec<String>),
}

impl Mix {
    /// Makes `workload` ready.
    ///
    /// # Errors
    /// [`WorkloadError`] when the weights or a parameter's domain are no distribution; a checked profile has none such.
    pub fn new(workload: &Workload) -> Result<Self, WorkloadError> {
        let weights = WeightedIndex::new(workload.operations.iter().map(|operation| operation.weight))
            .map_err(|error| WorkloadError::Weights(error.to_string()))?;
        let mut operations = Vec::with_capacity(workload.operations.len());
        for (place, operation) in workload.operations.iter().enumerate() {
            let mut parameters = Vec::with_capacity(operation.parameters.len());
            for parameter in &operation.parameters {
                parameters.push(Source::new(&parameter.generator).map_err(|problem| WorkloadError::Parameter {
                    operation: operation.name.clone(),
                    name: parameter.name.clone(),
                    problem,
                })?);
            }
            let statements = operation.statements.iter().map(|statement| {
                let sql: Arc<str> = statement.sql.as_str().into();
                (AssertSqlSafe(sql).into_sql_str(), statement.arguments.clone())
            });
            operations.push(Operation {
                place,
                name: operation.name.clone(),
                statements: statements.collect(),
                transaction: operation.transaction,
                writes: operation.statements.iter().any(|statement| may_write(&statement.sql)),
                nested: operation.nested,
                parameters,
            });
        }
        Ok(Self { operations, weights })
    }
}

/// Whether a statement may write, by its first word: only what plainly reads does not.
fn may_write(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    !["select", "values"].iter().any(|reads| word.eq_ignore_ascii_case(reads))
}

impl Source {
    fn new(generator: &Generator) -> Result<Self, String> {
        let not_empty = |empty: bool| if empty { Err("there is nothing to choose from".to_owned()) } else { Ok(()) };
        let ordered = |ordered: bool| if ordered { Ok(()) } else { Err("its range is empty".to_owned()) };
        Ok(match generator {
            Generator::Integer(Domain::Uniform { low, high }) => {
                ordered(low <= high)?;
                Self::Integers { low: *low, high: *high }
            }
            Generator::Integer(Domain::Zipf { low, high, exponent }) => {
                ordered(low <= high)?;
                #[expect(clippy::cast_precision_loss, reason = "a range above 2^53 rounds its far, unlikely end")]
                let n = (high.saturating_sub(*low)) as f64 + 1.0;
                Self::Zipf { low: *low, zipf: Zipf::new(n, *exponent).map_err(|error| error.to_string())? }
            }
            Generator::Integer(Domain::Sequence { start }) => Self::Sequence(Arc::new(AtomicI64::new(*start))),
            Generator::Integer(Domain::Choice(values)) => {
                not_empty(values.is_empty())?;
                Self::ChosenInteger(values.clone())
            }
            Generator::Real { low, high } => {
                ordered(low <= high)?;
                Self::Reals { low: *low, high: *high }
            }
            Generator::Text(values) => {
                not_empty(values.is_empty())?;
                Self::ChosenText(values.clone())
            }
        })
    }

    fn draw(&self, rng: &mut impl Rng) -> Argument<'_> {
        match self {
            Self::Integers { low, high } => Argument::Integer(rng.random_range(*low..=*high)),
            Self::Zipf { low, zipf } => {
                #[expect(clippy::cast_possible_truncation, reason = "drawn from 1 to n, and n came from an i64")]
                let rank = zipf.sample(rng) as i64;
                Argument::Integer(low.saturating_add(rank - 1))
            }
            Self::Sequence(next) => Argument::Integer(next.fetch_add(1, Ordering::Relaxed)),
            Self::ChosenInteger(values) => Argument::Integer(values[rng.random_range(0..values.len())]),
            Self::Reals { low, high } => Argument::Real(low + (high - low) * rng.random::<f64>()),
            Self::ChosenText(values) => Argument::Text(&values[rng.random_range(0..values.len())]),
        }
    }
}

/// One worker's stream of requests; the same seed gives the same stream.
#[derive(Debug)]
pub(super) struct Sampler<'a> {
    mix: &'a Mix,
    rng: ChaCha8Rng,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(mix: &'a Mix, seed: u64, worker: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(worker);
        Self { mix, rng }
    }

    /// Draws the next request: its operation, and into `drawn` the values of its parameters.
    pub(super) fn next(&mut self, drawn: &mut Vec<Argument<'a>>) -> &'a Operation {
        let operation = &self.mix.operations[self.mix.weights.sample(&mut self.rng)];
        drawn.clear();
        for source in &operation.parameters {
            drawn.push(source.draw(&mut self.rng));
        }
        operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{self, Parameter, Statement};

    fn workload(generators: Vec<Generator>) -> Workload {
        let operation = |name: &str, weight, generators: Vec<Generator>| model::Operation {
            name: name.into(),
            weight,
            statements: vec![Statement { source: "select 1".into(), sql: "select 1".into(), arguments: vec![] }],
            transaction: false,
            nested: false,
            parameters: generators.into_iter().map(|generator| Parameter { name: "p".into(), generator }).collect(),
        };
        Workload {
            prepare: vec![],
            operations: vec![operation("rare", 1.0, vec![]), operation("often", 3.0, generators)],
            think_time: None,
        }
    }

    fn draws(workload: &Workload, n: usize) -> Vec<Vec<String>> {
        let mix = Mix::new(workload).unwrap();
        let mut sampler = Sampler::new(&mix, 7, 0);
        let mut drawn = Vec::new();
        (0..n)
            .map(|_| {
                sampler.next(&mut drawn);
                drawn.iter().map(|argument| format!("{argument:?}")).collect()
            })
            .collect()
    }

    #[test]
    fn operations_come_by_weight() {
        let draws = draws(&workload(vec![Generator::Real { low: 0.0, high: 1.0 }]), 4000);
        let often = draws.iter().filter(|drawn| !drawn.is_empty()).count();
        assert!((2850..3150).contains(&often), "{often} of 4000 at three quarters of the weight");
    }

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let workload = workload(vec![Generator::Integer(Domain::Uniform { low: 1, high: 1_000_000 })]);
        assert_eq!(draws(&workload, 100), draws(&workload, 100));
    }

    #[test]
    fn zipf_stays_in_its_range_and_prefers_its_start() {
        let workload = workload(vec![Generator::Integer(Domain::Zipf { low: 10, high: 12, exponent: 1.0 })]);
        let draws = draws(&workload, 4000);
        let count = |text: &str| draws.iter().filter(|drawn| drawn.first().is_some_and(|value| value == text)).count();
        let (first, second, third) = (count("Integer(10)"), count("Integer(11)"), count("Integer(12)"));
        assert_eq!(first + second + third, draws.iter().filter(|drawn| !drawn.is_empty()).count());
        assert!(first > second && second > third, "{first} {second} {third}");
    }

    #[test]
    fn a_sequence_gives_each_value_once() {
        let workload = workload(vec![Generator::Integer(Domain::Sequence { start: 5 })]);
        let values: Vec<_> = draws(&workload, 50).into_iter().flatten().collect();
        assert_eq!(values[..2], ["Integer(5)", "Integer(6)"]);
    }
}
