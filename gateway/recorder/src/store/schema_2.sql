-- Version 2. The leases a job had before it acted: what a lost runner made under one of them is looked for by its fence.
CREATE TABLE leases (
    call  TEXT    NOT NULL REFERENCES jobs (call),
    fence INTEGER NOT NULL,
    PRIMARY KEY (call, fence)
) STRICT;

-- What a person found out about an outcome that nobody knew; JSON, written once.
ALTER TABLE jobs ADD COLUMN resolution TEXT;
