//! `pool-tune monitoring`: its files are read by those that they are for.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use super::{pool_tune, stderr, stdout};

fn run(folder: &Path, arguments: &[&str]) {
    let output =
        pool_tune(folder, &[&["run", "--target", "simulated", "--seed", "5", "--name", "run"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// A test that needs promtool must not pass without it.
fn promtool(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output();
    output.expect("there is no promtool here: run .ci/deps test")
}

/// What promtool says of the kit.
fn assert_checked(folder: &Path) {
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]] {
        let output = promtool(folder, &arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    }
}

/// Every expression of the dashboard, made a recording rule, so that promtool reads it.
fn assert_dashboard(folder: &Path) -> usize {
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let rules = fs::read_to_string(folder.join("rules.yaml")).unwrap();
    let mut text = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let (mut places, mut expressions) = (Vec::new(), 0);
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        places.push((panel["gridPos"]["x"].as_u64().unwrap(), panel["gridPos"]["y"].as_u64().unwrap()));
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            text.push_str(&format!("  - record: check:{expressions}\n    expr: {}\n", serde_json::json!(expression)));
            expressions += 1;
            // Whatever it shows is recorded.
            let names = expression.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
            for name in names.filter(|name| name.starts_with("db_pool")) {
                assert!(rules.contains(&format!("- record: {name}\n")), "{name} is not recorded");
            }
        }
    }
    places.sort_unstable();
    let all = places.len();
    places.dedup();
    assert_eq!(places.len(), all, "panels lie on each other");
    fs::write(folder.join("dashboard.yaml"), text).unwrap();
    let output = promtool(folder, &["check", "rules", "dashboard.yaml"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    expressions
}

#[test]
fn promtool_accepts_the_kit_and_runs_its_tests_for_every_library() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, &["--profile", "heavy"]);
    for (library, expressions) in [("otel", 14), ("hikaricp", 14), ("pgbouncer", 10)] {
        let output = pool_tune(folder, &["monitoring", "run", "--metrics", library, "--output", library]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output).lines().count(), 4, "{}", stdout(&output));
        let kit = folder.join(library);
        assert_checked(&kit);
        assert_eq!(assert_dashboard(&kit), expressions, "{library}");
    }
    // Without an option the files are the run's own, and the same again.
    let output = pool_tune(folder, &["monitoring"]);
    assert!(stdout(&output).contains("results/run/monitoring/rules.yaml"), "{}{}", stdout(&output), stderr(&output));
    let [one, other] =
        ["otel", "results/run/monitoring"].map(|kit| fs::read(folder.join(kit).join("rules.yaml")).unwrap());
    assert_eq!(one, other);
}

#[test]
fn the_tests_of_the_kit_fail_when_a_threshold_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, &[]);
    pool_tune(folder, &["monitoring", "--output", "kit"]);
    let kit = folder.join("kit");
    assert_checked(&kit);
    let rules = fs::read_to_string(kit.join("rules.yaml")).unwrap();
    let loosened = rules.replace("requests_pending:sum[2m]) > 0", "requests_pending:sum[2m]) > 1000");
    let tightened = rules.replace(
        "min_over_time(db_pool:requests_pending:sum[2m]) > 0",
        "max_over_time(db_pool:requests_pending:sum[2m]) > 0",
    );
    for changed in [loosened, tightened] {
        assert_ne!(changed, rules);
        fs::write(kit.join("rules.yaml"), changed).unwrap();
        let output = promtool(&kit, &["test", "rules", "rules_test.yaml"]);
        assert!(!output.status.success(), "{}", stdout(&output));
    }
}

#[test]
fn what_the_kit_cannot_be_made_of_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |arguments: &[&str], code: i32, told: &str| {
        let output = pool_tune(folder, &[&["monitoring"], arguments].concat());
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(code), ""), "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    };
    refused(&[], 6, "there are no runs in");
    run(folder, &[]);
    refused(&["no-such-run"], 6, "no-such-run");
    refused(&["--metrics", "dropwizard"], 2, "possible values: otel, hikaricp, pgbouncer");
    fs::write(folder.join("file"), "").unwrap();
    refused(&["--output", "file/kit"], 6, "file/kit");
    refused(&["--output", "/proc/kit"], 6, "--output");
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute(\"update runs set status = 'interrupted', recommendation = null\")\nd.commit()";
    let database = folder.join("results/pool-tune.db");
    assert!(Command::new("python3").args(["-c", script]).arg(&database).status().unwrap().success());
    refused(&["run"], 6, "run run has no recommendation: it is interrupted");
}
