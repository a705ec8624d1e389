//! Nights one after the other on a response with a known optimum, with the store as it is.

use tokio_util::sync::CancellationToken;

use super::{Memory, keep, recall};
use crate::{
    model::{self, Drifting, Limits, Provenance, Recommendation, Setting, Settings, StandingOutcome, Value, Verdict},
    profile::{self, Profile},
    simulate::Response,
    store::{NewRun, Recalled, Standing, StandingFor, Store},
    trial::{SimulatedTarget, Target},
    tune::Session,
};

struct Nights {
    _folder: tempfile::TempDir,
    store: Store,
    profile: Profile,
}

impl Nights {
    async fn new(response: &Response) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
        let mut profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
        profile.leave_faults_out();
        profile.leave_day_out();
        profile.space = response.space_of(&[Setting::MaxConnections, Setting::RetryAttempts]);
        profile.limits = Limits { success_rate: 0.99, p95_query: None };
        (profile.budget.search_trials, profile.budget.verification_pairs) = (6, 12);
        Self { _folder: folder, store, profile }
    }

    fn of(&self) -> StandingFor<'_> {
        StandingFor { target: "simulated", profile: &self.profile.name, instances: 1 }
    }

    fn run(&self, day: u32) -> NewRun {
        NewRun {
            id: format!("night-{day}"),
            started_at: format!("2026-11-{day:02}T01:30:00Z"),
            profile_name: self.profile.name.clone(),
            profile_file: None,
            profile_source: self.profile.source.clone(),
            pins: vec![],
            ranges: vec![],
            seed: u64::from(day),
            target: "simulated".to_owned(),
            server_version: String::new(),
            server_settings: serde_json::Map::new(),
            machine: String::new(),
            program_version: String::new(),
            prefix: String::new(),
            pid: 0,
            trials: None,
            pairs: None,
            instances: None,
            seconds: None,
            experiment: None,
            round: None,
            recalled: None,
        }
    }

    /// A night as an experiment's run is.
    async fn night(&self, day: u32, response: &Response) -> (Recommendation, Recalled) {
        let mut run = self.run(day);
        let recalled = recall(&self.store, &run, 1).await.unwrap();
        run.recalled = Some(recalled.clone());
        self.store.begin_run(&run).await.unwrap();
        let memory = Memory::read(&self.store, &run.started_at, &recalled).await.unwrap();
        let provenance = Provenance {
            run: run.id.clone(),
            profile: self.profile.name.clone(),
            profile_file: None,
            seed: run.seed,
            flags: vec![],
            program: String::new(),
            target: run.target.clone(),
            server: String::new(),
            machine: String::new(),
            workers: self.profile.workers,
            instances: 1,
            limits: self.profile.limits,
            search_trials: 0,
            stopped_because: String::new(),
        };
        let mut target = Target::Simulated(SimulatedTarget::of(response.clone().reseeded(run.seed)));
        let cancel = CancellationToken::new();
        let session = Session {
            profile: &self.profile,
            provenance,
            store: &self.store,
            target: &mut target,
            stored: vec![],
            warnings: vec![],
            memory: Some(memory),
            cancel: &cancel,
            events: &mut |_| {},
        };
        let recommendation = Box::pin(session.run()).await.unwrap();
        keep(&self.store, &run.started_at, &recommendation).await.unwrap();
        self.store.finish_run(&run.id, &recommendation).await.unwrap();
        (recommendation, recalled)
    }

    /// What stands as if a night had found it.
    async fn stand(&self, settings: &Settings) {
        let standing = Standing {
            run: "before".to_owned(),
            settings: Some(settings.clone()),
            since: "2026-10-31T01:30:00Z".to_owned(),
            effect: None,
        };
        self.store.set_standing(self.of(), &standing).await.unwrap();
    }

    async fn stands(&self) -> Option<Settings> {
        self.store.standing(self.of()).await.unwrap().and_then(|standing| standing.settings)
    }
}

fn judged(recommendation: &Recommendation) -> &model::Judged {
    recommendation.memory.as_ref().unwrap().standing.as_ref().unwrap()
}

#[tokio::test]
async fn on_an_unchanged_target_what_stands_goes_on_to_stand() {
    let response = Response::heavy(1);
    let nights = Nights::new(&response).await;
    let (best, _) = response.optimum(&nights.profile.space).unwrap();
    nights.stand(&best).await;
    for day in 1..=4 {
        let (found, recalled) = nights.night(day, &response).await;
        assert_eq!(recalled.runs.len(), usize::try_from(day).unwrap() - 1);
        let memory = found.memory.as_ref().unwrap();
        assert_eq!((memory.runs.len(), memory.p_value.is_some()), (recalled.runs.len(), day > 1));
        assert!(memory.drift.is_empty(), "{memory:?}");
        let judged = judged(&found);
        assert_eq!((judged.outcome, judged.run.as_str()), (StandingOutcome::Stands, "before"));
        assert!(judged.against_in_use.is_some());
        assert_eq!((&found.verdict, found.settings()), (&Verdict::Better, best.clone()));
        // Second of all, so that it is known before anything is judged.
        assert_eq!(nights.store.trials(&nights.run(day).id).await.unwrap()[1].why, "standing");
    }
    assert_eq!(nights.stands().await, Some(best));
    assert_eq!(nights.store.standing_history(nights.of()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_stands_is_withdrawn_or_replaced_when_it_has_become_worse_than_what_is_in_use() {
    let response = Response::heavy(1);
    let mut nights = Nights::new(&response).await;
    nights.profile.budget.search_trials = 8;
    let of = |connections, retries| {
        let larger = response.baseline().clone().with(Setting::MaxConnections, Value::Count(connections));
        larger.with(Setting::RetryAttempts, Value::Count(retries))
    };
    let all = [of(8, 0), of(8, 8), of(60, 0), of(60, 8)];
    let throughput = |settings: &Settings| response.true_throughput(settings);
    let worst = all.into_iter().min_by(|a, b| throughput(a).total_cmp(&throughput(b))).unwrap();
    assert!(response.true_throughput(&worst) < 0.8 * response.true_throughput(response.baseline()));
    nights.stand(&worst).await;
    let (found, _) = nights.night(1, &response).await;
    let judged = judged(&found);
    assert!(judged.against_in_use.unwrap().interval.high < 1.0, "{judged:?}");
    assert_ne!(nights.stands().await, Some(worst.clone()));
    if judged.outcome == StandingOutcome::Withdrawn {
        let Verdict::Keep { reason } = &found.verdict else { panic!("{:?}", found.verdict) };
        assert!(
            reason.contains("recommended since 2026-10-31 (run before)") && reason.contains("withdrawn"),
            "{reason}"
        );
    } else {
        assert_eq!((judged.outcome, &found.verdict), (StandingOutcome::Replaced, &Verdict::Better));
    }
    assert_eq!(nights.store.standing_history(nights.of()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn in_the_night_after_one_that_dropped_what_it_knew_what_stands_is_judged_as_a_first_recommendation() {
    let response = Response::heavy(1);
    let nights = Nights::new(&response).await;
    let (best, _) = response.optimum(&nights.profile.space).unwrap();
    nights.stand(&best).await;
    let (mut first, _) = nights.night(1, &response).await;
    assert!(!judged(&first).anew);
    first.memory.as_mut().unwrap().dropped = true;
    nights.store.finish_run(&nights.run(1).id, &first).await.unwrap();
    let (second, recalled) = nights.night(2, &response).await;
    assert!(recalled.runs[0].dropped && judged(&second).anew);
    let (third, recalled) = nights.night(3, &response).await;
    assert!(!recalled.runs[0].dropped && !judged(&third).anew);
}

#[tokio::test]
async fn what_does_not_fit_the_profile_any_more_is_left_out_and_told() {
    let response = Response::heavy(1);
    let nights = Nights::new(&response).await;
    nights.stand(&response.baseline().clone().with(Setting::MaxConnections, Value::Count(500))).await;
    let (found, _) = nights.night(1, &response).await;
    assert!(found.warnings.iter().any(|told| told.contains("run before recommended cannot be had")), "{found:?}");
}

#[tokio::test]
async fn a_night_far_from_its_history_is_told_and_one_like_the_others_is_not() {
    let response = Response::heavy(1);
    let mut nights = Nights::new(&response).await;
    nights.profile.space.axes.clear();
    for day in 1..=6 {
        let (found, _) = nights.night(day, &response).await;
        assert_eq!(found.memory.unwrap().drift, []);
    }
    // The trials of tonight are those of a machine that serves half.
    let memory =
        Memory::read(&nights.store, "", &recall(&nights.store, &nights.run(7), 1).await.unwrap()).await.unwrap();
    let mut tonight = nights.store.trials("night-6").await.unwrap();
    assert!(memory.drift(&nights.profile, &tonight).is_empty());
    for trial in &mut tonight {
        trial.measurement.throughput /= 2.0;
    }
    let drift = memory.drift(&nights.profile, &tonight);
    assert_eq!((drift.len(), drift[0].of, drift[0].runs), (1, Drifting::Throughput, 6));
    assert!(drift[0].change.value < -0.4 && drift[0].change.interval.high < 0.0, "{drift:?}");
}

#[tokio::test]
async fn a_run_learns_from_the_newest_runs_that_asked_the_same_up_to_one_that_dropped_what_it_knew() {
    let response = Response::heavy(1);
    let mut nights = Nights::new(&response).await;
    nights.profile.space.axes.clear();
    for day in 1..=9 {
        let (mut found, _) = nights.night(day, &response).await;
        if day == 6 {
            found.memory.as_mut().unwrap().dropped = true;
            nights.store.finish_run("night-6", &found).await.unwrap();
        }
    }
    let recalled = recall(&nights.store, &nights.run(10), 1).await.unwrap();
    let searched: Vec<&str> = recalled.runs.iter().filter(|run| run.searched).map(|run| run.run.as_str()).collect();
    assert_eq!(searched, ["night-9", "night-8", "night-7", "night-6"]);
    // The history of the settings in use goes further back.
    assert_eq!((recalled.runs.len(), recalled.runs[8].days), (9, 9.0));
    // What was begun later, and what asked otherwise, is no earlier run.
    assert_eq!(recall(&nights.store, &nights.run(3), 1).await.unwrap().runs.len(), 2);
    let pinned = NewRun { pins: vec!["max_connections=9".to_owned()], ..nights.run(10) };
    assert_eq!(recall(&nights.store, &pinned, 1).await.unwrap().runs, []);
}
