-- A round is one time through an experiment's profiles, over as many starts as that takes. Times are RFC 3339 in UTC.
CREATE TABLE rounds (
    id              INTEGER PRIMARY KEY NOT NULL,
    experiment      TEXT NOT NULL,
    -- The due time of its last start; none when a person started it.
    due             TEXT,
    started_at      TEXT NOT NULL,
    ended_at        TEXT,
    status          TEXT NOT NULL,
    error           TEXT
);

CREATE INDEX rounds_of_experiments ON rounds (experiment, id);

ALTER TABLE runs ADD COLUMN round INTEGER REFERENCES rounds (id);
