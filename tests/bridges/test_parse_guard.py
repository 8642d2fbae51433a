"""Who is blamed for the end of a daemon that was reading."""

import hashlib
import os
import signal
from pathlib import Path

import pytest
from tests.harness import task_text

from orchestrator.bridges.parse_guard import READING, ParseGuard
from orchestrator.core.errors import TaskFileError
from orchestrator.core.task import TaskRules, TaskSpec, TaskType
from orchestrator.core.taskfile import parse_task_file

RULES = TaskRules(
    types={"analyze": TaskType("analyze", (), expects_changes=False)},
    agents=("claude",),
    base_cwd="/srv",
    allowed_root="/srv",
)
ME = os.getpid()


def read(data: bytes, file_name: str, rules: TaskRules) -> TaskSpec:
    if b"POISON" in data and os.getpid() != ME:  # it would end the test itself
        os.kill(os.getpid(), signal.SIGKILL)
    return parse_task_file(data, file_name=file_name, rules=rules)


def after_two_ends(state: Path, data: bytes) -> ParseGuard:
    """Return the guard of a daemon whose two predecessors ended while they read *data*."""
    for _ in range(2):
        (state / READING).write_text(hashlib.sha256(data).hexdigest())
        ParseGuard(state, read).close()
    return ParseGuard(state, read)


def test_a_good_file_is_not_refused_because_two_daemons_were_killed_while_they_read_it(tmp_path: Path) -> None:
    data = task_text("good").encode()
    guard = after_two_ends(tmp_path, data)
    assert guard.parse(data, "good.task.md", RULES).id == "good"
    guard.close()


def test_a_file_that_ends_whoever_reads_it_is_refused(tmp_path: Path) -> None:
    data = task_text("bad", "POISON").encode()
    guard = after_two_ends(tmp_path, data)
    with pytest.raises(TaskFileError, match="ended the daemon 2 times"):
        guard.parse(data, "bad.task.md", RULES)
    guard.close()
