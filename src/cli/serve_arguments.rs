#![expect(clippy::doc_markdown, reason = "these comments are the help text, shown as they stand")]

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use secrecy::SecretString;

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The configuration: where to listen, the token's place, folders, what to watch
    ///
    /// Relative paths in it are seen from its folder. Without it: 127.0.0.1:8099, ./results, ./experiments, nothing watched, and the
    /// token from POOL_TUNE_TOKEN, if that is set.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen, in place of what the configuration says; port 0 takes a free one
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    pub(super) bind: Option<SocketAddr>,
    /// The results folder, in place of what the configuration says
    #[arg(long, value_name = "FOLDER", env = "POOL_TUNE_RESULTS")]
    pub(super) results: Option<PathBuf>,
    /// Keep runs on this PostgreSQL, which several services may share: one of them at a time runs what is due
    #[arg(long, value_name = "URL", env = "POOL_TUNE_STORE", hide_env_values = true)]
    pub(super) store: Option<SecretString>,
    /// The folder of the experiments, in place of what the configuration says
    #[arg(long, value_name = "FOLDER")]
    pub(super) experiments: Option<PathBuf>,
    /// Print the API's description (OpenAPI 3.1) and end
    #[arg(long)]
    pub(super) openapi: bool,
}
