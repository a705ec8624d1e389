use super::*;
use crate::{
    model::{Activity, Counters, Finding, SessionState, Sessions, Severity, Waits},
    scrape::{PoolFigures, Times},
};

fn of_database(activities: Vec<Activity>) -> Vec<Reading> {
    let reading =
        |(place, activity)| Reading { at: 5.0 * f64::from(place), database: Some(activity), ..Reading::default() };
    (0..).zip(activities).map(reading).collect()
}

fn of_pool(pools: Vec<PoolReading>) -> Vec<Reading> {
    (0..)
        .zip(pools)
        .map(|(place, pool)| Reading { at: 5.0 * f64::from(place), pool: Some(pool), ..Reading::default() })
        .collect()
}

/// A server with these sessions, of 100 that there can be.
fn server(sessions: &[(SessionState, u32)]) -> Activity {
    let sessions: Vec<_> =
        sessions.iter().map(|&(state, count)| Sessions { application: "shop".to_owned(), state, count }).collect();
    Activity { limit: 100, connected: sessions.iter().map(|of| of.count).sum(), sessions, ..Activity::default() }
}

/// A pool of 20.
fn pool(active: u32, pending: u32) -> PoolReading {
    let active = f64::from(active);
    PoolReading {
        active: Some(active),
        idle: Some((20.0 - active).max(0.0)),
        pending: Some(pending.into()),
        max: Some(20.0),
        timeouts: Some(0.0),
        acquired: Some(Acquired { rate: 100.0, mean: Some(0.001), p95: None }),
    }
}

fn found(readings: &[Reading]) -> Vec<String> {
    judge(readings).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn what_is_in_order_has_no_finding() {
    let calm = server(&[(SessionState::Active, 10), (SessionState::Idle, 30), (SessionState::IdleInTransaction, 2)]);
    let calm = Activity {
        oldest_transaction: Some(2.0),
        oldest_idle_in_transaction: Some(0.5),
        longest_lock_wait: Some(0.2),
        ..calm
    };
    assert_eq!(found(&of_database(vec![calm; 20])), Vec::<String>::new());
    let to_and_fro: Vec<_> = (0..40).map(|place| pool(8 + place * 7 % 12, u32::from(place % 5 == 0))).collect();
    assert_eq!(found(&of_pool(to_and_fro)), Vec::<String>::new());
    assert_eq!(judge(&[]), Vec::<Finding>::new());
}

#[test]
fn each_rule_of_the_server_has_its_situation() {
    use SessionState::{Active, Hidden, Idle, IdleInTransaction};
    let near = server(&[(Active, 60), (Idle, 31)]);
    assert_eq!(found(&of_database(vec![near])), ["near_server_limit"]);
    let full = judge(&of_database(vec![server(&[(Active, 100)])]));
    assert_eq!((full[0].rule.as_str(), full[0].severity), ("near_server_limit", Severity::Serious));
    let left = Activity { oldest_idle_in_transaction: Some(31.0), ..server(&[(IdleInTransaction, 3)]) };
    let findings = judge(&of_database(vec![left.clone()]));
    assert_eq!((findings[0].rule.as_str(), findings[0].severity), ("idle_in_transaction", Severity::Warning));
    assert!(findings[0].evidence.join(" ").contains("3 of shop"), "{findings:?}");
    let lock = |count| vec![Waits { kind: "Lock".to_owned(), event: "transactionid".to_owned(), count }];
    let blocking = Activity { waits: lock(4), longest_lock_wait: Some(12.0), ..left };
    let findings = judge(&of_database(vec![blocking]));
    assert_eq!(findings.iter().map(|of| of.rule.as_str()).collect::<Vec<_>>(), ["idle_in_transaction", "lock_waits"]);
    assert_eq!(findings[0].severity, Severity::Serious, "others wait for it");
    let old = Activity { oldest_transaction: Some(400.0), ..server(&[(Active, 1)]) };
    assert_eq!(found(&of_database(vec![old])), ["long_transaction"]);
    assert_eq!(found(&of_database(vec![server(&[(Hidden, 3)])])), ["sessions_hidden"]);
    let idle = server(&[(Idle, 60), (Active, 5)]);
    assert_eq!(found(&of_database(vec![idle.clone(); 2])), Vec::<String>::new(), "a lull");
    assert_eq!(found(&of_database(vec![idle; 3])), ["many_idle_sessions"]);
}

#[test]
fn what_is_counted_is_what_came_in_the_last_minute() {
    let counted = |deadlocks, rollbacks, conflicts| Activity {
        counters: Counters { commits: 1000, deadlocks, rollbacks, conflicts },
        ..server(&[(SessionState::Active, 1)])
    };
    let long_ago = [vec![counted(0, 0, 0)], vec![counted(7, 500, 7); 15]].concat();
    assert_eq!(found(&of_database(long_ago.clone())), Vec::<String>::new());
    let now = [long_ago, vec![counted(9, 600, 8)]].concat();
    let findings = judge(&of_database(now));
    assert_eq!(
        findings.iter().map(|of| of.rule.as_str()).collect::<Vec<_>>(),
        ["deadlocks", "recovery_conflicts", "many_rollbacks"]
    );
    assert_eq!(findings[0].evidence, ["2 in the last minute"]);
}

#[test]
fn each_rule_of_the_pool_has_its_situation() {
    assert_eq!(found(&of_pool(vec![pool(20, 5)])), Vec::<String>::new(), "a moment");
    assert_eq!(found(&of_pool(vec![pool(20, 5); 2])), ["pool_exhausted"]);
    assert_eq!(found(&of_pool(vec![pool(5, 5); 2])), ["waiting_without_use"]);
    let gave_up = PoolReading { timeouts: Some(3.0), ..pool(10, 0) };
    assert_eq!(found(&of_pool(vec![gave_up.clone(), pool(10, 0)])), ["acquisition_timeouts"]);
    let long_ago = [vec![gave_up], vec![pool(10, 0); 13]].concat();
    assert_eq!(found(&of_pool(long_ago)), Vec::<String>::new());
    assert_eq!(found(&of_pool(vec![pool(3, 0); 12])), ["many_idle_connections"]);
    let leaking: Vec<_> = (0..16).map(|place| pool(2 + place, 0)).collect();
    assert_eq!(found(&of_pool(leaking)), ["leak_trend"]);
    let busier: Vec<_> = (0..16)
        .map(|place| PoolReading {
            acquired: Some(Acquired { rate: 100.0 + 20.0 * f64::from(place), mean: None, p95: None }),
            ..pool(2 + place, 0)
        })
        .collect();
    assert_eq!(found(&of_pool(busier)), Vec::<String>::new(), "more is asked for");
}

#[test]
fn the_database_tells_why_a_pool_is_exhausted() {
    let both = |activity: Activity| {
        vec![Reading { database: Some(activity), pool: Some(pool(20, 5)), ..Reading::default() }; 2]
    };
    let remedy = |readings: &[Reading]| {
        judge(readings).into_iter().find(|of| of.rule == "pool_exhausted").map(|of| of.remedy).unwrap()
    };
    let held = server(&[(SessionState::IdleInTransaction, 19)]);
    assert!(remedy(&both(held)).contains("mend those first"));
    assert!(remedy(&both(server(&[(SessionState::Active, 20)]))).contains("raise max_connections"));
}

#[test]
fn a_source_that_is_down_ends_no_finding() {
    let mut readings = of_pool(vec![pool(20, 5); 2]);
    readings.push(Reading { at: 10.0, ..Reading::default() });
    assert_eq!(found(&readings), ["pool_exhausted"]);
}

#[test]
fn a_finding_is_told_when_it_begins_and_when_it_ends() {
    let finding = |severity| Finding {
        rule: "lock_waits".to_owned(),
        severity,
        title: "Locks".to_owned(),
        evidence: Vec::new(),
        remedy: String::new(),
    };
    let (warning, serious) = (finding(Severity::Warning), finding(Severity::Serious));
    let mut watch = Watch::default();
    let began = |finding: &Finding| vec![Change::Began { finding: finding.clone() }];
    assert_eq!(watch.update(0.0, std::slice::from_ref(&warning)), began(&warning));
    assert_eq!(watch.update(5.0, std::slice::from_ref(&warning)), []);
    assert_eq!(watch.update(10.0, &[]), [], "it may come again at once");
    assert_eq!(watch.update(15.0, std::slice::from_ref(&serious)), began(&serious), "it got worse");
    assert_eq!(watch.open(), [(&serious, 0.0)]);
    assert!(watch.update(20.0, &[]).is_empty() && watch.update(25.0, &[]).is_empty());
    let ended = Change::Ended { rule: "lock_waits".to_owned(), title: "Locks".to_owned(), lasted: 30.0 };
    assert_eq!(watch.update(30.0, &[]), [ended]);
    assert_eq!(watch.open(), []);
}

#[test]
fn a_pools_counters_are_told_between_two_scrapes() {
    let figures = |timeouts, count, sum| PoolFigures {
        timeouts: Some(timeouts),
        acquire: Times { count, sum, buckets: Vec::new() },
        ..PoolFigures::default()
    };
    let first = figures(4.0, 100.0, 1.0);
    assert_eq!(PoolReading::of(&first, None), PoolReading::default());
    let reading = PoolReading::of(&figures(9.0, 300.0, 3.0), Some((&first, 10.0)));
    assert_eq!(reading.timeouts, Some(5.0));
    assert_eq!(reading.acquired, Some(Acquired { rate: 20.0, mean: Some(0.01), p95: None }));
    let restarted = PoolReading::of(&figures(2.0, 50.0, 1.0), Some((&first, 10.0)));
    assert_eq!((restarted.timeouts, restarted.acquired.unwrap().rate), (Some(2.0), 5.0));
}

#[test]
fn no_address_is_shown_with_its_secrets() {
    let endpoint = Endpoint::new("http://me:hunter2@app.example:8080/metrics?token=hunter2").unwrap();
    assert_eq!(endpoint.to_string(), "http://app.example:8080/metrics");
    assert!(!format!("{endpoint:?}").contains("hunter2"));
    for address in ["app.example/metrics", "ftp://me:hunter2@x/", "http://", "postgres://me:hunter2@h/d"] {
        assert!(!Endpoint::new(address).unwrap_err().to_string().contains("hunter2"), "{address}");
    }
}
