//! Rails.

use crate::{
    export::{
        Bound, Convert, Fields, Format, Language, Section,
        table::{absent, field, fixed, unlimited},
    },
    model::Setting,
};

/// Rails' database.yml.
pub(super) static RAILS: Format = Format {
    name: "rails",
    aliases: &["database.yml", "activerecord", "ruby"],
    title: "Rails",
    about: "Ruby: config/database.yml of Rails 8.1 and later",
    headline: "In config/database.yml, beside adapter, database and host; Rails 8.1 or later; times are seconds",
    language: Language::Yaml,
    opening: "",
    sections: &[
        Section {
            library: "Active Record",
            heading: "",
            path: &["production"],
            opening: "production:\n",
            line: "  {name}: {value}",
            between: "\n",
            closing: "",
            commented: false,
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "min_connections", Convert::Count).default(0.0),
                field(Setting::MaxConnections, "max_connections", Convert::Count)
                    .default(5.0)
                    .note("named `pool` before Rails 8.1; each process has a pool of its own"),
                field(Setting::ConnectionTimeout, "checkout_timeout", Convert::Seconds).default(5.0),
                field(Setting::ConnectionLifetime, "max_age", Convert::Seconds),
                field(Setting::IdleTimeout, "idle_timeout", Convert::Seconds)
                    .default(300.0)
                    .rules(&[unlimited(Bound::NotZero, "Rails then keeps idle connections for ever")]),
                field(Setting::HealthCheckInterval, "keepalive", Convert::Seconds).default(600.0),
            ]),
        },
        Section {
            library: "retriable",
            heading: "Retries and circuit breaker are not database.yml's; in Ruby, with the gems retriable and stoplight (5 or later):",
            path: &["Retriable.retriable"],
            opening: "Retriable.retriable(\n",
            line: "  {name}: {value},",
            between: "\n",
            closing: ") { … }\n",
            commented: true,
            fields: Fields::Listed(&[
                field(Setting::RetryAttempts, "tries", Convert::TotalAttempts).default(3.0),
                field(Setting::InitialRetryDelay, "base_interval", Convert::Seconds).default(0.5),
                fixed("multiplier", "2"),
                field(Setting::MaxRetryDelay, "max_interval", Convert::Seconds).default(60.0),
                field(Setting::RetryJitterFactor, "rand_factor", Convert::Factor).default(0.5),
            ]),
        },
        Section {
            library: "stoplight",
            heading: "",
            path: &["Stoplight"],
            opening: "Stoplight('database',\n",
            line: "  {name}: {value},",
            between: "\n",
            closing: ").run { … }\n",
            commented: true,
            fields: Fields::Listed(&[
                field(Setting::CircuitBreakerThreshold, "threshold", Convert::Count).default(3.0),
                field(Setting::CircuitBreakerTimeout, "cool_off_time", Convert::Seconds).default(60.0),
                field(Setting::CircuitBreakerReset, "recovery_threshold", Convert::Count).default(1.0),
            ]),
        },
    ],
    closing: "",
    absent: &[
        absent(
            Setting::ValidationQuery,
            "Rails checks a connection that was unused for a while by its adapter's own ping",
        ),
        absent(Setting::ValidationTimeout, "Rails has no limit for that ping"),
    ],
    evidence: false,
};
