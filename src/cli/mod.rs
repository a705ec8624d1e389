//! The command line: one file a subcommand. The only room that prints.
//!
//! In: arguments, environment, signals. Out: text on standard output and standard error, and an exit code.

mod alerts;
mod arguments;
mod diagnose;
mod display;
mod exit;
mod experiment;
mod experiment_arguments;
mod export;
mod from_database;
mod from_script;
mod import;
mod into;
mod lint;
mod lint_arguments;
mod monitor;
mod monitor_arguments;
mod monitor_view;
mod monitoring;
mod out;
mod profiles;
mod progress;
mod report;
mod rollout;
mod rollout_arguments;
mod run;
mod runs;
mod schedule;
mod serve;
mod serve_arguments;
mod simulate;
mod simulation;
mod store;
mod store_arguments;
mod stress;
mod stress_arguments;
mod written;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, parser::ValueSource};
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command, LogFormat};

/// Reads the command line and does what it asks for.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match parsed() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    log(&arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("failed to start the program's threads")),
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Run(ref run) => Box::pin(run::run(&arguments, run)).await,
            Command::Stress(ref stress) => Box::pin(stress::stress(&arguments, stress)).await,
            Command::Simulate(ref simulate) => simulate::simulate(simulate).await,
            Command::Diagnose(ref diagnose) => diagnose::diagnose(diagnose).await,
            Command::Export(ref export) => export::export(export).await,
            Command::Report(ref report) => report::report(report).await,
            Command::Compare(ref compare) => report::compare(compare).await,
            Command::Monitor(ref monitor) => monitor::monitor(monitor, arguments.quiet).await,
            Command::Monitoring(ref monitoring) => monitoring::monitoring(monitoring).await,
            Command::Import(ref import) => import::import_settings(import),
            Command::Lint(ref lint) => lint::lint(lint).await,
            Command::Rollout(ref rollout) => Box::pin(rollout::rollout(rollout, arguments.quiet)).await,
            Command::Runs(ref runs) => runs::runs(runs).await,
            Command::Show(ref show) => runs::show(show).await,
            Command::Schedule(ref arguments) => schedule::schedule(arguments).await,
            Command::Serve(ref arguments) => serve::serve(arguments).await,
            Command::Alerts(ref arguments) => alerts::alerts(arguments).await,
            Command::Store(ref arguments) => store::store(arguments).await,
            Command::Profiles(ref profiles) => profiles::profiles(profiles).await,
        }
    });
    // Whatever still sits on a blocking thread must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match result {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

/// The command line, and whether a target is from there.
fn parsed() -> Result<Arguments, clap::Error> {
    let matches = Arguments::command().try_get_matches()?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    let is_flag = match matches.subcommand() {
        Some(("run" | "stress", matches)) => matches.value_source("target") == Some(ValueSource::CommandLine),
        _ => false,
    };
    match &mut arguments.command {
        Command::Run(run) => run.target_is_flag = is_flag,
        Command::Stress(stress) => stress.target_is_flag = is_flag,
        _ => {}
    }
    Ok(arguments)
}

/// Sends logs to standard error; what the user asked for goes to standard output.
fn log(arguments: &Arguments) {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        // What a run tells has to come through where it is told as log lines.
        (false, 0) if matches!(arguments.log_format, LogFormat::Json) => "pool_tune::cli=info,warn",
        (false, 0) => "warn",
        (false, 1) => "pool_tune=info,warn",
        (false, 2) => "pool_tune=debug,info",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_env("POOL_TUNE_LOG").unwrap_or_else(|_| {
        // What the server says of the program's own clean-up is nobody's business.
        EnvFilter::new(format!("{level},sqlx::postgres::notice=error"))
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| out::Log);
    match arguments.log_format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            out::tell_as_json();
            subscriber.json().init();
        }
    }
}
