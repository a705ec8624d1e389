//! Pools of Rust, with backon and failsafe beside them.

use crate::{
    export::{
        Convert, Fields, Format, Language, Section,
        table::{absent, field, fixed},
    },
    model::Setting,
};

/// sqlx.
pub(super) static SQLX: Format = Format {
    name: "sqlx",
    aliases: &["pooloptions"],
    title: "sqlx",
    about: "Rust: sqlx's PoolOptions",
    headline: "For pool_options().connect(url); needs the crates sqlx, backon and failsafe",
    language: Language::Rust,
    opening: OPENING,
    sections: &[
        Section {
            library: "sqlx",
            heading: "The pool's options, for any database of sqlx.",
            path: &["pool_options"],
            opening: "pub fn pool_options<DB: sqlx::Database>() -> sqlx::pool::PoolOptions<DB> {\n    sqlx::pool::PoolOptions::new()\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min_connections", Convert::Count).default(0.0),
                field(Setting::MaxConnections, "max_connections", Convert::Count).default(10.0),
                field(Setting::ConnectionTimeout, "acquire_timeout", Convert::Time).default(30.0),
                field(Setting::ConnectionLifetime, "max_lifetime", Convert::Time)
                    .default(1800.0)
                    .note("without jitter: connections that were opened together are closed together"),
                field(Setting::IdleTimeout, "idle_timeout", Convert::Time)
                    .default(600.0)
                    .note("sqlx hands out first what was unused for longest, so that under load hardly one is idle for that long"),
                field(Setting::ValidationQuery, "test_before_acquire", Convert::Validated { yes: "true", no: "false" })
                    .note("sqlx pings by the protocol's means, not with validation_query"),
            ]),
            ..BUILDER
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::HealthCheckInterval, "sqlx closes what is too old or idle in the background, and validates nothing"),
        absent(Setting::ValidationTimeout, "acquire_timeout limits the ping too"),
        JITTER,
        RESET,
    ],
    evidence: false,
};

/// deadpool.
pub(super) static DEADPOOL: Format = Format {
    name: "deadpool",
    aliases: &[],
    title: "deadpool",
    about: "Rust: deadpool's PoolConfig, for any of its managers",
    headline: "For Pool::builder(manager).config(pool_config()); needs the crates deadpool, backon and failsafe",
    language: Language::Rust,
    opening: OPENING,
    sections: &[
        Section {
            library: "deadpool",
            heading: "The pool's configuration.",
            path: &["pool_config"],
            opening: "pub fn pool_config() -> deadpool::managed::PoolConfig {\n    deadpool::managed::PoolConfig {\n",
            line: "        {name}: {value},",
            closing: "        timeouts: timeouts(),\n    }\n}\n",
            fields: Fields::Listed(&[
                field(Setting::MaxConnections, "max_size", Convert::Count),
                fixed("queue_mode", "deadpool::managed::QueueMode::Lifo").note(LIFO),
            ]),
            ..BUILDER
        },
        Section {
            library: "deadpool",
            heading: "How long a request waits for a place, for opening and for validating: each of them alone.",
            path: &["timeouts"],
            opening: "pub fn timeouts() -> deadpool::managed::Timeouts {\n    deadpool::managed::Timeouts {\n",
            line: "        {name}: Some({value}),",
            closing: "    }\n}\n",
            fields: Fields::Listed(&[
                field(Setting::ConnectionTimeout, "wait", Convert::Time),
                field(Setting::ConnectionTimeout, "create", Convert::Time),
                field(Setting::ValidationTimeout, "recycle", Convert::Time),
            ]),
            ..BUILDER
        },
        Section {
            library: "deadpool",
            heading: "deadpool closes nothing by itself. Have a task do it every HEALTH_CHECK_INTERVAL:\n\
                      pool.retain(|_, metrics| is_kept(&metrics))",
            path: &[],
            opening: "",
            line: "pub const {name}: Duration = {value};",
            closing: "\npub fn is_kept(metrics: &deadpool::managed::Metrics) -> bool {\n    \
                      metrics.age() < CONNECTION_LIFETIME && metrics.last_used() < IDLE_TIMEOUT\n}\n",
            fields: Fields::Listed(&[
                field(Setting::ConnectionLifetime, "CONNECTION_LIFETIME", Convert::Time),
                field(Setting::IdleTimeout, "IDLE_TIMEOUT", Convert::Time),
                field(Setting::HealthCheckInterval, "HEALTH_CHECK_INTERVAL", Convert::Time)
                    .note("idle connections are not validated then; deadpool does it when it hands one out"),
            ]),
            ..BUILDER
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::MinConnections, "deadpool opens connections when they are asked for"),
        absent(
            Setting::ValidationQuery,
            "it is the manager's; deadpool-postgres: RecyclingMethod::Custom, or Fast for none",
        ),
        JITTER,
        RESET,
    ],
    evidence: false,
};

/// bb8.
pub(super) static BB8: Format = Format {
    name: "bb8",
    aliases: &[],
    title: "bb8",
    about: "Rust: bb8's Builder",
    headline: "For pool_builder().build(manager); needs the crates bb8, backon and failsafe",
    language: Language::Rust,
    opening: OPENING,
    sections: &[
        Section {
            library: "bb8",
            heading: "The pool's builder, for any manager.",
            path: &["pool_builder"],
            opening: "pub fn pool_builder<M: bb8::ManageConnection>() -> bb8::Builder<M> {\n    bb8::Pool::builder()\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min_idle", Convert::Count)
                    .note("so many are kept idle beside those in use, up to max_size"),
                field(Setting::MaxConnections, "max_size", Convert::Count).default(10.0),
                field(Setting::ConnectionTimeout, "connection_timeout", Convert::Time).default(30.0),
                field(Setting::ConnectionLifetime, "max_lifetime", Convert::Time)
                    .default(1800.0)
                    .note("without jitter: connections that were opened together are closed together"),
                field(Setting::IdleTimeout, "idle_timeout", Convert::Time).default(600.0),
                fixed("queue_strategy", "bb8::QueueStrategy::Lifo").note(LIFO),
                field(Setting::ValidationQuery, "test_on_check_out", Convert::Validated { yes: "true", no: "false" })
                    .note("the manager says how it validates"),
            ]),
            ..BUILDER
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::HealthCheckInterval, "reaper_rate closes what is too old or idle, and validates nothing"),
        absent(Setting::ValidationTimeout, "connection_timeout limits the validation too"),
        JITTER,
        RESET,
    ],
    evidence: false,
};

const LIFO: &str =
    "what was used last is handed out first, as in the trials: otherwise load keeps every connection from being idle";
const OPENING: &str = "use std::time::Duration;\n\n";
const JITTER: crate::export::Absent =
    absent(Setting::RetryJitterFactor, "backon's jitter adds up to a whole delay, whatever the factor");
const RESET: crate::export::Absent =
    absent(Setting::CircuitBreakerReset, "failsafe closes the circuit after one success");

/// A chain of setters as a function's value.
const BUILDER: Section = Section {
    library: "",
    heading: "",
    path: &[],
    opening: "",
    line: "        .{name}({value})",
    between: "\n",
    closing: "}\n",
    commented: false,
    fields: Fields::Listed(&[]),
};

const RETRY: Section = Section {
    library: "backon",
    heading: "Retries are backon's: (|| work()).retry(retries()).",
    path: &["retries"],
    opening: "pub fn retries() -> backon::ExponentialBuilder {\n    backon::ExponentialBuilder::new()\n",
    fields: Fields::Listed(&[
        field(Setting::RetryAttempts, "with_max_times", Convert::Count).default(3.0),
        field(Setting::InitialRetryDelay, "with_min_delay", Convert::Time).default(1.0),
        fixed("with_factor", "2.0"),
        field(Setting::MaxRetryDelay, "with_max_delay", Convert::Time).default(60.0),
    ]),
    ..BUILDER
};

const BREAKER: Section = Section {
    library: "failsafe",
    heading: "The circuit breaker is failsafe's: failsafe::Config::new().failure_policy(breaker()).build().",
    path: &["breaker"],
    opening: "pub fn breaker() -> failsafe::failure_policy::ConsecutiveFailures<failsafe::backoff::Constant> {\n",
    line: "    let {name} = {value};",
    closing: "    failsafe::failure_policy::consecutive_failures(threshold, failsafe::backoff::constant(timeout))\n}\n",
    fields: Fields::Listed(&[
        field(Setting::CircuitBreakerThreshold, "threshold", Convert::Count),
        field(Setting::CircuitBreakerTimeout, "timeout", Convert::Time),
    ]),
    ..BUILDER
};
