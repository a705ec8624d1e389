use std::net::SocketAddr;

use crate::{job::JobError, store::StoreError};

/// Why a service cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Others could reach it, and nothing keeps them from starting load.
    #[error(
        "failed to listen on {0}: others can reach that address, and there is no token; write `token: {{env: POOL_TUNE_TOKEN}}` into the \
         configuration (or set POOL_TUNE_TOKEN), or listen on 127.0.0.1"
    )]
    OpenWithoutToken(SocketAddr),
    /// The token could be guessed.
    #[error("the token is shorter than {0} characters and could be guessed: make one with `openssl rand -hex 24`")]
    ShortToken(usize),
    /// The port cannot be had.
    #[error("failed to listen on {bind}: {problem}; choose another address with --bind")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// What is wrong.
        problem: String,
    },
    /// It stopped answering.
    #[error("failed to serve: {0}")]
    Serve(String),
    /// The thread that runs experiments ended.
    #[error(
        "the thread that runs experiments ended by itself: this is a fault of pool-tune; start the service again, it goes on"
    )]
    Engine,
    /// Metrics cannot be pushed as configured.
    #[error("failed to use `otlp` of the configuration: {0}")]
    Otlp(String),
    /// A secret, an experiment or the results folder.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
