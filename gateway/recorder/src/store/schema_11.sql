-- Version 11. Static tokens that were given, and callers that were served.
CREATE TABLE tokens (
    digest TEXT    NOT NULL PRIMARY KEY,
    agent  TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    ended  INTEGER,           -- when it was first missing in the agents file; it never counts again
    back   INTEGER            -- when a backup brought it back after that
) STRICT, WITHOUT ROWID;

-- The last use of each caller, to the minutes.
CREATE TABLE callers (
    name   TEXT    NOT NULL PRIMARY KEY,
    roles  TEXT    NOT NULL,  -- a JSON list
    person TEXT,
    used   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX callers_used ON callers (used);
