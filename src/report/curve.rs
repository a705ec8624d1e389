//! Throughput against connections: the fitted law and what was measured.

use super::{
    figures,
    markdown::{Align, table, text},
};
use crate::model::{Recommendation, ThroughputCurve};

/// Characters of the longest bar.
const BAR: u32 = 24;

/// The section, without its heading.
pub(super) fn section(recommendation: &Recommendation) -> String {
    match (&recommendation.curve, &recommendation.no_curve) {
        (Some(curve), _) => told(curve),
        (None, Some(reason)) => format!("No curve was fitted: {}.\n", text(reason.trim_end_matches('.'))),
        (None, None) => "No curve was fitted.\n".to_owned(),
    }
}

fn told(curve: &ThroughputCurve) -> String {
    let mut peak = match curve.optimum {
        Some(optimum) => format!(
            "The fitted curve peaks at **{} connections** [{}, {}]",
            figures::parameter(optimum.value),
            figures::parameter(optimum.interval.low),
            figures::parameter(optimum.interval.high)
        ),
        None => "The fitted curve has no peak to tell".to_owned(),
    };
    if let Some(remark) = &curve.remark {
        peak.extend([": ", &text(remark.trim_end_matches('.'))]);
    }
    let parameters = [
        ("λ", curve.lambda, "requests a second that one connection alone would serve"),
        ("σ", curve.sigma, "contention: the share of work that is serial"),
        ("κ", curve.kappa, "crosstalk: what each pair of connections costs"),
    ]
    .map(|(name, estimate, meaning)| vec![name.to_owned(), figures::parameter_interval(estimate), meaning.to_owned()]);
    format!(
        "{peak}; {} to {} connections were tried.\n\n{}\nThe Universal Scalability Law, \
         X(N) = λN / (1 + σ(N−1) + κN(N−1)), with 95 % intervals:\n\n{}",
        curve.range.low,
        curve.range.high,
        points(curve),
        table(&[("", Align::Left), ("value [95 % interval]", Align::Left), ("meaning", Align::Left)], &parameters)
    )
}

/// What was measured at each size, with the fitted curve.
fn points(curve: &ThroughputCurve) -> String {
    let full = curve.points.iter().map(|point| point.throughput).fold(0.0, f64::max);
    let rows: Vec<Vec<String>> = curve
        .points
        .iter()
        .map(|point| {
            let fitted = curve.fitted.iter().find(|fitted| fitted.connections == point.connections);
            vec![
                point.connections.to_string(),
                format!("{} ({})", figures::rate(point.throughput), point.trials),
                figures::bar(point.throughput, full, BAR),
                fitted.map_or(figures::NONE.to_owned(), |fitted| figures::rate_interval(fitted.throughput)),
                fitted.map_or(figures::NONE.to_owned(), |fitted| figures::time(fitted.response_time)),
            ]
        })
        .collect();
    table(
        &[
            ("connections", Align::Right),
            ("requests/s (trials)", Align::Right),
            ("", Align::Left),
            ("fitted [95 % band]", Align::Right),
            ("response time", Align::Right),
        ],
        &rows,
    )
}
