//! Whether the service lives, and whether it can do its work.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Shared, problem::Json};
use crate::store;

/// That it lives.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
    /// The program's version.
    version: &'static str,
    /// When it began, RFC 3339 in UTC.
    started_at: String,
}

/// Whether it lives (for a supervisor that starts it again if not)
#[utoipa::path(get, path = "/api/health", tag = "health", responses((status = 200, body = ref("#/components/schemas/Health"))))]
pub(super) async fn alive(State(hub): Shared) -> Json<Health> {
    let started_at = crate::job::stored_time(hub.started);
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), started_at })
}

/// What it needs for its work.
#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    /// Whether it has all of it.
    ready: bool,
    /// Whether this service runs what is due: of several that share a store one does.
    leads: bool,
    /// What is missing, each as a sentence.
    problems: Vec<String>,
}

/// Whether it can run experiments now: store and results folder can be used, the engine lives
#[utoipa::path(get, path = "/api/ready", tag = "health", responses((status = 200, body = ref("#/components/schemas/Readiness")),
    (status = 503, body = ref("#/components/schemas/Readiness"))))]
pub(super) async fn ready(State(hub): Shared) -> Response {
    let mut problems = Vec::new();
    if !hub.engine_is_alive() {
        problems.push("the thread that runs experiments has ended".to_owned());
    }
    if let Err(error) = hub.store.last_due("").await {
        problems.push(format!("failed to {error}"));
    }
    let results = hub.config.results.clone();
    // It writes and waits for the disk, which is no work for those who serve.
    let written = tokio::task::spawn_blocking(move || store::check_writable(&results)).await;
    if let Ok(Err(error)) = written {
        problems.push(format!("failed to {error}"));
    }
    let ready = problems.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, leads: hub.leads(), problems })).into_response()
}
