-- A rollout brings a run's settings into use by stages. It holds all that it needs of its run, which may be removed meanwhile. JSON
-- columns hold what the program's own types say. Times are RFC 3339 in UTC.
CREATE TABLE rollouts (
    id              INTEGER PRIMARY KEY NOT NULL,
    name            TEXT NOT NULL,
    run             TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    ended_at        TEXT,
    status          TEXT NOT NULL,
    intent          TEXT NOT NULL,
    state           TEXT NOT NULL
);

CREATE INDEX rollouts_of_names ON rollouts (name, id);

-- What a rollout did, step by step.
CREATE TABLE rollout_steps (
    rollout         INTEGER NOT NULL REFERENCES rollouts (id),
    sequence        INTEGER NOT NULL,
    at              TEXT NOT NULL,
    step            TEXT NOT NULL,
    PRIMARY KEY (rollout, sequence)
) WITHOUT ROWID;
