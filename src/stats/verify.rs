use serde::{Deserialize, Serialize};

use crate::model::{Estimate, Interval};

use super::{StatsError, clustered_success, mean, mean_estimate, real, sample_sd, student_two_sided};

/// One trial of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Successful requests a second.
    pub throughput: f64,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// A trial of the baseline and one of the winner, made one after the other.
///
/// The order within pairs alternates (ABBA), so that a steady drift cancels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The settings in use today.
    pub baseline: Arm,
    /// The settings that the search proposes.
    pub winner: Arm,
}

/// How many pairs a verification makes at most, and when it looks.
///
/// There are two looks, after half of the pairs and after all, with the nominal two-sided levels 0.0052 and 0.0480 of
/// O'Brien and Fleming, Biometrics 35 (1979) 549–556. Together they claim a difference where there is none in at most
/// 5 % of verifications, and "better" in at most 2.5 %.
///
/// A plan for what may replace settings that a verification has chosen before ([`Plan::replacing`]) is made night after night:
/// at these levels thirty nights on an unchanged system would claim "better" once. Its levels are 0.00007 and 0.0049, of the same
/// kind, together at most 0.5 %; and "better" has to be by at least [`Plan::LEAST_GAIN`], because each change of settings in
/// operation has a cost of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    half: usize,
    #[serde(default)]
    replacing: bool,
}

impl Plan {
    /// A plan of at most `pairs` pairs, rounded up to an even number of at least six.
    #[must_use]
    pub fn new(pairs: usize) -> Self {
        Self { half: pairs.div_ceil(2).max(3), replacing: false }
    }

    /// The least gain of throughput (0.02 for 2 %) for which settings replace others that were chosen before.
    pub const LEAST_GAIN: f64 = 0.02;

    /// The probability with which such a plan claims what is not so, all looks together.
    pub const REPLACING_LEVEL: f64 = 0.005;

    /// The plan of as many pairs for what may replace settings that were chosen before.
    #[must_use]
    pub fn replacing(pairs: usize) -> Self {
        Self { replacing: true, ..Self::new(pairs) }
    }

    /// The number of pairs after which to look early, and stop when [`Verification::conclusive`].
    #[must_use]
    pub fn early(self) -> usize {
        self.half
    }

    /// The number of pairs of the last look.
    #[must_use]
    pub fn last(self) -> usize {
        2 * self.half
    }

    /// The nominal confidences of the look after `pairs`: of the interval that is told, and of the one that decides.
    fn confidences(self, pairs: usize) -> Result<(f64, f64), StatsError> {
        let (told, strict) = if pairs == self.early() {
            (1.0 - 0.0052, 1.0 - 0.000_07)
        } else if pairs == self.last() {
            (1.0 - 0.0480, 1.0 - 0.0049)
        } else {
            return Err(StatsError::NoLook { found: pairs, early: self.early(), last: self.last() });
        };
        Ok((told, if self.replacing { strict } else { told }))
    }
}

/// What a verification found out about the winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It keeps the success limit and is faster than the baseline; or it keeps the limit and the baseline breaks it.
    Better,
    /// Neither better nor worse could be shown.
    NotBetter,
    /// It is slower than the baseline, or breaks a success limit that the baseline keeps.
    Worse,
}

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Throughput of the winner over that of the baseline: geometric mean over the pairs.
    ///
    /// Its interval is a repeated confidence interval (Jennison and Turnbull, JRSS B 51 (1989) 305–361): it keeps at least
    /// 95 % although there were two looks, so it is a little wider than a single look's.
    pub ratio: Estimate,
    /// Two-sided p-value of "the ratio is 1" at this look alone; compare with [`Plan`]'s levels.
    pub p_value: f64,
    /// Success rate of the baseline, with an interval that allows for bursts.
    pub baseline_success: Estimate,
    /// Success rate of the winner, likewise.
    pub winner_success: Estimate,
    /// Success rate of the winner less the baseline's (Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10,
    /// over the two intervals above).
    pub success_difference: Estimate,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether to stop here: the last look, or a clear answer at the early one.
    pub conclusive: bool,
}

/// Judges the winner from the pairs made so far.
///
/// `success_limit` is the success rate (0 to 1) that settings must exceed.
///
/// # Errors
/// [`StatsError::NoLook`] when the plan does not look after so many pairs, [`StatsError::NoThroughput`] when a trial of a
/// pair has none, [`StatsError::NoRequests`] when one side had no requests.
pub fn verify(pairs: &[Pair], plan: Plan, success_limit: f64) -> Result<Verification, StatsError> {
    let (told, decides) = plan.confidences(pairs.len())?;
    let logs = log_ratios(pairs)?;
    let ratio = ratio(&logs, told)?;
    let sides = |confidence| -> Result<_, StatsError> {
        Ok((side(pairs, |pair| pair.baseline, confidence)?, side(pairs, |pair| pair.winner, confidence)?))
    };
    let (baseline_success, winner_success) = sides(0.95)?;
    let verdict = if plan.replacing {
        // The limit is looked at night after night as well, and at both looks.
        let (baseline, winner) = sides(decides)?;
        verdict(self::ratio(&logs, decides)?, 1.0 + Plan::LEAST_GAIN, baseline, winner, success_limit)
    } else {
        verdict(ratio, 1.0, baseline_success, winner_success, success_limit)
    };
    Ok(Verification {
        ratio,
        p_value: p_value(&logs),
        baseline_success,
        winner_success,
        success_difference: difference(baseline_success, winner_success),
        verdict,
        conclusive: pairs.len() == plan.last() || verdict != Verdict::NotBetter,
    })
}

fn ratio(logs: &[f64], confidence: f64) -> Result<Estimate, StatsError> {
    let spread = mean_estimate(logs, confidence)?;
    Ok(Estimate {
        value: spread.value.exp(),
        interval: Interval { low: spread.interval.low.exp(), high: spread.interval.high.exp() },
    })
}

fn verdict(ratio: Estimate, above: f64, baseline: Estimate, winner: Estimate, limit: f64) -> Verdict {
    let winner_keeps = winner.interval.low > limit;
    if winner.interval.high < limit && baseline.interval.high >= limit {
        Verdict::Worse
    } else if winner_keeps && (ratio.interval.low > above || baseline.interval.high < limit) {
        Verdict::Better
    } else if ratio.interval.high < 1.0 {
        Verdict::Worse
    } else {
        Verdict::NotBetter
    }
}

fn log_ratios(pairs: &[Pair]) -> Result<Vec<f64>, StatsError> {
    let log = |(index, pair): (usize, &Pair)| {
        let ratio = pair.winner.throughput / pair.baseline.throughput;
        if ratio.is_finite() && ratio > 0.0 {
            Ok(ratio.ln())
        } else {
            Err(StatsError::NoThroughput { pair: index + 1 })
        }
    };
    pairs.iter().enumerate().map(log).collect()
}

fn p_value(logs: &[f64]) -> f64 {
    let (centre, error) = (mean(logs), sample_sd(logs) / real(logs.len()).sqrt());
    if centre == 0.0 { 1.0 } else { student_two_sided(centre / error, real(logs.len() - 1)) }
}

fn side(pairs: &[Pair], arm: impl Fn(&Pair) -> Arm, confidence: f64) -> Result<Estimate, StatsError> {
    let counts: Vec<_> = pairs.iter().map(arm).map(|arm| (arm.succeeded, arm.failed)).collect();
    clustered_success(&counts, confidence)
}

fn difference(baseline: Estimate, winner: Estimate) -> Estimate {
    let value = winner.value - baseline.value;
    let down = (winner.value - winner.interval.low).hypot(baseline.interval.high - baseline.value);
    let up = (winner.interval.high - winner.value).hypot(baseline.value - baseline.interval.low);
    Estimate { value, interval: Interval { low: value - down, high: value + up } }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::standard_normal;

    fn pairs(n: usize, gain: f64, rng: &mut ChaCha8Rng) -> Vec<Pair> {
        let mut arm = |level: f64| Arm {
            throughput: level * (0.045 * standard_normal(rng)).exp(),
            succeeded: 20_000,
            failed: 20,
        };
        (0..n).map(|_| Pair { baseline: arm(1e4), winner: arm(1e4 * gain) }).collect()
    }

    /// The verdict of a verification that stops at the early look when it may.
    fn run(plan: Plan, gain: f64, rng: &mut ChaCha8Rng) -> Verdict {
        let all = pairs(plan.last(), gain, rng);
        let early = verify(&all[..plan.early()], plan, 0.99).unwrap();
        if early.conclusive { early.verdict } else { verify(&all, plan, 0.99).unwrap().verdict }
    }

    #[test]
    fn a_baseline_against_itself_is_rarely_called_better_or_worse() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for n in [6, 8, 12] {
            let verdicts: Vec<_> = (0..2000).map(|_| run(Plan::new(n), 1.0, &mut rng)).collect();
            let better = verdicts.iter().filter(|verdict| **verdict == Verdict::Better).count();
            let worse = verdicts.iter().filter(|verdict| **verdict == Verdict::Worse).count();
            // 2.5 % of 2000 is 50; five standard errors above is 85.
            assert!(better < 85 && worse < 85, "{n} pairs: {better} better, {worse} worse");
        }
    }

    #[test]
    fn a_gain_of_fifteen_per_cent_is_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let better = (0..200).filter(|_| run(Plan::new(8), 1.15, &mut rng) == Verdict::Better).count();
        assert!(better > 190, "{better} of 200");
    }

    #[test]
    fn settings_as_good_as_those_that_stand_do_not_replace_them_in_a_thousand_nights() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let count = |gain, of: Verdict, rng: &mut ChaCha8Rng| {
            (0..2000).filter(|_| run(Plan::replacing(12), gain, rng) == of).count()
        };
        assert_eq!(count(1.0, Verdict::Better, &mut rng), 0);
        // At the least gain itself 0.25 % of 2000 is 5; five standard errors above is 16.
        let at_least = count(1.0 + Plan::LEAST_GAIN, Verdict::Better, &mut rng);
        assert!(at_least <= 16, "{at_least}");
        let worse = count(1.0, Verdict::Worse, &mut rng);
        assert!(worse <= 16, "{worse}");
        let found = count(1.15, Verdict::Better, &mut rng);
        assert!(found > 1800, "{found} of 2000 gains of 15 %");
    }

    #[test]
    fn a_winner_that_breaks_the_limit_is_worse_however_fast() {
        let mut all = pairs(8, 1.5, &mut ChaCha8Rng::seed_from_u64(3));
        for pair in &mut all {
            pair.winner.failed = 800;
        }
        let found = verify(&all, Plan::new(8), 0.99).unwrap();
        assert_eq!(found.verdict, Verdict::Worse);
        assert!(found.success_difference.interval.high < 0.0);
    }

    #[test]
    fn a_winner_that_keeps_the_limit_beats_a_baseline_that_does_not() {
        let mut all = pairs(8, 0.9, &mut ChaCha8Rng::seed_from_u64(4));
        for pair in &mut all {
            pair.baseline.failed = 800;
        }
        assert_eq!(verify(&all, Plan::new(8), 0.99).unwrap().verdict, Verdict::Better);
    }

    #[test]
    fn no_throughput_and_unplanned_looks_are_errors() {
        let mut all = pairs(8, 1.0, &mut ChaCha8Rng::seed_from_u64(5));
        assert_eq!(verify(&all[..5], Plan::new(8), 0.99), Err(StatsError::NoLook { found: 5, early: 4, last: 8 }));
        all[2].winner.throughput = 0.0;
        assert_eq!(verify(&all, Plan::new(8), 0.99), Err(StatsError::NoThroughput { pair: 3 }));
    }

    #[test]
    fn equal_trials_are_not_better() {
        let arm = Arm { throughput: 1e4, succeeded: 20_000, failed: 0 };
        let found = verify(&[Pair { baseline: arm, winner: arm }; 8], Plan::new(8), 0.99).unwrap();
        assert_eq!((found.verdict, found.p_value), (Verdict::NotBetter, 1.0));
    }
}
