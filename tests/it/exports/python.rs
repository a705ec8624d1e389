use serde_json::json;

use super::{assert_waits, exported, read_by_python};

/// What the pool of a format holds, without what the libraries beside it hold, which is checked here.
fn pool(format: &str, validation_query: &str) -> serde_json::Value {
    let mut found = read_by_python(format, &exported(format, validation_query));
    let held = found.as_object_mut().unwrap();
    assert_eq!(held.remove("tries"), Some(json!(5)));
    assert_waits(&held.remove("waits").unwrap(), 1.0, 0.2);
    assert_eq!(held.remove("fail_max"), Some(json!(6)));
    assert_eq!(held.remove("reset_timeout"), Some(json!(25)));
    assert_eq!(held.remove("success_threshold"), Some(json!(3)));
    found
}

#[test]
fn sqlalchemy_makes_the_pool() {
    let expected = |ping| json!({"class": "QueuePool", "size": 17, "overflow": 0, "timeout": 12, "recycle": 2100, "pre_ping": ping});
    assert_eq!(pool("sqlalchemy", "SELECT 1"), expected(true));
    assert_eq!(pool("sqlalchemy", ""), expected(false));
}

#[test]
fn psycopg_pool_and_django_make_the_pool() {
    for format in ["psycopg-pool", "django"] {
        for (query, checks) in [("SELECT 1", true), ("", false)] {
            let expected = json!({
                "min_size": 4, "max_size": 17, "timeout": 12, "max_lifetime": 2100, "max_idle": 240, "checks": checks,
            });
            assert_eq!(pool(format, query), expected, "{format}");
        }
    }
}

#[test]
fn asyncpg_makes_the_pool() {
    let expected = json!({"min_size": 4, "max_size": 17, "max_inactive": 240, "acquire": {"timeout": 12}});
    assert_eq!(pool("asyncpg", "SELECT 1"), expected);
}
