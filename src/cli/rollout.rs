//! `rollout`: a run's settings brought into use by stages.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    exit::{WithCode, bad_input, code, job_error, rollout_error},
    out::{errln, outln},
    rollout_arguments::RolloutArguments,
    run, runs,
};
use crate::{
    database::StateFolder,
    job::FolderLock,
    profile::did_you_mean,
    rollout::{Ended, Event, Folders, Intent, Phase, Rollout, Standing, Step},
    store::{Hold, RolloutRecord, RolloutStatus, Store, Task},
};

/// The most names that are listed where a wrong one is given.
const NAMED: usize = 10;

/// Begins a rollout, goes on with one, takes one back, or tells of one.
pub(super) async fn rollout(arguments: &RolloutArguments, quiet: bool) -> Result<ExitCode> {
    if let Some(name) = &arguments.log {
        return log(arguments, name).await;
    }
    match (&arguments.resume, &arguments.back, &arguments.run, &arguments.plan) {
        (Some(name), _, _, _) => again(arguments, name, None, quiet).await,
        (_, Some(name), _, _) => again(arguments, name, Some("asked for by hand (--back)".to_owned()), quiet).await,
        (_, _, Some(run), Some(plan)) => begin(arguments, run, plan, quiet).await,
        // The command line sees to it.
        _ => Err(bad_input("a rollout needs a run and --plan, or --resume, --back or --log")),
    }
}

async fn begin(arguments: &RolloutArguments, run: &str, plan: &Path, quiet: bool) -> Result<ExitCode> {
    let results = &arguments.results.results;
    let shown = plan.display().to_string();
    let unread = |error: std::io::Error| bad_input(format!("failed to read rollout plan `{shown}`: {error}"));
    let text = fs::read_to_string(plan).map_err(unread)?;
    // It may be gone on with from another folder.
    let folder = fs::canonicalize(plan).map_err(unread)?.parent().map(Path::to_owned).unwrap_or_default();
    let store = runs::open(&arguments.results).await?;
    let run = store.run(run).await?;
    let rollouts = store.rollouts().await?;
    store.close().await;
    let now = Timestamp::now();
    let intent = Intent::of(&run, (&shown, text, &folder), arguments.yes_old, now).map_err(rollout_error)?;
    let rollout = Rollout::new(intent, &folders(results)?).map_err(rollout_error)?;
    let name = &rollout.plan.name;
    // Whether it can begin, and what is to be known before.
    let judged = |rollouts: &[RolloutRecord]| {
        if !arguments.force {
            rollout.check_in_use().map_err(rollout_error)?;
        }
        Ok::<_, anyhow::Error>(rollout.warnings(in_force(rollouts, name)))
    };
    if arguments.dry_run {
        for line in rollout.outline() {
            outln!("{line}");
        }
    }
    rollout.check().map_err(rollout_error)?;
    if arguments.dry_run {
        for warning in judged(&rollouts)? {
            errln!("warning: {warning}");
        }
        errln!("nothing was applied; leave --dry-run out to begin");
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = FolderLock::hold_for_rollout(results, name).map_err(job_error)?;
    let _change = rollout.hold().map_err(rollout_error)?;
    let store = Store::connect(&arguments.results.to_write()?).await?;
    let _held = held(&store, name).await?;
    // Only now does nobody else change what is looked at.
    let rollouts = store.rollouts().await?;
    let open = rollouts.iter().find(|other| other.name == *name && !other.status.has_ended());
    if let Some(RolloutRecord { run, started_at, .. }) = open {
        return Err(bad_input(format!(
            "rollout `{name}` (of run {run}, begun at {started_at}) has not ended: go on with `{}`, or take it back with `{}`",
            command("resume", name, results),
            command("back", name, results)
        )));
    }
    let warnings = judged(&rollouts)?;
    let mut tell = teller(arguments.json, quiet);
    let standing = rollout.begin(&store, warnings, &mut tell).await.map_err(rollout_error)?;
    carry(arguments, &store, &rollout, standing, None, quiet).await
}

/// Holds a rollout in a store that several machines share, so that one carries it out at a time.
async fn held(store: &Store, name: &str) -> Result<Hold> {
    let Some(held) = store.hold(Task::Rollout(name)).await? else {
        let holder = store.holder(Task::Rollout(name)).await?.unwrap_or_else(|| "another machine".to_owned());
        let message =
            format!("rollout `{name}` is being carried out elsewhere ({holder}): wait for it, or stop it there");
        return Err(anyhow::Error::new(WithCode { code: code::BUSY, message }));
    };
    Ok(held)
}

/// Goes on with a rollout that is stored, forward or back.
async fn again(arguments: &RolloutArguments, name: &str, back: Option<String>, quiet: bool) -> Result<ExitCode> {
    let results = &arguments.results.results;
    let name = find(&runs::open(&arguments.results).await?.rollouts().await?, name, true)?.name;
    let _lock = FolderLock::hold_for_rollout(results, &name).map_err(job_error)?;
    // Only now does nobody else change it.
    let store = Store::connect(&arguments.results.to_write()?).await?;
    let _held = held(&store, &name).await?;
    let rollouts = store.rollouts().await?;
    let newest = find(&rollouts, &name, true)?;
    if back.is_none() && !newest.status.has_ended() {
        return go_on(arguments, &store, &newest, back, quiet).await;
    }
    let record = that_applied(&rollouts, &newest)?;
    if let Some(why) = &back
        && record.id != newest.id
        && !newest.status.has_ended()
    {
        // It has applied nothing and ends here; what an earlier one applied is what is to go back.
        let (rollout, standing) = Rollout::stored(&newest, &folders(results)?).map_err(rollout_error)?;
        let event = Event::TakenBack(why.clone());
        let ended = carry(arguments, &store, &rollout, standing, Some(event), quiet).await?;
        if record.status == RolloutStatus::Back {
            return Ok(ended);
        }
    }
    go_on(arguments, &store, &record, back, quiet).await
}

/// The rollout of a name whose settings are in force. It is for what is told alone: one that cannot be read is passed over, where
/// `that_applied`, by which settings are changed, fails.
fn in_force<'a>(rollouts: &'a [RolloutRecord], name: &str) -> Option<&'a RolloutRecord> {
    let has_applied = |record: &&RolloutRecord| match Standing::of(record) {
        Ok(standing) => standing.state.reached.is_some(),
        Err(error) => {
            tracing::warn!("{error}; it is passed over (number {} in the store)", record.id);
            false
        }
    };
    let last = rollouts.iter().filter(|record| record.name == name).find(has_applied);
    last.filter(|last| last.status != RolloutStatus::Back)
}

/// The newest rollout of a name that applied something: a start that came to nothing hides none that did. Without one the newest.
fn that_applied(rollouts: &[RolloutRecord], newest: &RolloutRecord) -> Result<RolloutRecord> {
    for record in rollouts.iter().filter(|record| record.name == newest.name) {
        if Standing::of(record).map_err(rollout_error)?.state.reached.is_some() {
            return Ok(record.clone());
        }
    }
    Ok(newest.clone())
}

/// Goes on with what is held, forward or back.
async fn go_on(
    arguments: &RolloutArguments,
    store: &Store,
    record: &RolloutRecord,
    back: Option<String>,
    quiet: bool,
) -> Result<ExitCode> {
    let name = &record.name;
    let reached = Standing::of(record).map_err(rollout_error)?.state.reached;
    // Where nothing is to be done nobody stands in the way, and neither does a plan that cannot be read any more.
    match (&back, record.status) {
        (Some(_), RolloutStatus::Back) => {
            let is = if reached.is_some() { "is back already" } else { "did not begin" };
            errln!("rollout `{name}` {is}: nothing is done");
            return Ok(ExitCode::SUCCESS);
        }
        (None, RolloutStatus::Done | RolloutStatus::Back) => {
            let how = match (record.status, reached) {
                (RolloutStatus::Done, _) => "is done",
                (_, Some(_)) => "went back",
                (_, None) => "did not begin",
            };
            let at = record.ended_at.as_deref().unwrap_or_default();
            return Err(bad_input(format!("rollout `{name}` {how} (at {at}): there is nothing to go on with")));
        }
        _ => {}
    }
    // What is stored of it stays as it was read: its name is held, so that nobody else carries it out.
    let (rollout, standing) = Rollout::stored(record, &folders(&arguments.results.results)?).map_err(rollout_error)?;
    let _change = rollout.hold().map_err(rollout_error)?;
    let event = match (back, &standing.state.phase) {
        // Whoever was on the way back goes on with that.
        (_, Phase::Returning { .. }) | (None, Phase::Stuck { .. }) => Event::Resumed,
        (Some(why), _) => Event::TakenBack(why),
        (None, _) => {
            rollout.check().map_err(rollout_error)?;
            Event::Resumed
        }
    };
    carry(arguments, store, &rollout, standing, Some(event), quiet).await
}

async fn carry(
    arguments: &RolloutArguments,
    store: &Store,
    rollout: &Rollout,
    mut standing: Standing,
    first: Option<Event>,
    quiet: bool,
) -> Result<ExitCode> {
    let (name, results) = (&rollout.plan.name, &arguments.results.results);
    let cancel = CancellationToken::new();
    let signals = JoinSet::from_iter([run::stop_on_signal(cancel.clone())?]);
    let mut tell = teller(arguments.json, quiet);
    let result = rollout.carry(store, &mut standing, first, &cancel, &mut tell).await;
    drop(signals);
    let ended = result.map_err(rollout_error)?;
    let with_code = |code: u8, message: String| Err(anyhow::Error::new(WithCode { code, message }));
    let applied = rollout.reached(&standing.state);
    match ended {
        Ended::Stopped if matches!(standing.state.phase, Phase::Returning { .. }) => with_code(
            code::INTERRUPTED,
            format!(
                "rollout `{name}` is interrupted on its way back: {} may still be applied, in whole or in part; go on going back with `{}` \
                 (`--back` does the same)",
                applied.unwrap_or_else(|| "nothing".to_owned()),
                command("resume", name, results)
            ),
        ),
        Ended::Stopped => {
            let earlier = if applied.is_none() { earlier(store, name).await } else { None };
            let too = earlier.map_or_else(String::new, |RolloutRecord { run, started_at, .. }| {
                format!(", which also takes back what the earlier one (of run {run}, begun at {started_at}) applied and is in force")
            });
            let stays = applied.map_or("nothing was applied".to_owned(), |what| {
                format!("{what} stays applied, and nobody watches it")
            });
            with_code(
                code::INTERRUPTED,
                format!(
                    "rollout `{name}` is interrupted: {stays}; go on with `{}`, or go back with `{}`{too}",
                    command("resume", name, results),
                    command("back", name, results)
                ),
            )
        }
        Ended::At(Phase::Done) => Ok(ExitCode::SUCCESS),
        Ended::At(Phase::Back { .. } | Phase::NotBegun { .. }) if arguments.back.is_some() => Ok(ExitCode::SUCCESS),
        Ended::At(Phase::Back { why }) => {
            with_code(code::WENT_BACK, format!("rollout `{name}` went back, the settings that were in use are: {why}"))
        }
        Ended::At(Phase::NotBegun { why }) => with_code(
            code::WENT_BACK,
            format!(
                "rollout `{name}` did not begin, nothing was applied: {why}; mend that or the gate, then begin again"
            ),
        ),
        Ended::At(_) => {
            let log = results.join("rollouts").join(name).join("hooks.log");
            let said = rollout.has_hook().then(|| format!("what the hook said is in {}; ", log.display()));
            with_code(
                code::FAILED,
                format!(
                    "rollout `{name}` COULD NOT GO BACK: {} may still be applied, in whole or in part; {}mend what failed, then `{}`",
                    applied.unwrap_or_else(|| "nothing".to_owned()),
                    said.unwrap_or_default(),
                    command("back", name, results)
                ),
            )
        }
    }
}

/// The rollout whose settings are in force while another of its name has applied nothing yet.
async fn earlier(store: &Store, name: &str) -> Option<RolloutRecord> {
    match store.rollouts().await {
        Ok(rollouts) => in_force(&rollouts, name).cloned(),
        Err(error) => {
            tracing::warn!("whether an earlier rollout `{name}` is in force is not known: failed to {error}");
            None
        }
    }
}

/// Tells what the rollouts of a name did, from the store, the newest last.
async fn log(arguments: &RolloutArguments, name: &str) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    let rollouts = store.rollouts().await?;
    let name = find(&rollouts, name, false)?.name;
    let mut tell = teller(arguments.json, false);
    for record in rollouts.iter().rev().filter(|record| record.name == name) {
        for stored in store.rollout_steps(record.id).await? {
            let step: Step = serde_json::from_str(&stored.step).with_context(|| {
                format!("failed to read a step of rollout `{name}`: a newer pool-tune may have stored it")
            })?;
            tell(&stored.at, &step);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest rollout of a name; without one the only one that has not ended, or where any will do the newest.
fn find(rollouts: &[RolloutRecord], name: &str, to_change: bool) -> Result<RolloutRecord> {
    if rollouts.is_empty() {
        return Err(bad_input("there is no rollout yet: begin one with `pool-tune rollout RUN --plan FILE`"));
    }
    if !name.is_empty() {
        let found = rollouts.iter().find(|rollout| rollout.name == name);
        return found
            .cloned()
            .ok_or_else(|| bad_input(format!("there is no rollout `{name}`: {}", meant(name, rollouts))));
    }
    if !to_change {
        return rollouts.first().cloned().ok_or_else(|| bad_input("there is no rollout yet"));
    }
    let open: Vec<&RolloutRecord> = rollouts.iter().filter(|rollout| !rollout.status.has_ended()).collect();
    match open.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(bad_input(format!(
            "every rollout has ended: name the one that you mean, such as `{}`",
            rollouts.first().map_or("", |rollout| rollout.name.as_str())
        ))),
        several => {
            let names: Vec<&str> = several.iter().map(|rollout| rollout.name.as_str()).collect();
            Err(bad_input(format!("several rollouts have not ended: name one of {}", names.join(", "))))
        }
    }
}

/// The name that is like a wrong one, or those that there are, the newest first.
fn meant(name: &str, rollouts: &[RolloutRecord]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for rollout in rollouts {
        if !names.contains(&rollout.name.as_str()) {
            names.push(&rollout.name);
        }
    }
    let hint = did_you_mean(name, names.iter().copied());
    let more = names.len().saturating_sub(NAMED);
    if more == 0 || hint.starts_with("did") {
        return hint;
    }
    names.truncate(NAMED);
    format!("{}, and {more} older", did_you_mean(name, names))
}

fn teller(json: bool, quiet: bool) -> impl FnMut(&str, &Step) + Send {
    move |at: &str, step: &Step| {
        if json {
            let mut line = serde_json::to_value(step).unwrap_or_default();
            if let Some(fields) = line.as_object_mut() {
                fields.insert("time".to_owned(), at.into());
            }
            outln!("{line}");
        } else if !quiet || step.is_answer() {
            outln!("{at} {}", step.words());
        }
    }
}

/// Where what hooks print and which is under way is kept.
fn folders(results: &Path) -> Result<Folders> {
    let absolute = |folder: &Path| {
        std::path::absolute(folder).with_context(|| format!("failed to find the folder `{}`", folder.display()))
    };
    Ok(Folders { results: absolute(results)?, state: absolute(StateFolder::from_env().path())? })
}

fn command(what: &str, name: &str, results: &Path) -> String {
    let mut command = format!("pool-tune rollout --{what} {name}");
    if results != Path::new("results") && std::env::var_os("POOL_TUNE_RESULTS").is_none() {
        command.push_str(&format!(" --results '{}'", results.display()));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_each_name_once_and_ten_at_most() {
        let rollout = |name: &str| RolloutRecord {
            id: 1,
            name: name.to_owned(),
            run: "run".to_owned(),
            started_at: String::new(),
            ended_at: None,
            status: RolloutStatus::Done,
            intent: String::new(),
            state: String::new(),
        };
        let names: Vec<String> = (0..24).rev().map(|number| format!("x{}", number / 2)).collect();
        let rollouts: Vec<_> = names.iter().map(|name| rollout(name)).collect();
        let told = meant("checkout", &rollouts);
        assert_eq!(told, "expected one of `x11`, `x10`, `x9`, `x8`, `x7`, `x6`, `x5`, `x4`, `x3`, `x2`, and 2 older");
        assert_eq!(meant("checkout", &rollouts[20..]), "expected one of `x1`, `x0`");
        assert_eq!(meant("checkot", &[rollout("checkout")]), "did you mean `checkout`?");
    }
}
