use std::{path::Path, process::ExitCode};

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
    export::{Entry, Format, ImportError, IntoError, Prefix, entries},
    lint::{self, Circumstances, LintRule, RULES, ServerLimits},
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

/// Tells what is wrong with a configuration.
pub(super) async fn lint(arguments: &LintArguments) -> Result<ExitCode> {
    if arguments.list_rules {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let Some(path) = arguments.file.as_deref() else { return Err(bad_input("name a file")) };
    let allowed =
        arguments.allow.iter().map(|id| LintRule::named(id)).collect::<Result<Vec<_>, _>>().map_err(bad_input)?;
    let prefix = arguments.prefix.as_deref().map(Prefix::parse).transpose().map_err(bad_input)?;
    let format = arguments.format.as_deref().map(Format::named).transpose().map_err(bad_input)?;
    let file = OwnFile::read(path).map_err(|error| failed(&error))?;
    let (format, entries) = read(path, format, &file.text, prefix.as_ref())?;
    let circumstances = Circumstances {
        instances: arguments.instances,
        deadline: arguments.deadline,
        server: match &arguments.target {
            Some(target) => Some(limits(target).await?),
            None => None,
        },
    };
    let mut findings = lint::lint(format, &file.text, &entries, &circumstances);
    findings.retain(|finding| !allowed.contains(&finding.rule));
    let shown = path.display().to_string();
    match arguments.output {
        LintOutput::Text => out!("{}", lint::text(&shown, format.title, &findings)),
        LintOutput::Json => outln!("{:#}", lint::json(&shown, format.name, &findings)),
        LintOutput::Sarif => outln!("{:#}", lint::sarif(&relative(path), &findings)),
    }
    let fails = findings.iter().any(|finding| finding.severity >= arguments.fail_on.severity());
    Ok(if fails { ExitCode::from(code::FINDINGS) } else { ExitCode::SUCCESS })
}

/// The names in a file, in the format given, or in the one of those that its name may mean that has most of them.
fn read(
    path: &Path,
    format: Option<&'static Format>,
    text: &str,
    prefix: Option<&Prefix>,
) -> Result<(&'static Format, Vec<Entry>)> {
    let shown = path.display();
    let Some(first) = format.or_else(|| by_name(path)) else {
        return Err(bad_input(format!(
            "failed to tell what `{shown}` is by its name: `pool-tune lint {shown} --format NAME` reads it, such as hikaricp"
        )));
    };
    let mut candidates = vec![first];
    if format.is_none() {
        let others = LIKE.iter().filter(|(name, _)| *name == first.name).flat_map(|(_, others)| *others);
        candidates.extend(others.filter_map(|name| Format::named(name).ok()));
    }
    let mut best: Option<(&'static Format, Vec<Entry>)> = None;
    let mut problem = None;
    for format in candidates {
        match entries(format, text, prefix) {
            // Of two that have as many names, the one that the text speaks of.
            Ok(entries) => {
                let weight = |format: &Format, n: usize| (n, text.contains(format.name));
                let found = weight(format, entries.len());
                if best.as_ref().is_none_or(|(other, known)| found > weight(other, known.len())) {
                    best = Some((format, entries));
                }
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    best.ok_or_else(|| {
        let problem = match problem {
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
