//! Curves over the number of connections: throughput by the Universal Scalability Law, and latency.
//!
//! In: sizes with what was measured at them; out: fitted laws with bootstrap 95 % intervals.
//! This room does no I/O and reads no clock; the generator of the bootstrap is passed in.

mod fit;
mod latency;
mod law;
mod scalability;

pub use latency::{LatencyFit, fit_latency, response_time};
pub use law::Scalability;
pub use scalability::{Peak, Sample, ScalabilityFit, fit_scalability};

/// Samples that no curve can be fitted to.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// The curve has three parameters; fewer sizes do not determine them.
    #[error("fit a curve to {found} different pool sizes: expected at least {needed}")]
    TooFewSizes {
        /// How many different sizes there were.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A value that has no logarithm, or a weight that is none.
    #[error(
        "fit a curve through {value} at {connections} connections with weight {weight}: \
         expected positive finite numbers and at least one connection"
    )]
    BadSample {
        /// The size.
        connections: f64,
        /// What was measured.
        value: f64,
        /// Its weight.
        weight: f64,
    },
}
