use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{model::Settings, policy::retry_delay};

/// The delays between the attempts of a request.
#[derive(Debug)]
pub(super) struct Backoff {
    settings: Settings,
    random: Mutex<ChaCha8Rng>,
}

impl Backoff {
    pub(super) fn new(settings: &Settings, seed: u64) -> Self {
        Self { settings: settings.clone(), random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// The delay before the `retry`-th retry, counted from 1.
    pub(super) fn next(&self, retry: u32) -> Duration {
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(-1.0..=1.0);
        retry_delay(&self.settings, retry, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Setting, Value};

    fn backoff(jitter: f64) -> Backoff {
        Backoff::new(
            &Settings::default()
                .with(Setting::InitialRetryDelay, Value::Time(Duration::from_millis(200)))
                .with(Setting::MaxRetryDelay, Value::Time(Duration::from_secs(1)))
                .with(Setting::RetryJitterFactor, Value::Factor(jitter)),
            7,
        )
    }

    #[test]
    fn the_same_seed_gives_the_same_delays_and_all_lie_within_the_jitter() {
        let delays = || {
            let backoff = backoff(0.1);
            (0..1000).map(|_| backoff.next(1)).collect::<Vec<_>>()
        };
        let (first, second) = (delays(), delays());
        assert_eq!(first, second);
        assert!(first.iter().all(|delay| (180..=220).contains(&delay.as_millis())));
        assert!(first.iter().min().unwrap().as_millis() < 183 && first.iter().max().unwrap().as_millis() > 217);
    }
}
