//! From what a run measured to what it recommends. Pure: the same evidence gives the same words.

use super::{
    curve, infeasible,
    session::{self, Verified},
    slow::Slow,
    trials::Disturbances,
};
use crate::{
    model::{
        DecidedBy, Estimate, Evidence as Decidable, FaultEvidence, Insight, Interval, Judged, Measurement, Provenance,
        Recommendation, Row, Setting, Settings, StandingOutcome, Throughput, Verdict, Verification,
    },
    profile::Profile,
    search::{Answer, Decision, Effect},
    simulate::{LossDecision, LossEffect},
    stats::{self, Verdict as Found},
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
    pub(super) verification: Option<Verified>,
    /// What a simulation says of the settings that act too slowly for trials.
    pub(super) slow: Slow,
    /// What became of what stood recommended, where something did or now does.
    pub(super) standing: Option<Judged>,
    /// What is recommended, where what stood has been judged.
    pub(super) chosen: Option<Settings>,
    /// The other settings of the pairs, where they are not those to recommend.
    pub(super) verified: Option<Settings>,
}

impl Evidence {
    /// The settings that are worth a verification, if any keep the limits: those that the search holds best, less the
    /// changes that it cannot tell from none. Where it can tell none of them, the largest is left for the verification
    /// to decide.
    pub(super) fn candidate(&self, baseline: &Settings) -> Option<Settings> {
        if self.chosen.is_some() {
            return self.chosen.clone();
        }
        let Some(Answer::Feasible(found)) = &self.answer else { return None };
        let changed = || found.effects.iter().filter(|effect| effect.decision == Decision::Changed);
        let size = |effect: &&Effect| effect.ratio.value.ln().abs();
        let largest = changed().max_by(|a, b| size(a).total_cmp(&size(b)));
        let told_apart: Vec<_> = changed().filter(|effect| effect.distinguishable).collect();
        let kept = if told_apart.is_empty() { largest.into_iter().collect() } else { told_apart };
        let candidate =
            kept.iter().fold(baseline.clone(), |settings, effect| settings.with(effect.setting, effect.now.clone()));
        // A change may be possible only together with one that was put back.
        Some(if candidate.check().is_ok() { candidate } else { found.settings.clone() })
    }
}

/// Puts the recommendation together.
pub(super) fn recommendation(
    profile: &Profile,
    provenance: Provenance,
    evidence: &Evidence,
    trials: &[TrialRecord],
    mut warnings: Vec<String>,
) -> Recommendation {
    if let Some(reason) = evidence.slow.refused.as_ref().filter(|_| !profile.slow.is_empty()) {
        warnings.push(format!("settings that act too slowly for trials are kept: {reason}"));
    }
    let candidate = evidence.candidate(&profile.space.baseline);
    let verdict = with_simulation(verdict(profile, evidence, candidate.as_ref(), trials), evidence);
    let (curve, no_curve) = match &evidence.curve {
        Ok(fit) => (Some(curve::told(fit, profile, trials)), None),
        Err(reason) => (None, Some(reason.clone())),
    };
    Recommendation {
        rows: rows(profile, evidence, candidate.as_ref(), &verdict),
        throughput: throughput(profile, evidence, &verdict, trials),
        under_faults: under_faults(profile, evidence, trials),
        simulation: evidence.slow.evidence.clone(),
        verification: evidence
            .verification
            .zip(evidence.verified.clone().or(candidate))
            .map(|(found, candidate)| verification(profile, evidence, found, candidate)),
        curve,
        no_curve,
        insights: validation_insight(&evidence.validation).into_iter().collect(),
        verdict,
        warnings,
        provenance,
        memory: None,
    }
}

/// The settings that trials decide, before the simulation: the verified candidate where it is better, else those in use. None
/// where no settings keep the limits.
pub(super) fn decided_by_trials(profile: &Profile, evidence: &Evidence, trials: &[TrialRecord]) -> Option<Settings> {
    let candidate = evidence.candidate(&profile.space.baseline);
    match verdict(profile, evidence, candidate.as_ref(), trials) {
        Verdict::Better => candidate,
        Verdict::Infeasible { .. } => None,
        Verdict::Simulated { .. } | Verdict::Keep { .. } => Some(profile.space.baseline.clone()),
    }
}

/// Where trials change nothing, the simulation may still.
fn with_simulation(verdict: Verdict, evidence: &Evidence) -> Verdict {
    let changes = evidence.slow.changes().next().is_some();
    match verdict {
        Verdict::Keep { reason } if changes => {
            Verdict::Simulated { reason: format!("What trials decide stays as it is: {reason}") }
        }
        other => other,
    }
}

fn verdict(profile: &Profile, evidence: &Evidence, best: Option<&Settings>, trials: &[TrialRecord]) -> Verdict {
    let Some(best) = best else {
        return Verdict::Infeasible { reason: infeasible::reason(profile, evidence.answer.as_ref(), trials) };
    };
    if profile.space.axes.is_empty() && profile.why_size_kept().is_some() {
        return keep("no setting that trials can tell apart is left, so nothing was searched");
    }
    if profile.space.axes.is_empty() {
        return keep("every setting that a trial can decide is pinned, so nothing was searched");
    }
    if let Some(verdict) = evidence.standing.as_ref().and_then(|judged| of_standing(judged, &profile.space.baseline)) {
        return verdict;
    }
    if *best == profile.space.baseline {
        return keep("no other settings tried were distinguishably better than those in use");
    }
    let named = changes(&profile.space.baseline, best);
    let Some(Verified { verification: found, .. }) = evidence.verification else {
        return keep(&format!("{named} could not be verified: a trial of the verification served nothing"));
    };
    if !p95_kept(profile, &evidence.pairs) {
        return keep(&format!("{named} broke the limit on the 95th percentile of query time in the verification"));
    }
    let change = relative(found.ratio);
    let counted = if profile.faults.is_some() { " with faults counted" } else { "" };
    match found.verdict {
        Found::Better => Verdict::Better,
        Found::NotBetter => keep(&format!(
            "{named} looked better in the search, but the verification does not show it: {} throughput{counted}{}",
            percent(change),
            drowned(found.ratio, evidence.pairs.len())
        )),
        Found::Worse => keep(&format!(
            "{named} looked better in the search, but is worse in the verification: {} throughput{counted}, success rate {:.2} %",
            percent(change),
            found.winner_success.value * 100.0
        )),
    }
}

/// How large a difference would have had to be for such pairs to show it, and what shows smaller ones; nothing where it was not
/// their noise that left the verification undecided.
pub(super) fn drowned(ratio: Estimate, pairs: usize) -> String {
    let Interval { low, high } = ratio.interval;
    // Of equal trials there is no noise to speak of.
    if !ratio.interval.contains(1.0) || high <= low {
        return String::new();
    }
    let least = (high / low).sqrt() - 1.0;
    format!(
        ". Trials vary so much that these {pairs} pairs show a difference from about {:.1} % on: trials four times as long (`trial: \
         {{measure: …}}` in the profile) or four times the pairs (--pairs) show about half of it",
        (least * 1000.0).round() / 10.0
    )
}

/// The verdict where what stood recommended has been judged; `None` where nothing stood.
fn of_standing(judged: &Judged, baseline: &Settings) -> Option<Verdict> {
    let Judged { run, .. } = judged;
    let since = judged.since.split('T').next().unwrap_or_default();
    match judged.outcome {
        StandingOutcome::First => None,
        StandingOutcome::Stands if judged.settings == *baseline => Some(keep(&format!(
            "they are what run {run} recommended on {since}, and no others are shown better by enough"
        ))),
        StandingOutcome::Stands | StandingOutcome::Replaced => Some(Verdict::Better),
        StandingOutcome::Withdrawn => {
            let shown = match judged.against_in_use {
                Some(ratio) if ratio.interval.high < 1.0 => {
                    format!("is worse than the settings in use now: {} throughput", percent(relative(ratio)))
                }
                _ => "keeps the limits less often than the settings in use now".to_owned(),
            };
            let named = changes(baseline, &judged.settings);
            Some(keep(&format!("{named}, recommended since {since} (run {run}), {shown}; it is withdrawn")))
        }
    }
}

fn keep(reason: &str) -> Verdict {
    Verdict::Keep { reason: reason.to_owned() }
}

/// Whether most of the candidate's trials kept the limit on query time, where there is one.
pub(super) fn p95_kept(profile: &Profile, pairs: &[(Measurement, Measurement)]) -> bool {
    profile.limits.p95_query.is_none_or(|longest| {
        let kept = pairs.iter().filter(|(_, candidate)| candidate.query.p95 <= longest).count();
        2 * kept > pairs.len()
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
    // Rounded first, and a zero has no sign of its own.
    let tenths = |share: f64| (share * 1000.0).round() / 10.0 + 0.0;
    format!(
        "{:+.1} % [{:+.1}, {:+.1}]",
        tenths(change.value),
        tenths(change.interval.low),
        tenths(change.interval.high)
    )
}

fn rows(profile: &Profile, evidence: &Evidence, candidate: Option<&Settings>, verdict: &Verdict) -> Vec<Row> {
    let baseline = &profile.space.baseline;
    let effects: &[Effect] = match &evidence.answer {
        Some(Answer::Feasible(found)) => &found.effects,
        Some(Answer::Infeasible(_)) | None => &[],
    };
    let changes = |setting| candidate.is_some_and(|candidate| candidate.get(setting) != baseline.get(setting));
    let stands = evidence.standing.as_ref().is_some_and(|judged| judged.outcome == StandingOutcome::Stands);
    let n_changed = Setting::all().filter(|setting| changes(*setting)).count();
    // Alone, the pairs measure just this setting; and unlike the search they did not choose it.
    let of_pairs = evidence.verified.is_none() || evidence.verified.as_ref() == candidate;
    let verified =
        evidence.verification.filter(|_| n_changed == 1 && of_pairs).map(|found| relative(found.verification.ratio));
    Setting::all()
        .map(|setting| {
            let was = baseline.get(setting).clone();
            let row = |decided_by, effect, why: String| Row {
                setting,
                was: was.clone(),
                now: was.clone(),
                decided_by,
                effect,
                why,
            };
            if let Some(slow) = evidence.slow.effects.iter().find(|effect| effect.setting == setting) {
                let (decided_by, why) = slow_row(slow, &evidence.slow);
                let now = if decided_by == DecidedBy::Simulation { slow.other.clone() } else { was.clone() };
                return Row { now, ..row(decided_by, Some(relative(slow.ratio)), why) };
            }
            let Some(effect) = effects.iter().find(|effect| effect.setting == setting) else {
                return if profile.is_pinned(setting) {
                    row(DecidedBy::Pinned, None, "pinned".to_owned())
                } else {
                    row(DecidedBy::Kept, None, why_kept(setting, profile, evidence))
                };
            };
            let change = relative(effect.ratio);
            let other = if effect.decision == Decision::Changed { &effect.now } else { &effect.alternative };
            if !changes(setting) {
                let why = if effect.distinguishable && effect.ratio.value < 1.0 {
                    format!("others are worse: {other} is the nearest")
                } else if change.interval.low > 0.0 {
                    format!("too small to be worth a change: {other} is the most promising other")
                } else {
                    format!("no measurable effect: {other} is the most promising other")
                };
                return row(DecidedBy::Kept, Some(change), why);
            }
            let change = Some(verified.unwrap_or(change));
            if *verdict == Verdict::Better {
                let now = effect.now.clone();
                Row {
                    now,
                    ..row(
                        decided_by(setting, profile),
                        change,
                        if stands {
                            "recommended before, and stands"
                        } else if n_changed == 1 {
                            "better, and verified"
                        } else {
                            "better, and verified together with the others"
                        }
                        .to_owned(),
                    )
                }
            } else {
                row(DecidedBy::Kept, change, format!("{other} was tried, and not shown better"))
            }
        })
        .collect()
}

/// What has decided a setting that changes.
fn decided_by(setting: Setting, profile: &Profile) -> DecidedBy {
    match setting.spec().decided_by {
        Decidable::TrialWithFaults if profile.faults.is_some() => DecidedBy::TrialWithFaults,
        _ => DecidedBy::Trial,
    }
}

/// What the simulation says of a setting: what decides it, and why.
fn slow_row(effect: &LossEffect, slow: &Slow) -> (DecidedBy, String) {
    let LossEffect { other, .. } = effect;
    match (effect.decision, &slow.refused) {
        (LossDecision::Changed, None) => (DecidedBy::Simulation, "less is lost in simulated days".to_owned()),
        (LossDecision::Changed, Some(_)) => {
            (DecidedBy::Kept, format!("{other} is better in simulation, which is not trusted: see the warnings"))
        }
        (LossDecision::NoEffect, _) => (DecidedBy::Kept, "nothing depends on it in simulated days".to_owned()),
        (LossDecision::TooSmall, _) => (
            DecidedBy::Kept,
            format!("no effect in simulated days that is worth a change: {other} is the most promising other"),
        ),
        (LossDecision::OthersWorse, _) => {
            (DecidedBy::Kept, format!("others are worse in simulated days: {other} is the nearest"))
        }
    }
}

fn why_kept(setting: Setting, profile: &Profile, evidence: &Evidence) -> String {
    if profile.is_not_taken(setting) {
        return "the target does not say that it heeds it".to_owned();
    }
    if let (Setting::MaxConnections, Some(why)) = (setting, profile.why_size_kept()) {
        return why.to_owned();
    }
    // The reason is the same for all of them, and is told once.
    if setting.spec().decided_by == Decidable::Simulation && evidence.slow.refused.is_some() {
        return "acts too slowly for trials, and simulation decides nothing here: see the warnings".to_owned();
    }
    why_unsearched(setting, profile).to_owned()
}

fn why_unsearched(setting: Setting, profile: &Profile) -> &'static str {
    if setting == Setting::ValidationQuery {
        return if profile.faults.is_some() {
            "see the insight: its cost, and its worth under faults"
        } else {
            "its cost is measured, its worth is not: see the insight"
        };
    }
    match setting.spec().decided_by {
        Decidable::Trial | Decidable::TrialWithFaults
            if profile.space.axes.iter().any(|axis| axis.setting == setting) =>
        {
            "nothing keeps the limits"
        }
        Decidable::Trial => "not searched",
        Decidable::TrialWithFaults if profile.faults_out_of_reach() => {
            "acts only under faults, which cannot be made on this target"
        }
        Decidable::TrialWithFaults => "acts only under faults, which these trials do not have",
        Decidable::Simulation => "acts too slowly or too rarely for short trials",
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
        Verdict::Simulated { .. } | Verdict::Keep { .. } | Verdict::Infeasible { .. } => was,
    };
    Throughput { was, now }
}

/// What the fault parts showed: in the verification's pairs if there are any, else in all trials of the settings in use.
fn under_faults(profile: &Profile, evidence: &Evidence, trials: &[TrialRecord]) -> Option<FaultEvidence> {
    let first = trials.iter().find_map(|trial| trial.measurement.under_faults.as_ref())?;
    let share = |measurement: &Measurement| measurement.under_faults.as_ref().map(|part| part.share);
    let in_use = trials.iter().filter(|trial| trial.settings == profile.space.baseline);
    let all: Vec<f64> = in_use.filter_map(|trial| share(&trial.measurement)).collect();
    let was: Vec<f64> = evidence.pairs.iter().filter_map(|(was, _)| share(was)).collect();
    let tried: Vec<f64> = evidence.pairs.iter().filter_map(|(_, tried)| share(tried)).collect();
    let ratios = evidence.pairs.iter().map(|(was, tried)| (tried.throughput / was.throughput).ln());
    let ratio = stats::mean_estimate(&ratios.filter(|log| log.is_finite()).collect::<Vec<_>>(), 0.95).ok();
    Some(FaultEvidence {
        weight: first.weight,
        deadline: first.deadline,
        rate: first.rate,
        was: mean_share(&was).or_else(|| mean_share(&all))?,
        tried: mean_share(&tried),
        throughput_ratio: ratio.map(exponential),
    })
}

/// The mean of shares, with its 95 % interval.
fn mean_share(shares: &[f64]) -> Option<Estimate> {
    let Estimate { value, interval } = stats::mean_estimate(shares, 0.95).ok()?;
    Some(Estimate { value, interval: Interval { low: interval.low.max(0.0), high: interval.high.min(1.0) } })
}

fn exponential(log: Estimate) -> Estimate {
    Estimate {
        value: log.value.exp(),
        interval: Interval { low: log.interval.low.exp(), high: log.interval.high.exp() },
    }
}

fn verification(profile: &Profile, evidence: &Evidence, found: Verified, candidate: Settings) -> Verification {
    let Verified { verification: found, by_faults } = found;
    let pairs = u32::try_from(evidence.pairs.len()).unwrap_or(u32::MAX);
    Verification {
        by_faults_alone: by_faults,
        pairs,
        planned: Some(session::pairs(profile)).filter(|planned| *planned > pairs),
        candidate,
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
    let change = relative(exponential(found));
    let verdict = if change.interval.high < 0.0 {
        "it costs throughput; whether it is worth it depends on how often connections die idle"
    } else {
        "no cost was distinguishable"
    };
    Some(Insight {
        title: "Validating at each checkout".to_owned(),
        text: format!(
            "{} throughput with validation against without ({} pairs, 95 % interval): {verdict}.{}",
            percent(change),
            logs.len(),
            worth(pairs).unwrap_or_default()
        ),
        effect: Some(change),
    })
}

/// What validation is worth under faults, where the trials had a part with them.
fn worth(pairs: &[(Measurement, Measurement)]) -> Option<String> {
    let both = |(without, with): &(Measurement, Measurement)| {
        Some((without.under_faults.as_ref()?.share, with.under_faults.as_ref()?.share))
    };
    let shares: Vec<_> = pairs.iter().filter_map(both).collect();
    let differences: Vec<f64> = shares.iter().map(|(without, with)| with - without).collect();
    let found = stats::mean_estimate(&differences, 0.95).ok()?;
    let mean = |pick: fn(&(f64, f64)) -> f64| 100.0 * stats::mean(&shares.iter().map(pick).collect::<Vec<_>>());
    let verdict =
        if found.interval.contains(0.0) { "no difference was distinguishable" } else { "a difference that counts" };
    Some(format!(
        " Under faults {:.1} % of requests were served in time with it and {:.1} % without: {verdict} ({:+.1} [{:+.1}, {:+.1}] \
         percentage points).",
        mean(|(_, with)| *with),
        mean(|(without, _)| *without),
        100.0 * found.value,
        100.0 * found.interval.low,
        100.0 * found.interval.high
    ))
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
            "in {} of {of} trials other programs (or the hypervisor) took a tenth or more of the processors, also when repeated",
            disturbances.disturbed
        ));
    }
    if disturbances.short > 0 {
        warnings.push(format!(
            "in {} of {of} trials the program measured for less than half of the time that it was asked to: short trials vary more; \
             have it heed {{seconds}} or POOL_TUNE_SECONDS",
            disturbances.short
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_noise_is_told_to_drown_a_difference() {
        let told = |low: f64, high: f64| {
            drowned(Estimate { value: (low * high).sqrt(), interval: Interval { low, high } }, 12)
        };
        let noisy = told(0.95, 1.15);
        assert!(noisy.contains("these 12 pairs show a difference from about 10.0 % on"), "{noisy}");
        // Better, but its success rate was not shown; equal to the last request.
        assert_eq!(told(1.02, 1.10), "");
        assert_eq!(told(1.0, 1.0), "");
    }
}
