-- Version 6. A claim, a sweep and a list read few rows, whatever the number of jobs.

-- 1 while an earlier or a running job has an object of this queued job. A claim does not read such
-- a job; the job that leaves an object sets it back to 0.
ALTER TABLE jobs ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;

-- The objects of the jobs that are queued or run and are not stuck.
CREATE TABLE job_objects (
    object  TEXT    NOT NULL,
    running INTEGER NOT NULL,
    seq     INTEGER NOT NULL,  -- of the job
    PRIMARY KEY (object, running, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_objects_seq ON job_objects (seq);

CREATE INDEX jobs_queue ON jobs (seq, expires)
    WHERE phase = 'queued' AND leased = 0 AND blocked = 0 AND stuck IS NULL;
CREATE INDEX jobs_recover ON jobs (seq)
    WHERE phase IN ('acting', 'tearing_down') AND leased = 0 AND stuck IS NULL;
CREATE INDEX jobs_stuck ON jobs (phase, leased, retry_at) WHERE stuck IS NOT NULL AND phase <> 'closed';
CREATE INDEX jobs_leased ON jobs (seq) WHERE leased = 1;
CREATE INDEX jobs_expires ON jobs (expires) WHERE phase IN ('awaiting_approval', 'queued');
CREATE INDEX jobs_counts ON jobs (phase, outcome);
CREATE INDEX jobs_principal ON jobs (principal, seq);
CREATE INDEX jobs_principal_open ON jobs (principal, seq) WHERE outcome IS NULL;
