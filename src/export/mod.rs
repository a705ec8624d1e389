//! Results for other programs: a recommendation in the format of a pool, a language or the tuning guide, and as
//! `recommendation.yaml`; a stress test's time line as CSV and its times as an HdrHistogram log.
//!
//! In: a [`Recommendation`], a time line, histograms; out: text and bytes. Nothing is written or printed here.
//! What a pool calls our settings is in the tables of `formats`, which are read in both directions.

mod convert;
mod error;
mod formats;
mod import;
mod into;
mod language;
mod prefix;
mod python;
mod render;
mod stress;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub use convert::{Convert, Written};
pub use error::{ExportError, Refusal, UnknownFormat};
pub use formats::FORMATS;
pub use import::{Configuration, Entry, Held, ImportError, Imported, Other, configuration, import};
pub use into::{Change, IntoError, Left, Names, Obstacle, Rewritten, Syntax, Wanted, rewrite};
pub use language::Language;
pub use prefix::{Prefix, PrefixError};
pub use render::{export, export_settings};
pub use stress::{HdrLog, HdrLogError, stress_csv_header, stress_csv_rows, stress_schema};
pub use table::{Absent, Bound, Field, Fields, Format, Holds, Outcome, Rule, Section};

use crate::{model::Recommendation, report::words};

/// The recommended settings as the tuning guide's `config.py`, each under a comment with its unit and evidence; `None`
/// when no settings keep the limits, for then there is nothing to recommend.
#[must_use]
pub fn config_py(recommendation: &Recommendation, prefix: &Prefix) -> Option<String> {
    export(formats::CONFIG_PY, recommendation, prefix).ok()
}

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
