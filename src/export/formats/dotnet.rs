//! Npgsql, with Polly beside it.

use crate::{
    export::{
        Bound, Convert, Fields, Format, Language, Section,
        table::{absent, field, fixed, refused, unlimited},
    },
    model::Setting,
};

/// Npgsql's connection string.
pub(super) static NPGSQL: Format = Format {
    name: "npgsql",
    aliases: &["dotnet", ".net", "csharp"],
    title: "Npgsql",
    about: ".NET: Npgsql's connection string, as C#, with Polly's options",
    headline: "PoolSettings.cs: join ConnectionString to your own with `;`",
    language: Language::CSharp,
    opening: "using System;\n\npublic static class PoolSettings\n{\n",
    sections: &[
        Section {
            library: "Npgsql",
            heading: "",
            path: &["ConnectionString"],
            opening: "    public const string ConnectionString =\n        \"",
            line: "{name}={value}",
            between: ";",
            closing: "\";\n}\n",
            commented: false,
            fields: Fields::Listed(&[
                field(Setting::MinConnections, "Minimum Pool Size", Convert::Count).default(0.0),
                field(Setting::MaxConnections, "Maximum Pool Size", Convert::Count).default(100.0),
                field(Setting::ConnectionTimeout, "Timeout", Convert::WholeSeconds).default(15.0).rules(&[
                    unlimited(Bound::NotZero, "Npgsql then waits for ever"),
                    refused(Bound::AtMost(1024.0), "Npgsql takes at most 1024 s"),
                ]),
                field(Setting::ConnectionLifetime, "Connection Lifetime", Convert::WholeSeconds)
                    .default(3600.0)
                    .rules(&[unlimited(Bound::NotZero, "Npgsql then never closes a connection for its age")]),
                field(Setting::IdleTimeout, "Connection Idle Lifetime", Convert::WholeSeconds).default(300.0).rules(&[
                    refused(Bound::NotZero, "Npgsql refuses less than its Connection Pruning Interval of 10 s"),
                    refused(Bound::AtLeast(10.0), "Npgsql refuses less than its Connection Pruning Interval of 10 s"),
                ]),
                field(Setting::HealthCheckInterval, "Keepalive", Convert::WholeSeconds)
                    .default(0.0)
                    .rules(&[unlimited(Bound::NotZero, "Npgsql then checks no idle connection")]),
            ]),
        },
        Section {
            library: "Polly",
            heading: "Retries and circuit breaker are Polly's:",
            path: &["RetryStrategyOptions"],
            opening: "new RetryStrategyOptions\n{\n",
            line: "    {name} = {value},",
            between: "\n",
            closing: "}\n",
            commented: true,
            fields: Fields::Listed(&[
                field(Setting::RetryAttempts, "MaxRetryAttempts", Convert::Count)
                    .default(3.0)
                    .rules(&[refused(Bound::NotZero, "Polly takes 1 or more")])
                    .note("MaxRetryAttempts does not count the first try"),
                field(Setting::InitialRetryDelay, "Delay", Convert::Time).default(2.0),
                fixed("BackoffType", "DelayBackoffType.Exponential"),
                field(Setting::MaxRetryDelay, "MaxDelay", Convert::Time),
            ]),
        },
        Section {
            library: "Polly",
            heading: "",
            path: &["CircuitBreakerStrategyOptions"],
            opening: "new CircuitBreakerStrategyOptions\n{\n",
            line: "    {name} = {value},",
            between: "\n",
            closing: "}\n",
            commented: true,
            fields: Fields::Listed(&[
                fixed("FailureRatio", "1.0"),
                field(Setting::CircuitBreakerThreshold, "MinimumThroughput", Convert::Count)
                    .default(100.0)
                    .rules(&[refused(Bound::AtLeast(2.0), "Polly takes 2 or more")])
                    .note("the circuit opens when all of at least so many calls within SamplingDuration have failed"),
                field(Setting::CircuitBreakerTimeout, "BreakDuration", Convert::Time)
                    .default(5.0)
                    .rules(&[refused(Bound::AtLeast(0.5), "Polly takes half a second or more")]),
            ]),
        },
    ],
    closing: "",
    absent: &[
        absent(Setting::ValidationQuery, "Npgsql hands connections out unchecked"),
        absent(Setting::ValidationTimeout, "Npgsql hands connections out unchecked"),
        absent(Setting::RetryJitterFactor, "Polly's UseJitter has no factor; set it all the same"),
        absent(Setting::CircuitBreakerReset, "Polly closes the circuit after one success"),
    ],
    evidence: false,
};
