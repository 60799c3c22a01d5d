-- Version 12. Notifications that wait for a receiver, a row for each receiver. A row has no words of a call: they are read from
-- its job when it is sent, so that erasing a job erases them.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT    NOT NULL,
    event    TEXT    NOT NULL,
    call     TEXT,
    detail   TEXT    NOT NULL DEFAULT '',
    made     INTEGER NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,  -- that failed
    retry_at INTEGER NOT NULL DEFAULT 0,
    error    TEXT                         -- of the newest try
) STRICT;
CREATE INDEX outbox_receiver ON outbox (receiver, id);
CREATE INDEX outbox_call ON outbox (receiver, call, id) WHERE call IS NOT NULL;

-- How many deliveries had which end: counters never go back.
CREATE TABLE outbox_counts (
    receiver TEXT    NOT NULL,
    word     TEXT    NOT NULL,  -- `delivered`, `failed` or `dropped`
    count    INTEGER NOT NULL,
    PRIMARY KEY (receiver, word)
) STRICT, WITHOUT ROWID;

-- 1 once people were told that the question ends soon, or that the job is stuck.
ALTER TABLE jobs ADD COLUMN told_expiring INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN told_stuck INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_expiring ON jobs (expires) WHERE phase = 'awaiting_approval' AND told_expiring = 0;
