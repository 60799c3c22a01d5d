-- Version 17. The emergency stops of operators.
CREATE TABLE stops (
    scope   TEXT    NOT NULL,  -- all, tool or agent
    name    TEXT    NOT NULL,  -- of the tool or the agent; empty for all
    because TEXT    NOT NULL,
    by_whom TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT;
