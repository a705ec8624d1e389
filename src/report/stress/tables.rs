use crate::{
    model::{
        BreakerState, Cpu, Ended, Estimate, Fault, FaultRecord, Finding, Latency, Measurement, MetricUnit, Offered,
        StressLoad, StressReport, ThresholdOutcome, Utilisation, figures::percent,
    },
    report::{figures, words},
};

/// A table of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// What stands above it; empty for nothing.
    pub title: String,
    /// The columns' names; empty for none.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    fn new(title: &str, header: &[&str]) -> Self {
        Self { title: title.to_owned(), header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }
}

/// The test in a sentence, and its tables in the order in which a reader wants them; empty ones are left out.
#[must_use]
pub fn sections(report: &StressReport) -> (String, Vec<Grid>) {
    let grids = [
        key_metrics(report),
        times(&report.measurement),
        errors(&report.measurement),
        faults(&report.measurement.faults),
        ladder(report),
        thresholds(report),
        findings_grid(&report.findings),
    ];
    (headline(report), grids.into_iter().filter(|grid| !grid.rows.is_empty()).collect())
}

fn headline(report: &StressReport) -> String {
    let missed = report.thresholds.iter().filter(|outcome| !outcome.holds).count();
    let verdict = match (report.thresholds.len(), missed) {
        (_, 0) if !report.passed => "FAILED: the server does not answer any more".to_owned(),
        (0, _) => "no threshold was set".to_owned(),
        (_, 0) => "PASSED: every threshold holds".to_owned(),
        (all, missed) => format!("FAILED: {missed} of {all} thresholds missed"),
    };
    let early = match report.measurement.ended {
        Ended::Completed => String::new(),
        Ended::Stopped | Ended::SuccessLimitMissed | Ended::ThresholdMissed => {
            format!(
                " · ended early{}, after {} of {}",
                report.ended_by.as_ref().map_or(String::new(), |threshold| format!(" by {threshold}")),
                figures::time(report.measurement.seconds),
                figures::time(report.load.seconds)
            )
        }
    };
    format!("{} · {verdict}{early}", report.scenario)
}

/// What was offered, in words.
pub(crate) fn load(load: &StressLoad) -> String {
    let highest = load.pacing.highest();
    let stages = match load.pacing.stages.len() {
        0 | 1 => String::new(),
        n => format!(", in {n} stages"),
    };
    let seconds = figures::time(load.seconds);
    match load.pacing.offered {
        Offered::Workers => {
            let think = load.think_time.map_or(String::new(), |time| format!(", {} think time", figures::time(time)));
            format!("{highest:.0} workers{stages}{think}, {seconds}")
        }
        Offered::ConstantRate => format!("{} requests a second{stages}, {seconds}", figures::rate(highest)),
        Offered::PoissonRate => format!("{} requests a second at random{stages}, {seconds}", figures::rate(highest)),
    }
}

fn key_metrics(report: &StressReport) -> Grid {
    let of = &report.measurement;
    let mut grid = Grid::new("Key metrics", &[]);
    let mut row = |name: &str, figure: String| grid.rows.push(vec![name.to_owned(), figure]);
    row("load", load(&report.load));
    let settings = &report.settings;
    row(
        "pool",
        format!(
            "{} to {} connections, {} to get one, {} retries",
            settings.min_connections(),
            settings.max_connections(),
            figures::time(settings.connection_timeout().as_secs_f64()),
            settings.retry_attempts()
        ),
    );
    row("queries per second (QPS)", figures::rate(of.throughput));
    let success = Estimate { value: of.requests.success_rate, interval: of.requests.success_interval };
    let all = of.requests.succeeded + of.requests.failed;
    row("success rate", format!("{} ({} of {all})", figures::share_interval(success), of.requests.succeeded));
    if let Some(offered) = of.offered {
        row(
            "offered",
            format!(
                "{} requests ({} a second); {} not begun by the end",
                offered.requests,
                figures::rate(offered.rate),
                offered.not_started
            ),
        );
    }
    row(
        "pool utilisation",
        match of.utilisation {
            known if known.total > 0.0 => format!(
                "{} ({:.1} of {:.1} connections in use; most {} of {})",
                figures::share(known.mean),
                known.active,
                known.total,
                known.peak_active,
                known.peak_total
            ),
            // A service may tell less of its pool, or nothing.
            Utilisation { active, peak_active, .. } if active > 0.0 => {
                format!("{} ({active:.1} connections in use; most {peak_active})", figures::NONE)
            }
            _ => figures::NONE.to_owned(),
        },
    );
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let attempts = if all > 0 { 1.0 + of.requests.retries as f64 / all as f64 } else { 1.0 };
    row("attempts a request", format!("{attempts:.3} ({} retries)", of.requests.retries));
    row(
        "connections",
        format!(
            "{} opened; {} closed by lifetime, {} idle, {} broken",
            of.connections.opened,
            of.connections.closed_lifetime,
            of.connections.closed_idle,
            of.connections.closed_broken
        ),
    );
    row(
        "circuit breaker",
        if of.breaker.opened == 0 && of.breaker.open_seconds <= 0.0 {
            "stayed closed".to_owned()
        } else {
            format!("opened {} times; not closed for {}", of.breaker.opened, figures::time(of.breaker.open_seconds))
        },
    );
    // What was simulated took no processors that say anything.
    if of.cpu != Cpu::default() {
        row(
            "processors",
            format!(
                "load generator {}, database {}, others {}",
                percent(of.cpu.own),
                percent(of.cpu.database),
                percent(of.cpu.other)
            ),
        );
    }
    grid
}

/// A figure of a distribution of times, and how it is written.
type TimesRow = (&'static str, fn(&Latency) -> String);

/// A column a part, as thresholds name them; so it fits 80 columns.
fn times(of: &Measurement) -> Grid {
    let parts: [(&str, &Latency); 7] = [
        ("response", &of.response),
        ("query", &of.query),
        ("acquire", &of.acquire.total),
        ("wait", &of.acquire.wait),
        ("open", &of.acquire.open),
        ("validate", &of.acquire.validate),
        ("hold", &of.hold),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, part)| part.count > 0).collect();
    let figures: [TimesRow; 8] = [
        ("n", |part| part.count.to_string()),
        ("mean", |part| figures::time(part.mean)),
        ("p50", |part| figures::time(part.p50)),
        ("p90", |part| figures::time(part.p90)),
        ("p95", |part| figures::time(part.p95)),
        ("p99", |part| figures::time(part.p99)),
        ("p999", |part| figures::time(part.p999)),
        ("max", |part| figures::time(part.max)),
    ];
    let title = "Times (response: from when a request was meant to start; acquire: to get a\n\
                 connection, of which are wait, open and validate)";
    let mut grid = Grid { title: title.to_owned(), ..Grid::default() };
    if parts.is_empty() {
        return grid;
    }
    grid.header = std::iter::once("").chain(parts.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    let row = |(name, figure): TimesRow| {
        std::iter::once(name.to_owned()).chain(parts.iter().map(|(_, part)| figure(part))).collect()
    };
    grid.rows = figures.into_iter().map(row).collect();
    grid
}

fn errors(of: &Measurement) -> Grid {
    let mut grid = Grid::new("Failed attempts", &["class", "code", "count", "the first one"]);
    for error in &of.errors {
        grid.rows.push(vec![
            words::error(error.class).to_owned(),
            error.code.clone().unwrap_or_default(),
            error.count.to_string(),
            error.example.split_whitespace().collect::<Vec<_>>().join(" "),
        ]);
    }
    grid
}

/// A fault with its figures: `latency 20 ms ± 10 ms`.
#[must_use]
pub fn fault_in_words(fault: &Fault) -> String {
    use crate::model::FaultKind as Kind;
    let share = if fault.kind.takes_share() && fault.share < 1.0 {
        // As many digits as it was given with, so that 50 % is no 50.00 %.
        format!(" on {} % of the connections", (fault.share * 1e4).round() / 1e2)
    } else {
        String::new()
    };
    let what = match &fault.kind {
        Kind::Latency { delay, jitter } => {
            format!("latency {} ± {}", figures::time(delay.as_secs_f64()), figures::time(jitter.as_secs_f64()))
        }
        Kind::Bandwidth { bytes_per_second } => format!("bandwidth {bytes_per_second} B/s"),
        Kind::DropAfter { bytes } => format!("reset after {bytes} B"),
        Kind::Hold { connections, in_transaction: true } => format!("{connections} connections held in transactions"),
        Kind::Hold { connections, in_transaction: false } => format!("{connections} connections held"),
        Kind::DropSilently => "connections dropped silently".to_owned(),
        Kind::Reset => "connections reset".to_owned(),
        Kind::Stall => "connections stalled".to_owned(),
        Kind::Refuse => "new connections refused".to_owned(),
        Kind::Terminate => "sessions ended by the server".to_owned(),
        Kind::Pause => "server paused".to_owned(),
        Kind::Restart => "server restarted".to_owned(),
    };
    format!("{what}{share}")
}

/// The time until throughput was back.
fn back(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "not by the end".to_owned(), |seconds| format!("after {seconds:.1} s"))
}

fn faults(of: &[FaultRecord]) -> Grid {
    let mut grid = Grid::new(
        "Faults",
        &["fault", "from", "to", "back at 50 %", "back at 95 %", "failed", "attempts", "opened", "circuit not closed"],
    );
    for record in of {
        let at = |at: Option<f64>| at.map_or_else(|| figures::NONE.to_owned(), |at| format!("{at:.2} s"));
        let mut row = vec![fault_in_words(&record.fault), at(record.began), at(record.ended)];
        match &record.recovery {
            Some(found) => row.extend([
                back(found.half_seconds),
                back(found.seconds),
                found.failed.to_string(),
                format!("{:.2}", found.attempts),
                found.opened.to_string(),
                figures::time(found.circuit_open),
            ]),
            None => row.extend(std::iter::repeat_n(figures::NONE.to_owned(), 6)),
        }
        if let Some(problem) = &record.problem {
            row[0].push_str(&format!(" ({problem})"));
        }
        grid.rows.push(row);
    }
    grid
}

/// The percentiles that a person looks at; the document has all steps.
const SHOWN: [f64; 8] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];

fn ladder(report: &StressReport) -> Grid {
    let mut grid = Grid::new("Response times", &["percentile", "time", "requests"]);
    let mut last = 0;
    for percentile in SHOWN {
        // The first step that reaches it.
        let Some(rung) = report.ladder.iter().find(|rung| rung.percentile >= percentile - 1e-9) else { continue };
        if rung.count == last && percentile < 100.0 {
            continue;
        }
        last = rung.count;
        grid.rows.push(vec![format!("{percentile} %"), figures::time(rung.seconds), rung.count.to_string()]);
    }
    grid
}

fn thresholds(report: &StressReport) -> Grid {
    let mut grid = Grid::new("Thresholds", &["", "threshold", "measured"]);
    for outcome in &report.thresholds {
        let measured = measured_in_words(outcome);
        let mark = if outcome.holds { "✓ holds" } else { "✗ missed" };
        grid.rows.push(vec![mark.to_owned(), outcome.threshold.clone(), measured]);
    }
    grid
}

/// What was measured for a threshold, in its unit.
#[must_use]
pub fn measured_in_words(outcome: &ThresholdOutcome) -> String {
    outcome.measured.map_or_else(
        || "nothing to measure, or never".to_owned(),
        match outcome.unit {
            MetricUnit::Seconds => figures::time,
            MetricUnit::Share => figures::share,
            MetricUnit::Number => figures::parameter,
        },
    )
}

/// Findings as a table.
#[must_use]
pub fn findings_grid(findings: &[Finding]) -> Grid {
    let mut grid = Grid::new("Diagnosis", &["", "what", "evidence", "what to change"]);
    for finding in findings {
        grid.rows.push(vec![
            finding.severity.name().to_owned(),
            finding.title.clone(),
            finding.evidence.join("; "),
            finding.remedy.clone(),
        ]);
    }
    grid
}

/// A suite at a glance: one row a test.
#[must_use]
pub fn suite_grid(reports: &[StressReport]) -> Grid {
    let mut grid = Grid::new(
        "",
        &["scenario", "verdict", "QPS", "success rate", "response p95", "slowest back at 50 %", "breaker"],
    );
    for report in reports {
        let of = &report.measurement;
        let recoveries: Vec<Option<f64>> =
            of.faults.iter().filter_map(|record| record.recovery).map(|found| found.half_seconds).collect();
        let recovery = if recoveries.is_empty() {
            figures::NONE.to_owned()
        } else if recoveries.contains(&None) {
            "not by the end".to_owned()
        } else {
            format!("{:.1} s", recoveries.into_iter().flatten().fold(0.0, f64::max))
        };
        let verdict = match (report.thresholds.is_empty(), report.passed) {
            (true, true) => "compared only",
            (false, true) => "✓ passed",
            (_, false) => "✗ failed",
        };
        grid.rows.push(vec![
            report.scenario.clone(),
            verdict.to_owned(),
            figures::rate(of.throughput),
            figures::share(of.requests.success_rate),
            figures::time(of.response.p95),
            recovery,
            match of.breaker.opened {
                0 if of.breaker.open_seconds > 0.0 => {
                    format!("open at first, {}", figures::time(of.breaker.open_seconds))
                }
                0 => "closed".to_owned(),
                opened => format!("opened {opened}×"),
            },
        ]);
    }
    grid
}

/// What a circuit breaker does, in a word.
#[must_use]
pub fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    }
}
