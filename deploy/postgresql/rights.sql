-- The rights of the recorder on each table. The owner of the tables runs this after it made them,
-- and again after each upgrade:
--
--   psql --host db.example.com --username cofferdam_owner --dbname cofferdam --file rights.sql
--
-- The recorder can make, change and remove no table, and can empty none. Of the ledger it can remove
-- no entry, no tile and no checkpoint, and can change no entry: it can only erase payloads with
-- their keys.
\set ON_ERROR_STOP on
BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM cofferdam_recorder;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM cofferdam_recorder;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cofferdam_recorder;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cofferdam_recorder;

-- The ledger.
GRANT INSERT, UPDATE (key, payloads) ON leaves TO cofferdam_recorder;
GRANT INSERT, UPDATE ON tiles, checkpoint TO cofferdam_recorder;
-- Payloads of entries of old versions are only erased.
GRANT DELETE ON payloads TO cofferdam_recorder;

-- Jobs. Retention removes old rows.
GRANT INSERT, UPDATE, DELETE ON jobs, statements, operations, leases, job_objects
    TO cofferdam_recorder;
GRANT INSERT, UPDATE, DELETE ON idempotency, rejections TO cofferdam_recorder;

-- Callers and notifications.
GRANT INSERT, UPDATE, DELETE ON tokens, callers, usage, outbox, invitations, stops
    TO cofferdam_recorder;

-- The list of calls.
GRANT INSERT, UPDATE, DELETE ON calls, call_objects, call_signers TO cofferdam_recorder;

-- Counters, which never go back to nothing.
GRANT INSERT, UPDATE ON removed, removed_counts, outbox_counts TO cofferdam_recorder;

-- Rows that are always there, one in each table.
GRANT UPDATE ON fences, payloads_end, calls_end, sequencer TO cofferdam_recorder;

COMMIT;
