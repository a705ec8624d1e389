//! What stands behind the pool: a database, as far as a pool feels it.

use std::time::Duration;

use super::Times;

/// A database and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// How long a request's statements take.
    pub service: ByActive,
    /// How long opening a connection takes, by how many are being opened.
    pub connect: ByActive,
    /// How long validating one takes.
    pub validate: ByActive,
    /// Connections that the server takes from this pool.
    pub server_limit: u32,
    /// How long a connection that was dropped silently hangs where nobody validates it: the system gives up then.
    pub silence: Duration,
    /// How long a connection may carry nothing before something between pool and server drops it silently.
    pub idle_limit: Option<Duration>,
}

/// How far apart two numbers of connections have to be for a slope between them: a fifth, as a logarithm.
const APART: f64 = 0.18;
/// How far beyond what was measured a slope goes on, in steps as wide as that between the two that it is of.
const BEYOND: f64 = 1.0;

/// Times by how many connections are at work, or being opened, at once.
#[derive(Clone, Debug, PartialEq)]
pub struct ByActive(Vec<At>);

/// Times at a number of connections at work.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// Connections at work on average when it was measured.
    pub active: f64,
    /// What was measured.
    pub times: Times,
}

impl ByActive {
    /// The same, however many are at work.
    #[must_use]
    pub fn same(times: Times) -> Self {
        Self(vec![At { active: 1.0, times }])
    }

    /// As measured at some numbers; between and beyond, quantiles are interpolated over the logarithm of the number.
    #[must_use]
    pub fn new(mut measured: Vec<At>) -> Self {
        measured.sort_by(|a, b| a.active.total_cmp(&b.active));
        measured.dedup_by(|b, a| (b.active - a.active).abs() < 0.5);
        Self(measured)
    }

    /// The same, `factor` times as long.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|at| At { active: at.active, times: at.times.scaled(factor) }).collect())
    }

    /// The times at `active` connections at work.
    #[must_use]
    pub fn at(&self, active: u32) -> Times {
        let place = f64::from(active.max(1)).ln();
        let at = |index: usize| self.0[index].active.max(1.0).ln();
        match self.0.as_slice() {
            [] => Times::constant(0.0),
            [only] => only.times.clone(),
            several => {
                let last = several.len() - 1;
                let above = (0..=last).find(|index| at(*index) >= place).unwrap_or(last).max(1);
                // What lies too near says nothing of a slope but noise.
                let low = (0..above).rev().find(|low| at(above) - at(*low) >= APART).unwrap_or(0);
                let high = (above..=last).find(|high| at(*high) - at(low) >= APART).unwrap_or(last);
                if at(high) - at(low) < APART {
                    return several[above].times.clone();
                }
                // Beyond what was measured, it goes on as it does between the last two, but not for long.
                let part = ((place - at(low)) / (at(high) - at(low))).clamp(-BEYOND, 1.0 + BEYOND);
                several[low].times.towards(&several[high].times, part)
            }
        }
    }
}

impl World {
    /// A database whose requests take as long however many there are.
    #[must_use]
    pub fn plain(service: Times) -> Self {
        Self {
            service: ByActive::same(service),
            connect: ByActive::same(Times::constant(0.0)),
            validate: ByActive::same(Times::constant(0.0)),
            server_limit: u32::MAX,
            silence: Duration::from_secs(900),
            idle_limit: None,
        }
    }
}
