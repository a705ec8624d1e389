use insta::assert_snapshot;
use proptest::prelude::*;

use super::{built_in, find, parse};
use crate::model::{Axis, Dialect, Domain, Generator, IncidentKind, Incidents, OperatingDay, Setting, Shape, Value};

const HEAVY: &str = include_str!("../../profiles/heavy.yaml");

/// A small profile with `more` behind it.
fn small(more: &str) -> String {
    format!("name: mine\nworkers: 4\nworkload:\n  operations:\n    - name: read\n      sql: select 1\n{more}")
}

fn error(text: &str) -> String {
    parse("mine.yaml", text).unwrap_err().to_string()
}

#[test]
fn sizes_that_the_load_cannot_tell_apart_are_not_searched() {
    let text = |workers: u32, in_use: u32, range: &str, more: &str| {
        format!(
            "name: mine\nworkers: {workers}\nsettings: {{min_connections: 1, max_connections: {in_use}}}\n\
             search: {{ranges: {{min_connections: [1, 3], max_connections: {range}}}}}\n{more}\
             workload: {{operations: [{{name: read, sql: select 1}}]}}\n"
        )
    };
    let cut = |text: &str| {
        let mut profile = parse("mine.yaml", text).unwrap();
        let notice = profile.cut_sizes();
        let axis = profile.space.axes.iter().find(|axis| axis.setting == Setting::MaxConnections);
        (axis.map(|axis| (axis.low, axis.high)), notice, profile.why_size_kept().map(str::to_owned))
    };
    assert_eq!(cut(&text(30, 10, "[10, 30]", "")), (Some((10.0, 30.0)), None, None));
    let (range, notice, _) = cut(&text(20, 10, "[10, 30]", ""));
    assert_eq!(range, Some((10.0, 20.0)));
    assert!(notice.unwrap().contains("is cut to 10..20: 20 workers have at most 20 connections in use at once"));
    // Each pool has its share of the workers.
    let (range, notice, _) = cut(&text(20, 4, "[2, 30]", "instances: 3\n"));
    assert_eq!(range, Some((2.0, 7.0)));
    assert!(notice.unwrap().contains("20 workers on 3 pools have at most 7 connections of each in use"));
    let (range, notice, why) = cut(&text(8, 10, "[10, 30]", ""));
    assert_eq!(range, None);
    assert!(notice.unwrap().starts_with("`max_connections` is not searched: 8 workers have at most 8 connections"));
    assert!(why.unwrap().ends_with("so that sizes of 10..30 are the same"));
    // The one in use is smaller than what the load uses: then a larger one is another.
    assert_eq!(cut(&text(8, 5, "[10, 30]", "")).0, Some((10.0, 10.0)));
    // A request with two connections.
    let nested = text(8, 10, "[10, 30]", "").replace("sql: select 1", "sql: select 1, nested: true");
    assert_eq!(cut(&nested).0, Some((10.0, 16.0)));
    // What is kept open is not cut away.
    assert_eq!(cut(&text(2, 1, "[1, 30]", "").replace("[1, 3]", "[3, 5]")).0, Some((1.0, 3.0)));
}

#[test]
fn under_faults_any_size_may_matter() {
    let mut light = parse("light", find("light").unwrap()).unwrap();
    let space = light.space.clone();
    let notice = light.cut_sizes().unwrap();
    assert!(
        notice.contains("pools of 10..30 connections differ only in the part of a trial that is under faults"),
        "{notice}"
    );
    assert_eq!((&light.space, light.why_size_kept()), (&space, None));
    light.leave_faults_out();
    assert!(light.cut_sizes().unwrap().starts_with("`max_connections` is not searched: 8 workers"));
    for name in ["medium", "heavy"] {
        assert_eq!(parse(name, find(name).unwrap()).unwrap().cut_sizes(), None);
    }
}

#[test]
fn built_in_profiles_are_good_and_quiet() {
    let workers = built_in().map(|(name, text)| {
        let profile = parse(name, text).unwrap();
        assert_eq!(profile.name, name);
        assert_eq!(profile.warnings(), Vec::<String>::new(), "{name}");
        profile.workers
    });
    assert_eq!(workers, [8, 25, 64]);
}

#[test]
fn heavy_is_what_the_guide_says() {
    let settings = parse("heavy", HEAVY).unwrap().space.baseline;
    assert_eq!((settings.min_connections(), settings.max_connections()), (5, 30));
    assert_eq!(settings.get(Setting::RetryJitterFactor), &Value::Factor(0.15));
    assert_eq!(settings.connection_timeout().as_secs(), 10);
}

#[test]
fn placeholders_and_scale_are_resolved() {
    let text = "name: mine\nworkers: 4\nworkload:\n  scale: 3\n  prepare:\n    - insert into t select generate_series(1, 10 * {scale})\n  operations:\n    - name: read\n      sql: select :id, :id + :other\n      parameters:\n        other: {choice: [a, b]}\n        id: {uniform: [1, 10 * scale]}\n";
    let workload = parse("mine.yaml", text).unwrap().workload;
    assert_eq!(workload.prepare, ["insert into t select generate_series(1, 10 * 3)"]);
    let operation = &workload.operations[0];
    assert_eq!(operation.statements[0].sql, "select $1, $1 + $2");
    assert_eq!(operation.statements[0].arguments, [1, 0]);
    assert_eq!(operation.parameters[1].generator, Generator::Integer(Domain::Uniform { low: 1, high: 30 }));
}

#[test]
fn statements_run_in_order_without_a_transaction() {
    let text = small("").replace("sql: select 1", "statements: [select 1, select 2]");
    let operation = parse("mine.yaml", &text).unwrap().workload.operations.remove(0);
    let sql: Vec<_> = operation.statements.iter().map(|statement| statement.sql.as_str()).collect();
    assert_eq!((sql, operation.transaction), (vec!["select 1", "select 2"], false));
}

#[test]
fn errors_name_line_key_and_remedy() {
    let errors = [
        error(&small("worker: 3\n")),
        error(&small("trial: {measure: 5x}\n")),
        error(&small("settings:\n  max_conections: 5\n")),
        error(&small("settings:\n  max_connections: 5\n  min_connections: 6\n")),
        error(&small("settings:\n  max_connections: 5.5\n")),
        error(&small("search:\n  ranges:\n    max_connections: [30, 10]\n")),
        error(&small("limits: {success_rate: 99}\n")),
        error(&small("budget: {search_trials: 0}\n")),
        error("workers: 4\n"),
        error(""),
        error("- a\n- b\n"),
        error("name: a\nname: b\n"),
        error("name: [a\nworkers: 4\n"),
        error("name: a\nworkers: 0\n"),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn errors_in_operations_name_line_key_and_remedy() {
    let operation = |text: &str| error(&format!("name: a\nworkers: 1\nworkload:\n  operations:\n{text}"));
    let errors = [
        operation("    - name: r\n      sql: select :id\n"),
        operation("    - name: r\n      sql: select :id\n      parameters:\n        ident: {uniform: [1, 2]}\n"),
        operation("    - name: r\n      sql: select 1\n      parameters:\n        id: {uniform: [1, 2]}\n"),
        operation("    - name: r\n      weight: -1\n      sql: select 1\n"),
        operation("    - name: r\n      weight: 0\n      sql: select 1\n"),
        operation("    - name: r\n      sqll: select 1\n"),
        operation("    - name: r\n"),
        operation(
            "    - name: r\n      sql: select :i\n      parameters:\n        i: {zipf: {range: [1, 9], exponent: 0}}\n",
        ),
        operation("    - name: r\n      sql: select :i\n      parameters:\n        i: {uniform: [9, 1]}\n"),
        operation("    - name: r\n      sql: select :i\n      parameters:\n        i: {choice: []}\n"),
        operation("    []\n"),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_misspelt_key_that_is_needed_is_told_where_it_stands() {
    let problem = parse("p", "name: x\nworkers: 3\nworklod: {}\n").unwrap_err().to_string();
    assert!(problem.contains("line 3") && problem.contains("did you mean `workload`"), "{problem}");
    // A known key that resembles the missing one is no misspelling of it.
    let problem = parse("p", "name: x\nworkload: {}\n").unwrap_err().to_string();
    assert!(problem.contains("has no `workers`"), "{problem}");
}

#[test]
fn an_unknown_profile_lists_those_there_are() {
    assert_snapshot!(find("hevy").unwrap_err());
}

#[test]
fn flags_pin_and_range() {
    let mut profile = parse("heavy", HEAVY).unwrap();
    profile.pin("max_connections=20").unwrap();
    assert_eq!(profile.space.baseline.max_connections(), 20);
    assert!(profile.is_pinned(Setting::MaxConnections));
    assert!(!profile.space.axes.iter().any(|axis| axis.setting == Setting::MaxConnections));
    profile.range("max_connections=10..60").unwrap();
    assert!(!profile.is_pinned(Setting::MaxConnections));
    assert_eq!(profile.warnings().len(), 1, "60 is beyond the recommended range: {:?}", profile.warnings());
    profile.range("idle_timeout=60..120").unwrap();
    assert!(profile.slow.contains(&Axis { setting: Setting::IdleTimeout, low: 60.0, high: 120.0 }));
    profile.pin("idle_timeout=90").unwrap();
    assert!(profile.is_pinned(Setting::IdleTimeout));
    assert!(!profile.slow.iter().any(|axis| axis.setting == Setting::IdleTimeout));
    let mut without = parse("mine.yaml", &small("day: none\n")).unwrap();
    assert!(without.day.is_none() && without.slow.is_empty());
    without.range("idle_timeout=60..120").unwrap();
    assert!(without.warnings().iter().any(|warning| warning.contains("not used")), "{:?}", without.warnings());
}

#[test]
fn a_day_has_defaults_and_says_what_is_wrong_with_it() {
    let day = |text: &str| parse("mine.yaml", &small(&format!("day: {text}\n"))).map(|profile| profile.day.unwrap());
    assert_eq!(parse("mine.yaml", &small("")).unwrap().day, Some(OperatingDay::default()));
    let read =
        day("{load: business, peak: 0.3, deadline: 2s, incidents: {failovers: {a_day: 0.1, lasts: 1m}, resets: 5, \
                    idle_limit: 350s}, costs: {reconnect: 3, connection: 0}}")
        .unwrap();
    let failovers = read.incidents.get(IncidentKind::Failovers);
    assert_eq!((read.shape, failovers.a_day, failovers.lasts.as_secs()), (Shape::Business, 0.1, 60));
    assert_eq!((read.incidents.get(IncidentKind::Resets).a_day, read.incidents.idle_limit), (5.0, Some(350.0)));
    assert_eq!(read.incidents.get(IncidentKind::Restarts), Incidents::default().get(IncidentKind::Restarts));
    for (text, part) in [
        ("{load: diurnl}", "did you mean `diurnal`?"),
        ("{peak: 0}", "from 0.01 to 2"),
        ("{incidents: {restarts: -1}}", "times a day, from 0 to 1000"),
        ("{incidents: {restarts: .nan}}", "non-finite float"),
        ("{incidents: {restart: 1}}", "did you mean `restarts`?"),
        ("{incidents: {resets: {lasts: 3s}}}", "leave `lasts` out"),
        ("{incidents: {leaks: {lasts: 2h}}}", "a time from"),
        ("{costs: {connection: 7}}", "from 0 to 0.1"),
        ("{deadline: never}", "a time from"),
    ] {
        let error = day(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// A small profile with a fault part.
fn faulty(part: &str) -> String {
    small(&format!("faults: {{{part}}}\n"))
}

#[test]
fn a_fault_part_makes_what_acts_under_faults_a_matter_of_search() {
    let searched = |text: &str| parse("mine.yaml", text).unwrap().space.axes.into_iter().map(|axis| axis.setting);
    let acting = [Setting::RetryAttempts, Setting::InitialRetryDelay, Setting::CircuitBreakerThreshold];
    assert!(!searched(&small("")).any(|setting| acting.contains(&setting)));
    let text = faulty("weight: 0.5, timeline: [{at: 500ms, fault: reset}]");
    assert_eq!(searched(&text).filter(|setting| acting.contains(setting)).count(), 3);
    let part = parse("mine.yaml", &text).unwrap().faults.unwrap();
    assert_eq!((part.measure.as_secs(), part.deadline.as_secs(), part.timeline.len()), (2, 1, 1));
    for (name, text) in built_in() {
        assert!(parse(name, text).unwrap().faults.is_some(), "{name}");
    }
}

#[test]
fn where_faults_cannot_be_made_nothing_is_left_of_them() {
    let mut profile = parse("heavy", HEAVY).unwrap();
    profile.leave_faults_out();
    assert!(profile.faults.is_none() && profile.faults_out_of_reach());
    let left: Vec<_> = profile.space.axes.iter().map(|axis| axis.setting).collect();
    assert_eq!(left, [Setting::MinConnections, Setting::MaxConnections]);
    let mut without = parse("mine.yaml", &small("")).unwrap();
    without.leave_faults_out();
    assert!(!without.faults_out_of_reach(), "there was no part to be taken out");
}

#[test]
fn errors_in_faults_name_line_key_and_remedy() {
    let reset = "timeline: [{at: 500ms, fault: reset}]";
    let errors = [
        error(&faulty(&format!("weight: 0, {reset}"))),
        error(&faulty(&format!("weight: -0.2, {reset}"))),
        error(&faulty(&format!("weight: 1, {reset}"))),
        error(&faulty(&format!("weight: .nan, {reset}"))),
        error(&faulty(&format!("weight: many, {reset}"))),
        error(&faulty(reset)),
        error(&faulty("weight: 0.2")),
        error(&faulty("weight: 0.2, timeline: []")),
        error(&faulty(&format!("weight: 0.2, measure: 0, {reset}"))),
        error(&faulty(&format!("weight: 0.2, deadline: 3s, {reset}"))),
        error(&faulty("weight: 0.2, measure: 1s, timeline: [{at: 900ms, for: 200ms, fault: refuse}]")),
        error(&faulty("weight: 0.2, timeline: [{at: 1s, fault: terminate}]")),
        error(&faulty("weight: 0.2, timeline: [{at: 1s, for: 100ms, fault: pause}]")),
        error(&faulty("weight: 0.2, timeline: [{at: 1s, for: 100ms, fault: hold, connections: 2}]")),
        error(&faulty(&format!("weight: 0.2, wieght: 0.3, {reset}"))),
        error(&small(
            "faults:\n  weight: 0.2\n  timeline:\n    - {at: 1s, fault: reset}\n    - {at: 1s, fault: restart, for: 1s}\n",
        )),
        error(&small(&format!(
            "settings: {{initial_retry_delay: 0.02, max_retry_delay: 0.05}}\nfaults: {{weight: 0.2, {reset}}}\n"
        ))),
    ];
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn bad_flags_are_told() {
    let mut profile = parse("heavy", HEAVY).unwrap();
    let before = profile.clone();
    let errors = [
        profile.pin("max_connections").unwrap_err().to_string(),
        profile.pin("max_connections=many").unwrap_err().to_string(),
        profile.pin("max_conns=3").unwrap_err().to_string(),
        profile.pin("max_connections=3").unwrap_err().to_string(),
        profile.range("max_connections=10-60").unwrap_err().to_string(),
        profile.range("max_connections=60..10").unwrap_err().to_string(),
        profile.range("max_connections=1..1").unwrap_err().to_string(),
        profile.range("validation_query=1..3").unwrap_err().to_string(),
    ];
    assert_snapshot!(errors.join("\n"));
    assert_eq!(profile, before, "a flag that is refused changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is cut out of, or put into, a good profile: an error or a profile, never a panic.
    #[test]
    fn damage_is_told_and_never_a_panic(
        at in 0..HEAVY.len(),
        length in 0..40_usize,
        put in prop::sample::select(vec!["", ":", "- ", "\t", "{", "]", "&a", "*a", ".inf", "-1", "\"", "!!x", "\n\n"]),
    ) {
        let end = (at + length).min(HEAVY.len());
        if HEAVY.is_char_boundary(at) && HEAVY.is_char_boundary(end) {
            let damaged = format!("{}{put}{}", &HEAVY[..at], &HEAVY[end..]);
            if let Err(error) = parse("damaged.yaml", &damaged) {
                prop_assert!(error.to_string().starts_with("failed to read profile `damaged.yaml`"));
            }
        }
    }
}

#[test]
fn statements_can_differ_by_database() {
    let text = "name: a\nworkers: 1\nworkload:\n  prepare:\n    mysql: [create table t (id int)]\n  operations:\n    - name: read\n      sql: {mysql: 'select :id, :id', sqlite: 'select :id'}\n      parameters: {id: {uniform: [1, 2]}}\n";
    let mut profile = parse("mine.yaml", text).unwrap();
    // The first that it has at all.
    assert_eq!(profile.workload.operations[0].statements[0].sql, "select ?, ?");
    assert_eq!(profile.workload.operations[0].statements[0].arguments, [0, 0]);
    let problem = profile.speak(Dialect::Sqlite).unwrap_err().to_string();
    assert_eq!(
        problem,
        "failed to read profile `a`, line 4: `prepare` has statements for MySQL only, none for SQLite: add `sqlite: …` beside"
    );
    let problem = profile.speak(Dialect::Postgres).unwrap_err().to_string();
    assert!(problem.contains("none for PostgreSQL"), "{problem}");
    profile.speak(Dialect::MySql).unwrap();
    assert_eq!(profile.workload.prepare, ["create table t (id int)"]);

    let odd = text.replace("sqlite:", "sqlight:");
    assert!(error(&odd).contains("`sqlight` is no kind of database: did you mean `sqlite`?"), "{}", error(&odd));
    let empty = text.replace("{mysql: 'select :id, :id', sqlite: 'select :id'}", "{}");
    assert!(error(&empty).contains("`sql` is empty"), "{}", error(&empty));
}
