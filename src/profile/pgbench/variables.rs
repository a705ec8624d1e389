use std::collections::BTreeMap;

use super::ScriptOptions;
use crate::{
    model::{Domain, Generator},
    profile::{
        draft::DraftParameter,
        error::{Problem, did_you_mean},
    },
};

/// What a variable of a script stands for, from one `\set` to the next of the same name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Variable {
    /// The same in every request: written into the statements.
    Constant(String),
    /// Drawn anew for each request: a parameter, by its place in [`Variables::drawn`].
    Drawn(usize),
}

/// The variables of a script at one place in it.
#[derive(Debug)]
pub(super) struct Variables {
    known: BTreeMap<String, Variable>,
    /// All that are drawn, with whether a statement uses them.
    drawn: Vec<(DraftParameter, bool)>,
}

/// Variables that pgbench sets for each of its clients, and which a profile has not.
const OF_PGBENCH: [&str; 3] = ["client_id", "default_seed", "random_seed"];

impl Variables {
    pub(super) fn new(options: &ScriptOptions) -> Self {
        let mut known = BTreeMap::from([("scale".to_owned(), Variable::Constant(options.scale.to_string()))]);
        let given = options.variables.iter();
        known.extend(given.map(|(name, value)| (name.clone(), Variable::Constant(value.clone()))));
        Self { known, drawn: Vec::new() }
    }

    /// What a variable stands for here.
    pub(super) fn get(&self, name: &str, line: u64) -> Result<&Variable, Problem> {
        self.known.get(name).ok_or_else(|| {
            let problem = if OF_PGBENCH.contains(&name) {
                format!("`:{name}` differs from client to client of pgbench: a profile has no such value")
            } else {
                let hint = did_you_mean(name, self.known.keys().map(String::as_str));
                format!("`:{name}` is set nowhere before: add `\\set {name} …` or `-D {name}=…`; {hint}")
            };
            Problem::at(line, problem)
        })
    }

    /// Whether there is a variable of this name.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub(super) fn set_constant(&mut self, name: &str, value: String) {
        self.known.insert(name.to_owned(), Variable::Constant(value));
    }

    /// A variable that is set twice is two parameters, of two names.
    pub(super) fn set_drawn(&mut self, name: &str, domain: Domain) {
        let is_taken = |name: &str| self.drawn.iter().any(|(parameter, _)| parameter.name == name);
        let mut unique = name.to_owned();
        let mut number = 2;
        while is_taken(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        let generator = Generator::Integer(domain);
        self.drawn.push((DraftParameter { name: unique, generator, comment: String::new() }, false));
        self.known.insert(name.to_owned(), Variable::Drawn(self.drawn.len() - 1));
    }

    /// The name of a drawn variable's parameter, which is used from now on.
    pub(super) fn use_drawn(&mut self, place: usize) -> String {
        match self.drawn.get_mut(place) {
            Some((parameter, used)) => {
                *used = true;
                parameter.name.clone()
            }
            None => String::new(),
        }
    }

    /// The parameters that statements use.
    pub(super) fn into_parameters(self) -> Vec<DraftParameter> {
        self.drawn.into_iter().filter(|(_, used)| *used).map(|(parameter, _)| parameter).collect()
    }
}
