//! The description of the API, made from its handlers and types.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{
    super::bus::Told,
    experiments::{Experiments, Formats, Monitors, Schedule, TakenBack},
    health::{Health, Readiness},
    problem::Problem,
    runs::{Now, Queued, Run, Runs, StartRun, Trials},
};
use crate::{job::Stressed, model::Recommendation};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The API as an `OpenAPI` 3.1 document.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(super::api().get_openapi()).unwrap_or_default();
    document["info"] = json!({
        "title": "pool-tune",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Runs of connection pool tuning, their evidence and their settings. What changes something needs the token.",
        "license": { "name": "MIT" },
    });
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    of::<Runs>(&mut generator);
    of::<StartRun>(&mut generator);
    of::<Queued>(&mut generator);
    of::<Run>(&mut generator);
    of::<Trials>(&mut generator);
    of::<Stressed>(&mut generator);
    of::<Now>(&mut generator);
    of::<Experiments>(&mut generator);
    of::<Schedule>(&mut generator);
    of::<TakenBack>(&mut generator);
    of::<Formats>(&mut generator);
    of::<Monitors>(&mut generator);
    of::<Health>(&mut generator);
    of::<Readiness>(&mut generator);
    of::<Problem>(&mut generator);
    of::<Recommendation>(&mut generator);
    of::<Told>(&mut generator);
    document["components"]["schemas"] = generator.take_definitions(true).into();
    document
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// This description
#[utoipa::path(get, path = "/api/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1")))]
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
