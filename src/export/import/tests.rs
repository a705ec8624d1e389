use proptest::prelude::*;

use super::*;
use crate::{
    export::{Section, export},
    report::samples,
};

/// The formats that are read.
const READ: [&str; 21] = [
    "config.py",
    "config-dict",
    "env",
    "json",
    "yaml",
    "toml",
    "hikaricp",
    "spring-boot",
    "rails",
    "pgbouncer",
    "npgsql",
    "sqlalchemy",
    "psycopg-pool",
    "django",
    "asyncpg",
    "node-postgres",
    "knex",
    "database-sql",
    "pgxpool",
    "sqlx",
    "bb8",
];

fn imported(format: &str, text: &str) -> Result<Imported, ImportError> {
    import(Format::named(format).unwrap(), text, None)
}

/// Values that every format can hold, and statements that try to break out of quotes.
fn values() -> impl Strategy<Value = Vec<(Setting, Value)>> {
    let numbers =
        (0_u32..50, 50_u32..500, 1_u32..1000, 3600_u32..90_000, 10_u32..1800, 31_u32..1799, 1_u32..20, 0_u32..900);
    (numbers, "[ -~äß🦀]{0,30}").prop_map(|((min, max, timeout, lifetime, idle, check, tries, share), sql)| {
        let number = |setting, number: f64| (setting, Value::from_number(setting, number).unwrap());
        vec![
            number(Setting::MinConnections, min.into()),
            number(Setting::MaxConnections, max.into()),
            number(Setting::ConnectionTimeout, timeout.into()),
            number(Setting::ConnectionLifetime, lifetime.into()),
            number(Setting::IdleTimeout, idle.into()),
            number(Setting::HealthCheckInterval, check.into()),
            number(Setting::RetryAttempts, tries.into()),
            number(Setting::InitialRetryDelay, f64::from(timeout) / 1000.0),
            number(Setting::MaxRetryDelay, f64::from(timeout) / 2.0),
            number(Setting::RetryJitterFactor, f64::from(share) / 1000.0),
            (Setting::ValidationQuery, Value::Sql(sql.trim().to_owned())),
            number(Setting::ValidationTimeout, f64::from(tries) / 2.0),
            number(Setting::CircuitBreakerThreshold, f64::from(tries) + 1.0),
            number(Setting::CircuitBreakerTimeout, timeout.into()),
            number(Setting::CircuitBreakerReset, tries.into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_exported_is_imported(values in values()) {
        let mut recommendation = samples::better();
        for row in &mut recommendation.rows {
            row.now = values.iter().find(|(setting, _)| *setting == row.setting).unwrap().1.clone();
        }
        let prefix = Prefix::parse("MY_DB").unwrap();
        for name in READ {
            let format = Format::named(name).unwrap();
            let text = export(format, &recommendation, &prefix).unwrap();
            let imported = imported(name, &text).unwrap();
            let sections = || format.sections.iter().filter(|section| !section.commented && section.library != "retriable" && section.library != "stoplight");
            for (setting, value) in &values {
                let row = sections().flat_map(Section::fields).filter_map(held).find(|(_, held, _)| held == setting);
                let Some((_, _, convert)) = row else { continue };
                // A connection string has whole seconds only, and a name that is left out has no value.
                let Some(expected) = convert.write(value) else { continue };
                let expected = convert.read(*setting, &expected).unwrap();
                let found = imported.values.iter().find(|(held, _)| held == setting).map(|(_, value)| value);
                prop_assert_eq!(found, Some(&expected), "{} in {}:\n{}", setting, name, text);
            }
        }
    }
}

#[test]
fn what_means_something_else_is_told() {
    let hikari = imported(
        "hikaricp",
        "spring.datasource.hikari.maximum-pool-size = 20\nmaxLifetime:0\n# idleTimeout=3\nconnectionTimeout=x\n",
    );
    let hikari = hikari.unwrap();
    assert_eq!(hikari.values, [(Setting::MaxConnections, Value::Count(20))]);
    assert_eq!(
        hikari.yaml(),
        "# line 2: maxLifetime is 0: HikariCP then never closes a connection for its age, which connection_lifetime cannot say\n\
         # line 4: connectionTimeout is \"x\": not taken for connection_timeout\nsettings:\n  max_connections: 20\n"
    );
    let short = imported("hikaricp", "maxLifetime=10000\n").unwrap();
    assert!(short.notes.iter().any(|note| note.contains("silently takes 30 minutes")), "{:?}", short.notes);
}

#[test]
fn configurations_of_other_hands_are_read() {
    let values = |format: &str, text: &str| imported(format, text).unwrap().values;
    let twenty = [(Setting::MaxConnections, Value::Count(20))];
    for (format, text) in [
        ("npgsql", "Host=db;Password=a=b;Maximum Pool Size=20"),
        ("npgsql", "{\"ConnectionStrings\": {\"Default\": \"Host=db;Maximum Pool Size=20\"}}"),
        (
            "pgbouncer",
            "[databases]\nx = host=db default_pool_size=3\n[pgbouncer]\n;default_pool_size = 4\ndefault_pool_size=20\n",
        ),
        ("spring", "spring: {datasource: {hikari: {maximumPoolSize: 20}}}"),
        ("rails", "development:\n  max_connections: 20\n"),
        ("config.py", "import os\nclass C:\n    DB_MAX_CONNECTIONS: int = int(os.getenv('X', '20'))\n"),
        ("env", "export A_MAX_CONNECTIONS=\"20\" # ours\n"),
        ("toml", "max_connections = 20\n"),
        ("yaml", "settings:\n  max_connections: 20\n"),
    ] {
        assert_eq!(values(format, text), twenty, "{format}");
    }
}

#[test]
fn what_is_not_read_is_told() {
    let message = |format: &str, text: &str| imported(format, text).unwrap_err().to_string();
    assert!(message("sqlx", "").starts_with("it has no setting under a name of sqlx"));
    assert!(message("sqlalchemy", "x = 1\nf(a=\n").contains("is not understood"));
    assert!(message("json", "{\"a\": }}").starts_with("it is not read as JSON: "));
    assert!(message("toml", "a = \n").starts_with("it is not read as TOML: "));
    assert!(message("hikaricp", "a=3").starts_with("it has no setting under a name of HikariCP"));
    assert!(message("config.py", "def f(:").contains("line 1 is not understood"));
}
