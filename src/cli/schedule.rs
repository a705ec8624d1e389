//! `schedule`: when experiments are due, and what starts them without a service.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use super::{
    arguments::Results,
    exit::{bad_input, code, job_error},
    experiment::load,
    experiment_arguments::ScheduleArguments,
    out::{errln, out, outln},
    runs,
};
use crate::{
    job::{self, Loaded},
    profile::TargetSource,
    schedule::{self, Command, Missed, Schedule},
    store::{self, RoundRecord, RunStatus, RunSummary, Store, Task},
};

/// Due times that are shown.
const SHOWN: usize = 5;

/// An experiment's times, and what became of its last round.
#[derive(Serialize)]
struct Told {
    experiment: String,
    file: PathBuf,
    cron: Option<String>,
    zone: Option<String>,
    jitter_seconds: f64,
    window: Option<String>,
    /// RFC 3339 with the zone's offset.
    next: Vec<String>,
    last: Option<RoundRecord>,
    runs: Vec<RunSummary>,
}

/// Shows when experiments are due, or writes what systemd or cron need.
pub(super) async fn schedule(arguments: &ScheduleArguments) -> Result<ExitCode> {
    let names: Vec<String> = if arguments.experiments.is_empty() {
        let found = job::find_experiments(Path::new("experiments")).map_err(job_error)?;
        found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    } else {
        arguments.experiments.clone()
    };
    if names.is_empty() {
        errln!("there are no experiments in ./experiments: name a file, or start from one that comes with the program");
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = names.iter().map(|name| load(name)).collect::<Result<Vec<_>>>()?;
    if let Some(folder) = &arguments.systemd {
        return write_units(folder, &loaded, &arguments.results);
    }
    if arguments.crontab {
        for loaded in &loaded {
            let schedule = scheduled(loaded)?;
            out!("{}", schedule::crontab(schedule, &command(loaded, &arguments.results)?).map_err(bad_input)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let store = Store::connect_to_read(&arguments.results.at()?).await?;
    let now = Timestamp::now();
    let mut all = Vec::new();
    for loaded in &loaded {
        all.push(told(loaded, store.as_ref(), &arguments.results.results, now).await?);
    }
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&all).context("failed to write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    for (index, (loaded, told)) in loaded.iter().zip(&all).enumerate() {
        if index > 0 {
            outln!();
        }
        print(loaded, told, now);
    }
    Ok(ExitCode::SUCCESS)
}

async fn told(loaded: &Loaded, store: Option<&Store>, results: &Path, now: Timestamp) -> Result<Told> {
    let experiment = &loaded.experiment;
    let schedule = experiment.schedule.as_ref();
    let (mut last, mut runs) = (None, Vec::new());
    if let Some(store) = store {
        last = store.last_round(&experiment.name).await?;
        if let Some(round) = &mut last {
            runs = store.runs_of_round(round.id).await?;
            runs::as_they_are(store, results, &mut runs).await?;
            if round.status == RunStatus::Running
                && !runs::is_under_way(store, results, Task::Round(&experiment.name)).await?
            {
                round.status = RunStatus::Interrupted;
            }
        }
    }
    let next = schedule.map(|schedule| {
        let local = |time| schedule.local(time).strftime("%FT%T%:z").to_string();
        schedule.after(now).take(SHOWN).map(local).collect()
    });
    Ok(Told {
        experiment: experiment.name.clone(),
        file: loaded.path.clone(),
        cron: schedule.map(|schedule| schedule.expression().to_owned()),
        zone: schedule.map(|schedule| schedule.zone().to_owned()),
        jitter_seconds: schedule.map_or(0.0, |schedule| schedule.jitter().as_secs_f64()),
        window: schedule.and_then(Schedule::window).map(|window| window.to_string()),
        next: next.unwrap_or_default(),
        last,
        runs,
    })
}

fn print(loaded: &Loaded, told: &Told, now: Timestamp) {
    let experiment = &loaded.experiment;
    outln!("{} · {}", experiment.name, loaded.path.display());
    match &experiment.schedule {
        None => outln!("  no schedule: `pool-tune run --experiment {}` runs it", loaded.path.display()),
        Some(schedule) => {
            let jitter = schedule.jitter();
            let jitter = match jitter {
                Duration::ZERO => String::new(),
                jitter => format!(", up to {} later by chance", humantime::format_duration(jitter)),
            };
            let missed = match schedule.missed() {
                Missed::Skip => "skipped",
                Missed::RunOnce => "made up for, once",
            };
            outln!("  due      {} ({}){jitter}", schedule.expression(), schedule.zone());
            let window = schedule.window().map_or_else(|| "always open".to_owned(), |window| window.to_string());
            outln!("  window   {window} · missed times are {missed}");
            for (index, time) in schedule.after(now).take(SHOWN).enumerate() {
                let left = Duration::from_secs(time.duration_since(now).as_secs().unsigned_abs());
                let local = when(&schedule.local(time));
                outln!("  {:<8} {local} · in {}", if index == 0 { "next" } else { "" }, roughly(left));
            }
        }
    }
    match &told.last {
        None => outln!("  last     never run"),
        Some(round) => {
            let why = round.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            let goes_on =
                if round.status == RunStatus::Interrupted { " · the next start goes on with it" } else { "" };
            let started = started(&round.started_at, experiment.schedule.as_ref());
            outln!("  last     {started} · {}{why}{goes_on}", round.status);
            for run in told.runs.iter().rev() {
                let answer = run.verdict.as_ref().map(|verdict| format!(" · {}", runs::answer_in_short(verdict)));
                outln!("           {} · {} · {} trials{}", run.id, run.status, run.trials, answer.unwrap_or_default());
            }
        }
    }
}

/// A moment as a person reads it, in its own zone.
pub(super) fn when(moment: &Zoned) -> String {
    moment.strftime("%a %F %H:%M %:z").to_string()
}

/// A moment of the store in the zone of a schedule, or in UTC.
fn started(stored: &str, schedule: Option<&Schedule>) -> String {
    let local = |moment: Timestamp| {
        schedule.map_or_else(|| moment.to_zoned(jiff::tz::TimeZone::UTC), |schedule| schedule.local(moment))
    };
    stored.parse().map_or_else(|_| stored.to_owned(), |moment| when(&local(moment)))
}

/// The two largest units of a time, for reading.
fn roughly(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let text = humantime::format_duration(Duration::from_secs(minutes * 60)).to_string();
    let words: Vec<&str> = text.split(' ').take(2).collect();
    if minutes == 0 { "less than a minute".to_owned() } else { words.join(" ") }
}

fn scheduled(loaded: &Loaded) -> Result<&Schedule> {
    loaded.experiment.schedule.as_ref().ok_or_else(|| {
        bad_input(format!(
            "experiment `{}` has no `schedule`: add one, such as `schedule: {{cron: \"30 1 * * *\"}}`",
            loaded.path.display()
        ))
    })
}

/// The command that a unit or a crontab starts: all paths whole, since nobody knows the folder.
fn command(loaded: &Loaded, results: &Results) -> Result<Command> {
    let whole = |path: &Path| -> Result<String> {
        let path = std::path::absolute(path).with_context(|| format!("failed to find `{}`", path.display()))?;
        path.into_os_string().into_string().map_err(|path| {
            bad_input(format!("the path {} is not UTF-8: units and crontabs need one that is", path.display()))
        })
    };
    let name = &loaded.experiment.name;
    let program = env::current_exe().context("failed to find the program's own file")?;
    let words = [
        "run",
        "--experiment",
        &whole(&loaded.path)?,
        "--scheduled",
        "--results",
        &whole(&results.results)?,
        "--quiet",
    ];
    // The store's URL may hold a password, and so stands in no unit.
    let is_secret = matches!(loaded.experiment.target, TargetSource::Environment(_)) || results.store.is_some();
    let environment = is_secret.then(|| format!("/etc/pool-tune/{name}.env"));
    Ok(Command {
        about: format!("pool-tune experiment {name}"),
        program: whole(&program)?,
        arguments: words.map(str::to_owned).to_vec(),
        folder: whole(&env::current_dir().context("failed to find the current folder")?)?,
        good_codes: vec![code::INFEASIBLE, code::WINDOW, code::INTERRUPTED],
        environment,
    })
}

fn write_units(folder: &Path, loaded: &[Loaded], results: &Results) -> Result<ExitCode> {
    let mut files = Vec::new();
    for loaded in loaded {
        let units = schedule::systemd(scheduled(loaded)?, &command(loaded, results)?).map_err(bad_input)?;
        let name = format!("pool-tune-{}", loaded.experiment.name);
        files.push((format!("{name}.service"), units.service));
        files.push((format!("{name}.timer"), units.timer));
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to make the folder `{}`", folder.display()))?;
    let named: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    for path in store::write_results(folder, &named)? {
        outln!("wrote {}", path.display());
    }
    for loaded in loaded {
        let name = &loaded.experiment.name;
        if let TargetSource::Environment(variable) = &loaded.experiment.target {
            errln!("note: put a line `{variable}=…` into /etc/pool-tune/{name}.env, readable by root only (chmod 600)");
        }
        if results.store.is_some() {
            errln!(
                "note: put a line `POOL_TUNE_STORE=…` into /etc/pool-tune/{name}.env, readable by root only (chmod 600)"
            );
        }
        errln!("note: start it with `systemctl daemon-reload && systemctl enable --now pool-tune-{name}.timer`");
    }
    Ok(ExitCode::SUCCESS)
}
