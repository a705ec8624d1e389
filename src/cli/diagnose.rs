use crate::cli::out::outln;
use std::{collections::BTreeMap, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};

use super::{
    arguments::DiagnoseArguments,
    exit::bad_input,
    runs,
    stress::{drawn, read_reports},
};
use crate::{
    diagnose::{self, Facts, SizeFacts},
    model::{Finding, Measurement, Settings},
    report, stats,
    store::TrialRecord,
    tune::Phase,
};

/// What was diagnosed, and what was found.
#[derive(serde::Serialize)]
struct Diagnosed {
    what: String,
    findings: Vec<Finding>,
}

/// Tells what the figures of a run or of stress tests point to.
pub(super) async fn diagnose(arguments: &DiagnoseArguments) -> Result<ExitCode> {
    let name = arguments.what.as_str();
    let path = Path::new(name);
    let is_file = path.is_file() || name.contains('/') || path.extension().is_some_and(|ending| ending == "json");
    let diagnosed = if is_file { of_file(path)? } else { vec![of_run(arguments).await?] };
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&diagnosed).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    for Diagnosed { what, findings } in &diagnosed {
        outln!("{what}");
        if findings.is_empty() {
            let rules: Vec<_> = diagnose::rules().collect();
            outln!("  nothing stands out (looked for: {})\n", rules.join(", "));
        } else {
            outln!("{}\n", drawn(&report::findings_grid(findings)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn of_file(path: &Path) -> Result<Vec<Diagnosed>> {
    let reports = read_reports(path)?;
    let diagnosed = reports.iter().map(|report| Diagnosed {
        what: format!("stress test {} · profile {} · {}", report.scenario, report.profile, report.target),
        findings: diagnose::findings(&Facts::of_stress(report)),
    });
    Ok(diagnosed.collect())
}

async fn of_run(arguments: &DiagnoseArguments) -> Result<Diagnosed> {
    let store = runs::open(&arguments.results).await?;
    let run = store.run(&arguments.what).await?;
    let trials = store.trials(&run.intent.id).await?;
    let what = format!("run {} · profile {} · {}", run.intent.id, run.intent.profile_name, run.intent.target);
    // The settings in use are those of the first trial; the last trial of them is the nearest to now.
    let Some(in_use) = trials.first().map(|trial| trial.settings.clone()) else {
        return Err(bad_input(format!(
            "{what} has no trial yet: go on with `pool-tune run --resume {}`",
            run.intent.id
        )));
    };
    let measurement = typical(&trials, &in_use);
    let profile =
        crate::profile::parse_stored(&run.intent.profile_name, &run.intent.profile_source).map_err(bad_input)?;
    let sizes = sizes(&trials);
    let facts = Facts {
        settings: &in_use,
        measurement: &measurement,
        series: &[],
        workers: profile.workers,
        steady_load: true,
        sizes: &sizes,
    };
    Ok(Diagnosed { what, findings: diagnose::findings(&facts) })
}

/// The trial of the settings in use whose throughput is the median one.
fn typical(trials: &[TrialRecord], in_use: &Settings) -> Measurement {
    let mut of: Vec<&Measurement> = trials
        .iter()
        .filter(|trial| trial.settings == *in_use && Phase::is_of_settings(&trial.phase))
        .map(|trial| &trial.measurement)
        .collect();
    of.sort_by(|a, b| a.throughput.total_cmp(&b.throughput));
    of[of.len() / 2].clone()
}

/// What each size did.
fn sizes(trials: &[TrialRecord]) -> Vec<SizeFacts> {
    let mut by_size: BTreeMap<u32, Vec<&Measurement>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| Phase::is_of_settings(&trial.phase)) {
        by_size.entry(trial.settings.max_connections()).or_default().push(&trial.measurement);
    }
    by_size
        .into_iter()
        .map(|(connections, of)| SizeFacts {
            connections,
            throughput: of.iter().map(|one| one.throughput).collect(),
            query_p99: stats::mean(&of.iter().map(|one| one.query.p99).collect::<Vec<_>>()),
        })
        .collect()
}
