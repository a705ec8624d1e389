//! The verification of a run that knows what stands recommended: the settings in use, those that stand and what the search found,
//! in turn.

use super::{
    Phase, TuneError,
    recommend::{Evidence, p95_kept},
    session::{Verified, acts_under_faults_alone, arms, verification_plan, verify, worth_it},
    trials::Trials,
};
use crate::{
    model::{Challenger, Judged, Measurement, Settings, StandingOutcome},
    profile::Profile,
    search::{Answer, Search},
    stats::{self, Plan, Verdict, Verification},
    store::Standing,
};

const IN_USE: usize = 0;
const STANDING: usize = 1;
const CANDIDATE: usize = 2;

/// What is compared, in the order of a block; every other block goes backwards, so that a steady drift cancels in each pair.
struct Blocks {
    settings: [Settings; 3],
    runs: [bool; 3],
    measured: [Vec<Measurement>; 3],
    /// Decided at the first look, for each pair of arms: a measure that changed between two looks would be chosen by what it shows.
    by_faults: Vec<((usize, usize), bool)>,
}

impl Blocks {
    async fn run(&mut self, trials: &mut Trials<'_>, block: usize) -> Result<(), TuneError> {
        let mut order: Vec<usize> = (0..3).filter(|arm| self.runs[*arm]).collect();
        if block % 2 == 1 {
            order.reverse();
        }
        for arm in order {
            // What stands is in use where a person has put it there.
            let name = match arm {
                STANDING if self.settings[IN_USE] != self.settings[STANDING] => "standing",
                CANDIDATE => "candidate",
                _ => "in use",
            };
            self.measured[arm].push(trials.run(Phase::Verification, name, &self.settings[arm]).await?);
        }
        Ok(())
    }

    /// The trials of two arms, as many as both have.
    fn pairs(&self, was: usize, now: usize) -> Vec<(Measurement, Measurement)> {
        self.measured[was].iter().cloned().zip(self.measured[now].iter().cloned()).collect()
    }

    /// What a plan makes of two arms; `None` where a trial served nothing.
    fn judge(&mut self, was: usize, now: usize, plan: Plan, limit: f64) -> Option<Verified> {
        let pairs = self.pairs(was, now);
        let known = self.by_faults.iter().find(|(of, _)| *of == (was, now)).map(|(_, by)| *by);
        let by_faults = known.unwrap_or_else(|| {
            let by = acts_under_faults_alone(&pairs, &self.settings[was], &self.settings[now]);
            self.by_faults.push(((was, now), by));
            by
        });
        let verification = stats::verify(&arms(&pairs, by_faults), plan, limit).ok()?;
        Some(Verified { verification: worth_it(verification, by_faults), by_faults })
    }
}

/// How what stands is judged: night after night, and so by a stricter plan ([`Plan::replacing`]) than what is recommended first. Where
/// what was known has just turned out to hold no more, what stands has no nights behind it, and is judged as a first one is.
fn challenge_plan(profile: &Profile, anew: bool) -> Plan {
    if anew { verification_plan(profile) } else { Plan::replacing(profile.budget.verification_pairs as usize) }
}

/// Sets what stands against what is in use, and what the search found against what stands, where it expects enough of it; puts
/// into the evidence what is to be recommended.
///
/// A block is dropped early where half of the blocks promise nothing: that can only keep what stands.
pub(super) async fn challenge(
    trials: &mut Trials<'_>,
    profile: &Profile,
    search: &Search,
    (standing, settings): (&Standing, &Settings),
    anew: bool,
    best: &Settings,
    evidence: &mut Evidence,
) -> Result<(), TuneError> {
    let baseline = &profile.space.baseline;
    let limit = profile.limits.success_rate;
    let plan = challenge_plan(profile, anew);
    let applied = settings == baseline;
    // Where what was known holds no more, the search knows too little to be asked for more than that it is better.
    let promise = if anew { 1.0 } else { 1.0 + Plan::LEAST_GAIN };
    let promising =
        best != settings && best != baseline && search.ratio(best, settings).is_some_and(|ratio| ratio.value > promise);
    let mut blocks = Blocks {
        settings: [baseline.clone(), settings.clone(), best.clone()],
        runs: [!applied, promising || !applied, promising],
        measured: Default::default(),
        by_faults: Vec::new(),
    };
    if blocks.runs.contains(&true) {
        trials.tell(super::Event::Phase(Phase::Verification));
    }
    let (mut held, mut rival) = (None, None);
    let mut block = 0;
    for looks_at in [plan.early(), plan.last()] {
        while block < looks_at && blocks.runs.contains(&true) {
            blocks.run(trials, block).await?;
            block += 1;
        }
        if !applied && blocks.measured[IN_USE].len() == looks_at {
            held = blocks.judge(IN_USE, STANDING, plan, limit);
        }
        if blocks.measured[CANDIDATE].len() == looks_at {
            rival = blocks.judge(STANDING, CANDIDATE, plan, limit);
        }
        let ratio = |found: &Option<Verified>| found.as_ref().map(|found| found.verification.ratio.value);
        let verdict = |found: &Option<Verified>| found.as_ref().map(|found| found.verification.verdict);
        // Where what stands served nothing in some trial there is no verdict yet.
        let is_decided = held.is_some() && (verdict(&held) != Some(Verdict::NotBetter) || ratio(&held) >= Some(1.0));
        let is_settled = applied || is_decided;
        let promises = verdict(&rival) == Some(Verdict::NotBetter) && ratio(&rival) > Some(promise);
        blocks.runs[CANDIDATE] &= promises;
        if is_settled && !blocks.runs[CANDIDATE] {
            break;
        }
    }
    let usual = verification_plan(profile);
    let estimate = |found: Option<Verified>| found.map(|found| found.verification.ratio);
    let challenger = estimate(rival).map(|ratio| Challenger {
        settings: best.clone(),
        ratio,
        pairs: u32::try_from(blocks.measured[CANDIDATE].len()).unwrap_or(u32::MAX),
    });
    let judged = |outcome| Judged {
        outcome,
        settings: settings.clone(),
        run: standing.run.clone(),
        since: standing.since.clone(),
        against_in_use: estimate(held),
        challenger,
        anew,
    };
    let against_in_use = blocks.pairs(if applied { STANDING } else { IN_USE }, CANDIDATE);
    let candidate_served = shows(rival, Verdict::Better) && p95_kept(profile, &against_in_use);
    let is_worse = !applied && has_become_worse(profile, &blocks, held);
    if is_worse {
        // What is found now is a first recommendation again, and judged as one.
        (evidence.pairs, evidence.verification) = if best == settings || best == baseline {
            (blocks.pairs(IN_USE, STANDING), blocks.judge(IN_USE, STANDING, usual, limit))
        } else if against_in_use.is_empty() {
            verify(trials, profile, baseline, best).await?
        } else {
            let found = blocks.judge(IN_USE, CANDIDATE, usual, limit);
            (against_in_use, found)
        };
        let found = evidence.verification;
        let better =
            best != settings && best != baseline && shows(found, Verdict::Better) && p95_kept(profile, &evidence.pairs);
        evidence.verified = Some(if best == baseline { settings.clone() } else { best.clone() });
        evidence.chosen = Some(if better { best.clone() } else { baseline.clone() });
        evidence.standing = Some(judged(if better { StandingOutcome::Replaced } else { StandingOutcome::Withdrawn }));
    } else {
        let in_use = if applied { STANDING } else { IN_USE };
        let against = (!against_in_use.is_empty()).then(|| blocks.judge(in_use, CANDIDATE, usual, limit)).flatten();
        let replaced = candidate_served && !shows(against, Verdict::Worse);
        (evidence.pairs, evidence.verification) = if replaced || applied {
            (against_in_use, against)
        } else {
            (blocks.pairs(IN_USE, STANDING), blocks.judge(IN_USE, STANDING, usual, limit))
        };
        evidence.verified = Some(if replaced || applied { best.clone() } else { settings.clone() });
        evidence.chosen = Some(if replaced { best.clone() } else { settings.clone() });
        evidence.standing = Some(judged(if replaced { StandingOutcome::Replaced } else { StandingOutcome::Stands }));
    }
    // The effects of what is recommended, and not of what the search would have chosen.
    if evidence.chosen.as_ref() != Some(best)
        && let Some(chosen) = &evidence.chosen
        && let Some(assessed) = search.assess(chosen)
    {
        evidence.answer = Some(Answer::Feasible(Box::new(assessed)));
    }
    Ok(())
}

fn shows(found: Option<Verified>, verdict: Verdict) -> bool {
    found.is_some_and(|Verified { verification: Verification { verdict: found, .. }, .. }| found == verdict)
}

/// Whether what stands is shown worse than what is in use: by throughput or success rate, or because it breaks the limit on query
/// time, or serves nothing, in so many more trials than what is in use that chance does not do it (a sign test at the level of
/// [`Plan::replacing`], since it is asked night after night).
fn has_become_worse(profile: &Profile, blocks: &Blocks, held: Option<Verified>) -> bool {
    let keeps = |measured: &Measurement| {
        let in_time = profile.limits.p95_query.is_none_or(|longest| measured.query.p95 <= longest);
        measured.requests.succeeded > 0 && in_time
    };
    let pairs = blocks.pairs(IN_USE, STANDING);
    let count = |first: bool| pairs.iter().filter(|(was, now)| keeps(was) == first && keeps(now) != first).count();
    shows(held, Verdict::Worse) || stats::sign_test(count(true), count(false)) <= Plan::REPLACING_LEVEL
}
