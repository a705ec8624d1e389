use std::{fs, path::Path};

use pool_tune::model::{Recommendation, Setting};

use super::{pool_tune, read, stderr, stdout};

const CONFIG: &str =
    "\u{feff}# größe\r\nimport os\r\nclass Config:\r\n\tDB_MAX_CONNECTIONS: int = int(os.getenv('N', '30')) # ours\r\n";

fn run(folder: &Path, more: &[&str]) {
    let arguments = ["run", "--target", "simulated", "--seed", "11", "--trials", "20", "--prefix", "DB"];
    let output = pool_tune(folder, &[&arguments, more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_configuration_takes_a_run_s_settings_and_gives_them_to_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.py");
    run(folder.path(), &["--profile", "heavy", "--name", "run"]);
    fs::write(&path, CONFIG).unwrap();
    let export = |more: &[&str]| pool_tune(folder.path(), &[&["export", "--into", "config.py"], more].concat());

    let output = export(&["--check"]);
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("config.py:4: DB_MAX_CONNECTIONS '30' -> '"), "{}", stdout(&output));
    let output = export(&["--diff"]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("--- config.py\n+++ config.py\n@@ -"), "{}", stdout(&output));
    assert_eq!(fs::read_to_string(&path).unwrap(), CONFIG);

    let output = export(&["--all"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("config.py.bak")).unwrap(), CONFIG);
    let changed = fs::read_to_string(&path).unwrap();
    assert!(changed.starts_with(
        "\u{feff}# größe\r\nimport os\r\nclass Config:\r\n\tDB_MAX_CONNECTIONS: int = int(os.getenv('N', '"
    ));
    assert!(export(&["--check", "--all"]).status.success());
    assert!(export(&["--check"]).status.success());
    assert!(export(&[]).status.success());
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    assert!(!folder.path().join("config.py.bak.1").exists());

    // What was put there is read again, as the settings of the run.
    let imported = stdout(&pool_tune(folder.path(), &["import", "config.py"]));
    let exported = stdout(&pool_tune(folder.path(), &["export", "--format", "yaml"]));
    let settings: Vec<&str> = imported.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let expected: Vec<&str> = exported.lines().filter(|line| line.contains(": ") && !line.starts_with('#')).collect();
    assert_eq!(settings, expected);
    run(folder.path(), &["--baseline", "config.py", "--name", "next"]);
    let next: Recommendation = serde_yaml::from_str(&read(folder.path(), "next", "recommendation.yaml")).unwrap();
    for row in next.rows.iter().filter(|row| row.was.number().is_some()) {
        let line = format!("{}: {}", row.setting, row.was.number().unwrap());
        assert!(settings.contains(&line.as_str()), "{line} is not in {settings:?}");
    }
}

#[test]
fn what_a_run_kept_is_left_alone_and_told() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["--profile", "heavy", "--name", "run"]);
    let found: Recommendation = serde_yaml::from_str(&read(folder.path(), "run", "recommendation.yaml")).unwrap();
    let row = |setting| found.rows.iter().find(|row| row.setting == setting).unwrap();
    let (size, idle) = (row(Setting::MaxConnections), row(Setting::IdleTimeout));
    assert_ne!(size.was, size.now);
    assert_eq!(idle.was, idle.now);
    let path = folder.path().join("pool.env");
    let text = format!("DB_IDLE_TIMEOUT=599\nDB_MAX_CONNECTIONS={}\n", size.was);
    let export = |more: &[&str]| pool_tune(folder.path(), &[&["export", "--into", "pool.env"], more].concat());
    fs::write(&path, &text).unwrap();
    let told = format!("idle_timeout: the file has 599, the run was made with {} and kept it\n", idle.now);

    let output = export(&["--check"]);
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    assert!(!stdout(&output).contains("IDLE_TIMEOUT") && stderr(&output).contains(&told), "{}", stderr(&output));
    assert!(!stdout(&export(&["--diff"])).contains("+DB_IDLE_TIMEOUT"));
    assert!(export(&[]).status.success());
    let changed = fs::read_to_string(&path).unwrap();
    let lines = format!("DB_IDLE_TIMEOUT=599\nDB_MAX_CONNECTIONS={}\n", size.now);
    assert!(changed.starts_with(&lines), "{changed}");
    let n_changed = found.rows.iter().filter(|row| row.was != row.now).count();
    assert_eq!(changed.lines().filter(|line| line.starts_with("DB_")).count(), n_changed + 1, "{changed}");
    // It has another value still, and that is no difference.
    let output = export(&["--check"]);
    assert!(output.status.success() && stderr(&output).contains(&told), "{}", stderr(&output));
    assert_eq!(export(&["--check", "--all"]).status.code(), Some(9));

    // A value that the file keeps may not go with one that is written.
    let least = row(Setting::MinConnections);
    assert_eq!(least.was, least.now);
    let text = format!("DB_MIN_CONNECTIONS=500\nDB_MAX_CONNECTIONS={}\n", size.was);
    fs::write(&path, &text).unwrap();
    let output = export(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("min_connections must not exceed max_connections"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(export(&["--all"]).status.success());
}

#[test]
fn a_file_that_cannot_be_changed_is_told_before_it_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["--profile", "heavy", "--name", "run"]);
    let path = folder.path().join("config.py");
    for (text, problem) in [
        ("DB_MAX_CONNECTIONS = 1\nif x:\n    DB_MAX_CONNECTIONS = 2\n", "is defined in line 1 and in line 3"),
        ("x = 1\ndef f(:\n", "line 2 is not understood: `def f(:`"),
        ("DB_MAX_CONNECTIONS = BASE * 2\n", "line 1: `DB_MAX_CONNECTIONS` is not a plain value but `BASE * 2`"),
    ] {
        fs::write(&path, text).unwrap();
        let output = pool_tune(folder.path(), &["export", "--into", "config.py"]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!folder.path().join("config.py.bak").exists());
    }
    for (file, problem) in [("none.py", "there is no such file"), ("results", "to tell what `results` is")] {
        let output = pool_tune(folder.path(), &["export", "--into", file]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}

#[test]
fn a_yaml_file_takes_them_too() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["--profile", "heavy", "--name", "run"]);
    let path = folder.path().join("values.yaml");
    let before = "env: &e  # größe\r\n  DB_MAX_CONNECTIONS: \"7\"\r\nother:\r\n  <<: *e\r\n";
    fs::write(&path, before).unwrap();
    let export = |more: &[&str]| pool_tune(folder.path(), &[&["export", "--into", "values.yaml"], more].concat());
    assert_eq!(export(&["--check"]).status.code(), Some(9));
    assert!(stdout(&export(&["--diff"])).contains("-  DB_MAX_CONNECTIONS: \"7\""));
    assert_eq!(export(&["--within", "nowhere"]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    let output = export(&["--all", "--within", "env", "--prefix", "DB"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("values.yaml.bak")).unwrap(), before);
    let changed = fs::read_to_string(&path).unwrap();
    assert!(changed.starts_with("env: &e  # größe\r\n  DB_MAX_CONNECTIONS: \""), "{changed}");
    assert!(changed.contains("\r\n  # pool-tune: end\r\nother:\r\n  <<: *e\r\n"), "{changed}");
    assert!(export(&["--check", "--within", "env"]).status.success());
}
