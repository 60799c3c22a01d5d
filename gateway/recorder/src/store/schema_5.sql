-- Version 5. What was changed elsewhere in a job's objects between its decision and its effect, as JSON; written with its outcome.
ALTER TABLE jobs ADD COLUMN meanwhile TEXT;
