//! From what a run measured to what it recommends. Pure: the same evidence gives the same words.

use super::{curve, infeasible, trials::Disturbances};
use crate::{
    model::{
        DecidedBy, Estimate, Evidence as Decidable, Insight, Interval, Measurement, Provenance, Recommendation, Row,
        Setting, Settings, Throughput, Verdict, Verification,
    },
    profile::Profile,
    search::{Answer, Decision, Effect},
    stats::{self, Verdict as Verified},
    store::TrialRecord,
};

/// What the phases of a run found out.
pub(super) struct Evidence {
    /// What the search says; `None` when no trial served anything.
    pub(super) answer: Option<Answer>,
    /// The throughput curve, or why there is none.
    pub(super) curve: Result<crate::curve::ScalabilityFit, String>,
    /// Trials without and with validation, in pairs.
    pub(super) validation: Vec<(Measurement, Measurement)>,
    /// Trials of the settings in use and of the best found, in pairs.
    pub(super) pairs: Vec<(Measurement, Measurement)>,
    /// What the pairs show, if they show anything.
    pub(super) verification: Option<stats::Verification>,
}

impl Evidence {
    /// The settings that the search holds best, if any keep the limits.
    pub(super) fn best(&self) -> Option<&Settings> {
        match &self.answer {
            Some(Answer::Feasible(found)) => Some(&found.settings),
            Some(Answer::Infeasible(_)) | None => None,
        }
    }
}

/// Puts the recommendation together.
pub(super) fn recommendation(
    profile: &Profile,
    provenance: Provenance,
    evidence: &Evidence,
    trials: &[TrialRecord],
    warnings: Vec<String>,
) -> Recommendation {
    let verdict = verdict(profile, evidence, trials);
    let (curve, no_curve) = match &evidence.curve {
        Ok(fit) => (Some(curve::told(fit, profile, trials)), None),
        Err(reason) => (None, Some(reason.clone())),
    };
    Recommendation {
        rows: rows(profile, evidence, &verdict),
        throughput: throughput(profile, evidence, &verdict, trials),
        verification: evidence.verification.map(|found| verification(profile, evidence, found)),
        curve,
        no_curve,
        insights: validation_insight(&evidence.validation).into_iter().collect(),
        verdict,
        warnings,
        provenance,
    }
}

fn verdict(profile: &Profile, evidence: &Evidence, trials: &[TrialRecord]) -> Verdict {
    let Some(best) = evidence.best() else {
        return Verdict::Infeasible { reason: infeasible::reason(profile, evidence.answer.as_ref(), trials) };
    };
    if profile.space.axes.is_empty() {
        return keep("every setting that a trial can decide is pinned, so nothing was searched");
    }
    if *best == profile.space.baseline {
        return keep("no other settings tried were distinguishably better than those in use");
    }
    let named = changes(&profile.space.baseline, best);
    let Some(found) = evidence.verification else {
        return keep(&format!("{named} could not be verified: a trial of the verification served nothing"));
    };
    if !p95_kept(profile, evidence) {
        return keep(&format!("{named} broke the limit on the 95th percentile of query time in the verification"));
    }
    let change = relative(found.ratio);
    match found.verdict {
        Verified::Better => Verdict::Better,
        Verified::NotBetter => keep(&format!(
            "{named} looked better in the search, but the verification does not show it: {} throughput",
            percent(change)
        )),
        Verified::Worse => keep(&format!(
            "{named} looked better in the search, but is worse in the verification: {} throughput, success rate {:.3} %",
            percent(change),
            found.winner_success.value * 100.0
        )),
    }
}

fn keep(reason: &str) -> Verdict {
    Verdict::Keep { reason: reason.to_owned() }
}

/// Whether most of the candidate's trials kept the limit on query time, where there is one.
fn p95_kept(profile: &Profile, evidence: &Evidence) -> bool {
    profile.limits.p95_query.is_none_or(|longest| {
        let kept = evidence.pairs.iter().filter(|(_, candidate)| candidate.query.p95 <= longest).count();
        2 * kept > evidence.pairs.len()
    })
}

/// The settings that differ, as `max_connections 18 (was 30)`.
fn changes(was: &Settings, now: &Settings) -> String {
    let changed: Vec<_> = was
        .iter()
        .zip(now.iter())
        .filter(|((_, was), (_, now))| was != now)
        .map(|((setting, was), (_, now))| format!("{setting} {now} (was {was})"))
        .collect();
    changed.join(", ")
}

/// A ratio of throughputs as a relative change.
fn relative(ratio: Estimate) -> Estimate {
    Estimate {
        value: ratio.value - 1.0,
        interval: Interval { low: ratio.interval.low - 1.0, high: ratio.interval.high - 1.0 },
    }
}

fn percent(change: Estimate) -> String {
    format!(
        "{:+.1} % [{:+.1}, {:+.1}]",
        change.value * 100.0,
        change.interval.low * 100.0,
        change.interval.high * 100.0
    )
}

fn rows(profile: &Profile, evidence: &Evidence, verdict: &Verdict) -> Vec<Row> {
    let baseline = &profile.space.baseline;
    let effects: &[Effect] = match &evidence.answer {
        Some(Answer::Feasible(found)) => &found.effects,
        Some(Answer::Infeasible(_)) | None => &[],
    };
    let n_changed = effects.iter().filter(|effect| effect.decision == Decision::Changed).count();
    Setting::all()
        .map(|setting| {
            let was = baseline.get(setting).clone();
            let kept = |why: String, effect| Row {
                setting,
                was: was.clone(),
                now: was.clone(),
                decided_by: DecidedBy::Kept,
                effect,
                why,
            };
            if let Some(effect) = effects.iter().find(|effect| effect.setting == setting) {
                let change = Some(relative(effect.ratio));
                match (effect.decision, verdict) {
                    (Decision::Changed, Verdict::Better) => Row {
                        setting,
                        was: was.clone(),
                        now: effect.now.clone(),
                        decided_by: DecidedBy::Trial,
                        // Alone, the pairs measure just this setting; and unlike the search they did not choose it.
                        effect: if n_changed == 1 {
                            evidence.verification.map(|found| relative(found.ratio))
                        } else {
                            change
                        },
                        why: "better, and verified".to_owned(),
                    },
                    (Decision::Changed, _) => {
                        let effect =
                            evidence.verification.filter(|_| n_changed == 1).map(|found| relative(found.ratio));
                        kept("a change was tried, and not shown better".to_owned(), effect.or(change))
                    }
                    (Decision::Kept, _) if effect.distinguishable && effect.ratio.value < 1.0 => {
                        kept(format!("others are worse: {} is the nearest", effect.alternative), change)
                    }
                    (Decision::Kept, _) => kept(
                        format!("no measurable effect: {} is the most promising other", effect.alternative),
                        change,
                    ),
                }
            } else if profile.is_pinned(setting) {
                Row { decided_by: DecidedBy::Pinned, ..kept("pinned".to_owned(), None) }
            } else {
                kept(why_kept(setting, profile).to_owned(), None)
            }
        })
        .collect()
}

fn why_kept(setting: Setting, profile: &Profile) -> &'static str {
    if setting == Setting::ValidationQuery {
        return "its cost is measured, its worth is not: see the insight";
    }
    match setting.spec().decided_by {
        Decidable::Trial if profile.space.axes.iter().any(|axis| axis.setting == setting) => "nothing keeps the limits",
        Decidable::Trial => "not searched",
        Decidable::TrialWithFaults => "acts only under faults, which these trials do not have",
        Decidable::Simulation => "acts over minutes to hours, too slow for these trials",
    }
}

/// Throughput to expect of a single trial: the mean of these, with the 95 % interval in which another one falls.
fn expected(throughputs: &[f64]) -> Option<Estimate> {
    let logs: Vec<f64> = throughputs.iter().filter(|rate| **rate > 0.0).map(|rate| rate.ln()).collect();
    if logs.len() < 2 {
        return None;
    }
    let n = stats::real(logs.len());
    let (mean, sd) = (stats::mean(&logs), stats::sample_sd(&logs));
    let reach = stats::student_quantile(0.975, n - 1.0) * sd * (1.0 + 1.0 / n).sqrt();
    Some(Estimate { value: mean.exp(), interval: Interval { low: (mean - reach).exp(), high: (mean + reach).exp() } })
}

fn throughput(profile: &Profile, evidence: &Evidence, verdict: &Verdict, trials: &[TrialRecord]) -> Throughput {
    let of_baseline: Vec<f64> = trials
        .iter()
        .filter(|trial| trial.settings == profile.space.baseline)
        .map(|trial| trial.measurement.throughput)
        .collect();
    let paired =
        |pick: fn(&(Measurement, Measurement)) -> f64| expected(&evidence.pairs.iter().map(pick).collect::<Vec<_>>());
    let nothing = Estimate { value: 0.0, interval: Interval { low: 0.0, high: 0.0 } };
    let was = paired(|(baseline, _)| baseline.throughput).or_else(|| expected(&of_baseline)).unwrap_or(nothing);
    let now = match verdict {
        Verdict::Better => paired(|(_, candidate)| candidate.throughput).unwrap_or(was),
        Verdict::Keep { .. } | Verdict::Infeasible { .. } => was,
    };
    Throughput { was, now }
}

fn verification(profile: &Profile, evidence: &Evidence, found: stats::Verification) -> Verification {
    Verification {
        pairs: u32::try_from(evidence.pairs.len()).unwrap_or(u32::MAX),
        candidate: evidence.best().unwrap_or(&profile.space.baseline).clone(),
        ratio: found.ratio,
        success_was: found.baseline_success,
        success_now: found.winner_success,
    }
}

/// What validating each connection before it is handed out costs.
fn validation_insight(pairs: &[(Measurement, Measurement)]) -> Option<Insight> {
    let logs: Vec<f64> = pairs
        .iter()
        .map(|(without, with)| (with.throughput / without.throughput).ln())
        .filter(|log| log.is_finite())
        .collect();
    let found = stats::mean_estimate(&logs, 0.95).ok()?;
    let change = Estimate {
        value: found.value.exp_m1(),
        interval: Interval { low: found.interval.low.exp_m1(), high: found.interval.high.exp_m1() },
    };
    let verdict = if change.interval.high < 0.0 {
        "it costs throughput; whether it is worth it depends on how often connections die idle"
    } else {
        "no cost was distinguishable"
    };
    Some(Insight {
        title: "Validating at each checkout".to_owned(),
        text: format!(
            "{} throughput with validation against without ({} pairs, 95 % interval): {verdict}.",
            percent(change),
            logs.len()
        ),
        effect: Some(change),
    })
}

/// What a reader must know of how the trials went.
pub(super) fn warnings(disturbances: &Disturbances) -> Vec<String> {
    let mut warnings = Vec::new();
    let of = disturbances.all;
    if disturbances.generator_limited > 0 {
        warnings.push(format!(
            "in {} of {of} trials the load generator, not the database, was the limit: these figures say more of \
             this machine than of the database; drive the load from another machine",
            disturbances.generator_limited
        ));
    }
    if disturbances.disturbed > 0 {
        warnings.push(format!(
            "in {} of {of} trials other programs took a tenth or more of the processors, also when repeated",
            disturbances.disturbed
        ));
    }
    if 4 * disturbances.unsteady > of {
        warnings.push(format!(
            "in {} of {of} trials throughput was not steady by the end of the warm-up",
            disturbances.unsteady
        ));
    }
    warnings
}
