//! Formats that are read by a parser: files of data, and code for which there is no compiler at hand.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::{exported, read_by_python, repository};

/// Statements that would break out of their quotes where they can.
const STATEMENTS: [&str; 4] = ["SELECT 1", "SELECT 'it''s' AS \"x\" -- $HOME `id` \\n #{x} %s", "größe 🦀", ""];

fn ours(validation_query: &str) -> Json {
    json!({
        "min_connections": 4, "max_connections": 17, "connection_timeout": 12, "connection_lifetime": 2100,
        "idle_timeout": 240, "health_check_interval": 45, "retry_attempts": 4, "initial_retry_delay": 0.15,
        "max_retry_delay": 0.5, "retry_jitter_factor": 0.2, "validation_query": validation_query,
        "validation_timeout": 3, "circuit_breaker_threshold": 6, "circuit_breaker_timeout": 25,
        "circuit_breaker_reset": 3,
    })
}

#[test]
fn our_own_formats_hold_every_setting() {
    for format in ["config-dict", "json", "yaml", "toml"] {
        for statement in STATEMENTS {
            assert_eq!(read_by_python(format, &exported(format, statement)), ours(statement), "{format}");
        }
    }
}

#[test]
fn a_shell_reads_the_variables() {
    for statement in STATEMENTS {
        let script = format!("set -a -e -u\n{}\nexec env -0", exported("env", statement));
        let output =
            Command::new("sh").args(["-c", &script]).env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names = 0;
        for (name, value) in ours(statement).as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let wanted = format!("APP_{}={value}", name.to_uppercase());
            assert!(text.split('\0').any(|pair| pair == wanted), "{wanted} is not in {text:?}");
            names += 1;
        }
        assert_eq!(text.split('\0').filter(|pair| pair.starts_with("APP_")).count(), names);
    }
}

#[test]
fn hikaricp_s_properties() {
    for statement in STATEMENTS {
        let mut expected = json!({
            "minimumIdle": "4", "maximumPoolSize": "17", "connectionTimeout": "12000", "maxLifetime": "2100000",
            "idleTimeout": "240000", "keepaliveTime": "45000", "validationTimeout": "3000",
        });
        if !statement.is_empty() {
            expected["connectionTestQuery"] = json!(statement);
        }
        let text = exported("hikaricp", statement);
        // HikariConfig refuses names that it does not know, so that the companion's have to be comments.
        assert_eq!(read_by_python("hikaricp", &text), expected);
        let companion: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# resilience4j.")).collect();
        let companion = read_by_python("hikaricp", &companion.join("\n"));
        assert_eq!(companion["retry.instances.database.max-attempts"], "5");
        assert_eq!(companion["circuitbreaker.instances.database.sliding-window-size"], "6");
    }
}

#[test]
fn spring_boot_s_yaml() {
    for statement in STATEMENTS {
        let mut pool = json!({
            "minimum-idle": 4, "maximum-pool-size": 17, "connection-timeout": 12000, "max-lifetime": 2_100_000,
            "idle-timeout": 240_000, "keepalive-time": 45000, "validation-timeout": 3000,
        });
        if !statement.is_empty() {
            pool["connection-test-query"] = json!(statement);
        }
        let retry = json!({
            "max-attempts": 5, "wait-duration": "150ms", "enable-exponential-backoff": true,
            "exponential-backoff-multiplier": 2, "exponential-max-wait-duration": "500ms",
            "enable-randomized-wait": true, "randomized-wait-factor": 0.2,
        });
        let breaker = json!({
            "sliding-window-type": "COUNT_BASED", "sliding-window-size": 6, "minimum-number-of-calls": 6,
            "failure-rate-threshold": 100, "wait-duration-in-open-state": "25s",
            "permitted-number-of-calls-in-half-open-state": 3,
        });
        let expected = json!({
            "spring": {"datasource": {"hikari": pool}},
            "resilience4j": {
                "retry": {"instances": {"database": retry}},
                "circuitbreaker": {"instances": {"database": breaker}},
            },
        });
        assert_eq!(read_by_python("spring-boot", &exported("spring-boot", statement)), expected);
    }
}

#[test]
fn rails_s_database_yml() {
    let expected = json!({"production": {
        "min_connections": 4, "max_connections": 17, "checkout_timeout": 12, "max_age": 2100, "idle_timeout": 240,
        "keepalive": 45,
    }});
    assert_eq!(read_by_python("rails", &exported("rails", "SELECT 1")), expected);
}

/// Npgsql's keywords for pools and time limits, as its documentation of connection strings lists them.
const KEYWORDS: [&str; 9] = [
    "Pooling",
    "Minimum Pool Size",
    "Maximum Pool Size",
    "Connection Idle Lifetime",
    "Connection Pruning Interval",
    "Connection Lifetime",
    "Timeout",
    "Command Timeout",
    "Keepalive",
];

#[test]
fn npgsql_s_connection_string() {
    let text = exported("npgsql", "SELECT 1");
    let string = text.split('"').nth(1).unwrap();
    let mut pairs: Vec<(&str, u32)> = Vec::new();
    for pair in string.split(';') {
        let (keyword, value) = pair.split_once('=').unwrap();
        assert!(KEYWORDS.contains(&keyword), "{keyword}");
        pairs.push((keyword, value.parse().unwrap()));
    }
    let expected = [
        ("Minimum Pool Size", 4),
        ("Maximum Pool Size", 17),
        ("Timeout", 12),
        ("Connection Lifetime", 2100),
        ("Connection Idle Lifetime", 240),
        ("Keepalive", 45),
    ];
    assert_eq!(pairs, expected);
    assert_balanced(&text);
}

#[test]
fn go_s_files() {
    for (format, says) in [
        (
            "database-sql",
            [
                "\tdb.SetMaxOpenConns(17)\n",
                "\tdb.SetMaxIdleConns(17)\n",
                "\tdb.SetConnMaxIdleTime(240 * time.Second)\n",
            ],
        ),
        (
            "pgxpool",
            ["\tconfig.MaxConns = 17\n", "\tconfig.MinConns = 4\n", "\tconfig.HealthCheckPeriod = 45 * time.Second\n"],
        ),
    ] {
        let text = exported(format, "SELECT 1");
        for line in
            says.into_iter().chain(["const RetryMaxTries = 5\n", "const RetryMaxInterval = 500 * time.Millisecond\n"])
        {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        assert!(text.contains("\npackage pool\n"));
        assert_balanced(&text);
        // Where there is a Go, its own formatter is asked.
        let Ok(output) = Command::new("gofmt").arg("-l").arg(written(&text).path()).output() else { continue };
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}\n{text}");
    }
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".go").tempfile_in(repository("target")).unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Every bracket of the code closes the one that was opened last; comments are passed over.
#[track_caller]
fn assert_balanced(text: &str) {
    let mut open = Vec::new();
    for character in text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(str::chars) {
        match character {
            '(' | '{' => open.push(character),
            ')' => assert_eq!(open.pop(), Some('('), "{text}"),
            '}' => assert_eq!(open.pop(), Some('{'), "{text}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{text}");
}
