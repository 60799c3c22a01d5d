-- Jobs, approvals and the ledger. Times are milliseconds since 1970; words are those of core::run.
CREATE TABLE jobs (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    call        TEXT    NOT NULL UNIQUE,
    principal   TEXT    NOT NULL,
    tool        TEXT    NOT NULL,
    plan        TEXT    NOT NULL,
    arguments   TEXT    NOT NULL,            -- digest
    phase       TEXT    NOT NULL,
    outcome     TEXT,
    detail      TEXT    NOT NULL DEFAULT '',
    fence       INTEGER NOT NULL DEFAULT 0,
    leased      INTEGER NOT NULL DEFAULT 0,  -- a runner holds it now
    attempts    INTEGER NOT NULL DEFAULT 0,  -- leases taken before acting
    cancelled   INTEGER NOT NULL DEFAULT 0,  -- the runner is asked to stop
    delivered   INTEGER NOT NULL DEFAULT 0,
    approved    INTEGER NOT NULL DEFAULT 0,  -- the quorum has signed
    joinable    INTEGER NOT NULL DEFAULT 1,  -- the same call again is this one
    progress    TEXT,
    approval    TEXT,                        -- JSON
    reasons     TEXT    NOT NULL,            -- JSON
    environment TEXT    NOT NULL,            -- JSON
    permit      TEXT,                        -- JSON
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    ledger      INTEGER NOT NULL,            -- newest entry
    version     INTEGER NOT NULL DEFAULT 1,
    document    TEXT                         -- the job as stored, without statements and permit; gone when erased
) STRICT;
CREATE UNIQUE INDEX jobs_joinable ON jobs (principal, plan) WHERE joinable = 1;
CREATE INDEX jobs_open ON jobs (phase, seq) WHERE phase <> 'closed';

CREATE TABLE statements (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    call      TEXT NOT NULL REFERENCES jobs (call),
    approver  TEXT NOT NULL,
    verdict   TEXT NOT NULL,
    statement TEXT NOT NULL,
    signature TEXT NOT NULL,
    UNIQUE (call, approver)
) STRICT;

CREATE TABLE operations (
    call      TEXT    NOT NULL REFERENCES jobs (call),
    operation INTEGER NOT NULL,
    undo      INTEGER NOT NULL,
    before    TEXT    NOT NULL,  -- JSON
    after     TEXT,              -- JSON
    PRIMARY KEY (call, operation, undo)
) STRICT;

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key       TEXT NOT NULL,
    call      TEXT NOT NULL,
    tool      TEXT NOT NULL,
    arguments TEXT NOT NULL,  -- digest
    PRIMARY KEY (principal, key)
) STRICT;

CREATE TABLE rejections (
    principal TEXT    NOT NULL,
    plan      TEXT    NOT NULL,
    until     INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (principal, plan)
) STRICT;

CREATE TABLE leaves (
    idx   INTEGER PRIMARY KEY,
    call  TEXT,
    hash  BLOB NOT NULL,
    entry TEXT NOT NULL
) STRICT;
CREATE INDEX leaves_call ON leaves (call) WHERE call IS NOT NULL;

CREATE TABLE payloads (
    leaf INTEGER NOT NULL REFERENCES leaves (idx),
    name TEXT    NOT NULL,
    key  BLOB    NOT NULL,   -- the record's key
    body TEXT    NOT NULL,
    PRIMARY KEY (leaf, name)
) STRICT;

-- One row each.
CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE fences (id INTEGER PRIMARY KEY CHECK (id = 1), newest INTEGER NOT NULL) STRICT;
INSERT INTO fences VALUES (1, 0);
