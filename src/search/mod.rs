//! The search: which settings to try next, and what all trials together say.
//!
//! In: a [`Space`](crate::model::Space) and, one by one, the [`Outcome`]s of trials; out: [`Step`]s and an [`Answer`].
//! Ask and tell: whoever runs the trials asks for a step, makes the trial, and tells the outcome. This room does no I/O,
//! reads no clock and knows of no database. What it says is a function of the space, the [`Config`] (with its seed) and
//! the sequence of outcomes told, and of nothing else, so a search is resumed by telling the same outcomes again.
//!
//! The surrogate is a Bayesian one: the logarithm of throughput is the Universal Scalability Law in `max_connections`,
//! plus a Gaussian process over all settings, plus a slow drift in time, plus noise; the success rate has a Gaussian
//! process on the logit scale. Their parameters are sampled and not fixed at a best fit, so that the intervals count
//! what twenty noisy trials leave unknown.
//!
//! A search may be begun with what earlier ones of the same space were told ([`Search::recalling`]). Then it also depends on that.

mod acquire;
mod answer;
mod candidates;
mod cube;
mod design;
mod earlier;
mod gp;
mod hyper;
mod mixture;
mod session;
mod surrogate;
mod types;

pub use session::Search;
pub use types::{
    Agreement, Answer, Config, Decision, Earlier, Effect, Infeasible, Outcome, Proposal, Reason, Recommendation, Step,
    StopReason,
};
