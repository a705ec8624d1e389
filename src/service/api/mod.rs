//! The API under `/api`, the page at `/`, the metrics at `/metrics`.

mod document;
mod events;
mod experiments;
mod guard;
mod health;
mod problem;
mod runs;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use document::document;
pub(super) use experiments::{About, all};
pub(super) use problem::{Path, Problem};
pub(super) use runs::found;

use super::{hub::Hub, metrics::Format, page};
use guard::Guard;

/// The largest body that is read: what can be asked for is a line.
const BODY: usize = 16 * 1024;

/// What every handler is given.
type Shared = State<Arc<Hub>>;

/// The handlers of the API with their descriptions.
fn api() -> OpenApiRouter<Arc<Hub>> {
    OpenApiRouter::new()
        .routes(routes!(runs::list, runs::start))
        .routes(routes!(runs::one))
        .routes(routes!(runs::trials))
        .routes(routes!(runs::recommendation))
        .routes(routes!(runs::export))
        .routes(routes!(runs::stress))
        .routes(routes!(runs::stop))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::live))
        .routes(routes!(experiments::list))
        .routes(routes!(experiments::stop))
        .routes(routes!(experiments::schedule))
        .routes(routes!(experiments::formats))
        .routes(routes!(experiments::monitors))
        .routes(routes!(events::events))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(document::openapi))
}

/// Everything that is served.
pub(super) fn app(hub: &Arc<Hub>) -> Router {
    let (api, _) = api().split_for_parts();
    let guard = Arc::new(Guard::new(Arc::clone(hub)));
    Router::new()
        .merge(api)
        .route("/", get(page::dashboard))
        .route("/parts", get(page::parts))
        .route("/runs/{id}", get(page::report))
        .route("/service.js", get(page::script))
        .route("/metrics", get(metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(guard, guard::guard))
        .with_state(Arc::clone(hub))
}

async fn nothing(request: Request) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; GET /api/openapi.json says what there is",
        request.uri().path()
    ))
}

async fn other_method(request: Request) -> Problem {
    Problem::method(format!(
        "{} is not for {}; GET /api/openapi.json says what is",
        request.uri().path(),
        request.method()
    ))
}

async fn metrics(State(hub): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::of(accept);
    let text = hub.metrics.text(&hub, format).map_err(|error| Problem::failed(&error))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}
