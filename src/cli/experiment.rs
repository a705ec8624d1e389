//! `run --experiment`: the next round of an experiment, or the rest of the one that was interrupted.

use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{Arguments, RunArguments},
    exit::{WithCode, code, job_error},
    out::{errln, outln},
    run,
    schedule::when,
    stress::drawn,
};
use crate::{
    job::{self, FolderLock, Loaded, RoundEnd, RoundEvent, Rounds, Start, Stopped},
    report::suite_grid,
    schedule::Schedule,
    store::Store,
};

/// Runs an experiment.
pub(super) async fn run(global: &Arguments, arguments: &RunArguments) -> Result<ExitCode> {
    let folder = &arguments.results.results;
    let at = arguments.results.to_write()?;
    let loaded = load(arguments.experiment.name_or_file.as_deref().unwrap_or_default())?;
    let now = Timestamp::now();
    let schedule = loaded.experiment.schedule.as_ref();
    let outside =
        schedule.map(|schedule| outside(&loaded, schedule, now, arguments.experiment.scheduled)).transpose()?;
    let start = Start {
        due: schedule.filter(|_| arguments.experiment.scheduled).and_then(|schedule| schedule.last_until(now)),
        fresh: arguments.experiment.fresh,
        target: arguments.target.clone().filter(|_| arguments.target_is_flag),
        wishes: run::wishes(arguments)?,
        load_in_use: arguments.yes_load_this_database,
    };
    // Nothing is announced that cannot be begun.
    if start.target.is_none() {
        loaded.check_target().map_err(job_error)?;
    }
    if let Some(note) = outside.flatten() {
        errln!("{note}");
    }
    let _lock = FolderLock::hold(folder).map_err(job_error)?;
    let store = Store::connect(&at).await?;
    // The folder is ours: whoever was at work in it before has died. On a server those whose locks are free have.
    store.bury_the_dead().await?;
    let cancel = CancellationToken::new();
    let signals = tokio::task::JoinSet::from_iter([run::stop_on_signal(cancel.clone())?]);
    let rounds =
        Rounds { store: &store, results: folder, clock: &Timestamp::now, cancel: &cancel, why: &|| job::ASKED_TO_STOP };
    let mut display = run::display(global, arguments);
    let mut printed = Ok(());
    let mut listen = |event: RoundEvent<'_>| match event {
        RoundEvent::Notice(text) if global.quiet => drop(text),
        RoundEvent::Notice(text) => errln!("note: {text}"),
        RoundEvent::Run { .. } => display = run::display(global, arguments),
        RoundEvent::Of(event) => display.show(&event),
        RoundEvent::Done(done) => {
            display.clear();
            if !arguments.json && printed.is_ok() {
                printed = run::show(arguments, global.quiet, &done.recommendation, &done.files);
            }
        }
        RoundEvent::Test { run, name, number, of } => {
            if !global.quiet {
                errln!("stress test {number} of {of} of the settings of run {run}: {name}");
            }
        }
        RoundEvent::Stressed { stressed, file } => {
            if !arguments.json {
                outln!("\n{}\n{}", stressed.headline(), drawn(&suite_grid(&stressed.tests)));
                if let Some(file) = file {
                    outln!("wrote {}", file.display());
                }
            }
        }
        RoundEvent::Stressing { .. } => display.clear(),
        RoundEvent::NotStressed { run, error } => {
            // The first is told again at the end, with its exit code.
            if loaded.profiles.len() > 1 {
                errln!("pool-tune: stress tests of run {} could not be made: {error}", run.unwrap_or("(unknown)"));
            }
        }
        RoundEvent::Stopped(Stopped { run, error }) => {
            display.clear();
            // The first is told again at the end, with its exit code.
            if !error.is_interruption() && loaded.profiles.len() > 1 {
                errln!("pool-tune: run {} ended without an answer: {error}", run.as_deref().unwrap_or("(not begun)"));
            }
        }
    };
    let result = Box::pin(rounds.run(&loaded, &start, &mut listen)).await;
    drop(signals);
    display.clear();
    store.close().await;
    let end = result.map_err(job_error)?;
    printed?;
    if arguments.json {
        let runs: Vec<_> = end.done.iter().map(|done| run::document(&done.recommendation, &done.files)).collect();
        let document = serde_json::json!({
            "experiment": loaded.experiment.name, "round": end.round, "runs": runs, "stress": end.stressed,
        });
        outln!("{}", serde_json::to_string_pretty(&document)?);
    }
    ended(end, &loaded, arguments)
}

/// What is told where the window is closed; whoever keeps to the schedule does nothing then.
fn outside(loaded: &Loaded, schedule: &Schedule, now: Timestamp, scheduled: bool) -> Result<Option<String>> {
    if schedule.is_open(now) {
        return Ok(None);
    }
    let name = &loaded.experiment.name;
    let window = schedule.window().map(|window| window.to_string()).unwrap_or_default();
    let next = schedule.next_after(now).map(|next| when(&schedule.local(next)));
    if scheduled {
        let message = format!(
            "nothing is run: the window of experiment `{name}` ({window}, {}) is closed; it is next due at {}",
            schedule.zone(),
            next.unwrap_or_default()
        );
        return Err(anyhow::Error::new(WithCode { code: code::WINDOW, message }));
    }
    let end = schedule.window_end(now).map(|end| when(&schedule.local(end)));
    Ok(Some(format!(
        "note: it is outside the window of experiment `{name}` ({window}, {}): it runs all the same, since it was asked for by hand, \
         and stops at {}",
        schedule.zone(),
        end.unwrap_or_default()
    )))
}

/// The exit code of a round, or the error that it ended with.
fn ended(end: RoundEnd, loaded: &Loaded, arguments: &RunArguments) -> Result<ExitCode> {
    let name = &loaded.experiment.name;
    let Some(Stopped { run, error }) = end.stopped else {
        if let Some(run) = end.failed_before() {
            let message = format!("run {run} ended without an answer in an earlier start of this round");
            return Err(anyhow::Error::new(WithCode { code: code::FAILED, message }));
        }
        let before = end.before.iter().filter_map(|run| run.verdict.as_ref());
        let verdicts = before.chain(end.done.iter().map(|done| &done.recommendation.verdict));
        let missed = end.stressed.iter().map(|stressed| match stressed.missed().as_slice() {
            [] => ExitCode::SUCCESS,
            _ => ExitCode::from(code::THRESHOLD),
        });
        return Ok(verdicts
            .map(run::exit_code)
            .chain(missed)
            .fold(ExitCode::SUCCESS, |all, one| if all == ExitCode::SUCCESS { one } else { all }));
    };
    if !error.is_interruption() {
        return Err(run::told(run, error, &end.target, &arguments.results));
    }
    let (code, why) = if end.window_ended {
        (code::WINDOW, format!("the window of experiment `{name}` has ended"))
    } else if error.is_lost_store() {
        (code::STORE, error.to_string())
    } else {
        (code::INTERRUPTED, "interrupted".to_owned())
    };
    let next = "what was measured is stored";
    let path = loaded.path.display();
    let message = match run {
        Some(run) => format!(
            "{why} in run {run}; {next}, and the next start of the experiment goes on with it: `pool-tune run --experiment {path}`"
        ),
        None if end.done.is_empty() && end.before.is_empty() => format!("{why} before anything was measured"),
        None => {
            format!("{why}; {next}, and the next start of the experiment goes on: `pool-tune run --experiment {path}`")
        }
    };
    Err(anyhow::Error::new(WithCode { code, message }))
}

/// What the user is told of an experiment that cannot be read.
pub(super) fn load(name: &str) -> Result<Loaded> {
    job::load_experiment(name).map_err(job_error)
}
