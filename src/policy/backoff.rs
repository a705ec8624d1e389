use std::time::Duration;

use crate::model::Settings;

/// The delay before the `retry`-th retry, counted from 1: the first delay, doubled each time, capped, and then varied by up
/// to the jitter factor either way; `random` is uniform from −1 to 1.
#[must_use]
pub fn retry_delay(settings: &Settings, retry: u32, random: f64) -> Duration {
    let (first, cap) = (settings.initial_retry_delay(), settings.max_retry_delay());
    let doublings = retry.saturating_sub(1).min(64);
    let plain = first.as_secs_f64() * f64::from(doublings).exp2();
    let capped = plain.min(cap.as_secs_f64());
    Duration::try_from_secs_f64(capped * (1.0 + settings.retry_jitter_factor() * random)).unwrap_or(cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Setting, Value};

    fn delay(jitter: f64, retry: u32, random: f64) -> Duration {
        let settings = Settings::default()
            .with(Setting::InitialRetryDelay, Value::Time(Duration::from_millis(200)))
            .with(Setting::MaxRetryDelay, Value::Time(Duration::from_secs(1)))
            .with(Setting::RetryJitterFactor, Value::Factor(jitter));
        retry_delay(&settings, retry, random)
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let delays: Vec<_> = (1..=5).map(|retry| delay(0.1, retry, 0.0).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1000, 1000]);
        assert_eq!(delay(0.1, u32::MAX, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn jitter_varies_the_capped_delay_by_its_factor_either_way() {
        assert_eq!(delay(0.2, 9, -1.0).as_millis(), 800);
        assert_eq!(delay(0.2, 9, 1.0).as_millis(), 1200);
        assert_eq!(delay(1.0, 1, -1.0), Duration::ZERO);
    }
}
