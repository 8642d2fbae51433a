-- Tasks that wait for an answer keep their place among tasks of one id, as held ones do.

DROP INDEX task_line;

CREATE INDEX task_line ON task (id_key, ord, state) WHERE state IN ('queued', 'retry_wait', 'held', 'needs_input');

DROP INDEX task_waiting_file;

CREATE INDEX task_waiting_file ON task (file_name, inode, mtime_ns, size, uid, state)
    WHERE state IN ('queued', 'retry_wait', 'held', 'needs_input') AND file_name <> '';
