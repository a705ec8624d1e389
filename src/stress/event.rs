use hdrhistogram::Histogram;

use super::Test;
use crate::model::{Point, StressReport};

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
    /// The load has begun; nothing counts yet.
    WarmUp,
    /// The measured part begins.
    Measuring,
    /// An interval has ended.
    Point {
        /// What happened in it.
        point: &'a Point,
        /// The response times of its successful requests, in [`UNIT`](crate::trial::UNIT)s.
        response: &'a Histogram<u32>,
    },
    /// The measured part is over; requests under way may end.
    Draining,
    /// The test has ended.
    Ended(&'a StressReport),
}
