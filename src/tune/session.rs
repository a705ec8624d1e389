use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::{
    Event, Memory, Night, Phase, Plan, TuneError,
    challenge::challenge,
    memory::is_alike,
    recommend::{self, Evidence},
    slow::{self, Slow},
    trials::Trials,
    under_faults,
};
use crate::{
    curve::ScalabilityFit,
    model::{
        self, Drifting, Estimate, Evidence as DecidableBy, Judged, Measurement, Provenance, Recommendation, Setting,
        Settings, StandingOutcome, Value,
    },
    profile::Profile,
    search::{Answer, Config, Earlier, Outcome, Reason, Search, Step, StopReason},
    stats::{self, Arm, Pair, Verdict, Verification},
    store::{Store, TrialRecord},
    trial::{Load, Target},
};

/// The least gain in what faults leave of throughput that is worth a change.
pub(super) const WORTH: f64 = 0.005;
/// Pairs of trials with which the cost of validation is measured.
const INSIGHT_PAIRS: u32 = 4;
/// Nights that use their whole budget, before a search that knows of earlier ones may end as soon as it expects to gain nothing: it is too
/// sure of places that it has not tried.
const LEARNING: usize = 3;
/// Trials that a search is given even when time is short: its baseline, its sizes for the curve, its overview.
const FEWEST_TRIALS: usize = 10;

/// A run of the tuning loop. Everything that it needs is given; it owns none of it.
pub struct Session<'a> {
    /// What to tune, with the search space cut to what the target allows.
    pub profile: &'a Profile,
    /// How the run is done; told in the recommendation. `search_trials` and `stopped_because` are filled in here.
    pub provenance: Provenance,
    /// Where trials are kept.
    pub store: &'a Store,
    /// What is loaded.
    pub target: &'a mut Target,
    /// The trials of an interrupted run, in order; empty for a new one.
    pub stored: Vec<TrialRecord>,
    /// What a reader must know besides: notices of the preflight.
    pub warnings: Vec<String>,
    /// What it knows of earlier runs; `None` for a run that is to know of none, and leaves nothing to later ones.
    pub memory: Option<Memory>,
    /// Stops the run.
    pub cancel: &'a CancellationToken,
    /// Who listens.
    pub events: &'a mut dyn FnMut(Event),
}

/// What a run of `profile` will do.
#[must_use]
pub fn session_plan(profile: &Profile, provenance: &Provenance, free: Option<u32>, resumed: usize) -> Plan {
    Plan {
        run: provenance.run.clone(),
        profile: profile.name.clone(),
        target: provenance.target.clone(),
        server: provenance.server.clone(),
        free_connections: free,
        workers: profile.workers,
        instances: profile.instances,
        settings: profile.space.baseline.clone(),
        axes: profile.space.axes.clone(),
        limits: profile.limits,
        search_trials: profile.budget.search_trials,
        insight_trials: 2 * insight_pairs(profile),
        verification_pairs: pairs(profile),
        early_look: u32::try_from(verification_plan(profile).early()).unwrap_or(u32::MAX),
        trial_seconds: profile.trial.measure.as_secs_f64(),
        faults: profile.faults.clone(),
        time_budget: profile.budget.time.map(|time| time.as_secs_f64()),
        resumed_trials: u32::try_from(resumed).unwrap_or(u32::MAX),
        seed: provenance.seed,
    }
}

/// The load of every trial of a run.
fn load(profile: &Profile) -> Load {
    let (think_time, limit) = (profile.workload.think_time, profile.limits.success_rate);
    Load {
        warm_up_cap: profile.trial.warm_up_cap,
        ..Load::closed(profile.workers, think_time, profile.trial.measure, limit)
    }
}

/// Pairs of trials that measure what validation costs; none where the target does not heed it.
fn insight_pairs(profile: &Profile) -> u32 {
    if profile.is_not_taken(Setting::ValidationQuery) { 0 } else { INSIGHT_PAIRS }
}

/// Pairs of the verification, as many as its plan has.
pub(super) fn pairs(profile: &Profile) -> u32 {
    u32::try_from(verification_plan(profile).last()).unwrap_or(u32::MAX)
}

pub(super) fn verification_plan(profile: &Profile) -> stats::Plan {
    stats::Plan::new(profile.budget.verification_pairs as usize)
}

impl Session<'_> {
    /// Runs the loop to its answer.
    ///
    /// # Errors
    /// [`TuneError`]; whatever was measured before is stored.
    pub async fn run(mut self) -> Result<Recommendation, TuneError> {
        let started = Instant::now();
        let run = self.provenance.run.clone();
        let mut warnings = std::mem::take(&mut self.warnings);
        let memory = self.memory.take();
        let stands = memory.as_ref().and_then(|memory| Some((memory.standing.clone()?, memory.fitting(self.profile)?)));
        if let Some(standing) = memory.as_ref().and_then(|memory| memory.standing.as_ref()).filter(|_| stands.is_none())
        {
            let notice = format!(
                "what run {} recommended cannot be had with the profile as it is now, and is left out of account",
                standing.run
            );
            (self.events)(Event::Notice(notice.clone()));
            warnings.push(notice);
        }
        let arms = if stands.is_some() { 3 } else { 2 };
        let after_search = 2 * insight_pairs(self.profile) + arms * pairs(self.profile) + slow::trials(self.profile);
        let planned = self.profile.budget.search_trials + after_search;
        let mut trials = Trials::new(
            &run,
            self.store,
            self.target,
            load(self.profile),
            self.profile.faults.clone(),
            self.profile.limits,
            self.provenance.seed,
            self.cancel,
            self.events,
            std::mem::take(&mut self.stored),
            planned,
        );

        let mut config = Config::new(
            self.profile.budget.search_trials as usize,
            self.profile.limits.success_rate,
            self.provenance.seed,
        );
        if memory.as_ref().is_some_and(|memory| memory.searched().count() < LEARNING) {
            // What is overlooked now is what later nights take for known.
            config.patience = 0;
        }
        let earlier = memory.as_ref().map_or_else(Vec::new, |memory| earlier(memory, self.profile));
        let standing = stands.as_ref().map(|(_, settings)| settings.clone());
        let mut search = Search::recalling(&self.profile.space, config.clone(), standing, &earlier);
        let stopped_because = search_phase(&mut search, &mut trials, self.profile, started, after_search).await?;
        let mut told = memory.as_ref().map(|memory| told(memory, &search, self.profile, trials.records()));
        for notice in told.iter().flat_map(report_of) {
            trials.tell(Event::Notice(notice.clone()));
            warnings.push(notice);
        }
        let search_trials = u32::try_from(trials.records().len()).unwrap_or(u32::MAX);
        trials.planned = search_trials + after_search;

        let baseline = &self.profile.space.baseline;
        let mut evidence = Evidence {
            answer: answer(self.profile, &search, trials.records()),
            curve: throughput_curve(self.profile, config, trials.records()),
            validation: Vec::new(),
            pairs: Vec::new(),
            verification: None,
            slow: Slow::default(),
            standing: None,
            chosen: None,
            verified: None,
        };
        let slow_trials = slow::trials(self.profile);
        if let Some(best) = evidence.candidate(baseline) {
            if best == *baseline && stands.is_none() {
                trials.planned = search_trials + 2 * insight_pairs(self.profile) + slow_trials;
            }
            let pairs = insight_pairs(self.profile);
            if pairs > 0 {
                trials.tell(Event::Phase(Phase::Insight));
                let (without, with) = validation_arms(stands.as_ref().map_or(&best, |(_, settings)| settings));
                let names = ["unvalidated", "validated"];
                evidence.validation = interleave(&mut trials, Phase::Insight, names, &without, &with, pairs).await?;
            }
            if let Some((standing, settings)) = &stands {
                let anew =
                    told.as_ref().is_some_and(|told| told.dropped) || memory.as_ref().is_some_and(Memory::began_anew);
                challenge(&mut trials, self.profile, &search, (standing, settings), anew, &best, &mut evidence).await?;
            } else if best != *baseline {
                trials.tell(Event::Phase(Phase::Verification));
                (evidence.pairs, evidence.verification) = verify(&mut trials, self.profile, baseline, &best).await?;
            }
        }
        if let Some(fast) = recommend::decided_by_trials(self.profile, &evidence, trials.records()) {
            if let Some(memory) = memory.as_ref().filter(|_| stands.is_none() && fast != *baseline) {
                evidence.standing = Some(Judged {
                    outcome: StandingOutcome::First,
                    settings: fast.clone(),
                    run: run.clone(),
                    since: memory.began.clone(),
                    against_in_use: evidence.verification.map(|found| found.verification.ratio),
                    challenger: None,
                    anew: false,
                });
            }
            evidence.slow = slow::decide(&mut trials, self.profile, &fast).await?;
        }
        let provenance = Provenance { search_trials, stopped_because, ..self.provenance };
        if let Some(told) = &mut told {
            told.standing.clone_from(&evidence.standing);
        }
        warnings.extend(recommend::warnings(&trials.disturbances()));
        // What was measured under another load than the run's says nothing of throughput.
        let of_load: Vec<TrialRecord> =
            trials.records().iter().filter(|trial| !Phase::has_other_load(&trial.phase)).cloned().collect();
        let recommendation = recommend::recommendation(self.profile, provenance, &evidence, &of_load, warnings);
        Ok(Recommendation { memory: told, ..recommendation })
    }
}

/// What the search is told of earlier runs.
fn earlier(memory: &Memory, profile: &Profile) -> Vec<Earlier> {
    let trials = |night: &Night| {
        let usable =
            night.trials.iter().filter(|trial| Phase::is_of_settings(&trial.phase) && is_alike(profile, trial));
        let told = usable.map(|TrialRecord { settings, measurement, .. }| {
            (settings.clone(), outcome(measurement.weighted_throughput(), measurement, profile))
        });
        told.collect()
    };
    memory.searched().map(|night| Earlier { days: night.run.days, trials: trials(night) }).collect()
}

/// What is to be told of a run's memory, once its search is over.
fn told(memory: &Memory, search: &Search, profile: &Profile, tonight: &[TrialRecord]) -> model::Memory {
    let agreement = search.agreement();
    model::Memory {
        runs: memory.searched().map(|night| night.run.run.clone()).collect(),
        p_value: agreement.map(|found| found.p_value),
        dropped: agreement.is_some_and(|found| !found.agrees),
        standing: None,
        drift: memory.drift(profile, tonight),
    }
}

/// What a person has to know of it at once.
fn report_of(memory: &model::Memory) -> Vec<String> {
    let runs = |n: u32| if n == 1 { "the run before".to_owned() } else { format!("the {n} runs before") };
    let dropped = memory.dropped.then(|| {
        format!(
            "the first trials are not what {} let expect: what was known of other settings is dropped, and searched anew",
            runs(u32::try_from(memory.runs.len()).unwrap_or(u32::MAX)),
        )
    });
    let drift = memory.drift.iter().map(|drift| {
        let Estimate { value, interval } = drift.change;
        let interval = format!("[{:+.1}, {:+.1} %]", 100.0 * interval.low, 100.0 * interval.high);
        let (size, less) = (100.0 * value.abs(), value < 0.0);
        let what = match drift.of {
            Drifting::Throughput if less => format!("serve {size:.0} % {interval} fewer requests than in"),
            Drifting::Throughput => format!("serve {size:.0} % {interval} more requests than in"),
            Drifting::P95Query => format!(
                "have a 95th percentile of query time {size:.0} % {interval} {} than in",
                if less { "lower" } else { "higher" }
            ),
        };
        format!(
            "the settings in use {what} {}: the database, the machine or the data is not what it was",
            runs(drift.runs)
        )
    });
    drift.chain(dropped).collect()
}

/// What the search says. Where no attempt failed in any steady part, what acts on failures alone has acted in the fault parts
/// alone: its effects are then those on the share served under faults, since in the whole they drown in the noise of the rest.
pub(super) fn answer(profile: &Profile, search: &Search, trials: &[TrialRecord]) -> Option<Answer> {
    let whole = search.answer();
    let apart =
        |trial: &TrialRecord| trial.measurement.under_faults.is_some() && trial.measurement.is_without_failures();
    let (Some(part), Some(Answer::Feasible(found))) = (&profile.faults, &whole) else { return whole };
    if !trials.iter().all(apart) {
        return whole;
    }
    let axes: Vec<_> = profile.space.axes.iter().filter(|axis| acts_on_failures(axis.setting)).collect();
    let alone = under_faults::effects(&axes, &profile.space.baseline, part.weight, trials);
    let mut found = found.clone();
    for effect in &mut found.effects {
        if let Some(alone) = alone.iter().find(|alone| alone.setting == effect.setting) {
            *effect = alone.clone();
            found.settings = found.settings.with(effect.setting, effect.now.clone());
        }
    }
    Some(Answer::Feasible(found))
}

/// Whether a setting does nothing until an attempt fails.
fn acts_on_failures(setting: Setting) -> bool {
    setting.spec().decided_by == DecidableBy::TrialWithFaults
}

/// The curve of plain throughput, of all trials of the search. What faults cost is no matter of the law that is fitted, so
/// that a search of its own is told what the trials served without them.
fn throughput_curve(profile: &Profile, config: Config, trials: &[TrialRecord]) -> Result<ScalabilityFit, String> {
    let mut plain = Search::new(&profile.space, config);
    for trial in trials {
        let measured = &trial.measurement;
        plain.tell(trial.settings.clone(), outcome(measured.throughput, measured, profile));
    }
    plain.curve().map_err(|error| format!("failed to {error}"))
}

/// Asks the search for settings and tells it what they did, until it has enough or the time has run out.
async fn search_phase(
    search: &mut Search,
    trials: &mut Trials<'_>,
    profile: &Profile,
    started: Instant,
    after_search: u32,
) -> Result<String, TuneError> {
    let mut phase = None;
    loop {
        // A stored trial of a later phase says that the search had ended here, for whatever reason.
        if trials.stored.front().is_some_and(|next| !is_search(&next.phase)) {
            return Ok("it had ended before the run was interrupted".to_owned());
        }
        // Fewer trials than the search begins with say nothing, however little time there is.
        if let (Some(budget), Some(seconds), true) =
            (profile.budget.time, trials.seconds_a_trial(), trials.stored.is_empty())
            && trials.records().len() >= FEWEST_TRIALS
        {
            let simulated = if profile.day.is_some() { slow::SECONDS } else { 0.0 };
            let needed = seconds * f64::from(after_search + 1) + simulated;
            if started.elapsed().as_secs_f64() + needed > budget.as_secs_f64() {
                return Ok("the rest of the time is needed for the verification".to_owned());
            }
        }
        let proposal = match search.ask() {
            Step::Try(proposal) => proposal,
            Step::Done(reason) => return Ok(stopped_because(reason).to_owned()),
        };
        let first_baselines = proposal.reason == Reason::Baseline && !matches!(phase, Some(Phase::Search));
        let now = if first_baselines { Phase::Baseline } else { Phase::Search };
        if phase != Some(now) {
            phase = Some(now);
            trials.tell(Event::Phase(now));
        }
        let measurement = trials.run(now, why(proposal.reason), &proposal.settings).await?;
        search.tell(proposal.settings, outcome(measurement.weighted_throughput(), &measurement, profile));
    }
}

/// Why settings are tried, in a word.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Baseline => "in use",
        Reason::Standing => "standing",
        Reason::Curve => "curve",
        Reason::Sobol => "overview",
        Reason::Improve => "improve",
        Reason::Replicate => "again",
    }
}

fn stopped_because(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Budget => "its trials were used up",
        StopReason::NothingToGain => "another trial was not expected to gain 1 %",
        StopReason::NothingToSearch => "there was nothing to search",
    }
}

fn is_search(phase: &str) -> bool {
    phase == Phase::Baseline.name() || phase == Phase::Search.name()
}

/// What the search is told of a measurement: `throughput` is what it is to maximise.
fn outcome(throughput: f64, measurement: &Measurement, profile: &Profile) -> Outcome {
    let slices = &measurement.slices;
    let mean = stats::mean(slices);
    let error =
        (slices.len() > 1 && mean > 0.0).then(|| stats::sample_sd(slices) / mean / stats::real(slices.len()).sqrt());
    Outcome {
        throughput,
        throughput_error: error,
        succeeded: measurement.requests.succeeded,
        failed: measurement.requests.failed,
        latency_margin: profile
            .limits
            .p95_query
            .filter(|_| measurement.query.count > 0)
            .map(|longest| (longest / measurement.query.p95.max(1e-9)).ln()),
    }
}

/// The same settings without and with validation at each checkout.
fn validation_arms(settings: &Settings) -> (Settings, Settings) {
    let query = settings.validation_query().unwrap_or(Setting::ValidationQuery.spec().sql).to_owned();
    let without = settings.clone().with(Setting::ValidationQuery, Value::Sql(String::new()));
    (without, settings.clone().with(Setting::ValidationQuery, Value::Sql(query)))
}

/// Runs pairs of trials of two settings in the order ABBA, so that a steady drift cancels.
async fn interleave(
    trials: &mut Trials<'_>,
    phase: Phase,
    names: [&str; 2],
    a: &Settings,
    b: &Settings,
    n: u32,
) -> Result<Vec<(Measurement, Measurement)>, TuneError> {
    let mut pairs = Vec::with_capacity(n as usize);
    for index in 0..n {
        let pair = if index % 2 == 0 {
            let first = trials.run(phase, names[0], a).await?;
            (first, trials.run(phase, names[1], b).await?)
        } else {
            let second = trials.run(phase, names[1], b).await?;
            (trials.run(phase, names[0], a).await?, second)
        };
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Sets the best settings found against those in use; ends early when half of the pairs are clear.
pub(super) async fn verify(
    trials: &mut Trials<'_>,
    profile: &Profile,
    baseline: &Settings,
    best: &Settings,
) -> Result<(Vec<(Measurement, Measurement)>, Option<Verified>), TuneError> {
    let plan = verification_plan(profile);
    let mut pairs = Vec::with_capacity(plan.last());
    // Decided once: a measure that changed between two looks would be chosen by what it shows.
    let mut by_faults = None;
    for looks_at in [plan.early(), plan.last()] {
        let more = u32::try_from(looks_at - pairs.len()).unwrap_or(u32::MAX);
        // Half of the pairs is an odd number at times: the order goes on where it stopped.
        let swapped = pairs.len() % 2 == 1;
        let (names, a, b) =
            if swapped { (["candidate", "in use"], best, baseline) } else { (["in use", "candidate"], baseline, best) };
        for (first, second) in interleave(trials, Phase::Verification, names, a, b, more).await? {
            pairs.push(if swapped { (second, first) } else { (first, second) });
        }
        let by_faults = *by_faults.get_or_insert_with(|| acts_under_faults_alone(&pairs, baseline, best));
        let verified = |verification| Some(Verified { verification, by_faults });
        // A trial without any success has no ratio; then nothing is shown better.
        match stats::verify(&arms(&pairs, by_faults), plan, profile.limits.success_rate) {
            Ok(verification) if verification.conclusive => {
                return Ok((pairs, verified(worth_it(verification, by_faults))));
            }
            Ok(_) => {}
            Err(_) => return Ok((pairs, None)),
        }
    }
    Ok((pairs, None))
}

/// A verification, and by what its pairs were judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) verification: Verification,
    /// By what faults leave of throughput alone, and not by throughput with faults counted.
    pub(super) by_faults: bool,
}

/// What faults leave of throughput is so sure that a gain may be shown which nobody would notice.
pub(super) fn worth_it(verification: Verification, by_faults: bool) -> Verification {
    if by_faults && verification.verdict == Verdict::Better && verification.ratio.interval.low < 1.0 + WORTH {
        return Verification { verdict: Verdict::NotBetter, ..verification };
    }
    verification
}

/// Whether settings differ only in what acts on failed attempts, and no attempt failed in any steady part. Then both sides did
/// the same there: how their throughputs differ is noise, and what faults leave of throughput decides alone.
pub(super) fn acts_under_faults_alone(
    pairs: &[(Measurement, Measurement)],
    baseline: &Settings,
    best: &Settings,
) -> bool {
    let mut differing = Setting::all().filter(|setting| baseline.get(*setting) != best.get(*setting));
    differing.all(acts_on_failures)
        && pairs.iter().all(|(was, now)| was.is_without_failures() && now.is_without_failures())
}

/// The pairs as they are judged: by throughput with faults counted, or by what faults leave of it.
pub(super) fn arms(pairs: &[(Measurement, Measurement)], by_faults: bool) -> Vec<Pair> {
    let arm = |measurement: &Measurement| Arm {
        throughput: if by_faults { measurement.fault_factor() } else { measurement.weighted_throughput() },
        succeeded: measurement.requests.succeeded,
        failed: measurement.requests.failed,
    };
    pairs.iter().map(|(was, now)| Pair { baseline: arm(was), winner: arm(now) }).collect()
}
