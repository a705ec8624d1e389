use crate::cli::out::{errln, outln};
use std::process::ExitCode;

use anyhow::Result;

use super::{
    exit::{WithCode, bad_input, code},
    monitor_arguments::MonitoringArguments,
    report::answered,
    runs,
};
use crate::{
    monitoring::{self, Library},
    store,
};

/// Writes the monitoring kit of a run.
pub(super) async fn monitoring(arguments: &MonitoringArguments) -> Result<ExitCode> {
    let library = Library::named(&arguments.metrics).map_err(bad_input)?;
    let store = runs::open(&arguments.results).await?;
    let (id, recommendation) = answered(&store, &arguments.run, &arguments.results).await?;
    let trials = store.trials(&id).await?;
    let kit = monitoring::kit(&recommendation, &crate::job::reported(&trials), library, &arguments.runbook_url);
    let kit = kit.map_err(|error| {
        anyhow::Error::new(WithCode {
            code: code::INFEASIBLE,
            message: format!(
                "failed to make the monitoring kit of run {id}: {error}; `pool-tune show {id}` says which limit fails"
            ),
        })
    })?;
    let folder = arguments.output.clone().unwrap_or_else(|| arguments.results.results.join(&id).join("monitoring"));
    let unwritable = |error: store::StoreError| {
        anyhow::Error::new(WithCode {
            code: code::STORE,
            message: match error {
                // The usual remedy is about the folder of runs, which this may not be.
                store::StoreError::Open { path, problem } => format!(
                    "failed to write the monitoring kit to `{}`: {problem}; make the folder writable, or name another with --output",
                    path.display()
                ),
                error => format!("failed to {error}; name another folder with --output"),
            },
        })
    };
    store::check_writable(&folder).map_err(unwritable)?;
    for path in store::write_results(&folder, &kit).map_err(unwritable)? {
        outln!("wrote {}", path.display());
    }
    for note in library.notes {
        errln!("note: {note}");
    }
    errln!("check it with: promtool test rules {}", folder.join("rules_test.yaml").display());
    Ok(ExitCode::SUCCESS)
}
