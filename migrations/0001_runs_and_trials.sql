-- A run and its trials. JSON columns hold what the program's own types say; the others are for looking things up.
CREATE TABLE runs (
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
    sequence        INTEGER NOT NULL,
    phase           TEXT NOT NULL,
    record          TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
