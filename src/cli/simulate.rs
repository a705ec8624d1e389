use crate::cli::out::{errln, outln};
use std::{fs, process::ExitCode, str::FromStr as _, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    arguments::{LoadShape, SimulateArguments},
    exit::bad_input,
    profiles,
    simulation::{self, Base},
    stress::drawn,
};
use crate::{
    model::{
        Estimate, Incident, IncidentKind, IncidentLoss, Incidents, OperatingDay, Prediction, Setting, Settings, Shape,
        Value, figures,
    },
    profile::MOST_INCIDENTS,
    report::{self, Grid},
    simulate::{self, Calibration, Day, MOST_HOURS, Operated, Outcome},
    stats,
};

/// Requests, of all simulations together, above which they are thinned: some twenty seconds of a processor's time. And what is
/// simulated of each quiet time then.
const MOST_REQUESTS: f64 = 200e6;
const WINDOW: Duration = Duration::from_secs(5);

/// What a day under some settings looks like.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    /// Requests served a second.
    throughput: f64,
    /// The share of requests that was served.
    success_rate: f64,
    /// Response time, 95th and 99th percentile, in seconds.
    response_p95: f64,
    response_p99: f64,
    /// Time to acquire a connection, 95th percentile.
    acquire_p95: f64,
    /// Connections opened an hour.
    reconnects: f64,
    /// Connections open on average.
    held: f64,
    /// Minutes that the circuit was not closed.
    circuit_open: f64,
    /// Attempts a request.
    attempts: f64,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    fn of(outcome: &Outcome) -> Self {
        let total = &outcome.total;
        let quantile = |of: &hdrhistogram::Histogram<u64>, share: f64| {
            Duration::from_nanos(of.value_at_quantile(share)).as_secs_f64()
        };
        let requests = (total.served + total.failed).max(1) as f64;
        Self {
            throughput: total.throughput(),
            success_rate: total.success_rate(),
            response_p95: quantile(&total.response, 0.95),
            response_p99: quantile(&total.response, 0.99),
            acquire_p95: quantile(&total.acquire, 0.95),
            reconnects: total.connections.opened as f64 / (total.seconds / 3600.0).max(1e-9),
            held: total.open / total.seconds.max(1e-9),
            circuit_open: outcome.breaker.open_seconds / 60.0,
            attempts: total.attempts as f64 / requests,
        }
    }
}

/// The document of `--json`.
#[derive(Serialize)]
struct Document<'a> {
    run: &'a str,
    /// Where the sample that it is made of was measured.
    source: &'a str,
    hours: f64,
    /// Requests a second at the highest; none where a file tells them.
    peak: Option<f64>,
    replications: u32,
    settings: &'a Settings,
    figures: &'a [Figures],
    against: Option<&'a Settings>,
    against_figures: &'a [Figures],
    /// What one incident of each kind does, on average over the hours.
    incidents: &'a [IncidentLoss],
    against_incidents: &'a [IncidentLoss],
    predictions: &'a [Prediction],
    warnings: &'a [String],
}

/// Simulates a stretch of operation on what a run has measured.
pub(super) async fn simulate(arguments: &SimulateArguments) -> Result<ExitCode> {
    // What is wrong on the command line is told before anything is read.
    incidents(arguments, &Incidents::default())?;
    if !(arguments.hours > 0.0 && arguments.hours <= MOST_HOURS) {
        return Err(bad_input(format!("--hours is {}: expected more than 0 and up to {MOST_HOURS}", arguments.hours)));
    }
    shape(arguments, &Shape::Diurnal)?;
    let Base { name: run, sample, settings: in_use, day: usual, note } = simulation::base(arguments).await?;
    let calibration = Calibration::of(&sample).map_err(|error| bad_input(format!("failed to {error}")))?;
    let (base, usual) = if let Some(name) = &arguments.profile {
        let profile = profiles::load(name)?;
        (profile.space.baseline, profile.day)
    } else {
        (in_use, usual)
    };
    let usual = usual.unwrap_or_default();
    let (incidents, shape) = (incidents(arguments, &usual.incidents)?, shape(arguments, &usual.shape)?);
    let settings = with(base, &arguments.set, "--set")?;
    let against = if arguments.vs.is_empty() { None } else { Some(with(settings.clone(), &arguments.vs, "--vs")?) };

    let capacity = sample.trials.iter().map(|of| of.measurement.throughput).fold(0.0, f64::max);
    let peak = arguments.peak.unwrap_or(usual.peak * capacity);
    if !(peak.is_finite() && peak > 0.0) {
        return Err(bad_input(format!("--peak is {peak}: expected requests a second, above 0")));
    }
    let day = Day { hours: arguments.hours, shape, peak, workers: calibration.workers.max(64), incidents, seed: 0 };
    let mut warnings = Vec::from_iter(note);
    if matches!(day.shape, Shape::Minutes(_)) && arguments.peak.is_some() {
        return Err(bad_input("--peak and --requests: the file says how many requests there are, leave --peak out"));
    }
    if !calibration.connect_measured {
        warnings.push("no trial of the run opened connections while measuring: 4 ms each are assumed".to_owned());
    }
    let predictions = Calibration::check(&sample, arguments.seed);
    let sides = if against.is_some() { 2.0 } else { 1.0 };
    let requests = day.requests() * f64::from(arguments.replications) * sides;
    let thinned = requests > MOST_REQUESTS;
    if thinned {
        warnings.push(format!(
            "{:.0} million requests are too many to simulate each: {} s of each quiet time stand for all of it, and connections \
             opened anew are estimated; --hours, --peak or --replications make it less",
            requests / 1e6,
            WINDOW.as_secs()
        ));
    }
    let outcomes = |settings: &Settings| -> Vec<Outcome> {
        let one = |place: u32| {
            let day = Day { seed: arguments.seed.wrapping_add(u64::from(place)), ..day.clone() };
            let mut plan = day.plan(settings, &calibration.world);
            plan.thinning = thinned.then_some(WINDOW);
            simulate::simulate(&plan)
        };
        (0..arguments.replications).map(one).collect()
    };
    let (these, those) = (outcomes(&settings), against.as_ref().map(outcomes).unwrap_or_default());
    if these.iter().chain(&those).any(|outcome| outcome.overloaded) {
        warnings.push(
            "more requests came than can be served, so that the backlog grew without end: the simulation stopped there, and \
             its figures are of the time before; lower --peak, or give the pool more connections"
                .to_owned(),
        );
    }
    let figures = |outcomes: &[Outcome]| outcomes.iter().map(Figures::of).collect::<Vec<_>>();
    let (these_figures, those_figures) = (figures(&these), figures(&those));
    let operating = OperatingDay { shape: day.shape.clone(), peak: 1.0, incidents: day.incidents.clone(), ..usual };
    let operated = Operated::new(&calibration, &operating, peak);
    let incidents = |settings: &Settings| -> Vec<IncidentLoss> {
        let seeds = (0..arguments.replications).map(|place| arguments.seed.wrapping_add(u64::from(place)));
        simulate::mean_incidents(&seeds.map(|seed| operated.incidents(settings, seed)).collect::<Vec<_>>())
    };
    let (these_incidents, those_incidents) =
        (incidents(&settings), against.as_ref().map(incidents).unwrap_or_default());
    let document = Document {
        incidents: &these_incidents,
        against_incidents: &those_incidents,
        run: &run,
        source: &sample.source,
        hours: arguments.hours,
        peak: Some(peak).filter(|_| arguments.requests.is_none()),
        replications: arguments.replications,
        settings: &settings,
        figures: &these_figures,
        against: against.as_ref(),
        against_figures: &those_figures,
        predictions: &predictions,
        warnings: &warnings,
    };
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&document).context("failed to write JSON")?);
    } else {
        show(&document, &calibration);
    }
    Ok(ExitCode::SUCCESS)
}

fn with(settings: Settings, flags: &[String], flag: &str) -> Result<Settings> {
    let mut settings = settings;
    for text in flags {
        let wrong = |problem: String| bad_input(format!("{flag} {text}: {problem}"));
        let (name, value) =
            text.split_once('=').ok_or_else(|| wrong("expected setting=value, such as idle_timeout=180".to_owned()))?;
        let setting = Setting::from_str(name.trim()).map_err(|error| wrong(error.to_string()))?;
        let value = Value::from_text(setting, value.trim()).map_err(|error| wrong(error.to_string()))?;
        settings = settings.with(setting, value);
    }
    settings.check().map_err(|rule| bad_input(format!("{flag}: {rule}")))?;
    Ok(settings)
}

fn incidents(arguments: &SimulateArguments, usual: &Incidents) -> Result<Incidents> {
    let mut incidents = usual.clone();
    for (kind, given) in [
        (IncidentKind::Restarts, arguments.restarts),
        (IncidentKind::Failovers, arguments.failovers),
        (IncidentKind::BrownOuts, arguments.brown_outs),
        (IncidentKind::PacketLoss, arguments.packet_loss),
        (IncidentKind::Resets, arguments.resets),
        (IncidentKind::Leaks, arguments.leaks),
    ] {
        let Some(a_day) = given else { continue };
        if !(a_day.is_finite() && (0.0..=MOST_INCIDENTS).contains(&a_day)) {
            let flag = kind.name().replace('_', "-");
            return Err(bad_input(format!("--{flag} is {a_day}: expected times a day, from 0 to {MOST_INCIDENTS}")));
        }
        incidents.set(kind, Incident { a_day, ..incidents.get(kind) });
    }
    if let Some(limit) = arguments.idle_limit {
        incidents.idle_limit = Some(limit.as_secs_f64());
    }
    Ok(incidents)
}

fn shape(arguments: &SimulateArguments, usual: &Shape) -> Result<Shape> {
    let Some(path) = &arguments.requests else {
        return Ok(match arguments.load {
            None => usual.clone(),
            Some(LoadShape::Flat) => Shape::Flat,
            Some(LoadShape::Diurnal) => Shape::Diurnal,
            Some(LoadShape::Business) => Shape::Business,
        });
    };
    let failed = |problem: String| bad_input(format!("failed to read --requests {}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Ok(Shape::Minutes(simulate::minutes(&text).map_err(|error| failed(error.to_string()))?))
}

fn show(document: &Document<'_>, calibration: &Calibration) {
    for warning in document.warnings {
        errln!("note: {warning}");
    }
    let requests = match document.peak {
        None => "requests of the file".to_owned(),
        Some(peak) => format!("at most {} requests a second", figures::rate(peak)),
    };
    outln!(
        "{} hours, {requests}, {} replications; a database as {} has measured it in {} trials",
        document.hours,
        document.replications,
        document.source,
        calibration.trials
    );
    outln!("{}", drawn(&table(document)));
    if let Some(against) = document.against {
        let changed: Vec<_> = document
            .settings
            .iter()
            .zip(against.iter())
            .filter(|((_, these), (_, those))| these != those)
            .map(|((setting, these), (_, those))| format!("{setting} {those} instead of {these}"))
            .collect();
        outln!("the other settings: {}", changed.join(", "));
    }
    if !document.incidents.is_empty() {
        outln!("{}", drawn(&incident_table(document)));
    }
    outln!("{}", drawn(&predictions(document.predictions)));
}

type Row = (&'static str, fn(&Figures) -> f64, fn(f64) -> String);

const ROWS: [Row; 9] = [
    ("requests served a second", |of| of.throughput, |rate| format!("{rate:.1}")),
    ("success rate", |of| of.success_rate, |share| format!("{:.4} %", share * 100.0)),
    ("response, p95", |of| of.response_p95, figures::time),
    ("response, p99", |of| of.response_p99, figures::time),
    ("connection acquisition, p95", |of| of.acquire_p95, figures::time),
    ("connections opened an hour", |of| of.reconnects, |count| format!("{count:.1}")),
    ("connections open, on average", |of| of.held, |count| format!("{count:.2}")),
    ("circuit not closed, minutes", |of| of.circuit_open, |minutes| format!("{minutes:.2}")),
    ("attempts a request", |of| of.attempts, |attempts| format!("{attempts:.5}")),
];

fn table(document: &Document<'_>) -> Grid {
    let is_compared = !document.against_figures.is_empty();
    let mut header = vec![String::new(), "these settings".to_owned()];
    if is_compared {
        header.extend([
            "the other settings".to_owned(),
            "difference (95 % interval of the simulations' chance)".to_owned(),
        ]);
    }
    let mean = |of: &[Figures], pick: fn(&Figures) -> f64| stats::mean(&of.iter().map(pick).collect::<Vec<_>>());
    let rows = ROWS.iter().map(|(name, pick, shown)| {
        let mut row = vec![(*name).to_owned(), shown(mean(document.figures, *pick))];
        if is_compared {
            row.push(shown(mean(document.against_figures, *pick)));
            let pairs = document.figures.iter().zip(document.against_figures);
            let differences: Vec<f64> = pairs.map(|(these, those)| pick(those) - pick(these)).collect();
            row.push(match stats::mean_estimate(&differences, 0.95) {
                Ok(Estimate { value, interval }) => {
                    // What is nothing when written has no sign.
                    let signed = |of: f64| match (shown(of.abs()), of < 0.0) {
                        (text, _) if text == shown(0.0) => text,
                        (text, true) => format!("−{text}"),
                        (text, false) => format!("+{text}"),
                    };
                    let ends = [signed(interval.low), signed(interval.high)];
                    if ends.iter().all(|end| *end == shown(0.0)) {
                        "none".to_owned()
                    } else {
                        format!("{} [{}, {}]", signed(value), ends[0], ends[1])
                    }
                }
                Err(_) => "one replication has no interval".to_owned(),
            });
        }
        row
    });
    Grid { title: String::new(), rows: rows.collect(), header }
}

/// What incidents do, kind by kind.
fn incident_table(document: &Document<'_>) -> Grid {
    let is_compared = !document.against_incidents.is_empty();
    let mut header = vec!["what one incident does".to_owned(), "these settings".to_owned()];
    if is_compared {
        header.push("the other settings".to_owned());
    }
    let shown = |of: &IncidentLoss| {
        format!(
            "{} requests late or lost, half served again after {}, {:.0} connections opened",
            figures::rate(of.requests),
            figures::time(of.recovery),
            of.opened
        )
    };
    let rows = document.incidents.iter().enumerate().map(|(place, these)| {
        let those = document.against_incidents.get(place).map(shown);
        [these.kind.in_words().to_owned(), shown(these)].into_iter().chain(those).collect()
    });
    Grid { title: String::new(), rows: rows.collect(), header }
}

fn predictions(of: &[Prediction]) -> Grid {
    let header =
        ["how far the simulation is: predicted from the other sizes", "throughput", "p95 query", "p95 acquisition"];
    let rows = of.iter().map(|one| {
        let name = format!("{} connections ({} trials)", one.connections, one.trials);
        std::iter::once(name).chain(report::prediction(one)).collect()
    });
    let median = std::iter::once("median error".to_owned()).chain(report::median_errors(of)).collect();
    let rows = rows.chain([median]).collect();
    Grid { title: String::new(), header: header.map(str::to_owned).to_vec(), rows }
}
