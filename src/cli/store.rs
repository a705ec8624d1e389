//! `pool-tune store`: what the store holds, copies of it, and the removal of old runs.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};

use super::{
    exit::{WithCode, bad_input, code, job_error},
    out::{errln, outln},
    runs,
    store_arguments::{BackupArguments, InfoArguments, PruneArguments, StoreAction, StoreArguments},
};
use crate::{
    job::{FolderLock, stored_time},
    store::{Keep, Pruned, Store},
};

/// Looks after the store.
pub(super) async fn store(arguments: &StoreArguments) -> Result<ExitCode> {
    match &arguments.action {
        StoreAction::Info(arguments) => info(arguments).await,
        StoreAction::Backup(arguments) => Box::pin(backup(arguments)).await,
        StoreAction::Prune(arguments) => prune(arguments).await,
    }
}

async fn info(arguments: &InfoArguments) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    let info = store.info().await?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&info).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    let all: u64 = info.runs.values().sum();
    let of_each: Vec<_> =
        info.runs.iter().filter(|(_, count)| **count > 0).map(|(status, count)| format!("{count} {status}")).collect();
    outln!("store    {}", info.place);
    outln!("version  {}", info.version);
    outln!("runs     {all}{}", if of_each.is_empty() { String::new() } else { format!(" ({})", of_each.join(", ")) });
    outln!("trials   {}", info.trials);
    outln!("size     {} KiB", info.bytes.div_ceil(1024));
    Ok(ExitCode::SUCCESS)
}

async fn backup(arguments: &BackupArguments) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    store.backup(&arguments.file).await?;
    let copy = Store::open_to_read(&arguments.file).await?.map(|copy| async move { copy.runs().await });
    let runs = match copy {
        Some(runs) => runs.await?.len(),
        None => 0,
    };
    outln!("wrote {} · {runs} runs", arguments.file.display());
    Ok(ExitCode::SUCCESS)
}

async fn prune(arguments: &PruneArguments) -> Result<ExitCode> {
    let results = &arguments.results;
    let at = results.to_write()?;
    let keep = keep(arguments)?;
    let found = runs::open(results).await?;
    if arguments.dry_run {
        return tell(arguments, &found.old_runs(&keep).await?, &[]);
    }
    found.close().await;
    // Nobody else is at work in a file whose folder is held; on a server each run has a lock of its own.
    let _lock = if at.is_shared() { None } else { Some(FolderLock::hold(&results.results).map_err(job_error)?) };
    let store = Store::connect(&at).await?;
    store.bury_the_dead().await?;
    let removed = store.prune(&keep).await?;
    store.close().await;
    let mut folders = Vec::new();
    let mut left = Ok(());
    for run in removed.iter().filter(|_| arguments.files) {
        match remove_folder(&results.results, &run.id) {
            Ok(folder) => folders.extend(folder),
            Err(error) if left.is_ok() => left = Err(error),
            Err(error) => errln!("pool-tune: {error}"),
        }
    }
    let code = tell(arguments, &removed, &folders)?;
    left.map(|()| code)
}

/// Which runs stay.
fn keep(arguments: &PruneArguments) -> Result<Keep> {
    let Some(time) = arguments.keep else { return Ok(Keep::Newest(arguments.keep_runs.unwrap_or(u32::MAX))) };
    let since = SignedDuration::try_from(time).ok().and_then(|time| Timestamp::now().checked_sub(time).ok());
    since
        .map(|since| Keep::Since(stored_time(since)))
        .ok_or_else(|| bad_input("--keep is longer ago than the calendar goes: give a time such as 90d"))
}

/// Removes a run's folder, where this machine has it.
fn remove_folder(results: &Path, run: &str) -> Result<Option<PathBuf>> {
    // Who shares a store writes the ids: one that leads out of the results folder is none of ours.
    let mut parts = Path::new(run).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Ok(None);
    }
    let folder = results.join(run);
    match fs::remove_dir_all(&folder) {
        Ok(()) => Ok(Some(folder)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::Error::new(WithCode {
            code: code::STORE,
            message: format!(
                "failed to remove the folder `{}` of a run that was removed: {error}; remove it by hand",
                folder.display()
            ),
        })),
    }
}

fn tell(arguments: &PruneArguments, removed: &[Pruned], folders: &[PathBuf]) -> Result<ExitCode> {
    if arguments.json {
        let document = serde_json::json!({ "dry_run": arguments.dry_run, "runs": removed, "folders": folders });
        outln!("{}", serde_json::to_string_pretty(&document).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    let word = if arguments.dry_run { "would remove" } else { "removed" };
    for run in removed {
        outln!("{word} {} · {} · {} · {} trials", run.id, run.started_at, run.status, run.trials);
    }
    for folder in folders {
        outln!("{word} {}", folder.display());
    }
    let trials: u64 = removed.iter().map(|run| run.trials).sum();
    let (runs, of_them) =
        (if removed.len() == 1 { "run" } else { "runs" }, if trials == 1 { "trial" } else { "trials" });
    outln!("{word} {} {runs} with {trials} {of_them}", removed.len());
    Ok(ExitCode::SUCCESS)
}
