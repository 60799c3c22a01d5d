-- Version 14. The list of calls, made from the entries of the ledger behind the writer: see store/calls.rs. A row for each call,
-- with its words of agents, people and tools only as long as the payloads of its first entry are there.
CREATE TABLE calls (
    seq       INTEGER PRIMARY KEY,  -- the index of its first entry
    call      TEXT    NOT NULL UNIQUE,
    at        INTEGER NOT NULL,     -- the time of its first entry
    changed   INTEGER NOT NULL,     -- the time of its newest entry
    ledger    INTEGER NOT NULL,     -- the index of its newest entry
    principal TEXT    NOT NULL,
    person    TEXT,                 -- from payloads
    tool      TEXT,
    summary   TEXT,                 -- from payloads
    state     TEXT    NOT NULL,
    final     INTEGER NOT NULL,     -- the state is its ending or its outcome
    resolved  TEXT,
    code      TEXT,                 -- the rule or the code of its ending
    rule      TEXT,                 -- the first rule that decided, from payloads
    erased    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX calls_at ON calls (at);
CREATE INDEX calls_principal ON calls (principal, at);
CREATE INDEX calls_person ON calls (person, at) WHERE person IS NOT NULL;
CREATE INDEX calls_tool ON calls (tool, at) WHERE tool IS NOT NULL;
CREATE INDEX calls_state ON calls (state, at);
CREATE INDEX calls_ledger ON calls (ledger);

-- The objects of the plan, from payloads.
CREATE TABLE call_objects (
    object TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (object, at, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_objects_seq ON call_objects (seq);

-- The people whose signatures were taken.
CREATE TABLE call_signers (
    signer TEXT    NOT NULL,
    at     INTEGER NOT NULL,  -- the time of the call's first entry
    seq    INTEGER NOT NULL,
    leaf   INTEGER NOT NULL,  -- the index of the first signature's entry
    PRIMARY KEY (signer, at, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_signers_seq ON call_signers (seq);

-- The first entry that the list does not know. One row.
CREATE TABLE calls_end (id INTEGER PRIMARY KEY CHECK (id = 1), entry INTEGER NOT NULL) STRICT;
INSERT INTO calls_end VALUES (1, 0);

-- The operator who cancelled a job, and why; JSON, written once.
ALTER TABLE jobs ADD COLUMN cancellation TEXT;
