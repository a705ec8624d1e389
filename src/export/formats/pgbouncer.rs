//! `PgBouncer`.

use crate::{
    export::{
        Bound, Convert, Fields, Format, Language, Section,
        table::{absent, field, spent, unlimited},
    },
    model::Setting,
};

/// `PgBouncer`'s ini.
pub(super) static PGBOUNCER: Format = Format {
    name: "pgbouncer",
    aliases: &["pgbouncer.ini"],
    title: "PgBouncer",
    about: "PgBouncer's ini, for a pool between the program and PostgreSQL",
    headline: "In the one [pgbouncer] section of pgbouncer.ini (a second one would reset the first); times are seconds",
    language: Language::Ini,
    opening: "",
    sections: &[Section {
        library: "PgBouncer",
        heading: "",
        path: &["pgbouncer"],
        opening: "[pgbouncer]\n",
        line: "{name} = {value}",
        between: "\n",
        closing: "",
        commented: false,
        fields: Fields::Listed(&[
            field(Setting::MinConnections, "min_pool_size", Convert::Count).default(0.0),
            field(Setting::MaxConnections, "default_pool_size", Convert::Count)
                .default(20.0)
                .note("for each pair of user and database")
                .rules(&[unlimited(Bound::NotZero, "PgBouncer then has no limit")]),
            field(Setting::ConnectionTimeout, "query_wait_timeout", Convert::Seconds)
                .default(120.0)
                .rules(&[unlimited(Bound::NotZero, "PgBouncer then lets a client wait for ever")]),
            field(Setting::ConnectionLifetime, "server_lifetime", Convert::Seconds)
                .default(3600.0)
                .rules(&[spent(Bound::NotZero, "PgBouncer then uses each connection once")]),
            field(Setting::IdleTimeout, "server_idle_timeout", Convert::Seconds)
                .default(600.0)
                .rules(&[unlimited(Bound::NotZero, "PgBouncer then keeps idle connections for ever")]),
            field(Setting::HealthCheckInterval, "server_check_delay", Convert::Seconds).default(30.0).note(
                "server_check_query runs on a connection that was idle for longer than this, before it is handed out; 0: on each",
            ),
            field(Setting::ValidationQuery, "server_check_query", Convert::Text),
        ]),
    }],
    closing: "",
    absent: &[
        absent(Setting::ValidationTimeout, "there is no limit for server_check_query alone"),
        absent(Setting::RetryAttempts, CLIENT),
        absent(Setting::InitialRetryDelay, CLIENT),
        absent(Setting::MaxRetryDelay, CLIENT),
        absent(Setting::RetryJitterFactor, CLIENT),
        absent(Setting::CircuitBreakerThreshold, CLIENT),
        absent(Setting::CircuitBreakerTimeout, CLIENT),
        absent(Setting::CircuitBreakerReset, CLIENT),
    ],
    evidence: false,
};

const CLIENT: &str = "it belongs in the client; export to the client's pool as well";
