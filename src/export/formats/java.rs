//! Pools of Java, with resilience4j beside them.

use crate::{
    export::{
        Bound, Convert, Field, Fields, Format, Language, Rule, Section,
        table::{field, fixed, other, refused, replaced, unlimited},
    },
    model::Setting,
};

/// HikariCP's properties.
pub(super) static HIKARICP: Format = Format {
    name: "hikaricp",
    aliases: &["hikari", "java"],
    title: "HikariCP",
    about: "Java: HikariCP's properties",
    headline: "hikari.properties, for new HikariConfig(\"/hikari.properties\"); times are milliseconds",
    language: Language::Properties,
    opening: "",
    sections: &[
        Section { line: "{name}={value}", ..POOL },
        Section {
            heading: "Retries and circuit breaker are resilience4j's. HikariConfig refuses names that are not its own, so these\n\
                      lines belong in application.properties.",
            line: "resilience4j.retry.instances.database.{kebab}={value}",
            commented: true,
            ..RETRY
        },
        Section { line: "resilience4j.circuitbreaker.instances.database.{kebab}={value}", commented: true, ..BREAKER },
    ],
    closing: "",
    absent: &[],
    evidence: false,
};

/// Spring Boot's application.yaml.
pub(super) static SPRING: Format = Format {
    name: "spring-boot",
    aliases: &["spring"],
    title: "Spring Boot",
    about: "Java: application.yaml with HikariCP and resilience4j",
    headline: "In application.yaml; HikariCP's times are milliseconds",
    language: Language::Yaml,
    opening: "",
    sections: &[
        Section {
            path: &["spring", "datasource", "hikari"],
            opening: "spring:\n  datasource:\n    hikari:\n",
            line: "      {kebab}: {value}",
            ..POOL
        },
        Section {
            heading: "For methods under @Retry(name = \"database\") and @CircuitBreaker(name = \"database\")",
            opening: "resilience4j:\n  retry:\n    instances:\n      database:\n",
            line: "        {kebab}: {value}",
            ..RETRY
        },
        Section {
            opening: "  circuitbreaker:\n    instances:\n      database:\n",
            line: "        {kebab}: {value}",
            ..BREAKER
        },
    ],
    closing: "",
    absent: &[],
    evidence: false,
};

const POOL: Section = Section {
    library: "HikariCP",
    heading: "",
    path: &[],
    opening: "",
    line: "",
    between: "\n",
    closing: "",
    commented: false,
    fields: Fields::Listed(&[
        field(Setting::MinConnections, "minimumIdle", Convert::Count),
        field(Setting::MaxConnections, "maximumPoolSize", Convert::Count)
            .default(10.0)
            .rules(&[refused(Bound::AtLeast(1.0), "HikariCP refuses a pool without connections")]),
        field(Setting::ConnectionTimeout, "connectionTimeout", Convert::Milliseconds).default(30_000.0).rules(&[
            unlimited(Bound::NotZero, "HikariCP then waits for ever"),
            refused(Bound::AtLeast(250.0), "HikariCP refuses less than 250 ms"),
        ]),
        field(Setting::ConnectionLifetime, "maxLifetime", Convert::Milliseconds)
            .default(1_800_000.0)
            .rules(&[
                unlimited(Bound::NotZero, "HikariCP then never closes a connection for its age"),
                replaced(Bound::AtLeast(30_000.0), "HikariCP silently takes 30 minutes for less than 30 s"),
            ])
            .note("HikariCP shortens each connection's life by up to 2.5 %, so that they do not end together"),
        field(Setting::IdleTimeout, "idleTimeout", Convert::Milliseconds).default(600_000.0).rules(&[
            unlimited(Bound::NotZero, "HikariCP then keeps idle connections for ever"),
            replaced(Bound::AtLeast(10_000.0), "HikariCP silently takes 10 minutes for less than 10 s"),
            replaced(
                Bound::Below(Setting::ConnectionLifetime, 1.0),
                "HikariCP silently switches it off within a second of maxLifetime",
            ),
        ]),
        field(Setting::HealthCheckInterval, "keepaliveTime", Convert::Milliseconds).default(120_000.0).rules(&[
            unlimited(Bound::NotZero, "HikariCP then checks no idle connection"),
            replaced(Bound::AtLeast(30_000.0), "HikariCP silently switches it off, or takes its default, for less than 30 s"),
            replaced(Bound::Below(Setting::ConnectionLifetime, 0.001), "HikariCP silently switches it off, or takes its default, from maxLifetime on"),
        ]),
        field(Setting::ValidationQuery, "connectionTestQuery", Convert::TextIfAny).note(
            "HikariCP validates what was unused for 500 ms; without connectionTestQuery the driver's isValid() does it, for less",
        ),
        field(Setting::ValidationTimeout, "validationTimeout", Convert::Milliseconds)
            .default(5_000.0)
            .rules(&[refused(Bound::AtLeast(250.0), "HikariCP refuses less than 250 ms")]),
        other("leakDetectionThreshold", Convert::Milliseconds).rules(&[
            replaced(Bound::AtLeast(2_000.0), "HikariCP silently looks for no leaks below 2 s"),
            replaced(Bound::Below(Setting::ConnectionLifetime, 0.0), "HikariCP silently looks for no leaks above maxLifetime"),
        ]),
    ]),
};

const RETRY: Section = Section {
    library: "resilience4j",
    heading: "",
    path: &["resilience4j", "retry", "instances", "database"],
    opening: "",
    line: "",
    between: "\n",
    closing: "",
    commented: false,
    fields: Fields::Listed(&[
        field(Setting::RetryAttempts, "maxAttempts", Convert::TotalAttempts)
            .default(3.0)
            .rules(&[refused(Bound::AtLeast(1.0), "resilience4j refuses it")])
            .note("maxAttempts counts the first try"),
        field(Setting::InitialRetryDelay, "waitDuration", Convert::Time).default(0.5).rules(MILLISECOND),
        fixed("enableExponentialBackoff", "true"),
        fixed("exponentialBackoffMultiplier", "2"),
        field(Setting::MaxRetryDelay, "exponentialMaxWaitDuration", Convert::Time).rules(MILLISECOND),
        fixed("enableRandomizedWait", "true"),
        field(Setting::RetryJitterFactor, "randomizedWaitFactor", Convert::Factor)
            .default(0.5)
            .rules(&[refused(Bound::Under(1.0), "resilience4j takes factors below 1 only")]),
    ]),
};

const MILLISECOND: &[Rule] = &[replaced(Bound::AtLeast(0.001), "resilience4j counts whole milliseconds")];

const BREAKER: Section = Section {
    path: &["resilience4j", "circuitbreaker", "instances", "database"],
    fields: Fields::Listed(BREAKER_FIELDS),
    ..RETRY
};

const BREAKER_FIELDS: &[Field] = &[
    fixed("slidingWindowType", "COUNT_BASED"),
    field(Setting::CircuitBreakerThreshold, "slidingWindowSize", Convert::Count)
        .default(100.0)
        .note("the circuit opens when all calls of the window have failed: consecutive failures, as they were tuned"),
    field(Setting::CircuitBreakerThreshold, "minimumNumberOfCalls", Convert::Count).default(100.0),
    fixed("failureRateThreshold", "100"),
    field(Setting::CircuitBreakerTimeout, "waitDurationInOpenState", Convert::Time).default(60.0).rules(MILLISECOND),
    field(Setting::CircuitBreakerReset, "permittedNumberOfCallsInHalfOpenState", Convert::Count)
        .default(10.0)
        .note("half-open, it opens again when all of these fail; in the trials one failure was enough"),
];
