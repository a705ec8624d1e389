use super::Test;
use crate::{model::StressReport, trial::Watch};

/// What a stress test tells while it goes. Whoever shows it only listens.
#[derive(Debug)]
pub enum Event<'a> {
    /// A test begins: the `index`-th of `of`, from 1.
    Began {
        /// The test.
        test: &'a Test,
        /// Its number.
        index: usize,
        /// How many there are.
        of: usize,
    },
    /// The trial goes on: what whoever watches it is told.
    Trial(Watch<'a>),
    /// The test has ended.
    Ended(&'a StressReport),
}
