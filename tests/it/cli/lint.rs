//! `pool-tune lint`: each trap in a small file, and the forms of its answer.

use std::{fs, path::Path, process::Output};

use serde_json::Value as Json;

use super::{pool_tune, program, stderr, stdout};
use crate::support::cluster::Cluster;

fn lint(folder: &Path, file: &str, text: &str, more: &[&str]) -> Output {
    fs::write(folder.join(file), text).unwrap();
    pool_tune(folder, &[&["lint", file], more].concat())
}

/// `rule:severity:line` of each finding.
fn found(folder: &Path, file: &str, text: &str, more: &[&str]) -> Vec<String> {
    let output = lint(folder, file, text, &[more, &["--output", "json"]].concat());
    let json: Json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{file}: {}", stderr(&output)));
    assert!(json["problem"].is_null(), "{file}: {text}: {json:#}");
    let findings = json["findings"].as_array().unwrap();
    let word = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    findings.iter().map(|it| format!("{}:{}:{}", word(&it["rule"]), word(&it["severity"]), it["line"])).collect()
}

/// A file, what it is linted with, and all that has to be found.
type Trap = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const TRAPS: &[Trap] = &[
    ("h.properties", "maxLifetime=10000\n", &[], &["value-silently-replaced:warning:1"]),
    ("h.properties", "maximumPoolSize=9\nconnectionTimeout=100\n", &[], &["value-refused:error:2"]),
    ("h.properties", "maxLifetime=240000\nkeepaliveTime=5000\n", &[], &["value-silently-replaced:warning:2"]),
    (
        "h.properties",
        "minimumIdle=1\nidleTimeout=60000\nmaxLifetime=10000\n",
        &[],
        &["value-silently-replaced:warning:3"],
    ),
    (
        "h.properties",
        "minimumIdle=0\nidleTimeout=9999000\nmaxLifetime=0\nkeepaliveTime=60000\n",
        &[],
        &["zero-never-recycled:note:3"],
    ),
    ("h.properties", "maxLifetime=0\n", &[], &["zero-never-recycled:note:1"]),
    ("h.properties", "maximumPoolSize=9\nidleTimeout=60000\n", &[], &["idle-timeout-without-effect:warning:2"]),
    ("h.properties", "maximumPoolSize=9\nminimumIdle=2\nidleTimeout=60000\n", &[], &[]),
    ("h.properties", "maximumPoolSize=9\nminimumIdle=20\n", &[], &["min-above-max:error:2"]),
    ("h.properties", "connectionTestQuery=\nkeepaliveTime=60000\n", &[], &["empty-check-query:warning:1"]),
    ("h.properties", "connectionTimeout=3000\nvalidationTimeout=5000\n", &[], &["validation-not-below-wait:warning:2"]),
    ("h.properties", "connectionTimeout=45000\n", &[], &["wait-above-deadline:note:1"]),
    ("h.properties", "connectionTimeout=9000\n", &["--deadline", "5s"], &["wait-above-deadline:warning:1"]),
    ("h.properties", "maximumPoolSize=20\n", &["--instances", "4"], &[]),
    ("h.properties", "maximumPoolSize=20\n", &["--instances", "5"], &["fleet-above-server:note:1"]),
    ("h.properties", "maximumPoolSize=20\nmaximumPoolSize=30\n", &[], &["defined-twice:warning:2"]),
    ("p.ini", "[pgbouncer]\nserver_lifetime = 0\n", &[], &["zero-used-once:warning:2"]),
    ("p.ini", "[pgbouncer]\nserver_check_query =\n", &[], &["empty-check-query:warning:2"]),
    ("p.ini", "[pgbouncer]\nquery_wait_timeout=0\n", &[], &["zero-waits-for-ever:warning:2"]),
    ("p.ini", "[pgbouncer]\nserver_idle_timeout=300\n", &[], &["idle-above-balancer:note:2"]),
    (
        "p.ini",
        "[pgbouncer]\nserver_idle_timeout=200\nserver_lifetime=200\n",
        &[],
        &["idle-not-below-lifetime:warning:2"],
    ),
    ("db.py", "e = create_engine(u, pool_size=0)\n", &[], &["zero-no-size-limit:warning:1"]),
    ("db.py", "e = create_engine(u, pool_size=10, max_overflow=-1)\n", &[], &["zero-no-size-limit:warning:1"]),
    ("db.py", "e = create_engine(u, pool_size=15)\n", &["--instances", "4"], &["fleet-above-server:note:1"]),
    ("db.py", "e = create_engine(u, pool_size=15, max_overflow=0)\n", &["--instances", "4"], &[]),
    ("db.py", "e = create_engine(u, pool_recycle=0)\n", &[], &["zero-used-once:warning:1"]),
    ("db.py", "e = create_engine(\n  u, pool_size=5, pool_pre_ping=False)\n", &[], &["connections-unchecked:note:2"]),
    (
        "db.py",
        "e = create_engine(u, pool_size=int(os.getenv('N', '200')), max_overflow=0)\n",
        &[],
        &["fleet-above-server:note:1"],
    ),
    ("db.py", "e = create_engine(u, pool_size=N, max_overflow=0)\n", &["--instances", "500"], &[]),
    (
        "knexfile.js",
        "module.exports = {dev: {pool: {min: 2, max: 3}},\n prod: {pool: {min: 20, max: 10, idleTimeoutMillis: 60 * 1000}}}\n",
        &[],
        &["min-above-max:error:2"],
    ),
    ("db.js", "import knex from 'knex'; export const db = knex({ pool: { min: 2, max: 10 } })\n", &[], &[]),
    (
        "settings.py",
        "DATABASES = {'default': {'PASSWORD': 'x', 'CONN_MAX_AGE': 60,\n 'OPTIONS': {'pool': {'min_size': 2, 'max_size': 9}}}}\n",
        &[],
        &["django-age-beside-pool:error:1"],
    ),
    (
        "db.py",
        "from psycopg2.pool import ThreadedConnectionPool\npool = ThreadedConnectionPool(1, 30)\n\
         DB_MAX_CONNECTIONS = 30\nDB_CIRCUIT_BREAKER_THRESHOLD = 5\n",
        &[],
        &["breaker-opens-on-exhaustion:warning:2", "pool-does-not-wait:warning:2"],
    ),
    (
        "a.mjs",
        "const pool = new pg.Pool({ max: 0, connectionTimeoutMillis: 5 * 1000 })\n",
        &[],
        &["value-silently-replaced:warning:1"],
    ),
    (
        "a.js",
        "const p = new Pool({\n  max: 5,\n  connectionTimeoutMillis: 0,\n})\n",
        &[],
        &["zero-waits-for-ever:warning:3"],
    ),
    ("a.js", "const p = new Pool({\n  max: 5,\n})\n", &[], &["zero-waits-for-ever:warning:2"]),
    (
        "main.rs",
        "fn f() { PgPoolOptions::new().max_connections(5)\n .idle_timeout(Duration::from_secs(60)).max_lifetime(Duration::from_secs(30 * 60)); }\n",
        &[],
        &["lifetime-without-jitter:note:2"],
    ),
    (
        "main.rs",
        "fn f() { PgPoolOptions::new().max_connections(5)\n .idle_timeout(Duration::from_secs(60)).max_lifetime(Duration::from_secs(30 * 60)); }\n",
        &["--instances", "3"],
        &["lifetime-without-jitter:warning:2"],
    ),
    ("pool.go", "package a\nfunc f() {\n\tdb.SetMaxIdleConns(5)\n}\n", &[], &["zero-no-size-limit:warning:3"]),
    (
        "pool.go",
        "package a\nfunc f() {\n\tdb.SetMaxIdleConns(5)\n\tdb.SetMaxOpenConns(50)\n}\n",
        &["--instances", "2"],
        &["fleet-above-server:note:4"],
    ),
    (
        "pool.go",
        "package a\nfunc f() {\n\tdb.SetMaxOpenConns(5)\n\tdb.SetMaxIdleConns(0)\n}\n",
        &[],
        &["zero-used-once:warning:4"],
    ),
    ("h.properties", "maxLifetime=230000\nleakDetectionThreshold=1000\n", &[], &["value-silently-replaced:warning:2"]),
    (
        "h.properties",
        "maxLifetime=230000\nleakDetectionThreshold=240000\n",
        &[],
        &["value-silently-replaced:warning:2"],
    ),
    ("h.properties", "maxLifetime=230000\nleakDetectionThreshold=20000\n", &[], &[]),
    (
        "application.yml",
        "resilience4j:\n  retry:\n    instances:\n      database:\n        max-attempts: 3\n        wait-duration: 200ms\n",
        &[],
        &["retry-without-backoff:warning:5", "retry-without-jitter:warning:5"],
    ),
    (
        "r.js",
        "export const retry = { retries: 3, factor: 1 };\n",
        &[],
        &["retry-without-jitter:note:1", "retry-without-backoff:warning:1"],
    ),
    ("r.js", "pRetry(f, { retries: 3, randomize: true })\n", &[], &[]),
    (
        "c.yaml",
        "connection_timeout: 10\nretry_attempts: 3\ninitial_retry_delay: 0\nretry_jitter_factor: 0\n",
        &["--deadline", "60s"],
        &["retry-without-backoff:warning:3", "retry-without-jitter:warning:4"],
    ),
    (
        "c.yaml",
        "connection_timeout: 10\nretry_attempts: 3\ninitial_retry_delay: 20\nmax_retry_delay: 10\n",
        &["--deadline", "35s"],
        &["retries-above-deadline:warning:2", "retry-delay-above-cap:warning:3"],
    ),
    (
        "c.toml",
        "connection_timeout = 0.01\nvalidation_timeout = 0.001\ncircuit_breaker_threshold = 1\n",
        &[],
        &["breaker-opens-on-exhaustion:warning:1", "breaker-single-failure:warning:3"],
    ),
    (
        "c.env",
        "X_CONNECTION_TIMEOUT=20\nX_CIRCUIT_BREAKER_THRESHOLD=5\n",
        &["--deadline", "10s"],
        &["breaker-blind-to-deadline:warning:1", "wait-above-deadline:warning:1"],
    ),
    ("appsettings.json", "{\"Db\": \"Host=h;Password=hunter2;Timeout=0\"}", &[], &["zero-waits-for-ever:warning:1"]),
    (
        "database.yml",
        "production: &p\n  max_connections: 5\n  idle_timeout: 0\ntest:\n  <<: *p\n  min_connections: 9\n",
        &[],
        &["zero-idle-for-ever:note:3", "min-above-max:error:6"],
    ),
];

/// Values that are no numbers, names that no pool has, documents, milliseconds, and PgBouncer's own.
const SLIPS: &[Trap] = &[
    (
        "h.properties",
        "maximumPoolSize=ten\nmaxLifetime=10000\n",
        &[],
        &["not-a-number:error:1", "value-silently-replaced:warning:2"],
    ),
    ("h.properties", "maximumPoolSize=\n", &[], &["not-a-number:error:1"]),
    ("h.properties", "maximumPoolSize=${POOL:10}\n", &[], &[]),
    ("h.properties", "maximumPoolSize=10.5\n", &[], &["not-a-number:error:1"]),
    ("h.properties", "maximumPoolSize=NaN\n", &[], &["not-a-number:error:1"]),
    // HikariCP's newer releases read it.
    ("h.properties", "connectionTimeout=45s\n", &[], &["not-a-number:warning:1", "wait-above-deadline:note:1"]),
    ("db.py", "e = create_engine(u, pool_size=\"abc\")\n", &[], &["not-a-number:error:1"]),
    ("db.py", "e = create_engine(u, pool_size=True)\n", &[], &["not-a-number:error:1"]),
    ("db.py", "e = create_engine(u, pool_size=os.environ['N'], pool_timeout=f'{t}', pool_recycle=-1)\n", &[], &[]),
    ("db.py", "e = create_engine(u, pool_size=-1)\n", &[], &["zero-no-size-limit:warning:1"]),
    ("a.js", "const p = new Pool({ max: -5, connectionTimeoutMillis: 5000 })\n", &[], &["negative-number:error:1"]),
    (
        "a.js",
        "const p = new Pool({ max: 5,\n connectionTimeoutMillis: '30s',\n idleTimeoutMillis: `1m` })\n",
        &[],
        &["not-a-number:error:2", "not-a-number:error:3"],
    ),
    ("a.js", "const p = new Pool({ max: Number(process.env.MAX), connectionTimeoutMillis: `${n}` })\n", &[], &[]),
    (
        "application.yml",
        "spring:\n  datasource:\n    hikari:\n      max-lifetime: 20s\n      connection-timeout: 40s\n      maximum-pool-size: 1_0\n",
        &[],
        &[
            "not-a-number:error:4",
            "value-silently-replaced:warning:4",
            "not-a-number:error:5",
            "wait-above-deadline:note:5",
        ],
    ),
    (
        "application.yml",
        "resilience4j.retry.instances.db:\n  max-attempts: 3\nspring.datasource.hikari.maximum-pool-size: ${N:5}\n",
        &["--format", "spring-boot"],
        &["retries-above-deadline:note:2", "retry-without-backoff:warning:2", "retry-without-jitter:warning:2"],
    ),
    (
        "database.yml",
        "production:\n  max_connections: <%= ENV['N'] %>\n  checkout_timeout: 5s\n",
        &[],
        &["not-a-number:error:3"],
    ),
    ("database.yml", "production:\n  max_connections: 5\n  idle_timeout: -1\n", &[], &["zero-idle-for-ever:note:3"]),
    ("c.env", "X_MAX_CONNECTIONS=ten\nX_CONNECTION_TIMEOUT=20s\nX_IDLE_TIMEOUT=\n", &[], &["not-a-number:error:1"]),
    ("c.toml", "max_connections = 9\nidle_timeout = '3m'\nconnection_timeout = true\n", &[], &["not-a-number:error:3"]),
    ("appsettings.json", "{\"Db\": \"Host=h;Maximum Pool Size=many;Timeout=9\"}", &[], &["not-a-number:error:1"]),
    // PgBouncer starts with none of these.
    ("p.ini", "[pgbouncer]\nserver_lifetime = 1h\n", &[], &["idle-above-balancer:note:2", "not-a-number:error:2"]),
    ("p.ini", "[pgbouncer]\npool_mode = transcation\n", &[], &["value-refused:error:2"]),
    ("p.ini", "[pgbouncer]\npool_mode = Transaction\nlog_connections = 1\nserver_lifetime = 1.5\n", &[], &[]),
    (
        "p.ini",
        "[pgbouncer]\nreserve_pool_size = abc\nquery_timeout = 5s\n",
        &[],
        &["not-a-number:error:2", "not-a-number:error:3"],
    ),
    (
        "p.ini",
        "[pgbouncer]\ndefault_pool_size = 20.0\nmin_pool_size =\n",
        &[],
        &["not-a-number:error:2", "not-a-number:error:3"],
    ),
    ("p.ini", "[pgbouncer]\ndefault_pool_size = 0x10\nlog_connections = yes\n", &[], &["not-a-number:error:3"]),
    (
        "p.ini",
        "[pgbouncer]\ndefault_poolsize = 9\nDefault_Pool_Size = 9\n",
        &[],
        &["unknown-name:warning:2", "unknown-name:warning:3"],
    ),
    (
        "p.ini",
        "[databases]\na = host=h password='x y' pool_size=60\nb = host=h pool_size=90 max_db_connections=20\n* = host=h\n[pgbouncer]\n",
        &["--instances", "1"],
        &["fleet-above-server:note:2", "size-above-cap:warning:3"],
    ),
    (
        "p.ini",
        "[databases]\na = host=h pool_size=5 min_pool_size=9 pool_mode=sesion\n[users]\nu = pool_mode=session\n[pgbouncer]\ndefault_pool_size=9\n",
        &[],
        &["min-above-max:error:2", "value-refused:error:2"],
    ),
    (
        "p.ini",
        "[databases]\na = host=h pool_size=abc\n[pgbouncer]\nmax_db_connections = 9\ndefault_pool_size=10\n",
        &[],
        &["not-a-number:error:2", "size-above-cap:warning:2", "size-above-cap:warning:5"],
    ),
    (
        "p.ini",
        "[databases]\na = host=h pool_size=60\nb = host=i pool_size=60\n* = host=h port=5433 pool_size=60\n",
        &["--instances", "1"],
        &[],
    ),
    (
        "p.ini",
        "[databases]\na = host=h pool_siz=60 passwort=x\n[pgbouncer]\ndefault_pool_size=9\n",
        &[],
        &["unknown-name:warning:2", "unknown-name:warning:2"],
    ),
    ("a.js", "const p = new Pool({ connectionTimeoutMillis: 5000, idleTimeoutMillis: false })\n", &[], &[]),
    // What is not the pool's.
    (
        "application.properties",
        "spring.datasource.hikari.maximum-pool-size=5\nserver.tomcat.connection-timeout=20s\nspring.datasource.tomcat.max-idle=x\n\
         spring.datasource.hikari.data-source-properties.idleTimeout=x\n",
        &[],
        &[],
    ),
    // Names.
    (
        "application.properties",
        "spring.datasource.hikari.maxPoolSize=10\nserver.port=80\n",
        &[],
        &["unknown-name:warning:1"],
    ),
    (
        "h.properties",
        "jdbcUrl=jdbc:x\nusername=u\npassword=p\npoolName=n\ndataSource.user=u\nminimumIdle=4\nmaxPoolSize=10\nmaximumpoolsize=9\n",
        &[],
        &["unknown-name:warning:7", "unknown-name:warning:8"],
    ),
    (
        "application.yml",
        "spring:\n  datasource:\n    url: x\n    hikari:\n      pool-name: a\n      max-pool-size: 10\n      data-source-properties:\n        cachePrepStmts: true\n",
        &[],
        &["unknown-name:warning:6"],
    ),
    (
        "a.js",
        "const p = new Pool({ host, user: 'u', ssl: {ca: 1}, connectionTimeoutMillis: 5000,\n idleTimeoutMilis: 5000, keepAlive: true,\n idleTimeout: 3, maxConnections: 5 })\n",
        &[],
        &["unknown-name:warning:2", "unknown-name:warning:3", "unknown-name:warning:3"],
    ),
    (
        "db.py",
        "e = create_engine(url=u, echo=True, pool_max=5, fast_executemany=True, connect_args={'pool_max': 1})\n",
        &[],
        &["unknown-name:warning:1"],
    ),
    (
        "db.py",
        "e = create_engine(u, max_overflw=5, poolSize=3)\n",
        &[],
        &["unknown-name:warning:1", "unknown-name:warning:1"],
    ),
    (
        "db.py",
        "from psycopg_pool import ConnectionPool\np = ConnectionPool(c, min_size=1, max_sise=5, kwargs={'a': 1})\n",
        &[],
        &["unknown-name:warning:2"],
    ),
    (
        "r.py",
        "import redis\np = redis.ConnectionPool(host='h', max_size=5, max_sise=5)\n",
        &["--format", "psycopg-pool"],
        &[],
    ),
    (
        "knexfile.js",
        "module.exports = { pool: { min: 0, max: 5, acquireTimeoutMilis: 5, afterCreate: f } }\n",
        &[],
        &["unknown-name:warning:1"],
    ),
    (
        "settings.py",
        "DATABASES = {'default': {'NAME': 'n', 'SCHEMA': 's', 'OPTIONS': {'pool': {'min_size': 2, 'maxsize': 9, 'max_idel': 3}}}}\n",
        &[],
        &["unknown-name:warning:1", "unknown-name:warning:1"],
    ),
    (
        "database.yml",
        "production:\n  adapter: postgresql\n  keepalives: 1\n  connect_timeout: 5\n  max_conections: 5\n  max_connections: 5\n",
        &[],
        &["unknown-name:warning:5"],
    ),
    (
        "appsettings.json",
        "{\"Db\": \"Host=h;Password=a;Maximun Pool Size=5;Command Timeout=3;Timeout=9\"}",
        &[],
        &["unknown-name:warning:1"],
    ),
    // Each document of Spring's by itself, over the first.
    (
        "application.yml",
        "spring.datasource.hikari: {maximum-pool-size: 20, minimum-idle: 5}\n",
        &["--format", "spring-boot"],
        &[],
    ),
    (
        "application.yml",
        "spring:\n  datasource:\n    hikari:\n      maximum-pool-size: 20\n      minimum-idle: 5\n---\n\
         spring:\n  config.activate.on-profile: prod\n  datasource:\n    hikari:\n      maximum-pool-size: 30\n---\n\
         spring:\n  datasource:\n    hikari:\n      minimum-idle: 25\n",
        &[],
        &["min-above-max:error:16"],
    ),
    (
        "application.yml",
        "a: 1\n---\nspring:\n  datasource:\n    hikari:\n      maximum-pool-size: 5\n      minimum-idle: 9\n",
        &[],
        &["min-above-max:error:7"],
    ),
    (
        "application.properties",
        "spring.datasource.hikari.maximum-pool-size=5\n#---\nspring.datasource.hikari.maximum-pool-size=9\nspring.datasource.hikari.minimum-idle=8\n",
        &[],
        &[],
    ),
    // Milliseconds where seconds are taken.
    (
        "db.py",
        "e = create_engine(u, pool_timeout=30000)\n",
        &[],
        &["milliseconds-for-seconds:warning:1", "wait-above-deadline:note:1"],
    ),
    (
        "db.py",
        "e = create_engine(u, pool_timeout=30, pool_pre_ping=True, pool_recycle=1800000)\n",
        &[],
        &["idle-above-balancer:note:1", "milliseconds-for-seconds:warning:1"],
    ),
    (
        "db.py",
        "e = create_engine(u, pool_timeout=3600, pool_recycle=28800)\n",
        &[],
        &["wait-above-deadline:note:1", "idle-above-balancer:note:1"],
    ),
    (
        "p.ini",
        "[pgbouncer]\nserver_idle_timeout = 600000\n",
        &[],
        &["idle-above-balancer:note:2", "idle-not-below-lifetime:warning:2", "milliseconds-for-seconds:warning:2"],
    ),
    (
        "a.js",
        "const p = new Pool({ connectionTimeoutMillis: 5000, maxLifetimeSeconds: 1800000 })\n",
        &[],
        &["idle-above-balancer:note:1", "lifetime-without-jitter:note:1", "milliseconds-for-seconds:warning:1"],
    ),
];

#[test]
fn each_trap_is_found_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (file, text, more, expected) in TRAPS.iter().chain(SLIPS) {
        let found = found(folder.path(), file, text, more);
        if found != *expected {
            wrong.push(format!("{text}\n  {more:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CLEAN: &str = "minimumIdle=4\nmaximumPoolSize=15\nconnectionTimeout=5000\nmaxLifetime=1800000\nidleTimeout=200000\n\
                     keepaliveTime=120000\nvalidationTimeout=2000\n";

#[test]
fn the_exit_code_follows_severity_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let code = |text: &str, more: &[&str]| lint(folder.path(), "h.properties", text, more).status.code();
    let output = lint(folder.path(), "h.properties", CLEAN, &["--fail-on", "note", "--instances", "6"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(stdout(&output), "h.properties: read as HikariCP: 0 errors, 0 warnings, 0 notes\n");
    assert_eq!(code("maxLifetime=0", &[]), Some(0));
    assert_eq!(code("maxLifetime=0", &["--fail-on", "note"]), Some(10));
    assert_eq!(code("maxLifetime=9", &[]), Some(10));
    assert_eq!(code("maxLifetime=9", &["--fail-on", "error"]), Some(0));
    assert_eq!(code("maxLifetime=9", &["--allow", "value-silently-replaced"]), Some(0));
    let output = lint(folder.path(), "h.properties", "maxLifetime=9", &[]);
    insta::assert_snapshot!(stdout(&output));
    let rules = stdout(&pool_tune(folder.path(), &["lint", "--list-rules"]));
    for rule in pool_tune::lint::RULES {
        assert!(rules.contains(rule.id), "{rules}");
    }
}

#[test]
fn what_cannot_be_read_is_told_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text, more, problem) in [
        ("settings.py", "DATABASES = {'PASSWORD': 'hunter2',\n 'x': ('hunter2' }\n", &[][..], "line "),
        ("a.yaml", "password: hunter2\npool: [hunter2\n", &[], "line 2"),
        ("a.toml", "password = hunter2\n", &[], "line 1"),
        ("a.json", "{\"password\": \"hunter2\"}", &[], "it has no setting under a name of JSON"),
        ("a.txt", "hunter2", &[], "to tell what `a.txt` is by its name"),
        ("a.ini", "", &[], "no setting"),
        ("b.ini", "default_pool_size=3", &["--allow", "no-such"], "`no-such` is not a rule"),
        ("b.ini", "default_pool_size=3", &["--format", "hikari2"], "did you mean `hikari`"),
        ("b.ini", "default_pool_size=3", &["--target", "postgres://u:hunter2@127.0.0.1:x/d"], "the database URL"),
    ] {
        let output = lint(folder.path(), file, text, more);
        assert_eq!(output.status.code(), Some(2), "{file}: {}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{file}: {}", stderr(&output));
        assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
    }
    assert_eq!(pool_tune(folder.path(), &["lint", "none.ini"]).status.code(), Some(2));
    fs::write(folder.path().join("b.ini"), "default_pool_size=3").unwrap();
    let output = pool_tune(folder.path(), &["lint", "b.ini", "--target", "postgres://u:hunter2@127.0.0.1:1/d"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    for kind in ["text", "json", "sarif"] {
        let text = "{\"Db\": \"Host=h;Password=hunter2;Timeout=0;Maximum Pool Size=hunter2\"}";
        let output = lint(folder.path(), "appsettings.json", text, &["--output", kind]);
        assert!(stdout(&output).contains("zero-waits-for-ever"), "{}", stdout(&output));
        assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
    }
}

#[test]
fn several_files_and_standard_input_are_linted_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("a.ini"), "[pgbouncer]\nserver_lifetime = 0\n").unwrap();
    fs::write(path.join("b.properties"), CLEAN).unwrap();
    fs::write(path.join("empty.toml"), " \n").unwrap();
    let output = pool_tune(path, &["lint", "a.ini", "b.properties"]);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(
        shown.contains("a.ini:2:1: warning: ") && shown.contains("b.properties: read as HikariCP: 0 errors"),
        "{shown}"
    );
    let output = pool_tune(path, &["lint", "a.ini", "b.properties", "--output", "json"]);
    let json: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["files"][0]["findings"][0]["rule"], "zero-used-once");
    assert_eq!(json["files"][1]["findings"], serde_json::json!([]));
    // What can be read is told all the same.
    let output = pool_tune(path, &["lint", "a.ini", "empty.toml", "none.ini"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stdout(&output).contains("[zero-used-once]"), "{}", stdout(&output));
    let told = stderr(&output);
    assert!(told.contains("`empty.toml`: the file is empty") && told.contains("none.ini"), "{told}");
    for (arguments, shown) in [
        (&["--format", "pgbouncer"][..], "<stdin>:2:1: warning: "),
        (&[], "<stdin>: read as PgBouncer: 0 errors, 1 warning"),
        (&["--output", "sarif"], "\"uri\": \"stdin\""),
    ] {
        let input = fs::File::open(path.join("a.ini")).unwrap();
        let output = program(path).args(["lint", "-"]).args(arguments).stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
        assert!(stdout(&output).contains(shown), "{}", stdout(&output));
    }
}

/// Its name tells nothing, so its content does.
#[test]
fn a_file_without_an_ending_is_known_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text, title) in [
        ("pgbouncer", "[pgbouncer]\ndefault_pool_size = 9\n", "PgBouncer"),
        ("hikari", "maximumPoolSize=9\njdbcUrl=x\n", "HikariCP"),
        ("db", "from sqlalchemy import create_engine\ne = create_engine(u, pool_size=5)\n", "SQLAlchemy"),
        ("app", "spring:\n  datasource:\n    hikari:\n      maximum-pool-size: 9\n", "Spring Boot"),
        ("pool", "const p = new Pool({ max: 5, connectionTimeoutMillis: 5 })\n", "node-postgres"),
        ("environment", "DB_MAX_CONNECTIONS=9\nDB_IDLE_TIMEOUT=60\n", "environment variables"),
        ("settings", "{\"max_connections\": 9}\n", "JSON"),
        ("values", "pool:\n  max_connections: 9\n", "YAML"),
        ("database", "Host=h;Maximum Pool Size=9;Timeout=5\n", "Npgsql"),
    ] {
        let output = lint(folder.path(), file, text, &[]);
        assert!(
            stdout(&output).contains(&format!("{file}: read as {title}: ")),
            "{}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn sarif_tells_of_files_that_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.ini"), "[pgbouncer]\nserver_lifetime = 0\n").unwrap();
    fs::write(folder.path().join("b.toml"), "password = hunter2\n").unwrap();
    for (files, results) in [(&["none.ini"][..], 0), (&["a.ini", "none.ini", "b.toml"], 1)] {
        let output = pool_tune(folder.path(), &[&["lint", "--output", "sarif"], files].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
        let sarif: Json = serde_json::from_slice(&output.stdout).unwrap();
        let run = &sarif["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), results);
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        assert_eq!(invocation["exitCode"], 2);
        let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
        assert_eq!(notifications.len(), files.len() - results);
        let first = &notifications[0];
        assert_eq!(first["level"], "error");
        assert!(first["message"]["text"].as_str().unwrap().contains("there is no such file"));
        assert_eq!(first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "none.ini");
    }
}

#[test]
fn sarif_has_what_its_schema_requires() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a b")).unwrap();
    let path = folder.path().join("a b/größe.ini");
    fs::write(&path, "[pgbouncer]\n  server_lifetime = 0\n").unwrap();
    let output = pool_tune(folder.path(), &["lint", path.to_str().unwrap(), "--output", "sarif"]);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let sarif: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["invocations"], serde_json::json!([{"executionSuccessful": true}]));
    let (driver, result) = (&run["tool"]["driver"], &run["results"][0]);
    assert_eq!(driver["name"], "pool-tune");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
    assert_eq!(result["ruleId"], "zero-used-once");
    assert!(result["message"]["text"].as_str().unwrap().contains("uses each connection once"));
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b/gr%C3%B6%C3%9Fe.ini");
    assert_eq!(location["region"], serde_json::json!({"startLine": 2, "startColumn": 3}));
    for rule in driver["rules"].as_array().unwrap() {
        assert!(["note", "warning", "error"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
        assert!(!rule["shortDescription"]["text"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_server_s_limits_are_compared_with() {
    let cluster = Cluster::start("max_connections = 40\nidle_session_timeout = '10min'");
    let url = format!("postgres://postgres:hunter2@127.0.0.1:{}/postgres?sslmode=disable", cluster.port());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let text = "default_pool_size = 20\nserver_idle_timeout = 700\nserver_lifetime = 900\n";
        let output = lint(&path, "p.ini", text, &["--target", &url, "--instances", "2"]);
        assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
        let shown = stdout(&output);
        assert!(shown.contains("p.ini:1:1: error: 2 × 20 = 40 connections are more than the 37 that"), "{shown}");
        assert!(shown.contains("(40 less 3 reserved) [fleet-above-server]"), "{shown}");
        assert!(shown.contains("(idle_session_timeout) [idle-above-server]"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let text = "default_pool_size = 18\nserver_idle_timeout = 200\n";
        assert_eq!(found(&path, "p.ini", text, &["--target", &url, "--instances", "2"]), Vec::<String>::new());
    })
    .await
    .unwrap();
}
