//! `serve`: the service.

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::Results,
    exit::{WithCode, bad_input, code, job_error},
    out::{self, errln, outln},
    run,
    serve_arguments::ServeArguments,
};
use crate::{
    job,
    profile::{ServiceConfig, TargetSource},
    service::{self, Service, ServiceError},
};

/// Where the token is when no configuration says otherwise.
const TOKEN: &str = "POOL_TUNE_TOKEN";

/// Runs the service until it is told to stop.
pub(super) async fn serve(arguments: &ServeArguments) -> Result<ExitCode> {
    if arguments.openapi {
        outln!("{}", serde_json::to_string_pretty(&service::document()).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    let config = config(arguments)?;
    let named = arguments.experiments.is_some() || arguments.config.is_some();
    if named && !config.experiments.is_dir() {
        return Err(bad_input(format!(
            "failed to find experiments: `{}` is no folder; make it, or name another with --experiments",
            config.experiments.display()
        )));
    }
    let read_only = config.token.is_none();
    let (experiments, results) = (config.experiments.clone(), config.results.clone());
    let store = match (&arguments.store, &config.store) {
        (Some(store), _) => Some(store.clone()),
        (None, Some(source)) => Some(job::read_secret(source, "the store's address").map_err(job_error)?),
        (None, None) => None,
    };
    let at = Results { results: config.results.clone(), store }.to_write()?;
    let service = Service::open(config, &at).await.map_err(service_error)?;
    for problem in service.problems() {
        // It goes on without that one, and somebody has to mend it.
        if out::tells_as_json() {
            tracing::warn!("{problem}");
        } else {
            errln!("warning: {problem}");
        }
    }
    let names = service.names();
    let what = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    errln!("experiments in {}: {what}; results in {}; runs in {at}", experiments.display(), results.display());
    if read_only {
        errln!(
            "note: there is no token, so that runs cannot be started or stopped from outside: set {TOKEN} to allow it"
        );
    }
    // On standard output, so that whoever starts it with port 0 learns the port.
    outln!("listening on http://{}", service.address());
    let cancel = CancellationToken::new();
    let signals = JoinSet::from_iter([run::stop_on_signal(cancel.clone())?]);
    let result = service.run(cancel).await;
    drop(signals);
    result.map_err(service_error)?;
    errln!("ended");
    Ok(ExitCode::SUCCESS)
}

fn config(arguments: &ServeArguments) -> Result<ServiceConfig> {
    let mut config = arguments.config.as_deref().map(read).transpose()?.unwrap_or_default();
    if config.token.is_none() && env::var_os(TOKEN).is_some() {
        config.token = Some(TargetSource::Environment(TOKEN.to_owned()));
    }
    config.bind = arguments.bind.unwrap_or(config.bind);
    if let Some(results) = &arguments.results {
        config.results.clone_from(results);
    }
    if let Some(experiments) = &arguments.experiments {
        config.experiments.clone_from(experiments);
    }
    Ok(config)
}

/// Reads a configuration.
pub(super) fn read(path: &Path) -> Result<ServiceConfig> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| bad_input(format!("failed to read configuration `{shown}`: {error}")))?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    Ok(ServiceConfig::parse(&shown, &text).map_err(bad_input)?.seen_from(folder))
}

pub(super) fn service_error(error: ServiceError) -> anyhow::Error {
    let code = match error {
        ServiceError::Job(error) => return job_error(error),
        ServiceError::Store(error) => return error.into(),
        ServiceError::OpenWithoutToken(_) | ServiceError::ShortToken(_) | ServiceError::Otlp(_) => code::BAD_INPUT,
        ServiceError::Bind { .. } => code::BUSY,
        ServiceError::Serve(_) | ServiceError::Engine => code::FAILED,
    };
    anyhow::Error::new(WithCode { code, message: error.to_string() })
}
