-- Version 7. The payloads of an entry are in its row: one row for an entry. Older entries have rows in `payloads`.
ALTER TABLE leaves ADD COLUMN key BLOB;       -- the record's key; gone when erased
ALTER TABLE leaves ADD COLUMN payloads TEXT;  -- JSON, from name to body; gone when erased
