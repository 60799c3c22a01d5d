-- Version 3. Why a job cannot be finished at present, as JSON; absent while nothing is in its way. And when it is offered to a runner again.
ALTER TABLE jobs ADD COLUMN stuck TEXT;
ALTER TABLE jobs ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;

-- Paths of the files of a directory that a job edited, as JSON; written with its outcome.
ALTER TABLE jobs ADD COLUMN files TEXT;
