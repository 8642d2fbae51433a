-- What doors remember between two lives of the daemon, the requests they carried out once among it.

CREATE TABLE memo (
    key TEXT PRIMARY KEY,
    ts REAL NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;
