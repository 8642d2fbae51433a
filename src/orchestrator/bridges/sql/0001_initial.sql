-- The first schema. Numbered files are applied in order and never edited once released.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per task, for ever. ord is the order of acceptance. inode and mtime_ns have no declared type: a
-- number beyond 64 bits is kept as text. Names and free text that are not valid Unicode are kept as blobs.
CREATE TABLE task (
    ord INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    id_key TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    file_name TEXT NOT NULL,
    inode NOT NULL,
    mtime_ns NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_ts REAL NOT NULL,
    rank INTEGER NOT NULL,
    agent TEXT NOT NULL,
    rerun_of TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    revision INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL CHECK (tries >= 0),
    epoch INTEGER NOT NULL,
    not_before REAL NOT NULL,
    session_id TEXT NOT NULL,
    session_cost_usd REAL,
    ended_ts REAL NOT NULL,
    artifacts INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    cleaned INTEGER NOT NULL
);

-- What is large, apart, so that lists of tasks stay quick.
CREATE TABLE content (
    ord INTEGER PRIMARY KEY REFERENCES task (ord),
    spec TEXT NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE attempt (
    uid TEXT NOT NULL REFERENCES task (uid),
    number INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    agent TEXT NOT NULL,
    session_id TEXT NOT NULL,
    started_ts REAL NOT NULL,
    ended_ts REAL NOT NULL,
    outcome TEXT NOT NULL,
    verdict TEXT NOT NULL,
    PRIMARY KEY (uid, number)
) WITHOUT ROWID;

-- uid is '' for events of the daemon itself. seq has no gaps.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    ts REAL NOT NULL,
    kind TEXT NOT NULL,
    uid TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE pause (
    scope TEXT PRIMARY KEY,
    until REAL NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX task_name ON task (name_key) WHERE name_key <> '';

-- People type the last digits of a uid.
CREATE INDEX task_uid_end ON task (substr(uid, -8));

-- Two tasks of one id never run at once, whatever a program believes.
CREATE UNIQUE INDEX task_active ON task (id_key) WHERE state IN ('running', 'checking', 'cancelling');

CREATE INDEX task_ready ON task (agent, rank, ord, not_before, id_key, state) WHERE state IN ('queued', 'retry_wait');

CREATE INDEX task_line ON task (id_key, ord, state) WHERE state IN ('queued', 'retry_wait');

CREATE INDEX task_wake ON task (not_before) WHERE state IN ('queued', 'retry_wait') AND not_before > 0;

CREATE INDEX task_unprojected ON task (ord) WHERE state IN ('succeeded', 'failed', 'cancelled', 'rejected')
    AND ((artifacts = 0 AND cleaned = 0 AND state <> 'rejected') OR archived = 0);

CREATE INDEX task_state ON task (state, ord);

CREATE INDEX task_id ON task (id_key, ord);

CREATE INDEX task_file ON task (file_name) WHERE file_name <> '';

CREATE INDEX task_waiting_file ON task (file_name, inode, mtime_ns, size, uid, state)
    WHERE state IN ('queued', 'retry_wait') AND file_name <> '';

CREATE INDEX event_of ON event (uid, seq) WHERE uid <> '';
