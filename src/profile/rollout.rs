//! Rollouts, in YAML: by which stages a run's settings come into use, how they are applied, and what must hold meanwhile.

use std::{path::Path, path::PathBuf, time::Duration};

use super::{
    ProfileError, TargetSource,
    error::{Problem, did_you_mean},
    experiment::{hidden, is_one_word, may_hold_a_password, target},
    external::{call, command, takes_file},
    tree::{self, Entry, Kind, Map, Node},
};
use crate::model::Call;

/// What is filled into a hook's words beside the settings.
const OF_THE_STAGE: [&str; 5] = ["share", "stage", "direction", "rollout", "file"];
/// The longest time that a stage is watched, and the oldest run that a plan can allow.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
const OLDEST: Duration = Duration::from_secs(3650 * 86_400);
/// The most stages, or steps of value.
const MOST_STAGES: usize = 50;

/// How a run's settings come into use.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutPlan {
    /// Its name; there is one rollout of a name at a time.
    pub name: String,
    /// How settings are put into effect.
    pub apply: RolloutApply,
    /// From the settings in use to the recommended ones.
    pub stages: RolloutStages,
    /// What must hold while a stage is watched.
    pub gates: RolloutGates,
    /// The oldest run that is rolled out.
    pub max_age: Duration,
}

/// How settings are put into effect.
#[derive(Clone, Debug, PartialEq)]
pub enum RolloutApply {
    /// By a program.
    Command(Call),
    /// By changing a file in place.
    Into {
        /// The file.
        file: PathBuf,
        /// The class, dictionary, table or mapping in it that holds the settings.
        within: Option<String>,
        /// What is started afterwards, such as a reload.
        then: Option<Call>,
    },
}

/// The stages.
#[derive(Clone, Debug, PartialEq)]
pub enum RolloutStages {
    /// Shares of instances, which get the recommended settings: growing, the last is all.
    Shares(Vec<(f64, Duration)>),
    /// Steps of value, for all instances, and how long each is watched.
    Steps(u32, Duration),
}

/// What must hold while a stage is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutGates {
    /// The time between two readings.
    pub every: Duration,
    /// Readings in a row that fail before it goes back.
    pub failures: u32,
    /// How long a source may be down.
    pub patience: Duration,
    /// Where Prometheus is.
    pub prometheus: Option<TargetSource>,
    /// What it is asked.
    pub queries: Vec<RolloutQuery>,
    /// A database to watch.
    pub target: Option<TargetSource>,
    /// An application's metrics to watch.
    pub metrics: Option<TargetSource>,
}

/// A question to Prometheus and what its answer must keep.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutQuery {
    /// What it is called.
    pub name: String,
    /// In `PromQL`.
    pub query: String,
    /// What must hold.
    pub bound: RolloutBound,
}

/// What an answer must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RolloutBound {
    /// It is at least so much.
    AtLeast(f64),
    /// It is at most so much.
    AtMost(f64),
    /// It is not more than that share above what it was before the first stage.
    NotMore(f64),
    /// It is not more than that share below what it was before the first stage.
    NotLess(f64),
}

impl RolloutBound {
    /// Whether the larger of two values is the worse one.
    #[must_use]
    pub fn more_is_worse(self) -> bool {
        matches!(self, Self::AtMost(_) | Self::NotMore(_))
    }
}

impl RolloutPlan {
    /// Reads a plan; `origin` is its file, for messages.
    ///
    /// # Errors
    /// [`ProfileError`] naming the line, the key and the remedy. It never repeats a target.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ProfileError> {
        tree::read(text).and_then(|root| plan(root, false)).map_err(|problem| problem.of("rollout plan", origin))
    }

    /// The same for one that is stored: what an older build took and applied has to be taken back, slips that are refused now included.
    ///
    /// # Errors
    /// As [`RolloutPlan::parse`].
    pub fn parse_stored(origin: &str, text: &str) -> Result<Self, ProfileError> {
        tree::read(text).and_then(|root| plan(root, true)).map_err(|problem| problem.of("rollout plan", origin))
    }

    /// With relative paths seen from a folder, and programs started in it where they are not told another.
    #[must_use]
    pub fn seen_from(mut self, folder: &Path) -> Self {
        let call = match &mut self.apply {
            RolloutApply::Command(call) => Some(call),
            RolloutApply::Into { file, then, .. } => {
                *file = folder.join(&file);
                then.as_mut()
            }
        };
        if let Some(call) = call {
            let directory = call.directory.as_ref().map_or_else(|| folder.to_owned(), |own| folder.join(own));
            call.directory = Some(directory.to_string_lossy().into_owned());
        }
        let gates = &mut self.gates;
        for source in [&mut gates.prometheus, &mut gates.target, &mut gates.metrics].into_iter().flatten() {
            if let TargetSource::File(path) = source {
                *path = folder.join(&path);
            }
        }
        self
    }
}

fn plan(root: Node, is_stored: bool) -> Result<RolloutPlan, Problem> {
    let mut map = root.map("rollout")?;
    let name = map.need("name", "checkout")?;
    let name = match &name.node.kind {
        Kind::Text(text) if is_one_word(text) => text.clone(),
        _ => return Err(name.wrong("letters, digits, `-` and `_`, such as checkout")),
    };
    let apply = apply(map.need("apply", "{command: \"./apply.sh {share} {file}\", file: env}")?, is_stored)?;
    let stages = stages(&mut map, matches!(apply, RolloutApply::Into { .. }))?;
    let max_age = map.take("max_age").map(|entry| entry.time(Duration::from_secs(1), OLDEST)).transpose()?;
    let entry = map.need("gates", "{prometheus: \"http://127.0.0.1:9090\", queries: […]}")?;
    let line = entry.line;
    let gates = gates(entry)?;
    map.end()?;
    let shortest = match &stages {
        RolloutStages::Shares(shares) => shares.iter().map(|(_, watch)| *watch).min().unwrap_or_default(),
        RolloutStages::Steps(_, watch) => *watch,
    };
    if shortest < gates.every {
        let shown = |time| humantime::format_duration(time).to_string();
        let text = format!(
            "`every` is {}, and a stage is watched for {}: read more often, or watch for longer",
            shown(gates.every),
            shown(shortest)
        );
        return Err(Problem::at(line, text));
    }
    Ok(RolloutPlan { name, apply, stages, gates, max_age: max_age.unwrap_or(LONGEST) })
}

fn apply(entry: Entry, is_stored: bool) -> Result<RolloutApply, Problem> {
    let line = entry.line;
    let mut map = entry.node.map("apply")?;
    let kind = map.one_of(&["command", "into"])?;
    let apply = if kind.key == "command" {
        RolloutApply::Command(call(kind, &mut map, &OF_THE_STAGE, is_stored)?)
    } else {
        let file = kind.text()?.into();
        let within = map.take("within").map(Entry::text).transpose()?;
        let then = map.take("then").map(|entry| command(entry, &OF_THE_STAGE)).transpose()?;
        if then.as_ref().is_some_and(|words| takes_file(words)) && !is_stored {
            let text = "`then`: `{file}` is filled into a `command`, and would be passed on as it stands: write the path of the file \
                        that `into` names";
            return Err(Problem::at(line, text));
        }
        let limit = |entry: Entry| entry.time(Duration::from_millis(100), Duration::from_secs(3600));
        let time_limit = map.take("time_limit").map(limit).transpose()?;
        if time_limit.is_some() && then.is_none() && !is_stored {
            return Err(Problem::at(
                line,
                "`time_limit` is of what `then` starts, and there is none: add `then`, or leave it out",
            ));
        }
        let then = then.map(|words| Call { words, directory: None, file: None, time_limit });
        RolloutApply::Into { file, within, then }
    };
    map.end()?;
    Ok(apply)
}

fn stages(map: &mut Map, into: bool) -> Result<RolloutStages, Problem> {
    let watch = |entry: &Entry| entry.time(Duration::from_millis(100), LONGEST);
    let kind = map.one_of(&["stages", "steps"])?;
    if kind.key == "steps" {
        let most = u32::try_from(MOST_STAGES).unwrap_or(u32::MAX);
        let steps = kind.whole(1, most)?;
        return Ok(RolloutStages::Steps(steps, watch(&map.need("watch", "15m")?)?));
    }
    let line = kind.line;
    let mut shares: Vec<(f64, Duration)> = Vec::new();
    for item in kind.list("a list, such as [{share: 10%, watch: 10m}, {share: 100%, watch: 1h}]")? {
        let line = item.line;
        let mut of = item.node.map("stages")?;
        let entry = of.need("share", "10%")?;
        let value = share(&entry)?;
        let watch = watch(&of.need("watch", "10m")?)?;
        of.end()?;
        if shares.last().is_some_and(|(before, _)| *before >= value) {
            return Err(Problem::at(
                line,
                "`share` does not grow from stage to stage: order the stages, the last is 100%",
            ));
        }
        if into && value < 1.0 {
            let text = "a file is changed for all that read it, and `share` is less: use `steps`, one stage of 100%, or `apply` by a \
                        `command` that knows the instances";
            return Err(Problem::at(line, text));
        }
        shares.push((value, watch));
    }
    if shares.len() > MOST_STAGES {
        return Err(Problem::at(line, format!("`stages` are more than {MOST_STAGES}: leave some out")));
    }
    if shares.last().is_none_or(|(last, _)| *last < 1.0) {
        return Err(Problem::at(line, "the last of `stages` has to be for all: add {share: 100%, watch: 1h}"));
    }
    Ok(RolloutStages::Shares(shares))
}

/// A share written in per cent.
fn share(entry: &Entry) -> Result<f64, Problem> {
    let share = percent(entry).filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| entry.wrong("a share above 0% and up to 100%, such as 10%"))
}

fn percent(entry: &Entry) -> Option<f64> {
    match &entry.node.kind {
        Kind::Text(text) => Some(text.strip_suffix('%')?.trim().parse::<f64>().ok()? / 100.0),
        _ => None,
    }
}

fn gates(entry: Entry) -> Result<RolloutGates, Problem> {
    let line = entry.line;
    let mut map = entry.node.map("gates")?;
    let time = |entry: Option<Entry>, least, otherwise| {
        entry.map_or(Ok(Duration::from_secs(otherwise)), |entry: Entry| entry.time(least, Duration::from_secs(86_400)))
    };
    let every = time(map.take("every"), Duration::from_millis(100), 15)?;
    let failures = map.take("failures").map_or(Ok(2), |entry| entry.whole(1, 1000))?;
    let patience = time(map.take("patience"), Duration::ZERO, 120)?;
    let prometheus = map.take("prometheus").map(|entry| address(entry, "PROMETHEUS_URL")).transpose()?;
    let mut queries: Vec<RolloutQuery> = Vec::new();
    if let Some(entry) = map.take("queries") {
        let line = entry.line;
        for item in entry.list("a list, such as [{name: success, query: \"…\", at_least: 0.99}]")? {
            let line = item.line;
            let query = query(item)?;
            if queries.iter().any(|other| other.name == query.name) {
                return Err(Problem::at(line, format!("`queries` has `{}` twice: name each once", query.name)));
            }
            queries.push(query);
        }
        if prometheus.is_none() {
            let text = "there is nobody to ask the `queries`: add `prometheus: http://127.0.0.1:9090`, or {env: PROMETHEUS_URL}";
            return Err(Problem::at(line, text));
        }
    }
    let (mut watched, mut metrics) = (None, None);
    if let Some(entry) = map.take("monitor") {
        let line = entry.line;
        let mut of = entry.node.map("monitor")?;
        watched = of.take("target").map(target).transpose()?;
        metrics = of.take("metrics").map(|entry| address(entry, "METRICS_URL")).transpose()?;
        of.end()?;
        if watched.is_none() && metrics.is_none() {
            let text = "`monitor` names nothing to watch: expected `target`, such as {env: DATABASE_URL}, `metrics`, such as \
                        http://localhost:8080/metrics, or both";
            return Err(Problem::at(line, text));
        }
    }
    map.end()?;
    if queries.is_empty() && watched.is_none() && metrics.is_none() {
        let text = "`gates` has none, and nothing would keep bad settings from going on: add `prometheus` with `queries`, such as \
                    {name: success, query: \"…\", at_least: 0.99}, or `monitor: {target: {env: DATABASE_URL}}`";
        return Err(Problem::at(line, text));
    }
    Ok(RolloutGates { every, failures, patience, prometheus, queries, target: watched, metrics })
}

/// An address of HTTP, or where it is to be read from.
fn address(entry: Entry, example: &str) -> Result<TargetSource, Problem> {
    let (line, key) = (entry.line, entry.key.clone());
    match &entry.node.kind {
        Kind::Map(_) => hidden(entry, example),
        Kind::Text(text) if may_hold_a_password(text) => Err(Problem::at(
            line,
            format!(
                "`{key}` holds a password, which would lie in the open here: put the URL into an environment variable and write `{key}: {{env: {example}}}`"
            ),
        )),
        Kind::Text(text) if text.starts_with("http://") || text.starts_with("https://") => {
            Ok(TargetSource::Plain(text.clone()))
        }
        // It may hold a secret, and is not repeated.
        _ => Err(Problem::at(
            line,
            format!("`{key}`: expected an address such as http://127.0.0.1:9090, or {{env: {example}}}"),
        )),
    }
}

fn query(item: Entry) -> Result<RolloutQuery, Problem> {
    let line = item.line;
    let mut map = item.node.map("queries")?;
    let name = map.need("name", "success")?.text()?;
    let query =
        map.need("query", "\"sum(rate(http_requests_total{code=~'2..'}[1m])) / sum(rate(http_requests_total[1m]))\"")?;
    if matches!(&query.node.kind, Kind::Text(text) if text.trim().is_empty()) {
        return Err(query.wrong("a query in PromQL"));
    }
    let query = query.text()?;
    let kind = map.one_of(&["at_least", "at_most", "not_worse"])?;
    let bound = if kind.key == "not_worse" {
        let by = percent(&kind).filter(|by| (0.0..=100.0).contains(by));
        let by = by.ok_or_else(|| kind.wrong("a share such as 10%"))?;
        let worse = map.need("worse_is", "more")?;
        match &worse.node.kind {
            Kind::Text(text) if text == "more" => RolloutBound::NotMore(by),
            Kind::Text(text) if text == "less" => RolloutBound::NotLess(by),
            Kind::Text(text) => {
                let hint = did_you_mean(text, ["more", "less"]);
                return Err(Problem::at(worse.line, format!("`worse_is` is \"{text}\": {hint}")));
            }
            _ => return Err(worse.wrong("more or less")),
        }
    } else {
        let number = kind.real().filter(|number| number.is_finite()).ok_or_else(|| kind.wrong("a number"))?;
        if kind.key == "at_least" { RolloutBound::AtLeast(number) } else { RolloutBound::AtMost(number) }
    };
    map.end().map_err(|problem| Problem { line: problem.line.or(Some(line)), ..problem })?;
    Ok(RolloutQuery { name, query, bound })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// A plan with some lines in place of its own.
    fn with(stages: &str, gates: &str) -> String {
        format!("name: checkout\napply: {{command: ./apply.sh}}\n{stages}\ngates: {gates}\n")
    }

    const STEPS: &str = "steps: 3\nwatch: 15m";
    const GATES: &str = "{prometheus: http://127.0.0.1:9090, queries: [{name: ok, query: up, at_least: 1}]}";

    #[test]
    fn the_shipped_plan_is_read_with_its_paths_seen_from_its_folder() {
        let text = include_str!("../../examples/rollout/rollout.yaml");
        let plan = RolloutPlan::parse("rollout.yaml", text).unwrap().seen_from(Path::new("/srv"));
        assert_eq!(plan.name, "checkout");
        let RolloutApply::Command(call) = &plan.apply else { unreachable!("it has a command") };
        assert_eq!(
            (call.words.as_slice(), call.directory.as_deref()),
            (&["./apply.sh".to_owned(), "{share}".to_owned(), "{file}".to_owned()][..], Some("/srv"))
        );
        let RolloutStages::Shares(shares) = &plan.stages else { unreachable!("it has shares") };
        assert_eq!(shares[0], (0.1, Duration::from_secs(600)));
        let bounds: Vec<_> = plan.gates.queries.iter().map(|query| query.bound).collect();
        assert_eq!(bounds, [RolloutBound::AtLeast(0.99), RolloutBound::NotMore(0.1)]);
    }

    #[test]
    fn errors_name_line_key_and_remedy() {
        let error = |text: &str| RolloutPlan::parse("rollout.yaml", text).unwrap_err().to_string();
        let errors = [
            error(""),
            error("name: ../x"),
            error("name: a\napply: {comand: ./x}"),
            error("name: a\napply: {command: './x {shar}'}"),
            error(&with("steps: 0\nwatch: 1m", GATES)),
            error(&with("steps: 3", GATES)),
            error(&with("stages: [{share: 10%, watch: 1m}]", GATES)),
            error(&with("stages:\n  - {share: 50%, watch: 1m}\n  - {share: 20%, watch: 1m}", GATES)),
            error(&with("stages: [{share: 10, watch: 1m}]", GATES)),
            error(&with("stages: []\nsteps: 3", GATES)),
            error("name: a\napply: {into: config.py}\nstages: [{share: 10%, watch: 1m}]"),
            error(&with(STEPS, "{}")),
            error(&with(STEPS, "{every: 20m, monitor: {metrics: http://x/metrics}}")),
            error(&with(STEPS, "{queries: [{name: ok, query: up, at_least: 1}]}")),
            error(&with(STEPS, "{prometheus: x, queries: [{name: ok, query: up, at_leest: 1}]}")),
            error(&with(STEPS, "{prometheus: http://x, queries: [{name: ok, query: up, at_leest: 1}]}")),
            error(&with(STEPS, "{prometheus: http://x, queries: [{name: ok, query: up, at_least: 1, at_most: 2}]}")),
            error(&with(STEPS, "{prometheus: http://x, queries: [{name: ok, query: up, not_worse: 10%}]}")),
            error(&with(
                STEPS,
                "{prometheus: http://x, queries: [{name: ok, query: up, not_worse: 10%, worse_is: mor}]}",
            )),
            error(&with(
                STEPS,
                "{prometheus: http://x, queries: [{name: ok, query: up, not_worse: 10, worse_is: more}]}",
            )),
            error(&with(STEPS, "{monitor: {}}")),
            error("name: a\napply: {into: config.py, time_limit: 1m}"),
            error(&with(STEPS, &format!("{GATES}\nmax_agee: 3d"))),
        ];
        assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn what_is_missing_is_told_and_not_what_stands_beside_it() {
        let error = |apply: &str| {
            RolloutPlan::parse("rollout.yaml", &format!("name: a\napply: {apply}\n")).unwrap_err().to_string()
        };
        let told = error("{time_limit: 10s}");
        assert!(told.ends_with("line 2: `apply` has none of `command`, `into`: add one"), "{told}");
        let told = error("{time_limit: 10s, comand: ./x}");
        assert!(told.contains("`comand` is not known in `apply`: did you mean `command`?"), "{told}");
    }

    #[test]
    fn a_file_is_filled_in_only_where_its_format_is_named() {
        let read = |apply: &str| {
            let text = with(STEPS, GATES).replace("{command: ./apply.sh}", apply);
            RolloutPlan::parse("rollout.yaml", &text).map(drop).map_err(|error| error.to_string())
        };
        let error = read("{command: './apply.sh {share} {file}'}").unwrap_err();
        assert!(error.contains("line 2: `command`: `{file}` needs") && error.contains("file: hikaricp"), "{error}");
        let error = read("{into: pool.env, then: './reload.sh {file}'}").unwrap_err();
        assert!(error.contains("line 2: `then`: `{file}`"), "{error}");
        let stored = with(STEPS, GATES).replace("{command: ./apply.sh}", "{command: './apply.sh {file}'}");
        let plan = RolloutPlan::parse_stored("rollout.yaml", &stored).unwrap();
        let RolloutApply::Command(call) = &plan.apply else { unreachable!("it has a command") };
        assert_eq!(call.words, ["./apply.sh", "{file}"]);
        for apply in ["{command: './apply.sh {file}', file: hikaricp}", "{command: [sh, -c, 'cat ${file}']}"] {
            assert_eq!(read(apply), Ok(()), "{apply}");
        }
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for gates in [
            "{prometheus: \"http://me:hunter2@host:9090\", queries: [{name: ok, query: up, at_least: 1}]}",
            "{prometheus: hunter2, queries: [{name: ok, query: up, at_least: 1}]}",
            "{monitor: {target: \"postgres://me:hunter2@host/db\"}}",
            "{monitor: {metrics: \"http://host/metrics?password=hunter2\"}}",
        ] {
            let error = RolloutPlan::parse("rollout.yaml", &with(STEPS, gates)).unwrap_err().to_string();
            assert!(error.contains("line 5") && !error.contains("hunter2"), "{error}");
        }
    }
}
