-- Tasks that a person holds: they keep their place among tasks of one id, and their file stays in the inbox.

DROP INDEX task_line;

CREATE INDEX task_line ON task (id_key, ord, state) WHERE state IN ('queued', 'retry_wait', 'held');

DROP INDEX task_waiting_file;

CREATE INDEX task_waiting_file ON task (file_name, inode, mtime_ns, size, uid, state)
    WHERE state IN ('queued', 'retry_wait', 'held') AND file_name <> '';
