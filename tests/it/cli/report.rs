//! `report.html`, `pool-tune report` and `pool-tune compare`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{pool_tune, read, stderr, stdout};

fn run(folder: &Path, name: &str, arguments: &[&str]) {
    let common = ["run", "--target", "simulated", "--seed", "5", "--name", name];
    let output = pool_tune(folder, &[&common[..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Whether a chromium is there; a test that needs one must not pass without it.
fn chromium() -> Command {
    let found = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "there is no chromium here: run .ci/deps test");
    Command::new("chromium")
}

/// Opens a page in a browser: what it made of it, and what it had to complain of.
fn opened(page: &Path, more: &[&str]) -> (String, Vec<String>) {
    let own = tempfile::tempdir().unwrap();
    let output = chromium()
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--virtual-time-budget=3000", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", own.path().display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let complaints = stderr(&output).lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (stdout(&output), complaints)
}

#[test]
fn a_run_writes_a_page_that_a_browser_opens_without_a_complaint_or_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "run", &["--profile", "heavy"]);
    let page = folder.join("results/run/report.html");
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.len() < 1_000_000, "{}", text.len());
    for outside in ["http://", "https://", "src=", "url(", "<script"] {
        assert!(!text.contains(outside), "{outside}");
    }

    for more in [&[][..], &["--blink-settings=preferredColorScheme=0", "--window-size=400,800"]] {
        let (made, complaints) = opened(&page, more);
        assert_eq!(complaints, Vec::<String>::new());
        for id in ["effects", "throughput", "knee", "success", "search", "verification-pairs"] {
            assert!(made.contains(&format!("<figure id=\"{id}\">")), "{id}: {made}");
        }
        let charts = made.matches("<svg class=\"chart\"").count();
        assert_eq!(charts, made.matches("<figure").count());
        assert_eq!(charts, made.matches("role=\"img\"").count());
        assert!(made.contains("<td class=\"figure\">"), "{made}");
    }

    // What the page forbids itself is complained of: nothing above would have gone unseen.
    let asking = folder.join("asking.html");
    fs::write(&asking, text.replace("<main>", "<main><img src=\"http://127.0.0.1:9/x.png\"><script>1</script>"))
        .unwrap();
    let (_, complaints) = opened(&asking, &[]);
    assert!(complaints.len() >= 2, "{complaints:?}");
}

#[test]
fn a_report_is_made_again_from_what_the_store_holds() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "run", &[]);
    let [page, summary] = ["report.html", "summary.md"].map(|file| read(folder, "run", file));
    fs::remove_dir_all(folder.join("results/run")).unwrap();
    let output = pool_tune(folder, &["report", "run"]);
    assert!(stdout(&output).contains("results/run/report.html"), "{}", stderr(&output));
    assert_eq!(read(folder, "run", "report.html"), page);
    assert_eq!(stdout(&pool_tune(folder, &["report", "--format", "md"])), summary);
    assert_eq!(stdout(&pool_tune(folder, &["report", "latest", "--output", "-"])), page);
    assert!(pool_tune(folder, &["report", "--format", "md", "--output", "here.md"]).status.success());
    assert_eq!(fs::read_to_string(folder.join("here.md")).unwrap(), summary);

    let output = pool_tune(folder, &["report", "--output", "nowhere/here.html"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(stderr(&output).contains("failed to write the report to `nowhere/here.html`"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_reported_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for arguments in [&["report"][..], &["compare", "one", "other"]] {
        let output = pool_tune(folder, arguments);
        assert_eq!(output.status.code(), Some(6));
        assert!(stderr(&output).contains("there are no runs in"), "{}", stderr(&output));
    }
    run(folder, "run", &[]);
    let script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute(\"update runs set status = 'interrupted', recommendation = null\")\nd.commit()";
    run(folder, "whole", &[]);
    let database = folder.join("results/pool-tune.db");
    let only = script.replace("= null", "= null where id = 'run'");
    assert!(Command::new("python3").args(["-c", &only]).arg(&database).status().unwrap().success());
    for arguments in [&["report", "run"][..], &["report", "run", "--format", "md"], &["compare", "whole", "run"]] {
        let output = pool_tune(folder, arguments);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(6), ""));
        let told = stderr(&output);
        assert!(
            told.contains("run run has no recommendation: it is interrupted; finish it with `pool-tune run"),
            "{told}"
        );
    }
    for arguments in [&["report", "no-such-run"][..], &["compare", "whole", "no-such-run"]] {
        let output = pool_tune(folder, arguments);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(6), ""));
        assert!(stderr(&output).contains("no-such-run"), "{}", stderr(&output));
    }
    assert_eq!(pool_tune(folder, &["report", "--format", "pdf"]).status.code(), Some(2));
    assert_eq!(pool_tune(folder, &["compare", "whole"]).status.code(), Some(2));
}

#[test]
fn two_runs_are_set_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "one", &[]);
    run(folder, "pinned", &["--profile", "heavy", "--pin", "max_connections=40"]);
    let same = stdout(&pool_tune(folder, &["compare", "one", "one"]));
    assert!(same.contains("Settings that differ: none") && !same.contains("warning"), "{same}");
    let output = pool_tune(folder, &["compare", "one", "pinned"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in [
        "one: ",
        "pinned: ",
        "requests/s",
        "max_connections",
        "warning: the profile differs (medium; heavy)",
        "warning: the number of workers differs",
        "max_connections=40",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
