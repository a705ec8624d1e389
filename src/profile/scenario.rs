//! Scenarios of stress tests, in YAML: a time line of load and faults, and what is expected of the pool.

use std::time::Duration;

use super::{
    Profile,
    error::{self, Problem, ProfileError},
    faults,
    space::{self, Values},
    tree::{self, Entry, Kind, Map, Node},
};
use crate::model::{Fault, Offered, Settings, Threshold};

/// Most workers of a test.
pub const MOST_WORKERS: u32 = 10_000;
/// The highest rate of a test, requests a second.
pub const HIGHEST_RATE: f64 = 100_000.0;
/// The longest test.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A stress test, relative to the profile that it is run with.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in a line.
    pub about: String,
    /// The text that it was read from.
    pub source: String,
    /// Most requests at once; the profile's workers when `None`.
    pub workers: Option<Level>,
    /// What the levels of the stages count.
    pub offered: Offered,
    /// One after the other; empty for all workers all the time.
    pub stages: Vec<LevelStage>,
    /// Pause between a worker's requests; the profile's when `None`.
    pub think_time: Option<Duration>,
    /// The length of the test, warm-up not counted.
    pub duration: Duration,
    /// Whether the pool is warmed up before.
    pub warm_up: bool,
    /// Whether every request asks for a second connection while it holds one.
    pub nested: bool,
    /// What goes wrong meanwhile.
    pub faults: Vec<Fault>,
    /// What has to hold in the end.
    pub expect: Vec<Threshold>,
    /// Whether it is run again with retry and circuit breaker off, for comparison.
    pub compare_bare: bool,
    settings: Values,
}

/// A number of workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// As it is; for an open loop requests a second.
    Absolute(f64),
    /// A share of the profile's workers.
    OfWorkers(f64),
}

/// A part of the load's time line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelStage {
    /// What is offered at its end.
    pub level: Level,
    /// Its length.
    pub lasts: Duration,
    /// Whether the level moves evenly from the stage before to here.
    pub ramp: bool,
}

impl Level {
    /// The number, for a profile with so many workers.
    #[must_use]
    pub fn of(self, workers: u32) -> f64 {
        match self {
            Self::Absolute(level) => level,
            Self::OfWorkers(share) if share > 0.0 => (share * f64::from(workers)).round().max(1.0),
            Self::OfWorkers(_) => 0.0,
        }
    }
}

/// The scenarios that are part of the program, in the order of the suite: name and text.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../profiles/scenarios/", $name, ".yaml")))),+]
    };
}

impl Scenario {
    /// The scenarios that are part of the program, in the order in which the suite runs them: name and text.
    #[must_use]
    pub fn built_in() -> [(&'static str, &'static str); 13] {
        built_in![
            "basic",
            "high-concurrency",
            "error-resilience",
            "burst-after-idle",
            "connection-storm",
            "leak",
            "nested-acquire",
            "recycle-storm",
            "dropped-idle",
            "server-restart",
            "brown-out",
            "long-transactions",
            "without-layers",
        ]
    }

    /// The text of the built-in scenario `name`.
    ///
    /// # Errors
    /// [`ProfileError`], which lists those there are, when there is none of that name.
    pub fn find(name: &str) -> Result<&'static str, ProfileError> {
        let all = Self::built_in();
        all.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text).ok_or_else(|| {
            let known = all.map(|(known, _)| known);
            ProfileError {
                origin: format!("scenario `{name}`"),
                line: None,
                problem: format!("there is no such scenario: {}", error::none_built_in(name, &known)),
            }
        })
    }

    /// Reads a scenario; `origin` is its file or name, for messages.
    ///
    /// # Errors
    /// [`ProfileError`] naming the line, the key and the remedy.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ProfileError> {
        let scenario = tree::read(text).and_then(|root| scenario(root, text));
        scenario.map_err(|problem| problem.of("scenario", origin))
    }

    /// The settings of `profile` with those that the scenario changes.
    ///
    /// # Errors
    /// [`ProfileError`] when they break a rule between settings together.
    pub fn settings(&self, profile: &Profile) -> Result<Settings, ProfileError> {
        let settings = space::on_top_of(profile.space.baseline.clone(), &self.settings);
        settings.map_err(|problem| problem.of("scenario", &self.name))
    }
}

fn scenario(root: Node, text: &str) -> Result<Scenario, Problem> {
    let mut map = root.map("scenario")?;
    let name = map.need("name", "mine")?.text()?;
    let about = map.take("about").map_or(Ok(String::new()), Entry::text)?;
    let workers = map.take("workers").map(|entry| level(&entry, f64::from(MOST_WORKERS), 1.0)).transpose()?;
    let think_time = map.take("think_time").map(|entry| entry.time(Duration::ZERO, LONGEST)).transpose()?;
    let arrival = map.take("arrival").map(|entry| arrival(&entry)).transpose()?;
    let rate = map.take("rate");
    let duration = map.take("duration");
    let (offered, stages, duration) = match (rate, map.take("stages")) {
        (Some(rate), Some(stages)) => {
            let text = format!("it has both `rate` (line {}) and `stages`: expected one of them", rate.line);
            return Err(Problem::at(stages.line, text));
        }
        (None, Some(entry)) => {
            let (offered, stages) = stages(entry, arrival)?;
            let length = stages.iter().map(|stage: &LevelStage| stage.lasts).sum();
            if let Some(duration) = duration {
                return Err(Problem::at(
                    duration.line,
                    "it has both `duration` and `stages`: the stages' `for` make the length, leave `duration` out",
                ));
            }
            (offered, stages, length)
        }
        (rate, None) => {
            let duration = match duration {
                Some(entry) => entry.time(Duration::from_millis(500), LONGEST)?,
                None => Duration::from_secs(10),
            };
            match rate {
                None => (Offered::Workers, Vec::new(), duration),
                Some(entry) => {
                    let level = Level::Absolute(rate_of(&entry, 0.001)?);
                    let stage = LevelStage { level, lasts: duration, ramp: false };
                    (arrival.unwrap_or(Offered::ConstantRate), vec![stage], duration)
                }
            }
        }
    };
    let truth = |map: &mut Map, key, default| map.take(key).map_or(Ok(default), |entry: Entry| entry.truth());
    let warm_up = truth(&mut map, "warm_up", true)?;
    let nested = truth(&mut map, "nested", false)?;
    let compare_bare = truth(&mut map, "compare_bare", false)?;
    let settings = space::values(map.take("settings"))?;
    let faults = match map.take("faults") {
        None => Vec::new(),
        Some(entry) => faults::faults(entry, duration, faults::Of::Test)?,
    };
    let expect = map.take("expect").map_or(Ok(Vec::new()), expect)?;
    map.end()?;
    let source = text.to_owned();
    Ok(Scenario {
        name,
        about,
        source,
        workers,
        offered,
        stages,
        think_time,
        duration,
        warm_up,
        nested,
        faults,
        expect,
        compare_bare,
        settings,
    })
}

fn arrival(entry: &Entry) -> Result<Offered, Problem> {
    match &entry.node.kind {
        Kind::Text(text) if text == "constant" => Ok(Offered::ConstantRate),
        Kind::Text(text) if text == "poisson" => Ok(Offered::PoissonRate),
        _ => Err(entry.wrong("`constant` or `poisson`")),
    }
}

/// A number, or a share of the profile's workers such as `800 %`.
fn level(entry: &Entry, most: f64, least: f64) -> Result<Level, Problem> {
    let expected =
        || entry.wrong(&format!("a number from {least} to {most}, or a share of the profile's such as \"50 %\""));
    match &entry.node.kind {
        Kind::Text(text) => {
            let share: f64 =
                text.trim_end().strip_suffix('%').and_then(|share| share.trim().parse().ok()).ok_or_else(expected)?;
            let legal = (0.0..=100_000.0).contains(&share) && (share > 0.0 || least == 0.0);
            if legal { Ok(Level::OfWorkers(share / 100.0)) } else { Err(expected()) }
        }
        _ => entry
            .real()
            .filter(|level| (least..=most).contains(level) && level.fract() == 0.0)
            .map(Level::Absolute)
            .ok_or_else(expected),
    }
}

fn rate_of(entry: &Entry, least: f64) -> Result<f64, Problem> {
    let rate = entry.real().filter(|rate| (least..=HIGHEST_RATE).contains(rate));
    rate.ok_or_else(|| entry.wrong(&format!("a number of requests a second from {least} to {HIGHEST_RATE}")))
}

fn stages(entry: Entry, arrival: Option<Offered>) -> Result<(Offered, Vec<LevelStage>), Problem> {
    let line = entry.line;
    let mut all = Vec::new();
    let mut open = None;
    for entry in entry.list("a list of stages, such as {rate: 100, for: 5s}")? {
        let line = entry.line;
        let mut map = entry.node.map("stage")?;
        let what = map.one_of(&["workers", "rate"])?;
        let is_open = what.key == "rate";
        if open.is_some_and(|open| open != is_open) {
            return Err(Problem::at(line, "the stages mix `rate` and `workers`: expected one of them in all"));
        }
        open = Some(is_open);
        let level =
            if is_open { Level::Absolute(rate_of(&what, 0.0)?) } else { level(&what, f64::from(MOST_WORKERS), 0.0)? };
        let lasts = map.need("for", "5s")?.time(Duration::from_millis(10), LONGEST)?;
        let ramp = map.take("ramp").map_or(Ok(false), |entry| entry.truth())?;
        map.end()?;
        all.push(LevelStage { level, lasts, ramp });
    }
    match (open, arrival) {
        (None, _) => Err(Problem::at(line, "`stages` is empty: expected at least one, such as {rate: 100, for: 5s}")),
        (Some(true), arrival) => Ok((arrival.unwrap_or(Offered::ConstantRate), all)),
        (Some(false), None) => Ok((Offered::Workers, all)),
        (Some(false), Some(_)) => {
            Err(Problem::at(line, "`arrival` is of a rate, and the stages are of workers: leave `arrival` out"))
        }
    }
}

fn expect(entry: Entry) -> Result<Vec<Threshold>, Problem> {
    let parse = |entry: Entry| {
        let line = entry.line;
        Threshold::parse(&entry.text()?).map_err(|error| Problem::at(line, error.to_string()))
    };
    entry.list("a list of thresholds, such as success_rate>=0.99")?.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scenario, String> {
        Scenario::parse("mine.yaml", &format!("name: mine\n{text}")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_built_in_scenario_is_good_and_named_as_its_file() {
        for (name, text) in Scenario::built_in() {
            let scenario = Scenario::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, name);
            assert!(!scenario.about.is_empty() && !scenario.expect.is_empty(), "{name}");
            for (name, profile) in super::super::built_in() {
                let profile = super::super::parse(name, profile).unwrap();
                scenario.settings(&profile).unwrap_or_else(|error| panic!("with {name}: {error}"));
            }
        }
    }

    #[test]
    fn stages_make_the_length_and_shares_are_of_the_profiles_workers() {
        let scenario =
            read("stages: [{workers: 100 %, for: 2s}, {workers: 0, for: 500ms}, {workers: 3, for: 1, ramp: true}]")
                .unwrap();
        assert_eq!((scenario.offered, scenario.duration), (Offered::Workers, Duration::from_millis(3500)));
        let levels: Vec<f64> = scenario.stages.iter().map(|stage| stage.level.of(25)).collect();
        assert_eq!(levels, [25.0, 0.0, 3.0]);
        assert!(scenario.stages[2].ramp);
    }

    #[test]
    fn a_rate_is_an_open_loop() {
        let scenario = read("rate: 500\narrival: poisson\nduration: 3s").unwrap();
        assert_eq!(scenario.offered, Offered::PoissonRate);
        assert_eq!(scenario.stages.len(), 1);
    }

    #[test]
    fn errors_name_line_key_and_remedy() {
        let errors: Vec<String> = [
            "rate: 0",
            "rate: -5",
            "workers: 1000000",
            "workers: 0",
            "duration: 0",
            "duration: 10x",
            "stages: []",
            "stages: [{rate: 5, for: 1s}, {workers: 5, for: 1s}]",
            "stages: [{rate: 5}]",
            "rate: 5\nstages: [{rate: 5, for: 1s}]",
            "arrival: sometimes",
            "expect: ['p95_qery<50ms']",
            "faults: [{at: 12s, for: 1s, fault: stall}]",
            "faults: [{at: 1s, fault: stall}]",
            "faults: [{at: 1s, for: 2s, fault: pause}, {at: 2s, for: 2s, fault: restart}]",
            "faults: [{at: 1s, for: 1s, fault: stal}]",
            "faults: [{at: 1s, for: 1s, fault: latency}]",
            "faults: [{at: 1s, for: 1s, fault: latency, delay: 1ms, jitter: 2ms}]",
            "faults: [{at: 1s, for: 1s, fault: reset}]",
            "faults: [{at: 1s, for: 1s, fault: pause, share: 0.5}]",
            "faults: [{at: 1s, fault: reset, share: 2}]",
            "settings: {idle_timout: 3}",
            "scenery: 1",
        ]
        .into_iter()
        .map(|text| read(text).unwrap_err())
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
