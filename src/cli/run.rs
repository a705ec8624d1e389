use crate::cli::out::{errln, out, outln};
use std::{
    fs::{self, File, TryLockError},
    io::{IsTerminal as _, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use rand::RngExt as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{Arguments, RunArguments},
    exit::{WithCode, bad_input, code},
    import, profiles,
    progress::Display,
    runs, simulation,
};
use crate::{
    export::{self, Prefix},
    model::{Dialect, Provenance, Recommendation, Verdict},
    profile::Profile,
    report,
    store::{self, NewRun, RunStatus, Store, TrialRecord},
    tune::{self, Choice, Event, Private, Session, Stage, TuneError},
};

/// What a run needs to know before it touches a database, new or resumed.
struct Intent {
    id: String,
    profile: Profile,
    profile_file: Option<String>,
    flags: Vec<String>,
    seed: u64,
    prefix: Prefix,
    stored: Vec<TrialRecord>,
    resumed: bool,
}

/// Tunes.
pub(super) async fn run(global: &Arguments, arguments: &RunArguments) -> Result<ExitCode> {
    let folder = &arguments.results.results;
    let choice = choice(arguments.target.as_ref(), folder).await?;
    let prefix = Prefix::parse(&arguments.prefix).map_err(bad_input)?;
    // A bad profile is told before anything is made on disk.
    let fresh = match arguments.resume {
        None => Some(new_intent(arguments, prefix)?),
        Some(_) => None,
    };
    let _lock = lock(folder)?;
    let store = Store::open(&runs::path(folder)).await?;
    // The folder is ours: whoever was at work in it before has died.
    store.bury_the_dead().await?;
    let stored = match (&arguments.resume, arguments.target.is_some()) {
        (Some(resume), false) => Some(store.run(resume).await?.intent.target),
        _ => None,
    };
    let choice = match stored.filter(|target| simulation::is_without_database(target)) {
        // What has no database has no secret, so that it need not be given again.
        Some(target) => self::choice(Some(&target.into()), folder).await?,
        None => choice,
    };
    let intent = match (fresh, &arguments.resume) {
        (Some(intent), _) => intent,
        (None, resume) => resumed_intent(&store, resume.as_deref().unwrap_or("latest"), &choice).await?,
    };
    let run_folder = folder.join(&intent.id);
    store::check_writable(&run_folder)?;

    let cancel = CancellationToken::new();
    let signals = tokio::task::JoinSet::from_iter([stop_on_signal(cancel.clone())?]);
    // Beside a document, a person at a terminal still sees how it goes.
    let mut display = Display::new(global.quiet || (arguments.json && !std::io::stderr().is_terminal()));
    let result = Box::pin(tuned(&store, arguments, &choice, intent, &cancel, &mut display, &run_folder)).await;
    drop(signals);
    display.clear();
    let (recommendation, files) = match result {
        Ok(done) => done,
        Err(Stopped { run, error }) => {
            // It holds nothing yet, unless the run had ended before; then it is not empty, and stays.
            fs::remove_dir(&run_folder).ok();
            return Err(stopped(&store, run, error, &choice, folder).await);
        }
    };
    store.close().await;
    show(arguments, global.quiet, &recommendation, &files)?;
    Ok(match recommendation.verdict {
        Verdict::Infeasible { .. } => ExitCode::from(code::INFEASIBLE),
        Verdict::Better | Verdict::Simulated { .. } | Verdict::Keep { .. } => ExitCode::SUCCESS,
    })
}

/// A run that ended without an answer; `run` once it is stored.
struct Stopped {
    run: Option<String>,
    error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { run: None, error: error.into() }
    }
}

/// Opens the target, runs the session, writes the files; the target is closed whatever happens.
async fn tuned(
    store: &Store,
    arguments: &RunArguments,
    choice: &Choice,
    mut intent: Intent,
    cancel: &CancellationToken,
    display: &mut Display,
    folder: &Path,
) -> Result<(Recommendation, Vec<PathBuf>), Stopped> {
    let mut events = |event: Event| display.show(&event);
    let opened = Stage::open(
        choice,
        &mut intent.profile,
        &intent.id,
        intent.seed,
        arguments.yes_load_this_database,
        &mut events,
    );
    let mut stage = tokio::select! {
        () = cancel.cancelled() => return Err(TuneError::Interrupted.into()),
        opened = opened => opened?,
    };
    if let Err(error) = stage.allow_fault_part(&mut intent.profile, intent.seed, &mut events).await {
        Box::pin(stage.close()).await;
        return Err(error.into());
    }
    let result = session(store, arguments, &intent, &mut stage, cancel, &mut events, folder).await;
    Box::pin(stage.close()).await;
    result.map_err(|error| Stopped { run: Some(intent.id), error })
}

async fn session(
    store: &Store,
    arguments: &RunArguments,
    intent: &Intent,
    stage: &mut Stage,
    cancel: &CancellationToken,
    events: &mut dyn FnMut(Event),
    folder: &Path,
) -> Result<(Recommendation, Vec<PathBuf>)> {
    let profile = &intent.profile;
    let provenance = Provenance {
        run: intent.id.clone(),
        profile: profile.name.clone(),
        profile_file: intent.profile_file.clone(),
        seed: intent.seed,
        flags: intent.flags.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        target: stage.target_shown().to_owned(),
        server: stage.server_shown().to_owned(),
        machine: tune::machine(),
        workers: profile.workers,
        limits: profile.limits,
        search_trials: 0,
        stopped_because: String::new(),
    };
    if intent.resumed {
        store.set_status(&intent.id, RunStatus::Running).await?;
    } else {
        store.begin_run(&new_run(arguments, intent, &provenance, stage)).await?;
    }
    let plan = tune::session_plan(profile, &provenance, stage.free_connections(), intent.stored.len());
    events(Event::Planned(Box::new(plan)));
    let mut warnings = stage.warnings().to_vec();
    for warning in profile.warnings() {
        events(Event::Notice(warning.clone()));
        warnings.push(warning);
    }
    if intent.resumed && matches!(provenance.target.as_str(), "private" | "mariadb:private" | "sqlite:private") {
        let started = "the run was resumed on a new private server, so its trials come from two servers".to_owned();
        events(Event::Notice(started.clone()));
        warnings.push(started);
    }
    let session = Session {
        profile,
        provenance,
        store,
        target: stage.target(),
        stored: intent.stored.clone(),
        warnings,
        cancel,
        events,
    };
    let recommendation = session.run().await?;
    // The answer is in the store before the files are written: a full disk must not cost it.
    store.finish_run(&intent.id, &recommendation).await?;
    let files = write(store, profile, &recommendation, &intent.prefix, folder).await?;
    Ok((recommendation, files))
}

/// Writes a run's files from what the store holds.
async fn write(
    store: &Store,
    profile: &Profile,
    recommendation: &Recommendation,
    prefix: &Prefix,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let Provenance { run, server, .. } = &recommendation.provenance;
    let trials = store.trials(run).await?;
    let mut files = Vec::new();
    files.extend(export::config_py(recommendation, prefix).map(|text| ("config.py", text)));
    files.push(("recommendation.yaml", export::recommendation_yaml(recommendation)?));
    if profile.day.is_some() {
        let sample = tune::sample(run, server, profile, &trials);
        files.push(("calibration.json", serde_json::to_string(&sample).context("failed to write the calibration")?));
    }
    let trials = runs::reported(&trials);
    files.push(("summary.md", report::summary_md(recommendation, &trials)));
    files.push(("report.html", report::report_html(recommendation, &trials)));
    Ok(store::write_results(folder, &files)?)
}

fn new_run(arguments: &RunArguments, intent: &Intent, provenance: &Provenance, stage: &Stage) -> NewRun {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    NewRun {
        id: intent.id.clone(),
        started_at: now,
        profile_name: intent.profile.name.clone(),
        profile_file: intent.profile_file.clone(),
        profile_source: intent.profile.source.clone(),
        pins: arguments.pin.clone(),
        ranges: arguments.range.clone(),
        seed: intent.seed,
        target: provenance.target.clone(),
        server_version: provenance.server.clone(),
        server_settings: stage.server_settings().clone(),
        machine: provenance.machine.clone(),
        program_version: provenance.program.clone(),
        prefix: intent.prefix.to_string(),
        pid: std::process::id(),
        trials: arguments.trials,
        pairs: arguments.pairs,
        seconds: None,
        experiment: None,
        round: None,
    }
}

/// The target that the user chose; without a word a private PostgreSQL, or SQLite where there is none.
pub(super) async fn choice(target: Option<&SecretString>, results: &Path) -> Result<Choice> {
    Ok(match target.map(ExposeSecret::expose_secret) {
        None | Some("" | "private") => Choice::Private(Private::any()),
        Some("postgres:private" | "postgresql:private") => Choice::Private(Private::Server(Dialect::Postgres)),
        Some("mariadb:private" | "mysql:private") => Choice::Private(Private::Server(Dialect::MySql)),
        Some("sqlite:private") => Choice::Private(Private::File { instead: false }),
        Some("simulated") => Choice::Simulated,
        Some(name) if let Some(name) = simulation::named(name) => simulation::choice(name, results).await?,
        Some(_) => Choice::Server(
            crate::database::Server::from_url(target.unwrap_or(&SecretString::default())).map_err(bad_input)?,
        ),
    })
}

fn new_intent(arguments: &RunArguments, prefix: Prefix) -> Result<Intent> {
    let mut profile = profiles::load(arguments.profile.as_deref().unwrap_or("medium"))?;
    if let Some(file) = &arguments.baseline {
        let (_, imported) = import::read(file, None, None)?;
        for note in &imported.notes {
            errln!("{}: {note}", file.display());
        }
        profile = profile.in_use(&imported.values).map_err(bad_input)?;
    }
    let flags = override_profile(&mut profile, &arguments.pin, &arguments.range, arguments.trials, arguments.pairs)?;
    let id = if let Some(name) = &arguments.name {
        checked_id(name)?
    } else {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let digits: String = now.chars().filter(char::is_ascii_digit).collect();
        let id = format!("{}-{}-{}", &digits[..8], &digits[8..], slug(&profile.name));
        // Two runs may begin within a second.
        let taken = |id: &String| arguments.results.results.join(id).exists();
        let further = (2..).map(|number| format!("{id}-{number}"));
        std::iter::once(id.clone()).chain(further).find(|id| !taken(id)).unwrap_or(id)
    };
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let profile_file = arguments.profile.clone().filter(|name| profiles::is_file(name));
    Ok(Intent { id, profile, profile_file, flags, seed, prefix, stored: Vec::new(), resumed: false })
}

/// Changes the profile as the command line says; gives the words that say it.
fn override_profile(
    profile: &mut Profile,
    pins: &[String],
    ranges: &[String],
    trials: Option<u32>,
    pairs: Option<u32>,
) -> Result<Vec<String>> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: &dyn std::fmt::Display| flags.extend([name.to_owned(), value.to_string()]);
    for pin in pins {
        profile.pin(pin).map_err(bad_input)?;
        flag("--pin", pin);
    }
    for range in ranges {
        profile.range(range).map_err(bad_input)?;
        flag("--range", range);
    }
    if let Some(trials) = trials {
        profile.budget.search_trials = trials;
        flag("--trials", &trials);
    }
    if let Some(pairs) = pairs {
        profile.budget.verification_pairs = pairs;
        flag("--pairs", &pairs);
    }
    Ok(flags)
}

/// A name that is one folder's name.
fn checked_id(name: &str) -> Result<String> {
    let good = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if name.is_empty() || name == "latest" || name.starts_with('.') || !name.chars().all(good) {
        return Err(bad_input(format!(
            "--name is \"{name}\": expected letters, digits, `-`, `_` and `.`, and not `latest`"
        )));
    }
    Ok(name.to_owned())
}

fn slug(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
}

/// What a stored run was about to do.
async fn resumed_intent(store: &Store, run: &str, choice: &Choice) -> Result<Intent> {
    let stored = store.run(run).await?;
    let run = stored.intent;
    if stored.status == RunStatus::Finished {
        return Err(bad_input(format!(
            "run {} has finished: there is nothing to go on with; `pool-tune show {}` tells it",
            run.id, run.id
        )));
    }
    if choice.shown() != run.target {
        return Err(bad_input(format!(
            "run {} was made on {}, not on {}: give the same --target (URLs are not stored, for their passwords)",
            run.id,
            run.target,
            choice.shown()
        )));
    }
    if run.program_version != env!("CARGO_PKG_VERSION") {
        tracing::warn!(stored = run.program_version, "the run was begun by another version of pool-tune");
    }
    let mut profile = crate::profile::parse(&run.profile_name, &run.profile_source).map_err(bad_input)?;
    let flags = override_profile(&mut profile, &run.pins, &run.ranges, run.trials, run.pairs)?;
    let prefix = Prefix::parse(&run.prefix).map_err(bad_input)?;
    let trials = store.trials(&run.id).await?;
    let profile_file = run.profile_file;
    Ok(Intent { id: run.id, profile, profile_file, flags, seed: run.seed, prefix, stored: trials, resumed: true })
}

/// The command that goes on with a run.
pub(super) fn resume_command(run: &str, target: &str, results: &Path) -> String {
    let mut command = format!("pool-tune run --resume {run}");
    // What is stored of a URL has no password: a person has to put theirs in, or has it in the environment.
    let needs_none = target == "private" || simulation::is_without_database(target);
    if !needs_none && std::env::var_os("DATABASE_URL").is_none() {
        command.push_str(&format!(" --target '{target}'"));
    }
    if results != Path::new("results") && std::env::var_os("POOL_TUNE_RESULTS").is_none() {
        command.push_str(&format!(" --results '{}'", results.display()));
    }
    command
}

/// The file that whoever runs in a folder holds.
pub(super) fn lock_path(folder: &Path) -> PathBuf {
    folder.join(".lock")
}

/// Holds the results folder, so that two runs do not disturb each other's trials.
fn lock(folder: &Path) -> Result<File> {
    let path = lock_path(folder);
    let failed = |error: std::io::Error| {
        anyhow::Error::new(WithCode {
            code: code::STORE,
            message: format!(
                "failed to write to the results folder `{}`: {}; choose another with --results",
                folder.display(),
                if folder.is_file() { "it is a file".to_owned() } else { format!("{error}; make it writable, or") }
            )
            .replace("or; choose", "or choose"),
        })
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(failed)?;
            return Err(anyhow::Error::new(WithCode {
                code: code::BUSY,
                message: format!(
                    "another run is under way in `{}` (process {}): two runs would disturb each other's measurements; \
                     wait for it, or stop it with Ctrl-C",
                    folder.display(),
                    pid.trim()
                ),
            }));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Cancels on the first SIGINT, SIGTERM or SIGHUP (the terminal was closed); the next one ends the program where it stands.
pub(super) fn stop_on_signal(cancel: CancellationToken) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("failed to listen for SIGHUP")?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            if cancel.is_cancelled() {
                super::display::leave();
                #[expect(clippy::exit, reason = "the user asked twice; the next start removes what is left")]
                std::process::exit(i32::from(code::INTERRUPTED));
            }
            cancel.cancel();
        }
    })
}

/// Notes in the store how a run stopped, and says how to go on.
async fn stopped(
    store: &Store,
    run: Option<String>,
    error: anyhow::Error,
    choice: &Choice,
    folder: &Path,
) -> anyhow::Error {
    let interrupted = matches!(error.downcast_ref(), Some(TuneError::Interrupted));
    let Some(run) = run else { return error };
    let status = if interrupted { RunStatus::Interrupted } else { RunStatus::Failed };
    let unfinished = store.run(&run).await.is_ok_and(|run| run.status != RunStatus::Finished);
    if unfinished && let Err(store_error) = store.set_status(&run, status).await {
        tracing::warn!(%store_error, "the run's status could not be stored");
    }
    if interrupted {
        return anyhow::Error::new(WithCode {
            code: code::INTERRUPTED,
            message: format!("interrupted; go on with `{}`", resume_command(&run, &choice.shown(), folder)),
        });
    }
    if matches!(error.downcast_ref(), Some(TuneError::Infrastructure { .. })) {
        let command = resume_command(&run, &choice.shown(), folder);
        let message = format!("{error}. The trials so far are stored: see that it runs, then go on with `{command}`");
        return anyhow::Error::new(WithCode { code: code::DATABASE, message });
    }
    error
}

/// Prints the answer.
fn show(arguments: &RunArguments, quiet: bool, recommendation: &Recommendation, files: &[PathBuf]) -> Result<()> {
    if arguments.json {
        let document = serde_json::json!({ "recommendation": recommendation, "files": files });
        outln!("{}", serde_json::to_string_pretty(&document).context("failed to write JSON")?);
        return Ok(());
    }
    out!("{}", runs::answer(recommendation));
    if !quiet {
        outln!();
        for file in files {
            outln!("wrote {}", file.display());
        }
    }
    Ok(())
}
