-- Version 10. What each principal used on a day; written with its entries.
CREATE TABLE usage (
    day       INTEGER NOT NULL,  -- days since 1970
    principal TEXT    NOT NULL,
    jobs      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (day, principal)
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_waiting ON jobs (principal) WHERE phase = 'awaiting_approval' AND approved = 0;
