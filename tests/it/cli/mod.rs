//! The program as a person or a script uses it: its output, its files, its exit codes.

mod bad_input;
mod databases;
mod experiment;
mod external;
mod from_database;
mod from_script;
mod into;
mod lint;
mod monitor;
mod monitoring;
mod real;
mod report;
mod rollout;
mod schedule;
mod serve;
mod serve_store;
mod simulate;
mod simulated;
mod simulation;
mod store;
mod stress;
mod tells;

use std::{
    path::Path,
    process::{Command, Output},
};

/// The program, with a results folder and a state folder of the test's own and no settings from outside.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pool-tune"));
    command.current_dir(folder).env_remove("DATABASE_URL").env_remove("POOL_TUNE_LOG").env_remove("POOL_TUNE_STORE");
    command.env("POOL_TUNE_RESULTS", folder.join("results")).env("POOL_TUNE_STATE", folder.join("state"));
    command
}

fn pool_tune(folder: &Path, arguments: &[&str]) -> Output {
    program(folder).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(folder: &Path, run: &str, file: &str) -> String {
    std::fs::read_to_string(folder.join("results").join(run).join(file)).unwrap()
}
