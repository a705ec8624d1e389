//! Pools of Python, with tenacity and pybreaker beside them.

use crate::{
    export::{
        Absent, Bound, Convert, Field, Fields, Format, Language, Section,
        table::{absent, field, fixed, spent, unlimited},
    },
    model::Setting,
};

/// `SQLAlchemy`'s engine.
pub(super) static SQLALCHEMY: Format = Format {
    name: "sqlalchemy",
    aliases: &["create_engine"],
    title: "SQLAlchemy",
    about: "Python: keyword arguments of SQLAlchemy's create_engine",
    headline: "For create_engine(url, **engine_options); times are seconds",
    language: Language::Python,
    opening: "",
    sections: &[
        Section {
            library: "SQLAlchemy",
            path: &["engine_options"],
            opening: "engine_options = {\n",
            fields: Fields::Listed(&[
                field(Setting::MaxConnections, "pool_size", Convert::Count)
                    .default(5.0)
                    .rules(&[unlimited(Bound::NotZero, "SQLAlchemy then has no limit")])
                    .note("at most pool_size + max_overflow are open; those of the overflow are closed when they come back"),
                fixed("max_overflow", "0"),
                field(Setting::ConnectionTimeout, "pool_timeout", Convert::Seconds).default(30.0),
                field(Setting::ConnectionLifetime, "pool_recycle", Convert::WholeSeconds)
                    .default(-1.0)
                    .rules(&[spent(Bound::NotZero, "SQLAlchemy then opens a new connection for each checkout")]),
                field(
                    Setting::ValidationQuery,
                    "pool_pre_ping",
                    Convert::Validated { yes: "True", no: "False" },
                )
                .note("SQLAlchemy pings by the driver's means, not with validation_query"),
            ]),
            ..DICT
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::MinConnections, "it opens connections when they are asked for, and keeps up to pool_size"),
        absent(Setting::IdleTimeout, "it keeps idle connections; the server's idle_session_timeout can close them, with pool_pre_ping"),
        absent(Setting::HealthCheckInterval, "nothing runs in the background"),
        absent(Setting::ValidationTimeout, "set the driver's own timeout in connect_args"),
    ],
    evidence: false,
};

/// `psycopg_pool`'s pools.
pub(super) static PSYCOPG_POOL: Format = Format {
    name: "psycopg-pool",
    aliases: &["psycopg_pool", "psycopg"],
    title: "psycopg_pool",
    about: "Python: keyword arguments of psycopg_pool's ConnectionPool",
    headline: "For ConnectionPool(conninfo, **pool_options); times are seconds",
    language: Language::Python,
    opening: "from psycopg_pool import ConnectionPool\n\n",
    sections: &[
        Section {
            library: "psycopg_pool",
            path: &["pool_options"],
            opening: "pool_options = {\n",
            fields: Fields::Listed(&[
                PSYCOPG[0],
                PSYCOPG[1],
                PSYCOPG[2],
                PSYCOPG[3],
                PSYCOPG[4],
                field(
                    Setting::ValidationQuery,
                    "check",
                    Convert::Validated { yes: "ConnectionPool.check_connection", no: "None" },
                )
                .note("check_connection sends an empty statement, not validation_query"),
            ]),
            ..DICT
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: PSYCOPG_ABSENT,
    evidence: false,
};

/// Django's `DATABASES`.
pub(super) static DJANGO: Format = Format {
    name: "django",
    aliases: &[],
    title: "Django",
    about: "Python: DATABASES in settings.py, Django 5.1 and later with PostgreSQL",
    headline: "In settings.py, beside NAME, USER, PASSWORD and HOST; Django 5.1 or later with psycopg[pool]; times are seconds",
    language: Language::Python,
    opening: "DATABASES = {\n    'default': {\n",
    sections: &[
        Section {
            library: "Django",
            path: &["DATABASES", "default"],
            line: "        '{name}': {value},",
            closing: "",
            fields: Fields::Listed(&[
                fixed("ENGINE", "'django.db.backends.postgresql'"),
                fixed("CONN_MAX_AGE", "0").note("the pool keeps connections; Django refuses to keep them as well"),
                field(Setting::ValidationQuery, "CONN_HEALTH_CHECKS", Convert::Validated { yes: "True", no: "False" })
                    .note(
                        "the pool then sends an empty statement before it hands a connection out, not validation_query",
                    ),
            ]),
            ..DICT
        },
        Section {
            library: "psycopg_pool",
            path: &["DATABASES", "default", "OPTIONS", "pool"],
            opening: "        'OPTIONS': {\n            'pool': {\n",
            line: "                '{name}': {value},",
            closing: "            },\n        },\n    },\n}\n",
            fields: Fields::Listed(PSYCOPG),
            ..DICT
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: PSYCOPG_ABSENT,
    evidence: false,
};

/// asyncpg's pools.
pub(super) static ASYNCPG: Format = Format {
    name: "asyncpg",
    aliases: &[],
    title: "asyncpg",
    about: "Python: keyword arguments of asyncpg's create_pool",
    headline: "For asyncpg.create_pool(dsn, **pool_options) and pool.acquire(**acquire_options); times are seconds",
    language: Language::Python,
    opening: "",
    sections: &[
        Section {
            library: "asyncpg",
            path: &["pool_options"],
            opening: "pool_options = {\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min_size", Convert::Count).default(10.0),
                field(Setting::MaxConnections, "max_size", Convert::Count).default(10.0),
                field(Setting::IdleTimeout, "max_inactive_connection_lifetime", Convert::Seconds)
                    .default(300.0)
                    .rules(&[unlimited(Bound::NotZero, "asyncpg then keeps idle connections for ever")])
                    .note("asyncpg closes idle connections below min_size too"),
            ]),
            ..DICT
        },
        Section {
            library: "asyncpg",
            path: &["acquire_options"],
            opening: "\nacquire_options = {\n",
            fields: Fields::Listed(&[field(Setting::ConnectionTimeout, "timeout", Convert::Seconds)]),
            ..DICT
        },
        Section { closing: retrying!("AsyncRetrying", "async for attempt in retrying():"), ..RETRY },
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::ConnectionLifetime, "its max_queries counts statements, not age"),
        absent(Setting::HealthCheckInterval, "nothing is validated in the background"),
        absent(Setting::ValidationQuery, "it hands connections out unchecked"),
        absent(Setting::ValidationTimeout, "it hands connections out unchecked"),
    ],
    evidence: false,
};

const PSYCOPG: &[Field] = &[
    field(Setting::MinConnections, "min_size", Convert::Count).default(4.0),
    field(Setting::MaxConnections, "max_size", Convert::Count),
    field(Setting::ConnectionTimeout, "timeout", Convert::Seconds).default(30.0),
    field(Setting::ConnectionLifetime, "max_lifetime", Convert::Seconds)
        .default(3600.0)
        .note("psycopg_pool shortens each connection's life by up to 5 %, so that they do not end together"),
    field(Setting::IdleTimeout, "max_idle", Convert::Seconds).default(600.0),
];

const PSYCOPG_ABSENT: &[Absent] = &[
    absent(Setting::HealthCheckInterval, "call the pool's check() as often as that"),
    absent(Setting::ValidationTimeout, "set tcp_user_timeout in conninfo"),
];

/// A dictionary.
const DICT: Section = Section {
    library: "",
    heading: "",
    path: &[],
    opening: "",
    line: "    '{name}': {value},",
    between: "\n",
    closing: "}\n",
    commented: false,
    fields: Fields::Listed(&[]),
};

/// tenacity has no jitter that grows with the delay, so its wait is a function.
macro_rules! retrying {
    ($class:literal, $usage:literal) => {
        concat!(
            "}\n\n\ndef retrying(retry_on=Exception):\n",
            "    \"\"\"`",
            $usage,
            "`, or `@retrying(…).wraps`; name the errors that are worth another try.\"\"\"\n",
            "    import random\n\n",
            "    from tenacity import ",
            $class,
            ", retry_if_exception_type, stop_after_attempt\n\n",
            "    def wait(state):\n",
            "        delay = retry_options['initial_delay'] * 2 ** (state.attempt_number - 1)\n",
            "        jitter = 1 + retry_options['jitter_factor'] * random.uniform(-1, 1)\n",
            "        return min(delay, retry_options['max_delay']) * jitter\n\n",
            "    return ",
            $class,
            "(\n",
            "        stop=stop_after_attempt(retry_options['attempts']),\n",
            "        wait=wait,\n",
            "        retry=retry_if_exception_type(retry_on),\n",
            "        reraise=True,\n",
            "    )\n"
        )
    };
}
use retrying;

const RETRY: Section = Section {
    library: "tenacity",
    heading: "Retries are tenacity's",
    path: &["retry_options"],
    opening: "retry_options = {\n",
    closing: retrying!("Retrying", "for attempt in retrying():"),
    fields: Fields::Listed(&[
        field(Setting::RetryAttempts, "attempts", Convert::TotalAttempts).note("attempts count the first try"),
        field(Setting::InitialRetryDelay, "initial_delay", Convert::Seconds),
        field(Setting::MaxRetryDelay, "max_delay", Convert::Seconds),
        field(Setting::RetryJitterFactor, "jitter_factor", Convert::Factor),
    ]),
    ..DICT
};

const BREAKER: Section = Section {
    library: "pybreaker",
    heading: "The circuit breaker is pybreaker's: pybreaker.CircuitBreaker(**breaker_options)",
    path: &["breaker_options"],
    opening: "breaker_options = {\n",
    fields: Fields::Listed(&[
        field(Setting::CircuitBreakerThreshold, "fail_max", Convert::Count).default(5.0),
        field(Setting::CircuitBreakerTimeout, "reset_timeout", Convert::Seconds).default(60.0),
        field(Setting::CircuitBreakerReset, "success_threshold", Convert::Count).default(1.0),
    ]),
    ..DICT
};
