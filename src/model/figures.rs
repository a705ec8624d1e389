//! How times, rates and shares are written, the same wherever a person reads them.

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// A time given in seconds, to three digits in the unit that suits it: `85.0 µs`, `4.92 ms`, `12.3 s`.
pub(crate) fn time(seconds: f64) -> String {
    // The bounds are those at which three digits round up to the next unit.
    let (value, unit) = match seconds.abs() {
        size if !size.is_finite() => return NONE.to_owned(),
        0.0 => return "0 ms".to_owned(),
        size if size >= 0.9995 => (seconds, "s"),
        size if size >= 99.95e-6 => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// A rate: whole from a hundred on, with a decimal below.
pub(crate) fn rate(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => NONE.to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 99.5 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

/// A share as whole per cent, where more digits would say nothing: `87 %`.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0} %", share * 100.0) } else { NONE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_in_the_unit_that_suits_them() {
        let written = [3e-7, 85e-6, 0.000_12, 0.004_918, 0.009_999, 0.0123, 0.25, 0.9996, 12.0, 3600.0].map(time);
        assert_eq!(
            written,
            ["0.30 µs", "85.0 µs", "0.12 ms", "4.92 ms", "10.0 ms", "12.3 ms", "250 ms", "1.00 s", "12.0 s", "3600 s"]
        );
        assert_eq!([0.0, f64::NAN].map(time), ["0 ms", "–"]);
    }

    #[test]
    fn rates_have_a_decimal_where_it_matters() {
        assert_eq!([0.0, 0.04, 12.34, 99.6, 1234.4, f64::INFINITY].map(rate), ["0", "0.0", "12.3", "100", "1234", "–"]);
        assert_eq!(percent(0.874), "87 %");
    }
}
