use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::model::{BreakerCounts, BreakerState, Settings};

/// A circuit breaker: consecutive failures open it; when it has been open for a time it lets one probe through after
/// another (half-open); enough successful probes close it, one that fails opens it again.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Closed without a failure since the last success: then nobody needs the lock.
    calm: AtomicBool,
    circuit: Mutex<Circuit>,
}

impl Breaker {
    pub(super) fn new(settings: &Settings) -> Self {
        let circuit = Circuit {
            threshold: settings.circuit_breaker_threshold(),
            timeout: settings.circuit_breaker_timeout(),
            reset: settings.circuit_breaker_reset(),
            state: State::Closed { failures: 0 },
            counts: BreakerCounts::default(),
            not_closed_since: None,
            not_closed: Duration::ZERO,
        };
        Self { calm: AtomicBool::new(true), circuit: Mutex::new(circuit) }
    }

    /// Asks to make an attempt; `None` when the circuit is open.
    pub(super) fn permit(&self) -> Option<Permit<'_>> {
        let probe = !self.calm.load(Ordering::Acquire) && self.lock().admit(Instant::now())?;
        Some(Permit { breaker: self, probe })
    }

    pub(super) fn counts(&self) -> BreakerCounts {
        self.lock().counts(Instant::now())
    }

    /// What it does with requests now. An open circuit whose time is over is told as half-open: the next request
    /// probes it.
    pub(super) fn state(&self) -> BreakerState {
        if self.calm.load(Ordering::Acquire) { BreakerState::Closed } else { self.lock().state(Instant::now()) }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one attempt. Dropped without a verdict (the attempt was given up), it makes way for another probe.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Permit<'_> {
    /// The attempt reached the database.
    pub(super) fn succeeded(mut self) {
        if self.breaker.calm.load(Ordering::Acquire) {
            return;
        }
        let mut circuit = self.breaker.lock();
        circuit.succeeded(self.probe, Instant::now());
        self.breaker.calm.store(circuit.state == State::Closed { failures: 0 }, Ordering::Release);
        self.probe = false;
    }

    /// The attempt did not.
    pub(super) fn failed(mut self) {
        let mut circuit = self.breaker.lock();
        self.breaker.calm.store(false, Ordering::Release);
        circuit.failed(self.probe, Instant::now());
        self.probe = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.lock().give_up_probe();
        }
    }
}

/// The state machine, without clock or lock.
#[derive(Debug)]
struct Circuit {
    threshold: u32,
    timeout: Duration,
    reset: u32,
    state: State,
    counts: BreakerCounts,
    not_closed_since: Option<Instant>,
    not_closed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { successes: u32, probing: bool },
}

impl Circuit {
    fn counts(&self, now: Instant) -> BreakerCounts {
        let still = self.not_closed_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        BreakerCounts { open_seconds: (self.not_closed + still).as_secs_f64(), ..self.counts }
    }

    fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { since } if now.saturating_duration_since(since) < self.timeout => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether an attempt may be made, and if so, whether it is a probe.
    fn admit(&mut self, now: Instant) -> Option<bool> {
        if let State::Open { since } = self.state
            && now.saturating_duration_since(since) >= self.timeout
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

    fn succeeded(&mut self, probe: bool, now: Instant) {
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen { successes, probing } if probe => {
                *successes += 1;
                *probing = false;
                if *successes >= self.reset {
                    self.state = State::Closed { failures: 0 };
                    self.counts.closed += 1;
                    let since = self.not_closed_since.take();
                    self.not_closed += since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
                }
            }
            // The attempt was let through before the circuit opened; its news is old.
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    fn failed(&mut self, probe: bool, now: Instant) {
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

    fn give_up_probe(&mut self) {
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
        Breaker::new(&settings).circuit.into_inner().unwrap()
    }

    fn opened(at: Instant) -> Circuit {
        let mut circuit = circuit();
        for _ in 0..3 {
            assert_eq!(circuit.admit(at), Some(false));
            circuit.failed(false, at);
        }
        circuit
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let (mut circuit, now) = (circuit(), Instant::now());
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
        let now = Instant::now();
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
        let now = Instant::now();
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
        let now = Instant::now();
        let mut circuit = opened(now);
        circuit.succeeded(false, now);
        circuit.failed(false, now + Duration::from_secs(9));
        let later = now + Duration::from_secs(10);
        assert_eq!(circuit.admit(later), Some(true));
        circuit.failed(false, later);
        circuit.succeeded(false, now);
        assert_eq!(circuit.admit(later), None, "the probe is still out");
    }

    #[test]
    fn a_probe_given_up_makes_way_for_another() {
        let settings = Settings::default()
            .with(Setting::CircuitBreakerThreshold, Value::Count(1))
            .with(Setting::CircuitBreakerTimeout, Value::Time(Duration::ZERO));
        let breaker = Breaker::new(&settings);
        breaker.permit().unwrap().failed();
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_none());
        drop(probe);
        assert!(breaker.permit().is_some());
    }
}
