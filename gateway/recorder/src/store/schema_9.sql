-- Version 9. Retention removes old rows. The ledger says how many, and its entries stay.
ALTER TABLE idempotency ADD COLUMN made INTEGER NOT NULL DEFAULT 0;  -- when the key was first used
UPDATE idempotency SET made = coalesce((SELECT created FROM jobs WHERE jobs.call = idempotency.call), 0);
CREATE INDEX idempotency_made ON idempotency (made);
CREATE INDEX jobs_ended ON jobs (ended) WHERE phase = 'closed';

-- What was removed, a row for each kind and day. `until`: of payloads, the newest entry whose payloads may be gone; of closed
-- jobs, the newest end of one that may be gone.
CREATE TABLE removed (
    what  TEXT    NOT NULL,
    day   INTEGER NOT NULL,  -- days since 1970
    at    INTEGER NOT NULL,
    until INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (what, day)
) STRICT, WITHOUT ROWID;

-- How many removed rows had which word: counters never go back.
CREATE TABLE removed_counts (
    kind  TEXT    NOT NULL,  -- `outcome` or `verdict`
    word  TEXT    NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, word)
) STRICT, WITHOUT ROWID;

-- The first entry that retention of payloads has not looked at. One row.
CREATE TABLE payloads_end (id INTEGER PRIMARY KEY CHECK (id = 1), entry INTEGER NOT NULL) STRICT;
INSERT INTO payloads_end VALUES (1, 0);
