use crate::cli::out::out;
use std::process::ExitCode;

use anyhow::Result;

use super::{
    arguments::ExportArguments,
    exit::{WithCode, bad_input, code},
    runs,
};
use crate::export::{self, Prefix};

/// Prints config.py of a run.
pub(super) async fn export(arguments: &ExportArguments) -> Result<ExitCode> {
    let store = runs::open(&arguments.results).await?;
    let run = store.run(&arguments.run).await?;
    let id = &run.intent.id;
    let prefix = arguments.prefix.as_deref().unwrap_or(&run.intent.prefix);
    let prefix = Prefix::parse(prefix).map_err(bad_input)?;
    let Some(recommendation) = &run.recommendation else {
        return Err(anyhow::Error::new(WithCode {
            code: code::STORE,
            message: format!(
                "run {id} has no recommendation: it is {}; finish it with `{}`, or name another (`pool-tune runs` \
                 lists them)",
                run.status,
                super::run::resume_command(id, &run.intent.target, &arguments.results.results)
            ),
        }));
    };
    let Some(text) = export::config_py(recommendation, &prefix) else {
        return Err(anyhow::Error::new(WithCode {
            code: code::INFEASIBLE,
            message: format!(
                "run {id} found no settings that keep its limits, so there is nothing to export; \
                 `pool-tune show {id}` says which limit fails"
            ),
        }));
    };
    out!("{text}");
    Ok(ExitCode::SUCCESS)
}
