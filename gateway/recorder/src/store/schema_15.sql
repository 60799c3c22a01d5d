-- Version 15. When further people may sign a question, until they were told; null if there are none.
ALTER TABLE jobs ADD COLUMN escalates INTEGER;
CREATE INDEX jobs_escalating ON jobs (escalates) WHERE phase = 'awaiting_approval' AND escalates IS NOT NULL;
