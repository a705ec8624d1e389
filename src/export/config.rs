//! `config.py` in the tuning guide's format.

use super::{Prefix, python};
use crate::{
    model::{DecidedBy, Recommendation, Row, Verdict},
    report::{figures, verdict_sentence, words},
};

/// The recommended settings as Python assignments, each under a comment with its unit and evidence; `None` when no
/// settings keep the limits, for then there is nothing to recommend.
#[must_use]
pub fn config_py(recommendation: &Recommendation, prefix: &Prefix) -> Option<String> {
    if matches!(recommendation.verdict, Verdict::Infeasible { .. }) {
        return None;
    }
    let provenance = &recommendation.provenance;
    // Python reads `coding:` in the first two lines as the file's encoding, so those hold no text from elsewhere.
    let mut file = String::from("# In config.py\n#\n");
    let header = [
        verdict_sentence(recommendation),
        format!("run {}, profile {}, seed {}", provenance.run, provenance.profile, provenance.seed),
        format!("{}, pool-tune {}", provenance.server, provenance.program),
    ];
    for line in &header {
        file.push_str(&comment(line));
    }
    for warning in &recommendation.warnings {
        file.push_str(&comment(&format!("warning: {warning}")));
    }
    for row in &recommendation.rows {
        file.push('\n');
        file.push_str(&comment(&format!(
            "{}; {}",
            words::unit(row.setting.spec().unit),
            evidence(row, recommendation)
        )));
        let name = row.setting.name().to_uppercase();
        let assignment = format!("{prefix}_{name} = {}\n", python::literal(&row.now));
        file.push_str(&assignment);
    }
    Some(file)
}

/// A line that Python skips, whatever the text.
fn comment(text: &str) -> String {
    format!("# {}\n", words::one_line(text))
}

/// What the value rests on, in a line.
fn evidence(row: &Row, recommendation: &Recommendation) -> String {
    let was = if row.was == row.now { String::new() } else { format!("was {}; ", words::value(&row.was)) };
    let effect = row.effect.map(|effect| {
        let interval = figures::change_interval(effect);
        // "+18.8 % throughput [+6.9, +32.1]": the interval after the noun.
        let noun = if row.is_of_loss() { words::LOST } else { words::counted(recommendation) };
        interval.replacen(" % [", &format!(" % {noun} ["), 1)
    });
    match (row.decided_by, effect) {
        (DecidedBy::Trial, Some(effect)) => format!("{was}decided by trial: {effect}"),
        (DecidedBy::Trial, None) => format!("{was}decided by trial: {}", row.why),
        (DecidedBy::TrialWithFaults, Some(effect)) => format!("{was}decided by trial with faults: {effect}"),
        (DecidedBy::TrialWithFaults, None) => format!("{was}decided by trial with faults: {}", row.why),
        (DecidedBy::Simulation, Some(effect)) => format!("{was}decided by simulation: {effect}"),
        (DecidedBy::Simulation, None) => format!("{was}decided by simulation: {}", row.why),
        (DecidedBy::Kept, Some(effect)) => format!("{was}kept: {} ({effect})", row.why),
        (DecidedBy::Kept, None) => format!("{was}kept: {}", row.why),
        (DecidedBy::Pinned, _) if row.why == "pinned" => format!("{was}pinned"),
        (DecidedBy::Pinned, _) => format!("{was}pinned: {}", row.why),
    }
}
