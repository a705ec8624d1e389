use crate::cli::out::{out, outln};
use std::{fs, path::Path, process::ExitCode};

use anyhow::Result;

use super::{
    arguments::{CompareArguments, ReportArguments, ReportFormat, Results},
    exit::{WithCode, code},
    runs,
    stress::drawn,
};
use crate::{
    model::Recommendation,
    report,
    store::{self, RunRecord, Store},
};

/// Makes a run's page or summary again, from what the store holds.
pub(super) async fn report(arguments: &ReportArguments) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    let (id, recommendation) = answered(&store, &arguments.run, &arguments.results).await?;
    let trials = store.trials(&id).await?;
    let trials = crate::job::reported(&trials);
    let text = match arguments.format {
        ReportFormat::Html => report::report_html(&recommendation, &trials),
        ReportFormat::Md => report::summary_md(&recommendation, &trials),
    };
    match (&arguments.output, arguments.format) {
        (Some(path), _) if path != Path::new("-") => {
            fs::write(path, text).map_err(|error| {
                anyhow::Error::new(WithCode {
                    code: code::STORE,
                    message: format!(
                        "failed to write the report to `{}`: {error}; name a file in a folder that is there and writable",
                        path.display()
                    ),
                })
            })?;
            outln!("wrote {}", path.display());
        }
        (None, ReportFormat::Html) => {
            let folder = arguments.results.results.join(&id);
            store::check_writable(&folder)?;
            for path in store::write_results(&folder, &[("report.html", text)])? {
                outln!("wrote {}", path.display());
            }
        }
        _ => out!("{text}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets two runs side by side.
pub(super) async fn compare(arguments: &CompareArguments) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    let (_, one) = answered(&store, &arguments.one, &arguments.results).await?;
    let (_, other) = answered(&store, &arguments.other, &arguments.results).await?;
    let beside = report::side_by_side(&one, &other);
    for (run, verdict) in &beside.verdicts {
        outln!("{run}: {verdict}\n");
    }
    for grid in &beside.grids {
        if grid.rows.is_empty() {
            outln!("{}: none", grid.title);
        } else {
            outln!("{}\n{}", grid.title, drawn(grid));
        }
    }
    for warning in &beside.warnings {
        outln!("\nwarning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A run that has an answer, with its whole name.
pub(super) async fn answered(store: &Store, run: &str, results: &Results) -> Result<(String, Recommendation)> {
    let RunRecord { intent, status, recommendation } = store.run(run).await?;
    match recommendation {
        Some(recommendation) => Ok((intent.id, recommendation)),
        None => Err(runs::without_answer(&intent.id, status, &intent.target, results)),
    }
}
