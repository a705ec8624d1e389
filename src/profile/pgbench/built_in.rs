/// pgbench's built-in scripts, as its documentation has them.
pub(super) const SCRIPTS: [(&str, &str); 3] =
    [("tpcb-like", TPCB_LIKE), ("simple-update", SIMPLE_UPDATE), ("select-only", SELECT_ONLY)];

const TPCB_LIKE: &str = r"\set aid random(1, 100000 * :scale)
\set bid random(1, 1 * :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
";

const SIMPLE_UPDATE: &str = r"\set aid random(1, 100000 * :scale)
\set bid random(1, 1 * :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
";

const SELECT_ONLY: &str = r"\set aid random(1, 100000 * :scale)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
";

/// The statements that make pgbench's tables, with the rows that `pgbench -i -s SCALE` puts in.
pub(super) fn tables(scale: u32) -> Vec<String> {
    [
        "create table pgbench_branches (bid int not null, bbalance int, filler char(88)) with (fillfactor = 100)",
        "create table pgbench_tellers (tid int not null, bid int, tbalance int, filler char(84)) with (fillfactor = 100)",
        "create table pgbench_accounts (aid int not null, bid int, abalance int, filler char(84)) with (fillfactor = 100)",
        "create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
        "insert into pgbench_branches (bid, bbalance) select n, 0 from generate_series(1, SCALE) n",
        "insert into pgbench_tellers (tid, bid, tbalance)\nselect n, (n - 1) / 10 + 1, 0 from generate_series(1, 10 * SCALE) n",
        "insert into pgbench_accounts (aid, bid, abalance, filler)\nselect n, (n - 1) / 100000 + 1, 0, '' from generate_series(1, 100000 * SCALE) n",
        "alter table pgbench_branches add primary key (bid)",
        "alter table pgbench_tellers add primary key (tid)",
        "alter table pgbench_accounts add primary key (aid)",
    ]
    .map(|sql| sql.replace("SCALE", &scale.to_string()))
    .into()
}
