use crate::cli::out::{errln, out, outln};
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{Arguments, Results, RunArguments},
    exit::{WithCode, bad_input, code, job_error},
    import, profiles,
    progress::Display,
    runs,
};
use crate::{
    export::Prefix,
    job::{self, FolderLock, Intent, Job, JobError, Wishes, simulation},
    model::{Recommendation, Verdict},
    profile::ExperimentBudget,
    store::Store,
    tune::{Choice, Event, Private, TuneError},
};

/// Tunes.
pub(super) async fn run(global: &Arguments, arguments: &RunArguments) -> Result<ExitCode> {
    if arguments.experiment.name_or_file.is_some() {
        return Box::pin(super::experiment::run(global, arguments)).await;
    }
    let folder = &arguments.results.results;
    let at = arguments.results.to_write()?;
    let wishes = wishes(arguments)?;
    // A bad profile or target is told before anything is made on disk.
    let fresh = match arguments.resume {
        None => {
            let intent = new_intent(arguments, wishes)?;
            let target = arguments.target.as_ref();
            let choice =
                job::choice_of(target, arguments.target_is_flag, intent.profile(), intent.prefix(), folder, &at).await;
            let choice = choice.map_err(job_error)?;
            Some((intent, choice))
        }
        Some(_) => None,
    };
    let _lock = FolderLock::hold(folder).map_err(job_error)?;
    let store = Store::connect(&at).await?;
    // The folder is ours: whoever was at work in it before has died. On a server those whose locks are free have.
    store.bury_the_dead().await?;
    let (mut intent, choice) = match (fresh, &arguments.resume) {
        (Some((mut intent, choice)), _) => {
            intent.make_free(&store, folder).await;
            (intent, choice)
        }
        (None, resume) => resumed(&store, arguments, resume.as_deref().unwrap_or("latest")).await?,
    };
    intent.note_target(&choice);
    let cancel = CancellationToken::new();
    let signals = tokio::task::JoinSet::from_iter([stop_on_signal(cancel.clone())?]);
    let mut display = display(global, arguments);
    let load_in_use = arguments.yes_load_this_database;
    let job = Job { store: &store, results: folder, choice: &choice, load_in_use, cancel: &cancel, target: None };
    let mut events = |event: Event| display.show(&event);
    let result = Box::pin(job.run(intent, &mut events)).await;
    drop(signals);
    display.clear();
    let done = result.map_err(|stopped| told(stopped.run, stopped.error, &choice.shown(), &arguments.results))?;
    store.close().await;
    show(arguments, global.quiet, &done.recommendation, &done.files)?;
    Ok(exit_code(&done.recommendation.verdict))
}

/// An interrupted run, with the target that it goes on on.
async fn resumed(store: &Store, arguments: &RunArguments, run: &str) -> Result<(Intent, Choice)> {
    let intent = Intent::resumed(store, run).await.map_err(job_error)?;
    let profile = intent.profile();
    let flag = arguments.target.as_ref().filter(|_| arguments.target_is_flag);
    let own = profile.target.as_ref().map(ToString::to_string);
    let stored = intent.target().unwrap_or_default();
    // Nothing was named for it, and nothing is now: a database that stands in for another says so again.
    let usual = arguments.target.is_none() && own.is_none() && Choice::Private(Private::any()).shown() == stored;
    // What has no secret need not be given again; only a flag may contradict it, not the environment.
    let named = match flag {
        Some(flag) => Some(flag.clone()),
        None if usual || own.as_deref() == Some(stored) => None,
        None if needs_no_secret(stored) => Some(stored.into()),
        None => arguments.target.clone(),
    };
    let results = &arguments.results.results;
    let choice = job::choice_of(named.as_ref(), named.is_some(), profile, intent.prefix(), results, store.at()).await;
    let choice = choice.map_err(job_error)?;
    intent.is_made_on(&choice).map_err(job_error)?;
    Ok((intent, choice))
}

/// Beside a document, a person at a terminal still sees how it goes.
pub(super) fn display(global: &Arguments, arguments: &RunArguments) -> Display {
    Display::new(global.quiet || (arguments.json && !std::io::stderr().is_terminal()))
}

/// The exit code of an answer.
pub(super) fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Infeasible { .. } => ExitCode::from(code::INFEASIBLE),
        Verdict::Better | Verdict::Simulated { .. } | Verdict::Keep { .. } => ExitCode::SUCCESS,
    }
}

/// What the command line asks of a run.
pub(super) fn wishes(arguments: &RunArguments) -> Result<Wishes> {
    Ok(Wishes {
        pins: arguments.pin.clone(),
        ranges: arguments.range.clone(),
        instances: arguments.instances,
        budget: ExperimentBudget { trials: arguments.trials, pairs: arguments.pairs, time: None },
        seed: arguments.seed,
        id: arguments.name.clone(),
        prefix: Prefix::parse(&arguments.prefix).map_err(bad_input)?,
        of: None,
        memory: false,
    })
}

fn new_intent(arguments: &RunArguments, wishes: Wishes) -> Result<Intent> {
    let mut profile = profiles::load(arguments.profile.as_deref().unwrap_or("medium"))?;
    if let Some(file) = &arguments.baseline {
        let (_, imported) = import::read(file, None, None)?;
        for note in &imported.notes {
            errln!("{}: {note}", file.display());
        }
        profile = profile.in_use(&imported.values).map_err(bad_input)?;
    }
    let file = arguments.profile.clone().filter(|name| job::is_file(name));
    Intent::new(profile, file, wishes, Timestamp::now()).map_err(job_error)
}

/// Whether all of a target is stored: a throw-away database, or what has none.
fn needs_no_secret(target: &str) -> bool {
    matches!(target, "private" | "mariadb:private" | "sqlite:private") || simulation::is_without_database(target)
}

/// The command that goes on with a run.
pub(super) fn resume_command(run: &str, target: &str, results: &Results) -> String {
    let mut command = format!("pool-tune run --resume {run}");
    // What is stored of a URL has no password: a person has to put theirs in, or has it in the environment.
    if !needs_no_secret(target) && std::env::var_os("DATABASE_URL").is_none() {
        command.push_str(&format!(" --target '{target}'"));
    }
    let folder = &results.results;
    if folder != Path::new("results") && std::env::var_os("POOL_TUNE_RESULTS").is_none() {
        command.push_str(&format!(" --results '{}'", folder.display()));
    }
    // As with the target: without its password.
    if results.store.is_some()
        && std::env::var_os("POOL_TUNE_STORE").is_none()
        && let Ok(at) = results.at()
    {
        command.push_str(&format!(" --store '{at}'"));
    }
    command
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

/// What a person is told of a run that stopped, with how to go on.
pub(super) fn told(run: Option<String>, error: JobError, target: &str, results: &Results) -> anyhow::Error {
    let Some(run) = run else { return job_error(error) };
    let command = resume_command(&run, target, results);
    match error {
        error if error.is_lost_store() => anyhow::Error::new(WithCode {
            code: code::STORE,
            message: format!("{error}. The trials before that are stored: go on with `{command}`"),
        }),
        error if error.is_interruption() => anyhow::Error::new(WithCode {
            code: code::INTERRUPTED,
            message: format!("interrupted; go on with `{command}`"),
        }),
        JobError::Tune(error @ (TuneError::Infrastructure { .. } | TuneError::Program { .. })) => {
            let message =
                format!("{error}. The trials so far are stored: see that it runs, then go on with `{command}`");
            anyhow::Error::new(WithCode { code: code::DATABASE, message })
        }
        error => job_error(error),
    }
}

/// Prints the answer.
pub(super) fn show(
    arguments: &RunArguments,
    quiet: bool,
    recommendation: &Recommendation,
    files: &[PathBuf],
) -> Result<()> {
    if arguments.json {
        let document = document(recommendation, files);
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

/// An answer as JSON.
pub(super) fn document(recommendation: &Recommendation, files: &[PathBuf]) -> serde_json::Value {
    serde_json::json!({ "recommendation": recommendation, "files": files })
}
