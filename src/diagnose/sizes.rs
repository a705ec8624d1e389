//! What other sizes of the pool did. Trials that are alike spread, and of several sizes the best one looks good by luck as
//! well: a size counts as better only if an interval over its trials says so, at a level shared among all that are looked at.

use super::{Facts, SizeFacts, rate};
use crate::{model::Estimate, stats};

/// How sure it has to be that none of the sizes looked at is called better by chance.
const CONFIDENCE: f64 = 0.95;

/// A size that serves more than another.
pub(super) struct Better<'a> {
    pub(super) size: &'a SizeFacts,
    over: &'a SizeFacts,
    gain: Estimate,
}

impl Better<'_> {
    /// Both, in words, with the difference.
    pub(super) fn evidence(&self) -> Vec<String> {
        let mean = |of: &SizeFacts| {
            let (mean, trials) = (rate(stats::mean(&of.throughput)), of.throughput.len());
            format!("{mean} QPS at {} connections ({trials} trials)", of.connections)
        };
        let per_cent = |share: f64| share * 100.0;
        let interval = self.gain.interval;
        vec![
            mean(self.over),
            format!(
                "{}: {:+.1} % [{:+.1}, {:+.1}]",
                mean(self.size),
                per_cent(self.gain.value),
                per_cent(interval.low),
                per_cent(interval.high)
            ),
        ]
    }
}

/// The size that serves most of those that are sure to serve more than `over`, among those that `which` picks.
pub(super) fn better_than<'a>(
    facts: &Facts<'a>,
    over: &'a SizeFacts,
    which: impl Fn(&SizeFacts) -> bool,
) -> Option<Better<'a>> {
    let others: Vec<_> =
        facts.sizes.iter().filter(|size| size.connections != over.connections && which(size)).collect();
    let level = 1.0 - (1.0 - CONFIDENCE) / stats::real(others.len().max(1));
    let gains = others.into_iter().filter_map(|size| {
        let gain = stats::ratio_estimate(&size.throughput, &over.throughput, level).ok()?;
        (gain.interval.low > 0.0).then_some(Better { size, over, gain })
    });
    gains.max_by(|a, b| a.gain.value.total_cmp(&b.gain.value))
}
