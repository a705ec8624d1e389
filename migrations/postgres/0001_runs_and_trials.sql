-- A run and its trials, as in SQLite's migration of the same number. `rowid` is what SQLite's tables have by themselves: the order of
-- insertion.
CREATE TABLE runs (
    rowid           BIGINT GENERATED ALWAYS AS IDENTITY,
    id              TEXT PRIMARY KEY NOT NULL,
    started_at      TEXT NOT NULL,
    status          TEXT NOT NULL,
    profile_name    TEXT NOT NULL,
    profile_source  TEXT NOT NULL,
    target          TEXT NOT NULL,
    seed            TEXT NOT NULL,
    intent          TEXT NOT NULL,
    recommendation  TEXT
);

CREATE TABLE trials (
    run             TEXT NOT NULL REFERENCES runs (id),
    sequence        BIGINT NOT NULL,
    phase           TEXT NOT NULL,
    record          TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
);
