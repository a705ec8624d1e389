//! Settings put into configuration files of every kind: Python reads what was asked for, and all else stays as it was.

use std::process::Command;

use pool_tune::{
    export::{IntoError, Names, Prefix, Syntax, Wanted, rewrite},
    model::{Setting, Settings, Value},
};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

use super::asked;

/// Evaluates each file's expressions in one process of Python, and tells what they are.
const READER: &str = r"
import json, os, sys, types
answers = []
for case in json.load(sys.stdin):
    module = types.ModuleType('config')
    sys.modules['config'] = module
    exec(compile(case['text'].encode('utf-8'), case['name'], 'exec'), module.__dict__)
    answers.append([eval(expression, module.__dict__) for expression in case['expressions']])
json.dump(answers, sys.stdout)
";

const STATEMENTS: [&str; 4] = ["SELECT 1", "SELECT 'it''s' AS \"x\" \\n #{x}", "select größe -- 🦀", ""];
const NOISE: [&str; 10] = [
    "# APP_MAX_CONNECTIONS = 3 — größe, 漢字",
    "XAPP_MAX_CONNECTIONS = 1\t# not ours",
    "APP_MAX_CONNECTIONS_OF_ALL = 7",
    "redis = {'max_connections': 50}",
    "text = '''\nAPP_MAX_CONNECTIONS = 4  \n\t'max_connections': 5,\n'''",
    "def f(APP_MAX_CONNECTIONS=2):\n    APP_MIN_CONNECTIONS = 4\n\treturn_value = 0\n    return f'{APP_MAX_CONNECTIONS!r:>{4}}'",
    "if True: pass ; x = 1",
    "match 3:\n    case 3 | 4: y = [*range(3)]\n    case {'max_connections': z}: y = z",
    "@staticmethod\ndef g(a, /, b, *, c: 'int' = 3) -> None: ...",
    "\u{c}\nz = lambda idle_timeout: idle_timeout ; w = (u := 3)",
];

/// A file that is made, and how it has to look afterwards.
struct Case {
    before: String,
    after: String,
    expressions: Vec<String>,
    twice: bool,
}

/// Settings to be put in, some of which have many digits, and one of some statements.
pub(super) fn settings(rng: &mut ChaCha8Rng, statements: &[&str]) -> Settings {
    let settings = [
        (Setting::MaxConnections, f64::from(rng.random_range(6_u32..90))),
        (Setting::MinConnections, f64::from(rng.random_range(0_u32..6))),
        (Setting::IdleTimeout, f64::from(rng.random_range(10_u32..900)) / 2.0),
        (Setting::InitialRetryDelay, f64::from(rng.random_range(1_u32..400)) / 1000.0),
    ];
    let settings = settings.into_iter().fold(Settings::default(), |settings, (setting, number)| {
        settings.with(setting, Value::from_number(setting, number).unwrap())
    });
    settings.with(Setting::ValidationQuery, Value::Sql((*statements.choose(rng).unwrap()).to_owned()))
}

fn quoted(text: &str, quote: char) -> String {
    let escaped = text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
    format!("{quote}{escaped}{quote}")
}

fn statement(value: &Value) -> &str {
    if let Value::Sql(sql) = value { sql } else { "" }
}

/// A value before and after, as it stands alone.
fn value(rng: &mut ChaCha8Rng, value: &Value) -> (String, String) {
    let Some(number) = value.number() else {
        let quote = if rng.random_bool(0.5) { '\'' } else { '"' };
        return (format!("{quote}SELECT 0{quote}"), quoted(statement(value), quote));
    };
    let old = ["1_234", "0x7ff", "4_321.5", "61 * 61", "(  7000 + 1 )", "8_000e0", "None"].choose(rng).unwrap();
    let now = if old.starts_with('(') { format!("(  {number} )") } else { number.to_string() };
    if rng.random_bool(0.1) { (number.to_string(), number.to_string()) } else { ((*old).to_owned(), now) }
}

/// A value within what may stand around it.
fn expression(rng: &mut ChaCha8Rng, name: &str, wanted: &Value) -> (String, String) {
    let (before, after) = value(rng, wanted);
    let around = |open: &str, close: &str| (format!("{open}{before}{close}"), format!("{open}{after}{close}"));
    let Some(number) = wanted.number() else {
        return match rng.random_range(0..3) {
            0 => around(&format!("os.getenv('{name}_', "), ")"),
            1 => around("(", "   # größe\n)"),
            _ => around("", ""),
        };
    };
    let cast = if number.fract() == 0.0 { "int" } else { "float" };
    let text = |open: String, close: &str| (format!("{open}2_000{close}"), format!("{open}{number}{close}"));
    match rng.random_range(0..6) {
        0 => text(format!("{cast}(os.getenv('{name}_', '"), "'))"),
        1 => text(format!("{cast}( os . environ . get(\n\t\"{name}_\",\t\""), "\", ) )"),
        2 => text(format!("os.environ.get(\"{name}_\", '"), "')"),
        3 if before != "None" => around(&format!("{cast}(os.getenv('{name}_') or "), ")"),
        4 if !before.starts_with('(') => around("(  # größe\n  ", " # 漢\n)"),
        _ => around("", ""),
    }
}

fn case(rng: &mut ChaCha8Rng, settings: &Settings) -> Case {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut expressions = Vec::new();
    let both = |text: &str| (text.to_owned(), text.to_owned());
    lines.push(both("import os"));
    let (kind, tab) = (rng.random_range(0..4), if rng.random_bool(0.3) { "\t" } else { "    " });
    let missing = rng.random_bool(0.4);
    let mut indent = "";
    let mut path = String::new();
    match kind {
        1 | 2 => {
            lines.push(both(if kind == 1 {
                "class Größe:"
            } else {
                "class A:\n    '''Not APP_IDLE_TIMEOUT = 3'''\n    class B(object):  # b"
            }));
            indent = if kind == 1 { tab } else { "        " };
            path = if kind == 1 { "Größe.".to_owned() } else { "A.B.".to_owned() };
        }
        3 => {
            lines.push(both("connection_pool_config = {  # größe"));
            indent = tab;
        }
        _ => {}
    }
    let mut definitions = 0;
    for setting in Setting::all() {
        let constant = format!("APP_{}", setting.name().to_uppercase());
        expressions.push(if kind == 3 {
            format!("connection_pool_config['{setting}']")
        } else {
            format!("{path}{constant}")
        });
        if missing && definitions > 1 && rng.random_bool(0.3) {
            continue;
        }
        definitions += 1;
        let (before, after) = expression(rng, &constant, settings.get(setting));
        let (open, close) = match (kind, rng.random_range(0..4)) {
            (3, 0) => (format!("'{setting}': "), ","),
            (3, _) => (format!("\"{setting}\"\t:  "), " ,  # größe, 'max_connections': 3"),
            (_, 0) => (format!("{constant}: 'int' = "), "  # a comment\t"),
            (_, 1) => (format!("{constant}\t=\t"), "  "),
            (_, 2) => (format!("{constant}="), "#größe"),
            _ => (format!("{constant} = "), ""),
        };
        lines.push((format!("{indent}{open}{before}{close}"), format!("{indent}{open}{after}{close}")));
        if kind == 0 && rng.random_bool(0.3) {
            let noise = NOISE.choose(rng).unwrap().replace("\treturn_value", "    return_value");
            lines.push((noise.clone(), noise));
        }
    }
    if kind == 3 {
        lines.push(both("}"));
    }
    let twice = rng.random_bool(0.1);
    if twice {
        let again = if kind == 3 { "connection_pool_config['min_connections'] = 3" } else { "APP_MIN_CONNECTIONS = 3" };
        lines.push(both(again));
    }
    lines.push(both("last = 1  # größe"));
    let start = if rng.random_bool(0.2) { "\u{feff}" } else { "" };
    let line_end = if rng.random_bool(0.4) { "\r\n" } else { "\n" };
    let last = if rng.random_bool(0.7) { "\n" } else { "" };
    let whole = |pick: fn(&(String, String)) -> &str| {
        let body = lines.iter().map(pick).collect::<Vec<_>>().join("\n") + last;
        format!("{start}{}", body.replace('\n', line_end))
    };
    Case { before: whole(|line| &line.0), after: whole(|line| &line.1), expressions, twice }
}

/// The text without the block of what was added.
fn without_block(text: &str) -> String {
    let (Some(begin), Some(end)) = (text.find("# pool-tune: begin"), text.find("# pool-tune: end")) else {
        return text.to_owned();
    };
    let begin = text[..begin].rfind('\n').map_or(0, |at| at + 1);
    let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    format!("{}{}", &text[..begin], &text[end..])
}

#[test]
fn two_hundred_files_take_the_values_and_keep_the_rest() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let prefix = Prefix::parse("APP").unwrap();
    let names = Names { prefix: &prefix, within: None };
    let mut asks = Vec::new();
    let mut wanted = Vec::new();
    let mut refused = 0;
    for number in 0..200 {
        let settings = settings(&mut rng, &STATEMENTS);
        let case = case(&mut rng, &settings);
        let shown = &case.before;
        let rewritten = rewrite(Syntax::Python, &case.before, Wanted::all(&settings), names);
        if case.twice {
            let second = case.before.lines().position(|line| line.ends_with("= 3") && !line.starts_with(' '));
            let Err(IntoError::Twice { name, second: told, .. }) = rewritten else { panic!("{rewritten:?}: {shown}") };
            assert!(name.eq_ignore_ascii_case("app_min_connections") || name == "min_connections");
            assert_eq!(Some(told), second.map(|line| line + 1), "{shown}");
            refused += 1;
            continue;
        }
        let rewritten = rewritten.unwrap_or_else(|error| panic!("{error}:\n{shown}"));
        let kept = without_block(&rewritten.text);
        // A block at the end of the file stands after an empty line.
        assert_eq!(kept.trim_end_matches(['\r', '\n']), case.after.trim_end_matches(['\r', '\n']), "file {number}");
        assert!(kept.starts_with(case.after.as_str()), "file {number}: the last line end is kept");
        if case.before.contains("\r\n") {
            assert_eq!(rewritten.text.matches('\n').count(), rewritten.text.matches("\r\n").count());
        }
        let again = rewrite(Syntax::Python, &rewritten.text, Wanted::all(&settings), names).unwrap();
        assert_eq!((again.text.as_str(), again.changes.len()), (rewritten.text.as_str(), 0));
        asks.push(json!({"name": format!("file {number}"), "text": rewritten.text, "expressions": case.expressions}));
        wanted.push((settings, rewritten.text));
    }
    assert!((5..60).contains(&refused));
    let answers = asked(Command::new("python3").args(["-c", READER]), &Json::from(asks).to_string());
    for ((settings, text), answers) in wanted.iter().zip(answers.as_array().unwrap()) {
        for ((setting, value), answer) in settings.iter().zip(answers.as_array().unwrap()) {
            let Some(number) = value.number() else {
                assert_eq!(answer.as_str(), Some(statement(value)), "{text}");
                continue;
            };
            // What was a text is still one.
            let read = answer.as_f64().or_else(|| answer.as_str()?.parse().ok());
            assert_eq!(read, Some(number), "{setting}: {answer}\n{text}");
        }
    }
}
