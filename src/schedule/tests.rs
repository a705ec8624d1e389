use std::{process::Command as Process, time::Duration};

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Command, Due, Missed, Schedule, Window, crontab, systemd};

const BERLIN: &str = "Europe/Berlin";

fn schedule(expression: &str) -> Schedule {
    Schedule::new(expression, BERLIN).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next times after a moment, as clocks in the zone show them.
fn next(schedule: &Schedule, moment: &str, n: usize) -> Vec<String> {
    let times = schedule.after(at(moment)).take(n);
    times.map(|time| schedule.local(time).strftime("%m-%d %H:%M %:z").to_string()).collect()
}

#[test]
fn a_time_that_does_not_exist_is_run_right_after_the_gap() {
    let nightly = schedule("30 2 * * *");
    let found = next(&nightly, "2026-03-28T00:00:00Z", 3);
    assert_eq!(found, ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"]);
    // Intervals go on after it, and none is made up.
    let found = next(&schedule("*/30 2,3 * * *"), "2026-03-29T00:59:00Z", 3);
    assert_eq!(found, ["03-29 03:00 +02:00", "03-29 03:30 +02:00", "03-30 02:00 +02:00"]);
}

#[test]
fn a_time_that_exists_twice_is_run_once() {
    let nightly = schedule("30 2 * * *");
    let found = next(&nightly, "2026-10-24T22:00:00Z", 2);
    assert_eq!(found, ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]);
    // Asked in the middle of the second time through, it has been.
    let due = at("2026-10-25T00:30:00Z");
    assert_eq!(nightly.last_until(at("2026-10-25T01:45:00Z")), Some(due));
    assert_eq!(nightly.due(at("2026-10-25T01:30:10Z"), due, 1), None);
    // Intervals go on evenly.
    let found = next(&schedule("*/30 * * * *"), "2026-10-25T00:29:00Z", 3);
    assert_eq!(found, ["10-25 02:30 +02:00", "10-25 02:00 +01:00", "10-25 02:30 +01:00"]);
}

#[test]
fn what_never_comes_or_cannot_be_read_is_refused_with_the_remedy() {
    let error = |expression, zone| Schedule::new(expression, zone).unwrap_err().to_string();
    let errors = [
        error("0 1 30 2 *", "UTC"),
        error("0 1 31 4,6,9,11 *", "UTC"),
        error("60 1 * * *", "UTC"),
        error("0 0 1 * * *", "UTC"),
        error("0 1 * *", "UTC"),
        error("", "UTC"),
        error("@nightly", "UTC"),
        error("0 1 * * *", "Europe/Berln"),
        error("0 1 * * *", "+02:00"),
        error("0 1 * * *", "../../etc/passwd"),
        Window::parse("01:00").unwrap_err().to_string(),
        Window::parse("01:00-25:00").unwrap_err().to_string(),
        Window::parse("01:00-01:00").unwrap_err().to_string(),
        Window::not_after("5").unwrap_err().to_string(),
        schedule("0 12 * * *").with_window(Window::parse("01:00-05:00").unwrap()).unwrap_err().to_string(),
        schedule("0 4 * * *")
            .with_window(Window::parse("01:00-05:00").unwrap())
            .and_then(|schedule| schedule.with_jitter(Duration::from_secs(3600)))
            .unwrap_err()
            .to_string(),
    ];
    assert_snapshot!(errors.join("\n"));
    // A day that comes every four years comes.
    assert_eq!(next(&schedule("0 1 29 2 *"), "2026-01-01T00:00:00Z", 1), ["02-29 01:00 +01:00"]);
}

#[test]
fn a_due_time_is_started_once_whatever_the_clock_does() {
    let nightly = schedule("0 1 * * *");
    let (eve, due) = (at("2026-06-30T12:00:00Z"), at("2026-06-30T23:00:00Z"));
    assert_eq!(nightly.due(at("2026-06-30T22:59:59Z"), eve, 1), None);
    let found = nightly.due(at("2026-06-30T23:00:20Z"), eve, 1);
    assert_eq!(found, Some(Due { at: due, missed: false }));
    // It has been started: neither later, nor when the clock is set back, nor when it comes to the same time again.
    for now in ["2026-06-30T23:00:21Z", "2026-06-30T22:00:00Z", "2026-06-29T23:00:00Z", "2026-06-30T23:00:00Z"] {
        assert_eq!(nightly.due(at(now), due, 1), None, "{now}");
    }
    assert_eq!(nightly.due(at("2026-07-01T23:00:00Z"), due, 1).unwrap().at, at("2026-07-01T23:00:00Z"));
}

#[test]
fn missed_times_are_skipped_or_made_up_for_once_and_only_while_the_window_is_open() {
    let skip = schedule("0 1 * * *");
    let once = skip.clone().with_missed(Missed::RunOnce);
    // Off for three nights.
    let (last, now) = (at("2026-06-30T23:00:00Z"), at("2026-07-04T08:00:00Z"));
    assert_eq!(skip.due(now, last, 1), None);
    let made_up = once.due(now, last, 1);
    assert_eq!(made_up, Some(Due { at: at("2026-07-03T23:00:00Z"), missed: true }));
    assert_eq!(once.due(now, made_up.unwrap().at, 1), None);
    // At ten in the morning the window is closed; the next night is the next night's.
    let windowed = once.with_window(Window::parse("00:30-05:00").unwrap()).unwrap();
    assert_eq!(windowed.due(now, last, 1), None);
    let late = windowed.due(at("2026-07-04T02:00:00Z"), last, 1);
    assert_eq!(late, Some(Due { at: at("2026-07-03T23:00:00Z"), missed: true }));
    assert_eq!(
        windowed.due(at("2026-07-04T23:00:00Z"), last, 1),
        Some(Due { at: at("2026-07-04T23:00:00Z"), missed: false })
    );
}

#[test]
fn windows_end_once_a_day_also_over_midnight_and_when_clocks_change() {
    let end = |window: Window, moment: &str| {
        let schedule = schedule("0 1 * * *").with_window(window).unwrap();
        schedule.local(schedule.window_end(at(moment)).unwrap()).strftime("%d %H:%M %:z").to_string()
    };
    let early = Window::parse("01:00-05:00").unwrap();
    assert_eq!(end(early, "2026-06-30T23:00:00Z"), "01 05:00 +02:00");
    assert_eq!(end(early, "2026-07-01T03:00:00Z"), "02 05:00 +02:00");
    assert_eq!(end(Window::parse("22:00-04:00").unwrap(), "2026-06-30T21:00:00Z"), "01 04:00 +02:00");
    assert_eq!(end(Window::not_after("05:00").unwrap(), "2026-06-30T10:00:00Z"), "01 05:00 +02:00");
    // An end in the gap is where the clocks go on; of two the first.
    assert_eq!(end(Window::parse("01:00-02:30").unwrap(), "2026-03-29T00:10:00Z"), "29 03:30 +02:00");
    assert_eq!(end(Window::parse("01:00-02:30").unwrap(), "2026-10-24T23:10:00Z"), "25 02:30 +02:00");
    let open = |text, moment: &str| {
        let window = Window::parse(text).unwrap();
        schedule("0 1 * * *").with_window(window).unwrap().is_open(at(moment))
    };
    assert!(open("22:00-04:00", "2026-06-30T20:00:00Z") && open("22:00-04:00", "2026-07-01T01:59:00Z"));
    assert!(!open("22:00-04:00", "2026-07-01T02:00:00Z") && !open("01:00-05:00", "2026-06-30T22:59:59Z"));
}

proptest! {
    #[test]
    fn jitter_is_within_bounds_and_the_same_for_the_same_seed(seed: u64, day in 0_i64..20_000) {
        let schedule = schedule("0 1 * * *").with_jitter(Duration::from_secs(600)).unwrap();
        let due = Timestamp::from_second(day * 86_400).unwrap();
        let start = schedule.start(due, seed);
        prop_assert_eq!(start, schedule.start(due, seed));
        prop_assert!((SignedDuration::ZERO..=SignedDuration::from_secs(600)).contains(&start.duration_since(due)));
        // Nothing is started before.
        if start > due {
            prop_assert_eq!(schedule.clone().due(start - SignedDuration::from_secs(1), due - SignedDuration::from_secs(1), seed), None);
        }
    }

    #[test]
    fn the_last_due_time_is_what_going_forwards_finds(
        expression in prop::sample::select(vec!["30 2 * * *", "*/20 1-3 * * *", "0 3 * * SUN", "15 2,14 * 3,10 *"]),
        minute in 0_i64..525_600,
    ) {
        let schedule = schedule(expression);
        let moment = at("2026-01-01T00:00:00Z") + SignedDuration::from_mins(minute);
        let forwards = schedule.after(at("2025-01-01T00:00:00Z")).take_while(|time| *time <= moment).last();
        prop_assert_eq!(schedule.last_until(moment), forwards);
    }
}

#[test]
fn jitter_spreads() {
    let schedule = schedule("0 1 * * *").with_jitter(Duration::from_secs(600)).unwrap();
    let due = at("2026-06-30T23:00:00Z");
    let starts: std::collections::BTreeSet<_> = (0..50).map(|seed| schedule.start(due, seed)).collect();
    assert!(starts.len() > 30, "{starts:?}");
}

fn command() -> Command {
    Command {
        about: "pool-tune experiment nightly".to_owned(),
        program: "/opt/pool tune/pool-tune".to_owned(),
        arguments: ["run", "--experiment", "/etc/100%/nightly.yaml", "--scheduled"].map(str::to_owned).to_vec(),
        folder: "/var/lib/pool-tune".to_owned(),
        good_codes: vec![5, 10, 130],
        environment: Some("/etc/pool-tune/nightly.env".to_owned()),
    }
}

fn windowed() -> Schedule {
    let schedule = schedule("30 1 1,15 * MON-FRI").with_window(Window::parse("01:00-05:00").unwrap()).unwrap();
    schedule.with_jitter(Duration::from_secs(300)).unwrap().with_missed(Missed::RunOnce)
}

#[test]
fn units_for_systemd() {
    let units = systemd(&windowed(), &command()).unwrap();
    assert_snapshot!(format!("{}---\n{}", units.service, units.timer));
}

#[test]
fn lines_for_cron() {
    assert_snapshot!(crontab(&windowed(), &command()).unwrap());
}

#[test]
fn what_others_cannot_say_is_told() {
    let last_day = schedule("0 1 L * *");
    let errors = [
        systemd(&last_day, &command()).unwrap_err().to_string(),
        crontab(&schedule("0 1 * * FRI#2"), &command()).unwrap_err().to_string(),
    ];
    assert_snapshot!(errors.join("\n"));
}

/// Where systemd is installed it is asked itself whether it means the same times.
#[test]
fn systemd_reads_calendars_as_they_were_meant() {
    let calendar = |schedule: &Schedule| {
        let timer = systemd(schedule, &command()).unwrap().timer;
        let lines = timer.lines().filter_map(|line| line.strip_prefix("OnCalendar="));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let cases = [
        ("30 1 * * *", vec!["*-*-* 01:30:00 Europe/Berlin"]),
        ("0 1 * * MON-FRI", vec!["Mon,Tue,Wed,Thu,Fri *-*-* 01:00:00 Europe/Berlin"]),
        ("0 1 * * 7", vec!["Sun *-*-* 01:00:00 Europe/Berlin"]),
        ("*/15 2-3 1 JAN,JUL *", vec!["*-01,07-01 02,03:00,15,30,45:00 Europe/Berlin"]),
        ("0 1 13 * FRI", vec!["*-*-13 01:00:00 Europe/Berlin", "Fri *-*-* 01:00:00 Europe/Berlin"]),
        ("0 1 13 * +FRI", vec!["Fri *-*-13 01:00:00 Europe/Berlin"]),
        ("@daily", vec!["*-*-* 00:00:00 Europe/Berlin"]),
    ];
    for (expression, lines) in cases {
        let schedule = schedule(expression);
        assert_eq!(calendar(&schedule), lines, "{expression}");
        let base = "2026-06-10 00:00:00 UTC";
        let mut theirs = Vec::new();
        for line in &lines {
            let asked = Process::new("systemd-analyze")
                .args(["calendar", "--iterations=4", "--base-time", base, line])
                .env("TZ", "UTC")
                .output();
            let Ok(asked) = asked else { return };
            assert!(asked.status.success(), "{line}: {}", String::from_utf8_lossy(&asked.stderr));
            let text = String::from_utf8_lossy(&asked.stdout).into_owned();
            let times = text.lines().filter(|line| line.contains("elapse:") || line.contains("Iter.")).map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [.., date, time, "UTC"] = words.as_slice() else { panic!("{line}") };
                at(&format!("{date}T{time}Z"))
            });
            theirs.extend(times);
        }
        theirs.sort_unstable();
        let ours: Vec<_> = schedule.after(at("2026-06-10T00:00:00Z")).take(4).collect();
        assert_eq!(theirs.get(..4), Some(ours.as_slice()), "{expression}");
    }
}
