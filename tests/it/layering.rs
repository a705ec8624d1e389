//! Which room may use which: the rule of ARCHITECTURE.md as a test.

use std::{collections::BTreeMap, fs, path::Path};

/// For each room the rooms that it may name as `crate::…`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("stats", &["model"]),
    ("curve", &["model", "stats"]),
    ("search", &["model", "stats", "curve"]),
    ("policy", &["model"]),
    ("simulate", &["model", "stats", "curve", "policy"]),
    ("schedule", &[]),
    ("profile", &["model", "schedule"]),
    ("export", &["model", "stats", "curve", "report"]),
    ("lint", &["model", "export"]),
    ("report", &["model", "stats", "curve"]),
    ("diagnose", &["model", "stats"]),
    ("monitoring", &["model", "stats", "report"]),
    ("database", &["model"]),
    ("monitor", &["model", "stats", "diagnose", "database", "scrape", "http"]),
    ("pool", &["model", "policy", "database"]),
    ("fault", &["model", "database", "pool"]),
    ("scrape", &["model"]),
    ("http", &[]),
    ("program", &["model", "export"]),
    ("trial", &["model", "stats", "pool", "database", "simulate", "fault", "export", "scrape", "http", "program"]),
    ("store", &["model", "database"]),
    (
        "tune",
        &[
            "model", "stats", "curve", "search", "simulate", "profile", "database", "pool", "fault", "trial", "store",
            "export", "program",
        ],
    ),
    ("stress", &["model", "stats", "profile", "report", "diagnose", "trial"]),
    (
        "job",
        &[
            "model", "simulate", "schedule", "profile", "export", "report", "database", "fault", "trial", "store",
            "tune", "stress",
        ],
    ),
    ("rollout", &["model", "profile", "export", "program", "http", "monitor", "store", "job"]),
    ("alert", &["model", "http"]),
    (
        "service",
        &[
            "model", "stats", "schedule", "profile", "export", "report", "http", "store", "tune", "job", "monitor",
            "alert",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "stats",
            "simulate",
            "schedule",
            "profile",
            "export",
            "report",
            "database",
            "store",
            "tune",
            "trial",
            "stress",
            "diagnose",
            "job",
            "lint",
            "monitoring",
            "monitor",
            "service",
            "alert",
            "rollout",
        ],
    ),
];

/// Crates that a pure room must not name: it does no I/O, has no clock and no tasks.
const IMPURE: &[&str] = &["tokio::", "sqlx::", "std::fs", "std::net", "std::time::Instant", "SystemTime", "println!"];
const PURE: &[&str] = &[
    "model",
    "stats",
    "curve",
    "search",
    "policy",
    "simulate",
    "profile",
    "export",
    "report",
    "diagnose",
    "scrape",
    "lint",
    "schedule",
    "monitoring",
];

/// Every source file but tests, which may use what they need.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn rooms() -> BTreeMap<String, Vec<(String, String)>> {
    let mut rooms = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let mut found = Vec::new();
            sources(&path, &mut found);
            rooms.insert(path.file_name().unwrap().to_string_lossy().into_owned(), found);
        }
    }
    rooms
}

/// The code of a file without its tests, which may use what they need.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The rooms that a text names as `crate::room` or in a `use crate::{…}` tree.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (index, _) in text.match_indices("crate::") {
        let rest = &text[index + "crate::".len()..];
        if let Some(tree) = rest.strip_prefix('{') {
            let mut depth = 0_u32;
            let mut name = String::new();
            for character in tree.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(character),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(rest.to_owned());
        }
    }
    let first_word = |name: &String| {
        name.trim().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect::<String>()
    };
    names.iter().map(first_word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_room_keeps_to_the_rooms_it_may_use() {
    let rooms = rooms();
    for (room, files) in &rooms {
        let (_, allowed) = MAY_USE.iter().find(|(name, _)| name == room).unwrap_or_else(|| {
            panic!("src/{room} is a room that tests/it/layering.rs does not know: say there what it may use")
        });
        for (path, text) in files {
            for name in named(code(text)).iter().filter(|name| *name != room) {
                assert!(allowed.contains(&name.as_str()), "{path} uses `crate::{name}`; {room} may use {allowed:?}");
            }
        }
    }
}

#[test]
fn pure_rooms_touch_no_clock_and_no_file() {
    for (room, files) in rooms().iter().filter(|(room, _)| PURE.contains(&room.as_str())) {
        for (path, text) in files {
            for line in code(text).lines() {
                // Text between quotes is no code: exports hold code for other programs.
                let outside: Vec<&str> = line.split('"').step_by(2).collect();
                for word in IMPURE {
                    let named = outside.iter().any(|code| code.contains(word));
                    assert!(!named, "{path} names `{word}`; {room} is a pure room");
                }
            }
        }
    }
}

#[test]
fn the_reader_of_names_sees_trees() {
    let text = "use crate::{model::{A, B}, stats, pool::Pool};\nlet x = crate::curve::fit();";
    assert_eq!(named(text), ["model", "stats", "pool", "curve"]);
}
