use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Unanswered;
use crate::profile::{RolloutBound, RolloutQuery};

/// What a question was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is called.
    pub name: String,
    /// The value.
    pub value: f64,
}

/// What all gates said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The figures that were read.
    pub figures: Vec<Figure>,
    /// Each gate that does not hold, with what was seen and what is due.
    pub failed: Vec<String>,
    /// Each source that tells nothing, with why.
    pub down: Vec<String>,
    /// Each question that nobody will ever answer, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// The figures from before the first stage, by the names of the queries.
pub type Before = BTreeMap<String, f64>;

/// What the answers to queries mean. Without figures from before, what is held against them is not judged.
#[must_use]
pub fn judge(queries: &[RolloutQuery], answers: Vec<Result<f64, Unanswered>>, before: Option<&Before>) -> Reading {
    let mut reading = Reading::default();
    for (query, answer) in queries.iter().zip(answers) {
        let name = &query.name;
        match answer {
            Ok(value) if value.is_finite() => {
                reading.figures.push(Figure { name: name.clone(), value });
                reading.failed.extend(failing(query, value, before));
            }
            Ok(value) if value.is_nan() => {
                reading.down.push(format!("`{name}` has no value: the answer is NaN, as of 0 / 0; see that it is asked of something that happens"));
            }
            // Infinity breaks a bound as any value does, but no other figure can be held against it.
            Ok(value) => match failing(query, value, before) {
                Some(failing) => reading.failed.push(failing),
                None => reading.down.push(format!("`{name}` is {value}, which is no figure")),
            },
            Err(Unanswered::Down(problem)) => reading.down.push(format!("`{name}`: {problem}")),
            Err(Unanswered::Refused(problem)) => reading.refused.push(format!("`{name}`: {problem}")),
        }
    }
    reading
}

fn failing(query: &RolloutQuery, value: f64, before: Option<&Before>) -> Option<String> {
    let name = &query.name;
    let against = |share: f64, sign: f64| {
        let before = *before?.get(name)?;
        Some((before, before + sign * share * before.abs()))
    };
    let told = |word: &str, due: f64| format!("`{name}` is {}, {word} {}", shown(value), shown(due));
    match query.bound {
        RolloutBound::AtLeast(due) => (value < due).then(|| told("due is at least", due)),
        RolloutBound::AtMost(due) => (value > due).then(|| told("due is at most", due)),
        RolloutBound::NotMore(share) => {
            let (before, due) = against(share, 1.0)?;
            (value > due).then(|| format!("{} (before it was {})", told("due is at most", due), shown(before)))
        }
        RolloutBound::NotLess(share) => {
            let (before, due) = against(share, -1.0)?;
            (value < due).then(|| format!("{} (before it was {})", told("due is at least", due), shown(before)))
        }
    }
}

/// A figure with as many digits as tell it from its bound.
pub(super) fn shown(value: f64) -> String {
    let text = format!("{value:.6}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() || short == "-" || (short == "0" && value != 0.0) || value.abs() >= 1e15 {
        format!("{value:e}")
    } else {
        short.to_owned()
    }
}

/// The middle of some readings' figures; nothing of a name that one of them has not.
#[must_use]
pub fn medians(readings: &[Vec<Figure>]) -> Before {
    let Some((first, others)) = readings.split_first() else { return Before::new() };
    let of = |figure: &Figure| {
        let same =
            |figures: &Vec<Figure>| figures.iter().find(|other| other.name == figure.name).map(|other| other.value);
        let mut values: Vec<f64> = others.iter().map(same).collect::<Option<_>>()?;
        values.push(figure.value);
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some((figure.name.clone(), median))
    };
    first.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(bound: RolloutBound) -> RolloutQuery {
        RolloutQuery { name: "x".to_owned(), query: "x".to_owned(), bound }
    }

    #[test]
    fn bounds_are_kept_at_their_edge_and_told_beyond_it() {
        let before = Before::from([("x".to_owned(), 0.2)]);
        let failed = |bound, value| judge(&[query(bound)], vec![Ok(value)], Some(&before)).failed.pop();
        for (bound, good, bad, told) in [
            (RolloutBound::AtLeast(0.99), 0.99, 0.9, "`x` is 0.9, due is at least 0.99"),
            (RolloutBound::AtMost(0.05), 0.05, 0.051, "`x` is 0.051, due is at most 0.05"),
            (RolloutBound::NotMore(0.5), 0.3, 0.31, "`x` is 0.31, due is at most 0.3 (before it was 0.2)"),
            (RolloutBound::NotLess(0.5), 0.1, 0.09, "`x` is 0.09, due is at least 0.1 (before it was 0.2)"),
        ] {
            assert_eq!(failed(bound, good), None);
            assert_eq!(failed(bound, bad).as_deref(), Some(told));
        }
        assert_eq!(failed(RolloutBound::AtMost(1.0), f64::INFINITY).as_deref(), Some("`x` is inf, due is at most 1"));
        // Without figures from before there is nothing to hold against.
        assert!(judge(&[query(RolloutBound::NotMore(0.1))], vec![Ok(9.0)], None).failed.is_empty());
    }

    #[test]
    fn what_has_no_value_is_down_and_fails_nothing() {
        let reading = judge(&[query(RolloutBound::AtLeast(1.0))], vec![Ok(f64::NAN)], None);
        assert!(reading.failed.is_empty() && reading.down[0].contains("NaN"), "{reading:?}");
        let reading = judge(&[query(RolloutBound::AtLeast(1.0))], vec![Err(Unanswered::Down("no".to_owned()))], None);
        assert_eq!(reading.down, ["`x`: no"]);
        let wrong = vec![Err(Unanswered::Refused("no".to_owned()))];
        let reading = judge(&[query(RolloutBound::AtLeast(1.0))], wrong, None);
        assert!(reading.refused == ["`x`: no"] && reading.down.is_empty(), "{reading:?}");
    }

    #[test]
    fn the_middle_of_readings_is_what_was_before() {
        let reading = |value| vec![Figure { name: "x".to_owned(), value }];
        assert_eq!(medians(&[reading(9.0), reading(1.0), reading(2.0)]).get("x"), Some(&2.0));
        assert_eq!(medians(&[reading(1.0), reading(2.0)]).get("x"), Some(&1.5));
        assert!(medians(&[reading(1.0), Vec::new()]).is_empty());
    }

    #[test]
    fn figures_are_short_and_never_nothing() {
        assert_eq!([0.0, 0.25, 12.0, 1e-9, -0.5, 1e20].map(shown), ["0", "0.25", "12", "1e-9", "-0.5", "1e20"]);
    }
}
