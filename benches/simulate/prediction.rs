//! How far predictions are from a real database: settings that the calibration never saw, measured and simulated.
//!
//! Trials of the heavy profile on a private PostgreSQL, in random order so that a drift of the machine meets those for the
//! calibration and those to be predicted alike; trials that other programs disturbed are repeated as in a run, as long as there
//! is time (`--minutes`). `--save FILE` keeps what was measured, `--measured FILE` predicts it again
//! without a database.

use std::{
    fs,
    time::{Duration, Instant},
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use pool_tune::{
    model::{Dialect, Measurement, Offered, Pacing, Prediction, Setting, Settings, Value},
    profile::{self, Profile},
    simulate::{Arrivals, Calibration, Measured, Plan, Sample, Step, simulate},
    stats,
    trial::{self, Control},
    tune::{Choice, Private, Stage},
};

/// Pool sizes that the calibration is made of, as a search tries them, and how often each.
const CALIBRATED: [u32; 5] = [10, 14, 20, 25, 30];
const CALIBRATIONS: usize = 3;
/// Sizes that are predicted: between those and beyond them.
const SIZES: [u32; 9] = [8, 11, 12, 16, 17, 22, 24, 27, 35];
const UNVALIDATED: [u32; 4] = [12, 17, 23, 28];
/// Workers and connections.
const CROWDS: [(u32, u32); 4] = [(32, 13), (32, 26), (100, 12), (100, 19)];
/// Open loops: connections, and the share of what a closed loop reached at first.
const OPEN: [(u32, f64); 4] = [(12, 0.5), (24, 0.5), (15, 0.8), (26, 0.8)];
const PREDICTIONS: usize = 3;
/// Virtual time of a prediction, so long that its own chance hardly counts.
const PREDICTED: Duration = Duration::from_secs(20);
/// What the errors may be at most: throughput, query time, acquisition time.
const MARKS: [f64; 3] = [0.10, 0.20, 0.20];
const SEED: u64 = 20;
/// How often a disturbed trial is repeated, as in a run.
const REPEATS: u32 = 2;

/// What is asked for in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Case {
    connections: u32,
    workers: u32,
    validated: bool,
    /// Requests a second of an open loop, as a share of what a closed one reached.
    share: Option<f64>,
    calibrates: bool,
}

/// A trial of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    case: Case,
    /// Requests a second that were offered.
    rate: Option<f64>,
    measured: Measured,
}

impl Case {
    fn settings(&self, profile: &Profile) -> Settings {
        let mut settings = profile.space.baseline.clone().with(Setting::MaxConnections, Value::Count(self.connections));
        if !self.validated {
            settings = settings.with(Setting::ValidationQuery, Value::Sql(String::new()));
        }
        settings
    }

    fn shown(&self) -> String {
        let validated = if self.validated { "" } else { ", not validated" };
        match self.share {
            Some(share) => format!("{} connections, open loop at {:.0} %", self.connections, share * 100.0),
            None => format!("{} connections, {} workers{validated}", self.connections, self.workers),
        }
    }

    fn kind(&self) -> &'static str {
        match (self.share, self.validated, self.workers) {
            (Some(_), ..) => "open loops",
            (None, false, _) => "without validation",
            (None, true, 64) => "other sizes",
            _ => "other numbers of workers",
        }
    }
}

fn cases(workers: u32) -> (Vec<Case>, Vec<Case>) {
    let usual = |connections| Case { connections, workers, validated: true, share: None, calibrates: false };
    let calibrating = CALIBRATED.map(|size| Case { calibrates: true, ..usual(size) });
    let predicted = SIZES
        .map(usual)
        .into_iter()
        .chain(UNVALIDATED.map(|size| Case { validated: false, ..usual(size) }))
        .chain(CROWDS.map(|(workers, size)| Case { workers, ..usual(size) }))
        .chain(OPEN.map(|(size, share)| Case { share: Some(share), ..usual(size) }));
    (calibrating.to_vec(), predicted.collect())
}

/// Measures, or reads what was measured; then predicts, and prints how far the one is from the other.
pub(super) fn run(save: Option<&str>, measured: Option<&str>, minutes: Option<&str>) {
    let profile = profile::parse("heavy", profile::find("heavy").unwrap()).unwrap();
    let trials = match measured {
        Some(file) => serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(),
        None => tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(measure(profile, minutes.map_or(3.7, |minutes| minutes.parse().unwrap()))),
    };
    if let Some(file) = save {
        fs::write(file, serde_json::to_string(&trials).unwrap()).unwrap();
    }
    report(&trials);
}

async fn measure(mut profile: Profile, minutes: f64) -> Vec<Trial> {
    let deadline = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let choice = Choice::Private(Private::Server(Dialect::Postgres));
    let mut stage = Stage::open(&choice, &mut profile, "prediction", SEED, true, &mut |_| {}).await.unwrap();
    let (calibrating, predicted) = cases(profile.workers);
    let mut trials = Vec::new();
    // The first ones say what a closed loop reaches, which the open ones are a share of.
    let all = calibrating.len() * CALIBRATIONS + predicted.len() * PREDICTIONS;
    let started = Instant::now();
    for case in &calibrating {
        trials.push(trial(&mut stage, &profile, *case, None, trials.len()).await);
    }
    let each = started.elapsed().div_f64(calibrating.len() as f64);
    let reached: Vec<f64> = trials.iter().map(|trial| trial.measured.measurement.throughput).collect();
    let capacity = stats::quantile(&reached, 0.5).unwrap();
    let mut plan: Vec<Case> = calibrating.repeat(CALIBRATIONS - 1);
    plan.extend(predicted.repeat(PREDICTIONS));
    plan.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    for case in plan {
        let rate = case.share.map(|share| share * capacity);
        let mut latest = trial(&mut stage, &profile, case, rate, trials.len()).await;
        for _ in 0..REPEATS {
            let left = deadline.saturating_duration_since(Instant::now());
            let needed = each.mul_f64((all - trials.len()) as f64);
            if !latest.measured.measurement.cpu.disturbed || left < needed {
                break;
            }
            latest = trial(&mut stage, &profile, case, rate, trials.len()).await;
        }
        trials.push(latest);
    }
    Box::pin(stage.close()).await;
    trials
}

async fn trial(stage: &mut Stage, profile: &Profile, case: Case, rate: Option<f64>, place: usize) -> Trial {
    let pacing = match rate {
        Some(rate) => Pacing::steady(Offered::PoissonRate, rate),
        None => Pacing::closed(case.workers),
    };
    let usual = trial::Load::closed(case.workers, profile.workload.think_time, profile.trial.measure, 0.0);
    let load = trial::Load { pacing, warm_up_cap: profile.trial.warm_up_cap, success_limit: None, ..usual };
    let settings = case.settings(profile);
    let seed = SEED + place as u64;
    let details = stage.target().run(&load, &settings, seed, &mut Control::default()).await.unwrap();
    Trial { case, rate, measured: Measured { settings, measurement: details.measurement } }
}

fn report(trials: &[Trial]) {
    let disturbed = |trial: &Trial| trial.measured.measurement.cpu.disturbed;
    let n_disturbed = trials.iter().filter(|trial| disturbed(trial)).count();
    let (mut calibrating, others): (Vec<&Trial>, Vec<&Trial>) = trials.iter().partition(|trial| trial.case.calibrates);
    // As a run chooses: undisturbed trials where there are enough. Otherwise both sides have the disturbed ones.
    let quiet: Vec<&Trial> = calibrating.iter().filter(|trial| !disturbed(trial)).copied().collect();
    let only_quiet = 2 * quiet.len() > calibrating.len();
    if only_quiet {
        calibrating = quiet;
    }
    let sample = Sample {
        source: "the bench's private PostgreSQL".to_owned(),
        workers: calibrating[0].case.workers,
        think_time: 0.0,
        trials: calibrating.iter().map(|trial| trial.measured.clone()).collect(),
        connecting: Vec::new(),
    };
    let calibration = Calibration::of(&sample).unwrap();
    let mut groups: Vec<Vec<&Trial>> = Vec::new();
    for trial in others {
        match groups.iter_mut().find(|group| group[0].case == trial.case) {
            Some(group) => group.push(trial),
            None => groups.push(vec![trial]),
        }
    }
    let (_, order) = cases(sample.workers);
    if only_quiet {
        for group in groups.iter_mut().filter(|group| group.iter().any(|trial| !disturbed(trial))) {
            group.retain(|trial| !disturbed(trial));
        }
    }
    groups.sort_by_key(|group| order.iter().position(|case| *case == group[0].case));
    println!(
        "\npredicted from {} trials at {CALIBRATED:?} connections, {} workers: {} other settings, up to {PREDICTIONS} trials each; \
         other programs disturbed {n_disturbed} of {} trials, {}",
        calibrating.len(),
        sample.workers,
        groups.len(),
        trials.len(),
        if only_quiet { "which are left out where there are others" } else { "too many to leave them out" },
    );
    println!(
        "{:<44} {:>26} {:>28} {:>28}",
        "measured, predicted, error", "requests a second", "p95 query, ms", "p95 acquisition, ms"
    );
    let mut all = Vec::new();
    for group in &groups {
        let prediction = predict(&calibration, group);
        let figure = |(said, measured): (f64, f64), scale: f64, digits: usize| {
            let error = (said / measured.max(1e-12) - 1.0) * 100.0;
            format!("{:.digits$} {:.digits$} {error:+6.1} %", measured * scale, said * scale)
        };
        println!(
            "{:<44} {:>26} {:>28} {:>28}",
            group[0].case.shown(),
            figure(prediction.throughput, 1.0, 0),
            figure(prediction.query_p95, 1e3, 2),
            figure(prediction.acquire_p95, 1e3, 2),
        );
        all.push((group[0].case, prediction.errors()));
    }
    summary(&all, &groups);
}

fn predict(calibration: &Calibration, group: &[&Trial]) -> Prediction {
    let case = group[0].case;
    let mut plan = calibration.trial(&group[0].measured.settings, PREDICTED, SEED);
    plan.load.workers = case.workers;
    let mut level = f64::from(case.workers);
    if let Some(rate) = group[0].rate {
        plan.load.arrivals = Arrivals::Poisson;
        level = rate;
    }
    plan.load.steps = vec![Step { at: Duration::ZERO, level }];
    let said = simulate(&Plan { interval: PREDICTED, ..plan }).total;
    let measured: Vec<&Measurement> = group.iter().map(|trial| &trial.measured.measurement).collect();
    Prediction::beside(case.connections, &said, &measured)
}

fn summary(all: &[(Case, [f64; 3])], groups: &[Vec<&Trial>]) {
    let median =
        |of: Vec<f64>| stats::quantile(&of, 0.5).map_or("–".to_owned(), |error| format!("{:.1} %", error * 100.0));
    let line = |name: &str, of: &[[f64; 3]]| {
        let [throughput, query, acquire] =
            [0, 1, 2].map(|figure| median(of.iter().map(|errors| errors[figure]).collect()));
        println!("{name:<44} {throughput:>26} {query:>28} {acquire:>28}");
    };
    let mut kinds: Vec<&str> = Vec::new();
    for (case, _) in all {
        if !kinds.contains(&case.kind()) {
            kinds.push(case.kind());
        }
    }
    println!();
    for kind in kinds {
        let of: Vec<_> = all.iter().filter(|(case, _)| case.kind() == kind).map(|(_, errors)| *errors).collect();
        line(&format!("median of {} {kind}", of.len()), &of);
    }
    let errors: Vec<_> = all.iter().map(|(_, errors)| *errors).collect();
    line(&format!("median of all {}", errors.len()), &errors);
    // What no prediction can know: the same settings measured again.
    let mut noise = Vec::new();
    for group in groups {
        for (place, one) in group.iter().enumerate() {
            noise.extend(group[place + 1..].iter().map(|other| apart(one, other)));
        }
    }
    line("noise: two trials of the same, apart by", &noise);
    let verdict = |figure: usize| {
        let of: Vec<f64> = errors.iter().map(|errors| errors[figure]).collect();
        let met = stats::quantile(&of, 0.5).is_some_and(|median| median <= MARKS[figure]);
        format!("at most {:.0} %: {}", MARKS[figure] * 100.0, if met { "met" } else { "MISSED" })
    };
    println!("{:<44} {:>26} {:>28} {:>28}", "mark for the median of all", verdict(0), verdict(1), verdict(2));
}

/// How far two trials of the same settings are from each other, relative to the second.
fn apart(one: &Trial, other: &Trial) -> [f64; 3] {
    let figures = |of: &Trial| {
        let measurement = &of.measured.measurement;
        [measurement.throughput, measurement.query.p95, measurement.acquire.total.p95]
    };
    let (one, other) = (figures(one), figures(other));
    [0, 1, 2].map(|figure| (one[figure] / other[figure].max(1e-12) - 1.0).abs())
}
