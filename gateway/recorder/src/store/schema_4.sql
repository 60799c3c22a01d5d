-- Version 4. The same call joins a job by principal, plan and policy, while that has no outcome and for a minute after it
-- succeeded. Whether an answer was delivered no longer counts.
DROP INDEX jobs_joinable;
ALTER TABLE jobs DROP COLUMN joinable;
ALTER TABLE jobs DROP COLUMN delivered;
ALTER TABLE jobs ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN ended INTEGER;  -- when its outcome was recorded
UPDATE jobs SET policy = coalesce(json_extract(document, '$.policy'), '') WHERE json_valid(document);
CREATE INDEX jobs_same ON jobs (principal, plan, seq);

-- Who denied; in older rows the reason begins with it.
ALTER TABLE rejections ADD COLUMN approver TEXT NOT NULL DEFAULT '';
