//! What faults do to one connection of the proxy at a moment.

use std::time::Duration;

use crate::model::FaultKind;

/// The faults that act on a connection now.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    active: Vec<(u64, FaultKind)>,
    /// It carries nothing any more, for ever.
    pub(super) dropped: bool,
    /// It is to be reset.
    pub(super) reset: bool,
}

impl Effects {
    /// A fault begins to act.
    pub(super) fn begin(&mut self, id: u64, kind: &FaultKind) {
        match kind {
            FaultKind::DropSilently => self.dropped = true,
            FaultKind::Reset => self.reset = true,
            kind => self.active.push((id, kind.clone())),
        }
    }

    /// It ends.
    pub(super) fn end(&mut self, id: u64) {
        self.active.retain(|(active, _)| *active != id);
    }

    /// Whether nothing acts.
    pub(super) fn is_calm(&self) -> bool {
        self.active.is_empty() && !self.dropped && !self.reset
    }

    /// Whether nothing is carried until something changes.
    pub(super) fn stalled(&self) -> bool {
        self.dropped || self.active.iter().any(|(_, kind)| *kind == FaultKind::Stall)
    }

    /// How long what is read now is delayed, all delays together; `random` is uniform from −1 to 1.
    pub(super) fn delay(&self, mut random: impl FnMut() -> f64) -> Duration {
        let delays = self.active.iter().filter_map(|(_, kind)| match kind {
            FaultKind::Latency { delay, jitter } => Some((delay.as_secs_f64(), jitter.as_secs_f64())),
            _ => None,
        });
        let seconds: f64 = delays.map(|(delay, jitter)| (delay + jitter * random()).max(0.0)).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// The narrowest bandwidth, in bytes a second.
    pub(super) fn bandwidth(&self) -> Option<u64> {
        let rates = self.active.iter().filter_map(|(_, kind)| match kind {
            FaultKind::Bandwidth { bytes_per_second } => Some(*bytes_per_second),
            _ => None,
        });
        rates.min()
    }

    /// After how many bytes from the server the connection is reset: the fault and its limit.
    pub(super) fn drops_after(&self) -> Option<(u64, u64)> {
        let limits = self.active.iter().filter_map(|(id, kind)| match kind {
            FaultKind::DropAfter { bytes } => Some((*id, *bytes)),
            _ => None,
        });
        limits.min_by_key(|(_, bytes)| *bytes)
    }
}
