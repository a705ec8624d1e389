use std::time::Duration;

use super::{
    faults,
    recommend::{self, Evidence},
    session::{Verified, acts_under_faults_alone, answer, arms},
    slow::Slow,
};
use crate::{
    model::{
        DecidedBy, Estimate, Fault, FaultKind, FaultPart, Interval, Measurement, Provenance, Recommendation, Setting,
        Settings, UnderFaults, Value, Verdict,
    },
    profile::{self, Profile},
    search::{Answer, Config, Decision, Effect, Outcome, Search, Step},
    simulate::Response,
    stats::{self, Plan},
    store::TrialRecord,
    trial::{Control, Load, SimulatedTarget, Target},
};

fn part() -> FaultPart {
    let reset = Fault { at: Duration::from_millis(500), lasts: Duration::ZERO, share: 1.0, kind: FaultKind::Reset };
    let (deadline, measure) = (Duration::from_millis(100), Duration::from_secs(2));
    FaultPart { weight: 0.25, deadline, measure, timeline: vec![reset] }
}

/// A measurement of so many requests a second, of which a share was served in time under faults.
async fn measured(throughput: f64, share: Option<f64>) -> Measurement {
    let mut target = Target::Simulated(SimulatedTarget::of(Response::heavy(1)));
    let load = Load::closed(64, None, Duration::from_secs(2), 0.99);
    let details = target.run(&load, &Settings::default(), 1, &mut Control::default()).await.unwrap();
    let rate = faults::rate(&details.measurement);
    let under_faults = share.map(|share| UnderFaults { share, ..faults::told(&part(), rate, details.clone()) });
    Measurement { throughput, under_faults, ..details.measurement }
}

#[tokio::test]
async fn faults_count_by_their_weight() {
    let weighted = |throughput, share| async move { measured(throughput, share).await.weighted_throughput() };
    assert!((weighted(1000.0, None).await - 1000.0).abs() < 1e-9);
    assert!((weighted(1000.0, Some(1.0)).await - 1000.0).abs() < 1e-9);
    assert!((weighted(1000.0, Some(0.0)).await - 750.0).abs() < 1e-9);
    assert!((weighted(1000.0, Some(0.6)).await - 900.0).abs() < 1e-9);
    // A tenth more throughput makes good for no more than what is lost.
    assert!(weighted(1100.0, Some(0.5)).await < weighted(1000.0, Some(1.0)).await);
}

#[tokio::test]
async fn trials_stored_before_there_were_fault_parts_are_read() {
    let old = serde_json::to_value(measured(1000.0, None).await).unwrap();
    assert!(old.get("under_faults").is_none());
    let read: Measurement = serde_json::from_value(old).unwrap();
    assert_eq!(read.under_faults, None);
    let new = measured(1000.0, Some(0.5)).await;
    let again: Measurement = serde_json::from_str(&serde_json::to_string(&new).unwrap()).unwrap();
    assert_eq!(again.under_faults, new.under_faults);
}

#[tokio::test]
async fn every_fault_part_of_a_run_has_the_rate_that_its_first_trial_gives() {
    let first = measured(12_345.678_9, None).await;
    let stored: Measurement = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert!((faults::rate(&first) - 6173.0).abs() < 1e-9);
    assert!((faults::rate(&stored) - faults::rate(&first)).abs() < f64::EPSILON);
    // What serves nothing gives a rate all the same: one that can be offered.
    assert!((faults::rate(&measured(0.0, None).await) - 1.0).abs() < 1e-9);
    assert!((faults::rate(&measured(1e9, None).await) - 100_000.0).abs() < 1e-9);
}

#[test]
fn the_fault_part_has_room_for_all_that_waits_and_a_circuit_that_closes_again() {
    let load = faults::load(&part(), 6000.0);
    assert_eq!((load.workers, load.success_limit, load.faults.len()), (600, None, 1));
    assert!(load.pacing.is_open() && (load.pacing.first() - 6000.0).abs() < 1e-9);
    assert_eq!(faults::load(&part(), 1.0).workers, 64);
    assert_eq!(faults::load(&part(), 100_000.0).workers, 2_000);
    let settings = faults::settings(&Settings::default());
    assert!(settings.circuit_breaker_timeout() < Duration::from_secs(1));
    let timeout = Settings::default().get(Setting::CircuitBreakerTimeout).clone();
    assert_eq!(settings.with(Setting::CircuitBreakerTimeout, timeout), Settings::default(), "all else is the trial's");
    let short = Settings::default().with(Setting::CircuitBreakerTimeout, Value::Time(Duration::from_millis(20)));
    assert_eq!(faults::settings(&short).circuit_breaker_timeout(), Duration::from_millis(20));
}

fn estimate(value: f64) -> Estimate {
    Estimate { value, interval: Interval { low: value - 0.01, high: value + 0.01 } }
}

/// What a search and a verification found: a threshold of 10 instead of 5 serves more under faults, at the same throughput.
async fn found(profile: &Profile) -> (Evidence, Vec<TrialRecord>) {
    let baseline = &profile.space.baseline;
    let better = baseline.clone().with(Setting::CircuitBreakerThreshold, Value::Count(10));
    let effects = profile.space.axes.iter().map(|axis| {
        let setting = axis.setting;
        let changed = setting == Setting::CircuitBreakerThreshold;
        Effect {
            setting,
            decision: if changed { Decision::Changed } else { Decision::Kept },
            was: baseline.get(setting).clone(),
            now: better.get(setting).clone(),
            alternative: baseline.get(setting).clone(),
            ratio: estimate(if changed { 1.07 } else { 1.0 }),
            distinguishable: changed,
        }
    });
    let answer = crate::search::Recommendation {
        settings: better.clone(),
        throughput: estimate(1000.0),
        ratio: estimate(1.07),
        probability_feasible: 1.0,
        effects: effects.collect(),
    };
    let mut pairs = Vec::new();
    for spread in [0.99, 1.0, 1.01, 1.0, 0.99, 1.01] {
        pairs.push((measured(1000.0 * spread, Some(0.7)).await, measured(1000.0, Some(0.98 * spread)).await));
    }
    let by_faults = acts_under_faults_alone(&pairs, baseline, &better);
    let arms = arms(&pairs, by_faults);
    let first = TrialRecord {
        sequence: 1,
        phase: "baseline".to_owned(),
        why: "in use".to_owned(),
        settings: baseline.clone(),
        measurement: measured(1000.0, Some(0.7)).await,
        repeats: 0,
        started_at: 0,
    };
    let evidence = Evidence {
        answer: Some(Answer::Feasible(Box::new(answer))),
        curve: Err("too few sizes".to_owned()),
        validation: vec![(measured(1000.0, Some(0.5)).await, measured(990.0, Some(0.9)).await); 3],
        pairs,
        verification: Some(Verified { verification: stats::verify(&arms, Plan::new(6), 0.99).unwrap(), by_faults }),
        slow: Slow::default(),
        standing: None,
        chosen: None,
        verified: None,
    };
    (evidence, vec![first])
}

fn provenance() -> Provenance {
    Provenance {
        run: "test".to_owned(),
        profile: "heavy".to_owned(),
        profile_file: None,
        seed: 1,
        flags: vec![],
        program: "0".to_owned(),
        target: "private".to_owned(),
        server: "server".to_owned(),
        machine: "machine".to_owned(),
        workers: 64,
        instances: 1,
        limits: crate::model::Limits::default(),
        search_trials: 1,
        stopped_because: String::new(),
    }
}

fn row(recommendation: &Recommendation, setting: Setting) -> &crate::model::Row {
    recommendation.rows.iter().find(|row| row.setting == setting).unwrap()
}

#[tokio::test]
async fn what_faults_decide_is_told_as_that_and_apart_from_throughput() {
    let profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    let (evidence, trials) = found(&profile).await;
    let told = recommend::recommendation(&profile, provenance(), &evidence, &trials, vec![]);
    assert_eq!(told.verdict, Verdict::Better);
    let breaker = row(&told, Setting::CircuitBreakerThreshold);
    assert_eq!((&breaker.now, breaker.decided_by), (&Value::Count(10), DecidedBy::TrialWithFaults));
    assert!(breaker.effect.unwrap().value > 0.05, "{breaker:?}");
    let shown = told.under_faults.unwrap();
    assert!((shown.was.value - 0.7).abs() < 1e-9 && (shown.tried.unwrap().value - 0.98).abs() < 1e-9, "{shown:?}");
    // Throughput itself is the same: the gain is all of the faults' part.
    assert!(shown.throughput_ratio.unwrap().interval.contains(1.0), "{shown:?}");
    assert!(
        told.insights[0].text.contains("90.0 % of requests were served in time with it and 50.0 % without"),
        "{told:?}"
    );
}

#[tokio::test]
async fn why_simulation_decides_nothing_is_told_once() {
    let profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    let (evidence, trials) = found(&profile).await;
    let reason = "the simulation is too far from the trials: its query time is wrong by 70 % in the median";
    let evidence = Evidence { slow: Slow { refused: Some(reason.to_owned()), ..Slow::default() }, ..evidence };
    let told = recommend::recommendation(&profile, provenance(), &evidence, &trials, vec![]);
    assert_eq!(told.warnings, [format!("settings that act too slowly for trials are kept: {reason}")]);
    assert!(told.rows.iter().all(|row| !row.why.contains("too far")), "{:?}", told.rows);
    let idle = row(&told, Setting::IdleTimeout);
    assert_eq!(idle.why, "acts too slowly for trials, and simulation decides nothing here: see the warnings");
}

#[tokio::test]
async fn why_a_setting_is_kept_depends_on_whether_there_could_be_faults() {
    let why = |profile: &Profile| {
        let nothing = Evidence {
            answer: None,
            curve: Err(String::new()),
            validation: vec![],
            pairs: vec![],
            verification: None,
            slow: Slow::default(),
            standing: None,
            chosen: None,
            verified: None,
        };
        let told = recommend::recommendation(profile, provenance(), &nothing, &[], vec![]);
        assert_eq!(told.under_faults, None);
        row(&told, Setting::RetryAttempts).why.clone()
    };
    let heavy = || profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    assert_eq!(why(&heavy()), "nothing keeps the limits");
    let mut unreachable = heavy();
    unreachable.leave_faults_out();
    assert_eq!(why(&unreachable), "acts only under faults, which cannot be made on this target");
    let text = "name: a\nworkers: 2\nworkload: {operations: [{name: read, sql: select 1}]}\n";
    assert_eq!(why(&profile::parse("a", text).unwrap()), "acts only under faults, which these trials do not have");
}

#[tokio::test]
async fn what_acts_only_on_failures_is_judged_by_what_faults_leave_alone() {
    let baseline = Settings::default();
    let breaker = baseline.clone().with(Setting::CircuitBreakerThreshold, Value::Count(9));
    let both = breaker.clone().with(Setting::MaxConnections, Value::Count(20));
    // The machine slowed down by a fifth between the two trials of a pair; what is served under faults is as it is.
    let pair = || async { (measured(1000.0, Some(0.5)).await, measured(800.0, Some(0.9)).await) };
    let ratio = |pairs: &[(Measurement, Measurement)], now: &Settings| {
        let pair = arms(pairs, acts_under_faults_alone(pairs, &baseline, now))[0];
        pair.winner.throughput / pair.baseline.throughput
    };
    let mut pairs = [pair().await];
    (pairs[0].0.requests.failed, pairs[0].1.requests.failed) = (0, 0);
    let weight = pairs[0].0.under_faults.as_ref().unwrap().weight;
    let left = (1.0 - weight * 0.1) / (1.0 - weight * 0.5);
    assert!((ratio(&pairs, &breaker) - left).abs() < 1e-9);
    assert!((ratio(&pairs, &both) - 0.8 * left).abs() < 1e-9, "connections act everywhere");
    // A retry in the steady part could be the settings' doing.
    let mut failing = pairs;
    failing[0].1.requests.retries = 1;
    assert!((ratio(&failing, &breaker) - 0.8 * left).abs() < 1e-9);
}

#[tokio::test]
async fn what_acts_under_faults_is_found_although_throughput_is_noisy() {
    let profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    let config = Config::new(20, 0.99, 1);
    let mut search = Search::new(&profile.space, config);
    let mut trials = Vec::new();
    // Throughput swings by a third, with no setting to blame; a threshold from 7 on serves all, a lower one three quarters.
    for (sequence, swing) in (1..=20).zip([0.0, 0.3, -0.1, 0.2, -0.3, 0.1, 0.25, -0.2].into_iter().cycle()) {
        let Step::Try(proposal) = search.ask() else { break };
        let threshold = proposal.settings.circuit_breaker_threshold();
        let share = if threshold >= 7 { 1.0 } else { 0.75 + 0.02 * f64::from(sequence % 3) };
        let mut measurement = measured(1000.0 * (1.0 + swing), Some(share)).await;
        measurement.requests.failed = 0;
        let outcome = Outcome {
            throughput: measurement.weighted_throughput(),
            throughput_error: None,
            succeeded: measurement.requests.succeeded,
            failed: 0,
            latency_margin: None,
        };
        search.tell(proposal.settings.clone(), outcome);
        trials.push(TrialRecord {
            sequence,
            phase: "search".to_owned(),
            why: String::new(),
            settings: proposal.settings,
            measurement,
            repeats: 0,
            started_at: 0,
        });
    }
    let Some(Answer::Feasible(found)) = answer(&profile, &search, &trials) else { panic!("infeasible") };
    let of = |setting| found.effects.iter().find(|effect| effect.setting == setting).unwrap();
    let breaker = of(Setting::CircuitBreakerThreshold);
    assert!(breaker.decision == Decision::Changed && breaker.distinguishable, "{breaker:?}");
    assert!(found.settings.circuit_breaker_threshold() >= 7, "{:?}", found.settings);
    let retries = of(Setting::RetryAttempts);
    assert!(!retries.distinguishable, "{retries:?}");
    // A failure in a steady part could be any setting's doing: then the whole decides.
    trials[3].measurement.requests.failed = 1;
    assert_eq!(answer(&profile, &search, &trials), search.answer());
}
