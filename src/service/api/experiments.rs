//! Experiments, their times, formats, and what is watched.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    super::{experiments::Known, hub::Hub, watcher::Seen},
    Shared,
    problem::{Json, Path, Problem},
};
use crate::{
    export,
    store::{RoundRecord, StoreError},
};

/// Due times that are told.
const SHOWN: usize = 5;

/// The experiments of the configured folder.
#[derive(Serialize, JsonSchema)]
pub(super) struct Experiments {
    /// In the order of their files.
    experiments: Vec<About>,
}

/// An experiment.
#[derive(Clone, Serialize, JsonSchema)]
pub(in crate::service) struct About {
    /// Its name.
    pub(in crate::service) name: String,
    /// What it is for.
    #[serde(rename = "about")]
    pub(in crate::service) purpose: String,
    /// The profiles that it tunes.
    pub(in crate::service) profiles: Vec<String>,
    /// Why it cannot be run, if so.
    pub(in crate::service) problem: Option<String>,
    /// When it is due by itself.
    pub(in crate::service) schedule: Option<Times>,
    /// Its last round.
    pub(in crate::service) last: Option<RoundRecord>,
}

/// When an experiment is due.
#[derive(Clone, Serialize, JsonSchema)]
pub(in crate::service) struct Times {
    /// The cron expression.
    pub(in crate::service) cron: String,
    /// The zone that it is in.
    pub(in crate::service) zone: String,
    /// The longest that a start is put off by chance, in seconds.
    pub(in crate::service) jitter: f64,
    /// The times of day within which it runs.
    pub(in crate::service) window: Option<String>,
    /// The next times, RFC 3339 with the zone's offset, without jitter.
    pub(in crate::service) next: Vec<String>,
}

/// The experiments as they are now.
pub(in crate::service) async fn all(hub: &Hub) -> Result<Vec<About>, StoreError> {
    let now = Timestamp::now();
    let mut all = Vec::new();
    for known in hub.experiments().iter() {
        all.push(match &known.loaded {
            Err(problem) => About {
                name: known.name.clone(),
                purpose: String::new(),
                profiles: Vec::new(),
                problem: Some(problem.clone()),
                schedule: None,
                last: None,
            },
            Ok(loaded) => {
                let experiment = &loaded.experiment;
                let schedule = experiment.schedule.as_ref().map(|schedule| Times {
                    cron: schedule.expression().to_owned(),
                    zone: schedule.zone().to_owned(),
                    jitter: schedule.jitter().as_secs_f64(),
                    window: schedule.window().map(|window| window.to_string()),
                    next: schedule
                        .after(now)
                        .take(SHOWN)
                        .map(|time| schedule.local(time).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
                        .collect(),
                });
                About {
                    name: experiment.name.clone(),
                    purpose: experiment.about.clone(),
                    profiles: experiment.profiles.clone(),
                    problem: crate::job::read_target_of(loaded).err().map(|error| error.to_string()),
                    schedule,
                    last: hub.store.last_round(&experiment.name).await?,
                }
            }
        });
    }
    Ok(all)
}

/// List the experiments that can be run, with what keeps one from it
#[utoipa::path(get, path = "/api/experiments", tag = "experiments",
    responses((status = 200, body = ref("#/components/schemas/Experiments"))))]
pub(super) async fn list(State(hub): Shared) -> Result<Json<Experiments>, Problem> {
    Ok(Json(Experiments { experiments: all(&hub).await? }))
}

/// That it was taken back.
#[derive(Serialize, JsonSchema)]
pub(super) struct TakenBack {
    /// The experiment.
    experiment: String,
}

/// Stop an experiment that is under way, or take it out of the queue; what was measured is kept
#[utoipa::path(post, path = "/api/experiments/{name}/stop", tag = "experiments", security(("token" = [])),
    params(("name" = String, Path, description = "The experiment's name")),
    responses((status = 202, body = ref("#/components/schemas/TakenBack")), (status = 401, body = ref("#/components/schemas/Problem")),
        (status = 409, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn stop(State(hub): Shared, Path(name): Path<String>) -> Result<Response, Problem> {
    if !hub.take_back(&name) {
        return Err(Problem::conflict(format!("experiment {name:?} neither is under way nor waits")));
    }
    Ok((StatusCode::ACCEPTED, Json(TakenBack { experiment: name })).into_response())
}

/// When which experiment is due.
#[derive(Serialize, JsonSchema)]
pub(super) struct Schedule {
    /// Those that are due by themselves, the next one first.
    due: Vec<Due>,
}

/// An experiment that is due.
#[derive(Serialize, JsonSchema)]
struct Due {
    /// Its name.
    experiment: String,
    /// When.
    #[serde(flatten)]
    times: Times,
}

/// When which experiment is due, the next one first
#[utoipa::path(get, path = "/api/schedule", tag = "experiments", responses((status = 200, body = ref("#/components/schemas/Schedule"))))]
pub(super) async fn schedule(State(hub): Shared) -> Result<Json<Schedule>, Problem> {
    let mut due: Vec<Due> = all(&hub)
        .await?
        .into_iter()
        .filter_map(|about| Some(Due { experiment: about.name, times: about.schedule? }))
        .collect();
    let first = |due: &Due| due.times.next.first().and_then(|next| next.parse::<Timestamp>().ok());
    due.sort_by_key(first);
    Ok(Json(Schedule { due }))
}

/// What an experiment that is not there is told.
pub(super) fn unknown(name: &str, experiments: &[Known]) -> Problem {
    let names: Vec<&str> = experiments.iter().map(|known| known.name.as_str()).collect();
    // What was asked for is shown as data, shortened.
    let asked: String = name.chars().take(60).collect();
    let near = names
        .iter()
        .filter(|known| strsim::osa_distance(known, &asked) <= 3)
        .min_by_key(|known| strsim::osa_distance(known, &asked));
    Problem::not_found(match near {
        Some(near) => format!("there is no experiment {asked:?}: did you mean `{near}`?"),
        None if names.is_empty() => format!("there is no experiment {asked:?}: there are none"),
        None => format!("there is no experiment {asked:?}: there are {}", names.join(", ")),
    })
}

/// Formats of exports.
#[derive(Serialize, JsonSchema)]
pub(super) struct Formats {
    /// In the order in which they are listed.
    formats: Vec<Named>,
}

/// A format.
#[derive(Serialize, JsonSchema)]
struct Named {
    /// What to ask for.
    name: &'static str,
    /// What it is for.
    about: &'static str,
}

/// List the formats in which settings can be exported
#[utoipa::path(get, path = "/api/formats", tag = "runs", responses((status = 200, body = ref("#/components/schemas/Formats"))))]
pub(super) async fn formats() -> Json<Formats> {
    let named = |format: &&export::Format| Named { name: format.name, about: format.about };
    Json(Formats { formats: export::FORMATS.iter().map(named).collect() })
}

/// What is watched.
#[derive(Serialize, JsonSchema)]
pub(super) struct Monitors {
    /// In the order of the configuration.
    monitors: Vec<Seen>,
}

/// What the monitors have seen last
#[utoipa::path(get, path = "/api/monitors", tag = "monitors", responses((status = 200, body = ref("#/components/schemas/Monitors"))))]
pub(super) async fn monitors(State(hub): Shared) -> Json<Monitors> {
    Json(Monitors { monitors: hub.seen(|seen| seen.clone()) })
}
