use std::{fs, path::Path, process::Command};

use super::{pool_tune, program, stderr, stdout};

fn folder(schedule: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("experiments")).unwrap();
    let text = format!("name: night\nprofile: light\ntarget: {{env: NIGHT_URL}}\n{schedule}");
    fs::write(folder.path().join("experiments/night.yaml"), text).unwrap();
    folder
}

const BERLIN: &str = "schedule: {cron: \"30 2 * * MON-FRI\", zone: Europe/Berlin, window: \"02:00-05:00\", jitter: 10m, missed: run_once}\n";

#[test]
fn the_next_five_times_are_told_in_their_zone() {
    let folder = folder(BERLIN);
    let output = pool_tune(folder.path(), &["schedule"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for says in
        ["night · experiments/night.yaml", "window   02:00-05:00", "made up for, once", "10m later", "never run"]
    {
        assert!(text.contains(says), "`{says}` is not in {text}");
    }
    let times: Vec<_> = text.lines().filter(|line| line.contains(" · in ")).collect();
    assert_eq!(times.len(), 5, "{text}");
    for time in times {
        // Of a gap on a Sunday nothing is seen here; both offsets are Berlin's.
        assert!(time.contains("02:30 +01:00") || time.contains("02:30 +02:00"), "{time}");
        assert!(!time.contains("Sat") && !time.contains("Sun"), "{time}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&pool_tune(folder.path(), &["schedule", "--json"]))).unwrap();
    assert_eq!(json[0]["next"].as_array().unwrap().len(), 5);
    // Telling makes nothing.
    assert!(!folder.path().join("results").exists());
}

#[test]
fn without_experiments_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = pool_tune(folder.path(), &["schedule"]);
    assert!(output.status.success() && stderr(&output).contains("no experiments"), "{}", stderr(&output));
}

fn unit(folder: &Path, kind: &str) -> String {
    fs::read_to_string(folder.join(format!("units/pool-tune-night.{kind}"))).unwrap()
}

#[test]
fn units_are_written_and_systemd_takes_them() {
    let folder = folder(BERLIN);
    let output = pool_tune(folder.path(), &["schedule", "--systemd", "units", "night"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("NIGHT_URL=") && stderr(&output).contains("enable --now"), "{}", stderr(&output));
    let (service, timer) = (unit(folder.path(), "service"), unit(folder.path(), "timer"));
    assert!(timer.contains("OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00 Europe/Berlin\n"), "{timer}");
    assert!(timer.contains("Persistent=true\n") && timer.contains("RandomizedDelaySec=600s\n"), "{timer}");
    // From 02:30 to 05:00, and five minutes of grace.
    assert!(service.contains("RuntimeMaxSec=9300s\n") && service.contains("SuccessExitStatus=5 11 130\n"), "{service}");
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(line.contains(" run --experiment /") && line.contains("/experiments/night.yaml --scheduled "), "{line}");
    // What stands there starts: it is refused for want of the target alone.
    let words: Vec<&str> = line.split(' ').collect();
    let started = Command::new(words[0]).args(&words[1..]).env_remove("NIGHT_URL").output().unwrap();
    assert!(matches!(started.status.code(), Some(2 | 11)), "{}", stderr(&started));
    let files = ["service", "timer"].map(|kind| folder.path().join(format!("units/pool-tune-night.{kind}")));
    if let Ok(verified) = Command::new("systemd-analyze").arg("verify").args(files).output() {
        assert!(verified.status.success() && verified.stderr.is_empty(), "{}", stderr(&verified));
    }
}

#[test]
fn a_line_for_cron_is_one_that_a_shell_takes() {
    let folder = folder(&BERLIN.replace(", jitter: 10m", ""));
    let output = pool_tune(folder.path(), &["schedule", "--crontab", "night"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let command = text.lines().find_map(|line| line.strip_prefix("30 2 * * MON-FRI ")).unwrap();
    assert!(text.contains("CRON_TZ=Europe/Berlin\n"), "{text}");
    let started = Command::new("sh").args(["-c", command]).env_remove("NIGHT_URL").output().unwrap();
    assert!(matches!(started.status.code(), Some(2 | 11)), "{}", stderr(&started));
}

#[test]
fn what_cannot_be_scheduled_is_told() {
    let folder = folder("");
    let refused = |experiment: &str, flag: &str| {
        let output = program(folder.path()).args(["schedule", flag, experiment]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    assert!(refused("night", "--crontab").contains("has no `schedule`: add one"));
    let text = "name: last\nprofile: light\ntarget: private\nschedule: {cron: \"0 1 L * *\"}\n";
    fs::write(folder.path().join("experiments/last.yaml"), text).unwrap();
    assert!(refused("last", "--crontab").contains("cron cannot say `0 1 L * *`"));
    let output = pool_tune(folder.path(), &["schedule", "--systemd", "units", "last"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("systemd cannot say") && !folder.path().join("units").exists());
}
