-- What is recommended for a target and a profile, from the run that found it until another row says otherwise: the newest holds.
CREATE TABLE standing (
    id              INTEGER PRIMARY KEY NOT NULL,
    -- A run changes it once, however often it is gone on with.
    run             TEXT NOT NULL UNIQUE,
    target          TEXT NOT NULL,
    profile         TEXT NOT NULL,
    instances       INTEGER NOT NULL,
    -- JSON; none where what stood before was withdrawn, and nothing is recommended.
    settings        TEXT,
    since           TEXT NOT NULL,
    -- JSON: the ratio of throughputs that the verification showed.
    effect          TEXT
);

CREATE INDEX standing_of_targets ON standing (target, profile, instances, id);
