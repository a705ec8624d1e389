//! Statistics: exact intervals, paired comparison, verification with one early look.
//!
//! In: numbers of trials; out: [`Estimate`](crate::model::Estimate)s and verdicts.
//! This room does no I/O and reads no clock; where chance is needed a generator is passed in.

mod binomial;
mod departure;
mod describe;
mod normal;
mod sign;
mod verify;

pub use binomial::{
    Sampled, clopper_pearson, clopper_pearson_lower, clopper_pearson_upper, clustered_success, design_effect,
    success_difference,
};
pub use departure::{Departure, departure};
pub use describe::{mean, mean_estimate, quantile, ratio_estimate, real, sample_sd};
pub use normal::{
    chi_squared_above, normal_cdf, normal_density, normal_quantile, standard_normal, student_quantile,
    student_two_sided,
};
pub use sign::sign_test;
pub use verify::{Arm, Pair, Plan, Verdict, Verification, verify};

/// Input from which no figure can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatsError {
    /// There were no requests.
    #[error("compute a success rate: there were no requests")]
    NoRequests,
    /// There were too few values.
    #[error("compute an interval from {found} values: expected at least {needed}")]
    TooFew {
        /// How many there were.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A throughput of zero, or none at all, has no ratio.
    #[error("compare throughput: pair {pair} has a trial without a successful request")]
    NoThroughput {
        /// The pair, from 1.
        pair: usize,
    },
    /// The number of pairs is not one at which the plan looks.
    #[error("judge a verification after {found} pairs: the plan looks after {early} and after {last}")]
    NoLook {
        /// How many pairs there were.
        found: usize,
        /// The early look.
        early: usize,
        /// The last look.
        last: usize,
    },
}
