use std::time::Duration;

use crate::model::{BreakerCounts, BreakerState, Settings};

/// A circuit breaker's state machine: consecutive failures open it; when it has been open for a time it lets one probe
/// through after another (half-open); enough successful probes close it, one that fails opens it again.
///
/// Times are counted from any beginning that is the same for all.
#[derive(Clone, Debug)]
pub struct Circuit {
    threshold: u32,
    timeout: Duration,
    reset: u32,
    state: State,
    counts: BreakerCounts,
    not_closed_since: Option<Duration>,
    not_closed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { since: Duration },
    HalfOpen { successes: u32, probing: bool },
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            threshold: settings.circuit_breaker_threshold(),
            timeout: settings.circuit_breaker_timeout(),
            reset: settings.circuit_breaker_reset(),
            state: State::Closed { failures: 0 },
            counts: BreakerCounts::default(),
            not_closed_since: None,
            not_closed: Duration::ZERO,
        }
    }

    /// Closed without a failure since the last success: whatever is asked now is let through and changes nothing.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.state == State::Closed { failures: 0 }
    }

    /// Its transitions so far.
    #[must_use]
    pub fn counts(&self, now: Duration) -> BreakerCounts {
        let still = self.not_closed_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        BreakerCounts { open_seconds: (self.not_closed + still).as_secs_f64(), ..self.counts }
    }

    /// What it does with requests now. An open circuit whose time is over is told as half-open: the next request probes it.
    #[must_use]
    pub fn state(&self, now: Duration) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { since } if now.saturating_sub(since) < self.timeout => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether an attempt may be made, and if so, whether it is a probe.
    pub fn admit(&mut self, now: Duration) -> Option<bool> {
        if let State::Open { since } = self.state
            && now.saturating_sub(since) >= self.timeout
        {
            self.state = State::HalfOpen { successes: 0, probing: false };
            self.counts.half_opened += 1;
        }
        match &mut self.state {
            State::Closed { .. } => Some(false),
            State::HalfOpen { probing, .. } if !*probing => {
                *probing = true;
                Some(true)
            }
            State::HalfOpen { .. } | State::Open { .. } => None,
        }
    }

    /// An attempt reached the database.
    pub fn succeeded(&mut self, probe: bool, now: Duration) {
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen { successes, probing } if probe => {
                *successes += 1;
                *probing = false;
                if *successes >= self.reset {
                    self.state = State::Closed { failures: 0 };
                    self.counts.closed += 1;
                    let since = self.not_closed_since.take();
                    self.not_closed += since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
                }
            }
            // The attempt was let through before the circuit opened; its news is old.
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    /// An attempt did not.
    pub fn failed(&mut self, probe: bool, now: Duration) {
        let opens = match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                *failures >= self.threshold
            }
            State::HalfOpen { .. } => probe,
            State::Open { .. } => false,
        };
        if opens {
            self.state = State::Open { since: now };
            self.counts.opened += 1;
            self.not_closed_since.get_or_insert(now);
        }
    }

    /// A probe ended without a verdict: it makes way for another.
    pub fn give_up_probe(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Setting, Value};

    fn circuit() -> Circuit {
        let settings = Settings::default()
            .with(Setting::CircuitBreakerThreshold, Value::Count(3))
            .with(Setting::CircuitBreakerTimeout, Value::Time(Duration::from_secs(10)))
            .with(Setting::CircuitBreakerReset, Value::Count(2));
        Circuit::new(&settings)
    }

    fn opened(at: Duration) -> Circuit {
        let mut circuit = circuit();
        for _ in 0..3 {
            assert_eq!(circuit.admit(at), Some(false));
            circuit.failed(false, at);
        }
        circuit
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let (mut circuit, now) = (circuit(), Duration::from_secs(100));
        for _ in 0..10 {
            circuit.failed(false, now);
            circuit.failed(false, now);
            circuit.succeeded(false, now);
        }
        assert_eq!(circuit.admit(now), Some(false));
        assert_eq!(opened(now).admit(now), None);
    }

    #[test]
    fn after_the_timeout_it_lets_one_probe_through_at_a_time() {
        let now = Duration::from_secs(100);
        let mut circuit = opened(now);
        assert_eq!(circuit.admit(now + Duration::from_millis(9_999)), None);
        let later = now + Duration::from_secs(10);
        assert_eq!(circuit.admit(later), Some(true));
        assert_eq!(circuit.admit(later), None);
        circuit.succeeded(true, later);
        assert_eq!(circuit.admit(later), Some(true));
        circuit.succeeded(true, later);
        assert_eq!(circuit.admit(later), Some(false));
        assert_eq!(circuit.state(later), BreakerState::Closed);
        let much_later = later + Duration::from_secs(60);
        let counts = BreakerCounts { opened: 1, half_opened: 1, closed: 1, open_seconds: 10.0 };
        assert_eq!(circuit.counts(much_later), counts);
    }

    #[test]
    fn a_failed_probe_opens_it_for_another_timeout() {
        let now = Duration::from_secs(100);
        let mut circuit = opened(now);
        let later = now + Duration::from_secs(10);
        assert_eq!(circuit.admit(later), Some(true));
        circuit.failed(true, later);
        assert_eq!(circuit.admit(later + Duration::from_secs(9)), None);
        assert_eq!(circuit.admit(later + Duration::from_secs(10)), Some(true));
        let counts = BreakerCounts { opened: 2, half_opened: 2, closed: 0, open_seconds: 25.0 };
        assert_eq!(circuit.counts(now + Duration::from_secs(25)), counts);
    }

    #[test]
    fn attempts_from_before_it_opened_change_nothing() {
        let now = Duration::from_secs(100);
        let mut circuit = opened(now);
        circuit.succeeded(false, now);
        circuit.failed(false, now + Duration::from_secs(9));
        let later = now + Duration::from_secs(10);
        assert_eq!(circuit.admit(later), Some(true));
        circuit.failed(false, later);
        circuit.succeeded(false, now);
        assert_eq!(circuit.admit(later), None, "the probe is still out");
    }
}
