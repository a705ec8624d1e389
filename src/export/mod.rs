//! Results for other programs: a recommendation as `config.py` in the tuning guide's format and as
//! `recommendation.yaml`; a stress test's time line as CSV and its times as an HdrHistogram log.
//!
//! In: a [`Recommendation`], a time line, histograms; out: text and bytes. Nothing is written or printed here.

mod config;
mod prefix;
mod python;
mod stress;
#[cfg(test)]
mod tests;

pub use config::config_py;
pub use prefix::{Prefix, PrefixError};
pub use stress::{HdrLog, HdrLogError, stress_csv_header, stress_csv_rows, stress_schema};

use crate::{model::Recommendation, report::words};

/// The recommendation as YAML that reads back as the same recommendation.
///
/// # Errors
/// When the serialiser fails, which a recommendation gives it no cause for.
pub fn recommendation_yaml(recommendation: &Recommendation) -> Result<String, serde_yaml::ser::Error> {
    let body = serde_yaml::to_string(recommendation)?;
    Ok(format!(
        "# The recommendation of run {}, by pool-tune {}.\n# Times are seconds, throughput is successful requests a \
         second, effects are relative changes of throughput,\n# faults counted by their weight where there is `under_faults`; intervals are at 95 %.\n{body}",
        words::one_line(&recommendation.provenance.run),
        words::one_line(&recommendation.provenance.program)
    ))
}
