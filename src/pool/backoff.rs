use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::Settings;

/// The delays between the attempts of a request.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    jitter: f64,
    random: Mutex<ChaCha8Rng>,
}

impl Backoff {
    pub(super) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            first: settings.initial_retry_delay(),
            cap: settings.max_retry_delay(),
            jitter: settings.retry_jitter_factor(),
            random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    /// The delay before the `retry`-th retry, counted from 1.
    pub(super) fn next(&self, retry: u32) -> Duration {
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(-1.0..=1.0);
        self.delay(retry, random)
    }

    /// The first delay, doubled each time, capped, and then varied by up to the jitter factor either way; `random` is
    /// uniform from −1 to 1.
    fn delay(&self, retry: u32, random: f64) -> Duration {
        let doublings = retry.saturating_sub(1).min(64);
        let plain = self.first.as_secs_f64() * f64::from(doublings).exp2();
        let capped = plain.min(self.cap.as_secs_f64());
        Duration::try_from_secs_f64(capped * (1.0 + self.jitter * random)).unwrap_or(self.cap)
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
    fn delays_double_up_to_the_cap() {
        let delays: Vec<_> = (1..=5).map(|retry| backoff(0.1).delay(retry, 0.0).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1000, 1000]);
        assert_eq!(backoff(0.1).delay(u32::MAX, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn jitter_varies_the_capped_delay_by_its_factor_either_way() {
        assert_eq!(backoff(0.2).delay(9, -1.0).as_millis(), 800);
        assert_eq!(backoff(0.2).delay(9, 1.0).as_millis(), 1200);
        assert_eq!(backoff(1.0).delay(1, -1.0), Duration::ZERO);
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
