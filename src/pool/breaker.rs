use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    model::{BreakerCounts, BreakerState, Settings},
    policy::Circuit,
};

/// A circuit breaker that all requests of a pool ask.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Closed without a failure since the last success: then nobody needs the lock.
    calm: AtomicBool,
    circuit: Mutex<Circuit>,
    /// What its times count from.
    made: Instant,
}

impl Breaker {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { calm: AtomicBool::new(true), circuit: Mutex::new(Circuit::new(settings)), made: Instant::now() }
    }

    /// Asks to make an attempt; `None` when the circuit is open.
    pub(super) fn permit(&self) -> Option<Permit<'_>> {
        let probe = !self.calm.load(Ordering::Acquire) && self.lock().admit(self.now())?;
        Some(Permit { breaker: self, probe })
    }

    pub(super) fn counts(&self) -> BreakerCounts {
        self.lock().counts(self.now())
    }

    /// What it does with requests now. An open circuit whose time is over is told as half-open: the next request
    /// probes it.
    pub(super) fn state(&self) -> BreakerState {
        if self.calm.load(Ordering::Acquire) { BreakerState::Closed } else { self.lock().state(self.now()) }
    }

    fn now(&self) -> Duration {
        self.made.elapsed()
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
        circuit.succeeded(self.probe, self.breaker.now());
        self.breaker.calm.store(circuit.is_calm(), Ordering::Release);
        self.probe = false;
    }

    /// The attempt did not.
    pub(super) fn failed(mut self) {
        let mut circuit = self.breaker.lock();
        self.breaker.calm.store(false, Ordering::Release);
        circuit.failed(self.probe, self.breaker.now());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Setting, Value};

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
