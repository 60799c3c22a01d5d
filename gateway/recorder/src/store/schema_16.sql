-- Version 16. The claim token of a job's lease; the number of the newest report of its runner, and
-- the index of the entry that answered that report. A repeated request gets the first answer.
ALTER TABLE jobs ADD COLUMN claim TEXT;
ALTER TABLE jobs ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN moved_entry INTEGER NOT NULL DEFAULT 0;
