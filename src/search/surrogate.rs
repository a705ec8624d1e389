//! What the trials so far say about throughput and limits at any settings.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    cube::{Cube, Point},
    gp::{Belief, Bowl, Curve, Data, Form, Noise, Process},
    hyper::LogNormal,
    mixture::Mixture,
    types::{Config, Outcome},
};
use crate::stats::real;

/// Draws of the parameters of each process.
const DRAWS: usize = 24;
/// Fresh trials whose mean the stated interval of a throughput covers.
const FRESH: f64 = 8.0;

/// A trial told, or what several of an earlier night say together.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) point: Point,
    pub(super) outcome: Outcome,
    /// What makes it one of an earlier night.
    pub(super) past: Option<Past>,
}

/// What a row of an earlier night has besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// The night, from 1.
    pub(super) night: usize,
    /// The throughput of that night's settings in use, which its own is relative to.
    pub(super) level: f64,
    /// How many trials it is the mean of.
    pub(super) trials: f64,
    /// What the variance of its noise is multiplied by.
    pub(super) inflation: f64,
}

/// The processes for throughput, success rate and latency.
#[derive(Clone, Debug)]
pub(super) struct Surrogate {
    /// ln of throughput over `scale`.
    pub(super) speed: Process,
    limits: Vec<Limit>,
    /// Throughput that the logarithms are relative to, requests a second.
    scale: f64,
    now: f64,
}

/// A quantity that must exceed a threshold.
#[derive(Clone, Debug)]
struct Limit {
    process: Process,
    threshold: f64,
}

/// The surrogate at a list of points.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// A belief about ln throughput for each draw.
    pub(super) beliefs: Vec<Belief>,
    /// Probability of keeping the limits, for each point.
    pub(super) feasible: Vec<f64>,
    /// Expected ln throughput, for each point.
    pub(super) means: Vec<f64>,
}

impl Surrogate {
    /// Learns from all trials; `None` when none had any throughput.
    pub(super) fn learn(cube: &Cube, rows: &[Row], config: &Config) -> Option<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (0x5eed_0000 + rows.len() as u64));
        let running =
            |row: &&Row| row.past.is_none() && row.outcome.throughput > 0.0 && row.outcome.throughput.is_finite();
        let baseline = cube.baseline();
        let at_baseline: Vec<f64> = rows
            .iter()
            .filter(running)
            .filter(|row| row.point.at == baseline.at)
            .map(|row| row.outcome.throughput)
            .collect();
        let scale = match at_baseline.len() {
            0 => rows.iter().find(running)?.outcome.throughput,
            n => at_baseline.iter().sum::<f64>() / real(n),
        };
        let data = speeds(rows, scale);
        let speed = Process::learn(speed_form(cube), &data, DRAWS, &mut rng);
        // Of several trials together the counts are sums, so that their noise is what it is.
        let success = gather(rows, false, |Row { outcome, .. }| {
            let (succeeded, failed) = (real_count(outcome.succeeded) + 0.5, real_count(outcome.failed) + 0.5);
            Some(((succeeded / failed).ln(), 1.0 / succeeded + 1.0 / failed))
        });
        let threshold = logit(config.success_limit);
        let mut limits =
            vec![Limit { process: Process::learn(success_form(threshold), &success, DRAWS, &mut rng), threshold }];
        let latency =
            gather(rows, true, |row| row.outcome.latency_margin.filter(|m| m.is_finite()).map(|margin| (margin, 0.0)));
        if !latency.values.is_empty() {
            limits.push(Limit { process: Process::learn(latency_form(), &latency, DRAWS, &mut rng), threshold: 0.0 });
        }
        Some(Self { speed, limits, scale, now: real(rows.iter().filter(|row| row.past.is_none()).count()) })
    }

    /// The time of the next trial.
    pub(super) fn now(&self) -> f64 {
        self.now
    }

    pub(super) fn view(&self, points: &[Point]) -> View {
        let bases = self.speed.bases(points);
        let beliefs: Vec<Belief> =
            (0..self.speed.n_draws()).map(|draw| self.speed.belief(draw, points, &bases)).collect();
        let means = (0..points.len())
            .map(|point| beliefs.iter().map(|belief| belief.means[point]).sum::<f64>() / real(beliefs.len()))
            .collect();
        let mut feasible = vec![1.0; points.len()];
        for limit in &self.limits {
            for (total, share) in feasible.iter_mut().zip(limit.kept(points)) {
                *total *= share;
            }
        }
        View { beliefs, feasible, means }
    }

    /// Law of ln(throughput at the first point / throughput at each of the others).
    pub(super) fn against_first(&self, points: &[Point]) -> Vec<Mixture> {
        let bases = self.speed.bases(points);
        let own = self.speed.bases_between(&points[..1], points);
        let mut mixtures = vec![Mixture::default(); points.len()];
        for draw in 0..self.speed.n_draws() {
            let belief = self.speed.belief(draw, points, &bases);
            let prior = self.speed.prior(draw, &own);
            let first = belief.whitened.column(0).clone_owned();
            for (point, mixture) in mixtures.iter_mut().enumerate() {
                let covariance = prior[(0, point)] - first.dot(&belief.whitened.column(point));
                let variance = belief.variance(0) + belief.variance(point) - 2.0 * covariance;
                mixture.parts.push((belief.means[0] - belief.means[point], variance.max(1e-12)));
            }
        }
        mixtures
    }

    /// Law of ln of the mean throughput (requests a second) of a few fresh trials at `point`, drift included.
    pub(super) fn fresh(&self, point: &Point) -> Mixture {
        let points = std::slice::from_ref(point);
        let bases = self.speed.bases(points);
        let part = |draw| {
            let belief = self.speed.belief(draw, points, &bases);
            let (drift, cross, variance) = self.speed.drift(draw, self.now + FRESH / 2.0);
            let column = belief.whitened.column(0) + cross;
            let variance = belief.prior + variance - column.norm_squared() + self.speed.noise(draw) / FRESH;
            (belief.means[0] + drift + self.scale.ln(), variance.max(1e-12))
        };
        Mixture { parts: (0..self.speed.n_draws()).map(part).collect() }
    }

    /// Laws of the limited quantities at `point`: the logit of the success rate, and the room under the latency limit.
    pub(super) fn limited(&self, point: &Point) -> Vec<Mixture> {
        self.limits.iter().map(|limit| limit.laws(std::slice::from_ref(point)).swap_remove(0)).collect()
    }
}

impl Limit {
    fn laws(&self, points: &[Point]) -> Vec<Mixture> {
        let bases = self.process.bases(points);
        let mut laws = vec![Mixture::default(); points.len()];
        for draw in 0..self.process.n_draws() {
            let belief = self.process.belief(draw, points, &bases);
            for (point, law) in laws.iter_mut().enumerate() {
                law.parts.push((belief.means[point], belief.variance(point)));
            }
        }
        laws
    }

    fn kept(&self, points: &[Point]) -> Vec<f64> {
        self.laws(points).iter().map(|law| law.above(self.threshold)).collect()
    }
}

/// Whether trials of tonight are what rows of earlier nights let expect: the probability of trials at least as far from it. 1 where
/// either side says nothing.
pub(super) fn plausible(cube: &Cube, earlier: &[Row], tonight: &[Row], config: &Config) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ (0xa9ee_0000 + tonight.len() as u64));
    let at_baseline = tonight.iter().filter(|row| row.point.at == cube.baseline().at).map(|row| row.outcome.throughput);
    let at_baseline: Vec<f64> = at_baseline.filter(|rate| *rate > 0.0 && rate.is_finite()).collect();
    let past = speeds(earlier, 1.0);
    if at_baseline.is_empty() || past.values.is_empty() {
        return 1.0;
    }
    let now = speeds(tonight, at_baseline.iter().sum::<f64>() / real(at_baseline.len()));
    let process = Process::learn(speed_form(cube), &past, DRAWS, &mut rng);
    process.plausible(&now.points, &now.times, &now.values, &now.variances)
}

/// ln of throughput: of tonight over `scale`, of an earlier night over that night's own.
fn speeds(rows: &[Row], scale: f64) -> Data {
    gather(rows, true, |Row { outcome, past, .. }| {
        let speed = outcome.throughput / past.map_or(scale, |past| past.level);
        (speed > 0.0 && speed.is_finite())
            .then(|| (speed.ln(), outcome.throughput_error.filter(|error| error.is_finite()).unwrap_or(0.0).powi(2)))
    })
}

/// How far apart rows of earlier nights lie in time, so that the drift has nothing to do with any of them: it is in their noise.
const FAR: f64 = 1e4;

/// What a process learns from. `averaged` says whether a row of several trials has their mean, whose noise is so much less.
fn gather(rows: &[Row], averaged: bool, pick: impl Fn(&Row) -> Option<(f64, f64)>) -> Data {
    let mut data =
        Data { points: vec![], times: vec![], values: vec![], variances: vec![], inflations: vec![], nights: vec![] };
    for (place, row) in rows.iter().enumerate() {
        if let Some((value, variance)) = pick(row) {
            data.points.push(row.point.clone());
            data.times.push(if row.past.is_some() { -FAR * real(place + 1) } else { real(place) });
            data.values.push(value);
            data.variances.push(variance);
            data.nights.push(row.past.map_or(0, |past| past.night));
            data.inflations
                .push(row.past.map_or(1.0, |past| past.inflation / if averaged { past.trials } else { 1.0 }));
        }
    }
    data
}

fn speed_form(cube: &Cube) -> Form {
    let (low, high) = cube.connections_range();
    let curve = cube.connections_axis().map(|_| Curve {
        peak: LogNormal { median: (low * high).sqrt(), spread: ((high / low).ln() / 2.0).max(0.5) },
        reference: cube.baseline().connections,
    });
    Form {
        level: (0.0, 1.0),
        curve,
        bowl: Some(Bowl { depth: LogNormal { median: 0.005, spread: 1.5 }, except: cube.connections_axis() }),
        alone: LogNormal { median: 0.01, spread: 0.8 },
        length: 0.8,
        together: LogNormal { median: 0.02, spread: 0.8 },
        noise: Noise::Added(LogNormal { median: 0.04, spread: 0.4 }),
        drift: Some(LogNormal { median: 0.02, spread: 0.6 }),
    }
}

fn success_form(threshold: f64) -> Form {
    Form {
        level: (threshold + 1.0, 9.0),
        curve: None,
        bowl: None,
        alone: LogNormal { median: 1.0, spread: 0.8 },
        // Nearly a straight line: more load and fewer retries fail more, all along the range.
        length: 2.0,
        together: LogNormal { median: 0.2, spread: 0.8 },
        noise: Noise::Scaled(LogNormal { median: 4.0, spread: 1.2 }),
        drift: None,
    }
}

fn latency_form() -> Form {
    Form {
        level: (0.0, 4.0),
        curve: None,
        bowl: None,
        alone: LogNormal { median: 0.2, spread: 0.8 },
        length: 0.8,
        together: LogNormal { median: 0.1, spread: 0.8 },
        noise: Noise::Added(LogNormal { median: 0.1, spread: 0.8 }),
        drift: None,
    }
}

/// Log-odds of a rate, cut so that limits of 0 and 1 stay finite.
pub(super) fn logit(rate: f64) -> f64 {
    let rate = rate.clamp(1e-9, 1.0 - 1e-9);
    (rate / (1.0 - rate)).ln()
}

#[expect(clippy::cast_precision_loss, reason = "requests of a trial are far below 2^53")]
fn real_count(count: u64) -> f64 {
    count as f64
}
