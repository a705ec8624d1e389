use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What each worker does, over and over: picks an operation by weight, runs its statements on one connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Statements that make the tables, run once, in order, in a schema of their own; empty when the person's own
    /// tables are used. `{scale}` has been replaced.
    pub prepare: Vec<String>,
    /// What may be run; at least one, with positive weights.
    pub operations: Vec<Operation>,
    /// Pause between a worker's requests.
    pub think_time: Option<Duration>,
}

/// One kind of request: one statement, or several in a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The name in reports.
    pub name: String,
    /// The share of requests is the weight over the sum of weights.
    pub weight: f64,
    /// Run in order on one connection.
    pub statements: Vec<Statement>,
    /// Whether the statements are wrapped in `BEGIN` and `COMMIT`.
    pub transaction: bool,
    /// Whether the statements run on a second connection, asked for while a first one is held.
    #[serde(default)]
    pub nested: bool,
    /// Drawn once a request; statements name them by position in this list.
    pub parameters: Vec<Parameter>,
}

/// A statement with its placeholders resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// The text with the named placeholders as the person wrote them, for messages.
    pub source: String,
    /// The text with placeholders `$1`, `$2` … as PostgreSQL takes them.
    pub sql: String,
    /// For each placeholder the position of its parameter in [`Operation::parameters`].
    pub arguments: Vec<usize>,
}

/// A random value of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name in the statements (`:name`).
    pub name: String,
    /// How it is drawn.
    pub generator: Generator,
}

/// How a parameter's value is drawn, and so its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generator {
    /// Whole numbers (SQL `bigint`).
    Integer(Domain),
    /// Real numbers (SQL `double precision`), uniform from low to high.
    Real {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
    /// One of these texts, each as likely.
    Text(Vec<String>),
}

/// How a whole number is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Each from low to high as likely, ends included.
    Uniform {
        /// The smallest value.
        low: i64,
        /// The largest value.
        high: i64,
    },
    /// Zipf's law over low to high: the k-th value has a chance proportional to k to the power −exponent.
    Zipf {
        /// The most likely value.
        low: i64,
        /// The least likely value.
        high: i64,
        /// The exponent, above 0.
        exponent: f64,
    },
    /// start, start + 1 … : each value once in a trial, over all workers.
    Sequence {
        /// The first value.
        start: i64,
    },
    /// One of these, each as likely.
    Choice(Vec<i64>),
}
