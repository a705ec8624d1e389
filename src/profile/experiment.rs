//! Experiments, in YAML: which profiles to tune on which target, when, and what to do with the answer.

use std::{path::PathBuf, time::Duration};

use super::{
    ProfileError,
    error::Problem,
    tree::{self, Entry, Kind, Map, Node},
};
use crate::schedule::{Missed, Schedule, ScheduleError, Window};

/// Targets that an experiment names as they are: they hold no secret.
const PLAIN_TARGETS: [&str; 8] = [
    "private",
    "postgres:private",
    "postgresql:private",
    "mariadb:private",
    "mysql:private",
    "sqlite:private",
    "simulated",
    "simulation",
];
const EXPECTED_TARGET: &str = "expected {env: DATABASE_URL}, {file: /run/secrets/database-url}, or a target without a password such as \
                               private, postgres:private, sqlite:path/to/file.db or simulation";
/// The longest that a start is put off by chance.
const LONGEST_JITTER: Duration = Duration::from_secs(12 * 3600);

/// Runs to be made again and again: of one profile, or of several one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name, by which its runs are found again.
    pub name: String,
    /// What it is for, in a line.
    pub about: String,
    /// The profiles, in the order of their runs: names, or paths relative to the experiment's file.
    pub profiles: Vec<String>,
    /// Where the target is to be read from.
    pub target: TargetSource,
    /// What each run may cost, where the profiles are not to say so.
    pub budget: ExperimentBudget,
    /// When it is due, if it is by itself.
    pub schedule: Option<Schedule>,
    /// The stress tests of what its runs decide.
    pub stress: StressTests,
    /// What to do with an answer.
    pub answer: AnswerFiles,
    /// Whether its runs know of earlier ones on the same target and profile.
    pub memory: bool,
}

/// Stress tests that follow an experiment's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StressTests {
    /// There are none.
    #[default]
    None,
    /// All scenarios that are part of the program.
    FullSuite,
    /// These: names, or paths relative to the experiment's file.
    Of(Vec<String>),
}

/// Where an experiment's target comes from: never from its own text, if it has a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSource {
    /// An environment variable holds it.
    Environment(String),
    /// A file holds it, and nothing else.
    File(PathBuf),
    /// It has no password, and is this.
    Plain(String),
}

/// What a run may cost; the profile decides where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExperimentBudget {
    /// Most trials of the search.
    pub trials: Option<u32>,
    /// Most pairs of the verification.
    pub pairs: Option<u32>,
    /// Longest that a run should take.
    pub time: Option<Duration>,
}

/// The files that are written when a run has an answer. They are for reading: nothing is done with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFiles {
    /// Where they go, seen from the results folder; a folder of the experiment's own without a word.
    pub folder: Option<PathBuf>,
    /// The files.
    pub exports: Vec<AnswerFile>,
}

/// An answer in a format of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFile {
    /// The format's name, not looked up yet.
    pub format: String,
    /// The file's name.
    pub file: String,
    /// Where the experiment says so.
    pub line: u64,
}

impl Experiment {
    /// Reads an experiment; `origin` is its file, for messages.
    ///
    /// # Errors
    /// [`ProfileError`] naming the line, the key and the remedy. It never repeats a target.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ProfileError> {
        tree::read(text).and_then(experiment).map_err(|problem| problem.of("experiment", origin))
    }

    /// The seed of its jitter: FNV-1a of its name, so that experiments due at once do not start at once.
    #[must_use]
    pub fn jitter_seed(&self) -> u64 {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.name.bytes().fold(0xcbf2_9ce4_8422_2325, hash)
    }
}

fn experiment(root: Node) -> Result<Experiment, Problem> {
    let mut map = root.map("experiment")?;
    let entry = map.need("name", "nightly")?;
    let name = match &entry.node.kind {
        Kind::Text(name) if is_one_word(name) => name.clone(),
        _ => return Err(entry.wrong("letters, digits, `-` and `_`, such as nightly")),
    };
    let about = map.take("about").map_or(Ok(String::new()), Entry::text)?;
    let profiles = profiles(&mut map)?;
    let target = target(map.need("target", "{env: DATABASE_URL}")?)?;
    let budget = budget(map.take("budget"))?;
    let schedule = map.take("schedule").map(schedule).transpose()?;
    let stress = stress(&mut map)?;
    let answer = answer(map.take("answer"))?;
    let memory = map.take("memory").map_or(Ok(true), |entry| match entry.node.kind {
        Kind::Truth(memory) => Ok(memory),
        _ => Err(entry.wrong("true (runs know of earlier ones) or false (each is as if it were the first)")),
    })?;
    map.end()?;
    Ok(Experiment { name, about, profiles, target, budget, schedule, stress, answer, memory })
}

/// A name that can be a folder's, a unit's and a word of an address.
pub(super) fn is_one_word(name: &str) -> bool {
    let good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    !name.is_empty() && name.len() <= 60 && !name.starts_with('-') && name.chars().all(good)
}

fn profiles(map: &mut Map) -> Result<Vec<String>, Problem> {
    let (one, several) = (map.take("profile"), map.take("profiles"));
    let entry = match (one, several) {
        (Some(_), Some(entry)) => {
            return Err(Problem::at(entry.line, "it has both `profile` and `profiles`: expected one of them"));
        }
        (None, Some(entry)) => entry,
        (one, None) => {
            let one = one.map_or_else(|| map.need("profile", "medium"), Ok)?;
            return Ok(vec![one.text()?]);
        }
    };
    let line = entry.line;
    let expected = "a list of profiles, such as [light, medium]";
    let mut names: Vec<String> = Vec::new();
    for item in entry.list(expected)? {
        let line = item.line;
        let name = item.text()?;
        if names.contains(&name) {
            return Err(Problem::at(line, format!("`profiles` has `{name}` twice: name each once")));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(Problem::at(line, format!("`profiles` is empty: expected {expected}")));
    }
    Ok(names)
}

fn stress(map: &mut Map) -> Result<StressTests, Problem> {
    let Some(entry) = map.take("stress") else { return Ok(StressTests::None) };
    let expected =
        "full-suite, or a list of scenarios such as [basic, server-restart] (`pool-tune stress --scenario list`)";
    let line = entry.line;
    match &entry.node.kind {
        Kind::Text(text) if text == "full-suite" => return Ok(StressTests::FullSuite),
        Kind::List(_) => {}
        _ => return Err(entry.wrong(expected)),
    }
    let mut names = Vec::new();
    for item in entry.list(expected)? {
        let line = item.line;
        let name = item.text()?;
        if names.contains(&name) {
            return Err(Problem::at(line, format!("`stress` has `{name}` twice: name each once")));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(Problem::at(line, format!("`stress` is empty: expected {expected}")));
    }
    Ok(StressTests::Of(names))
}

pub(super) fn target(entry: Entry) -> Result<TargetSource, Problem> {
    let line = entry.line;
    match entry.node.kind {
        Kind::Text(text) => plain_target(text, line),
        Kind::Map(_) => hidden(entry, "DATABASE_URL"),
        _ => Err(Problem::at(line, format!("`target` is no text: {EXPECTED_TARGET}"))),
    }
}

/// Where a secret is to be read from: `{env: NAME}` or `{file: path}`.
pub(super) fn hidden(entry: Entry, example: &str) -> Result<TargetSource, Problem> {
    let mut map = entry.node.map(&entry.key)?;
    let source = map.one_of(&["env", "file"])?;
    map.end()?;
    let (is_env, line) = (source.key == "env", source.line);
    // Whoever has put the secret itself there must not find it in an error.
    let wrong = |expected: &str| Problem::at(line, format!("expected {expected}"));
    let Kind::Text(text) = source.node.kind else {
        return Err(wrong("`env` with the name of a variable, or `file` with the path of a file"));
    };
    let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if is_env && (text.is_empty() || !text.chars().all(name)) {
        return Err(wrong(&format!("`env` to be the name of an environment variable, such as {example}")));
    }
    if !is_env && (text.is_empty() || text.contains("://")) {
        return Err(wrong("`file` to be the path of a file that holds it, or `env` with a variable's name"));
    }
    Ok(if is_env { TargetSource::Environment(text) } else { TargetSource::File(text.into()) })
}

fn plain_target(text: String, line: u64) -> Result<TargetSource, Problem> {
    if may_hold_a_password(&text) {
        return Err(Problem::at(
            line,
            "`target` holds a password, which would lie in the open here: put the URL into an environment variable and write \
             `target: {env: DATABASE_URL}`, or into a file that only you can read and write `target: {file: /run/secrets/database-url}`",
        ));
    }
    let url = ["postgres://", "postgresql://", "mysql://", "mariadb://", "sqlite:", "simulation:"];
    if PLAIN_TARGETS.contains(&text.as_str()) || url.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(TargetSource::Plain(text));
    }
    Err(Problem::at(line, format!("`target` is none that is known: {EXPECTED_TARGET}")))
}

/// Whether a text may be a URL with a password: a colon before the last `@`, or a parameter that is called like one.
pub(super) fn may_hold_a_password(text: &str) -> bool {
    let behind_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let in_user = behind_scheme.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    in_user || text.split_once('?').is_some_and(|(_, parameters)| parameters.to_ascii_lowercase().contains("pass"))
}

fn budget(entry: Option<Entry>) -> Result<ExperimentBudget, Problem> {
    let mut budget = ExperimentBudget::default();
    let Some(entry) = entry else { return Ok(budget) };
    let mut map = entry.node.map("budget")?;
    // The bounds are those of the flags of `run`, and of a profile's `budget`.
    budget.trials = map.take("trials").map(|entry| entry.whole(4, 500)).transpose()?;
    budget.pairs = map.take("pairs").map(|entry| entry.whole(6, 200)).transpose()?;
    let time = |entry: Entry| entry.time(Duration::from_secs(30), Duration::from_secs(86_400));
    budget.time = map.take("time").map(time).transpose()?;
    map.end()?;
    Ok(budget)
}

fn schedule(entry: Entry) -> Result<Schedule, Problem> {
    let mut map = entry.node.map("schedule")?;
    let cron = map.need("cron", "\"30 1 * * *\"")?;
    let zone = map.take("zone");
    let (cron_line, zone_line) = (cron.line, zone.as_ref().map_or(cron.line, |zone| zone.line));
    let zone = zone.map_or(Ok("UTC".to_owned()), Entry::text)?;
    let mut schedule = Schedule::new(&cron.text()?, &zone).map_err(|error| {
        let (key, line) = match error {
            ScheduleError::Zone(_) => ("zone", zone_line),
            _ => ("cron", cron_line),
        };
        of_key(key, line, &error)
    })?;
    schedule = schedule.with_missed(missed(&mut map)?);
    if let Some((window, key, line)) = window(&mut map)? {
        schedule = schedule.with_window(window).map_err(|error| of_key(key, line, &error))?;
    }
    if let Some(entry) = map.take("jitter") {
        let jitter = entry.time(Duration::ZERO, LONGEST_JITTER)?;
        schedule = schedule.with_jitter(jitter).map_err(|error| of_key("jitter", entry.line, &error))?;
    }
    map.end()?;
    Ok(schedule)
}

fn of_key(key: &str, line: u64, error: &ScheduleError) -> Problem {
    Problem::at(line, format!("`{key}`: {error}"))
}

fn missed(map: &mut Map) -> Result<Missed, Problem> {
    let Some(entry) = map.take("missed") else { return Ok(Missed::Skip) };
    match &entry.node.kind {
        Kind::Text(text) if text == "skip" => Ok(Missed::Skip),
        Kind::Text(text) if text == "run_once" => Ok(Missed::RunOnce),
        _ => Err(entry.wrong("skip (a time that was missed is left out) or run_once (it is made up for, once)")),
    }
}

fn window(map: &mut Map) -> Result<Option<(Window, &'static str, u64)>, Problem> {
    let (window, not_after) = (map.take("window"), map.take("not_after"));
    let (entry, key) = match (window, not_after) {
        (Some(_), Some(entry)) => {
            let text = "it has both `window` and `not_after`: expected one of them, the window ends at its end";
            return Err(Problem::at(entry.line, text));
        }
        (Some(entry), None) => (entry, "window"),
        (None, Some(entry)) => (entry, "not_after"),
        (None, None) => return Ok(None),
    };
    let line = entry.line;
    let Kind::Text(text) = &entry.node.kind else {
        return Err(entry.wrong("times of day in quotes, such as window: \"01:00-05:00\" or not_after: \"05:00\""));
    };
    let window = if key == "window" { Window::parse(text) } else { Window::not_after(text) };
    Ok(Some((window.map_err(|error| of_key(key, line, &error))?, key, line)))
}

fn answer(entry: Option<Entry>) -> Result<AnswerFiles, Problem> {
    let mut answer = AnswerFiles::default();
    let Some(entry) = entry else { return Ok(answer) };
    let mut map = entry.node.map("answer")?;
    if let Some(entry) = map.take("folder") {
        let line = entry.line;
        let folder = PathBuf::from(entry.text()?);
        if folder.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
            return Err(Problem::at(line, "`folder` leads out of the results with `..`: name it by its whole path"));
        }
        answer.folder = Some(folder);
    }
    if let Some(entry) = map.take("exports") {
        for item in entry.list("a list, such as [{format: hikaricp, file: hikari.properties}]")? {
            let file = answer_file(item)?;
            if answer.exports.iter().any(|other| other.file == file.file) {
                return Err(Problem::at(file.line, format!("`{}` is written twice: name another file", file.file)));
            }
            answer.exports.push(file);
        }
    }
    map.end()?;
    Ok(answer)
}

fn answer_file(item: Entry) -> Result<AnswerFile, Problem> {
    let line = item.line;
    let mut map = item.node.map("exports")?;
    let format = map.need("format", "hikaricp")?.text()?;
    let entry = map.need("file", "hikari.properties")?;
    map.end()?;
    match &entry.node.kind {
        Kind::Text(file) if !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\\']) => {
            Ok(AnswerFile { format, file: file.clone(), line })
        }
        _ => Err(entry.wrong("the name of a file, without a folder: `folder` says where all of them go")),
    }
}

#[cfg(test)]
mod tests;
