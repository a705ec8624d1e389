use super::*;
use crate::model::Value;

fn settings() -> Settings {
    let number = |setting, number| Value::from_number(setting, number).unwrap();
    Settings::default()
        .with(Setting::MaxConnections, number(Setting::MaxConnections, 15.0))
        .with(Setting::MinConnections, number(Setting::MinConnections, 3.0))
        .with(Setting::InitialRetryDelay, number(Setting::InitialRetryDelay, 0.25))
}

fn rewritten(syntax: Syntax, text: &str, within: Option<&str>) -> Result<Rewritten, IntoError> {
    let prefix = Prefix::parse("APP").unwrap();
    rewrite(syntax, text, Wanted::all(&settings()), Names { prefix: &prefix, within })
}

/// The text without the block of what was added.
fn kept(syntax: Syntax, text: &str) -> String {
    let whole = rewritten(syntax, text, None).unwrap_or_else(|error| panic!("{error}: {text:?}")).text;
    match whole.split_once(BEGIN) {
        Some((before, after)) => {
            assert_eq!(after.matches(END).count(), 1, "{whole}");
            before.to_owned()
        }
        None => whole,
    }
}

#[track_caller]
fn python_value(line: &str, expected: &str) {
    assert_eq!(kept(Syntax::Python, &format!("{line}\n")), format!("{expected}\n\n"));
}

#[test]
fn a_value_is_replaced_in_its_own_form() {
    python_value("APP_MAX_CONNECTIONS = 30  # ours", "APP_MAX_CONNECTIONS = 15  # ours");
    python_value("APP_MAX_CONNECTIONS: int = 30", "APP_MAX_CONNECTIONS: int = 15");
    python_value("APP_MAX_CONNECTIONS = (\n  30 # a\n)", "APP_MAX_CONNECTIONS = (\n  15 # a\n)");
    python_value("APP_MAX_CONNECTIONS = -1 * 4", "APP_MAX_CONNECTIONS = 15");
    python_value("APP_MAX_CONNECTIONS = int(os.getenv('A', '2'))", "APP_MAX_CONNECTIONS = int(os.getenv('A', '15'))");
    python_value(
        "APP_MAX_CONNECTIONS = int(os.environ.get(\"A\", 2)) # é",
        "APP_MAX_CONNECTIONS = int(os.environ.get(\"A\", 15)) # é",
    );
    python_value("APP_MAX_CONNECTIONS = int(os.getenv('A') or 2)", "APP_MAX_CONNECTIONS = int(os.getenv('A') or 15)");
    python_value("APP_MAX_CONNECTIONS = env.int('A', default=2)", "APP_MAX_CONNECTIONS = env.int('A', default=15)");
    python_value("APP_MAX_CONNECTIONS: int = Field(2, ge=1)", "APP_MAX_CONNECTIONS: int = Field(15, ge=1)");
    python_value("APP_MAX_CONNECTIONS = os.getenv('A', \"2\")", "APP_MAX_CONNECTIONS = os.getenv('A', \"15\")");
    python_value("app['APP_MAX_CONNECTIONS'] = 2", "app['APP_MAX_CONNECTIONS'] = 15");
    python_value("APP_VALIDATION_QUERY = \"\"\"SELECT 2\"\"\"", "APP_VALIDATION_QUERY = \"SELECT 1\"");
}

#[test]
fn a_value_that_is_the_same_stays_as_it_is_written() {
    for line in [
        "APP_MAX_CONNECTIONS = 0xf",
        "APP_MAX_CONNECTIONS = 3 * (6 - 1)",
        "APP_MAX_CONNECTIONS = int('1_5')",
        "APP_MAX_CONNECTIONS = 15.0",
        "APP_VALIDATION_QUERY = r'SELECT ' \"\\x31\"",
        "APP_INITIAL_RETRY_DELAY = .25",
        "X = 1\nAPP_MAX_CONNECTIONS = 15",
        "APP_MAX_CONNECTIONS = 15; y = 2\nif y: z = 1; w = 2\nelif w:\n  # c\n    v = 1\n # d\n    u = 2; t = 3\nelse: pass",
        "APP_MAX_CONNECTIONS = 15\n@f\nclass C(\n  D):\n\t@f\n\tdef g(\n self):\n\t\t'''\na'''\n\t\ttry: pass\n\t\texcept E as e:\n\t\t\tpass\n\tx = [\n1]",
        "APP_MAX_CONNECTIONS = 15\nmatch x:\n  case 1:\n    y = 1\n  case _: y = 2\nasync def f():\n  async with a as b, c: \\\n d\n  return 1",
        "APP_MAX_CONNECTIONS = 15\ndef f():\n    APP_MAX_CONNECTIONS = 3\n    return APP_MAX_CONNECTIONS",
    ] {
        python_value(line, line);
    }
}

#[test]
fn dictionaries_are_the_pool_s_where_there_is_reason_to_think_so() {
    for (text, expected) in [
        ("connection_pool_config = {'max_connections': 9}", "connection_pool_config = {'max_connections': 15,"),
        ("d = {'max_connections': 9, 'min_connections': 1}", "d = {'max_connections': 15, 'min_connections': 3,"),
        ("redis = {'max_connections': 9}", "redis = {'max_connections': 9}"),
        (
            "APP_MAX_CONNECTIONS = 9\nredis = {'max_connections': 9, 'idle_timeout': 1}",
            "APP_MAX_CONNECTIONS = 15\nredis = {'max_connections': 9, 'idle_timeout': 1}",
        ),
        (
            "APP_MAX_CONNECTIONS = 9\nconnection_pool_config = {'max_connections': APP_MAX_CONNECTIONS}",
            "APP_MAX_CONNECTIONS = 15\nconnection_pool_config = {'max_connections': APP_MAX_CONNECTIONS}",
        ),
    ] {
        assert_eq!(kept(Syntax::Python, text).trim_end(), expected);
    }
}

#[test]
fn the_guide_s_names_may_be_keywords_and_keys_that_are_assigned_to() {
    let all = |between: &str, pair: fn(&str, &str) -> String| {
        let pairs = Setting::TABLE.iter().map(|spec| match spec.setting {
            Setting::ValidationQuery => pair(spec.name, "''"),
            _ => pair(spec.name, "7"),
        });
        pairs.collect::<Vec<_>>().join(between)
    };
    for text in [
        format!("d = dict({})", all(", ", |name, value| format!("{name}={value}"))),
        all("\n", |name, value| format!("connection_pool_config['{name}'] = {value}")),
    ] {
        let whole = rewritten(Syntax::Python, &text, None).unwrap();
        assert_eq!(whole.changes.len(), 15);
        assert!(whole.text.contains("'SELECT 1'") && !whole.text.contains(BEGIN), "{}", whole.text);
    }
}

#[test]
fn what_is_missing_joins_what_is_there() {
    let class = "class C:\r\n\tAPP_MAX_CONNECTIONS = 9 # a\r\n\r\n\tdef f(self): pass\r\nx = 1\r\n";
    let text = rewritten(Syntax::Python, class, None).unwrap().text;
    assert!(text.contains("pass\r\n\t# pool-tune: begin"), "{text}");
    assert!(text.ends_with("\tAPP_CIRCUIT_BREAKER_RESET = 2\r\n\t# pool-tune: end\r\nx = 1\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());

    let dictionary = "connection_pool_config = {\n  \"max_connections\": 9 # most\n}\n";
    let text = rewritten(Syntax::Python, dictionary, None).unwrap().text;
    assert!(
        text.starts_with("connection_pool_config = {\n  \"max_connections\": 15, # most\n  # pool-tune: begin"),
        "{text}"
    );
    assert!(text.ends_with("  \"circuit_breaker_reset\": 2,\n  # pool-tune: end\n}\n"), "{text}");

    // A line that was taken out of the block comes back into it.
    let without = text.replace("  \"idle_timeout\": 300,\n", "");
    assert_ne!(without, text);
    let again = rewritten(Syntax::Python, &without, None).unwrap().text;
    assert_eq!(again.matches(BEGIN).count(), 1, "{again}");
    assert!(again.ends_with("  \"idle_timeout\": 300,\n  # pool-tune: end\n}\n"), "{again}");
}

#[test]
fn doubt_leaves_the_file_alone() {
    let message = |text: &str| rewritten(Syntax::Python, text, None).unwrap_err().to_string();
    assert_eq!(
        message("x = 1\nAPP_MAX_CONNECTIONS = 1\nclass C:\n    APP_MAX_CONNECTIONS = 2\n"),
        "`APP_MAX_CONNECTIONS` is defined in line 2 and in line 4, so that it is open which one counts; remove one, or \
         name the class, dictionary, table or mapping to change with --within"
    );
    assert_eq!(message("x = 1\ny = (2\n"), "line 2 is not understood: `y = (2`; mend the line, then try again");
    assert_eq!(
        message("APP_MAX_CONNECTIONS = BASE * 2"),
        "line 1: `APP_MAX_CONNECTIONS` is not a plain value but `BASE * 2`; write 15 there by hand"
    );
    assert!(message("APP_INITIAL_RETRY_DELAY = int(os.getenv('A', '1'))").contains("write float() in its place"));
    assert!(message("APP_MAX_CONNECTIONS = int(os.environ['A'])").contains("write 15 there by hand"));
    assert!(message("APP_MAX_CONNECTIONS = os.getenv('A')").contains("has no default"));
    assert!(message("APP_MAX_CONNECTIONS = '30s'").contains("which is no number"));
    assert!(
        message("pool['max_connections'] = 9").contains("add by hand there: min_connections = 3, connection_timeout")
    );
    assert!(message("a, APP_MAX_CONNECTIONS = 1, 2").contains("together with other names"));
    assert!(message("a = APP_MAX_CONNECTIONS = 1").contains("together with another name"));
    assert!(message("APP_VALIDATION_QUERY = ('a' # why\n 'b')").contains("comment within its value"));
    for text in [
        "x = 1\n  y = 2",
        "if x:\n    y = 1\n   z = 2",
        "if x:\n    y = 1\n      z = 2",
        "def f():\nreturn 1",
        "x = 1\nprint 'a'",
        "x = 1\ry = 2",
    ] {
        assert!(message(text).contains("is not understood"), "{text}");
    }
    assert!(message("# -*- coding: latin-1 -*-\n").contains("encoding is latin-1"));
    assert!(message(&format!("x = {}1", "(".repeat(50_000))).contains("line 1 is not understood"));
}

#[test]
fn a_part_can_be_named() {
    let text = "class Dev:\n    APP_MAX_CONNECTIONS = 1\nclass Prod:\n    APP_MAX_CONNECTIONS = 2\n";
    let changed = rewritten(Syntax::Python, text, Some("Prod")).unwrap().text;
    assert!(
        changed.starts_with("class Dev:\n    APP_MAX_CONNECTIONS = 1\nclass Prod:\n    APP_MAX_CONNECTIONS = 15\n")
    );
    assert_eq!(rewritten(Syntax::Python, text, Some("Test")), Err(IntoError::NoSuchPart("Test".to_owned())));
}

#[test]
fn another_prefix_is_told() {
    let hint = rewritten(Syntax::Python, "DB_MAX_CONNECTIONS = 1\nDB_IDLE_TIMEOUT = 1\n", None).unwrap().hint;
    assert!(hint.unwrap().ends_with("add --prefix DB"));
}

#[test]
fn variables_keep_quotes_exports_and_comments() {
    let text = "# APP_MAX_CONNECTIONS=1\r\n export APP_MAX_CONNECTIONS=\"30\" # most\r\nKEY='a\r\nAPP_MIN_CONNECTIONS=8'\r\n\
                APP_MIN_CONNECTIONS = 2#x\r\n";
    let error = rewritten(Syntax::Env, text, None).unwrap_err().to_string();
    assert!(error.starts_with("line 5: `APP_MIN_CONNECTIONS` is `2#x`, which is no number"), "{error}");
    let text = text.replace("2#x", "2 #x");
    let expected = text.replace("\"30\"", "\"15\"").replace("= 2 #", "= 3 #") + "\r\n";
    assert_eq!(kept(Syntax::Env, &text), expected);
    for (line, expected) in [
        ("APP_MAX_CONNECTIONS='30'", "APP_MAX_CONNECTIONS='15'"),
        ("APP_MAX_CONNECTIONS=", "APP_MAX_CONNECTIONS=15"),
        ("APP_VALIDATION_QUERY=SELECT 2", "APP_VALIDATION_QUERY='SELECT 1'"),
        ("APP_VALIDATION_QUERY=SELECT 1", "APP_VALIDATION_QUERY=SELECT 1"),
        ("APP_VALIDATION_QUERY='SEL'\"ECT 1\"", "APP_VALIDATION_QUERY='SEL'\"ECT 1\""),
        ("don't=1", "don't=1"),
    ] {
        assert_eq!(kept(Syntax::Env, line).trim_end(), expected);
    }
    for text in ["export APP_MAX_CONNECTIONS=1 APP_MIN_CONNECTIONS=2", "APP_MAX_CONNECTIONS='1"] {
        assert!(matches!(rewritten(Syntax::Env, text, None), Err(IntoError::Syntax { line: 1, .. })), "{text}");
    }
    let twice = rewritten(Syntax::Env, "APP_MAX_CONNECTIONS=1\n\nAPP_MAX_CONNECTIONS=1\n", None);
    assert!(matches!(twice, Err(IntoError::Twice { first: 1, second: 3, .. })));
}

#[test]
fn toml_keeps_its_form() {
    let text = "a = 1 # é\r\n[connection_pool]\r\nmax_connections=30   # most\r\ninitial_retry_delay = 1.0\r\n\
                validation_query = 'SELECT 2'\r\n[other]\r\nmax_connections = 3\r\n";
    let whole = rewritten(Syntax::Toml, text, None).unwrap().text;
    let (before, after) = whole.split_once(BEGIN).unwrap();
    assert!(
        before.ends_with(
            "max_connections=15   # most\r\ninitial_retry_delay = 0.25\r\nvalidation_query = 'SELECT 1'\r\n"
        )
    );
    assert!(after.ends_with("# pool-tune: end\r\n[other]\r\nmax_connections = 3\r\n"));
    let without = whole.replace("idle_timeout = 300\r\n", "");
    assert_eq!(rewritten(Syntax::Toml, &without, None).unwrap().text.matches(BEGIN).count(), 1);
    let empty = rewritten(Syntax::Toml, "x = 1", None).unwrap().text;
    assert!(empty.starts_with(&format!("x = 1\n\n{BEGIN}\n[connection_pool]\nmin_connections = 3\n")), "{empty}");
    for (text, problem) in [
        ("a = 1\nb = \n", "line 2 is not understood: `b =`"),
        ("connection_pool = { max_connections = 3 }", "line 1: `connection_pool` is no table with a header"),
        ("[connection_pool]\nidle_timeout = \"30s\"", "line 2: `idle_timeout` is `\"30s\"`; write 300 there by hand"),
    ] {
        let error = rewritten(Syntax::Toml, text, None).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}

/// What becomes of a text when only the number of connections is written.
fn changed_only(syntax: Syntax, text: &str, within: Option<&str>) -> Result<Rewritten, IntoError> {
    let prefix = Prefix::parse("APP").unwrap();
    rewrite(syntax, text, Wanted::only(&settings(), &[Setting::MaxConnections]), Names { prefix: &prefix, within })
}

#[test]
fn what_is_not_written_is_told_where_it_differs() {
    for (syntax, text, line) in [
        (Syntax::Python, "APP_IDLE_TIMEOUT = 600\nAPP_RETRY_ATTEMPTS = 3\nAPP_MAX_CONNECTIONS = 9\n", 1),
        (Syntax::Env, "APP_RETRY_ATTEMPTS=3\nAPP_IDLE_TIMEOUT='600'\nAPP_MAX_CONNECTIONS=9\n", 2),
        (Syntax::Toml, "[connection_pool]\nidle_timeout = 600\nretry_attempts = 3\nmax_connections = 9\n", 2),
        (Syntax::Yaml, "connection_pool:\n  idle_timeout: 600\n  retry_attempts: 3\n  max_connections: 9\n", 2),
    ] {
        let rewritten = changed_only(syntax, text, None).unwrap();
        assert_eq!(rewritten.text, text.replacen('9', "15", 1), "{syntax:?}");
        assert_eq!(rewritten.changes.len(), 1);
        let [left] = rewritten.left.as_slice() else { panic!("{:?}", rewritten.left) };
        assert_eq!((left.line, left.setting), (line, Setting::IdleTimeout));
        assert_eq!(left.has.as_deref().map(|text| text.trim_matches('\'')), Some("600"));
    }
    // What is not written cannot stand in the way either.
    let text = "APP_IDLE_TIMEOUT = BASE * 2\nAPP_MAX_CONNECTIONS = 9\nAPP_IDLE_TIMEOUT = 300\n";
    let rewritten = changed_only(Syntax::Python, text, None).unwrap();
    assert_eq!(rewritten.text, text.replacen('9', "15", 1));
    assert_eq!(rewritten.left, [Left { line: 1, setting: Setting::IdleTimeout, has: None }]);
}

#[test]
fn a_missing_setting_is_added_where_it_is_written_and_an_empty_file_takes_all() {
    let added = changed_only(Syntax::Yaml, "a: 1\n", None).unwrap();
    assert!(added.text.contains("\nconnection_pool:\n  max_connections: 15\n# pool-tune: end"), "{}", added.text);
    for (syntax, text) in [(Syntax::Python, "\n"), (Syntax::Env, ""), (Syntax::Toml, "\u{feff}"), (Syntax::Yaml, "")] {
        assert_eq!(changed_only(syntax, text, None).unwrap().changes.len(), Setting::TABLE.len(), "{syntax:?}");
    }
}

#[test]
fn a_time_with_its_unit_stays_where_it_is_the_same() {
    for (syntax, text) in [
        (Syntax::Python, "APP_IDLE_TIMEOUT = os.getenv('A', '5m')\n"),
        (Syntax::Env, "APP_IDLE_TIMEOUT=300s\n"),
        (Syntax::Toml, "[connection_pool]\nidle_timeout = \"5m\"\n"),
        (Syntax::Yaml, "connection_pool:\n  idle_timeout: 5m\n"),
    ] {
        let rewritten = rewritten(syntax, text, None).unwrap();
        assert!(rewritten.text.starts_with(text.trim_end()), "{}", rewritten.text);
        assert!(rewritten.changes.iter().all(|change| !change.name.eq_ignore_ascii_case("app_idle_timeout")));
        let other = text.replace("5m", "7m").replace("300s", "7m");
        let error = super::tests::rewritten(syntax, &other, None).unwrap_err().to_string();
        assert!(error.contains("write 300 there by hand"), "{error}");
    }
}

#[test]
fn a_nested_part_is_named_with_dots() {
    let yaml = "cache:\n  pool:\n    max_connections: 1\ndatabase:\n  pool:\n    max_connections: 2\n";
    let toml = "[cache.pool]\nmax_connections = 1\n[database]\n[database.pool]\nmax_connections = 2\n";
    for (syntax, text) in [(Syntax::Yaml, yaml), (Syntax::Toml, toml)] {
        let rewritten = changed_only(syntax, text, Some("database.pool")).unwrap();
        assert_eq!(rewritten.text, text.replace('2', "15"));
        let nowhere = changed_only(syntax, text, Some("database.cache"));
        assert_eq!(nowhere, Err(IntoError::NoSuchPart("database.cache".to_owned())));
    }
    // A name with a dot in it is a name as well.
    let text = "\"database.pool\":\n  max_connections: 2\n";
    assert_eq!(changed_only(Syntax::Yaml, text, Some("database.pool")).unwrap().text, text.replace(": 2", ": 15"));
}

#[test]
fn spring_boot_s_file_is_left_to_its_own_format() {
    for text in [
        "spring:\n  datasource:\n    hikari:\n      maximum-pool-size: 30\n",
        "server:\n  port: 1\nspring.datasource.url: jdbc:h2:mem\n",
    ] {
        let error = rewritten(Syntax::Yaml, text, None).unwrap_err().to_string();
        assert!(error.contains("Spring Boot") && error.contains("export --format spring-boot`"), "{error}");
    }
    let hikari = "spring:\n  datasource:\n    hikari:\n      maximum-pool-size: 30\n";
    assert!(matches!(
        rewritten(Syntax::Yaml, hikari, Some("hikari")),
        Err(IntoError::OtherPool { line: 1 | 2, format: "spring-boot", .. })
    ));
    // Beside names that are ours it is the application's affair.
    rewritten(Syntax::Yaml, &format!("{hikari}connection_pool:\n  max_connections: 3\n"), None).unwrap();
}

#[test]
fn yaml_s_added_numbers_are_plain() {
    let text = "connection_pool:\n  connection_lifetime: \"3600\"\n  max_connections: 9\n";
    let whole = rewritten(Syntax::Yaml, text, None).unwrap().text;
    assert!(whole.contains("connection_lifetime: \"3600\"\n") && whole.contains("min_connections: 3\n"), "{whole}");
    let mixed =
        rewritten(Syntax::Yaml, "e:\n  APP_MAX_CONNECTIONS: \"9\"\n  APP_IDLE_TIMEOUT: 1\n", None).unwrap().text;
    assert!(mixed.contains("  APP_MIN_CONNECTIONS: 3\n"), "{mixed}");
}

#[test]
fn files_are_known_by_their_names() {
    for (name, syntax) in [
        ("config.py", Some(Syntax::Python)),
        (".env", Some(Syntax::Env)),
        (".env.production", Some(Syntax::Env)),
        ("pool.env", Some(Syntax::Env)),
        ("Pool.TOML", Some(Syntax::Toml)),
        ("values.yml", Some(Syntax::Yaml)),
        ("config", None),
        ("a.json", None),
    ] {
        assert_eq!(Syntax::of(name), syntax, "{name}");
    }
}

#[track_caller]
fn yaml_value(before: &str, after: &str) {
    assert_eq!(kept(Syntax::Yaml, before).trim_end(), after.trim_end());
}

#[test]
fn yaml_keeps_its_form() {
    for (before, after) in [
        ("connection_pool:\n  max_connections: 30   # größe\n", "connection_pool:\n  max_connections: 15   # größe\n"),
        ("pool: {max_connections: '30', a: 1}", "pool: {max_connections: '15', a: 1,"),
        ("\u{feff}max_connections:\r\nb: [1, 2]\r\n", "\u{feff}max_connections: 15\r\nb: [1, 2]\r\n"),
        ("\"max_connections\": ~\n", "\"max_connections\": 15\n"),
        ("a: &x 1\nmax_connections: 0x1e\nb: *x\n", "a: &x 1\nmax_connections: 15\nb: *x\n"),
        ("max_connections: 15.0\nvalidation_query: SELECT 1\n", "max_connections: 15.0\nvalidation_query: SELECT 1\n"),
        ("validation_query: 'SELECT 2'\n", "validation_query: 'SELECT 1'\n"),
        ("validation_query: \"SELECT \\x31\"\n", "validation_query: \"SELECT \\x31\"\n"),
        (
            "services:\n  web:\n    environment:\n      APP_MAX_CONNECTIONS: \"30\"\n",
            "services:\n  web:\n    environment:\n      APP_MAX_CONNECTIONS: \"15\"\n",
        ),
        (
            "redis: {max_connections: 3}\n---\nx: |\n  max_connections: 4\n\n",
            "redis: {max_connections: 3}\n---\nx: |\n  max_connections: 4\n\n",
        ),
    ] {
        yaml_value(before, after);
    }
    let added = rewritten(Syntax::Yaml, "env:\n  APP_MAX_CONNECTIONS: \"30\"\nz: 1", None).unwrap().text;
    assert!(added.contains("  APP_MIN_CONNECTIONS: \"3\"\n") && added.ends_with("  # pool-tune: end\nz: 1"), "{added}");
    let joined = rewritten(Syntax::Yaml, &added.replace("  APP_IDLE_TIMEOUT: \"300\"\n", ""), None).unwrap().text;
    assert_eq!(joined.matches(BEGIN).count(), 1);
    let empty = rewritten(Syntax::Yaml, "", None).unwrap().text;
    assert!(empty.contains("\nconnection_pool:\n  min_connections: 3\n"), "{empty}");
    let part = "dev:\n  max_connections: 1\n  idle_timeout: 9\nprod:\n  max_connections: 2\n  idle_timeout: 9\n";
    let part = rewritten(Syntax::Yaml, part, Some("prod")).unwrap().text;
    assert!(
        part.starts_with("dev:\n  max_connections: 1\n  idle_timeout: 9\nprod:\n  max_connections: 15\n"),
        "{part}"
    );
}

#[test]
fn yaml_in_doubt_is_left_alone() {
    for (text, problem) in [
        ("pool: {max_connections: *n}\nx: &n 3\n", "line 1 is not understood"),
        ("x: &n 3\npool: {max_connections: *n}\n", "line 2: `max_connections` repeats an anchor"),
        ("max_connections: &n 3\nx: *n\n", "line 1: `max_connections` bears an anchor"),
        ("max_connections: !!int '3'\n", "line 1: `max_connections` bears a tag"),
        ("max_connections: 30s\n", "line 1: `max_connections` is `30s`, which is no number; write 15"),
        ("max_connections: ${MAX}\n", "line 1: `max_connections` is `${MAX}`"),
        ("max_connections: |\n  3\n", "line 1: `max_connections` is `|"),
        ("max_connections: [3]\n", "line 1: `max_connections` is `[3]`"),
        ("max_connections: 1\nmax_connections: 2\n", "`max_connections` is defined in line 1 and in line 2"),
        ("max_connections: 1\n---\nmax_connections: 2\n", "`max_connections` is defined in line 1 and in line 3"),
        ("a: 1\nb: [\n", "line 2 is not understood"),
        ("a: 1\nb:\n\tc: 2\n", "line "),
        ("a: 1\rb: 2\n", "line 1 is not understood"),
        ("- a\n- b\n", "line 1: `connection_pool` is not there, and the file is no block"),
        (
            "environment:\n  - APP_MAX_CONNECTIONS=3\n",
            "line 2: `connection_pool` is not there, but APP_MAX_CONNECTIONS is",
        ),
    ] {
        let error = rewritten(Syntax::Yaml, text, None).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{text:?}: {error}");
    }
    assert_eq!(rewritten(Syntax::Yaml, "a: 1", Some("b")), Err(IntoError::NoSuchPart("b".to_owned())));
    rewritten(Syntax::Yaml, &format!("a: {}", "[".repeat(50_000)), None).unwrap_err();
}
