//! Settings put into YAML files of every kind: `PyYAML` reads what was asked for, and all else stays as it was.

use std::process::Command;

use pool_tune::{
    export::{IntoError, Names, Prefix, Syntax, Wanted, rewrite},
    model::{Setting, Settings, Value},
};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

use super::{asked, installed, into::settings, repository};

/// Reads each file and tells the mapping at its path, and the file without that.
const READER: &str = r"
import json, sys, yaml
answers = []
for case in json.load(sys.stdin):
    documents = list(yaml.safe_load_all(case['text']))
    node = documents[case['document']]
    for key in case['path']:
        node = node[key]
    pool = dict(node)
    for key in [key for key in node if key in case['names']]:
        del node[key]
    answers.append({'pool': pool, 'rest': documents})
json.dump(answers, sys.stdout)
";

const STATEMENTS: [&str; 5] = ["SELECT 1", "SELECT 'it''s' AS \"x\" \\n #{x}: 3", "größe -- 🦀", "", "yes"];
const NOISE: [&str; 6] = [
    "# max_connections: 3 — größe, 漢字",
    "redis: {max_connections: 50, url: 'redis://größe'}   # ours",
    "text: |\n  max_connections: 3\n  APP_MAX_CONNECTIONS: 4\n",
    "list:\n- a: &anchor {b: 1}\n  c: *anchor\n-   >-\n    idle_timeout: 3\n",
    "\"quoted key\"  :   'it''s'",
    "nested:\n      deep:\n            deeper: [1, 2,\n              3]\n",
];

/// A file that is made, and how it has to look afterwards.
struct Case {
    before: String,
    after: String,
    document: usize,
    path: Vec<&'static str>,
    constants: bool,
    twice: bool,
}

/// A value before and after; `None` after stands for whatever quotes it needs.
fn value(rng: &mut ChaCha8Rng, wanted: &Value) -> (String, Option<String>) {
    let Some(number) = wanted.number() else {
        return (["SELECT 0", "'SELECT 0'", "\"SELECT 0\""].choose(rng).unwrap().to_string(), None);
    };
    match rng.random_range(0..5) {
        0 => ("'77777'".to_owned(), Some(format!("'{number}'"))),
        1 => ("\"77777\"".to_owned(), Some(format!("\"{number}\""))),
        2 => (number.to_string(), Some(number.to_string())),
        _ => {
            let old = ["0x7fff", "7_654_321", "~", "null", "77777.5", "7e9"].choose(rng).unwrap();
            ((*old).to_owned(), Some(number.to_string()))
        }
    }
}

fn case(rng: &mut ChaCha8Rng, settings: &Settings) -> Case {
    let constants = rng.random_bool(0.3);
    let flow = rng.random_bool(0.3);
    let (opening, path, indent): (&[&str], Vec<&str>, &str) = match rng.random_range(0..3) {
        0 => (&["connection_pool:"], vec!["connection_pool"], "  "),
        1 => (&["größe:", "   db-pool:"], vec!["größe", "db-pool"], "        "),
        _ if flow => (&["app:", "  pool:"], vec!["app", "pool"], "    "),
        _ => (&[], vec![], ""),
    };
    let second_document = rng.random_bool(0.3);
    let mut lines: Vec<(String, Option<String>)> = Vec::new();
    let noise = |rng: &mut ChaCha8Rng, lines: &mut Vec<(String, Option<String>)>, n: usize| {
        if rng.random_bool(0.6) {
            let noise = NOISE[n].to_owned();
            lines.push((noise.clone(), Some(noise)));
        }
    };
    let same = |text: &str| (text.to_owned(), Some(text.to_owned()));
    if second_document {
        lines.extend([same("%YAML 1.1"), same("---"), same("first: 1"), same("---")]);
    }
    noise(rng, &mut lines, 0);
    noise(rng, &mut lines, 1);
    noise(rng, &mut lines, 2);
    lines.extend(opening.iter().map(|line| same(line)));
    if flow {
        let last = lines.len() - 1;
        if let (Some((before, Some(after))), false) = (lines.get_mut(last), path.is_empty()) {
            before.push_str(" {");
            after.push_str(" {");
        }
    }
    let flow = flow && !path.is_empty();
    let missing = rng.random_bool(0.5);
    let mut definitions = 0;
    for setting in Setting::all() {
        if missing && definitions > 1 && rng.random_bool(0.3) {
            continue;
        }
        definitions += 1;
        let name = if constants { format!("APP_{}", setting.name().to_uppercase()) } else { setting.name().to_owned() };
        let key = if rng.random_bool(0.2) { format!("\"{name}\"") } else { name };
        let (before, after) = value(rng, settings.get(setting));
        let (gap, tail) = *[(" ", ""), ("   ", "  # größe: 3"), (" ", "  # a"), ("  ", " ")].choose(rng).unwrap();
        let comma = if flow { "," } else { "" };
        let whole = |value: &str| format!("{indent}{key}:{gap}{value}{comma}{tail}");
        lines.push((whole(&before), after.map(|after| whole(&after))));
    }
    if flow {
        lines.push(same(&format!("{indent}}}")));
    }
    let twice = rng.random_bool(0.1);
    if twice {
        lines.push(same(if constants { "APP_MIN_CONNECTIONS: 3" } else { "other_pool: {min_connections: 3}" }));
        if !constants && path == ["connection_pool"] {
            lines.push(same("connection_pool_config: {min_connections: 3}"));
        }
    }
    noise(rng, &mut lines, 3);
    noise(rng, &mut lines, 4);
    noise(rng, &mut lines, 5);
    let start = if rng.random_bool(0.2) { "\u{feff}" } else { "" };
    let line_end = if rng.random_bool(0.4) { "\r\n" } else { "\n" };
    let last = if rng.random_bool(0.7) { "\n" } else { "" };
    // What only quotes can tell apart is not compared.
    let mark = |text: Option<&String>| text.cloned().unwrap_or_else(|| "\0".to_owned());
    let join = |texts: Vec<String>| format!("{start}{}{last}", texts.join("\n")).replace('\n', line_end);
    Case {
        before: join(lines.iter().map(|line| line.0.clone()).collect()),
        after: join(lines.iter().map(|line| mark(line.1.as_ref())).collect()),
        document: usize::from(second_document),
        path,
        constants,
        twice,
    }
}

/// The lines without the block of what was added.
fn kept(text: &str) -> Vec<&str> {
    let mut inside = false;
    let lines = text.split_inclusive('\n').filter(|line| {
        inside |= line.trim_start().starts_with("# pool-tune: begin");
        let is_kept = !inside;
        inside &= !line.trim_start().starts_with("# pool-tune: end");
        is_kept
    });
    lines.collect()
}

#[test]
fn a_hundred_yaml_files_take_the_values_and_keep_the_rest() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let prefix = Prefix::parse("APP").unwrap();
    let names = Names { prefix: &prefix, within: None };
    let (mut asks, mut wanted, mut refused) = (Vec::new(), Vec::new(), 0);
    for number in 0..120 {
        let settings = settings(&mut rng, &STATEMENTS);
        let case = case(&mut rng, &settings);
        let shown = &case.before;
        let rewritten = rewrite(Syntax::Yaml, &case.before, Wanted::all(&settings), names);
        if case.twice {
            assert!(matches!(rewritten, Err(IntoError::Twice { .. })), "{rewritten:?}: {shown}");
            refused += 1;
            continue;
        }
        let rewritten = rewritten.unwrap_or_else(|error| panic!("{error}:\n{shown}"));
        let (lines, expected) = (kept(&rewritten.text), case.after.split_inclusive('\n').collect::<Vec<_>>());
        assert_eq!(lines.len(), expected.len(), "file {number}:\n{}\n{shown}", rewritten.text);
        for (line, expected) in lines.iter().zip(expected).filter(|(_, expected)| !expected.starts_with('\0')) {
            assert_eq!(line.trim_end_matches(['\r', '\n']), expected.trim_end_matches(['\r', '\n']), "file {number}");
        }
        assert!(rewritten.text.matches("# pool-tune: begin").count() <= 1);
        if case.before.contains("\r\n") {
            assert_eq!(rewritten.text.matches('\n').count(), rewritten.text.matches("\r\n").count());
        }
        let again = rewrite(Syntax::Yaml, &rewritten.text, Wanted::all(&settings), names).unwrap();
        assert_eq!((again.text.as_str(), again.changes.len()), (rewritten.text.as_str(), 0));
        let name = |setting: Setting| {
            if case.constants { format!("APP_{}", setting.name().to_uppercase()) } else { setting.name().to_owned() }
        };
        let names: Vec<String> = Setting::all().map(name).collect();
        for text in [&case.before, &rewritten.text] {
            asks.push(json!({"text": text, "document": case.document, "path": case.path, "names": names}));
        }
        wanted.push((settings, names, rewritten.text));
    }
    assert!((3..40).contains(&refused), "{refused}");
    let python = installed(repository("target/venv-exports/bin/python"));
    let answers = asked(Command::new(python).args(["-c", READER]), &Json::from(asks).to_string());
    for ((settings, names, text), answers) in wanted.iter().zip(answers.as_array().unwrap().chunks(2)) {
        assert_eq!(answers[0]["rest"], answers[1]["rest"], "{text}");
        for ((_, value), name) in settings.iter().zip(names) {
            let answer = &answers[1]["pool"][name];
            let Some(number) = value.number() else {
                let Value::Sql(sql) = value else { panic!("no text") };
                assert_eq!(answer.as_str(), Some(sql.as_str()), "{text}");
                continue;
            };
            // What was a text is still one.
            let read = answer.as_f64().or_else(|| answer.as_str()?.parse().ok());
            assert_eq!(read, Some(number), "{name}: {answer}\n{text}");
        }
    }
}
