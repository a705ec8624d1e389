-- The stress tests of what a run decided. A row is written as each ends, so that a suite that is cut off goes on with those that are missing.
CREATE TABLE stress_tests (
    run             TEXT NOT NULL REFERENCES runs (id),
    -- Its place in the suite.
    sequence        BIGINT NOT NULL,
    name            TEXT NOT NULL,
    record          TEXT NOT NULL,
    PRIMARY KEY (run, name)
);

-- What a beginning is known by, so that one whose answer was lost and that is tried again is one round.
ALTER TABLE rounds ADD COLUMN token TEXT;

CREATE UNIQUE INDEX rounds_by_token ON rounds (token);
