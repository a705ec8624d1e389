//! Pools of Go, with backoff and gobreaker beside them.

use crate::{
    export::{
        Bound, Convert, Fields, Format, Language, Section,
        table::{absent, field, fixed, other, refused, spent, unlimited},
    },
    model::Setting,
};

/// database/sql.
pub(super) static DATABASE_SQL: Format = Format {
    name: "database-sql",
    aliases: &["database/sql", "go", "golang"],
    title: "database/sql",
    about: "Go: setters of sql.DB",
    headline: "pool.go: call pool.Apply(db) after sql.Open",
    language: Language::Go,
    opening: "package pool\n\nimport (\n\t\"database/sql\"\n\t\"time\"\n)\n\n",
    sections: &[
        Section {
            library: "database/sql",
            heading: "Apply sets the pool's limits.",
            path: &["Apply"],
            opening: "func Apply(db *sql.DB) {\n",
            line: "\tdb.{name}({value})",
            closing: "}\n",
            fields: Fields::Listed(&[
                field(Setting::MaxConnections, "SetMaxOpenConns", Convert::Count)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "database/sql then has no limit")]),
                field(Setting::MaxConnections, "SetMaxIdleConns", Convert::Count)
                    .default(2.0)
                    .rules(&[spent(Bound::NotZero, "database/sql then keeps no connection")])
                    .note("by default all but two are closed as soon as they come back"),
                field(Setting::ConnectionLifetime, "SetConnMaxLifetime", Convert::Time)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "database/sql then never closes a connection for its age")]),
                field(Setting::IdleTimeout, "SetConnMaxIdleTime", Convert::Time)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "database/sql then keeps idle connections for ever")]),
            ]),
            ..CONSTANTS
        },
        CONTEXT,
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::MinConnections, "SetMaxIdleConns is a cap, not a floor"),
        absent(Setting::HealthCheckInterval, "nothing is validated in the background"),
        absent(Setting::ValidationQuery, "the driver checks a connection before it is used again, by its own means"),
        absent(Setting::ValidationTimeout, "the driver checks a connection before it is used again, by its own means"),
    ],
    evidence: false,
};

/// pgxpool.
pub(super) static PGXPOOL: Format = Format {
    name: "pgxpool",
    aliases: &["pgx"],
    title: "pgxpool",
    about: "Go: pgxpool's Config",
    headline: "pool.go: call pool.Apply(config) between pgxpool.ParseConfig and pgxpool.NewWithConfig",
    language: Language::Go,
    opening: "package pool\n\nimport (\n\t\"time\"\n\n\t\"github.com/jackc/pgx/v5/pgxpool\"\n)\n\n",
    sections: &[
        Section {
            library: "pgxpool",
            heading: "Apply sets the pool's limits.",
            path: &["Config"],
            opening: "func Apply(config *pgxpool.Config) {\n",
            line: "\tconfig.{name} = {value}",
            closing: "}\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "MinConns", Convert::Count).default(0.0),
                field(Setting::MaxConnections, "MaxConns", Convert::Count)
                    .default(4.0)
                    .rules(&[refused(Bound::AtLeast(1.0), "pgxpool refuses a pool without connections")]),
                field(Setting::ConnectionLifetime, "MaxConnLifetime", Convert::Time).default(3600.0),
                field(Setting::IdleTimeout, "MaxConnIdleTime", Convert::Time).default(1800.0),
                field(Setting::HealthCheckInterval, "HealthCheckPeriod", Convert::Time).default(60.0).note(
                    "pgxpool then closes what is too old or idle and opens what is missing; it validates nothing",
                ),
                other("MaxConnLifetimeJitter", Convert::Time),
            ]),
            ..CONSTANTS
        },
        CONTEXT,
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::ValidationQuery, "pgxpool pings a connection that was unused for a second"),
        absent(Setting::ValidationTimeout, "the context of Acquire limits that ping"),
    ],
    evidence: false,
};

/// Constants of Go.
const CONSTANTS: Section = Section {
    library: "",
    heading: "",
    path: &[],
    opening: "",
    line: "const {name} = {value}",
    between: "\n",
    closing: "",
    commented: false,
    fields: Fields::Listed(&[]),
};

const CONTEXT: Section = Section {
    library: "context",
    heading: "ConnectionTimeout is for context.WithTimeout around taking a connection (db.Conn, pool.Acquire): the pool itself\n\
              waits as long as its context.",
    fields: Fields::Listed(&[field(Setting::ConnectionTimeout, "ConnectionTimeout", Convert::Time)]),
    ..CONSTANTS
};

const RETRY: Section = Section {
    library: "github.com/cenkalti/backoff/v5",
    heading: "Retries are backoff's: backoff.WithMaxTries(RetryMaxTries), the others are backoff.ExponentialBackOff's fields.",
    fields: Fields::Listed(&[
        field(Setting::RetryAttempts, "RetryMaxTries", Convert::TotalAttempts)
            .note("RetryMaxTries counts the first try"),
        field(Setting::InitialRetryDelay, "RetryInitialInterval", Convert::Time).default(0.5),
        fixed("RetryMultiplier", "2"),
        field(Setting::MaxRetryDelay, "RetryMaxInterval", Convert::Time).default(60.0),
        field(Setting::RetryJitterFactor, "RetryRandomizationFactor", Convert::Factor).default(0.5),
    ]),
    ..CONSTANTS
};

const BREAKER: Section = Section {
    library: "github.com/sony/gobreaker/v2",
    heading: "The circuit breaker is gobreaker's: ReadyToTrip when counts.ConsecutiveFailures >= BreakerFailures, Timeout and\n\
              MaxRequests of gobreaker.Settings.",
    fields: Fields::Listed(&[
        field(Setting::CircuitBreakerThreshold, "BreakerFailures", Convert::Count),
        field(Setting::CircuitBreakerTimeout, "BreakerTimeout", Convert::Time).default(60.0),
        field(Setting::CircuitBreakerReset, "BreakerMaxRequests", Convert::Count).default(1.0),
    ]),
    ..CONSTANTS
};
