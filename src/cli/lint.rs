use std::{io::Read as _, path::Path, process::ExitCode};

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use secrecy::SecretString;

use super::{
    exit::{bad_input, code},
    import::by_name,
    into::failed,
    lint_arguments::{LintArguments, LintOutput},
    out::{out, outln},
};
use crate::{
    database::Server,
    export::{Configuration, FORMATS, Format, ImportError, IntoError, Prefix, configuration},
    lint::{self, Circumstances, LintRule, Linted, RULES, ServerLimits},
    model::Dialect,
    store::OwnFile,
};

/// Formats that a file may be in besides the one that its name tells; the names in it decide.
const LIKE: &[(&str, &[&str])] = &[
    ("config.py", &["config-dict", "django", "sqlalchemy", "psycopg-pool", "asyncpg"]),
    ("yaml", &["spring-boot", "rails"]),
    ("node-postgres", &["knex"]),
    ("database-sql", &["pgxpool"]),
    ("sqlx", &["bb8", "deadpool"]),
];

/// Tells what is wrong with configurations.
pub(super) async fn lint(arguments: &LintArguments) -> Result<ExitCode> {
    if arguments.list_rules {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let allowed =
        arguments.allow.iter().map(|id| LintRule::named(id)).collect::<Result<Vec<_>, _>>().map_err(bad_input)?;
    let prefix = arguments.prefix.as_deref().map(Prefix::parse).transpose().map_err(bad_input)?;
    let format = arguments.format.as_deref().map(Format::named).transpose().map_err(bad_input)?;
    // What cannot be read is told before a server is asked.
    let files: Vec<_> = arguments.files.iter().map(|path| (path, File::read(path, format, prefix.as_ref()))).collect();
    let circumstances = Circumstances {
        instances: arguments.instances,
        deadline: arguments.deadline,
        server: match &arguments.target {
            Some(target) if files.iter().any(|(_, file)| file.is_ok()) => Some(limits(target).await?),
            _ => None,
        },
    };
    let mut linted = Vec::new();
    for (path, file) in files {
        let outcome = match file {
            Ok(File { format, text, configuration }) => {
                let mut findings = lint::lint(format, &text, &configuration, &circumstances);
                findings.retain(|finding| !allowed.contains(&finding.rule));
                Ok((format, findings))
            }
            Err(error) => Err(error.to_string()),
        };
        linted.push(Linted { file: shown(path), uri: relative(path), outcome });
    }
    match arguments.output {
        LintOutput::Text => linted.iter().for_each(|linted| out!("{}", lint::text(linted))),
        LintOutput::Json => outln!("{:#}", lint::json(&linted)),
        LintOutput::Sarif => outln!("{:#}", lint::sarif(&linted, code::BAD_INPUT)),
    }
    let problems: Vec<&str> =
        linted.iter().filter_map(|linted| linted.outcome.as_ref().err()).map(String::as_str).collect();
    if !problems.is_empty() {
        return Err(bad_input(problems.join("\n")));
    }
    let mut findings =
        linted.iter().filter_map(|linted| linted.outcome.as_ref().ok()).flat_map(|(_, findings)| findings);
    let fails = findings.any(|finding| finding.severity >= arguments.fail_on.severity());
    Ok(if fails { ExitCode::from(code::FINDINGS) } else { ExitCode::SUCCESS })
}

/// The path that stands for standard input.
fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// The file as messages name it.
fn shown(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// A file that has been read.
struct File {
    format: &'static Format,
    text: String,
    configuration: Configuration,
}

impl File {
    fn read(path: &Path, format: Option<&'static Format>, prefix: Option<&Prefix>) -> Result<Self> {
        let text = if is_standard_input(path) {
            standard_input()?
        } else {
            OwnFile::read(path).map_err(|error| failed(&error))?.text
        };
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            return Err(bad_input(format!(
                "failed to read the settings in `{}`: the file is empty, so that it has no setting; name one that has some",
                shown(path)
            )));
        }
        let (format, configuration) = read(path, format, &text, prefix)?;
        Ok(Self { format, text, configuration })
    }
}

/// What stands on standard input, as far as a configuration could go.
fn standard_input() -> Result<String> {
    const MOST_BYTES: u64 = 16 * 1024 * 1024;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| bad_input(format!("failed to read standard input: {error}; give it text in UTF-8")))?;
    Ok(text)
}

/// The names in a file, in the format given, or in the one of those that its name may mean that has most of them; where its
/// name means none, of all.
fn read(
    path: &Path,
    format: Option<&'static Format>,
    text: &str,
    prefix: Option<&Prefix>,
) -> Result<(&'static Format, Configuration)> {
    let shown = shown(path);
    let by_name = format.or_else(|| by_name(path));
    let mut candidates: Vec<&'static Format> = match by_name {
        Some(first) => vec![first],
        None => FORMATS.to_vec(),
    };
    if by_name.is_none() {
        candidates.sort_by_key(|format| rank(format, text));
    }
    if let (None, Some(first)) = (format, by_name) {
        let others = LIKE.iter().filter(|(name, _)| *name == first.name).flat_map(|(_, others)| *others);
        candidates.extend(others.filter_map(|name| Format::named(name).ok()));
    }
    let mut best: Option<(&'static Format, Configuration)> = None;
    let mut most = (0, false, 0);
    let (mut problem, mut nothing) = (None, None);
    for format in candidates {
        match configuration(format, text, prefix) {
            Ok(configuration) => {
                let (settings, names) = lint::names_of(format, text, &configuration);
                // Of two that have as many settings, the one that the text speaks of.
                let weight = (settings, text.contains(format.name), names);
                if settings + names == 0 {
                    nothing = nothing.or(Some(ImportError::Nothing(format.title)));
                } else if weight > most {
                    most = weight;
                    best = Some((format, configuration));
                }
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    best.ok_or_else(|| {
        if by_name.is_none() {
            return bad_input(format!(
                "failed to tell what `{shown}` is by its name, and its content has no pool's names; `pool-tune lint {} --format NAME` reads it, such as hikaricp",
                path.display()
            ));
        }
        let problem = match problem.or(nothing) {
            // The line itself may hold a password.
            Some(ImportError::Source(IntoError::Syntax { line, .. })) => {
                format!("line {line} is not understood; mend the line, then try again")
            }
            Some(error) => error.to_string(),
            None => "it has no setting".to_owned(),
        };
        bad_input(format!("failed to read the settings in `{shown}`: {problem}"))
    })
}

/// Which of two formats that read the same names in a text of no name's is the likelier, the least first.
fn rank(format: &Format, text: &str) -> u8 {
    match format.name {
        // What a shell reads is Python too.
        "env" => 0,
        // JSON is YAML and a dictionary of Python.
        "json" if text.trim_start().starts_with('{') => 0,
        "json" | "config.py" => 2,
        "config-dict" => 3,
        _ => 1,
    }
}

/// What a server allows; nothing is done there but reading.
async fn limits(target: &SecretString) -> Result<ServerLimits> {
    let server = Server::from_url(target).map_err(bad_input)?;
    let inspection = server.inspect().await?;
    Ok(ServerLimits {
        shown: server.to_string(),
        max_connections: (inspection.dialect != Dialect::Sqlite).then_some(inspection.max_connections),
        reserved: inspection.reserved,
        idle_limit: inspection.idle_limit().map(|(name, limit)| (name.to_owned(), limit)),
    })
}

/// The path from the folder that the program runs in, where the file is below it.
fn relative(path: &Path) -> String {
    if is_standard_input(path) {
        return "stdin".to_owned();
    }
    let folder = std::env::current_dir().unwrap_or_default();
    let inside = path.strip_prefix(&folder).unwrap_or(path);
    let inside = if inside.is_absolute() { inside.file_name().map_or(inside, Path::new) } else { inside };
    inside.display().to_string()
}

fn list() {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["rule", "severity", "finds"]);
    for rule in RULES {
        table.add_row([rule.id, &rule.severity.to_string(), rule.about]);
    }
    outln!("{table}");
}
