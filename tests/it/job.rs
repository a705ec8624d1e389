//! Rounds as a service runs them: on a clock that the caller holds.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use pool_tune::{
    job::{self, Loaded, RoundEnd, RoundEvent, Rounds, Start, Wishes},
    store::{RunStatus, Store, StoreAt, Task},
    tune::Event,
};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::Cluster;

const NIGHT: &str = "
name: night
profiles: [light, heavy]
target: simulated
budget: {trials: 4, pairs: 6}
memory: false
schedule: {cron: \"0 1 * * *\", zone: Europe/Berlin, window: \"01:00-05:00\"}
";

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

/// A results folder with its store, an experiment, and a clock.
struct Setting {
    folder: tempfile::TempDir,
    loaded: Loaded,
    store: Store,
    clock: AtomicI64,
}

impl Setting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&job::store_path(folder.path())).await.unwrap();
        Self::with(folder, store)
    }

    fn with(folder: tempfile::TempDir, store: Store) -> Self {
        let path = folder.path().join("night.yaml");
        fs::write(&path, NIGHT).unwrap();
        let loaded = job::load_experiment(&path.to_string_lossy()).unwrap();
        Self { folder, loaded, store, clock: AtomicI64::new(0) }
    }

    fn results(&self) -> &Path {
        self.folder.path()
    }

    /// Rounds of it, on a clock, until somebody asks them to stop.
    fn rounds<'a>(&'a self, clock: &'a (dyn Fn() -> Timestamp + Sync), cancel: &'a CancellationToken) -> Rounds<'a> {
        Rounds { store: &self.store, results: self.results(), clock, cancel, why: &|| job::ASKED_TO_STOP }
    }

    /// Starts a round at `now`; once `trials` have ended in it the clock comes to `then`.
    async fn start(&self, now: &str, seed: Option<u64>, trials: usize, then: &str) -> (RoundEnd, usize) {
        self.clock.store(at(now), Ordering::Relaxed);
        let clock = || Timestamp::from_second(self.clock.load(Ordering::Relaxed)).unwrap();
        let cancel = CancellationToken::new();
        let rounds = self.rounds(&clock, &cancel);
        let schedule = self.loaded.experiment.schedule.as_ref().unwrap();
        let due = schedule.last_until(clock());
        let start = Start { due, wishes: Wishes { seed, ..Wishes::default() }, ..Start::default() };
        let mut made = 0;
        let mut listen = |event: RoundEvent<'_>| {
            if let RoundEvent::Of(Event::TrialEnded(ended)) = event {
                made += usize::from(!ended.resumed);
                if made == trials {
                    self.clock.store(at(then), Ordering::Relaxed);
                }
            }
        };
        let end = Box::pin(rounds.run(&self.loaded, &start, &mut listen)).await.unwrap();
        (end, made)
    }

    async fn answers(&self) -> Vec<String> {
        let round = self.store.last_round("night").await.unwrap().unwrap();
        let runs = self.store.runs_of_round(round.id).await.unwrap();
        let read = |run: &str| fs::read_to_string(self.results().join(run).join("config.py"));
        // Ids are made of the time, and stand in the files.
        runs.iter().filter_map(|run| Some(read(&run.id).ok()?.replace(&run.id, "run"))).rev().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_is_gone_on_with_knows_what_it_knew_when_it_began() {
    let mut told = Vec::new();
    for cut in [usize::MAX, 3] {
        let mut nights = Setting::new().await;
        nights.loaded.experiment.memory = true;
        nights.loaded.profiles.truncate(1);
        let all = usize::MAX;
        nights.start("2026-06-30T23:00:05Z", Some(5), all, "2026-07-01T03:00:00Z").await;
        let (mut end, _) = nights.start("2026-07-01T23:00:05Z", Some(6), cut, "2026-07-02T03:00:00Z").await;
        if end.window_ended {
            (end, _) = nights.start("2026-07-02T23:00:05Z", None, all, "2026-07-03T03:00:00Z").await;
        }
        let recommendation = end.done.remove(0).recommendation;
        let first = nights.store.runs().await.unwrap().pop().unwrap();
        assert_eq!(recommendation.memory.as_ref().unwrap().runs, [first.id]);
        told.push(recommendation);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_stops_at_its_windows_end_and_goes_on_the_next_nights() {
    let whole = Setting::new().await;
    // The window is open until five in Berlin.
    let (end, all) = whole.start("2026-06-30T23:00:05Z", Some(5), usize::MAX, "2026-07-01T03:00:00Z").await;
    assert!(end.stopped.is_none() && !end.window_ended && end.done.len() == 2);
    let expected = whole.answers().await;
    assert_eq!(expected.len(), 2);

    let cut = Setting::new().await;
    let round = async || cut.store.last_round("night").await.unwrap().unwrap();
    let (end, first) = cut.start("2026-06-30T23:00:05Z", Some(5), 9, "2026-07-01T03:00:00Z").await;
    assert!(end.window_ended && end.stopped.unwrap().error.is_interruption() && end.done.is_empty());
    // The trial that the end fell on is the last.
    assert_eq!(first, 9);
    let stored = round().await;
    assert_eq!((stored.status, stored.error.as_deref()), (RunStatus::Interrupted, Some("the window ended")));
    assert_eq!(cut.store.runs_of_round(stored.id).await.unwrap()[0].status, RunStatus::Interrupted);

    // The second night comes to the second profile.
    let (end, second) = cut.start("2026-07-01T23:00:05Z", None, all - 9 - 6, "2026-07-02T03:00:00Z").await;
    assert!(end.window_ended && end.done.len() == 1);
    let (end, third) = cut.start("2026-07-02T23:00:05Z", None, usize::MAX, "2026-07-03T03:00:00Z").await;
    assert!(end.stopped.is_none() && !end.window_ended && end.done.len() == 1);
    let stored_last = round().await;
    assert_eq!((stored_last.id, stored_last.status), (stored.id, RunStatus::Finished));
    assert_eq!(cut.store.last_due("night").await.unwrap().as_deref(), Some("2026-07-02T23:00:00Z"));
    // The first night's profile began with a seed of its own; the second's was drawn.
    assert_eq!(cut.answers().await[0], expected[0]);
    assert!(second > 0 && third > 0);

    // The third round is a new one.
    let (end, _) = cut.start("2026-07-03T23:00:05Z", Some(5), usize::MAX, "2026-07-04T03:00:00Z").await;
    assert!(end.stopped.is_none() && end.round != stored.id);
    assert_eq!(cut.answers().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_stops_as_interrupted_when_its_store_goes_away_and_goes_on_when_it_is_back() {
    // On a server of its own, which is stopped in the middle.
    let cluster = Cluster::start("");
    let url = SecretString::from(format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port()));
    let at = StoreAt::parse(Some(&url), Path::new("none")).unwrap();
    let store = Store::connect(&at).await.unwrap().with_patience(Duration::ZERO);
    let night = Setting::with(tempfile::tempdir().unwrap(), store);
    let clock = || Timestamp::from_second(at_night()).unwrap();
    let cancel = CancellationToken::new();
    let rounds = night.rounds(&clock, &cancel);
    let (mut trials, mut stopped, mut frozen) = (0, None, None);
    let mut listen = |event: RoundEvent<'_>| match event {
        RoundEvent::Of(Event::TrialEnded(_)) => {
            trials += 1;
            if trials == 3 {
                frozen = Some(cluster.freeze());
            }
        }
        RoundEvent::Stopped(error) => {
            stopped = Some((error.run.clone(), error.error.is_interruption(), error.error.to_string()));
            frozen = None;
        }
        _ => {}
    };
    let start = Start { wishes: Wishes { seed: Some(5), ..Wishes::default() }, ..Start::default() };
    let end = Box::pin(rounds.run(&night.loaded, &start, &mut listen)).await.unwrap();
    let (run, interruption, text) = stopped.unwrap();
    assert!(interruption && text.contains("store a trial in") && text.contains("did not come back"), "{text}");
    let round = night.store.last_round("night").await.unwrap().unwrap();
    assert_eq!((round.id, round.status), (end.round, RunStatus::Interrupted));
    assert!(round.error.unwrap().contains("did not come back"));
    // Nobody holds the run any more: whoever comes next sees that it is interrupted, with the trials before.
    let run = run.unwrap();
    assert_eq!(night.store.run(&run).await.unwrap().status, RunStatus::Running);
    assert_eq!(night.store.is_held(Task::Run(&run)).await.unwrap(), Some(false));
    night.store.bury_the_dead().await.unwrap();
    assert_eq!(night.store.run(&run).await.unwrap().status, RunStatus::Interrupted);
    assert_eq!(night.store.trials(&run).await.unwrap().len(), 3);
    let mut listen = |_: RoundEvent<'_>| {};
    let end = Box::pin(rounds.run(&night.loaded, &Start::default(), &mut listen)).await.unwrap();
    assert!(end.stopped.is_none() && end.round == round.id && end.done.len() == 2);
}

fn at_night() -> i64 {
    at("2026-06-30T23:00:05Z")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_another_machine_is_at_work_on_is_left_to_it() {
    let url = SecretString::from(format!("postgres://postgres@127.0.0.1:{}/rounds", Cluster::shared().port()));
    let made = sqlx::PgPool::connect(&Cluster::shared().url("postgres")).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE rounds").execute(&made).await.unwrap();
    let at = StoreAt::parse(Some(&url), Path::new("none")).unwrap();
    let night = Setting::with(tempfile::tempdir().unwrap(), Store::connect(&at).await.unwrap());
    let other = Store::connect(&at).await.unwrap();
    let round = other.begin_round("night", None, "2026-06-30T23:00:00Z").await.unwrap();
    let held = other.hold(Task::Round("night")).await.unwrap().unwrap();
    let clock = || Timestamp::from_second(at_night()).unwrap();
    let cancel = CancellationToken::new();
    let rounds = night.rounds(&clock, &cancel);
    let mut listen = |_: RoundEvent<'_>| {};
    let refused = Box::pin(rounds.run(&night.loaded, &Start::default(), &mut listen)).await.unwrap_err();
    assert!(matches!(&refused, job::JobError::Busy(text) if text.contains("experiment `night`")), "{refused}");
    assert_eq!(night.store.last_round("night").await.unwrap().unwrap().id, round);
    held.let_go().await;
    let end = Box::pin(rounds.run(&night.loaded, &Start::default(), &mut listen)).await.unwrap();
    assert!(end.stopped.is_none() && end.done.len() == 2);
}

impl Setting {
    /// A night whose answers are stressed: the first scenario is kept, the second is not.
    async fn stressed(profiles: &str) -> Self {
        let mut night = Self::new().await;
        for (name, expected) in [("calm", "success_rate>=0.5"), ("strict", "p95_query<1us")] {
            let text = format!("name: {name}\nabout: the profile's load\nduration: 1s\nexpect: [{expected}]\n");
            fs::write(night.results().join(format!("{name}.yaml")), text).unwrap();
        }
        let text = NIGHT
            .replace("target: simulated", "target: simulated\nstress: [calm.yaml, strict.yaml]")
            .replace("light, heavy", profiles);
        let path = night.results().join("night.yaml");
        fs::write(&path, text).unwrap();
        night.loaded = job::load_experiment(&path.to_string_lossy()).unwrap();
        night
    }

    /// Reads the experiment again, with another suite.
    fn asks(&mut self, stress: &str, scenario: &str, expected: &str) {
        let path = self.results().join("night.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let suite = text.lines().find(|line| line.starts_with("stress: ")).unwrap();
        fs::write(&path, text.replace(suite, &format!("stress: [{stress}]"))).unwrap();
        let path = self.results().join(format!("{scenario}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("success_rate>=0.5", expected)).unwrap();
        self.loaded = job::load_experiment(&self.results().join("night.yaml").to_string_lossy()).unwrap();
    }

    /// Starts a round that is interrupted when a stress test of this number begins for the `nth` time; gives the tests that began.
    async fn until(&self, nth: usize, stop: usize) -> (RoundEnd, Vec<String>) {
        let clock = || Timestamp::from_second(at_night()).unwrap();
        let cancel = CancellationToken::new();
        let why = || "the service ended";
        let rounds = Rounds { why: &why, ..self.rounds(&clock, &cancel) };
        let (mut begun, mut times, mut profile) = (Vec::new(), 0, String::new());
        let mut listen = |event: RoundEvent<'_>| match event {
            RoundEvent::Stressing { profile: of, .. } => of.clone_into(&mut profile),
            RoundEvent::Test { name, number, of, .. } => {
                times += usize::from(number == stop);
                if number == stop && times == nth {
                    cancel.cancel();
                } else {
                    begun.push(format!("{profile}: {name}, {number} of {of}"));
                }
            }
            _ => {}
        };
        let end = Box::pin(rounds.run(&self.loaded, &Start::default(), &mut listen)).await.unwrap();
        (end, begun)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stress_tests_that_were_interrupted_go_on_with_those_that_are_missing() {
    let night = Setting::stressed("light, heavy").await;
    let (end, begun) = night.until(1, 2).await;
    assert_eq!(begun, ["light: calm, 1 of 2"]);
    let stopped = end.stopped.unwrap();
    assert!(stopped.error.is_interruption() && end.done.len() == 2 && end.stressed.is_empty());
    let round = night.store.last_round("night").await.unwrap().unwrap();
    assert_eq!((round.status, round.error.as_deref()), (RunStatus::Interrupted, Some("the service ended")));
    // What has been made is there to be seen.
    let light = stopped.run.unwrap();
    let seen = job::Stressed::of(&night.store, &light).await.unwrap().unwrap();
    assert_eq!((seen.tests.len(), seen.of, seen.missing()), (1, 2, 1));
    assert!(seen.headline().ends_with("1 of 2 are not made yet"), "{}", seen.headline());
    assert!(!night.results().join(&light).join("stress.json").exists());

    // The second start ends in the other profile's tests.
    let (end, begun) = night.until(2, 2).await;
    assert_eq!(begun, ["light: strict, 2 of 2", "heavy: calm, 1 of 2"]);
    assert!(end.stopped.unwrap().error.is_interruption() && end.done.is_empty() && end.before.len() == 2);
    assert_eq!(end.stressed.iter().map(|stressed| stressed.missed().len()).collect::<Vec<_>>(), [1]);

    // The third knows of the first profile's missed threshold, and makes none of its tests again.
    let (end, begun) = night.until(0, 0).await;
    assert_eq!(begun, ["heavy: strict, 2 of 2"]);
    assert!(end.stopped.is_none() && end.round == round.id && end.failed_before().is_none());
    assert_eq!(night.store.last_round("night").await.unwrap().unwrap().status, RunStatus::Finished);
    for stressed in &end.stressed {
        assert_eq!((stressed.tests.len(), stressed.missed().len(), stressed.missing()), (2, 1, 0));
        let written = fs::read_to_string(night.results().join(&stressed.run).join("stress.json")).unwrap();
        assert_eq!(serde_json::from_str::<job::Stressed>(&written).unwrap(), *stressed);
        // The settings are those that the run recommends.
        let recommended = night.store.run(&stressed.run).await.unwrap().recommendation.unwrap().settings();
        assert!(stressed.tests.iter().all(|test| test.settings == recommended));
    }
    assert_eq!(end.stressed[0].run, light);
    assert_eq!(end.stressed.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stress_tests_that_are_asked_otherwise_or_no_more_do_not_count() {
    let mut night = Setting::stressed("light").await;
    let (end, begun) = night.until(1, 2).await;
    assert_eq!((begun.len(), end.stressed.len()), (1, 0));
    // The test that was made is to keep more, and the one that is missing is asked for no more.
    night.asks("calm.yaml", "calm", "success_rate>=0.6");
    let (end, begun) = night.until(0, 0).await;
    assert_eq!(begun, ["light: calm, 1 of 1"]);
    let stressed = &end.stressed[0];
    assert_eq!((stressed.of, stressed.missing(), stressed.tests.len()), (1, 0, 1));
    assert!(stressed.tests[0].thresholds[0].threshold.contains("0.6"));

    let mut night = Setting::stressed("light").await;
    night.until(1, 2).await;
    // One that is asked as before has another place, and is not made again.
    night.asks("strict.yaml, calm.yaml", "calm", "success_rate>=0.5");
    let (end, begun) = night.until(0, 0).await;
    assert_eq!(begun, ["light: strict, 1 of 2"]);
    let names: Vec<&str> = end.stressed[0].tests.iter().map(|test| test.scenario.as_str()).collect();
    assert_eq!((names, end.stressed[0].missing()), (vec!["strict", "calm"], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn stress_tests_whose_file_cannot_be_written_count_all_the_same() {
    let night = Setting::stressed("light").await;
    let clock = || Timestamp::from_second(at_night()).unwrap();
    let cancel = CancellationToken::new();
    let rounds = night.rounds(&clock, &cancel);
    let (mut notices, mut told) = (Vec::new(), None);
    let mut listen = |event: RoundEvent<'_>| match event {
        // A file stands where the folder should be, and only when the last test has begun.
        RoundEvent::Test { run, number: 2, .. } => {
            fs::remove_dir_all(night.results().join(run)).unwrap();
            fs::write(night.results().join(run), "").unwrap();
        }
        RoundEvent::Notice(text) => notices.push(text),
        RoundEvent::Stressed { stressed, file } => told = Some((stressed.missed().len(), file.is_some())),
        _ => {}
    };
    let end = Box::pin(rounds.run(&night.loaded, &Start::default(), &mut listen)).await.unwrap();
    assert_eq!((told, end.stopped.is_none(), end.stressed[0].missed().len()), (Some((1, false)), true, 1));
    assert!(notices.iter().any(|text| text.contains("the stress tests are stored all the same")), "{notices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stress_tests_that_cannot_be_made_of_one_run_are_made_of_the_next() {
    let night = Setting::stressed("light, heavy").await;
    let clock = || Timestamp::from_second(at_night()).unwrap();
    let cancel = CancellationToken::new();
    let rounds = night.rounds(&clock, &cancel);
    let mut failed = Vec::new();
    let mut listen = |event: RoundEvent<'_>| match event {
        // Where its folder should be is a file: nothing can be written.
        RoundEvent::Done(done) if done.recommendation.provenance.profile == "light" => {
            let folder = night.results().join(&done.recommendation.provenance.run);
            fs::remove_dir_all(&folder).unwrap();
            fs::write(folder, "").unwrap();
        }
        RoundEvent::Stressing { profile, .. } => assert_eq!(profile, "heavy", "what cannot be written is not loaded"),
        RoundEvent::NotStressed { run, .. } => failed.push(run.unwrap().to_owned()),
        _ => {}
    };
    let end = Box::pin(rounds.run(&night.loaded, &Start::default(), &mut listen)).await.unwrap();
    let stopped = end.stopped.unwrap();
    assert!(!stopped.error.is_interruption() && stopped.error.to_string().contains(&failed[0]), "{}", stopped.error);
    assert_eq!((end.done.len(), failed.len(), end.stressed.len()), (2, 1, 1));
    assert!(end.stressed[0].run != failed[0] && end.stressed[0].missing() == 0);
    assert_eq!(night.store.last_round("night").await.unwrap().unwrap().status, RunStatus::Failed);
}
