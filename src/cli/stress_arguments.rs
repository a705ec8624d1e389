#![expect(clippy::doc_markdown, reason = "these comments are the help text, shown as they stand")]

use std::{path::PathBuf, time::Duration};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueEnum, error::Error as ClapError};
use secrecy::SecretString;

use super::arguments::Results;
use crate::model::{Offered, Setting, Unit, Value};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct StressArguments {
    /// A profile's name (`pool-tune profiles` lists them) or the path of a profile's file: workload and settings
    #[arg(short, long, value_name = "NAME|FILE", default_value = "medium")]
    pub(super) profile: String,
    /// The database to load: postgres://user:password@host:port/name?sslmode=…, mysql://…, sqlite:path/to/file.db; or
    /// `postgres:private`, `mariadb:private` or `sqlite:private` for a throw-away one that the test makes and removes; or
    /// `simulation` for a database that is simulated, from what a run measured that comes
    /// with the program, `simulation:RUN` or `simulation:latest` from a run of your own, `simulation:FILE.json` from a file
    /// [default: a private PostgreSQL; SQLite where none is installed]
    #[arg(short, long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(super) target: Option<SecretString>,
    /// Whether the target stands on the command line, and not in the environment.
    #[arg(skip)]
    pub(super) target_is_flag: bool,
    /// A scenario's name or file, once or several times; `list` lists those that are built in [default: basic]
    #[arg(short, long, value_name = "NAME|FILE", conflicts_with = "full_suite")]
    pub(super) scenario: Vec<String>,
    /// Run every built-in scenario, with a verdict a piece
    #[arg(long)]
    pub(super) full_suite: bool,
    /// Workers, each with one request at a time; with --rate, most requests at once [default: the profile's]
    #[arg(short, long, value_name = "N", value_parser = workers)]
    pub(super) workers: Option<u32>,
    /// Length of a test: 60, 90s, 5m; a bare number is seconds [default: the scenario's]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// Open loop: so many requests a second, whether or not earlier ones were served
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How requests of an open loop arrive
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) arrival: Option<Arrival>,
    /// Pause between a worker's requests [default: the profile's]
    #[arg(long, value_name = "TIME", value_parser = pause)]
    pub(super) think_time: Option<Duration>,
    /// What has to hold, instead of what the scenario expects: success_rate>=0.99, p95_query<50ms; several times; `list` lists
    /// what can be measured
    #[arg(long, value_name = "CONDITION")]
    pub(super) threshold: Vec<String>,
    /// End a test as soon as one of its thresholds cannot be met any more: an upper limit of failed, errors, opened,
    /// breaker_open, recovery, restored or a max_… that was passed, or a success_rate out of reach; all others are judged at
    /// the end
    #[arg(long)]
    pub(super) abort_on_fail: bool,
    /// Stress pgbench's scripts instead of the profile's workload: FILE or FILE@WEIGHT, once or several times
    #[arg(short, long, value_name = "FILE[@WEIGHT]")]
    pub(super) file: Vec<String>,
    /// Stress a script that is built into pgbench, on tables that the test makes: tpcb-like, simple-update, select-only
    #[arg(short, long, value_name = "NAME[@WEIGHT]")]
    pub(super) builtin: Vec<String>,
    /// The scale of the scripts and of the tables of built-in ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) scale: u32,
    /// Set a variable of the scripts: rows=1000
    #[arg(short = 'D', long, value_name = "NAME=VALUE")]
    pub(super) define: Vec<String>,
    /// Seed of everything random
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Load a database although other clients are using it
    #[arg(long)]
    pub(super) yes_load_this_database: bool,
    /// Print one JSON document instead of text (schemas/stress.schema.json describes it; a suite is a list of them)
    #[arg(long)]
    pub(super) json: bool,
    /// Print the JSON Schema of that document
    #[arg(long)]
    pub(super) json_schema: bool,
    /// Write the time line to a file, a row an interval
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Write an HdrHistogram log of the response times to a file
    #[arg(long, value_name = "FILE")]
    pub(super) hdr_log: Option<PathBuf>,
    /// Write the JSON document to a file as well, for --compare and `pool-tune diagnose`
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Set the test against an earlier one: a file that --save or --json wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["full_suite", "json"])]
    pub(super) compare: Option<PathBuf>,
    /// Plain lines instead of the live display
    #[arg(long)]
    pub(super) plain: bool,
    #[command(flatten)]
    pub(super) results: Results,
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

/// How requests of an open loop arrive.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Arrival {
    /// At even distances
    Constant,
    /// At random, each independent of the others
    Poisson,
}

impl From<Arrival> for Offered {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Constant => Self::ConstantRate,
            Arrival::Poisson => Self::PoissonRate,
        }
    }
}

/// A flag for every setting, read off the table of settings.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags(pub(super) Vec<(Setting, Value)>);

fn flag(setting: Setting) -> String {
    setting.name().replace('_', "-")
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        Setting::all().fold(
            command.next_help_heading("Settings under test [default: the profile's]"),
            |command, setting| {
                let spec = setting.spec();
                let unit = match spec.unit {
                    Unit::Count => "N",
                    Unit::Seconds => "TIME",
                    Unit::Factor => "SHARE",
                    Unit::Sql => "SQL",
                };
                command.arg(
                    Arg::new(setting.name())
                        .long(flag(setting))
                        .value_name(unit)
                        .help(spec.about)
                        .value_parser(move |text: &str| value(setting, text)),
                )
            },
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        let given = |setting: Setting| matches.get_one::<Value>(setting.name()).map(|value| (setting, value.clone()));
        Ok(Self(Setting::all().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A setting's value as a flag gives it: times with or without a unit.
fn value(setting: Setting, text: &str) -> Result<Value, String> {
    let value = match setting.spec().unit {
        Unit::Seconds => Value::from_number(setting, seconds(text)?.as_secs_f64()),
        Unit::Count | Unit::Factor | Unit::Sql => Value::from_text(setting, text),
    };
    value.map_err(|error| error.to_string())
}

/// A time; a bare number is seconds, as in the tuning guide.
fn seconds(text: &str) -> Result<Duration, String> {
    let bare = text.trim().parse::<f64>().ok();
    let time = match bare {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => humantime::parse_duration(text).ok(),
    };
    time.ok_or_else(|| "expected a time such as 60, 90s, 500ms or 5m".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (shortest, longest) = (Duration::from_millis(500), Duration::from_secs(86_400));
    let time = seconds(text)?;
    if (shortest..=longest).contains(&time) { Ok(time) } else { Err("expected a time from 500ms to 24h".to_owned()) }
}

pub(super) fn pause(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| {
        if time <= Duration::from_secs(3600) { Ok(time) } else { Err("expected a time up to an hour".to_owned()) }
    })
}

fn workers(text: &str) -> Result<u32, String> {
    let most = crate::profile::MOST_WORKERS;
    text.trim().parse().ok().filter(|workers| (1..=most).contains(workers)).ok_or_else(|| {
        format!(
            "expected a whole number from 1 to {most}, the most that one program drives; a rate (--rate) needs no worker \
             for each user"
        )
    })
}

fn rate(text: &str) -> Result<f64, String> {
    let most = crate::profile::HIGHEST_RATE;
    text.trim().parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= most).ok_or_else(|| {
        format!("expected a number of requests a second above 0 and up to {most}, the most that one program offers")
    })
}
