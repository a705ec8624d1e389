use crate::cli::out::{errln, out, outln};
use std::{
    fs::{self, File},
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use comfy_table::{ContentArrangement, Table, presets};
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::Arguments,
    display::Display,
    exit::{WithCode, bad_input, code, job_error},
    from_script, profiles, run,
    stress_arguments::StressArguments,
};
use crate::{
    export::{self, HdrLog},
    job::{self, Suite, SuiteOptions, TargetLock},
    model::{External, Metric, MetricUnit, StressReport, Threshold},
    profile::{Profile, Scenario, Script, ScriptOptions, from_scripts, split_weight},
    report::{self, Grid},
    stress::{self, Event, Overrides, Session, StressError, Test},
    trial::{UNIT, Watch},
    tune::{self, Choice},
};

/// Stresses a pool.
pub(super) async fn stress(global: &Arguments, arguments: &StressArguments) -> Result<ExitCode> {
    if arguments.scenario.iter().any(|name| name == "list") {
        return list();
    }
    if arguments.threshold.iter().any(|text| text == "list") {
        return Ok(list_metrics());
    }
    if arguments.json_schema {
        return schema();
    }
    let mut profile = profiles::load(&arguments.profile)?;
    let (results, prefix) = (&arguments.results.results, export::Prefix::default());
    let at = arguments.results.at()?;
    let choice = job::choice_of(arguments.target.as_ref(), arguments.target_is_flag, &profile, &prefix, results, &at)
        .await
        .map_err(job_error)?;
    Suite::check(&choice).map_err(job_error)?;
    let service = matches!(&choice, Choice::External { target: External::Http(_), .. });
    if !arguments.file.is_empty() || !arguments.builtin.is_empty() {
        if service {
            return Err(bad_input(format!(
                "--file and --builtin are SQL, and profile `{}` loads a service over HTTP, whose requests are in its `target`: leave \
                 them out, or give a database with --target",
                profile.name
            )));
        }
        profile.do_as(scripts(arguments)?);
        let names: Vec<&str> = arguments.file.iter().chain(&arguments.builtin).map(String::as_str).collect();
        profile.name = format!("pgbench scripts {}", names.join(", "));
    }
    let tests = planned(arguments, &profile)?;
    // A bad file is told before the test, not after it.
    let earlier = arguments.compare.as_deref().map(|path| earlier(path, &tests, &profile.name)).transpose()?;
    let save = arguments.save.as_deref().map(create).transpose()?;
    let csv = arguments.csv.as_deref().map(create).transpose()?;
    let hdr_log = arguments.hdr_log.as_deref().map(create).transpose()?;
    let (cancel, finish) = (CancellationToken::new(), CancellationToken::new());
    let signals = tokio::task::JoinSet::from_iter([run::stop_on_signal(cancel.clone())?]);
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let name = format!("stress-{}", std::process::id());
    let _held = TargetLock::hold(&choice, &format!("test {name}")).map_err(job_error)?;
    let mut listen = |event: tune::Event| {
        if let (tune::Event::Notice(text), false) = (event, global.quiet) {
            errln!("note: {text}");
        }
    };
    let options = SuiteOptions {
        name: &name,
        seed,
        load_in_use: arguments.yes_load_this_database,
        leave_out: arguments.full_suite,
    };
    let opened = Box::pin(Suite::open(&choice, profile, tests, options, &mut listen));
    let mut suite = tokio::select! {
        () = cancel.cancelled() => return Err(interrupted()),
        opened = opened => opened.map_err(job_error)?,
    };
    if let Some(notice) = suite.notice() {
        errln!("note: {notice}");
    }
    let mut display = Display::new(global.quiet, arguments.plain, &cancel, &finish);
    let (tests, session) = suite.session(&cancel, &finish);
    let count = tests.len();
    let (reports, error) = run_all(session, tests, &mut display, hdr_log).await;
    // The terminal is given back before anything is printed.
    drop(display);
    suite.close().await;
    drop(signals);
    if let Some((mut file, path)) = csv {
        let rows: String =
            reports.iter().map(|report| export::stress_csv_rows(&report.scenario, &report.series)).collect();
        write(&mut file, &path, (export::stress_csv_header() + &rows).as_bytes())?;
    }
    if let Some((mut file, path)) = save.filter(|_| !reports.is_empty()) {
        write(&mut file, &path, (document(&reports, count)? + "\n").as_bytes())?;
    }
    let exit = if reports.is_empty() && error.is_some() {
        ExitCode::SUCCESS
    } else {
        show(arguments, global.quiet, count, &reports, earlier.as_ref())?
    };
    // What was measured before has been shown: only then is told why there is no more.
    error.map_or(Ok(exit), Err)
}

/// The tests that the command line asks for.
fn planned(arguments: &StressArguments, profile: &Profile) -> Result<Vec<Test>> {
    let thresholds = arguments.threshold.iter().map(|text| Threshold::parse(text)).collect::<Result<_, _>>();
    let overrides = Overrides {
        workers: arguments.workers,
        rate: arguments.rate,
        arrival: arguments.arrival.map(Into::into),
        duration: arguments.duration,
        think_time: arguments.think_time,
        settings: arguments.settings.0.clone(),
        thresholds: thresholds.map_err(|error| bad_input(format!("failed to read --threshold: {error}")))?,
        abort_on_fail: arguments.abort_on_fail,
    };
    let mut tests = Vec::new();
    for scenario in scenarios(arguments)? {
        tests.extend(stress::tests(&scenario, profile, &overrides).map_err(bad_input)?);
    }
    Ok(tests)
}

/// The workload of pgbench's scripts.
fn scripts(arguments: &StressArguments) -> Result<Profile> {
    let mut scripts = arguments.file.iter().map(|file| from_script::file_script(file)).collect::<Result<Vec<_>>>()?;
    for name in &arguments.builtin {
        let (name, weight) = split_weight(name).map_err(bad_input)?;
        scripts.push(Script::built_in(name, weight).map_err(bad_input)?);
    }
    let options = ScriptOptions {
        variables: from_script::variables(&arguments.define)?,
        scale: arguments.scale,
        workers: arguments.workers.unwrap_or(1),
        tables: !arguments.builtin.is_empty(),
    };
    from_scripts(&scripts, &options).map_err(bad_input)
}

fn scenarios(arguments: &StressArguments) -> Result<Vec<Scenario>> {
    let built_in = |name: &str, text: &str| Scenario::parse(name, text).map_err(bad_input);
    if arguments.full_suite {
        return Scenario::built_in().iter().map(|(name, text)| built_in(name, text)).collect();
    }
    let names: &[String] = &arguments.scenario;
    let names = if names.is_empty() { &["basic".to_owned()] } else { names };
    names.iter().map(|name| job::scenario(name, Path::new("")).map_err(job_error)).collect()
}

fn list() -> Result<ExitCode> {
    let mut grid = Grid { header: ["scenario", "about"].map(str::to_owned).to_vec(), ..Grid::default() };
    for (name, text) in Scenario::built_in() {
        grid.rows.push(vec![name.to_owned(), Scenario::parse(name, text).map_err(bad_input)?.about]);
    }
    outln!("{}", drawn(&grid));
    outln!("Write your own as profiles/scenarios/*.yaml are written, and run it by --scenario ./mine.yaml");
    Ok(ExitCode::SUCCESS)
}

/// What thresholds can be about. The figures of a distribution are many, so that each distribution is told once.
fn list_metrics() -> ExitCode {
    let header = ["metric", "in", "about", "--abort-on-fail"].map(str::to_owned).to_vec();
    let mut grid = Grid { header, ..Grid::default() };
    let figures = ["mean", "p50", "p90", "p95", "p99", "p999", "max"];
    for metric in Metric::all() {
        let unit = match metric.unit {
            MetricUnit::Seconds => "time (50ms)",
            MetricUnit::Share => "share (99%)",
            MetricUnit::Number => "number",
        };
        let figure = metric.name.split_once('_').filter(|(figure, _)| figures.contains(figure));
        let (name, about) = match figure {
            Some(("max", of)) => (format!("FIGURE_{of}"), metric.about.trim_start_matches("max of the ")),
            Some(_) => continue,
            None => (metric.name.to_owned(), metric.about),
        };
        let aborts = match (metric.only_grows(), figure, metric.name) {
            (true, Some(_), _) => "upper limits of max",
            (true, None, _) => "upper limits",
            (false, _, "success_rate") => "when out of reach",
            _ => "",
        };
        grid.rows.push([name, unit.to_owned(), about.to_owned(), aborts.to_owned()].to_vec());
    }
    outln!("{}", drawn(&grid));
    outln!(
        "FIGURE is one of {}. Write METRIC<LIMIT, or with <=, >, >=: --threshold 'p95_query<50ms'",
        figures.join(", ")
    );
    ExitCode::SUCCESS
}

fn schema() -> Result<ExitCode> {
    out!("{}", export::stress_schema().context("failed to write the schema")?);
    Ok(ExitCode::SUCCESS)
}

/// Makes every test. When one fails, gives those before it and the error.
async fn run_all(
    mut session: Session<'_>,
    tests: &[Test],
    display: &mut Display,
    hdr_log: Option<(File, PathBuf)>,
) -> (Vec<StressReport>, Option<anyhow::Error>) {
    let mut reports = Vec::with_capacity(tests.len());
    let mut hdr = hdr_log.is_some().then(HdrLog::default);
    let mut error = None;
    for (index, test) in tests.iter().enumerate() {
        if session.finish.is_cancelled() {
            break;
        }
        display.show(&Event::Began { test, index: index + 1, of: tests.len() });
        let mut trouble = None;
        let mut events = |event: Event<'_>| {
            if let (Event::Trial(Watch::Point { point, response }), Some(log)) = (&event, &mut hdr) {
                let start = point.at - point.seconds;
                trouble = log.add(&test.name, start, point.seconds, response, UNIT).err().or(trouble.take());
            }
            display.show(&event);
        };
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let result = session.run(test, now, &mut events).await;
        if let Some(trouble) = trouble {
            tracing::warn!("{trouble}");
        }
        match result {
            Ok(report) => reports.push(report),
            Err(StressError::Interrupted) => error = Some(interrupted()),
            Err(failed) => error = Some(anyhow::Error::new(failed)),
        }
        if error.is_some() {
            break;
        }
    }
    if let (Some(log), Some((mut file, path))) = (hdr, hdr_log)
        && let Err(unwritten) = write(&mut file, &path, log.bytes())
    {
        error = error.or(Some(unwritten));
    }
    (reports, error)
}

/// Opens a file to write to, so that a bad path is told before the test; what is in it stays until there is something new.
fn create(path: &Path) -> Result<(File, PathBuf)> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    file.map(|file| (file, path.to_owned())).map_err(|error| unwritable(path, &error))
}

/// Replaces what is in a file.
fn write(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::Error::new(WithCode {
        code: code::STORE,
        message: format!("failed to write `{}`: {error}; choose another path", path.display()),
    })
}

/// Reads what `stress --json` wrote: one test, or a list of them.
pub(super) fn read_reports(path: &Path) -> Result<Vec<StressReport>> {
    let shown = path.display();
    let failed = |problem: String| bad_input(format!("failed to read `{shown}`: {problem}"));
    let text = fs::read_to_string(path)
        .map_err(|error| failed(format!("{error}; name a file that `pool-tune stress --json` wrote")))?;
    let reports = serde_json::from_str::<StressReport>(&text)
        .map(|report| vec![report])
        .or_else(|one| serde_json::from_str::<Vec<StressReport>>(&text).map_err(|_| one))
        .map_err(|error| failed(format!("{error}; expected what `pool-tune stress --json` wrote")))?;
    match reports.iter().find(|report| report.format != stress::FORMAT) {
        Some(report) => Err(failed(format!(
            "it has format {}, and this version reads format {}: make the test again",
            report.format,
            stress::FORMAT
        ))),
        None => Ok(reports),
    }
}

/// Reads an earlier test to compare with.
fn earlier(path: &Path, tests: &[Test], profile: &str) -> Result<StressReport> {
    let [test] = tests else {
        return Err(bad_input(format!(
            "failed to compare: {} tests are to be made, and --compare takes one",
            tests.len()
        )));
    };
    let reports = read_reports(path)?;
    let found = reports.into_iter().find(|report| report.scenario == test.name);
    let found = found
        .ok_or_else(|| bad_input(format!("failed to compare: `{}` has no test of `{}`", path.display(), test.name)))?;
    report::comparable(profile, &test.offers(), &found)
        .map_err(|error| bad_input(format!("failed to compare: {error}")))?;
    Ok(found)
}

fn interrupted() -> anyhow::Error {
    anyhow::Error::new(WithCode {
        code: code::INTERRUPTED,
        message: "interrupted; nothing was kept (press `q`, or give --duration, to end a test early with its results)"
            .to_owned(),
    })
}

/// The document of a test; of several planned ones a list.
fn document(reports: &[StressReport], planned: usize) -> Result<String> {
    let text = match reports {
        [report] if planned == 1 => serde_json::to_string_pretty(report),
        reports => serde_json::to_string_pretty(reports),
    };
    text.context("failed to write JSON")
}

/// Prints the answer.
fn show(
    arguments: &StressArguments,
    quiet: bool,
    planned: usize,
    reports: &[StressReport],
    earlier: Option<&StressReport>,
) -> Result<ExitCode> {
    if arguments.json {
        outln!("{}", document(reports, planned)?);
    } else {
        for report in reports {
            let (headline, grids) = report::sections(report);
            if quiet {
                outln!("{headline}");
                continue;
            }
            outln!("\n== {headline}\n   {}\n", report.about);
            for grid in &grids {
                outln!("{}\n{}\n", grid.title, drawn(grid));
            }
            for warning in &report.warnings {
                outln!("warning: {warning}");
            }
        }
        if reports.len() > 1 {
            outln!("\n{}", drawn(&report::suite_grid(reports)));
        }
        if reports.len() < planned {
            outln!("{} of {planned} tests were made", reports.len());
        }
        if let ([report, ..], Some(earlier)) = (reports, earlier) {
            let comparison = report::compare(report, earlier);
            let grid = comparison.map_err(|error| bad_input(format!("failed to compare: {error}")))?.grid();
            outln!("\n{}\n{}", grid.title, drawn(&grid));
        }
    }
    let passed = reports.iter().all(|report| report.passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(code::THRESHOLD) })
}

/// The width of tables that go to a file or a pipe.
const FILE_WIDTH: u16 = 120;

/// A table as text.
pub(super) fn drawn(grid: &Grid) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    // A file has no width of its own, and sentences would make lines of hundreds of columns.
    if !std::io::stdout().is_terminal() {
        table.set_width(FILE_WIDTH);
    }
    if !grid.header.is_empty() {
        table.set_header(grid.header.clone());
    }
    table.add_rows(grid.rows.clone());
    table
}
