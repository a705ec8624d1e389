use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{Script, ScriptOptions, from_scripts, split_weight};
use crate::{
    model::{Domain, Generator},
    profile::Profile,
};

fn script(text: &str) -> Script {
    Script { name: "mine.sql".to_owned(), text: text.to_owned(), weight: 1 }
}

fn options() -> ScriptOptions {
    let variables = [("n", "1000"), ("table", "item"), ("debt", "-5")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ScriptOptions { variables: BTreeMap::from(variables), scale: 3, workers: 4, tables: false }
}

fn read(text: &str) -> Profile {
    from_scripts(&[script(text)], &options()).unwrap()
}

fn error(text: &str) -> String {
    from_scripts(&[script(text)], &options()).unwrap_err().to_string()
}

/// The domain of the one parameter of a script that sets `x` to an expression.
fn domain(expression: &str) -> Domain {
    let profile = read(&format!("\\set x {expression}\nselect :x;"));
    match &profile.workload.operations[0].parameters.as_slice() {
        [only] => match &only.generator {
            Generator::Integer(domain) => domain.clone(),
            other => panic!("{other:?}"),
        },
        several => panic!("{several:?}"),
    }
}

#[test]
fn the_built_in_scripts_are_profiles_with_their_tables() {
    let scripts = [
        Script::built_in("tpcb-like", 1).unwrap(),
        Script::built_in("si", 2).unwrap(),
        Script::built_in("select", 7).unwrap(),
    ];
    let options = ScriptOptions { variables: BTreeMap::new(), scale: 10, workers: 25, tables: true };
    assert_snapshot!(from_scripts(&scripts, &options).unwrap().source);
}

#[test]
fn a_script_of_many_kinds_becomes_a_profile() {
    let text = r"-- What a shop does; this is no statement.
\set id random(1, :n * :scale) \
        + 100
\set hot random_zipfian(1, 100, 1.07)
\set limit greatest(5, int(2.5 * 4))
/* also none */
SELECT * FROM :table -- not :this
WHERE id = :id
  AND hits > :debt LIMIT :limit;
\set id random(1, 9)
UPDATE :table SET note = 'of :table; it''s', hits = hits + :id
WHERE id = :hot::int;
\sleep 5 ms
";
    assert_snapshot!(read(text).source);
}

#[test]
fn expressions_are_what_pgbench_makes_of_them() {
    for (expression, low, high) in [
        ("random(1, 100000 * :scale)", 1, 300_000),
        ("random(-5000, 5000)", -5000, 5000),
        ("random(1, 10) - 1", 0, 9),
        ("2 + 3 * 4 + random(0, 7 % 4)", 14, 17),
        ("random((1 + 2) * 3, abs(-7) * 2)", 9, 14),
        ("random(-:debt, least(20, :n))", 5, 20),
        ("random(int(7.9), -(-8))", 7, 8),
        ("random(-7 / 2, mod(-7, 4) + 1e1 * 0 + 9)", -3, 6),
    ] {
        // The last has a real number in it, which `random` does not take.
        if expression.contains("1e1") {
            let text = error(&format!("\\set x {expression}\nselect :x;"));
            assert!(text.contains("no whole number"), "{text}");
        } else {
            assert_eq!(domain(expression), Domain::Uniform { low, high }, "{expression}");
        }
    }
    assert_eq!(domain("random_zipfian(1, :n, 1.5) + 10"), Domain::Zipf { low: 11, high: 1010, exponent: 1.5 });
}

#[test]
fn begin_and_end_make_a_transaction_and_none_makes_none() {
    let operation = |text: &str| read(text).workload.operations.remove(0);
    for (begin, end) in [("BEGIN", "END"), ("begin transaction", "commit"), ("START TRANSACTION", "commit work")] {
        let operation = operation(&format!("{begin};\nselect 1; select 2;\n{end};\n"));
        assert!(operation.transaction && operation.statements.len() == 2, "{operation:?}");
    }
    let several = operation("select 1; select 2");
    assert!(!several.transaction && several.statements.len() == 2, "{several:?}");
}

#[test]
fn a_variable_that_is_set_twice_is_drawn_twice() {
    let operation =
        read("\\set x random(1, 2)\nselect :x;\n\\set x random(3, 4)\nselect :x, :x;").workload.operations.remove(0);
    let sources: Vec<_> = operation.statements.iter().map(|statement| statement.source.as_str()).collect();
    assert_eq!(sources, ["select :x", "select :x_2, :x_2"]);
    assert_eq!(operation.parameters.len(), 2);
}

#[test]
fn sleeping_at_the_end_is_thinking() {
    let time = |text: &str| read(&format!("select 1;\n\\sleep {text}\n")).workload.think_time.unwrap().as_micros();
    assert_eq!([time("2"), time("2s"), time("30 ms"), time(":n us")], [2_000_000, 2_000_000, 30_000, 1000]);
    let apart = [script("select 1;\n\\sleep 1 ms"), script("select 1;")];
    assert_snapshot!(from_scripts(&apart, &options()).unwrap_err());
}

#[test]
fn what_a_profile_cannot_say_is_refused_with_line_and_remedy() {
    let errors = [
        error("\\set x random_gaussian(1, 100, 2.5)\nselect :x;"),
        error("\\set x random(1, 10)\n\\set y :x + 1\nselect :y;"),
        error("\\set x random(1, 10) * 2\nselect :x;"),
        error("\\set x permute(1, 10)\nselect :x;"),
        error("\\set x 1 < 2\nselect :x;"),
        error("\\set x (1\nselect :x;"),
        error("\\set x 1 / 0\nselect :x;"),
        error("\\set x 9223372036854775807 + 1\nselect :x;"),
        error("\\set x random(10, 1)\nselect :x;"),
        error("\\set x random_zipfian(1, 10, 30)\nselect :x;"),
        error("\\set x random(1)\nselect :x;"),
        error("\\set x :table + 1\nselect :x;"),
        error("\\set x\nselect 1;"),
        error("select 1,\n :tabel;"),
        error("select :client_id;"),
        error("\\set x random(1, 2)\nselect 'a\n:x';"),
        error("\\if :n\nselect 1;\n\\endif"),
        error("select 1 as one \\gset\n"),
        error("select 1\n\\set x 1\n"),
        error("\\sleep 5 ms\nselect 1;"),
        error("select 1;\n\\sleep 5 min"),
        error("BEGIN;\nselect 1;"),
        error("select 1;\nBEGIN;\nselect 2;\nEND;"),
        error("BEGIN;\nselect 2;\nEND;\nselect 3;"),
        error("BEGIN ISOLATION LEVEL SERIALIZABLE;\nselect 2;\nEND;"),
        error("BEGIN;\nselect 2;\nROLLBACK;"),
        error("END;"),
        error("-- nothing\n"),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn weights_are_split_off_as_pgbench_does() {
    assert_eq!(split_weight("a.sql").unwrap(), ("a.sql", 1));
    assert_eq!(split_weight("me@home.sql@12").unwrap(), ("me@home.sql", 12));
    let errors = [
        split_weight("a.sql@often").unwrap_err().to_string(),
        split_weight("@3").unwrap_err().to_string(),
        Script::built_in("tpc-b", 1).unwrap_err().to_string(),
        Script::built_in("s", 1).unwrap_err().to_string(),
        from_scripts(&[Script { weight: 0, ..script("select 1") }], &options()).unwrap_err().to_string(),
    ];
    assert_snapshot!(errors.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a script holds: a profile or an error that names the script, never a panic.
    #[test]
    fn no_script_is_too_odd(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "\\set x random(1, 9)\n", "\\set", " y ", "1e", ":x", ":scale", ";", "'", "--", "\n", "\\", "select ",
                "begin;", "end;", "(", ")", "-", "+", "/*", "$$", "\\sleep ", "é", "5 ms\n", ".", "::", "[1:",
            ]),
            0..30,
        ),
    ) {
        if let Err(error) = from_scripts(&[script(&pieces.concat())], &options()) {
            prop_assert!(error.to_string().starts_with("failed to read "), "{}", error);
        }
    }
}
