-- Version 13. Invitations of approvers. A link has a secret, and the store its digest alone.
CREATE TABLE invitations (
    person  TEXT    NOT NULL PRIMARY KEY,  -- one open invitation for each person
    digest  TEXT    NOT NULL UNIQUE,       -- SHA-256 of the link's secret, in hexadecimal
    expires INTEGER NOT NULL,
    passkey TEXT                           -- the passkey that waits for an operator
) STRICT, WITHOUT ROWID;
