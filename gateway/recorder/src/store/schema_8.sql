-- Version 8. The roots of the full tiles of the tree: a start takes the right edge of the tree from them, and the signed checkpoint proves it.
CREATE TABLE tiles (
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    root  BLOB    NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;
