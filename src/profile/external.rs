//! The part `target`: a program or a service of the person's own in place of a database.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use super::{
    error::{Problem, ProfileError, did_you_mean, near},
    tree::{Entry, Kind, Map},
    workload,
};
use crate::model::{
    Apply, Call, Command, External, HttpRequest, Operation, Ready, Service, Setting, Summary, Workload,
};

/// Where a service's settings are sent to, and a call's times.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads the part; for a service with what it is asked. `is_stored` is as [`call`] takes it.
pub(super) fn external(entry: Entry, is_stored: bool) -> Result<(External, Option<Workload>), Problem> {
    let mut map = entry.node.map("target")?;
    let kind = map.one_of(&["command", "http"])?;
    let takes = map.take("takes").map(takes).transpose()?;
    if kind.key == "command" {
        let reads = map.take("reads").map_or(Ok(Summary::Any), reads)?;
        let call = call(kind, &mut map, &OF_THE_TRIAL, is_stored)?;
        map.end()?;
        return Ok((External::Command(Command { call, reads, takes }), None));
    }
    let line = kind.line;
    let url = kind.text()?;
    let parsed = url::Url::parse(&url).ok().filter(|parsed| {
        matches!(parsed.scheme(), "http" | "https") && parsed.query().is_none() && parsed.fragment().is_none()
    });
    let Some(parsed) = parsed.filter(|_| !url.contains('{')) else {
        return Err(Problem::at(line, format!("`http` is \"{url}\": expected a URL such as http://127.0.0.1:8000")));
    };
    // The URL is stored, shown and written into reports.
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let text = "`http` holds a user or a password, and would be kept with the run: leave them out, and give each request a \
                    header such as {authorization: \"Basic ${CREDENTIALS}\"}, which is read from the environment";
        return Err(Problem::at(line, text));
    }
    let mut requests = Vec::new();
    let mut operations = Vec::new();
    for entry in map.need("requests", "[{path: /}]")?.list("a list of requests")? {
        let (request, operation) = operation(entry)?;
        requests.push(request);
        operations.push(operation);
    }
    if !operations.iter().any(|operation| operation.weight > 0.0) {
        return Err(Problem::at(line, "`requests` has none with a positive weight: add one, such as {path: /}"));
    }
    let time = |entry: Option<Entry>, otherwise| {
        entry.map_or(Ok(Duration::from_secs(otherwise)), |entry| entry.time(Duration::from_millis(1), LONGEST))
    };
    let timeout = time(map.take("timeout"), 10)?;
    let success = map.take("success").map_or(Ok(vec![200..=399]), success)?;
    let apply = apply(map.need("apply", "{request: {method: POST, path: /admin/pool}}")?, is_stored)?;
    let mut ready = Ready { path: "/".to_owned(), within: Duration::from_secs(30) };
    if let Some(entry) = map.take("ready") {
        let mut map = entry.node.map("ready")?;
        ready.path = path(map.need("path", "/health")?)?;
        ready.within = time(map.take("within"), 30)?;
        map.end()?;
    }
    let metrics = map.take("metrics").map(path).transpose()?;
    let think_time = map.take("think_time").map(|entry| entry.time(Duration::ZERO, Duration::from_secs(60)));
    let think_time = think_time.transpose()?.filter(|time| !time.is_zero());
    map.end()?;
    let service = Service { url, requests, success, timeout, apply, ready, metrics, takes };
    Ok((External::Http(service), Some(Workload { prepare: Vec::new(), operations, think_time })))
}

/// The target of a command line: `command:./bench.sh --max {max_connections}`.
///
/// # Errors
/// [`ProfileError`] when its quotes do not match or there is nothing to start.
pub fn command_target(text: &str) -> Result<External, ProfileError> {
    let wrong = |problem| ProfileError { origin: format!("`--target command:{text}`"), line: None, problem };
    let words = words(text, &OF_THE_TRIAL).map_err(wrong)?;
    if takes_file(&words) {
        return Err(wrong(
            "`{file}` needs a format for the file, which only a profile can name, and would be passed on as it stands: write \
             `target: {command: …, file: pgbouncer}` into one, or take `{file}` away"
                .to_owned(),
        ));
    }
    let call = Call { words, directory: None, file: None, time_limit: None };
    Ok(External::Command(Command { call, reads: Summary::Any, takes: None }))
}

fn words(text: &str, beside: &[&str]) -> Result<Vec<String>, String> {
    let words = shell_words::split(text).map_err(|_| "a quote is not closed: close it".to_owned())?;
    if words.iter().any(|word| holds_a_password(word)) {
        return Err("a word holds a URL with a password, and would be kept with the run: leave it to the environment, which the \
                    program inherits (`$DATABASE_URL` within `sh -c '…'`)"
            .to_owned());
    }
    if let Some(problem) = misspelt(words.iter().map(String::as_str), beside) {
        return Err(problem);
    }
    if words.first().is_none_or(String::is_empty) {
        return Err("there is no program: expected one with its arguments, such as ./bench.sh".to_owned());
    }
    Ok(words)
}

/// Whether a word has a URL with a password in it.
fn holds_a_password(word: &str) -> bool {
    let Some((_, rest)) = word.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') && !user.contains('$'))
}

/// What is filled in beside the settings in a trial.
const OF_THE_TRIAL: [&str; 7] = ["trial", "seed", "workers", "instances", "seconds", "warm_up", "file"];

/// What is wrong with a name in braces that would be passed on as it stands, and is like one that would not. Braces stand for much
/// else (JSON, a shell's words and variables), so that only what is like a name is taken for one.
fn misspelt<'a>(texts: impl Iterator<Item = &'a str>, beside: &[&str]) -> Option<String> {
    let known: Vec<&str> = Setting::all().map(|setting| setting.spec().name).chain(beside.iter().copied()).collect();
    for text in texts {
        for (at, _) in text.match_indices('{') {
            let Some((name, _)) = text[at + 1..].split_once('}') else { continue };
            if text[..at].ends_with('$') || known.contains(&name) {
                continue;
            }
            if let Some(nearest) = near(name, known.iter().copied()) {
                return Some(format!(
                    "`{{{name}}}` is no name that is filled in, and would be passed on as it stands: did you mean `{{{nearest}}}`?"
                ));
            }
        }
    }
    None
}

/// Whether texts ask for the file with the settings; `${file}` is a variable of a shell's own.
pub(super) fn takes_file(texts: &[impl AsRef<str>]) -> bool {
    let asks = |text: &str| text.match_indices("{file}").any(|(at, _)| !text[..at].ends_with('$'));
    texts.iter().any(|text| asks(text.as_ref()))
}

/// A program with its arguments and what is said of it; `beside` is what is filled in beside the settings. What is stored is taken as
/// the build that stored it took it, also where whoever writes it now is told of a slip.
pub(super) fn call(entry: Entry, map: &mut Map, beside: &[&str], is_stored: bool) -> Result<Call, Problem> {
    let (line, key) = (entry.line, entry.key.clone());
    let words = command(entry, beside)?;
    let directory = map.take("directory").map(Entry::text).transpose()?;
    let file = map.take("file").map(Entry::text).transpose()?;
    if file.is_none() && takes_file(&words) && !is_stored {
        let text = format!(
            "`{key}`: `{{file}}` needs a format for the file, and would be passed on as it stands: add `file`, such as `file: hikaricp`, \
             or take `{{file}}` away"
        );
        return Err(Problem::at(line, text));
    }
    let limit = |entry: Entry| entry.time(Duration::from_millis(100), LONGEST);
    let time_limit = map.take("time_limit").map(limit).transpose()?;
    Ok(Call { words, directory, file, time_limit })
}

/// A program with its arguments, as one text or as a list of words.
pub(super) fn command(entry: Entry, beside: &[&str]) -> Result<Vec<String>, Problem> {
    let (line, key) = (entry.line, entry.key.clone());
    Ok(match &entry.node.kind {
        Kind::List(_) => {
            let list = entry.list("a list of words")?;
            let words: Vec<String> = list.into_iter().map(word).collect::<Result<_, _>>()?;
            if words.first().is_none_or(String::is_empty) {
                return Err(Problem::at(line, format!("`{key}` is empty: expected a program with its arguments")));
            }
            if words.iter().any(|word| holds_a_password(word)) {
                let text = format!(
                    "`{key}` holds a URL with a password, and would be kept with the run: leave it to the environment"
                );
                return Err(Problem::at(line, text));
            }
            if let Some(problem) = misspelt(words.iter().map(String::as_str), beside) {
                return Err(Problem::at(line, format!("`{key}`: {problem}")));
            }
            words
        }
        _ => words(&entry.text()?, beside).map_err(|problem| Problem::at(line, format!("`{key}`: {problem}")))?,
    })
}

/// A word of a command; YAML takes `-c 4` for a number.
fn word(entry: Entry) -> Result<String, Problem> {
    match entry.node.kind {
        Kind::Whole(whole) => Ok(whole.to_string()),
        Kind::Real(real) => Ok(real.to_string()),
        _ => entry.text(),
    }
}

fn takes(entry: Entry) -> Result<BTreeSet<Setting>, Problem> {
    let named = |entry: Entry| {
        let line = entry.line;
        entry.text()?.parse().map_err(|error: crate::model::UnknownSetting| Problem::at(line, error.to_string()))
    };
    let line = entry.line;
    let settings: BTreeSet<_> = entry.list("a list of settings")?.into_iter().map(named).collect::<Result<_, _>>()?;
    if settings.is_empty() {
        return Err(Problem::at(line, "`takes` is empty: name the settings that the target heeds"));
    }
    Ok(settings)
}

fn reads(entry: Entry) -> Result<Summary, Problem> {
    let line = entry.line;
    let name = entry.text()?;
    name.parse().map_err(|()| {
        let hint = did_you_mean(&name, Summary::NAMED.map(|(name, _)| name));
        Problem::at(line, format!("`reads` is \"{name}\": {hint}"))
    })
}

/// Codes of success: `[200, 404]`, `2xx`.
fn success(entry: Entry) -> Result<Vec<RangeInclusive<u16>>, Problem> {
    let expected = "status codes such as 200, or classes of them such as 2xx";
    let one = |entry: &Entry| {
        let codes = match &entry.node.kind {
            Kind::Whole(code) => u16::try_from(*code).ok().map(|code| code..=code),
            Kind::Text(text) => text
                .strip_suffix("xx")
                .and_then(|class| class.parse::<u16>().ok())
                .filter(|class| (1..=5).contains(class))
                .map(|class| class * 100..=class * 100 + 99),
            _ => None,
        };
        codes.filter(|codes| (100..=599).contains(codes.start())).ok_or_else(|| entry.wrong(expected))
    };
    if !matches!(entry.node.kind, Kind::List(_)) {
        return Ok(vec![one(&entry)?]);
    }
    entry.list(expected)?.iter().map(one).collect()
}

fn path(entry: Entry) -> Result<String, Problem> {
    let (line, key) = (entry.line, entry.key.clone());
    let path = entry.text()?;
    if path.starts_with('/') {
        Ok(path)
    } else {
        Err(Problem::at(line, format!("`{key}` is \"{path}\": expected a path that begins with /")))
    }
}

/// A request of the load, with what is drawn for it.
fn operation(entry: Entry) -> Result<(HttpRequest, Operation), Problem> {
    let line = entry.line;
    let mut map = entry.node.map("request")?;
    let name = map.take("name").map(Entry::text).transpose()?;
    let weight = workload::weight(&mut map)?;
    let parameters = workload::parameters(&mut map, 1)?;
    let request = request(&mut map)?;
    map.end()?;
    for (line, parameter) in &parameters {
        let used = format!("{{{}}}", parameter.name);
        if !request.path.contains(&used) && !request.body.contains(&used) {
            let text =
                format!("parameter `{0}` is not used: write `{{{0}}}` into path or body, or remove it", parameter.name);
            return Err(Problem::at(*line, text));
        }
    }
    let parameters: Vec<_> = parameters.into_iter().map(|(_, parameter)| parameter).collect();
    let unknown = request.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    for name in unknown {
        if !parameters.iter().any(|parameter| parameter.name == name) {
            let text = format!("`{{{name}}}` is no parameter: add `parameters: {{{name}: {{uniform: [1, 100]}}}}`");
            return Err(Problem::at(line, text));
        }
    }
    let name = name.unwrap_or_else(|| format!("{} {}", request.method, request.path));
    let operation = Operation { name, weight, statements: Vec::new(), transaction: false, nested: false, parameters };
    Ok((request, operation))
}

fn request(map: &mut Map) -> Result<HttpRequest, Problem> {
    let body = match map.take("body") {
        None => String::new(),
        Some(entry) => entry.text()?,
    };
    let usual = if body.is_empty() { "GET" } else { "POST" };
    let method = map.take("method").map_or_else(|| Ok(usual.to_owned()), Entry::text)?.to_uppercase();
    let path = path(map.need("path", "/")?)?;
    let mut headers = Vec::new();
    if let Some(entry) = map.take("headers") {
        for entry in entry.node.map("headers")?.take_all() {
            let name = entry.key.clone();
            headers.push((name, word(entry)?));
        }
    }
    Ok(HttpRequest { method, path, headers, body })
}

fn apply(entry: Entry, is_stored: bool) -> Result<Apply, Problem> {
    let mut map = entry.node.map("apply")?;
    let kind = map.one_of(&["command", "request"])?;
    let apply = if kind.key == "command" {
        Apply::Call(call(kind, &mut map, &OF_THE_TRIAL, is_stored)?)
    } else {
        let mut of = kind.node.map("request")?;
        let method = of.take("method").map_or_else(|| Ok("POST".to_owned()), Entry::text)?;
        let line = kind.line;
        let read = request(&mut of)?;
        of.end()?;
        if let Some(problem) = misspelt([read.path.as_str(), &read.body].into_iter(), &OF_THE_TRIAL) {
            return Err(Problem::at(line, format!("`request`: {problem}")));
        }
        if takes_file(&[&read.path, &read.body]) && !is_stored {
            let text = "`request`: `{file}` is filled into a `command` alone, and would be passed on as it stands: take it away, or apply \
                        by a `command` with `file`";
            return Err(Problem::at(line, text));
        }
        Apply::Request(HttpRequest { method: method.to_uppercase(), ..read })
    };
    map.end()?;
    Ok(apply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_filled_in_only_where_its_format_is_named() {
        let text = |target: &str| format!("name: own\nworkers: 2\ntarget: {target}\n");
        let read = |target: &str| {
            crate::profile::parse("own.yaml", &text(target)).map(drop).map_err(|error| error.to_string())
        };
        let service = |apply: &str| format!("{{http: 'http://x', requests: [{{path: /}}], apply: {apply}}}");
        for (target, what) in [
            ("{command: './bench.sh {file}'}".to_owned(), "`command`: `{file}` needs a format"),
            (service("{command: [./apply.sh, '--in={file}']}"), "`command`: `{file}` needs a format"),
            (service("{request: {path: '/pool?from={file}'}}"), "`request`: `{file}` is filled into a `command` alone"),
            (
                service("{request: {path: /pool, body: '{file}'}}"),
                "`request`: `{file}` is filled into a `command` alone",
            ),
        ] {
            let error = read(&target).unwrap_err();
            assert!(error.contains("`own.yaml`, line 3: ") && error.contains(what), "{error}");
            // A run that is stored can be told of still.
            assert!(crate::profile::parse_stored("own.yaml", &text(&target)).is_ok(), "{target}");
        }
        assert!(read("{command: './bench.sh {file}'}").unwrap_err().contains("add `file`, such as `file: hikaricp`"));
        for target in ["{command: './bench.sh {file}', file: pgbouncer}", "{command: [sh, -c, 'cat ${file}']}"] {
            assert_eq!(read(target), Ok(()), "{target}");
        }
        let error = command_target("./bench.sh {file}").unwrap_err().to_string();
        assert!(error.contains("target: {command: …, file: pgbouncer}"), "{error}");
    }

    #[test]
    fn a_name_in_braces_is_misspelt_where_it_is_like_one_that_is_filled_in() {
        let told = |text: &str| misspelt(std::iter::once(text), &OF_THE_TRIAL);
        for (text, nearest) in [
            ("--max={max_conections}", "{max_connections}"),
            ("{max-connections}", "{max_connections}"),
            ("{MAX_CONNECTIONS}", "{max_connections}"),
            (r#"{"size": {mx_conections}}"#, "{max_connections}"),
            ("{second}", "{seconds}"),
            ("{seeds}", "{seed}"),
        ] {
            let problem = told(text).unwrap_or_default();
            assert!(problem.ends_with(&format!("did you mean `{nearest}`?")), "{text}: {problem}");
        }
        for text in [
            "{max_connections}",
            "{file}",
            r#"{"max_conections": 3}"#,
            "{}",
            "{time}",
            "{id}",
            "awk '{print $1}'",
            "${seeds}",
            "{max_conections",
            "{max}",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
