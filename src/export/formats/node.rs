//! Pools of node, with p-retry and opossum beside them.

use crate::{
    export::{
        Absent, Bound, Convert, Fields, Format, Language, Section,
        table::{absent, field, fixed, other, replaced, unlimited},
    },
    model::Setting,
};

/// node-postgres.
pub(super) static NODE_POSTGRES: Format = Format {
    name: "node-postgres",
    aliases: &["pg", "node", "node-pg"],
    title: "node-postgres",
    about: "node: options of pg.Pool",
    headline: "For new pg.Pool({ ...connection, ...pool })",
    language: Language::JavaScript,
    opening: "",
    sections: &[
        Section {
            library: "pg",
            path: &["pool"],
            opening: "export const pool = {\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min", Convert::Count)
                    .default(0.0)
                    .note("kept once they are open; pg opens none ahead"),
                field(Setting::MaxConnections, "max", Convert::Count)
                    .default(10.0)
                    .rules(&[replaced(Bound::NotZero, "pg takes 10 for it")]),
                field(Setting::ConnectionTimeout, "connectionTimeoutMillis", Convert::Milliseconds)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "pg then waits for ever")]),
                field(Setting::ConnectionLifetime, "maxLifetimeSeconds", Convert::Seconds)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "pg then never closes a connection for its age")]),
                field(Setting::IdleTimeout, "idleTimeoutMillis", Convert::Milliseconds)
                    .default(10_000.0)
                    .rules(&[unlimited(Bound::NotZero, "pg then keeps idle connections for ever")]),
            ]),
            ..OBJECT
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::HealthCheckInterval, "nothing is validated in the background"),
        absent(Setting::ValidationQuery, "pg hands out what has not reported an error"),
        absent(Setting::ValidationTimeout, "pg hands out what has not reported an error"),
        JITTER,
        RESET,
    ],
    evidence: false,
};

/// Knex.
pub(super) static KNEX: Format = Format {
    name: "knex",
    aliases: &["tarn"],
    title: "Knex",
    about: "node: `pool` of Knex's configuration",
    headline: "For knex({ client, connection, pool }); times are milliseconds",
    language: Language::JavaScript,
    opening: "",
    sections: &[
        Section {
            library: "knex",
            path: &["pool"],
            opening: "export const pool = {\n",
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min", Convert::Count).default(2.0),
                field(Setting::MaxConnections, "max", Convert::Count).default(10.0),
                field(Setting::ConnectionTimeout, "acquireTimeoutMillis", Convert::Milliseconds)
                    .default(60_000.0)
                    .rules(&[replaced(Bound::NotZero, "Knex's pool takes 30 s for it")])
                    .note("Knex takes the smaller of this and acquireConnectionTimeout, where that is set"),
                field(Setting::ConnectionLifetime, "maxConnectionLifetimeMillis", Convert::Milliseconds)
                    .rules(&[unlimited(Bound::NotZero, "Knex then never closes a connection for its age")])
                    .note("older releases of Knex have no lifetime and pass over it"),
                field(Setting::IdleTimeout, "idleTimeoutMillis", Convert::Milliseconds)
                    .default(30_000.0)
                    .rules(&[replaced(Bound::NotZero, "Knex's pool takes 30 s for it")]),
            ]),
            ..OBJECT
        },
        RETRY,
        BREAKER,
    ],
    closing: "",
    absent: &[
        absent(Setting::HealthCheckInterval, "reapIntervalMillis only looks for idle connections to close"),
        absent(Setting::ValidationQuery, "Knex hands out what has not reported an error"),
        absent(Setting::ValidationTimeout, "Knex hands out what has not reported an error"),
        JITTER,
        RESET,
    ],
    evidence: false,
};

const JITTER: Absent =
    absent(Setting::RetryJitterFactor, "p-retry's `randomize` stretches a delay up to twofold, whatever the factor");
const RESET: Absent = absent(Setting::CircuitBreakerReset, "opossum closes the circuit after one success");

/// An exported object.
const OBJECT: Section = Section {
    library: "",
    heading: "",
    path: &[],
    opening: "",
    line: "  {name}: {value},",
    between: "\n",
    closing: "};\n",
    commented: false,
    fields: Fields::Listed(&[]),
};

const RETRY: Section = Section {
    library: "p-retry",
    heading: "Retries are p-retry's: pRetry(work, retry)",
    path: &["retry"],
    opening: "export const retry = {\n",
    fields: Fields::Listed(&[
        field(Setting::RetryAttempts, "retries", Convert::Count).default(10.0),
        field(Setting::InitialRetryDelay, "minTimeout", Convert::Milliseconds).default(1000.0),
        fixed("factor", "2"),
        field(Setting::MaxRetryDelay, "maxTimeout", Convert::Milliseconds),
        other("randomize", Convert::Validated { yes: "true", no: "false" }),
    ]),
    ..OBJECT
};

const BREAKER: Section = Section {
    library: "opossum",
    heading: "The circuit breaker is opossum's: new CircuitBreaker(work, breaker)",
    path: &["breaker"],
    opening: "export const breaker = {\n",
    fields: Fields::Listed(&[
        fixed("timeout", "false").note("opossum would fail what takes longer than 10 s"),
        fixed("errorThresholdPercentage", "99")
            .note("opossum opens above this share: when all of at least volumeThreshold calls within 10 s have failed"),
        field(Setting::CircuitBreakerThreshold, "volumeThreshold", Convert::Count).default(0.0),
        field(Setting::CircuitBreakerTimeout, "resetTimeout", Convert::Milliseconds).default(30_000.0),
    ]),
    ..OBJECT
};
