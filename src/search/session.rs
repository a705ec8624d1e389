use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    acquire::{Choice, choose},
    answer::answer,
    candidates::spread,
    cube::Cube,
    design::{BASELINE_EVERY, start},
    surrogate::{Row, Surrogate},
    types::{Answer, Config, Outcome, Proposal, Reason, Step, StopReason},
};
use crate::{
    curve::{CurveError, Sample, ScalabilityFit, fit_scalability},
    model::{Settings, Space},
};

/// A search for the settings with the highest throughput that keep the limits.
///
/// Call [`ask`](Self::ask), make the trial it proposes, [`tell`](Self::tell) its outcome, and so on until it is done; then
/// [`answer`](Self::answer). Outcomes of settings that were not proposed may be told as well. To resume, tell a new search
/// of the same space and [`Config`] the same outcomes in the same order.
#[derive(Clone, Debug)]
pub struct Search {
    cube: Cube,
    config: Config,
    start: Vec<Proposal>,
    rows: Vec<Row>,
    /// The choice after so many trials, once it has been made; a function of the trials up to there.
    choices: Vec<Option<Choice>>,
}

impl Search {
    /// A search that has seen no trial yet.
    #[must_use]
    pub fn new(space: &Space, config: Config) -> Self {
        let cube = Cube::new(space);
        let start = start(&cube, &config);
        Self { cube, config, start, rows: vec![], choices: vec![] }
    }

    /// The next trial to make, or why there is none. Asking again without telling gives the same step.
    pub fn ask(&mut self) -> Step {
        let n = self.rows.len();
        if n >= self.config.max_trials {
            return Step::Done(StopReason::Budget);
        }
        if let Some(proposal) = self.start.get(n) {
            return Step::Try(proposal.clone());
        }
        if self.cube.n_axes() == 0 {
            return Step::Done(StopReason::NothingToSearch);
        }
        if self.nothing_to_gain() {
            return Step::Done(StopReason::NothingToGain);
        }
        if self.baseline_due() {
            return Step::Try(Proposal { settings: self.cube.baseline().settings, reason: Reason::Baseline });
        }
        let Some(choice) = self.choice(n) else {
            return Step::Try(self.anywhere());
        };
        let seen = self.rows.iter().any(|row| row.point == choice.point);
        let reason = if seen { Reason::Replicate } else { Reason::Improve };
        Step::Try(Proposal { settings: choice.point.settings, reason })
    }

    /// Takes in the outcome of a trial of `settings`.
    pub fn tell(&mut self, settings: Settings, outcome: Outcome) {
        self.rows.push(Row { point: self.cube.point(settings), outcome });
    }

    /// The number of outcomes told.
    #[must_use]
    pub fn n_trials(&self) -> usize {
        self.rows.len()
    }

    /// What all trials together say; `None` before a trial with any throughput was told.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        let surrogate = Surrogate::learn(&self.cube, &self.rows, &self.config)?;
        Some(answer(&surrogate, &self.cube, &self.rows, &self.config))
    }

    /// The throughput curve over `max_connections`, other settings as in the baseline.
    ///
    /// Trials with other settings are brought to the baseline's by the effects that the surrogate has found.
    ///
    /// # Errors
    /// [`CurveError::TooFewSizes`] when fewer than three sizes were tried.
    pub fn curve(&self) -> Result<ScalabilityFit, CurveError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed ^ 0xc0_0000);
        let Some(surrogate) = Surrogate::learn(&self.cube, &self.rows, &self.config) else {
            return fit_scalability(&[], &mut rng);
        };
        let baseline = self.cube.baseline();
        let running = self.rows.iter().filter(|row| row.outcome.throughput > 0.0 && row.outcome.throughput.is_finite());
        let samples: Vec<Sample> = running
            .map(|row| {
                let mut moved = row.point.clone();
                for axis in (0..self.cube.n_axes()).filter(|axis| Some(*axis) != self.cube.connections_axis()) {
                    moved = self.cube.with_axis(&moved, axis, &baseline.settings).unwrap_or(moved);
                }
                let gain = surrogate.against_first(&[moved, row.point.clone()])[1].mean();
                Sample { connections: row.point.connections, value: row.outcome.throughput * gain.exp(), weight: 1.0 }
            })
            .collect();
        fit_scalability(&samples, &mut rng)
    }

    /// Whether there has been nothing worth finding for a while.
    fn nothing_to_gain(&mut self) -> bool {
        let n = self.rows.len();
        let first = n + 1 - self.config.patience.min(n + 1);
        if self.config.patience == 0 || first < self.start.len() {
            return false;
        }
        (first..=n).all(|at| self.choice(at).is_some_and(|choice| choice.improvement < self.config.negligible_gain))
    }

    fn baseline_due(&self) -> bool {
        let baseline = self.cube.baseline();
        self.rows.iter().rev().take(BASELINE_EVERY - 1).all(|row| row.point != baseline)
    }

    /// The choice after the first `n` trials; `None` when none of them had any throughput.
    fn choice(&mut self, n: usize) -> Option<Choice> {
        if self.choices.len() <= n {
            self.choices.resize(n + 1, None);
        }
        if self.choices[n].is_none() {
            let rows = &self.rows[..n];
            let surrogate = Surrogate::learn(&self.cube, rows, &self.config)?;
            self.choices[n] = Some(choose(&surrogate, &self.cube, rows, &self.config));
        }
        self.choices[n].clone()
    }

    /// A point of the overview sequence, for when nothing has worked yet.
    fn anywhere(&self) -> Proposal {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let n = self.rows.len();
        let point = spread(&self.cube, n + 1, &mut rng).pop().unwrap_or_else(|| self.cube.baseline());
        Proposal { settings: point.settings, reason: Reason::Sobol }
    }
}
