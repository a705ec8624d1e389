use crate::cli::out::{errln, out, outln};
use std::{
    fs::{File, TryLockError},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use super::{
    arguments::{Results, RunsArguments, ShowArguments},
    exit::{WithCode, bad_input, code},
};
use crate::{
    job::{FolderLock, store_path},
    model::{Latency, Recommendation, Setting, Verdict},
    report,
    store::{RunStatus, RunSummary, Store, StoreAt, Task, TrialRecord},
    tune::Phase,
};

/// Whether a run is under way in a folder.
fn is_busy(folder: &Path) -> bool {
    File::open(FolderLock::path(folder))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl Results {
    /// Where runs are kept: what `--store` says, or else a file of the results folder.
    pub(super) fn at(&self) -> Result<StoreAt> {
        StoreAt::parse(self.store.as_ref(), &store_path(&self.results)).map_err(bad_input)
    }

    /// The same for who makes runs or removes them: who does so in a file holds the results folder that it lies in.
    pub(super) fn to_write(&self) -> Result<StoreAt> {
        let at = self.at()?;
        if matches!(&at, StoreAt::File(path) if *path != store_path(&self.results)) {
            return Err(bad_input(
                "--store sqlite:FILE is for reading a backup: to write, give postgres://…, or leave it out and name the folder with --results",
            ));
        }
        Ok(at)
    }
}

/// Whether somebody is at work on something: on a server its lock says so, and for a file that of the results folder.
pub(super) async fn is_under_way(store: &Store, folder: &Path, task: Task<'_>) -> Result<bool> {
    Ok(store.is_held(task).await?.unwrap_or_else(|| is_busy(folder)))
}

/// Tells of each run that is told to be under way, and has died, that it is interrupted.
pub(super) async fn as_they_are(store: &Store, folder: &Path, runs: &mut [RunSummary]) -> Result<()> {
    for run in runs.iter_mut().filter(|run| run.status == RunStatus::Running) {
        if !is_under_way(store, folder, Task::Run(&run.id)).await? {
            run.status = RunStatus::Interrupted;
        }
    }
    Ok(())
}

/// Opens a store to read it.
pub(super) async fn open(results: &Results) -> Result<Store> {
    let at = results.at()?;
    Store::connect_to_read(&at).await?.ok_or_else(|| {
        let (place, other) = match at {
            StoreAt::File(_) if results.store.is_none() => {
                (results.results.display().to_string(), "folder with --results")
            }
            at => (at.to_string(), "store with --store"),
        };
        let message =
            format!("there are no runs in `{place}` yet: make one with `pool-tune run`, or name another {other}");
        anyhow::Error::new(WithCode { code: code::STORE, message })
    })
}

/// The error of whoever needs the answer of a run that has none.
pub(super) fn without_answer(id: &str, status: RunStatus, target: &str, results: &Results) -> anyhow::Error {
    anyhow::Error::new(WithCode {
        code: code::STORE,
        message: format!(
            "run {id} has no recommendation: it is {status}; finish it with `{}`, or name another (`pool-tune runs` lists them)",
            super::run::resume_command(id, target, results)
        ),
    })
}

/// Lists runs, newest first.
pub(super) async fn runs(arguments: &RunsArguments) -> Result<ExitCode> {
    let mut runs = Vec::new();
    if let Some(store) = Store::connect_to_read(&arguments.results.at()?).await? {
        runs = store.runs().await?;
        as_they_are(&store, &arguments.results.results, &mut runs).await?;
    }
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&runs).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        errln!("no runs yet: make one with `pool-tune run`");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["run", "started", "profile", "status", "trials", "answer"]);
    for run in &runs {
        table.add_row([
            run.id.clone(),
            run.started_at.replace('T', " ").replace('Z', ""),
            run.profile.clone(),
            run.status.to_string(),
            run.trials.to_string(),
            run.verdict.as_ref().map(answer_in_short).unwrap_or_default(),
        ]);
    }
    outln!("{table}");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn answer_in_short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Better => "better settings".to_owned(),
        Verdict::Simulated { .. } => "better in simulation".to_owned(),
        Verdict::Keep { .. } => "keep".to_owned(),
        Verdict::Infeasible { .. } => "limits cannot be kept".to_owned(),
    }
}

/// Tells one run.
pub(super) async fn show(arguments: &ShowArguments) -> Result<ExitCode> {
    let store = open(&arguments.results).await?;
    let mut run = store.run(&arguments.run).await?;
    let task = Task::Run(&run.intent.id);
    if run.status == RunStatus::Running && !is_under_way(&store, &arguments.results.results, task).await? {
        run.status = RunStatus::Interrupted;
    }
    let intent = &run.intent;
    let trials = store.trials(&intent.id).await?;
    if arguments.json {
        let document = serde_json::json!({ "run": run, "trials": trials });
        outln!("{}", serde_json::to_string_pretty(&document).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    outln!("run {} · {} · profile {} · {} trials", intent.id, run.status, intent.profile_name, trials.len());
    outln!("target {} · {}", intent.target, intent.server_version);
    match &run.recommendation {
        Some(recommendation) => out!("{}", answer(recommendation)),
        None => outln!(
            "no answer yet; go on with `{}`",
            super::run::resume_command(run.intent.id.as_str(), &run.intent.target, &arguments.results)
        ),
    }
    if !trials.is_empty() {
        outln!("\n{}", trials_table(&trials));
    }
    Ok(ExitCode::SUCCESS)
}

/// A row a trial; settings that act under faults are told where trials have a part with them.
fn trials_table(trials: &[TrialRecord]) -> Table {
    let mut header = vec!["trial", "phase", "why", "max", "min"];
    let with_faults = trials.iter().any(|trial| trial.measurement.under_faults.is_some());
    if with_faults {
        header.extend(["retries", "delay", "breaker"]);
    }
    header.extend(["QPS", "ok %", "query p95 ms", "acquire p95 ms"]);
    if with_faults {
        header.push("faults %");
    }
    let mut table = table(&header);
    // Probes have no figures of these; what they found is in the summary.
    for trial in trials.iter().filter(|trial| trial.phase != Phase::Probe.name()) {
        let (measurement, settings) = (&trial.measurement, &trial.settings);
        let mut row = vec![
            trial.sequence.to_string(),
            trial.phase.clone(),
            trial.why.clone(),
            settings.max_connections().to_string(),
            settings.min_connections().to_string(),
        ];
        if with_faults {
            let acting = [Setting::RetryAttempts, Setting::InitialRetryDelay, Setting::CircuitBreakerThreshold];
            row.extend(acting.map(|setting| settings.get(setting).to_string()));
        }
        row.extend([
            format!("{:.0}", measurement.throughput),
            format!("{:.3}", measurement.requests.success_rate * 100.0),
            p95(&measurement.query),
            p95(&measurement.acquire.total),
        ]);
        row.extend(measurement.under_faults.iter().map(|part| format!("{:.1}", part.share * 100.0)));
        table.add_row(row);
    }
    for column in (0..header.len()).filter(|column| !(1..=2).contains(column)) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// In milliseconds; a program or a service does not tell every time.
fn p95(times: &Latency) -> String {
    if times.count == 0 { "–".to_owned() } else { format!("{:.2}", times.p95 * 1e3) }
}

/// The answer of a run as text: the verdict, a row a setting, insights, warnings.
pub(super) fn answer(recommendation: &Recommendation) -> String {
    let effect = match recommendation.under_faults {
        Some(_) => "effect on throughput, faults counted (95 % interval)",
        None => "effect on throughput (95 % interval)",
    };
    let mut table = table(&["setting", "was", "now", "decided by", effect]);
    for row in report::table(recommendation) {
        table.add_row(row);
    }
    let mut text = format!("\n{}\n\n{table}\n", report::verdict_sentence(recommendation));
    if let Some(fleet) = report::fleet_sentence(recommendation) {
        text.push_str(&format!("\n{fleet}\n"));
    }
    if let Some(faults) = report::faults_sentence(recommendation) {
        text.push_str(&format!("\n{faults}\n"));
    }
    for insight in &recommendation.insights {
        text.push_str(&format!("\n{}: {}\n", insight.title, insight.text));
    }
    for warning in &recommendation.warnings {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    text
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    // A name that is broken cannot be copied.
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}
