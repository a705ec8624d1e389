//! The page at `/`: what a person leaves open.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse as _, Response},
};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    api::{About, Path, Problem, all, found},
    hub::{By, Hub},
    live::Live,
    watcher::Seen,
};
use crate::{
    export::FORMATS,
    job,
    model::{Recommendation, Severity, Verdict},
    report::{self, Past},
    store::{NewRun, RunAnswer, RunRecord, RunStatus, RunSummary, StoreError},
};

/// Runs that are listed.
const LISTED: u32 = 20;
/// Recommendations that are shown: one for each profile on each target.
const STANDING: usize = 10;
/// Runs whose throughput is drawn.
const DRAWN: u32 = 60;
/// How long a page that was made is good where nothing has happened.
const KEPT: Duration = Duration::from_secs(1);
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// A run's report, made again from the store.
pub(super) async fn report(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Result<Html<String>, Problem> {
    let recommendation = found(&hub, &id).await?;
    let trials = hub.store.trials(&recommendation.provenance.run).await?;
    Ok(Html(report::report_html(&recommendation, &job::reported(&trials))))
}

pub(super) async fn dashboard(State(hub): State<Arc<Hub>>) -> Result<Html<String>, Problem> {
    let main = main(&hub).await?;
    let token = hub.token.is_some();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { "pool-tune" }
                style { (PreEscaped(report::STYLE)) (PreEscaped(STYLE)) }
                script src="/service.js" defer {}
            }
            body {
                a.skip href="#content" { "To the content" }
                header {
                    h1 { "pool-tune" }
                    p #link role="status" { "Without a script this page shows what was true when it was loaded." }
                    nav aria-label="Sections" { ul {
                        @for (place, name) in [("now", "Now"), ("recommended", "Recommended"), ("experiments", "Experiments"),
                            ("history", "History"), ("monitors", "Monitors")] {
                            li { a href={ "#" (place) } { (name) } }
                        }
                    } }
                    @if token {
                        form #access {
                            label for="token" { "Token, to start and stop runs" }
                            " "
                            input #token type="password" autocomplete="off" spellcheck="false";
                        }
                    } @else {
                        p.soft { "The service has no token: runs cannot be started from here." }
                    }
                    p #said role="status" {}
                }
                main #content { (main) }
                footer.soft { p {
                    "pool-tune " (env!("CARGO_PKG_VERSION")) " · " a href="/api/openapi.json" { "API" } " · " a href="/metrics" { "metrics" }
                } }
            }
        }
    };
    Ok(Html(page.into_string()))
}

/// What changes, for the script.
pub(super) async fn parts(State(hub): State<Arc<Hub>>) -> Result<Html<String>, Problem> {
    Ok(Html(main(&hub).await?.into_string()))
}

/// What changes, made once for all who look between two events, and not more often than once a second otherwise.
async fn main(hub: &Hub) -> Result<Markup, StoreError> {
    let mut made = hub.page.lock().await;
    let last = hub.bus.last();
    if let Some(Made { at, after, text }) = &*made
        && *after == last
        && at.elapsed() < KEPT
    {
        return Ok(PreEscaped(text.clone()));
    }
    let text = make(hub).await?.into_string();
    *made = Some(Made { at: Instant::now(), after: last, text: text.clone() });
    Ok(PreEscaped(text))
}

/// The page as it was made.
pub(super) struct Made {
    at: Instant,
    /// The last event before.
    after: u64,
    text: String,
}

async fn make(hub: &Hub) -> Result<Markup, StoreError> {
    let experiments = all(hub).await?;
    let (runs, total) = hub.store.page(None, LISTED, 0).await?;
    let (mut standing, mut past) = (Vec::new(), Vec::new());
    for id in hub.store.newest_answers().await?.iter().take(STANDING) {
        let RunRecord { intent, recommendation, .. } = hub.store.run(id).await?;
        let Some(recommendation) = recommendation else { continue };
        past.push((kind(&intent), history(hub, &intent).await?));
        let stressed = job::Stressed::of(&hub.store, &intent.id).await?;
        standing.push((intent, recommendation, stressed));
    }
    let can_change = hub.token.is_some();
    Ok(html! {
        section #now aria-labelledby="now-title" { h2 #now-title { "Now" } (now(hub, &experiments, can_change)) }
        section #recommended aria-labelledby="recommended-title" {
            h2 #recommended-title { "Recommended" }
            @if standing.is_empty() { p { "No run has finished yet." } }
            @for (run, recommendation, stressed) in &standing { (recommended(run, recommendation, stressed.as_ref())) }
        }
        section #experiments aria-labelledby="experiments-title" {
            h2 #experiments-title { "Experiments" }
            (listed(hub, &experiments, can_change))
        }
        section #history aria-labelledby="history-title" {
            h2 #history-title { "History" }
            @for (name, past) in &past {
                @if let Some(chart) = report::history_html("past", past) { h3 { (name) } (PreEscaped(chart)) }
            }
            (runs_table(&runs, total, can_change))
        }
        section #monitors aria-labelledby="monitors-title" {
            h2 #monitors-title { "Monitors" }
            (hub.seen(|seen| monitors(seen)))
        }
    })
}

/// What a run is of.
fn kind(run: &NewRun) -> String {
    format!("{} on {}", run.profile_name, run.target)
}

async fn history(hub: &Hub, of: &NewRun) -> Result<Vec<Past>, StoreError> {
    let answers = hub.store.answers(&of.profile_name, &of.target, DRAWN).await?;
    let past = |RunAnswer { id, started_at, verdict, throughput }| Past {
        run: id,
        began: shown(&started_at),
        was: throughput.was,
        now: matches!(verdict, Verdict::Better).then_some(throughput.now),
    };
    Ok(answers.into_iter().rev().map(past).collect())
}

fn now(hub: &Hub, experiments: &[About], can_change: bool) -> Markup {
    let waiting = hub.waiting();
    let next = experiments
        .iter()
        .filter_map(|about| Some((about.schedule.as_ref()?.next.first()?, about)))
        .min_by_key(|(next, _)| next.parse::<Timestamp>().ok());
    html! {
        // Drawn outside the lock, for which the run would have to wait.
        @match hub.live(|live| live.clone()) {
            Some(live) => (under_way(&live, can_change)),
            None => p #state { "Nothing is under way." },
        }
        @for name in &waiting {
            p { "Waiting: " (name) @if can_change {
                " " button type="button" id={ "take-back-" (name) } data-post={ "/api/experiments/" (name) "/stop" } { "Take " (name) " back" }
            } }
        }
        @if let Some((next, about)) = next { p { "Next: " strong { (about.name) } " at " (time(next)) } }
    }
}

fn under_way(live: &Live, can_change: bool) -> Markup {
    let by = match live.by {
        By::Schedule => "by its schedule",
        By::Request => "because it was asked for,",
        By::Restart => "because it was cut off,",
    };
    let trials = live.reported();
    html! {
        p #state {
            "Experiment " strong { (live.experiment) } " runs " (by) " since " (time(&live.started_at))
            @if let Some(run) = &live.run { ": run " code { (run) } }
            @if live.of > 1 { ", profile " (live.number) " of " (live.of) }
            @if let Some(target) = &live.target { " on " (target) }
            "."
        }
        @if live.stopping { p { strong { "It is stopping." } " What was measured is kept." } }
        @if live.trials > 0 {
            p {
                label for="progress" { (live.phase.as_deref().unwrap_or("preparation")) ", trial " (live.trial) " of at most " (live.trials) }
                br;
                progress #progress max=(live.trials) value=(live.trial.saturating_sub(1)) {}
                @if let Some(left) = live.seconds_left { " at most " (minutes(left)) " left" }
                @if let Some((done, of)) = live.simulated_days { " " (done) " of " (of) " simulated days" }
            }
        }
        @if let Some((test, of)) = live.tests {
            p {
                label for="tests" { (live.phase.as_deref().unwrap_or("stress tests")) ", " (test) " of " (of) }
                br;
                progress #tests max=(of) value=(test.saturating_sub(1)) {}
            }
        }
        @if let Some(best) = &live.best {
            p {
                "Best so far, not yet verified: " strong { (format!("{:.0}", best.throughput)) " requests/s" }
                " with " (best.settings.max_connections()) " connections."
            }
        }
        @if can_change && !live.stopping {
            p { button #stop type="button" data-post={ "/api/experiments/" (live.experiment) "/stop" } { "Stop " (live.experiment) } }
        }
        @if !live.notices.is_empty() { details { summary { "Notices (" (live.notices.len()) ")" } ul { @for notice in &live.notices { li { (notice) } } } } }
        @if let Some(chart) = report::trials_html(&trials) { (PreEscaped(chart)) }
    }
}

fn recommended(run: &NewRun, recommendation: &Recommendation, stressed: Option<&job::Stressed>) -> Markup {
    let name = kind(run);
    let rows = report::table(recommendation);
    html! {
        article aria-label=(name) {
            h3 { (name) }
            p.verdict { (report::verdict_sentence(recommendation)) }
            @if let Some(fleet) = report::fleet_sentence(recommendation) { p { (fleet) } }
            @if !recommendation.warnings.is_empty() {
                div.warnings { p { strong { "Before trusting this:" } } ul { @for warning in &recommendation.warnings { li { (warning) } } } }
            }
            details { summary { "Settings and what decided them" }
                div.wide tabindex="0" { table {
                    caption { "Settings of run " (run.id) }
                    thead { tr { @for head in ["setting", "was", "now", "decided by", "effect"] { th scope="col" { (head) } } } }
                    tbody { @for row in &rows { tr {
                        th scope="row" { (row[0]) }
                        @for cell in &row[1..] { td { (cell) } }
                    } } }
                } }
            }
            @if let Some(stressed) = stressed { (stress_tests(stressed)) }
            p {
                a href={ "/runs/" (run.id) } { "Report of run " (run.id) } ", " (time(&run.started_at)) " · Export: "
                select aria-label={ "Export run " (run.id) " as" } data-export=(run.id) id={ "export-" (run.id) } {
                    option value="" { "choose a format" }
                    @for format in FORMATS { option value=(format.name) { (format.name) } }
                }
            }
        }
    }
}

fn stress_tests(stressed: &job::Stressed) -> Markup {
    let grid = report::suite_grid(&stressed.tests);
    html! {
        p { (stressed.headline()) "." }
        details { summary { "Stress tests" }
            div.wide tabindex="0" { table {
                caption { "Stress tests of the settings of run " (stressed.run) }
                thead { tr { @for head in &grid.header { th scope="col" { (head) } } } }
                tbody { @for row in &grid.rows { tr { @for cell in row { td { (cell) } } } } }
            } }
        }
    }
}

fn listed(hub: &Hub, experiments: &[About], can_change: bool) -> Markup {
    let waiting = hub.waiting();
    let running = hub.live(|live| live.experiment.clone());
    html! {
        p.soft { "The files of " code { (hub.config.experiments.display()) } @if experiments.is_empty() { ": there are none" } "." }
        @for about in experiments {
            article.experiment aria-label=(about.name) {
                h3 { (about.name) }
                @if !about.purpose.is_empty() { p { (about.purpose) } }
                @if let Some(problem) = &about.problem { p.problem { "Cannot run: " (problem) } }
                dl {
                    @if !about.profiles.is_empty() { dt { "Profiles" } dd { (about.profiles.join(", ")) } }
                    @if about.problem.is_none() || about.schedule.is_some() { dt { "Due" } dd { @match &about.schedule {
                        Some(times) => {
                            code { (times.cron) } " (" (times.zone) ")"
                            @if let Some(window) = &times.window { ", " @if !window.starts_with("not") { "within " } (window) }
                            @if times.jitter > 0.0 { ", up to " (minutes(times.jitter)) " later" }
                            br; @for (place, next) in times.next.iter().take(3).enumerate() { @if place > 0 { ", " } (time(next)) }
                        },
                        None => "when it is asked for",
                    } } }
                    dt { "Last round" }
                    dd { @match &about.last {
                        Some(last) => {
                            (last.status) ", " (time(last.ended_at.as_ref().unwrap_or(&last.started_at)))
                            @if let Some(error) = &last.error { ": " (error) }
                        },
                        None => "never",
                    } }
                }
                @if can_change {
                    @if running.as_ref() == Some(&about.name) { p { "It is under way." } }
                    @else if waiting.contains(&about.name) { p { "It waits for its turn." } }
                    @else if about.problem.is_none() {
                        p { button type="button" id={ "run-" (about.name) } data-post="/api/runs"
                            data-body=(serde_json::json!({ "experiment": about.name })) { "Run " (about.name) " now" } }
                    }
                }
            }
        }
    }
}

fn runs_table(runs: &[RunSummary], total: u32, can_change: bool) -> Markup {
    html! {
        @if runs.is_empty() { p { "There are no runs yet." } }
        @else { div.wide tabindex="0" { table {
            caption { "The last " (runs.len()) " of " (total) " runs" }
            thead { tr { @for head in ["run", "began", "experiment", "status", "trials", "answer"] { th scope="col" { (head) } } } }
            tbody { @for run in runs { tr {
                th scope="row" { @if run.verdict.is_some() { a href={ "/runs/" (run.id) } { (run.id) } } @else { (run.id) } }
                td.figure { (time(&run.started_at)) }
                td { (run.experiment.as_deref().unwrap_or("by hand")) }
                td { (run.status)
                    @if can_change && run.status == RunStatus::Interrupted && run.experiment.is_some() {
                        br; button type="button" id={ "resume-" (run.id) } data-post={ "/api/runs/" (run.id) "/resume" } { "Go on with " (run.id) }
                    } }
                td.figure { (run.trials) }
                td { (answer(run)) }
            } } }
        } } }
    }
}

fn answer(run: &RunSummary) -> &'static str {
    match &run.verdict {
        None => "–",
        Some(Verdict::Better) => "better settings",
        Some(Verdict::Simulated { .. }) => "better by simulation",
        Some(Verdict::Keep { .. }) => "keep",
        Some(Verdict::Infeasible { .. }) => "none keep the limits",
    }
}

fn monitors(seen: &[Seen]) -> Markup {
    html! {
        @if seen.is_empty() { p { "None is configured." } }
        @for seen in seen {
            article aria-label=(seen.name) {
                h3 { (seen.name) }
                @if let Some(problem) = &seen.problem { p.problem { "Cannot be watched: " (problem) } }
                @for source in &seen.sources { @if let Some(problem) = &source.problem { p.problem { (source.source) ": " (problem) } } }
                @if let Some(sessions) = seen.sessions { p { (sessions.open) " of " (sessions.limit) " server connections in use" } }
                @if let Some(pool) = &seen.pool { p { (pool_in_words(pool)) } }
                @if seen.findings.is_empty() && seen.problem.is_none() && seen.sources.iter().all(|source| source.problem.is_none()) { p { "Nothing is wrong that it could see." } }
                @for finding in &seen.findings {
                    p { strong { (severity(finding.severity)) ": " (finding.title) ". " } (finding.evidence.join("; ")) ". " (finding.remedy) "." }
                }
            }
        }
    }
}

fn pool_in_words(pool: &crate::monitor::PoolReading) -> String {
    let mut words = String::from("Pool:");
    for (name, figure) in
        [("in use", pool.active), ("idle", pool.idle), ("waiting", pool.pending), ("at most", pool.max)]
    {
        if let Some(figure) = figure {
            write!(words, " {figure:.0} {name},").ok();
        }
    }
    words.trim_end_matches(',').to_owned()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Serious => "Serious",
        Severity::Warning => "Warning",
        Severity::Note => "Note",
    }
}

/// A time, which the script puts into the words of the reader's own zone.
fn time(time: &str) -> Markup {
    html! { time datetime=(time) { (shown(time)) } }
}

/// A time as a person reads it: to the minute, with the zone where it is not UTC.
fn shown(time: &str) -> String {
    match (time.get(..10), time.get(11..16), time.get(19..)) {
        (Some(day), Some(minute), Some("Z" | "+00:00")) => format!("{day} {minute} UTC"),
        (Some(day), Some(minute), Some(zone)) => format!("{day} {minute} {zone}"),
        _ => time.to_owned(),
    }
}

fn minutes(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", (seconds / 60.0).ceil()) }
}
