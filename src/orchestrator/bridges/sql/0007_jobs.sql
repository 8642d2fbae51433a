-- Jobs, dependencies between tasks, trees of sub-tasks, templates of schedules, deadlines.

CREATE TABLE job (
    ord INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    line INTEGER NOT NULL,
    facts TEXT NOT NULL
);

CREATE INDEX job_name ON job (name, ord);

CREATE INDEX job_uid_end ON job (substr(uid, -8));

-- uid waits for on_uid, a task whose id has the key on_key; '' while nobody has submitted one. kind: after, child.
CREATE TABLE need (
    uid TEXT NOT NULL,
    kind TEXT NOT NULL,
    on_key TEXT NOT NULL,
    on_uid TEXT NOT NULL,
    met INTEGER NOT NULL,
    PRIMARY KEY (uid, kind, on_key)
) WITHOUT ROWID;

CREATE INDEX need_open ON need (on_key, on_uid, uid, kind) WHERE met = 0;

CREATE INDEX need_on ON need (on_uid, uid);

-- line is the order of the first task of its job, its own where it has none; path what hangs on it, in seconds.
ALTER TABLE task ADD COLUMN job TEXT NOT NULL DEFAULT '';

ALTER TABLE task ADD COLUMN parent TEXT NOT NULL DEFAULT '';

ALTER TABLE task ADD COLUMN root TEXT NOT NULL DEFAULT '';

ALTER TABLE task ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;

ALTER TABLE task ADD COLUMN line INTEGER NOT NULL DEFAULT 0;

ALTER TABLE task ADD COLUMN path REAL NOT NULL DEFAULT 0;

ALTER TABLE task ADD COLUMN deadline_ts REAL NOT NULL DEFAULT 0;

UPDATE task SET line = ord;

DROP INDEX task_ready;

CREATE INDEX task_ready ON task (agent, rank, line, path DESC, ord, not_before, id_key, state, job)
    WHERE state IN ('queued', 'retry_wait');

DROP INDEX task_line;

CREATE INDEX task_line ON task (id_key, ord, state)
    WHERE state IN ('queued', 'retry_wait', 'held', 'needs_input', 'split', 'blocked', 'scheduled');

CREATE INDEX task_ahead ON task (id_key, ord, state)
    WHERE state IN ('queued', 'retry_wait', 'held', 'needs_input', 'split');

DROP INDEX task_waiting_file;

CREATE INDEX task_waiting_file ON task (file_name, inode, mtime_ns, size, uid, state)
    WHERE state IN ('queued', 'retry_wait', 'held', 'needs_input', 'split', 'blocked', 'scheduled') AND file_name <> '';

CREATE INDEX task_job ON task (job, ord) WHERE job <> '';

CREATE INDEX task_parent ON task (parent, ord) WHERE parent <> '';

CREATE INDEX task_root ON task (root, ord) WHERE root <> '';

CREATE INDEX task_due ON task (not_before) WHERE state = 'scheduled';

CREATE INDEX task_overdue ON task (deadline_ts)
    WHERE deadline_ts > 0 AND state NOT IN ('succeeded', 'failed', 'cancelled', 'rejected');
