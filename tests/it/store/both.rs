//! What holds wherever a store is.

use pool_tune::{
    model::{Recommendation, Settings},
    store::{Keep, NewRun, Pruned, RunStatus, Store, StoreError, StressOutcome, StressRecord},
};

use super::{Place, run, trial};

const NIGHT: &str = "2026-06-30T23:00:00Z";
const NEXT: &str = "2026-07-01T23:00:00Z";

/// Makes of each function a test on a file and one on a server.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod in_a_file {
            use super::Place;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(Place::file()).await;
            })*
        }
        mod on_postgresql {
            use super::Place;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(Place::server().await).await;
            })*
        }
    };
}

on_both! {
    many_can_open_a_new_store_at_once
    reading_makes_nothing
    a_run_that_was_never_begun_has_no_status
    trials_come_back_as_they_were_stored
    runs_are_listed_newest_first_and_found_by_the_beginning_of_their_names
    runs_are_read_in_pages_and_answers_by_what_they_are_of
    a_round_goes_on_after_its_holder_died_and_its_due_time_stays_used_up
    one_leads_at_a_time
    old_runs_are_removed_with_their_trials_but_none_that_is_under_way
    a_backup_is_a_file_with_all_there_is
    stress_tests_are_kept_in_order_and_each_once
}

async fn many_can_open_a_new_store_at_once(place: Place) {
    let mut openings = tokio::task::JoinSet::new();
    for number in 0..16 {
        let at = place.at.clone();
        openings.spawn(async move {
            Store::connect_to_read(&at).await.unwrap();
            let store = Store::connect(&at).await.unwrap();
            store.begin_run(&run(&number.to_string())).await.unwrap();
            store.close().await;
        });
    }
    openings.join_all().await;
    let store = Store::connect_to_read(&place.at).await.unwrap().unwrap();
    assert_eq!(store.runs().await.unwrap().len(), 16);
}

async fn reading_makes_nothing(place: Place) {
    for _ in 0..2 {
        assert!(Store::connect_to_read(&place.at).await.unwrap().is_none());
    }
    place.open().await.close().await;
    assert_eq!(Store::connect_to_read(&place.at).await.unwrap().unwrap().runs().await.unwrap(), []);
}

async fn a_run_that_was_never_begun_has_no_status(place: Place) {
    let store = place.open().await;
    assert!(matches!(store.set_status("none", RunStatus::Failed).await, Err(StoreError::NoRun { .. })));
    store.begin_run(&run("one")).await.unwrap();
    let other = NewRun { seed: 2, ..run("one") };
    assert!(matches!(store.begin_run(&other).await, Err(StoreError::Exists { .. })));
    store.set_status("one", RunStatus::Failed).await.unwrap();
    let found = store.run("one").await.unwrap();
    assert_eq!((found.status, &found.intent), (RunStatus::Failed, &run("one")));
}

async fn trials_come_back_as_they_were_stored(place: Place) {
    let store = place.open().await;
    store.begin_run(&run("one")).await.unwrap();
    for sequence in [2, 1, 3] {
        store.record_trial("one", &trial(sequence)).await.unwrap();
    }
    assert_eq!(store.trials("one").await.unwrap(), [trial(1), trial(2), trial(3)]);
    // A trial whose first try got through is stored once; another one of its number is not taken for it.
    store.record_trial("one", &trial(3)).await.unwrap();
    let other = pool_tune::store::TrialRecord { repeats: 1, ..trial(3) };
    let error = store.record_trial("one", &other).await.unwrap_err().to_string();
    assert!(error.contains("another process goes on with the run"), "{error}");
    assert!(store.record_trial("none", &trial(1)).await.is_err());
    assert_eq!(store.trials("one").await.unwrap().len(), 3);
    assert_eq!(store.trials("none").await.unwrap(), []);
    assert_eq!(store.trials("one").await.unwrap()[0].settings, Settings::default());
}

async fn runs_are_listed_newest_first_and_found_by_the_beginning_of_their_names(place: Place) {
    let store = place.open().await;
    assert!(store.run("latest").await.unwrap_err().to_string().contains("there are no runs yet"));
    // Of one second the last that was begun is the newest.
    for id in ["b-two", "a-one", "c-three", "c-four"] {
        store.begin_run(&run(id)).await.unwrap();
    }
    let old = NewRun { started_at: "2025-01-01T00:00:00Z".to_owned(), ..run("old") };
    store.begin_run(&old).await.unwrap();
    store.record_trial("a-one", &trial(1)).await.unwrap();
    let runs = store.runs().await.unwrap();
    let ids: Vec<_> = runs.iter().map(|run| (run.id.as_str(), run.trials)).collect();
    assert_eq!(ids, [("c-four", 0), ("c-three", 0), ("a-one", 1), ("b-two", 0), ("old", 0)]);
    assert_eq!(store.run("latest").await.unwrap().intent.id, "c-four");
    assert_eq!(store.run("a").await.unwrap().intent.id, "a-one");
    let error = store.run("c-").await.unwrap_err().to_string();
    assert!(error.contains("2 runs begin so: c-four, c-three"), "{error}");
    let error = store.run("a-two").await.unwrap_err().to_string();
    assert!(error.contains(&store.at().to_string()) && error.contains("the nearest is"), "{error}");
}

async fn runs_are_read_in_pages_and_answers_by_what_they_are_of(place: Place) {
    let store = place.open().await;
    let round = store.begin_round("nightly", None, NIGHT).await.unwrap();
    for (number, target) in (1..=5).zip(["a", "b", "a", "b", "a"]) {
        let started_at = format!("2026-01-0{number}T00:00:00Z");
        let round = (number > 2).then_some(round);
        let one = NewRun { started_at, target: target.to_owned(), round, ..run(&format!("r{number}")) };
        store.begin_run(&one).await.unwrap();
    }
    let ids = |runs: &[pool_tune::store::RunSummary]| runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>();
    let (runs, total) = store.page(None, 2, 1).await.unwrap();
    assert_eq!((ids(&runs), total), (vec!["r4".to_owned(), "r3".to_owned()], 5));
    let (runs, total) = store.page(Some("nightly"), 10, 0).await.unwrap();
    assert_eq!((ids(&runs), total), (["r5", "r4", "r3"].map(str::to_owned).to_vec(), 3));
    assert_eq!(store.page(Some("other"), 10, 0).await.unwrap(), (Vec::new(), 0));
    assert_eq!(store.newest_answers().await.unwrap(), Vec::<String>::new());
    for id in ["r1", "r2", "r3"] {
        store.finish_run(id, &keep()).await.unwrap();
    }
    assert_eq!(store.newest_answers().await.unwrap(), ["r3", "r2"]);
    let answers = store.answers("light", "a", 10).await.unwrap();
    assert_eq!(answers.iter().map(|answer| answer.id.as_str()).collect::<Vec<_>>(), ["r3", "r1"]);
    assert_eq!((&answers[0].verdict, answers[0].throughput), (&keep().verdict, keep().throughput));
    assert_eq!(store.answers("light", "a", 1).await.unwrap().len(), 1);
}

/// An answer.
fn keep() -> Recommendation {
    serde_yaml::from_str(include_str!("../../../src/report/samples/keep.yaml")).unwrap()
}

async fn a_round_goes_on_after_its_holder_died_and_its_due_time_stays_used_up(place: Place) {
    let store = place.open().await;
    assert_eq!((store.last_round("nightly").await.unwrap(), store.last_due("nightly").await.unwrap()), (None, None));
    let round = store.begin_round("nightly", Some(NIGHT), NIGHT).await.unwrap();
    store.begin_round("other", Some(NEXT), NEXT).await.unwrap();
    assert_eq!(store.last_round("nightly").await.unwrap().unwrap().status, RunStatus::Running);
    let mut of_round = run("one");
    of_round.round = Some(round);
    store.begin_run(&of_round).await.unwrap();
    store.bury_the_dead().await.unwrap();
    let found = store.last_round("nightly").await.unwrap().unwrap();
    assert_eq!((found.id, found.status), (round, RunStatus::Interrupted));
    assert_eq!(store.run("one").await.unwrap().status, RunStatus::Interrupted);
    assert_eq!(store.last_due("nightly").await.unwrap().as_deref(), Some(NIGHT));
    // A person goes on with it: no due time is used up by that.
    store.resume_round(round, None).await.unwrap();
    assert_eq!(store.last_due("nightly").await.unwrap().as_deref(), Some(NIGHT));
    store.resume_round(round, Some(NEXT)).await.unwrap();
    store.end_round(round, RunStatus::Failed, Some("refused"), NEXT).await.unwrap();
    let found = store.last_round("nightly").await.unwrap().unwrap();
    assert_eq!((found.due.as_deref(), found.error.as_deref()), (Some(NEXT), Some("refused")));
    let runs = store.runs_of_round(round).await.unwrap();
    assert_eq!((runs.len(), runs[0].experiment.as_deref()), (1, Some("nightly")));
    assert_eq!(store.runs_of_round(round + 100).await.unwrap(), []);
}

async fn one_leads_at_a_time(place: Place) {
    let (one, two) = (place.open().await, place.open().await);
    let leader = one.lead("watch").await.unwrap().unwrap();
    assert!(leader.is_held().await);
    assert!(two.lead("watch").await.unwrap().is_none() && one.lead("watch").await.unwrap().is_none());
    // Another matter has another leader.
    assert!(two.lead("prune").await.unwrap().is_some());
    leader.resign().await;
    let next = two.lead("watch").await.unwrap().unwrap();
    assert!(next.is_held().await);
    drop(next);
    // What is dropped is let go of as soon as the server sees it.
    loop {
        if one.lead("watch").await.unwrap().is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Old and new runs, one of them under way, with two trials each.
async fn filled(place: &Place) -> Store {
    let store = place.open().await;
    let round = store.begin_round("nightly", Some(NIGHT), NIGHT).await.unwrap();
    for (id, started, status) in [
        ("oldest", "2025-01-01T00:00:00Z", RunStatus::Finished),
        ("at-work", "2025-02-01T00:00:00Z", RunStatus::Running),
        ("failed", "2025-03-01T00:00:00Z", RunStatus::Failed),
        ("cut-off", "2026-01-01T00:00:00Z", RunStatus::Interrupted),
        ("newest", "2026-01-01T00:00:00Z", RunStatus::Finished),
    ] {
        let of_round = (id == "newest").then_some(round);
        store.begin_run(&NewRun { started_at: started.to_owned(), round: of_round, ..run(id) }).await.unwrap();
        for sequence in 1..=2 {
            store.record_trial(id, &trial(sequence)).await.unwrap();
        }
        store.record_stress_test(id, &left_out(0, "restart")).await.unwrap();
        store.set_status(id, status).await.unwrap();
    }
    store
}

fn left_out(sequence: u32, name: &str) -> StressRecord {
    StressRecord {
        sequence,
        name: name.to_owned(),
        of: 2,
        asked: 7,
        outcome: StressOutcome::LeftOut("not here".to_owned()),
    }
}

async fn stress_tests_are_kept_in_order_and_each_once(place: Place) {
    let store = place.open().await;
    store.begin_run(&run("one")).await.unwrap();
    assert_eq!(store.stress_tests("one").await.unwrap(), []);
    store.record_stress_test("one", &left_out(1, "basic")).await.unwrap();
    store.record_stress_test("one", &left_out(9, "restart")).await.unwrap();
    // The answer to the first try was lost.
    store.record_stress_test("one", &left_out(0, "restart")).await.unwrap();
    assert_eq!(store.stress_tests("one").await.unwrap(), [left_out(0, "restart"), left_out(1, "basic")]);
    store.remove_stress_test("one", "basic").await.unwrap();
    assert_eq!(store.stress_tests("one").await.unwrap(), [left_out(0, "restart")]);
    assert!(store.record_stress_test("none", &left_out(0, "restart")).await.is_err());
}

fn ids(pruned: &[Pruned]) -> Vec<&str> {
    pruned.iter().map(|run| run.id.as_str()).collect()
}

async fn old_runs_are_removed_with_their_trials_but_none_that_is_under_way(place: Place) {
    let store = filled(&place).await;
    let keep = Keep::Since("2025-12-01T00:00:00Z".to_owned());
    assert_eq!(ids(&store.old_runs(&keep).await.unwrap()), ["failed", "oldest"]);
    assert_eq!(store.runs().await.unwrap().len(), 5);
    let removed = store.prune(&keep).await.unwrap();
    assert_eq!((ids(&removed), removed[0].trials), (vec!["failed", "oldest"], 2));
    let left: Vec<_> = store.runs().await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, ["newest", "cut-off", "at-work"]);
    assert_eq!(store.stress_tests("oldest").await.unwrap(), []);
    assert_eq!((store.trials("oldest").await.unwrap(), store.trials("newest").await.unwrap().len()), (vec![], 2));
    assert_eq!(store.prune(&keep).await.unwrap(), []);
    // What a run of a round that is under way decided may be stressed still.
    let round = store.begin_round("other", None, NIGHT).await.unwrap();
    let of_round = NewRun { started_at: "2025-01-01T00:00:00Z".to_owned(), round: Some(round), ..run("stressed") };
    store.begin_run(&of_round).await.unwrap();
    store.set_status("stressed", RunStatus::Finished).await.unwrap();
    assert_eq!(store.prune(&keep).await.unwrap(), []);
    store.end_round(round, RunStatus::Finished, None, NEXT).await.unwrap();
    assert_eq!(ids(&store.prune(&keep).await.unwrap()), ["stressed"]);
    assert_eq!(ids(&store.prune(&Keep::Newest(1)).await.unwrap()), ["cut-off"]);
    let info = store.info().await.unwrap();
    assert_eq!((info.runs["running"], info.runs["finished"], info.runs["failed"], info.trials), (1, 1, 0, 4));
    assert!(info.bytes > 0 && info.version >= 2 && info.place == place.at.to_string());
}

async fn a_backup_is_a_file_with_all_there_is(place: Place) {
    let store = filled(&place).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    store.backup(&file).await.unwrap();
    let copy = Store::open_to_read(&file).await.unwrap().unwrap();
    assert_eq!(copy.runs().await.unwrap(), store.runs().await.unwrap());
    for run in store.runs().await.unwrap() {
        assert_eq!(copy.run(&run.id).await.unwrap(), store.run(&run.id).await.unwrap());
        assert_eq!(copy.trials(&run.id).await.unwrap(), store.trials(&run.id).await.unwrap());
        assert_eq!(copy.stress_tests(&run.id).await.unwrap(), [left_out(0, "restart")]);
    }
    assert_eq!(copy.last_round("nightly").await.unwrap(), store.last_round("nightly").await.unwrap());
    copy.close().await;
    // It can be gone on with as a store.
    let copy = Store::open(&file).await.unwrap();
    assert!(copy.begin_round("nightly", None, NEXT).await.unwrap() > 1);
    copy.close().await;
    // What is there is not written over, and nothing is left beside it.
    assert!(matches!(store.backup(&file).await, Err(StoreError::Taken { .. })));
    let none = folder.path().join("none/backup.db");
    assert!(store.backup(&none).await.unwrap_err().to_string().contains("none/backup.db"));
    let beside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["backup.db"]);
}
