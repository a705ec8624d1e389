//! What thirty nights make of a recommendation: how often it changes on a target that does not, how soon what is best is found
//! where it moves at night 15, and what trials a night costs that knows the nights before.
//!
//! `cargo bench --bench nights [-- --seeds 4 --from 1 --nights 30 --trials 20 --part all|unchanged|moved]`. Each seed is a response of its own
//! ([`Response`], with the noise, drift and bursts of the other benches); all of a night but its trials is what `run --experiment`
//! does: recall, session, store.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops when something is wrong")]

use std::sync::Mutex;

use clap::{Parser, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use pool_tune::{
    model::{Limits, Provenance, Recommendation, Settings, StandingOutcome},
    profile::{self, Profile},
    simulate::Response,
    stats::{mean, real},
    store::{NewRun, StandingFor, Store},
    trial::{SimulatedTarget, Target},
    tune::{self, Memory, Session},
};
use tokio_util::sync::CancellationToken;

/// A loss against the best there is with which that is called found.
const FOUND: f64 = 0.05;
/// The night at which the best moves, from 1.
const MOVES: usize = 15;

#[derive(Clone, Copy)]
struct Sizes {
    nights: usize,
    trials: u32,
}

/// What thirty nights make of a recommendation
#[derive(Parser)]
struct Arguments {
    /// How many series
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Nights of a series on a target that does not change
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    nights: u64,
    /// Most trials of a night's search
    #[arg(long, default_value_t = 20)]
    trials: u32,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// Cargo says it by itself
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    All,
    Unchanged,
    Moved,
}

fn main() {
    let Arguments { seeds, from, nights, trials, part, .. } = Arguments::parse();
    let nights = usize::try_from(nights).unwrap();
    let sizes = Sizes { nights, trials };
    let seeds: Vec<u64> = (from..from + seeds).collect();
    if part != Part::Moved {
        unchanged(&each(&seeds, |seed| block_on(series(seed, sizes, None))));
    }
    if part != Part::Unchanged {
        let until = Sizes { nights: nights.min(MOVES + 3), ..sizes };
        // What one night finds there that knows nothing, for comparison: the best may be harder to find where it has moved to.
        let cold = each(&seeds, |seed| block_on(series(seed, Sizes { nights: 1, ..sizes }, Some(1))));
        moved(&seeds, &each(&seeds, |seed| block_on(series(seed, until, Some(MOVES)))), &cold);
    }
}

/// One night of a series.
#[derive(Clone, Debug)]
struct Night {
    trials: f64,
    /// Of them those of the search.
    searched: f64,
    outcome: Option<StandingOutcome>,
    dropped: bool,
    drift: bool,
    /// Whether what stands is another than the night before.
    changed: bool,
    /// What is lost of the best by what stands after the night, or by what is in use where nothing does.
    loss: f64,
    /// What was set against what stands, if anything: what it loses, and what the night measured of the ratio.
    challenger: Option<(f64, f64)>,
}

fn unchanged(all: &[Vec<Night>]) {
    let changes: Vec<f64> =
        all.iter().map(|nights| real(nights.iter().filter(|night| night.changed).count())).collect();
    let of = |pick: fn(&Night) -> bool| real(all.iter().flatten().filter(|night| pick(night)).count());
    let n = real(all.iter().map(Vec::len).sum());
    println!(
        "unchanged target, {} series of {} nights: what stands changes {} times at most, {:.2} times in the mean (the first \
         recommendation not counted)",
        all.len(),
        all[0].len(),
        changes.iter().copied().fold(0.0, f64::max),
        mean(&changes)
    );
    for night in [0, 4, 14, 29].into_iter().filter(|night| *night < all[0].len()) {
        let losses: Vec<f64> = all.iter().map(|nights| nights[night].loss).collect();
        println!(
            "  after night {:>2} what stands loses {:.1} % of the best in the mean",
            night + 1,
            100.0 * mean(&losses)
        );
    }
    let trials = |first: bool| {
        let picked = all.iter().flat_map(|nights| {
            nights.iter().enumerate().filter(move |(place, _)| (*place == 0) == first).map(|(_, night)| night.trials)
        });
        mean(&picked.collect::<Vec<_>>())
    };
    println!("  trials a night: {:.1} cold (the first night), {:.1} warm (the others)", trials(true), trials(false));
    println!(
        "  withdrawn in {} of {n} nights, earlier trials dropped in {}, drift told in {}",
        of(|night| night.outcome == Some(StandingOutcome::Withdrawn)),
        of(|night| night.dropped),
        of(|night| night.drift)
    );
}

fn moved(seeds: &[u64], all: &[Vec<Night>], cold: &[Vec<Night>]) {
    println!(
        "the best moves at night {MOVES}, {} series; found is a loss of at most {:.0} %",
        all.len(),
        100.0 * FOUND
    );
    for night in MOVES - 1..all[0].len() {
        let losses: Vec<f64> = all.iter().map(|nights| nights[night].loss).collect();
        let found = losses.iter().filter(|loss| **loss <= FOUND).count();
        let noticed = all.iter().filter(|nights| nights[MOVES - 1..=night].iter().any(|night| night.dropped)).count();
        let cold = cold.iter().filter(|nights| nights[0].loss <= FOUND).count();
        println!(
            "  after night {}: found in {found} of {n}, {:.1} % lost in the mean, earlier trials dropped by then in {noticed} of {n} \
             (one night there that knows nothing: found in {cold} of {n})",
            night + 1,
            100.0 * mean(&losses),
            n = all.len()
        );
    }
    for (seed, nights) in seeds.iter().zip(all) {
        for (place, night) in nights.iter().enumerate().filter(|(place, _)| *place == 0 || *place + 2 >= MOVES) {
            let outcome =
                night.outcome.map_or("nothing stands".to_owned(), |outcome| format!("{outcome:?}").to_lowercase());
            let challenger = night.challenger.map_or(String::new(), |(loss, ratio)| {
                format!(", a challenger that loses {:.1} % measured at {:+.1} %", 100.0 * loss, 100.0 * (ratio - 1.0))
            });
            println!(
                "  seed {seed}, night {:>2}: {} trials ({} of the search), {outcome}, what stands loses {:.1} %{challenger}{}",
                place + 1,
                night.trials,
                night.searched,
                100.0 * night.loss,
                if night.dropped { ", earlier trials dropped" } else { "" }
            );
        }
    }
}

/// Nights one after the other; with `moves` the best is elsewhere from that night on.
async fn series(seed: u64, sizes: Sizes, moves: Option<usize>) -> Vec<Night> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
    let response = Response::heavy(seed);
    let after = response.moved(seed);
    let profile = profile_of(&response, sizes);
    let mut nights = Vec::new();
    let mut stood = None;
    for night in 1..=sizes.nights {
        let truth = if moves.is_some_and(|moves| night >= moves) { &after } else { &response };
        let chance = seed * 1000 + u64::try_from(night).unwrap();
        let recommendation = one(&store, &profile, truth.clone().reseeded(chance), night, chance).await;
        let of = StandingFor { target: "simulated", profile: &profile.name, instances: 1 };
        let stands: Option<Settings> = store.standing(of).await.unwrap().and_then(|standing| standing.settings);
        let best = truth.optimum(&profile.space).unwrap().1;
        let shown = stands.clone().unwrap_or_else(|| truth.baseline().clone());
        let memory = recommendation.memory.clone().unwrap();
        let made = store.trials(&run_id(night)).await.unwrap();
        nights.push(Night {
            trials: real(made.len()),
            searched: real(made.iter().filter(|trial| matches!(trial.phase.as_str(), "baseline" | "search")).count()),
            outcome: memory.standing.as_ref().map(|judged| judged.outcome),
            dropped: memory.dropped,
            drift: !memory.drift.is_empty(),
            changed: stood.is_some() && stands != stood,
            loss: 1.0 - truth.true_throughput(&shown) / best,
            challenger: memory
                .standing
                .as_ref()
                .and_then(|judged| judged.challenger.as_ref())
                .map(|challenger| (1.0 - truth.true_throughput(&challenger.settings) / best, challenger.ratio.value)),
        });
        stood = stands;
    }
    store.close().await;
    nights
}

fn run_id(night: usize) -> String {
    format!("night-{night:02}")
}

fn profile_of(response: &Response, sizes: Sizes) -> Profile {
    let mut profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    profile.leave_faults_out();
    profile.leave_day_out();
    profile.space = response.space();
    profile.limits = Limits { success_rate: 0.99, p95_query: None };
    profile.budget.search_trials = sizes.trials;
    profile.budget.verification_pairs = 12;
    profile
}

/// A night as an experiment's run is.
async fn one(store: &Store, profile: &Profile, response: Response, night: usize, seed: u64) -> Recommendation {
    let first: Timestamp = "2026-11-01T01:30:00Z".parse().unwrap();
    let began = first + SignedDuration::from_hours(24 * i64::try_from(night).unwrap());
    let mut run = NewRun {
        id: run_id(night),
        started_at: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        profile_name: profile.name.clone(),
        profile_file: None,
        profile_source: profile.source.clone(),
        pins: vec![],
        ranges: vec![],
        seed,
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
    };
    run.recalled = Some(tune::recall(store, &run, 1).await.unwrap());
    store.begin_run(&run).await.unwrap();
    let memory = Memory::read(store, &run.started_at, run.recalled.as_ref().unwrap()).await.unwrap();
    let provenance = Provenance {
        run: run.id.clone(),
        profile: profile.name.clone(),
        profile_file: None,
        seed,
        flags: vec![],
        program: String::new(),
        target: run.target.clone(),
        server: String::new(),
        machine: String::new(),
        workers: profile.workers,
        instances: 1,
        limits: profile.limits,
        search_trials: 0,
        stopped_because: String::new(),
    };
    let mut target = Target::Simulated(SimulatedTarget::of(response));
    let cancel = CancellationToken::new();
    let session = Session {
        profile,
        provenance,
        store,
        target: &mut target,
        stored: vec![],
        warnings: vec![],
        memory: Some(memory),
        cancel: &cancel,
        events: &mut |_| {},
    };
    let recommendation = Box::pin(session.run()).await.unwrap();
    tune::keep(store, &run.started_at, &recommendation).await.unwrap();
    store.finish_run(&run.id, &recommendation).await.unwrap();
    recommendation
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn each(seeds: &[u64], series: impl Fn(u64) -> Vec<Night> + Sync) -> Vec<Vec<Night>> {
    let (next, found) = (Mutex::new(seeds.iter().copied().enumerate()), Mutex::new(vec![vec![]; seeds.len()]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((place, seed)) = next.lock().unwrap().next() else { return };
                    let nights = series(seed);
                    found.lock().unwrap()[place] = nights;
                }
            });
        }
    });
    found.into_inner().unwrap()
}
