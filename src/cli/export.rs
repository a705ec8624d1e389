use crate::cli::out::{out, outln};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};

use super::{
    arguments::ExportArguments,
    exit::{WithCode, bad_input, code},
    into::Into,
    runs,
};
use crate::export::{self, ExportError, FORMATS, Format, Prefix};

/// Prints a run's recommended settings in a format, or lists the formats.
pub(super) async fn export(arguments: &ExportArguments) -> Result<ExitCode> {
    if arguments.format == "list" {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    // A misspelt format is told before anything is looked up, and so is a file that cannot be changed.
    let into = arguments.into.as_deref().map(Into::open).transpose()?;
    let name = into.as_ref().map_or(arguments.format.as_str(), |into| into.format());
    let format = Format::named(name).map_err(bad_input)?;
    let has_prefix = into.as_ref().map_or(format.has_prefix(), Into::has_prefix);
    if arguments.prefix.is_some() && !has_prefix {
        return Err(bad_input(format!(
            "--prefix is for config.py and env: the names of {} are given; leave it out",
            format.title
        )));
    }
    let store = runs::open(&arguments.results).await?;
    let run = store.run(&arguments.run).await?;
    let id = &run.intent.id;
    let prefix = arguments.prefix.as_deref().unwrap_or(&run.intent.prefix);
    let prefix = Prefix::parse(prefix).map_err(bad_input)?;
    let Some(recommendation) = &run.recommendation else {
        return Err(runs::without_answer(id, run.status, &run.intent.target, &arguments.results));
    };
    match export::export(format, recommendation, &prefix) {
        Ok(text) => {
            if let Some(into) = into {
                return into.put(recommendation, &prefix, arguments);
            }
            out!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Err(ExportError::Infeasible) => Err(anyhow::Error::new(WithCode {
            code: code::INFEASIBLE,
            message: format!(
                "run {id} found no settings that keep its limits, so there is nothing to export; \
                 `pool-tune show {id}` says which limit fails"
            ),
        })),
        Err(error @ ExportError::Refused { .. }) => {
            Err(bad_input(format!("failed to export run {id} as {}: {error}", format.name)))
        }
    }
}

fn list() {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["format", "for", "also named"]);
    for format in FORMATS {
        table.add_row([format.name.to_owned(), format.about.to_owned(), format.aliases.join(", ")]);
    }
    outln!("{table}");
}
