//! Profiles from pgbench's scripts, and that a server takes them.

use std::{collections::BTreeMap, fs};

use pool_tune::{
    database::Schema,
    profile::{self, Script, ScriptOptions, from_scripts},
};

use super::{pool_tune, stderr, stdout};
use crate::support::cluster::Cluster;

const SHOP: &str = "\\set id random(1, :rows)\n\\set by random_zipfian(1, 9, 1.2)\n-- A sale.\nBEGIN;\nupdate item set hits = \
                    hits + :by\nwhere id = :id;\nEND;\n\\sleep 1 ms\n";

#[test]
fn scripts_and_built_ins_become_a_profile_that_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.sql"), SHOP).unwrap();
    fs::write(folder.path().join("read.sql"), "select hits from item where id = 1;\n\\sleep 1 ms\n").unwrap();
    let arguments = ["profiles", "from-script", "shop.sql@3", "read.sql", "-D", "rows=500", "--workers", "7"];
    let shown = pool_tune(folder.path(), &arguments);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let profile = profile::parse("shown", &stdout(&shown)).unwrap();
    assert_eq!((profile.workers, profile.workload.operations[0].weight), (7, 3.0));

    let written = pool_tune(folder.path(), &[&arguments[..], &["-o", "mine.yaml"]].concat());
    assert!(written.status.success() && written.stdout.is_empty(), "{}", stderr(&written));
    assert_eq!(fs::read_to_string(folder.path().join("mine.yaml")).unwrap(), stdout(&shown));
    assert!(pool_tune(folder.path(), &["profiles", "check", "mine.yaml"]).status.success());
}

#[test]
fn a_file_is_written_over_only_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.yaml"), "precious").unwrap();
    let arguments = ["profiles", "from-script", "-b", "select-only", "-o", "mine.yaml"];
    let refused = pool_tune(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("mine.yaml") && stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(folder.path().join("mine.yaml")).unwrap(), "precious");
    assert!(pool_tune(folder.path(), &[&arguments[..], &["--force"]].concat()).status.success());
    assert!(fs::read_to_string(folder.path().join("mine.yaml")).unwrap().contains("pgbench_accounts"));
}

#[test]
fn what_cannot_be_read_is_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.sql"), SHOP).unwrap();
    for (arguments, says) in [
        (&["shop.sql"][..], &["shop.sql`, line 1", "-D rows="][..]),
        (&["none.sql"], &["none.sql", "No such file"]),
        (&["shop.sql@x"], &["shop.sql@x", "weight"]),
        (&["shop.sql", "-D", "rows"], &["-D rows", "NAME=VALUE"]),
        (&["-b", "tpcb"], &[]),
        (&["-b", "read"], &["`read`", "select-only"]),
        (&[], &["FILE[@WEIGHT]"]),
    ] {
        let output = pool_tune(folder.path(), &[&["profiles", "from-script"], arguments].concat());
        assert_eq!(output.status.code(), Some(if says.is_empty() { 0 } else { 2 }), "{}", stderr(&output));
        for words in says {
            assert!(stderr(&output).contains(words), "`{words}` is not in: {}", stderr(&output));
        }
    }
}

/// The profile's tables are what pgbench itself makes of its scripts, and each statement is good there.
#[tokio::test]
async fn a_server_takes_the_built_in_scripts_on_the_tables_that_the_profile_makes() {
    let server = Cluster::shared().server();
    let scripts: Vec<Script> =
        ["tpcb-like", "simple-update", "select-only"].iter().map(|name| Script::built_in(name, 1).unwrap()).collect();
    let options = ScriptOptions { variables: BTreeMap::default(), scale: 1, workers: 4, tables: true };
    let profile = from_scripts(&scripts, &options).unwrap();
    let schema = Schema::create(&server, "from script", &profile.workload.prepare).await.unwrap();
    schema.server().check(&profile.workload).await.unwrap();
    schema.remove().await.unwrap();
}
