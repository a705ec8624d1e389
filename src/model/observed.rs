use std::time::Duration;

use super::Generator;

/// What a server has counted of the statements that it ran in one database.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The server, without its password.
    pub server: String,
    /// The top statements, in the order that was asked for.
    pub statements: Vec<ObservedStatement>,
    /// Calls of all statements of the database, also of those that are not in the list.
    pub calls: u64,
    /// Time spent in all of them.
    pub time: Duration,
    /// Statements that were met on the way down the list and are no load of an application: `BEGIN`, `SET`, DDL, and
    /// those that only read the system's catalogs.
    pub left_out: u32,
    /// Calls of statements whose text the user may not see.
    pub hidden_calls: u64,
}

/// One statement, as the server has counted it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedStatement {
    /// Its text, with `$1`, `$2` … for the values.
    pub sql: String,
    /// How often it was run.
    pub calls: u64,
    /// The time spent in it, over all calls.
    pub time: Duration,
    /// Whether a load may run it.
    pub nature: Nature,
}

/// Whether a load may run a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Nature {
    /// It only reads, as far as its plan tells.
    Reads {
        /// What to put in for `$1`, `$2` …, in this order.
        parameters: Vec<ObservedParameter>,
    },
    /// It must not be run, or cannot be: the reason, as a fragment such as "it changes data".
    Not {
        /// The reason.
        reason: String,
    },
}

/// What to put in for one of a statement's values.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedParameter {
    /// The SQL type that the drawn value has to be turned into; `None` where it has the right one.
    pub cast: Option<String>,
    /// A proposal for its values.
    pub generator: Generator,
    /// Where the proposal comes from, or what to fill in.
    pub comment: String,
}
