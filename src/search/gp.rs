//! A Gaussian process over the unit cube: a curve as mean, additive and joint kernels, drift in time, noise per row.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rand::Rng;

use super::{
    cube::Point,
    hyper::{LogNormal, sample},
};
use crate::{
    curve::Scalability,
    stats::{chi_squared_above, normal_cdf, real},
};

/// What is known about a quantity at the points tried.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) points: Vec<Point>,
    /// When each was tried, in trials from the first.
    pub(super) times: Vec<f64>,
    pub(super) values: Vec<f64>,
    /// Known variance of each value, to which the learned noise is added or by which it is scaled.
    pub(super) variances: Vec<f64>,
    /// What each value's noise is multiplied by.
    pub(super) inflations: Vec<f64>,
    /// The earlier night that each value is of, from 1; 0 for those of this search.
    pub(super) nights: Vec<usize>,
}

/// The shape of the process; what is a [`LogNormal`] is learned.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Prior mean and variance of the overall level.
    pub(super) level: (f64, f64),
    /// The Universal Scalability Law as mean.
    pub(super) curve: Option<Curve>,
    /// A sweet spot of each setting as mean.
    pub(super) bowl: Option<Bowl>,
    /// Standard deviation of the effect of each setting alone.
    pub(super) alone: LogNormal,
    /// Length scale of that effect, in units of the setting's range.
    pub(super) length: f64,
    /// Standard deviation of what settings do together beyond that.
    pub(super) together: LogNormal,
    pub(super) noise: Noise,
    /// Standard deviation of the drift, if there is any.
    pub(super) drift: Option<LogNormal>,
}

/// The Universal Scalability Law relative to one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    /// Prior of the number of connections with the highest throughput.
    pub(super) peak: LogNormal,
    /// The number of connections at which the curve is 0 (on the logarithm).
    pub(super) reference: f64,
}

/// A loss that grows with the square of the distance from a best value, one for each setting.
///
/// Ranges surround the values that people use, so a setting mostly has one best place somewhere in its range (or rises or
/// falls all along it, with the best place at an end), and few settings matter much. A process without this knowledge
/// spends its trials on ruling out curves with several tops. Where a setting has them all the same, the process above the
/// bowl takes them up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bowl {
    /// Prior of the loss at half a range from the best value.
    pub(super) depth: LogNormal,
    /// The axis of the connections, which has the curve instead.
    pub(super) except: Option<usize>,
}

/// How the noise of a row comes about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Noise {
    /// The row's variance plus a learned one, whose root has this prior.
    Added(LogNormal),
    /// The row's variance times a learned factor of at least 1 (1 plus a value with this prior), as failures come in bursts.
    Scaled(LogNormal),
}

/// Variance of what all values of an earlier night have in common: the error of the level that they are relative to.
const NIGHT: f64 = 0.01;
/// Length scale of joint effects.
const JOINT_LENGTH: f64 = 1.2;
/// Length scale of the drift, in trials.
const DRIFT_LENGTH: f64 = 15.0;
/// Steps of the sampler before the first draw, and between draws.
const BURN_IN: usize = 150;
const THIN: usize = 20;
/// Prior of the contention σ of the curve.
const SIGMA: LogNormal = LogNormal { median: 0.04, spread: 0.8 };

/// Matérn kernel of smoothness 5/2 at distance `r` in length scales (Rasmussen and Williams 2006, eq. 4.17).
fn matern(r: f64) -> f64 {
    let s = 5_f64.sqrt() * r;
    (1.0 + s + s * s / 3.0) * (-s).exp()
}

/// Kernel values between two lists of points, by setting and jointly, without amplitudes.
#[derive(Clone, Debug)]
pub(super) struct Bases {
    alone: Vec<DMatrix<f64>>,
    together: DMatrix<f64>,
}

impl Bases {
    fn new(left: &[Point], right: &[Point], length: f64) -> Self {
        let n_axes = left.first().map_or(0, |point| point.at.len());
        let alone = (0..n_axes)
            .map(|axis| {
                DMatrix::from_fn(left.len(), right.len(), |i, j| {
                    matern((left[i].at[axis] - right[j].at[axis]).abs() / length)
                })
            })
            .collect();
        let together = DMatrix::from_fn(left.len(), right.len(), |i, j| {
            let square: f64 = left[i].at.iter().zip(&right[j].at).map(|(a, b)| (a - b).powi(2)).sum();
            matern(square.sqrt() / JOINT_LENGTH)
        });
        Self { alone, together }
    }
}

/// One draw of the parameters.
#[derive(Clone, Debug)]
struct Parameters {
    curve: Option<(Scalability, f64)>,
    bowls: Vec<Dip>,
    alone: Vec<f64>,
    together: f64,
    noise: f64,
    drift: f64,
}

/// The bowl of one axis.
#[derive(Clone, Copy, Debug)]
struct Dip {
    axis: usize,
    depth: f64,
    /// The best place, 0 to 1.
    centre: f64,
}

impl Form {
    fn n_parameters(&self, n_axes: usize) -> usize {
        let bowls = self.bowl_axes(n_axes).count();
        2 * usize::from(self.curve.is_some()) + 2 * bowls + n_axes + 2 + usize::from(self.drift.is_some())
    }

    fn bowl_axes(&self, n_axes: usize) -> impl Iterator<Item = (usize, LogNormal)> + use<> {
        let bowl = self.bowl;
        (0..n_axes).filter_map(move |axis| bowl.filter(|bowl| bowl.except != Some(axis)).map(|bowl| (axis, bowl.depth)))
    }

    /// Variances of the parts, from standard normal numbers.
    fn parameters(&self, n_axes: usize, z: &[f64]) -> Parameters {
        let mut rest = z.iter().copied();
        let mut next = || rest.next().unwrap_or(0.0);
        let curve = self.curve.map(|curve| {
            let sigma = SIGMA.value(next()).min(0.9);
            let peak = curve.peak.value(next());
            let law = Scalability { lambda: 1.0, sigma, kappa: (1.0 - sigma) / (peak * peak) };
            (law, law.throughput(curve.reference).ln())
        });
        Parameters {
            curve,
            bowls: self
                .bowl_axes(n_axes)
                .map(|(axis, depth)| Dip { axis, depth: depth.value(next()), centre: normal_cdf(next()) })
                .collect(),
            alone: (0..n_axes).map(|_| self.alone.value(next()).powi(2)).collect(),
            together: self.together.value(next()).powi(2),
            noise: match self.noise {
                Noise::Added(prior) => prior.value(next()).powi(2),
                Noise::Scaled(prior) => 1.0 + prior.value(next()),
            },
            drift: self.drift.map_or(0.0, |prior| prior.value(next()).powi(2)),
        }
    }
}

impl Parameters {
    fn kernel(&self, bases: &Bases, level: f64) -> DMatrix<f64> {
        let mut sum = bases.together.map(|value| level + self.together * value);
        for (variance, basis) in self.alone.iter().zip(&bases.alone) {
            sum.zip_apply(basis, |total, value| *total += variance * value);
        }
        sum
    }

    fn mean(&self, point: &Point) -> f64 {
        let curve = self.curve.map_or(0.0, |(law, reference)| law.throughput(point.connections).ln() - reference);
        let lost: f64 =
            self.bowls.iter().map(|dip| dip.depth * (2.0 * (point.at[dip.axis] - dip.centre)).powi(2)).sum();
        curve - lost
    }

    fn row_noise(&self, form: &Form, variance: f64) -> f64 {
        match form.noise {
            Noise::Added(_) => variance + self.noise,
            Noise::Scaled(_) => variance * self.noise + 0.01,
        }
    }
}

/// The process given the data, for several draws of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Process {
    form: Form,
    points: Vec<Point>,
    times: Vec<f64>,
    draws: Vec<Conditioned>,
}

#[derive(Clone, Debug)]
struct Conditioned {
    parameters: Parameters,
    cholesky: Cholesky<f64, Dyn>,
    weights: DVector<f64>,
}

/// Posterior of the noise- and drift-free value at some points, under one draw of the parameters.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    /// Means, a point each.
    pub(super) means: DVector<f64>,
    /// Whitened cross-covariances: a column a point. Cov(i, j) = prior(i, j) − column i · column j.
    pub(super) whitened: DMatrix<f64>,
    /// Prior variance of each point, the same for all.
    pub(super) prior: f64,
}

impl Belief {
    pub(super) fn variance(&self, point: usize) -> f64 {
        (self.prior - self.whitened.column(point).norm_squared()).max(1e-12)
    }
}

impl Process {
    /// Learns from `data`, of at least one row.
    pub(super) fn learn(form: Form, data: &Data, draws: usize, rng: &mut impl Rng) -> Self {
        let n_axes = data.points.first().map_or(0, |point| point.at.len());
        let bases = Bases::new(&data.points, &data.points, form.length);
        let drift = DMatrix::from_fn(data.times.len(), data.times.len(), |i, j| {
            matern((data.times[i] - data.times[j]).abs() / DRIFT_LENGTH)
        });
        let condition = |z: &[f64]| condition(&form, data, &bases, &drift, form.parameters(n_axes, z));
        let log_likelihood = |z: &[f64]| condition(z).map_or(f64::NEG_INFINITY, |(_, value)| value);
        let states = sample(form.n_parameters(n_axes), draws, THIN, BURN_IN, log_likelihood, rng);
        let draws = states.iter().filter_map(|z| condition(z)).map(|(conditioned, _)| conditioned).collect();
        Self { draws, points: data.points.clone(), times: data.times.clone(), form }
    }

    pub(super) fn n_draws(&self) -> usize {
        self.draws.len()
    }

    /// Kernel values between the points tried and `points`, to be shared by what follows.
    pub(super) fn bases(&self, points: &[Point]) -> Bases {
        self.bases_between(&self.points, points)
    }

    /// Kernel values between two lists of points.
    pub(super) fn bases_between(&self, left: &[Point], right: &[Point]) -> Bases {
        Bases::new(left, right, self.form.length)
    }

    /// The belief about `points` under draw `draw`; `bases` are theirs.
    pub(super) fn belief(&self, draw: usize, points: &[Point], bases: &Bases) -> Belief {
        let conditioned = &self.draws[draw];
        let parameters = &conditioned.parameters;
        let mut whitened = parameters.kernel(bases, self.form.level.1);
        let mut means = whitened.tr_mul(&conditioned.weights);
        for (mean, point) in means.iter_mut().zip(points) {
            *mean += parameters.mean(point) + self.form.level.0;
        }
        // The factor has a positive diagonal, so this cannot fail.
        conditioned.cholesky.l_dirty().solve_lower_triangular_mut(&mut whitened);
        let prior = self.form.level.1 + parameters.alone.iter().sum::<f64>() + parameters.together;
        Belief { means, whitened, prior }
    }

    /// Prior covariance between two lists of points under draw `draw`.
    pub(super) fn prior(&self, draw: usize, bases: &Bases) -> DMatrix<f64> {
        self.draws[draw].parameters.kernel(bases, self.form.level.1)
    }

    /// The drift at time `time` under draw `draw`: mean, whitened cross-covariance, prior variance.
    pub(super) fn drift(&self, draw: usize, time: f64) -> (f64, DVector<f64>, f64) {
        let conditioned = &self.draws[draw];
        let variance = conditioned.parameters.drift;
        let mut cross = DVector::from_iterator(
            self.times.len(),
            self.times.iter().map(|row| variance * matern((row - time).abs() / DRIFT_LENGTH)),
        );
        let mean = cross.dot(&conditioned.weights);
        conditioned.cholesky.l_dirty().solve_lower_triangular_mut(&mut cross);
        (mean, cross, variance)
    }

    /// Probability of values at least as far as `values` from what is expected at `points` in trials one after the other at
    /// `times`, each value with its own known variance; a level that they all share may differ as those of nights do.
    ///
    /// A χ² test of each draw; the mean of their p-values.
    pub(super) fn plausible(&self, points: &[Point], times: &[f64], values: &[f64], variances: &[f64]) -> f64 {
        let (bases, own) = (self.bases(points), self.bases_between(points, points));
        let freedom = real(values.len());
        let of_draw = |draw: usize| {
            let belief = self.belief(draw, points, &bases);
            let parameters = &self.draws[draw].parameters;
            let mut covariance = self.prior(draw, &own) - belief.whitened.tr_mul(&belief.whitened);
            for i in 0..values.len() {
                for j in 0..values.len() {
                    covariance[(i, j)] += NIGHT + parameters.drift * matern((times[i] - times[j]).abs() / DRIFT_LENGTH);
                }
                covariance[(i, i)] += parameters.row_noise(&self.form, variances[i]) + 1e-9;
            }
            let residuals = DVector::from_iterator(
                values.len(),
                values.iter().zip(&belief.means).map(|(value, mean)| value - mean),
            );
            let distance = covariance.cholesky().map(|cholesky| residuals.dot(&cholesky.solve(&residuals)));
            distance.map(|distance| chi_squared_above(distance, freedom))
        };
        let found: Vec<f64> = (0..self.n_draws()).filter_map(of_draw).collect();
        if found.is_empty() { 1.0 } else { found.iter().sum::<f64>() / real(found.len()) }
    }

    /// Variance of the noise of one more plain trial under draw `draw`.
    pub(super) fn noise(&self, draw: usize) -> f64 {
        self.draws[draw].parameters.row_noise(&self.form, 0.0)
    }
}

fn condition(
    form: &Form,
    data: &Data,
    bases: &Bases,
    drift: &DMatrix<f64>,
    parameters: Parameters,
) -> Option<(Conditioned, f64)> {
    let mut kernel = parameters.kernel(bases, form.level.1);
    if parameters.drift > 0.0 {
        kernel.zip_apply(drift, |total, value| *total += parameters.drift * value);
    }
    for (row, variance) in data.variances.iter().enumerate() {
        kernel[(row, row)] += parameters.row_noise(form, *variance) * data.inflations[row] + 1e-9;
    }
    // Those of this search come first, and have nothing of the kind.
    for row in (0..data.nights.len()).filter(|row| data.nights[*row] > 0) {
        for other in (0..data.nights.len()).filter(|other| data.nights[*other] == data.nights[row]) {
            kernel[(row, other)] += NIGHT;
        }
    }
    let residuals = DVector::from_iterator(
        data.values.len(),
        data.values.iter().zip(&data.points).map(|(value, point)| value - parameters.mean(point) - form.level.0),
    );
    let cholesky = kernel.cholesky()?;
    let mut white = residuals.clone();
    cholesky.l_dirty().solve_lower_triangular_mut(&mut white);
    let log_determinant: f64 = cholesky.l_dirty().diagonal().iter().map(|value| value.ln()).sum();
    let n = real(data.values.len());
    let log_likelihood = -0.5 * white.norm_squared() - log_determinant - 0.5 * n * std::f64::consts::TAU.ln();
    let weights = cholesky.solve(&residuals);
    log_likelihood.is_finite().then_some((Conditioned { parameters, cholesky, weights }, log_likelihood))
}
