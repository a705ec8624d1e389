//! Runs: what they have found, and starting, stopping and going on with them.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{
    super::{
        hub::{By, Order, Refused},
        live::Live,
    },
    Shared,
    experiments::unknown,
    problem::{Json, Path, Problem, Query},
};
use crate::{
    export::{self, Prefix},
    job::{self, Stressed},
    model::Recommendation,
    store::{RunStatus, RunSummary, TrialRecord},
};

/// Most runs in an answer.
const MOST: u32 = 500;

/// Runs, newest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct Runs {
    /// As many as were asked for.
    runs: Vec<RunSummary>,
    /// How many there are.
    total: u32,
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Most runs, 50 without a word, at most 500
    limit: Option<u32>,
    /// Runs to leave out, newest first
    offset: Option<u32>,
    /// Only runs of this experiment
    experiment: Option<String>,
}

/// List runs, newest first
#[utoipa::path(get, path = "/api/runs", tag = "runs", params(Which),
    responses((status = 200, body = ref("#/components/schemas/Runs")), (status = 400, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn list(State(hub): Shared, Query(which): Query<Which>) -> Result<Json<Runs>, Problem> {
    let limit = which.limit.unwrap_or(50);
    if limit > MOST {
        return Err(Problem::bad(format!("limit is {limit}: expected at most {MOST}")));
    }
    let (runs, total) = hub.store.page(which.experiment.as_deref(), limit, which.offset.unwrap_or(0)).await?;
    Ok(Json(Runs { runs, total }))
}

/// An experiment to run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRun {
    /// Its name.
    experiment: String,
    /// Whether a round that was interrupted is given up.
    #[serde(default)]
    fresh: bool,
}

/// What became of a request to run.
#[derive(Serialize, JsonSchema)]
pub(super) struct Queued {
    /// The experiment.
    experiment: String,
    /// How many are run before it.
    before: usize,
    /// What to do next, as a sentence.
    next: &'static str,
}

const NEXT: &str = "GET /api/live tells how it goes on, /api/events when something happens";

/// Run an experiment of the configured folder
///
/// It begins when what is under way has ended. Its round goes on where it was interrupted, unless `fresh` is true.
#[utoipa::path(post, path = "/api/runs", tag = "runs", request_body = ref("#/components/schemas/StartRun"), security(("token" = [])),
    responses((status = 202, body = ref("#/components/schemas/Queued")), (status = 400, body = ref("#/components/schemas/Problem")),
        (status = 401, body = ref("#/components/schemas/Problem")), (status = 404, body = ref("#/components/schemas/Problem")),
        (status = 409, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn start(State(hub): Shared, Json(wanted): Json<StartRun>) -> Result<Response, Problem> {
    let StartRun { experiment, fresh } = wanted;
    let experiments = hub.experiments();
    match experiments.iter().find(|known| known.name == experiment).map(|known| &known.loaded) {
        None => return Err(unknown(&experiment, &experiments)),
        Some(Err(error)) => return Err(Problem::conflict(error.clone())),
        Some(Ok(loaded)) => {
            job::read_target_of(loaded).map_err(|error| Problem::conflict(error.to_string()))?;
        }
    }
    order(&hub, experiment, fresh)
}

fn order(hub: &super::super::hub::Hub, experiment: String, fresh: bool) -> Result<Response, Problem> {
    let before = hub.waiting().len() + usize::from(hub.live(|_| ()).is_some());
    hub.order(Order { experiment: experiment.clone(), by: By::Request, due: None, fresh }).map_err(|refused| {
        Problem::conflict(match refused {
            Refused::UnderWay => format!("experiment `{experiment}` is under way: wait for its end, or stop it"),
            Refused::Waits => format!("experiment `{experiment}` waits for its turn already"),
        })
    })?;
    Ok((StatusCode::ACCEPTED, Json(Queued { experiment, before, next: NEXT })).into_response())
}

/// A run.
#[derive(Serialize, JsonSchema)]
pub(super) struct Run {
    /// Its id.
    id: String,
    /// When it began, RFC 3339 in UTC.
    started_at: String,
    /// How far it has come.
    status: RunStatus,
    /// The profile.
    profile: String,
    /// The experiment that it belongs to.
    experiment: Option<String>,
    /// The target, without its password.
    target: String,
    /// The database's name and version.
    server: String,
    /// The machine that drove the load.
    machine: String,
    /// The seed of everything random.
    seed: u64,
    /// Its answer, once it has finished.
    recommendation: Option<Recommendation>,
}

/// Tell one run; its id may be shortened, and `latest` is the newest
#[utoipa::path(get, path = "/api/runs/{id}", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = ref("#/components/schemas/Run")), (status = 404, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn one(State(hub): Shared, Path(id): Path<String>) -> Result<Json<Run>, Problem> {
    let record = hub.store.run(&id).await?;
    let intent = record.intent;
    Ok(Json(Run {
        id: intent.id,
        started_at: intent.started_at,
        status: record.status,
        profile: intent.profile_name,
        experiment: intent.experiment,
        target: intent.target,
        server: intent.server_version,
        machine: intent.machine,
        seed: intent.seed,
        recommendation: record.recommendation,
    }))
}

/// The trials of a run.
#[derive(Serialize, JsonSchema)]
pub(super) struct Trials {
    /// In order.
    trials: Vec<TrialRecord>,
}

/// A run's trials with all that was measured
#[utoipa::path(get, path = "/api/runs/{id}/trials", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = ref("#/components/schemas/Trials")), (status = 404, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn trials(State(hub): Shared, Path(id): Path<String>) -> Result<Json<Trials>, Problem> {
    let id = hub.store.run(&id).await?.intent.id;
    Ok(Json(Trials { trials: hub.store.trials(&id).await? }))
}

/// A run's recommendation: each value with what decided it, effect and interval
#[utoipa::path(get, path = "/api/runs/{id}/recommendation", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = ref("#/components/schemas/Recommendation")), (status = 404, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn recommendation(
    State(hub): Shared,
    Path(id): Path<String>,
) -> Result<Json<Recommendation>, Problem> {
    found(&hub, &id).await.map(Json)
}

/// The stress tests of what a run decided, where its experiment has some
#[utoipa::path(get, path = "/api/runs/{id}/stress", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = ref("#/components/schemas/Stressed")), (status = 404, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn stress(State(hub): Shared, Path(id): Path<String>) -> Result<Json<Stressed>, Problem> {
    let id = hub.store.run(&id).await?.intent.id;
    match Stressed::of(&hub.store, &id).await? {
        Some(stressed) => Ok(Json(stressed)),
        None => Err(Problem::not_found(format!("there are no stress tests of run {id}"))),
    }
}

/// A run's recommendation, which it must have.
pub(in crate::service) async fn found(hub: &super::super::hub::Hub, id: &str) -> Result<Recommendation, Problem> {
    let record = hub.store.run(id).await?;
    let status = record.status;
    record
        .recommendation
        .ok_or_else(|| Problem::not_found(format!("run {} has no recommendation: it is {status}", record.intent.id)))
}

/// In which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Form {
    /// The format; GET /api/formats lists them
    format: String,
    /// What names begin with, in formats that have names of one's own
    prefix: Option<String>,
}

/// A run's recommended settings as a file for a pool
#[utoipa::path(get, path = "/api/runs/{id}/export", tag = "runs", params(("id" = String, Path, description = "The run's id"), Form),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 400, body = ref("#/components/schemas/Problem")),
        (status = 404, body = ref("#/components/schemas/Problem")), (status = 409, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn export(
    State(hub): Shared,
    Path(id): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let format = export::Format::named(&form.format).map_err(Problem::bad)?;
    let prefix = form.prefix.as_deref().map_or_else(|| Ok(Prefix::default()), Prefix::parse).map_err(Problem::bad)?;
    let recommendation = found(&hub, &id).await?;
    let text =
        export::export(format, &recommendation, &prefix).map_err(|error| Problem::conflict(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Stop the run that is under way; what was measured is kept, and it can go on
#[utoipa::path(post, path = "/api/runs/{id}/stop", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    security(("token" = [])),
    responses((status = 202, body = ref("#/components/schemas/Live")), (status = 401, body = ref("#/components/schemas/Problem")),
        (status = 409, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn stop(State(hub): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let stopped = hub.live(|live| {
        (live.run.as_ref() == Some(&id)).then(|| {
            live.stopping = true;
            live.cancel.cancel();
            live.shown()
        })
    });
    match stopped {
        Some(Some(live)) => Ok((StatusCode::ACCEPTED, Json(live)).into_response()),
        Some(None) => {
            Err(Problem::conflict(format!("run `{id}` is not under way, another one is: GET /api/live tells it")))
        }
        None => Err(Problem::conflict(format!("run `{id}` is not under way: nothing is"))),
    }
}

/// Go on with a run that was interrupted, as its experiment's next round does
#[utoipa::path(post, path = "/api/runs/{id}/resume", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    security(("token" = [])),
    responses((status = 202, body = ref("#/components/schemas/Queued")), (status = 401, body = ref("#/components/schemas/Problem")),
        (status = 404, body = ref("#/components/schemas/Problem")), (status = 409, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn resume(State(hub): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let record = hub.store.run(&id).await?;
    let run = record.intent.id;
    if record.status != RunStatus::Interrupted {
        return Err(Problem::conflict(format!(
            "run {run} is {}: only one that was interrupted goes on",
            record.status
        )));
    }
    let Some((experiment, round)) = record.intent.experiment.zip(record.intent.round) else {
        let by_hand = format!("run {run} belongs to no experiment: `pool-tune run --resume {run}` goes on with it");
        return Err(Problem::conflict(by_hand));
    };
    if hub
        .store
        .last_round(&experiment)
        .await?
        .is_none_or(|last| last.id != round || last.status != RunStatus::Interrupted)
    {
        return Err(Problem::conflict(format!(
            "run {run} is of a round that later ones have followed: start `{experiment}` anew"
        )));
    }
    let experiments = hub.experiments();
    if !experiments.iter().any(|known| known.name == experiment && known.loaded.is_ok()) {
        return Err(unknown(&experiment, &experiments));
    }
    order(&hub, experiment, false)
}

/// What is under way.
#[derive(Serialize, JsonSchema)]
pub(super) struct Now {
    /// The round that is under way, if one is.
    live: Option<Live>,
    /// The experiments that wait for their turn.
    waiting: Vec<String>,
    /// The time, RFC 3339 in UTC.
    #[serde(rename = "now")]
    time: String,
}

/// What is under way now
#[utoipa::path(get, path = "/api/live", tag = "runs", responses((status = 200, body = ref("#/components/schemas/Now"))))]
pub(super) async fn live(State(hub): Shared) -> Json<Now> {
    let time = crate::job::stored_time(Timestamp::now());
    Json(Now { live: hub.live(|live| live.shown()), waiting: hub.waiting(), time })
}
