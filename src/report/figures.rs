//! How figures are written, the same in every text that a person reads.

pub(crate) use crate::model::figures::{NONE, rate, time};
use crate::model::{Estimate, Interval};

/// A relative change as per cent with its sign: `+18.8 %`.
pub(crate) fn change(value: f64) -> String {
    if value.is_finite() { format!("{:+.1} %", tenths_of_percent(value)) } else { NONE.to_owned() }
}

/// A relative change with its interval: `+18.8 % [+6.9, +32.1]`.
pub(crate) fn change_interval(change: Estimate) -> String {
    let Interval { low, high } = change.interval;
    format!("{} [{:+.1}, {:+.1}]", self::change(change.value), tenths_of_percent(low), tenths_of_percent(high))
}

/// A difference of shares in percentage points, with its interval: `-0.31 points [-0.52, -0.10]`.
pub(crate) fn points_interval(difference: Estimate) -> String {
    // Rounded first, so that nothing is written as `-0.00`.
    let points = |share: f64| (share * 1e4).round() / 1e2 + 0.0;
    let Interval { low, high } = difference.interval;
    format!("{:+.2} points [{:+.2}, {:+.2}]", points(difference.value), points(low), points(high))
}

/// Per cent without the sign, for sentences that say "more" or "less": `18.8 %`.
pub(crate) fn size(value: f64) -> String {
    format!("{:.1} %", value.abs() * 100.0)
}

/// Rounded before it is written, so that nothing is written as `-0.0`.
pub(crate) fn tenths_of_percent(value: f64) -> f64 {
    (value * 1000.0).round() / 10.0 + 0.0
}

/// A share as per cent: `99.37 %`. What is not all is never written as `100.00 %`.
pub(crate) fn share(value: f64) -> String {
    format!("{} %", bare_share(value))
}

/// A share with its interval: `99.37 % [99.26, 99.47]`.
pub(crate) fn share_interval(share: Estimate) -> String {
    format!("{} [{}, {}]", self::share(share.value), bare_share(share.interval.low), bare_share(share.interval.high))
}

fn bare_share(value: f64) -> String {
    let percent = value * 100.0;
    (2..8)
        .map(|decimals| format!("{percent:.decimals$}"))
        .find(|text| percent >= 100.0 || !text.starts_with("100."))
        .unwrap_or_else(|| "100".to_owned())
}

/// A rate with its interval: `14034 [12467, 15798]`.
pub(crate) fn rate_interval(rate: Estimate) -> String {
    format!("{} [{}, {}]", self::rate(rate.value), self::rate(rate.interval.low), self::rate(rate.interval.high))
}

/// A parameter of any size, to three significant digits: `1843`, `0.0101`, `1.02e-6`.
pub(crate) fn parameter(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if size == 0.0 {
        "0".to_owned()
    } else if size < 1e-4 {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else {
        let decimals = [10.0, 1.0, 0.1, 0.01, 0.001].iter().position(|bound| size >= *bound).map_or(6, |at| at + 1);
        format!("{value:.decimals$}")
    }
}

/// A parameter with its interval.
pub(crate) fn parameter_interval(estimate: Estimate) -> String {
    format!(
        "{} [{}, {}]",
        parameter(estimate.value),
        parameter(estimate.interval.low),
        parameter(estimate.interval.high)
    )
}

/// A bar of block characters, `width` of them at the full length, in steps of an eighth.
pub(crate) fn bar(value: f64, full: f64, width: u32) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if !(value > 0.0 && full > 0.0 && value.is_finite() && full.is_finite()) {
        return String::new();
    }
    let mut left = ((value / full).min(1.0) * f64::from(width) * 8.0).round();
    let mut text = String::new();
    while left >= 8.0 {
        text.push('█');
        left -= 8.0;
    }
    let part = (1_u8..8).zip(EIGHTHS).rfind(|(eighths, _)| f64::from(*eighths) <= left);
    text.extend(part.map(|(_, block)| block));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_as_minus_zero() {
        assert_eq!(change(-4.9e-6), "+0.0 %");
        assert_eq!(change(-0.371), "-37.1 %");
    }

    #[test]
    fn what_is_not_all_is_not_written_as_all() {
        assert_eq!(share(0.999_997), "99.9997 %");
        assert_eq!(share(1.0), "100.00 %");
        assert_eq!(share(0.9937), "99.37 %");
    }

    #[test]
    fn parameters_have_three_digits() {
        let written = [1842.9, 16.543, 1.5, 0.010_089, 0.003_617, 1.015e-6, 0.0].map(parameter);
        assert_eq!(written, ["1843", "16.5", "1.50", "0.0101", "0.00362", "1.02e-6", "0"]);
    }

    #[test]
    fn bars_end_in_eighths() {
        assert_eq!(bar(1.0, 1.0, 4), "████");
        assert_eq!(bar(0.5, 1.0, 3), "█▌");
        assert_eq!(bar(0.0, 1.0, 3), "");
        assert_eq!(bar(f64::NAN, 1.0, 3), "");
    }
}
