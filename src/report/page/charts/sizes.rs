//! What the number of connections does: throughput, and the time in the database against it.

use std::collections::BTreeMap;

use super::{header, under_load};
use crate::{
    curve::Scalability,
    model::{Interval, Measurement, Recommendation, ThroughputCurve},
    report::{
        ReportedTrial, figures,
        page::chart::{Axis, Chart, Colour, Mark, Point, Shape, plain},
    },
    stats,
};

/// The trials of one number of connections.
struct Size<'a> {
    connections: u32,
    trials: Vec<&'a Measurement>,
    /// Mean throughput.
    mean: f64,
    /// The 95 % interval of the mean, where trials of some size were repeated.
    interval: Option<Interval>,
}

impl Size<'_> {
    fn at(&self) -> f64 {
        f64::from(self.connections)
    }

    fn average(&self, figure: impl Fn(&Measurement) -> f64) -> f64 {
        stats::mean(&self.trials.iter().map(|of| figure(of)).collect::<Vec<_>>())
    }
}

/// Trials by size. Two or three trials of a size say little of how much they spread, so that the relative spread is taken
/// from all sizes together, and a single trial has an interval too.
fn sizes<'a>(trials: &[ReportedTrial<'a>]) -> Vec<Size<'a>> {
    let mut by_size: BTreeMap<u32, Vec<&Measurement>> = BTreeMap::new();
    // Trials of the insight vary validation, which is no matter of size.
    for of in
        under_load(trials).iter().filter(|of| of.trial.phase != "insight" && of.trial.measurement.throughput > 0.0)
    {
        by_size.entry(of.trial.settings.max_connections()).or_default().push(of.trial.measurement);
    }
    let logs = |of: &[&Measurement]| of.iter().map(|one| one.throughput.ln()).collect::<Vec<_>>();
    let (mut squares, mut freedom) = (0.0, 0.0);
    for of in by_size.values() {
        let logs = logs(of);
        let centre = stats::mean(&logs);
        squares += logs.iter().map(|log| (log - centre).powi(2)).sum::<f64>();
        freedom += stats::real(logs.len() - 1);
    }
    by_size
        .into_iter()
        .map(|(connections, trials)| {
            let mean = stats::mean(&trials.iter().map(|of| of.throughput).collect::<Vec<_>>());
            let interval = (freedom >= 1.0).then(|| {
                let error = (squares / freedom / stats::real(trials.len())).sqrt();
                let reach = stats::student_quantile(0.975, freedom) * error;
                Interval { low: mean * (-reach).exp(), high: mean * reach.exp() }
            });
            Size { connections, trials, mean, interval }
        })
        .collect()
}

fn law(curve: &ThroughputCurve) -> Scalability {
    Scalability { lambda: curve.lambda.value, sigma: curve.sigma.value, kappa: curve.kappa.value }
}

/// Sizes from the smallest to the largest tried, close together.
fn between(range: Interval) -> impl Iterator<Item = f64> {
    (0..=60).map(move |step| range.low + (range.high - range.low) * f64::from(step) / 60.0)
}

/// Throughput against connections.
pub(in crate::report::page) fn throughput(
    curve: Option<&ThroughputCurve>,
    trials: &[ReportedTrial<'_>],
) -> Option<Chart> {
    let sizes = sizes(trials);
    let best = sizes.iter().max_by(|one, other| one.mean.total_cmp(&other.mean))?;
    let mut marks = Vec::new();
    let mut values: Vec<f64> = sizes.iter().flat_map(|size| size.trials.iter().map(|of| of.throughput)).collect();
    let mut told = format!(
        "Most was served with {} connections: {} requests a second{}.",
        best.connections,
        figures::rate(best.mean),
        match best.trials.len() {
            1 => ", in a single trial".to_owned(),
            trials => format!(", the mean of {trials} trials"),
        }
    );
    if let Some(curve) = curve {
        if let Some(optimum) = curve.optimum {
            let [best, low, high] =
                [optimum.value, optimum.interval.low, optimum.interval.high].map(figures::parameter);
            told.push_str(&format!(
                " The fitted curve has its optimum at {best}, with a 95 % interval from {low} to {high}."
            ));
            let name = format!("95 % interval of the optimum: {low} to {high}");
            marks.push(Mark::Span { name, colour: Colour::C, span: optimum.interval });
            let name = format!("optimum of the curve: {best}");
            marks.push(Mark::Rule { name, colour: Colour::C, at: optimum.value, across: false });
        }
        let band = curve
            .fitted
            .iter()
            .map(|point| (f64::from(point.connections), point.throughput.interval.low, point.throughput.interval.high));
        let band: Vec<_> = band.collect();
        values.extend(band.iter().flat_map(|(_, low, high)| [*low, *high]));
        marks.push(Mark::Band { name: "95 % band of the curve".to_owned(), colour: Colour::A, points: band });
        marks.push(Mark::Line {
            name: "fitted curve (Universal Scalability Law)".to_owned(),
            colour: Colour::A,
            points: between(curve.range).map(|at| (at, law(curve).throughput(at))).collect(),
        });
    }
    let point = |x, y, interval| Point { x, y, interval };
    marks.push(Mark::Points {
        name: "a trial".to_owned(),
        colour: Colour::Ink,
        shape: Shape::Dot,
        across: false,
        points: sizes
            .iter()
            .flat_map(|size| size.trials.iter().map(|of| point(size.at(), of.throughput, None)))
            .collect(),
    });
    values.extend(sizes.iter().filter_map(|size| size.interval).flat_map(|interval| [interval.low, interval.high]));
    marks.push(Mark::Points {
        name: "mean of a size, with 95 % interval".to_owned(),
        colour: Colour::B,
        shape: Shape::Square,
        across: false,
        points: sizes.iter().map(|size| point(size.at(), size.mean, size.interval)).collect(),
    });
    told.push_str(" Intervals of means are from the spread between trials of one size, all sizes together.");
    Some(Chart {
        id: "throughput",
        title: "Throughput against connections",
        told,
        x: Axis::counted("connections (max_connections)", sizes.iter().map(Size::at)),
        y: Axis::from_zero("requests a second", values, figures::rate),
        marks,
        header: header(&["connections", "trials", "mean requests/s [95 % interval]", "fitted [95 % band]"]),
        rows: sizes
            .iter()
            .map(|size| {
                let fitted =
                    curve.and_then(|curve| curve.fitted.iter().find(|point| point.connections == size.connections));
                vec![
                    size.connections.to_string(),
                    size.trials.len().to_string(),
                    match size.interval {
                        Some(Interval { low, high }) => {
                            format!("{} [{}, {}]", figures::rate(size.mean), figures::rate(low), figures::rate(high))
                        }
                        None => figures::rate(size.mean),
                    },
                    fitted.map_or(figures::NONE.to_owned(), |point| figures::rate_interval(point.throughput)),
                ]
            })
            .collect(),
    })
}

/// Times against throughput, size by size: where more connections cost time and bring nothing.
pub(in crate::report::page) fn knee(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Option<Chart> {
    let sizes: Vec<Size<'_>> =
        sizes(trials).into_iter().filter(|size| size.trials.iter().all(|of| of.hold.count > 0)).collect();
    let (first, last) = (sizes.first()?, sizes.last()?);
    if sizes.len() < 2 {
        return None;
    }
    let hold = |size: &Size<'_>| size.average(|of| of.hold.mean);
    let tail = |size: &Size<'_>| size.average(|of| of.query.p95);
    let mut marks = Vec::new();
    let mut rates: Vec<f64> = sizes.iter().map(|size| size.mean).collect();
    if let Some(curve) = &recommendation.curve {
        // With more connections than workers some are idle, and the law of what all of them do does not hold.
        let workers = f64::from(recommendation.provenance.workers);
        let points = between(curve.range).filter(|at| *at <= workers);
        let points: Vec<_> = points.map(|at| (law(curve).throughput(at), law(curve).hold(at) * 1e3)).collect();
        rates.extend(points.iter().map(|(rate, _)| *rate));
        marks.push(Mark::Line { name: "time held, by the fitted curve".to_owned(), colour: Colour::A, points });
    }
    let points = |name: &str, colour, shape, figure: &dyn Fn(&Size<'_>) -> f64, interval: bool| Mark::Points {
        name: name.to_owned(),
        colour,
        shape,
        across: true,
        points: sizes
            .iter()
            .map(|size| Point { x: size.mean, y: figure(size) * 1e3, interval: size.interval.filter(|_| interval) })
            .collect(),
    };
    marks.push(points("time that a request holds its connection, mean", Colour::A, Shape::Circle, &hold, false));
    let name = "query time, 95th percentile, with the 95 % interval of throughput";
    marks.push(points(name, Colour::B, Shape::Triangle, &tail, true));
    rates.extend(sizes.iter().filter_map(|size| size.interval).flat_map(|interval| [interval.low, interval.high]));
    // Sizes next to each other have figures next to each other: a word at each would be written over the next.
    let shown = |place: usize| place.is_multiple_of(sizes.len().div_ceil(12)) || place + 1 == sizes.len();
    let labels = sizes.iter().enumerate().filter(|(place, _)| shown(*place));
    marks.push(Mark::Labels(
        labels.map(|(_, size)| (size.mean, tail(size) * 1e3, size.connections.to_string())).collect(),
    ));
    let values = sizes.iter().flat_map(|size| [hold(size) * 1e3, tail(size) * 1e3]);
    Some(Chart {
        id: "knee",
        title: "Latency against throughput",
        told: format!(
            "From {} to {} connections, as the figures beside the points say, the time that a request holds its connection goes \
             from {} to {} and the 95th percentile of query time from {} to {}. The knee is where the time rises and throughput \
             does not. Times are those in the database: under a load of {} workers the time until the answer, waiting included, \
             follows from their number and throughput.",
            first.connections,
            last.connections,
            figures::time(hold(first)),
            figures::time(hold(last)),
            figures::time(tail(first)),
            figures::time(tail(last)),
            recommendation.provenance.workers,
        ),
        x: Axis::around("requests a second", rates, figures::rate),
        y: Axis::from_zero("time, ms", values, plain),
        marks,
        header: header(&["connections", "requests/s", "time held, mean", "query time, p95", "response time, p95"]),
        rows: sizes
            .iter()
            .map(|size| {
                vec![
                    size.connections.to_string(),
                    figures::rate(size.mean),
                    figures::time(hold(size)),
                    figures::time(tail(size)),
                    figures::time(size.average(|of| of.response.p95)),
                ]
            })
            .collect(),
    })
}
