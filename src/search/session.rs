use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    acquire::{Choice, choose},
    answer::{answer, assess},
    candidates::spread,
    cube::Cube,
    design::{BASELINE_EVERY, start_with},
    earlier,
    surrogate::{Row, Surrogate, plausible},
    types::{Agreement, Answer, Config, Earlier, Outcome, Proposal, Reason, Recommendation, Step, StopReason},
};
use crate::{
    curve::{CurveError, Sample, ScalabilityFit, fit_scalability},
    model::{Estimate, Settings, Space},
};

/// A search for the settings with the highest throughput that keep the limits.
///
/// Call [`ask`](Self::ask), make the trial it proposes, [`tell`](Self::tell) its outcome, and so on until it is done; then
/// [`answer`](Self::answer). Outcomes of settings that were not proposed may be told as well. To resume, tell a new search
/// of the same space, [`Config`] and earlier trials the same outcomes in the same order.
#[derive(Clone, Debug)]
pub struct Search {
    cube: Cube,
    config: Config,
    start: Vec<Proposal>,
    rows: Vec<Row>,
    /// Settings that were recommended before.
    standing: Option<Settings>,
    /// What earlier searches knew; nothing any more once tonight's first trials disagree.
    earlier: Vec<Row>,
    agreement: Option<Agreement>,
    /// The choice after so many trials, once it has been made; a function of the trials up to there.
    choices: Vec<Option<Choice>>,
}

impl Search {
    /// A search that has seen no trial yet.
    #[must_use]
    pub fn new(space: &Space, config: Config) -> Self {
        Self::recalling(space, config, None, &[])
    }

    /// A search that has seen no trial yet, but knows what `earlier` ones were told, newest first, and tries the settings that
    /// were recommended before among its first trials.
    ///
    /// It makes a shorter beginning than [`new`](Self::new). These first trials decide whether the earlier ones count: where they
    /// are not what those let expect, by a χ² test at [`DISAGREES`](Self::DISAGREES), all earlier ones are dropped, and the
    /// beginning is made up for.
    #[must_use]
    pub fn recalling(space: &Space, config: Config, standing: Option<Settings>, earlier: &[Earlier]) -> Self {
        let cube = Cube::new(space);
        let earlier = if cube.n_axes() > 0 { earlier::rows(&cube, earlier) } else { vec![] };
        let start = start_with(&cube, &config, standing.as_ref(), !earlier.is_empty());
        Self { cube, config, start, rows: vec![], standing, earlier, agreement: None, choices: vec![] }
    }

    /// The nominal level of the test by which earlier trials are dropped. It is far below what is meant, because the surrogate is too
    /// sure of places that it has seen no trial of: of 56 nights on unchanged responses one in five was below 0.02 and the least at
    /// 0.00005, while those after the best had moved were all below 0.000 000 001.
    pub const DISAGREES: f64 = 1e-5;

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
        self.rows.push(Row { point: self.cube.point(settings), outcome, past: None });
        if self.rows.len() == self.start.len() && self.agreement.is_none() && !self.earlier.is_empty() {
            self.compare();
        }
    }

    /// Sets tonight's first trials against what the earlier ones let expect.
    fn compare(&mut self) {
        let p_value = plausible(&self.cube, &self.earlier, &self.rows, &self.config);
        let agrees = p_value >= Self::DISAGREES;
        self.agreement = Some(Agreement { p_value, agrees });
        if agrees {
            return;
        }
        self.earlier.clear();
        self.choices.clear();
        // Nothing is known, and so nothing is sure enough to end before the budget does.
        self.config.patience = 0;
        let mut missing = start_with(&self.cube, &self.config, self.standing.as_ref(), false);
        for made in &self.start {
            if let Some(place) = missing.iter().position(|proposal| proposal == made) {
                missing.remove(place);
            }
        }
        self.start.extend(missing);
    }

    /// Whether the earlier trials are what tonight's first ones are like; `None` before that was looked at, or without any.
    #[must_use]
    pub fn agreement(&self) -> Option<Agreement> {
        self.agreement
    }

    /// Tonight's first `n` trials, and what is known of earlier ones.
    fn known(&self, n: usize) -> Vec<Row> {
        self.rows[..n].iter().chain(&self.earlier).cloned().collect()
    }

    /// What all trials together say of some settings, whatever others are worth; `None` before a trial with any throughput was told.
    #[must_use]
    pub fn assess(&self, settings: &Settings) -> Option<Recommendation> {
        let rows = self.known(self.rows.len());
        let surrogate = Surrogate::learn(&self.cube, &rows, &self.config)?;
        Some(assess(&surrogate, &self.cube, &rows, &self.config, &self.cube.point(settings.clone())))
    }

    /// Throughput of some settings over that of others, drift excluded; `None` before a trial with any throughput was told.
    #[must_use]
    pub fn ratio(&self, of: &Settings, over: &Settings) -> Option<Estimate> {
        let surrogate = Surrogate::learn(&self.cube, &self.known(self.rows.len()), &self.config)?;
        let points = [of, over].map(|settings| self.cube.point(settings.clone()));
        Some(surrogate.against_first(&points)[1].estimate(f64::exp))
    }

    /// The number of outcomes told.
    #[must_use]
    pub fn n_trials(&self) -> usize {
        self.rows.len()
    }

    /// What all trials together say; `None` before a trial with any throughput was told.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        let rows = self.known(self.rows.len());
        let surrogate = Surrogate::learn(&self.cube, &rows, &self.config)?;
        Some(answer(&surrogate, &self.cube, &rows, &self.config))
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
            let rows = self.known(n);
            let surrogate = Surrogate::learn(&self.cube, &rows, &self.config)?;
            self.choices[n] = Some(choose(&surrogate, &self.cube, &rows, &self.config));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Response;

    fn config(seed: u64) -> Config {
        Config::new(20, 0.99, seed)
    }

    /// Searches for at most `most` trials, and gives what it was told.
    fn searched(search: &mut Search, response: &mut Response, most: usize) -> Vec<(Settings, Outcome)> {
        let mut told = vec![];
        while told.len() < most
            && let Step::Try(proposal) = search.ask()
        {
            let reading = response.measure(&proposal.settings);
            let outcome = Outcome {
                throughput: reading.throughput,
                throughput_error: None,
                succeeded: reading.succeeded,
                failed: reading.failed,
                latency_margin: None,
            };
            search.tell(proposal.settings.clone(), outcome);
            told.push((proposal.settings, outcome));
        }
        told
    }

    /// The first trials of a search that knows earlier ones of `response`, on a machine that is faster by a tenth tonight.
    fn warm(response: &Response, tonight: &Response, seed: u64) -> (Search, Vec<(Settings, Outcome)>) {
        let space = response.space();
        let faster = |(settings, outcome): &(Settings, Outcome)| {
            (settings.clone(), Outcome { throughput: outcome.throughput / 1.1, ..*outcome })
        };
        let night = |seed| {
            let mut first = Search::new(&space, config(seed));
            // These are the beginning, for which nothing has to be learnt.
            let trials = searched(&mut first, &mut response.clone().reseeded(seed), 10);
            Earlier { days: 1.0, trials: trials.iter().map(faster).collect() }
        };
        let earlier = [seed + 10, seed + 20, seed + 30].map(night);
        let (best, _) = response.optimum(&space).unwrap();
        let mut second = Search::recalling(&space, config(seed + 1), Some(best), &earlier);
        let told = searched(&mut second, &mut tonight.clone().reseeded(seed + 1), 6);
        (second, told)
    }

    #[test]
    fn what_agrees_is_kept_and_saves_the_rest_of_the_beginning() {
        let response = Response::heavy(3);
        let (mut search, told) = warm(&response, &response, 1);
        let agreement = search.agreement().unwrap();
        assert!(agreement.agrees && !search.earlier.is_empty(), "{agreement:?}");
        assert_eq!(told[0].0, *response.baseline());
        assert_eq!(told[1].0, response.optimum(&response.space()).unwrap().0);
        let Step::Try(next) = search.ask() else { panic!("it is done") };
        assert!(!matches!(next.reason, Reason::Curve | Reason::Sobol), "{next:?}");
        assert_eq!(search.assess(&told[1].0).unwrap().settings, told[1].0);
        assert!(search.ratio(&told[1].0, &told[0].0).unwrap().value > 1.0);
    }

    #[test]
    fn what_disagrees_is_dropped_and_the_beginning_made_up_for() {
        let response = Response::heavy(3);
        let (mut search, told) = warm(&response, &response.moved(1), 1);
        let agreement = search.agreement().unwrap();
        assert!(!agreement.agrees && search.earlier.is_empty(), "{agreement:?}");
        let Step::Try(next) = search.ask() else { panic!("it is done") };
        assert_eq!(next.reason, Reason::Curve);
        assert!(told.iter().all(|(settings, _)| *settings != next.settings), "no trial of the beginning is made twice");
    }
}
