#![expect(clippy::doc_markdown, reason = "these comments are the help text, shown as they stand")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

use super::{
    alerts::AlertsArguments,
    experiment_arguments::{ExperimentArguments, ScheduleArguments},
    lint_arguments::LintArguments,
    monitor_arguments::{MonitorArguments, MonitoringArguments},
    rollout_arguments::RolloutArguments,
    serve_arguments::ServeArguments,
    store_arguments::StoreArguments,
    stress_arguments::StressArguments,
};

/// Measures a database connection pool under load and recommends its settings, with evidence
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit codes:
  0    done; for `run`: there is an answer (better settings, or: keep what you have)
  1    something else failed
  2    the command line, a profile or a workload's SQL is wrong
  3    the database (or the program or service in its place) cannot be reached or used, or failed and did not come back
  4    the target must not be loaded as planned (others use it, too few connections)
  5    no settings in the range keep the limits
  6    results cannot be written or read
  7    another run is under way
  8    a stress test missed a threshold
  9    `export --check`: the file does not hold the run's settings; `rollout`: it holds others than the run was made with
  10   `lint`, `monitor`: there are findings at or above --fail-on (for `monitor`: at its end)
  11   an experiment's window is closed: its next start goes on with the run
  12   a rollout went back, or did not begin: the settings that were in use are (0 where --back asked for that)
  130  interrupted; `pool-tune run --resume` (or `rollout --resume`) goes on"
)]
pub(super) struct Arguments {
    /// Say only errors and the answer
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more (-vv: much more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// How log lines on standard error look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tune: baseline, search, verification, recommended settings
    Run(RunArguments),
    /// Stress the pool: one test or the full suite, with faults, thresholds and a verdict
    Stress(Box<StressArguments>),
    /// Simulate hours of operation on what a run has measured, without a database; two settings side by side
    ///
    /// At most as many requests are under way at once as the run had workers (64 at least); the others queue, and their
    /// waiting counts.
    Simulate(Box<SimulateArguments>),
    /// Tell what the figures of a run or of a stress test point to, and what to change
    Diagnose(DiagnoseArguments),
    /// Print the recommended settings of a run as config.py or for another pool, or put them into a file of yours
    ///
    /// With --into, the values that the run changed are changed where they stand in a .py, .env, .toml or .yaml file, and nothing else
    /// is: constants and class attributes with the prefix, also as the default of os.getenv, and the guide's names in dictionaries.
    /// Those of them that the file has not are added in one marked block. Where the file has another value than the run for what
    /// the run kept, you are told; --all writes and adds every setting, as happens by itself with an empty file. The old file is kept beside it as FILE.bak. A file in which a name is defined twice, or as
    /// something that is no plain value, is left as it is.
    ///
    /// Names and units are the pool's own. Settings that it does not have go to a library beside it, or are named in a comment;
    /// values that it would silently change are refused.
    Export(ExportArguments),
    /// Write a run's page with charts again, or print its summary
    Report(ReportArguments),
    /// Set two runs side by side
    ///
    /// Verdicts, figures with intervals, settings that differ, and what makes the comparison mean little.
    Compare(CompareArguments),
    /// Watch a live database and an application's pool, without loading them, and tell what they point to
    ///
    /// One connection of its own, read-only and with a statement timeout, and one request for metrics a reading. Findings are told
    /// when they begin, with evidence and what to do, and when they end. A source that is down is told once, asked again ever
    /// more seldom (up to a minute), and told when it is back; one that was never read gives exit code 3. Ctrl-C ends it.
    Monitor(MonitorArguments),
    /// Write the monitoring kit of a run: Prometheus rules with unit tests, a Grafana dashboard, a runbook
    ///
    /// Thresholds are what the run has verified. Recording rules give the figures of each library one name; alerts and dashboard
    /// are made of those. `promtool test rules rules_test.yaml` runs the tests.
    Monitoring(MonitoringArguments),
    /// Print the settings in a configuration of yours as `settings:` of a profile
    ///
    /// Every format of `export --format list` is read. What means something else there, such as a 0 for ever, is told in a
    /// comment and left out.
    Import(ImportArguments),
    /// Tell what is wrong with a configuration of yours, without a trial
    ///
    /// Values that the pool refuses, silently replaces or takes for something else, names that it does not have, settings that work
    /// against each other, lifetimes that end together, fleets larger than their server, retries and circuit breakers that make an
    /// outage worse. Values are read, never printed unless they are numbers of the pool. Ends with code 10 where there are findings
    /// at or above --fail-on, and with 2 where a file cannot be read.
    Lint(LintArguments),
    /// Bring a run's settings into use by stages, watched by gates, and back when one fails
    ///
    /// Each stage of the plan is applied by a command of yours (or by changing a file) and watched for a time: queries to Prometheus, or
    /// the monitor. While all gates hold it goes forward, else back to the settings that were in use. It stands in the store before
    /// anything is applied, so that whatever is cut off can be resumed or taken back; a command may then be called twice for a stage
    /// and has to do the same both times. Nothing else in pool-tune applies settings to anything.
    Rollout(RolloutArguments),
    /// List runs, newest first
    Runs(RunsArguments),
    /// Tell one run
    Show(ShowArguments),
    /// Tell when experiments are due, or write what systemd or cron need to start them
    ///
    /// Shown are the next five times of each, its window, and what became of its last round.
    Schedule(ScheduleArguments),
    /// Run experiments on their schedules, and show what is known of them on a page, an API and as metrics
    ///
    /// Experiments are the YAML files of a folder; they run one after the other, each within its window, and what is under way when the
    /// service ends goes on at its next start. Settings are proposed and applied to nothing. GET / is a page for people, /api for
    /// programs (described at /api/openapi.json), /metrics for Prometheus. Whatever changes something needs a token; without one
    /// the service is read-only, and listens on this machine alone. Ctrl-C or SIGTERM ends it.
    Serve(ServeArguments),
    /// Tell what alerts the service could not deliver, send them again, or try its webhooks
    Alerts(AlertsArguments),
    /// Tell what the store of runs holds, back it up, or remove old runs
    Store(StoreArguments),
    /// List, check, print or write profiles
    Profiles(ProfilesArguments),
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// A profile's name (`pool-tune profiles` lists them) or the path of a profile's file [default: medium]
    #[arg(short, long, value_name = "NAME|FILE", conflicts_with = "resume")]
    pub(super) profile: Option<String>,
    #[command(flatten)]
    pub(super) experiment: ExperimentArguments,
    /// The database to load: postgres://user:password@host:port/name?sslmode=…, mysql://…, sqlite:path/to/file.db;
    /// `postgres:private`, `mariadb:private` or `sqlite:private` for a throw-away one that the run makes and removes;
    /// `simulation` for a database that is simulated, from what a run measured that comes
    /// with the program, `simulation:RUN` or `simulation:latest` from a run of your own, `simulation:FILE.json` from a file;
    /// `command:./bench.sh --max {max_connections}` for a program of yours that measures (see README);
    /// or `simulated` for a formula in place of all that [default: the profile's `target`; a private PostgreSQL where it has
    /// none; SQLite where none is installed]
    #[arg(short, long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(super) target: Option<SecretString>,
    /// Whether the target stands on the command line, and not in the environment.
    #[arg(skip)]
    pub(super) target_is_flag: bool,
    /// Take the settings in use from this configuration, as `pool-tune import` reads it [default: the profile's]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(super) baseline: Option<PathBuf>,
    /// Hold a setting at a value: max_connections=20
    #[arg(long, value_name = "SETTING=VALUE", conflicts_with = "resume")]
    pub(super) pin: Vec<String>,
    /// Search a setting in another range: max_connections=10..60
    #[arg(long, value_name = "SETTING=LOW..HIGH", conflicts_with = "resume")]
    pub(super) range: Vec<String>,
    /// Seed of everything random; a run prints its own
    #[arg(long, conflicts_with = "resume")]
    pub(super) seed: Option<u64>,
    /// Most trials of the search [default: the profile's]
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = clap::value_parser!(u32).range(4..=500))]
    pub(super) trials: Option<u32>,
    /// Most pairs of trials of the verification, at least 6; an odd number is rounded up. It looks after half of them too, and
    /// stops there when the result is clear [default: the profile's]
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = clap::value_parser!(u32).range(6..=200))]
    pub(super) pairs: Option<u32>,
    /// Pools that share the database, as many as instances of the application run: trials open as many, each with the settings
    /// tried, and the range of max_connections is cut to what the server allows them together [default: the profile's, or 1]
    #[arg(long, value_name = "N", conflicts_with = "resume", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) instances: Option<u32>,
    /// Go on with an interrupted run: its id, or `latest`
    #[arg(long, value_name = "RUN")]
    pub(super) resume: Option<String>,
    /// Load a database although other clients are using it
    #[arg(long)]
    pub(super) yes_load_this_database: bool,
    /// Prefix of the names in config.py
    #[arg(long, default_value = "SUPABASE")]
    pub(super) prefix: String,
    /// The run's id, the name of its folder [default: made of the time and the profile]
    #[arg(long, value_name = "ID", conflicts_with = "resume")]
    pub(super) name: Option<String>,
    /// Print one JSON document with the answer, instead of text
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct Results {
    /// The folder that holds all runs
    #[arg(long, value_name = "FOLDER", default_value = "results", env = "POOL_TUNE_RESULTS")]
    pub(super) results: PathBuf,
    /// Keep runs on this PostgreSQL, which several machines may share, in its schema `pool_tune`: postgres://user:password@host/name;
    /// files still go to the results folder. `sqlite:FILE` reads a backup [default: pool-tune.db in the results folder]
    #[arg(long, value_name = "URL", env = "POOL_TUNE_STORE", hide_env_values = true)]
    pub(super) store: Option<SecretString>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The run's id, or `latest`
    #[arg(default_value = "latest")]
    pub(super) run: String,
    /// The format, such as hikaricp, sqlalchemy, pgbouncer or json; `list` shows all, with what they are for
    #[arg(short, long, value_name = "NAME", default_value = "config.py")]
    pub(super) format: String,
    /// Prefix of the names in config.py and env [default: the run's]
    #[arg(long)]
    pub(super) prefix: Option<String>,
    /// Change the values in this file: a .py, .env, .toml or .yaml
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub(super) into: Option<PathBuf>,
    /// With --into: change nothing, and end with code 9 when the file differs
    #[arg(long, requires = "into")]
    pub(super) check: bool,
    /// With --into: change nothing, and print what would change as a unified diff
    #[arg(long, requires = "into")]
    pub(super) diff: bool,
    /// With --into: write every setting, also those that the run kept, and add what the file has not
    #[arg(long, requires = "into")]
    pub(super) all: bool,
    /// With --into: change only what stands in the class, dictionary, table or mapping of this name (also database.pool)
    #[arg(long, value_name = "NAME", requires = "into")]
    pub(super) within: Option<String>,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The run's id, or `latest`
    #[arg(default_value = "latest")]
    pub(super) run: String,
    /// What to make
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Html)]
    pub(super) format: ReportFormat,
    /// Where to write it; `-` is standard output [default: report.html in the run's folder, standard output for md]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) results: Results,
}

/// What a report is made as.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ReportFormat {
    /// One page with charts, which needs no network and can be printed
    Html,
    /// The summary in Markdown, for a pull request
    Md,
}

#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// A run's id, or `latest`
    #[arg(value_name = "RUN")]
    pub(super) one: String,
    /// The run to set beside it
    #[arg(value_name = "RUN")]
    pub(super) other: String,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Its format [default: by its name; .properties is hikaricp, .ini is pgbouncer]
    #[arg(short, long, value_name = "NAME")]
    pub(super) format: Option<String>,
    /// Prefix of the names in config.py and env [default: the most common one in the file]
    #[arg(long)]
    pub(super) prefix: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DiagnoseArguments {
    /// A run's id, `latest`, or a file that `pool-tune stress --json` wrote
    #[arg(default_value = "latest", value_name = "RUN|FILE")]
    pub(super) what: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArguments {
    /// The run whose trials say how the database behaves: its id, or `latest` [default: the latest that has finished on a
    /// database; where there is none, a run that comes with the program]
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Take a file instead of a run: the `calibration.json` of a run
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub(super) calibration: Option<PathBuf>,
    /// Take the settings in use of a profile [default: those of the run]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub(super) profile: Option<String>,
    /// Change a setting: idle_timeout=180
    #[arg(long, value_name = "SETTING=VALUE")]
    pub(super) set: Vec<String>,
    /// Set other settings beside, which differ by these: connection_lifetime=3600
    #[arg(long, value_name = "SETTING=VALUE")]
    pub(super) vs: Vec<String>,
    /// Hours of operation
    #[arg(long, default_value_t = 24.0)]
    pub(super) hours: f64,
    /// How requests are spread over the hours [default: as the profile's `day` says, diurnal without a word]
    #[arg(long, value_enum)]
    pub(super) load: Option<LoadShape>,
    /// Requests a second at the highest [default: half of the best that the run has measured]
    #[arg(long, value_name = "RATE")]
    pub(super) peak: Option<f64>,
    /// Requests a minute from a file with lines `minute,requests`, begun anew at its end
    #[arg(long, value_name = "FILE", conflicts_with = "load")]
    pub(super) requests: Option<PathBuf>,
    /// Restarts of the server a day, 5 s each [default: one a week]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) restarts: Option<f64>,
    /// Take-overs by another server a day, 90 s each [default: one in 30 days]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) failovers: Option<f64>,
    /// Times a day that the network is slow: 50 ms more each way, once a request, for 30 s [default: 1]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) brown_outs: Option<f64>,
    /// Times a day that packets are lost: one round trip in fifty is late by 200 ms, for 30 s [default: 1]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) packet_loss: Option<f64>,
    /// Times a day that three in ten connections are reset [default: 2]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) resets: Option<f64>,
    /// Times a day that a client keeps three connections for ten minutes [default: 0]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) leaks: Option<f64>,
    /// How long a connection may be idle before a firewall drops it silently: 350s [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = super::stress_arguments::pause)]
    pub(super) idle_limit: Option<std::time::Duration>,
    /// Simulations of each, whose incidents fall on other times; two or more have intervals
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) replications: u32,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

/// How requests are spread over the hours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LoadShape {
    /// As many all the time
    Flat,
    /// Fewest at five in the morning, most at five in the afternoon
    Diurnal,
    /// Office hours with a burst every hour, five days of seven
    Business,
}

#[derive(Debug, Args)]
pub(super) struct RunsArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The run's id, or `latest`
    #[arg(default_value = "latest")]
    pub(super) run: String,
    /// Print JSON, every trial's measurement included
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Debug, Args)]
pub(super) struct ProfilesArguments {
    #[command(subcommand)]
    pub(super) action: Option<ProfilesAction>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ProfilesAction {
    /// List the built-in profiles and those in ./profiles
    List,
    /// Check profiles, without any database
    Check {
        /// The profiles' files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print a profile, to start one's own from
    Show {
        /// A built-in profile's name, or a file
        #[arg(value_name = "NAME|FILE")]
        profile: String,
    },
    /// Write a profile from pgbench's scripts
    ///
    /// Read are SQL that ends with `;`, `BEGIN; … END;`, `\set` with arithmetic, `random` and `random_zipfian`, and
    /// `\sleep` as the last line. What a profile cannot say is refused with its line.
    FromScript(FromScriptArguments),
    /// Write a profile from the statements that a PostgreSQL has counted (pg_stat_statements)
    ///
    /// The read-only statements become operations, weighted by their calls; the others are listed as comments. Nothing
    /// of them is executed: the server only prepares and plans them.
    FromDatabase(FromDatabaseArguments),
}

#[derive(Debug, Args)]
pub(super) struct FromScriptArguments {
    /// Scripts, each with its share of requests: read.sql@9 write.sql@1
    #[arg(value_name = "FILE[@WEIGHT]", required_unless_present = "builtin")]
    pub(super) files: Vec<String>,
    /// One of pgbench's built-in scripts, with its tables: tpcb-like, simple-update, select-only
    #[arg(short, long, value_name = "NAME[@WEIGHT]")]
    pub(super) builtin: Vec<String>,
    /// The value of a variable of the scripts
    #[arg(short = 'D', long, value_name = "NAME=VALUE")]
    pub(super) define: Vec<String>,
    /// The value of `:scale`, and the size of pgbench's tables: 100000 accounts for each
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) scale: u32,
    /// Have the profile make pgbench's tables, also for scripts of one's own
    #[arg(long)]
    pub(super) pgbench_tables: bool,
    #[command(flatten)]
    pub(super) written: WrittenArguments,
}

#[derive(Debug, Args)]
pub(super) struct FromDatabaseArguments {
    /// The database whose statements are read: postgres://user:password@host:port/name?sslmode=…
    #[arg(short, long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(super) target: SecretString,
    /// Most statements, read-only or not
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) top: u32,
    /// What the top statements have most of
    #[arg(long, value_enum, default_value_t = TopBy::Calls)]
    pub(super) by: TopBy,
    #[command(flatten)]
    pub(super) written: WrittenArguments,
}

/// What makes a statement a top one.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum TopBy {
    /// Calls
    Calls,
    /// Time spent in them
    Time,
}

/// What holds for every profile that is written.
#[derive(Debug, Args)]
pub(super) struct WrittenArguments {
    /// Concurrent workers of the profile
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) workers: u32,
    /// Write the profile to a file, which must not be there yet [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write over the file that is there
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}
