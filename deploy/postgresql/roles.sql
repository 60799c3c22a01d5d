-- The database and its roles, each of which can do only its part. A superuser runs this once:
--
--   psql --host db.example.com --username postgres --dbname postgres --file roles.sql
--
-- and then gives each role its password, which `psql` hashes before it sends it:
--
--   \password cofferdam_owner
--   \password cofferdam_recorder
--   \password cofferdam_backup
--
-- Then the owner makes the tables (`cofferdam store prepare` or `cofferdam store migrate`) and gives
-- the rights on them (rights.sql).
\set ON_ERROR_STOP on

-- Makes and changes the tables, at an installation and at an upgrade. No process that runs has its
-- password.
CREATE ROLE cofferdam_owner LOGIN NOINHERIT CONNECTION LIMIT 4;
-- The recorder: reads and writes rows.
CREATE ROLE cofferdam_recorder LOGIN NOINHERIT CONNECTION LIMIT 40;
-- Reads everything, for copies.
CREATE ROLE cofferdam_backup LOGIN NOINHERIT CONNECTION LIMIT 4;
ALTER ROLE cofferdam_backup SET default_transaction_read_only = on;

-- Texts are compared byte by byte where it matters, so any collation is right.
CREATE DATABASE cofferdam OWNER cofferdam_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE cofferdam FROM PUBLIC;
GRANT CONNECT ON DATABASE cofferdam TO cofferdam_recorder, cofferdam_backup;

\connect cofferdam

ALTER SCHEMA public OWNER TO cofferdam_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO cofferdam_recorder, cofferdam_backup;

-- A table that a later version adds is in the copies too.
ALTER DEFAULT PRIVILEGES FOR ROLE cofferdam_owner IN SCHEMA public
    GRANT SELECT ON TABLES TO cofferdam_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE cofferdam_owner IN SCHEMA public
    GRANT SELECT ON SEQUENCES TO cofferdam_backup;

-- One recorder holds a lock while it orders the ledger. No other role may take it.
DO $$
DECLARE
    lock regprocedure;
BEGIN
    FOR lock IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE 'pg\_%advisory%'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', lock);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO cofferdam_owner, cofferdam_recorder', lock);
    END LOOP;
END
$$;
